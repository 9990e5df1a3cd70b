//! The state of processes and threads: stat, status, syscall and wchan of /proc (proc(5)). And statx(2).

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, makedev, statx};

use super::model::{Ending, PipeId, State};

/// What /proc/PID/stat says, for every user.
#[derive(Debug, Clone)]
pub(super) struct Stat {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) parent: u32,
    pub(super) is_kernel: bool,
    pub(super) threads: u64,
    /// The time that it used the processor, in clock ticks.
    pub(super) ticks: u64,
    pub(super) start: u64,
    pub(super) ending: Option<Ending>,
}

/// The flag of a kernel thread in field 9 (`PF_KTHREAD` in the kernel's sched.h).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// All PIDs.
///
/// # Errors
/// There is no /proc.
pub(super) fn pids() -> io::Result<Vec<u32>> {
    numbers("/proc")
}

/// The thread IDs of a process.
///
/// # Errors
/// The process has ended.
pub(crate) fn tids(pid: u32) -> io::Result<Vec<u32>> {
    numbers(&format!("/proc/{pid}/task"))
}

fn numbers(directory: &str) -> io::Result<Vec<u32>> {
    let entries = fs::read_dir(directory)?.flatten();
    let mut numbers: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads the stat of a process (`/proc/PID`) or of a thread (`/proc/PID/task/TID`).
pub(super) fn stat(directory: &str) -> Option<Stat> {
    parse(&text(&format!("{directory}/stat"))?)
}

fn parse(stat: &str) -> Option<Stat> {
    // The name stands in brackets, and may contain any character.
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = after.split_whitespace().collect();
    // Field 3 of the manual page is the first one here.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let state = match fields.first()?.chars().next()? {
        'R' => State::Running,
        'D' => State::Uninterruptible,
        'T' => State::Stopped,
        't' => State::Traced,
        'Z' | 'X' => State::Zombie,
        _ => State::Sleeping,
    };
    let status = number(52).unwrap_or(0);
    let ending = (state == State::Zombie).then_some(match status & 0x7f {
        0 => Ending::Exited((status >> 8) as u8),
        signal => Ending::Killed(signal as u8),
    });
    let is_kernel = number(9)? & KERNEL_THREAD != 0;
    Some(Stat {
        name,
        state,
        parent: number(4)?.try_into().ok()?,
        is_kernel,
        threads: number(20)?,
        ticks: number(14)?.saturating_add(number(15)?),
        start: number(22)?,
        ending,
    })
}

/// What /proc/PID/status adds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Status {
    pub(super) sleeps: u64,
    pub(crate) tracer: Option<u32>,
    pub(super) inner_pid: Option<u32>,
    pub(crate) user: u32,
}

/// Reads the status of a process or of a thread.
pub(crate) fn status(directory: &str) -> Option<Status> {
    let text = text(&format!("{directory}/status"))?;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = |name: &str| value(name)?.trim().parse::<u64>().ok();
    let inner = value("NSpid").and_then(|pids| {
        let mut pids = pids.split_whitespace();
        let (outer, inner) = (pids.next()?, pids.next_back()?);
        (outer != inner).then(|| inner.parse().ok())?
    });
    let tracer = number("TracerPid").filter(|pid| *pid != 0).and_then(|pid| pid.try_into().ok());
    let sleeps = number("voluntary_ctxt_switches")?;
    let user = value("Uid").and_then(|users| users.split_whitespace().next()?.parse().ok())?;
    Some(Status { sleeps, tracer, inner_pid: inner, user })
}

/// The system call that a thread waits in, as the kernel writes it. `None`: hidden.
pub(super) fn syscall(directory: &str) -> Option<String> {
    text(&format!("{directory}/syscall"))
}

/// The kernel function that a thread waits in. `None`: hidden, or it does not wait.
pub(super) fn wchan(directory: &str) -> Option<String> {
    text(&format!("{directory}/wchan")).filter(|name| !name.is_empty() && name != "0")
}

/// The value of kernel.yama.ptrace_scope; `None` where there is no Yama.
pub(crate) fn yama() -> Option<u8> {
    text("/proc/sys/kernel/yama/ptrace_scope")?.trim().parse().ok()
}

/// Whether /proc shows this user no processes of other users: its mount option `hidepid` is 2, or 4.
pub(super) fn hides_users() -> bool {
    let mounts = text("/proc/self/mounts").unwrap_or_default();
    // The last mount covers those before it.
    let of_proc = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some("/proc"));
    let options = of_proc.and_then(|line| line.split(' ').nth(3)).unwrap_or_default();
    let hides = |option: &str| {
        let value = option.strip_prefix("hidepid=");
        value.is_some_and(|value| ["2", "4", "invisible", "ptraceable"].contains(&value))
    };
    !rustix::process::geteuid().is_root() && options.split(',').any(hides)
}

/// The most bytes of a file of /proc: 65,536 supplementary groups are 720,000 bytes of status (setgroups(2)).
const TEXT_MAX: u64 = 1 << 20;

/// The text of a file of /proc.
pub(crate) fn text(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(4096);
    File::open(path).and_then(|file| file.take(TEXT_MAX).read_to_end(&mut bytes)).ok()?;
    // A program's name may be any bytes.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A file, as statx(2) shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) id: PipeId,
    pub(crate) is_fifo: bool,
    /// Whether a name in the file system leads to it.
    pub(super) has_name: bool,
}

/// Asks for what the kernel knows of a file, and no file server: one that is silent would block the look.
/// A link of /proc, as /proc/PID/fd/N, leads to its file without a lookup of the path.
///
/// # Errors
/// Those of statx(2).
pub(crate) fn node(path: &Path) -> io::Result<Node> {
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::NLINK;
    let file = statx(CWD, path, AtFlags::STATX_DONT_SYNC, wanted)?;
    let device = makedev(file.stx_dev_major, file.stx_dev_minor);
    Ok(Node {
        id: PipeId { device, inode: file.stx_ino },
        is_fifo: FileType::from_raw_mode(file.stx_mode.into()) == FileType::Fifo,
        has_name: file.stx_nlink > 0,
    })
}

impl PipeId {
    /// The FIFO at a path. `/proc/self/fd/3` is the path of the pipe at this process's file descriptor 3,
    /// whether it has a name or not.
    ///
    /// # Errors
    /// Those of statx(2); `InvalidInput`: something else than a pipe is there.
    pub fn at(path: impl AsRef<Path>) -> io::Result<Self> {
        let node = node(path.as_ref())?;
        if node.is_fifo { Ok(node.id) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line whose fields are 0 but these.
    fn line(name: &str, state: &str, fields: &[(usize, u64)]) -> String {
        let value =
            |field: usize| fields.iter().find(|(known, _)| *known == field).map_or(0, |known| known.1);
        let rest: Vec<_> = (4..=52).map(|field| value(field).to_string()).collect();
        format!("12 ({name}) {state} {}", rest.join(" "))
    }

    #[test]
    fn a_name_with_brackets_and_spaces_is_no_obstacle() {
        let stat = parse(&line("a) Z (b", "S", &[(4, 7), (22, 77)])).unwrap();
        assert_eq!((stat.name.as_str(), stat.state, stat.parent), ("a) Z (b", State::Sleeping, 7));
        assert!(stat.start == 77 && !stat.is_kernel && stat.ending.is_none());
    }

    #[test]
    fn a_zombie_tells_how_it_ended() {
        for (status, ending) in [(0x100, Ending::Exited(1)), (9, Ending::Killed(9))] {
            assert_eq!(parse(&line("a", "Z", &[(52, status)])).unwrap().ending, Some(ending));
        }
    }
}
