//! What the kernel reports about processes and their pipes: /proc (proc(5)), and the adoption of orphans
//! (prctl(2)). Only this part of the lab needs Linux, and the demo's `watch` (inotify(7)).

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

/// A process in the kernel's process table.
#[derive(Debug)]
pub struct Entry {
    /// Its PID.
    pub pid: u32,
    /// Its parent's PID.
    pub parent: u32,
    /// `R`, `S`, `T`, `Z`, ...
    pub state: char,
}

/// One end of a pipe that a process holds open.
#[derive(Debug, Clone)]
pub struct PipeEnd {
    /// Device and inode, which identify the pipe.
    pub pipe: (u64, u64),
    /// The last part of the pipe's name, if it ever had one.
    pub name: Option<String>,
    /// Whether the pipe still has that name.
    pub is_named: bool,
    /// Which end.
    pub direction: Direction,
}

/// Which end of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The reading end.
    Read,
    /// The writing end.
    Write,
}

/// Whether a process of this PID lives, and is no zombie.
pub fn lives(pid: u32) -> bool {
    entry(pid).is_some_and(|process| process.state != 'Z')
}

/// A process's entry in the process table, zombies included.
pub fn entry(pid: u32) -> Option<Entry> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name stands in parentheses and may contain any character.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some(Entry { pid, parent: fields.next()?.parse().ok()?, state })
}

