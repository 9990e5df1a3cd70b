//! The lab: it shows, measures and breaks the three paradigms.
//!
//! Reading order: [`demo`] shows the course's steps as they happen. [`why`] says why processes hang, of any
//! program. [`trace`] draws what programs did with pipes. [`race`] shows what happens to clients that start
//! at one instant, with the protocol as taught and with ours. [`crowd`] connects as many clients at once as a
//! server supports. [`soak`] lets clients of every behaviour come and go. Two commands are crates of their
//! own: `load` opens many connections to a server, and `bench` compares the servers.
//!
//! They use `server_under_test` (a server observed from outside), `check` (the final checks), `numbers`, and
//! the crates `probe` (what the kernel reports, programs, temporary files), `load::many` (many clients in one
//! process) and `naive` (the protocol as taught). Deliberately absent: nothing here knows how a server works
//! inside. The lab sees only what any client sees, the event log, and /proc.

mod args;

pub mod crowd;
pub mod demo;
pub mod race;
pub mod soak;
pub mod trace;
pub mod why;

mod check;
mod numbers;
mod server_under_test;

pub use args::{Args, run};
