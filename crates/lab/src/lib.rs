//! The lab: it shows, measures and breaks the three paradigms.
//!
//! Reading order: [`demo`] shows the course's steps as they happen. [`race`] shows what happens to clients
//! that start at one instant, with the protocol as taught and with ours. [`load`] opens many connections to a
//! server, measures it, and checks every reply. [`crowd`] connects as many clients at once as a server
//! supports. [`soak`] lets clients of every behaviour come and go. [`compare`] measures all paradigms and
//! their alternatives, and says what each is good for.
//!
//! They use `paradigm`, `programs`, `temporary` (files in `$TMPDIR`), `server_under_test` (a server observed
//! from outside) and `check` (the final checks). `proc` and `blocked` read what the kernel reports; `many` is
//! many clients in one process; `naive` is the protocol as taught. Deliberately absent: nothing here knows
//! how a server works inside. The lab sees only what any client sees, the event log, and /proc.

mod args;

pub mod compare;
pub mod crowd;
pub mod demo;
pub mod load;
pub mod race;
pub mod soak;

mod blocked;
mod check;

mod many;
mod naive;
mod paradigm;
mod proc;
mod programs;
mod server_under_test;
mod temporary;

pub use args::{Args, run};
