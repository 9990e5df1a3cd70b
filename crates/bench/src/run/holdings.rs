//! What living processes have used and hold: time, switches, memory, descriptors.

use load::report::Usage;
use probe::proc::{first_number, kib, meminfo, open_files, own_pages, page_tables, text, value_of};

/// What these have used so far.
pub(crate) fn usage(family: &[u32]) -> Usage {
    let mut sum = Usage::default();
    for pid in family {
        let nanoseconds = first_number(&format!("/proc/{pid}/schedstat")).unwrap_or(0.0);
        let status = text(&format!("/proc/{pid}/status"));
        let switches = |name| value_of(&status, name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        sum.processor_seconds += nanoseconds / 1e9;
        sum.context_switches += switches("voluntary_ctxt_switches") + switches("nonvoluntary_ctxt_switches");
    }
    sum
}

/// What some processes hold.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Holdings {
    pub(crate) processes: usize,
    /// KiB: pages of their own, each counted once (Pss_Anon), and page tables. Program text is not in it:
    /// processes that run the same program share it.
    pub(crate) memory: f64,
    pub(crate) descriptors: usize,
}

/// What these hold now.
pub(crate) fn holdings(family: &[u32]) -> Holdings {
    let mut sum = Holdings { processes: family.len(), ..Holdings::default() };
    for pid in family {
        sum.memory += (own_pages(*pid).unwrap_or(0) + page_tables(*pid).unwrap_or(0)) as f64;
        sum.descriptors += open_files(*pid).len();
    }
    sum
}

/// KiB that are left on the whole machine.
pub(crate) fn available() -> f64 {
    kib(&meminfo(), "MemAvailable").unwrap_or(0) as f64
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use probe::proc::process_tree;

    #[test]
    fn a_family_is_counted_with_its_children() {
        let mut shell = Command::new("/bin/sh");
        // Says something when the child lives, which does so until its stdin ends.
        shell.args(["-c", "exec 3<&0; cat <&3 & echo; wait"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let both = process_tree(shell.id());
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
