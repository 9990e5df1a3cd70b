//! What one process needs to be many clients: a timer for each, one poller for all, and bytes that differ. No threads.

pub(crate) mod payload;
pub(crate) mod timers;
pub(crate) mod watch;
