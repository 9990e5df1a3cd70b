//! The lab: see, measure and break the three paradigms.
//!
//! Reading order: [`demo`] shows the course's steps as they happen; [`race`] what becomes of clients that
//! come at one instant, with the protocol as taught and with ours; [`load`] puts many connections on a
//! server, measures it, and checks every reply; [`crowd`] has as many clients at once as a server carries;
//! [`soak`] lets clients of all tempers come and go; [`compare`] measures all paradigms beside what else one
//! could use, and says which is for what. They stand on `paradigm`, `programs`, `temporary` (files in
//! `$TMPDIR`), `house` (a server looked at from outside), `check` (what is judged), `proc` and `blocked`
//! (what the kernel tells), `many` (one process as many clients) and `naive` (the course's client, taken
//! literally). What is deliberately absent: nothing here knows how a server works inside. The lab sees what
//! any client sees, the event record, /proc, and nothing else.

mod args;

pub mod compare;
pub mod crowd;
pub mod demo;
pub mod load;
pub mod race;
pub mod soak;

mod blocked;
mod check;
mod house;
mod many;
mod naive;
mod paradigm;
mod proc;
mod programs;
mod temporary;

pub use args::{Args, run};
