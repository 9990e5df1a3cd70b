//! The identity of a pipe in a trace, and its text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A pipe's identity in a trace. The kernel gives the inode number of a pipe that is gone to the next one;
/// `generation` tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipeKey {
    /// The device of its file system.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// How many pipes had this device and inode before, in this trace. A FIFO whose last end was closed is
    /// another pipe when it is opened again, because the kernel has dropped its bytes.
    pub generation: u32,
}

/// Three numbers: `DEVICE:INODE:GENERATION`.
impl fmt::Display for PipeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.device, self.inode, self.generation)
    }
}

/// A text that is no [`PipeKey`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPipeKey(String);

impl fmt::Display for NoPipeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not DEVICE:INODE:GENERATION", self.0)
    }
}

impl std::error::Error for NoPipeKey {}

impl FromStr for PipeKey {
    type Err = NoPipeKey;

    fn from_str(text: &str) -> Result<Self, NoPipeKey> {
        let parse = || {
            let mut numbers = text.split(':');
            let key = Self {
                device: numbers.next()?.parse().ok()?,
                inode: numbers.next()?.parse().ok()?,
                generation: numbers.next()?.parse().ok()?,
            };
            numbers.next().is_none().then_some(key)
        };
        parse().ok_or_else(|| NoPipeKey(text.to_owned()))
    }
}

impl Serialize for PipeKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PipeKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
