//! Says why programs that use pipes hang, and what they do, in any language.
//!
//! A program hangs in read(2) of a pipe, since a forgotten process holds the write end. Or two
//! programs each wait until the other one opens a FIFO. The kernel knows all of that, and [`look`] reads it
//! from /proc, as an ordinary user, in a few milliseconds:
//!
//! ```
//! use std::process::{Command, Stdio};
//! use std::time::{Duration, Instant};
//!
//! use pipe_watch::look::{Kind, Report, Scope, look};
//!
//! # if std::fs::read("/proc/self/syscall").is_err() { return Ok(()); }
//! // cat waits for EOF, and sleep holds the write end.
//! let mut shell = Command::new("sh")
//!     .args(["-c", "sleep 1000 | cat"])
//!     # .stdout(Stdio::null()).stderr(Stdio::null())
//!     .spawn()?;
//! let until = Instant::now() + Duration::from_secs(20);
//! // Before sleep sleeps, cat is not stuck: sleep runs, and may write.
//! let finding = loop {
//!     let report = Report::of(&look(&Scope::Trees(vec![shell.id()]))?);
//!     let mut findings = report.findings.iter().filter(|one| one.kind == Kind::Stuck);
//!     if let Some(of_cat) = findings.find(|one| one.sentence.contains("(sleep) as descriptor 1")) {
//!         break of_cat.clone();
//!     }
//!     assert!(Instant::now() < until, "{report:?}");
//! };
//! // 4713 (cat) waits in read(0) on the unnamed pipe [1000001] (0 of 65536 bytes in it). The write end
//! // is held by 4712 (sleep) as descriptor 1, which sleeps for 1000 s.
//! println!("{}", finding.sentence);
//! // 4712 (sleep) must write, or close(1) if it is not to write
//! println!("{}", finding.remedy.as_deref().unwrap_or_default());
//! # Command::new("kill").arg(finding.needs[0].to_string()).status()?;
//! # shell.wait()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`look::look`] takes a snapshot of processes: their threads, what each waits for, and their pipe ends.
//!   [`look::Report`] draws the conclusions: which threads are stuck, because no process that is seen will
//!   end their wait, and which processes wait for each other in a circle.
//! - [`look::Report::since`] compares two snapshots: a wait that both have is a hang, not a moment's wait.
//! - [`tracer::trace`] runs a program, and reports each system call about pipes as an [`event::Event`].
//!   [`changes::Changes`] makes events from looks, where tracing is not allowed.
//! - [`timeline::Timeline`] puts events together: processes, lives of pipes, arrows from each write to the
//!   read that took its bytes, and waits.
//!
//! `cargo run -p pipe-watch --example hang` starts two programs that hang, and explains them. The commands
//! `lab why` and `lab trace` of the same repository are built on this crate.
//!
//! Linux only, on x86_64 and aarch64. All `unsafe` is in `sys`. Deliberately absent: any protocol, a command
//! line, output, and threads.

pub mod changes;
pub mod event;
pub mod look;
mod older;
mod pipe_key;
mod sys;
pub mod timeline;
pub mod tracer;
