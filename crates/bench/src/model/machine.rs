//! The machine that it was measured on.

use std::path::Path;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use probe::proc::{first_number, kib, meminfo, text, value_of};
use serde::{Deserialize, Serialize};

/// More runnable processes a processor than this before anything began, and the figures are of a busy
/// machine.
const BUSY_LOAD: f64 = 0.5;

/// What the report says about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) virtual_machine: bool,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    /// Processes that wanted to run, over the last minute before it began.
    pub(crate) load_before: f64,
    /// Where the pipes were, and whether in memory only.
    pub(crate) place: String,
    pub(crate) tmpfs: bool,
    pub(crate) version: String,
    pub(crate) release_build: bool,
}

impl Machine {
    /// This one.
    pub(crate) fn look(place: &Path) -> Self {
        let cpuinfo = text("/proc/cpuinfo");
        let field = |name: &str| value_of(&cpuinfo, name).unwrap_or_default();
        Self {
            processor: field("model name"),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            virtual_machine: field("flags").split(' ').any(|flag| flag == "hypervisor"),
            memory_gib: kib(&meminfo(), "MemTotal").unwrap_or(0) as f64 / f64::from(1 << 20),
            kernel: text("/proc/sys/kernel/osrelease").trim().into(),
            load_before: first_number("/proc/loadavg").unwrap_or(0.0),
            place: place.display().to_string(),
            tmpfs: statfs(place).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC),
            version: env!("CARGO_PKG_VERSION").into(),
            release_build: !cfg!(debug_assertions),
        }
    }

    /// In one line.
    pub(crate) fn in_words(&self) -> String {
        let Self { processor, processors, memory_gib, kernel, place, .. } = self;
        let kind = if self.virtual_machine { "virtual machine" } else { "machine" };
        let file_system = if self.tmpfs { "tmpfs" } else { "a disk's file system" };
        let build = if self.release_build { "release" } else { "debug" };
        format!(
            "{kind} with {processors} processors ({processor}), {memory_gib:.0} GiB, Linux {kernel}; \
             pipes in {place} ({file_system}); {build} build {}",
            self.version
        )
    }

    /// What makes its figures doubtful.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.release_build {
            warnings.push(
                "This is a debug build: its figures say nothing. Use cargo xtask compare, which builds for \
                 speed."
                    .into(),
            );
        }
        if self.load_before / self.processors as f64 > BUSY_LOAD {
            warnings.push(format!(
                "The machine was busy before this began (load {:.1} on {} processors): wait until it is \
                 idle, and measure again. The ratios suffer less than the times.",
                self.load_before, self.processors
            ));
        }
        if !self.tmpfs {
            warnings.push("The pipes were on a disk's file system: making them costs more there.".into());
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubtful_circumstances_are_said() {
        let mut machine = Machine::look(Path::new("/"));
        (machine.release_build, machine.tmpfs, machine.load_before) = (true, true, 0.0);
        assert!(machine.warnings().is_empty());
        (machine.release_build, machine.tmpfs, machine.load_before) = (false, false, 1e3);
        assert_eq!(machine.warnings().len(), 3);
    }
}
