//! What the kernel tells of living processes (proc(5)): time, switches, memory, descriptors.

use std::fs;

use super::machine::value_of;
use crate::load::report::Usage;

/// A process and all its descendants.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(pid) = family.get(next) {
        let children = read(&format!("/proc/{pid}/task/{pid}/children"));
        family.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        next += 1;
    }
    family
}

/// What these have used so far.
pub(super) fn usage(family: &[u32]) -> Usage {
    let mut sum = Usage::default();
    for pid in family {
        let nanoseconds = read(&format!("/proc/{pid}/schedstat"))
            .split(' ')
            .next()
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0);
        let status = read(&format!("/proc/{pid}/status"));
        let switches = |name| value_of(&status, name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        sum.processor_seconds += nanoseconds / 1e9;
        sum.context_switches += switches("voluntary_ctxt_switches") + switches("nonvoluntary_ctxt_switches");
    }
    sum
}

/// What some processes hold.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Holdings {
    pub(super) processes: usize,
    /// KiB: pages of their own, each counted once (Pss_Anon), and page tables. Program text is not in it: that is shared with
    /// whoever runs the same program.
    pub(super) memory: f64,
    pub(super) descriptors: usize,
}

/// What these hold now.
pub(super) fn holdings(family: &[u32]) -> Holdings {
    let mut sum = Holdings { processes: family.len(), ..Holdings::default() };
    for pid in family {
        let kib = |file: &str, name| value_of(&read(&format!("/proc/{pid}/{file}")), name).and_then(kib_of);
        sum.memory += kib("smaps_rollup", "Pss_Anon").unwrap_or(0.0) + kib("status", "VmPTE").unwrap_or(0.0);
        sum.descriptors += fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    }
    sum
}

/// KiB that are left on the whole machine.
pub(super) fn available() -> f64 {
    value_of(&read("/proc/meminfo"), "MemAvailable").and_then(kib_of).unwrap_or(0.0)
}

fn kib_of(text: String) -> Option<f64> {
    text.strip_suffix("kB")?.trim().parse().ok()
}

/// Empty for who has ended.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_family_is_counted_with_its_children() {
        let mut shell = Command::new("/bin/sh");
        // Says something when the child lives, which does so until its stdin ends.
        shell.args(["-c", "exec 3<&0; cat <&3 & echo; wait"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let both = family(shell.id());
        let held = holdings(&both);
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert_eq!(both.len(), 2, "{both:?}");
        assert!(held.memory > 0.0 && held.descriptors >= 6, "{held:?}");
    }

    #[test]
    fn this_process_has_used_something() {
        assert!(usage(&[std::process::id()]).processor_seconds >= 0.0);
        assert_eq!(usage(&[u32::MAX]), Usage::default());
        assert!(available() > 0.0);
    }
}
