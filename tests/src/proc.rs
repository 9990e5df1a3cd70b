//! What the kernel knows of a process (proc(5)).

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::OnceLock;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{O_ACCMODE, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::pipe;
use crate::wait::until_true;

/// A process, as /proc describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its PID.
    pub pid: u32,
    /// Its parent's PID.
    pub parent: u32,
    /// `R`, `S`, `T` (stopped), `Z` (a zombie) and so on.
    pub state: char,
    /// The name of its program.
    pub name: String,
}

impl Process {
    /// Returns the process with this PID, if it exists.
    pub fn look(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in brackets, and may contain any character.
        let (before, after) = stat.rsplit_once(')')?;
        let mut fields = after.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        Some(Self { pid, parent, state, name: before.split_once('(')?.1.to_owned() })
    }

    /// Returns all processes of the machine for which `is` is true.
    pub fn all(is: impl Fn(&Self) -> bool) -> Vec<Self> {
        let entries = fs::read_dir("/proc").expect("/proc is mounted");
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter_map(Self::look).filter(is).collect()
    }
}

/// Returns the children of a process, zombies included.
pub fn children_of(pid: u32) -> Vec<Process> {
    Process::all(|process| process.parent == pid)
}

/// Returns the processes whose working directory this is, whatever their parents are now.
pub fn living_in(directory: &Path) -> Vec<Process> {
    Process::all(|process| lives_in(process.pid, directory))
}

/// Whether this is a process's working directory. A zombie has none.
pub(crate) fn lives_in(pid: u32, directory: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == directory)
}

/// Sends a signal to a process that a scene, or one of its servers, started. After SIGSTOP, waits until the
/// process is stopped: kill(2) returns before that.
pub(crate) fn signal_to(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).expect("the process was not reaped, so its PID is valid");
    if signal == Signal::SIGSTOP {
        let is_stopped = || Process::look(pid).is_some_and(|process| process.state == 'T');
        until_true(format_args!("process {pid} to be stopped"), is_stopped);
    }
}

/// Returns the processor time that a process has used.
pub fn processor_time(pid: u32) -> Duration {
    let schedstat = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("the process is alive");
    let ns = schedstat.split_whitespace().next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.expect("the first number is nanoseconds"))
}

/// Returns the size of a process's anonymous memory in bytes. Pages that a fork shares count in both
/// processes until one of them writes to them. So the number does not change when a child comes or goes.
pub fn memory(pid: u32) -> usize {
    // RssAnon in /proc/PID/status is only approximate.
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the process is alive");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok());
    kibibytes.expect("the kernel reports the size") << 10
}

/// Makes a pipe that a process holds as small as the kernel allows (fcntl(2), `F_SETPIPE_SZ`). The pipe's
/// content must fit.
pub fn shrink_pipe(pid: u32, descriptor: &Descriptor) {
    let pipe = reader_of(pid, descriptor).expect("the process has it open");
    pipe::shrink(&pipe);
}

/// Returns the capacity in bytes of a pipe that a process holds; `None` if the process has closed it.
pub fn capacity(pid: u32, descriptor: &Descriptor) -> Option<i32> {
    fcntl(reader_of(pid, descriptor).ok()?, FcntlArg::F_GETPIPE_SZ).ok()
}

/// Whether a pipe that a process holds contains any bytes.
pub fn is_readable(pid: u32, descriptor: &Descriptor) -> bool {
    let pipe = reader_of(pid, descriptor).expect("the process has it open");
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).expect("poll(2) accepts the pipe");
    fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
}

/// Opens a pipe that a process holds, named or not, as one more reader (proc(5)). No process notices that, as
/// long as the pipe has another reader.
fn reader_of(pid: u32, descriptor: &Descriptor) -> io::Result<File> {
    let path = format!("/proc/{pid}/fd/{}", descriptor.number);
    OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)
}

/// How a descriptor was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// For reading.
    Read,
    /// For writing.
    Write,
    /// For reading and writing.
    Both,
}

/// The object behind a descriptor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// An unnamed pipe, with its inode.
    Unnamed(u64),
    /// A FIFO, with its name or its last name.
    Named {
        /// The name without its directory.
        name: String,
        /// Whether the name was removed.
        unlinked: bool,
    },
    /// Any other object, with its name in /proc.
    Other(PathBuf),
}

/// An open file descriptor of a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Descriptor {
    /// Its number.
    pub number: u32,
    /// How it was opened.
    pub way: Way,
    /// The object behind it.
    pub target: Target,
    /// Whether the kernel closes it at exec(2).
    pub closed_on_exec: bool,
}

/// Returns the descriptors of a process, sorted by number.
pub fn descriptors(pid: u32) -> Vec<Descriptor> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is alive");
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // Skips a descriptor that was closed after the listing.
    let mut all: Vec<_> = numbers.filter_map(|number| descriptor(pid, number)).collect();
    all.sort();
    all
}

/// Whether the tests themselves inherited this descriptor. Every program that the tests start inherits it,
/// too.
pub(crate) fn is_inherited(descriptor: &Descriptor) -> bool {
    static LEFT_OPEN: OnceLock<Vec<Descriptor>> = OnceLock::new();
    let left_open = LEFT_OPEN.get_or_init(|| {
        descriptors(process::id()).into_iter().filter(|descriptor| !descriptor.closed_on_exec).collect()
    });
    left_open.iter().any(|left| (left.number, &left.target) == (descriptor.number, &descriptor.target))
}

fn descriptor(pid: u32, number: u32) -> Option<Descriptor> {
    let path = format!("/proc/{pid}/fd/{number}");
    let link = fs::read_link(&path).ok()?;
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok()?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = i32::from_str_radix(flags.trim(), 8).ok()?;
    let way = match flags & O_ACCMODE {
        O_RDONLY => Way::Read,
        O_WRONLY => Way::Write,
        _ => Way::Both,
    };
    let text = link.to_string_lossy().into_owned();
    let unnamed = text.strip_prefix("pipe:[").and_then(|rest| rest.strip_suffix(']'));
    let target = match unnamed.and_then(|inode| inode.parse().ok()) {
        Some(inode) => Target::Unnamed(inode),
        None if fs::metadata(&path).is_ok_and(|file| file.file_type().is_fifo()) => {
            let (name, unlinked) = match text.strip_suffix(" (deleted)") {
                Some(name) => (name, true),
                None => (text.as_str(), false),
            };
            Target::Named { name: name.rsplit('/').next().unwrap_or(name).to_owned(), unlinked }
        }
        None => Target::Other(link),
    };
    Some(Descriptor { number, way, target, closed_on_exec: flags & O_CLOEXEC != 0 })
}

/// The words of docs/protocol.md, for a well-known pipe named `mario`.
impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Unnamed(_) => f.write_str("unnamed pipe")?,
            Target::Named { name, unlinked } => match (name.split('.').nth(1), unlinked) {
                (None, false) => f.write_str("well-known pipe")?,
                (Some("new" | "up"), true) => f.write_str("upstream")?,
                (Some("client"), true) => f.write_str("private pipe")?,
                _ => write!(f, "{name}, unlinked: {unlinked}")?,
            },
            Target::Other(path) => match path.file_name().and_then(|name| name.to_str()) {
                Some(".mario.lock") => return f.write_str("lock file"),
                Some("anon_inode:[eventpoll]") => return f.write_str("poller"),
                _ => write!(f, "{}", path.display())?,
            },
        }
        write!(f, ", {:?}", self.way)
    }
}
