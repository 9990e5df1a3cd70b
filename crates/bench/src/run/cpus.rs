//! The processors of this machine, and which of them a trial's processes get.

use std::fs;

use handshake_core::error::{Error, Result};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use crate::model::placement::Placement;

/// The processors that this process may use: one for the server, and another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cpus {
    one: usize,
    other: Option<usize>,
}

impl Cpus {
    /// Those of this process. Of two that share a core, only one is taken.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(crate) fn of_this_process() -> Result<Self> {
        let failed = |errno| Error::on("learn", "which processors there are", errno);
        let allowed = sched_getaffinity(Pid::from_raw(0)).map_err(failed)?;
        let numbers = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu) == Ok(true));
        Ok(Self::among(numbers, siblings))
    }

    fn among(numbers: impl IntoIterator<Item = usize>, siblings: impl Fn(usize) -> Vec<usize>) -> Self {
        let mut numbers = numbers.into_iter();
        let one = numbers.next().unwrap_or(0);
        let shared = siblings(one);
        Self { one, other: numbers.find(|cpu| !shared.contains(cpu)) }
    }

    /// Where the server stays, and where its clients do; `None`: anywhere.
    pub(crate) fn at(&self, placement: Placement) -> (Option<usize>, Option<usize>) {
        match placement {
            Placement::Free | Placement::Busy => (None, None),
            Placement::SameCore => (Some(self.one), Some(self.one)),
            Placement::DifferentCores => (Some(self.one), self.other),
        }
    }

    /// Whether this machine has what it takes.
    pub(crate) fn allow(&self, placement: Placement) -> bool {
        placement != Placement::DifferentCores || self.other.is_some()
    }
}

/// The processors that share a core with this one, itself included.
fn siblings(cpu: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    parse_list(&fs::read_to_string(path).unwrap_or_default())
}

/// `0-2,5` as the kernel writes it.
fn parse_list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_list("0-2,5\n"), [0, 1, 2, 5]);
        assert!(parse_list("").is_empty());
    }

    #[test]
    fn different_cores_are_no_siblings() {
        let pairs = |cpu: usize| vec![cpu & !1, cpu | 1];
        let cpus = Cpus::among([2, 3, 5], pairs);
        assert_eq!(cpus.at(Placement::DifferentCores), (Some(2), Some(5)));
        assert_eq!(cpus.at(Placement::SameCore), (Some(2), Some(2)));
        assert_eq!(cpus.at(Placement::Free), (None, None));
        let lonely = Cpus::among([2, 3], pairs);
        assert!(!lonely.allow(Placement::DifferentCores) && lonely.allow(Placement::SameCore));
    }
}
