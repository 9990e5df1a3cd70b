//! Named pipes, and the processes of one kernel that use them. This crate knows no protocol, and its errors
//! are errnos.
//!
//! - [`fifo`]: a FIFO whose guard removes it, opened without waiting. [`io`]: one read, one write.
//! - [`wait`]: the only place that sleeps, with signals unblocked and an adaptive poll before.
//! - [`deadline`]: moments at which a wait ends. [`limits`]: the kernel's limits for a process. [`errno`]:
//!   errors by name.
//! - [`sys`]: fork and other calls for which nix has no safe function. It has all `unsafe` code
//!   of the servers and the client.

pub mod deadline;
pub mod errno;
pub mod fifo;
pub mod io;
pub mod limits;
pub mod sys;
pub mod wait;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
