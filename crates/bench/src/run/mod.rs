//! Measuring: `sampling` runs `trial` after trial, interleaved, on a `bench` of processes.

pub(crate) mod bench;
pub(crate) mod cpus;
pub(crate) mod directory;
pub(crate) mod holdings;
pub(crate) mod progress;
pub(crate) mod sampling;
pub(crate) mod trial;
