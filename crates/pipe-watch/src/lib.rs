//! Watches programs that use pipes, from outside, in any language. It knows no protocol.
//!
//! [`look`] answers "why does it hang?" in one sentence a thread, without tracing:
//!
//! ```
//! use pipe_watch::look::{Report, Scope, look};
//!
//! # fn main() -> Result<(), pipe_watch::look::Error> {
//! let snapshot = look(&Scope::Trees(vec![std::process::id()]))?;
//! for finding in &Report::of(&snapshot).findings {
//!     println!("{}", finding.sentence);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`tracer`] runs a program and reports each of its system calls about pipes, as an [`event::Event`].
//!
//! Linux only, on x86_64 and aarch64. All `unsafe` is in `sys`. Deliberately absent: the course, a command
//! line, output, and threads.

pub mod changes;
pub mod event;
pub mod look;
mod pipe_key;
mod sys;
pub mod timeline;
pub mod tracer;
