//! The memory that an idle client costs, in parts, with all that the kernel keeps for it.
//!
//! A process's own pages and page tables are exact. For the rest the kernel reports only totals of the whole
//! machine, read before the first client and when all are connected. Other programs that start or end
//! meanwhile disturb them.

use probe::proc;

/// The machine's memory at one moment, in KiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// Memory that is free, or can be freed when a program needs it.
    available: f64,
    stacks: f64,
    slab: f64,
    /// Memory in use that no line of /proc/meminfo contains.
    unnamed: f64,
}

/// The lines of /proc/meminfo that count pages. Pages in none of these lines are `unnamed`.
const NAMED: [&str; 11] = [
    "MemFree",
    "Buffers",
    "Cached",
    "SwapCached",
    "AnonPages",
    "Slab",
    "KernelStack",
    "PageTables",
    "SecPageTables",
    "Percpu",
    "Zswap",
];

impl Machine {
    /// The machine's memory now.
    pub(super) fn now() -> Self {
        Self::of(&proc::meminfo(), proc::kept_by_processors() as f64)
    }

    fn of(meminfo: &str, kept_by_processors: f64) -> Self {
        // Older kernels lack some of the lines, but none of those is large.
        let line = |name: &str| proc::kib(meminfo, name).unwrap_or_default() as f64;
        Self {
            available: line("MemAvailable") + kept_by_processors,
            stacks: line("KernelStack"),
            slab: line("Slab"),
            unnamed: line("MemTotal") - kept_by_processors - NAMED.iter().map(|name| line(name)).sum::<f64>(),
        }
    }
}

/// The mean memory of an idle client, in KiB.
#[derive(Debug)]
pub(super) struct Memory {
    /// How many subservers the first two values could be read of.
    seen: usize,
    own_pages: f64,
    page_tables: f64,
    stack: f64,
    slab: f64,
    unnamed: f64,
    /// The decrease of the machine's available memory, without the share of the load processes.
    available: f64,
}

impl Memory {
    /// The memory of each of `clients` clients, from their subservers' PIDs and those of the load processes,
    /// `loads`.
    pub(super) fn of(
        clients: usize,
        (before, full): (Machine, Machine),
        subservers: &[u32],
        loads: &[u32],
    ) -> Self {
        let of_process = |pid: &u32| Some((proc::own_pages(*pid)? as f64, proc::page_tables(*pid)? as f64));
        let seen: Vec<(f64, f64)> = subservers.iter().filter_map(of_process).collect();
        let mean = |all: f64| all / seen.len().max(1) as f64;
        let of_loads: f64 = loads.iter().filter_map(of_process).map(|(pages, tables)| pages + tables).sum();
        let each = |difference: f64| difference / clients as f64;
        Self {
            seen: seen.len(),
            own_pages: mean(seen.iter().map(|(pages, _)| pages).sum()),
            page_tables: mean(seen.iter().map(|(_, tables)| tables).sum()) + proc::page() as f64,
            stack: each(full.stacks - before.stacks),
            slab: each(full.slab - before.slab),
            unnamed: each(full.unnamed - before.unnamed),
            available: each(before.available - full.available - of_loads),
        }
    }

    fn total(&self) -> f64 {
        self.own_pages + self.page_tables + self.stack + self.slab + self.unnamed
    }

    /// The rows of the printed table: name, KiB, explanation.
    pub(super) fn rows(&self) -> [(&'static str, f64, String); 7] {
        let seen = self.seen;
        [
            ("own pages", self.own_pages, format!("Pss_Anon, mean of {seen} subservers")),
            ("page tables", self.page_tables, format!("VmPTE, mean of {seen}, and a page at their top")),
            ("kernel stack", self.stack, "KernelStack of /proc/meminfo".into()),
            ("kernel objects", self.slab, "Slab of /proc/meminfo; also those of the client's end".into()),
            (
                "other pages",
                self.unnamed,
                "in no line of /proc/meminfo, and not free: those of pipes, for example".into(),
            ),
            ("total", self.total(), String::new()),
            ("MemAvailable", self.available, "its decrease, without the share of the load processes".into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_make_the_total_and_loads_are_not_counted() {
        let lines = |available: u32, stacks: u32, slab: u32, free: u32| {
            format!(
                "MemTotal: 100000 kB\nMemFree: {free} kB\nMemAvailable: {available} kB\nSlab: {slab} kB\n\
                 KernelStack: {stacks} kB\n"
            )
        };
        let before = Machine::of(&lines(90_000, 100, 1000, 90_000), 500.0);
        let full = Machine::of(&lines(80_000, 260, 1300, 88_900), 600.0);
        let own = [std::process::id()];
        let memory = Memory::of(10, (before, full), &own, &[]);
        // Of the 1,000 KiB that are no longer free, the lines above name 460.
        assert_eq!((memory.seen, memory.stack, memory.slab, memory.unnamed), (1, 16.0, 30.0, 54.0));
        assert_eq!(memory.available, 990.0);
        assert!(memory.own_pages > 0.0 && memory.page_tables > proc::page() as f64);
        assert_eq!(memory.total(), memory.own_pages + memory.page_tables + 100.0);
        assert!(Memory::of(10, (before, full), &own, &own).available < 990.0);
    }
}
