//! The lab: see, measure and break the three paradigms.
//!
//! Reading order: [`demo`] shows the course's steps as they happen; [`race`] what becomes of clients that
//! come at one instant, with the protocol as taught and with ours; [`crowd`] has as many clients at once as a
//! server carries; [`soak`] lets clients of all tempers come and go. Two commands are crates of their own:
//! `load` puts many connections on a server, and `bench` compares the servers with each other. The commands
//! stand on `house` (a server looked at from outside), `check` (what is judged), and the crates `probe` (what
//! the kernel tells, the programs, files in `$TMPDIR`), `load::many` (one process as many clients) and `naive`
//! (the protocol as taught). What is deliberately absent: nothing here knows how a server works inside. The
//! lab sees what any client sees, the event record, /proc, and nothing else.

mod args;

pub mod crowd;
pub mod demo;
pub mod race;
pub mod soak;

mod check;
mod house;

pub use args::{Args, run};
