//! The parts of a process that acts as many clients, without threads: a timer for each client, one poller for
//! all, and payloads that differ.

pub mod payload;
pub mod timers;
pub mod watch;
