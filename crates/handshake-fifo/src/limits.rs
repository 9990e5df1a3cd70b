//! The kernel's limits for this process, and how many clients they allow.

use std::fmt;
use std::fs;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// File descriptors that a server holds whatever the number of its clients, and those of a client that
/// connects.
const OWN_DESCRIPTORS: u64 = 96;

/// The most memory that an idle subserver was measured to cost, including the kernel's part. The same amount
/// is added for what its client may have in its pipes (pipe(7)).
const MEMORY_EACH: u64 = 512 << 10;

/// The largest number of subservers that was ever tested.
const CLIENTS_MAX: u64 = 1 << 15;

/// The limits of this process, after [`Limits::raise`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// File descriptors of this process (`RLIMIT_NOFILE`).
    pub descriptors: u64,
    /// Processes: the smallest of the limits of this user (`RLIMIT_NPROC`), of its control group, and of the
    /// machine.
    pub processes: u64,
    /// Bytes of memory available at this moment on the machine, or in the control group.
    pub memory: u64,
}

impl Limits {
    /// Raises this process's limits as far as allowed (to the hard limits, setrlimit(2)), and returns them.
    pub fn raise() -> Self {
        // The address space is each process's own: if it is limited, a subserver fails alone.
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

    /// Returns how many clients a main server can have that holds `descriptors_each` file descriptors and
    /// forks a subserver for each. Uses half the processes, so that the user can still log in and end the
    /// server, and half the memory.
    pub fn clients(&self, descriptors_each: u64) -> usize {
        let free_descriptors = self.descriptors.saturating_sub(OWN_DESCRIPTORS);
        let by_descriptors = free_descriptors.checked_div(descriptors_each).unwrap_or(u64::MAX);
        let carried = by_descriptors.min(self.processes / 2).min(self.memory / 2 / MEMORY_EACH);
        usize::try_from(carried.clamp(1, CLIENTS_MAX)).unwrap_or(usize::MAX)
    }
}

/// Prints, for example, "20000 descriptors, 16384 processes, 22.5 GiB of memory".
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = self.memory as f64 / f64::from(1 << 30);
        write!(f, "{} descriptors, {} processes, {gib:.1} GiB of memory", self.descriptors, self.processes)
    }
}

/// Raises a limit as far as possible. Returns the limit, or `None` if it is unlimited.
fn raise(resource: Resource) -> Option<u64> {
    let (soft, hard) = getrlimit(resource).ok()?;
    let raised = soft < hard && setrlimit(resource, hard, hard).is_ok();
    let limit = if raised { hard } else { soft };
    (limit != RLIM_INFINITY).then_some(limit)
}

/// Returns the number in a file of the kernel. `None` if the file does not exist, or contains `max`.
fn number_in(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Returns `MemAvailable` (proc_meminfo(5)) in bytes.
fn available_memory() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
