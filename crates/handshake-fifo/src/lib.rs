//! Named pipes, and the processes of one kernel that use them. It knows no protocol, and speaks in errnos.
//!
//! - [`fifo`]: a FIFO whose guard removes it, opened without waiting; [`io`]: one read, one write.
//! - [`wait`]: the one place that sleeps, with signals let in and an adaptive look before.
//! - [`deadline`]: moments at which patience ends. [`limits`]: what the kernel lets a process have. [`errno`]: errors by name.
//! - [`sys`]: fork and other calls that nix has no safe form for. The workspace has no other `unsafe`.

pub mod deadline;
pub mod errno;
pub mod fifo;
pub mod io;
pub mod limits;
pub mod sys;
pub mod wait;