/// The executable of a process.
pub fn program(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The children of a process.
pub fn children(parent: u32) -> Vec<Entry> {
    let processes = numbers_in("/proc").into_iter().filter_map(entry);
    processes.filter(|process| process.parent == parent).collect()
}

/// The names in a directory that are numbers, in their order.
fn numbers_in(directory: &str) -> Vec<u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut numbers: Vec<_> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// A process and all its descendants. Reads only their entries in /proc, however many other processes there
/// are.
pub fn process_tree(pid: u32) -> Vec<u32> {
    let mut process_tree = vec![pid];
    let mut next = 0;
    while let Some(pid) = process_tree.get(next) {
        let children = text(&format!("/proc/{pid}/task/{pid}/children"));
        process_tree.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        next += 1;
    }
    process_tree
}

/// The pipe ends that a process holds, in the order of its file descriptors.
pub fn pipe_ends(pid: u32) -> Vec<PipeEnd> {
    let fds = numbers_in(&format!("/proc/{pid}/fd"));
    fds.into_iter().filter_map(|fd| pipe_end(pid, fd)).flatten().collect()
}

/// The pipe end of a file descriptor, or both ends: a FIFO can be open for reading and writing.
fn pipe_end(pid: u32, fd: u32) -> Option<Vec<PipeEnd>> {
    let path = format!("/proc/{pid}/fd/{fd}");
    let file = fs::metadata(&path).ok().filter(|file| file.file_type().is_fifo())?;
    let link = fs::read_link(&path).ok()?.to_string_lossy().into_owned();
    let name = link.trim_end_matches(" (deleted)").rsplit_once('/').map(|(_, name)| name.to_string());
    let (pipe, is_named) = ((file.dev(), file.ino()), name.is_some() && file.nlink() > 0);
    // The link's own permissions are those that the file is open with.
    let mode = fs::symlink_metadata(&path).ok()?.mode();
    let directions = [(0o400, Direction::Read), (0o200, Direction::Write)];
    let open = directions.into_iter().filter(|(bit, _)| mode & bit != 0);
    Some(open.map(|(_, direction)| PipeEnd { pipe, is_named, name: name.clone(), direction }).collect())
}

/// The open files of a process, as the kernel names them: one entry for each file descriptor.
pub fn open_files(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    let mut files: Vec<_> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    files.sort();
    files
}

/// The private memory of a process, in KiB: the pages that it has written. Pages shared with a parent or
/// child since a fork do not count. The program's pages do not count either: they are private only as long as
/// one process runs it, and dirty only until a program just linked is on the disk. They are not anonymous.
pub fn private_memory(pid: u32) -> u64 {
    rollup(pid, "Private_Dirty").min(rollup(pid, "Anonymous")).unwrap_or_default()
}

/// Anonymous pages, in KiB. A page that several processes share since a fork counts for each of them in part,
/// so that the sum over all processes is right.
pub fn own_pages(pid: u32) -> Option<u64> {
    rollup(pid, "Pss_Anon")
}

/// The page tables of a process, in KiB, without the top-level page.
pub fn page_tables(pid: u32) -> Option<u64> {
    kib(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmPTE")
}

/// The memory use of the whole machine (proc_meminfo(5)).
pub fn meminfo() -> String {
    text("/proc/meminfo")
}

/// Free pages that the processors keep in their own lists, in KiB (`pagesets` of /proc/zoneinfo). They can be
/// hundreds of MiB, and no line of /proc/meminfo contains them, not even `MemFree`.
pub fn kept_by_processors() -> u64 {
    let zones = fs::read_to_string("/proc/zoneinfo").unwrap_or_default();
    let counts = zones.lines().filter_map(|line| line.trim().strip_prefix("count:"));
    counts.filter_map(|count| count.trim().parse::<u64>().ok()).sum::<u64>() * page()
}

/// The page size, in KiB.
pub fn page() -> u64 {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    kib(&smaps, "KernelPageSize").unwrap_or(4)
}

fn rollup(pid: u32, name: &str) -> Option<u64> {
    kib(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?, name)
}

/// The contents of a kernel file; empty for a process that has ended.
pub fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The number at the beginning of a kernel file; none for a process that has ended.
pub fn first_number(path: &str) -> Option<f64> {
    text(path).split_whitespace().next()?.parse().ok()
}

/// The value of the first line `name : value`.
pub fn value_of(text: &str, name: &str) -> Option<String> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find(|field| field.0.trim() == name).map(|field| field.1.trim().into())
}

/// The number in the first line `name: 16 kB`.
pub fn kib(text: &str, name: &str) -> Option<u64> {
    value_of(text, name)?.strip_suffix("kB")?.trim().parse().ok()
}

/// Makes this process the parent of its orphaned descendants (a subreaper), so that it can find and end them
/// all.
pub fn adopt_orphans() {
    // If this fails, the lab still sees and reports orphans, but cannot end them.
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use nix::fcntl::OFlag;
    use nix::unistd::pipe2;

    use super::*;

    #[test]
    fn both_ends_of_a_pipe_are_found() {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        let own = std::process::id();
        let [read, write] = [read.as_raw_fd(), write.as_raw_fd()]
            .map(|fd| pipe_end(own, fd.cast_unsigned()).unwrap().remove(0));
        assert_eq!(read.pipe, write.pipe);
        assert_eq!((read.direction, write.direction), (Direction::Read, Direction::Write));
        assert_eq!((read.name, read.is_named), (None, false));
        assert!(pipe_ends(own).len() >= 2);
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let both = fs::File::options().read(true).write(true).open(&path).unwrap();
        let ends = pipe_end(own, both.as_raw_fd().cast_unsigned()).unwrap();
        assert_eq!(
            ends.iter().map(|end| end.direction).collect::<Vec<_>>(),
            [Direction::Read, Direction::Write]
        );
        assert!(ends.iter().all(|end| end.is_named && end.name.as_deref() == Some("pipe")));
    }

    #[test]
    fn fields_are_found_as_the_kernel_writes_them() {
        let text = "processor\t: 0\nmodel name\t: A B\nmodel name\t: C\nMemTotal:       16 kB\n";
        assert_eq!(value_of(text, "model name").as_deref(), Some("A B"));
        assert_eq!(kib(text, "MemTotal"), Some(16));
        assert_eq!((value_of(text, "flags"), kib(text, "processor")), (None, None));
    }

    #[test]
    fn a_line_is_found_by_its_whole_name() {
        let lines = "VmPTE2:\t  7 kB\nVmPTE:\t      48 kB\nThreads:\t1\n";
        assert_eq!((kib(lines, "VmPTE"), kib(lines, "Vm"), kib(lines, "Threads")), (Some(48), None, None));
        assert!(kib(&meminfo(), "MemTotal") > Some(0));
        assert!(page() >= 4);
        assert!(own_pages(std::process::id()) > Some(0) && page_tables(std::process::id()) > Some(0));
    }

    #[test]
    fn a_process_is_alive_until_it_ends() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert!(lives(child.id()));
        assert!(children(std::process::id()).iter().any(|one| one.pid == child.id()));
        child.wait().unwrap();
        assert!(!lives(child.id()));
    }
}
