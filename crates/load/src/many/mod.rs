//! What one process needs to be many clients: a timer for each, one poller for all, and bytes that differ. No
//! threads.

pub mod payload;
pub mod timers;
pub mod watch;
