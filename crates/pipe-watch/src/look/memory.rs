//! What the pointers of a system call point to, in another thread's memory: /proc/PID/mem (proc_pid_mem(5)),
//! or process_vm_readv(2) of a thread that this process traces, which is faster.
//!
//! Reading changes nothing in the other process. All sizes are bounded: the values are the other program's.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::sys::read_memory;

/// The most descriptors of one poll(2) or select(2) that are read.
const POLLED_MAX: u64 = 4096;

/// Where values are read from.
#[derive(Debug)]
pub(crate) struct Memory(Source);

#[derive(Debug)]
enum Source {
    Hidden,
    File(File),
    Traced(i32),
}

impl Memory {
    /// The memory of a thread, by its directory in /proc. It is empty if it may not be read.
    pub(super) fn of(directory: &str) -> Self {
        Self(File::open(format!("{directory}/mem")).map_or(Source::Hidden, Source::File))
    }

    /// The memory of a thread that this process traces.
    pub(crate) fn of_traced(tid: i32) -> Self {
        Self(Source::Traced(tid))
    }

    /// At most so many bytes: fewer where the memory ends.
    pub(crate) fn bytes(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = match &self.0 {
            Source::Hidden => return None,
            Source::File(file) => file.read_at(&mut bytes, address).ok()?,
            Source::Traced(tid) => read_memory(*tid, address, &mut bytes).ok()?,
        };
        bytes.truncate(read);
        Some(bytes)
    }

    /// The 64-bit words at an address.
    pub(crate) fn words<const N: usize>(&self, address: u64) -> Option<[u64; N]> {
        let bytes = self.bytes(address, N * 8)?;
        let mut words = [0; N];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks(8)) {
            *word = u64::from_ne_bytes(bytes.try_into().ok()?);
        }
        (bytes.len() == N * 8).then_some(words)
    }

    /// A C string, as a path.
    pub(crate) fn path(&self, address: u64) -> Option<PathBuf> {
        let mut bytes = self.bytes(address, libc::PATH_MAX as usize)?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        bytes.truncate(end);
        Some(PathBuf::from(OsString::from_vec(bytes)))
    }

    /// The descriptors and events of an array of `struct pollfd`.
    pub(crate) fn pollfds(&self, address: u64, count: u64) -> Option<Vec<(i32, i16)>> {
        self.pollfd_parts(address, count, 4)
    }

    /// The descriptors of such an array, and the events that came.
    pub(crate) fn ready_pollfds(&self, address: u64, count: u64) -> Option<Vec<(i32, i16)>> {
        self.pollfd_parts(address, count, 6)
    }

    fn pollfd_parts(&self, address: u64, count: u64, at: usize) -> Option<Vec<(i32, i16)>> {
        let bytes = self.bytes(address, count.min(POLLED_MAX) as usize * 8)?;
        let of = |entry: &[u8]| {
            let fd = entry[..4].try_into().ok().map(i32::from_ne_bytes)?;
            Some((fd, entry[at..at + 2].try_into().ok().map(i16::from_ne_bytes)?))
        };
        bytes.chunks_exact(8).map(of).collect()
    }

    /// The descriptors below `count` in a `fd_set`; none in a null pointer.
    pub(crate) fn fd_set(&self, address: u64, count: u64) -> Option<Vec<u32>> {
        if address == 0 {
            return Some(Vec::new());
        }
        let count = count.min(POLLED_MAX);
        let bytes = self.bytes(address, count.div_ceil(64) as usize * 8)?;
        // The words are of 64 bits, in this machine's order of bytes; both known machines are little-endian.
        let is_set = |fd: &u64| bytes.get(*fd as usize / 8).is_some_and(|byte| byte >> (fd % 8) & 1 == 1);
        Some((0..count).filter(is_set).map(|fd| fd as u32).collect())
    }

    /// A `struct timespec`, or a `struct timeval` with `unit` = 1,000 ns. A null pointer is no limit.
    pub(crate) fn time(&self, address: u64, unit: u64) -> Option<Duration> {
        if address == 0 {
            return None;
        }
        let bytes = self.bytes(address, 16)?;
        let number = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let seconds = number(0)?.min(i64::MAX as u64);
        Some(
            Duration::from_secs(seconds)
                .saturating_add(Duration::from_nanos(number(8)?.saturating_mul(unit))),
        )
    }
}
