//! What the kernel lets this process have, and how many clients that carries.

use std::fmt;
use std::fs;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// Descriptors that a server has whatever the number of its clients, and those of a client on its way in.
const OWN_DESCRIPTORS: u64 = 96;

/// What an idle subserver was measured to cost at most, with all that the kernel keeps for it, and as much again for what
/// its client may have in its pipes (pipe(7)).
const MEMORY_EACH: u64 = 512 << 10;

/// More subservers than this were never tried.
const CLIENTS_MAX: u64 = 1 << 15;

/// What this process may have, after [`Limits::raise`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Descriptors of this process (`RLIMIT_NOFILE`).
    pub descriptors: u64,
    /// Processes: of this user (`RLIMIT_NPROC`), of its control group, of the machine; the smallest of them.
    pub processes: u64,
    /// Bytes of memory that the machine has for everybody at this moment, or the control group.
    pub memory: u64,
}

impl Limits {
    /// Raises this process's limits to what it may raise them to (the hard limits, setrlimit(2)), and says what it may have.
    pub fn raise() -> Self {
        // The address space is each process's own: with a limit on it a subserver fails alone.
        raise(Resource::RLIMIT_AS);
        let control_group = |file| number_in(&format!("/sys/fs/cgroup/{file}"));
        let kernel = |file| number_in(&format!("/proc/sys/kernel/{file}"));
        let smallest = |limits: &[Option<u64>]| limits.iter().flatten().copied().min().unwrap_or(u64::MAX);
        Self {
            descriptors: raise(Resource::RLIMIT_NOFILE).unwrap_or(1024),
            processes: smallest(&[
                raise(Resource::RLIMIT_NPROC),
                kernel("pid_max"),
                kernel("threads-max"),
                control_group("pids.max"),
            ]),
            memory: smallest(&[available_memory(), control_group("memory.max")]),
        }
    }

    /// How many clients a main server can have that holds so many descriptors for each and forks a subserver for each: half
    /// the processes, so that its user can still log in and end it, and half the memory.
    pub fn clients(&self, descriptors_each: u64) -> usize {
        let by_descriptors = self
            .descriptors
            .saturating_sub(OWN_DESCRIPTORS)
            .checked_div(descriptors_each)
            .unwrap_or(u64::MAX);
        let carried = by_descriptors.min(self.processes / 2).min(self.memory / 2 / MEMORY_EACH);
        usize::try_from(carried.clamp(1, CLIENTS_MAX)).unwrap_or(usize::MAX)
    }
}

/// "20000 descriptors, 16384 processes, 22.5 GiB of memory".
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = self.memory as f64 / f64::from(1 << 30);
        write!(f, "{} descriptors, {} processes, {gib:.1} GiB of memory", self.descriptors, self.processes)
    }
}

/// Raises a limit as far as it goes; returns it, if there is one.
fn raise(resource: Resource) -> Option<u64> {
    let (soft, hard) = getrlimit(resource).ok()?;
    let raised = soft < hard && setrlimit(resource, hard, hard).is_ok();
    let limit = if raised { hard } else { soft };
    (limit != RLIM_INFINITY).then_some(limit)
}

/// The number that a file of the kernel's holds; none if there is no such file, or it says `max`.
fn number_in(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// `MemAvailable` (proc_meminfo(5)).
fn available_memory() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
