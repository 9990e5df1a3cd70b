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
//! Linux only, on x86_64 and aarch64. Deliberately absent: the course, a command line, output, sleeping,
//! threads, and `unsafe`.

pub mod event;
pub mod look;
pub mod timeline;
