//! What looks at processes from outside, and starts the programs.
//!
//! Reading order: [`proc`] reads what the kernel tells of a process; [`paradigm`] names the servers,
//! [`programs`] finds them, [`running`] starts and ends them; [`temporary`] makes files and directories. What
//! is deliberately absent: nothing here knows the protocol, or why a process waits (`pipe-watch` does).

pub mod paradigm;
pub mod proc;
pub mod programs;
pub mod running;
pub mod temporary;
