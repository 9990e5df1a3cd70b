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

use crate::wait::until_true;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// `R`, `S`, `T` (stopped), `Z` (a zombie), ...
    pub state: char,
    /// Its program.
    pub name: String,
}

impl Process {
    /// The process with this number, if there is one.
    pub fn look(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in brackets and may hold anything.
        let (before, after) = stat.rsplit_once(')')?;
        let mut fields = after.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        Some(Self { pid, parent, state, name: before.split_once('(')?.1.to_owned() })
    }

    /// All processes of the machine for which `is` is true.
    pub fn all(is: impl Fn(&Self) -> bool) -> Vec<Self> {
        let entries = fs::read_dir("/proc").expect("/proc is mounted");
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter_map(Self::look).filter(is).collect()
    }
}

/// The children of a process, zombies included.
pub fn children_of(pid: u32) -> Vec<Process> {
    Process::all(|process| process.parent == pid)
}

/// The processes that work in this directory, whoever their parents are by now.
pub fn living_in(directory: &Path) -> Vec<Process> {
    Process::all(|process| lives_in(process.pid, directory))
}

/// Whether a process works in this directory. A zombie works nowhere.
pub(crate) fn lives_in(pid: u32, directory: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == directory)
}

/// Sends a process that was started by a scene, or by one of its servers, a signal. After SIGSTOP waits until it stands
/// still: kill(2) only asks for that, and on another processor it may run on for a moment.
pub(crate) fn signal_to(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).expect("it has not been reaped, so the number is its own");
    if signal == Signal::SIGSTOP {
        let is_stopped = || Process::look(pid).is_some_and(|process| process.state == 'T');
        until_true(format_args!("process {pid} to stand still"), is_stopped);
    }
}

/// The processor time that a process has used.
pub fn processor_time(pid: u32) -> Duration {
    let schedstat = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("the process lives");
    let ns = schedstat.split_whitespace().next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.expect("the first number is nanoseconds"))
}

/// The memory of a process that is no file's, in bytes. What it got by a fork counts in both, as long as neither writes to it:
/// so nothing grows or shrinks here because a child comes or goes.
pub fn memory(pid: u32) -> usize {
    // Not RssAnon of its status: there the kernel counts roughly.
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the process lives");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok());
    kibibytes.expect("the kernel says how much it is") << 10
}

/// Makes a pipe that a process holds as small as a pipe can be (fcntl(2), `F_SETPIPE_SZ`). What is in it must fit.
pub fn shrink_pipe(pid: u32, descriptor: &Descriptor) {
    let pipe = reader_of(pid, descriptor).expect("it is open");
    fcntl(pipe, FcntlArg::F_SETPIPE_SZ(4096)).expect("what is in it fits");
}

/// How many bytes a pipe that a process holds can take, if it still does.
pub fn capacity(pid: u32, descriptor: &Descriptor) -> Option<i32> {
    fcntl(reader_of(pid, descriptor).ok()?, FcntlArg::F_GETPIPE_SZ).ok()
}

/// Whether there is anything in a pipe that a process holds.
pub fn is_readable(pid: u32, descriptor: &Descriptor) -> bool {
    let pipe = reader_of(pid, descriptor).expect("it is open");
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).expect("a look at a pipe");
    fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
}

/// Opens a pipe that a process holds, named or not (proc(5)), as one reader more: nobody is told anything by its coming and
/// going, as long as there is another.
fn reader_of(pid: u32, descriptor: &Descriptor) -> io::Result<File> {
    let path = format!("/proc/{pid}/fd/{}", descriptor.number);
    OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)
}

/// Which way bytes go through a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// It was opened for reading.
    Read,
    /// For writing.
    Write,
    /// For both.
    Both,
}

/// What a descriptor stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// An unnamed pipe, by its inode.
    Unnamed(u64),
    /// A FIFO: the name that it has, or had last.
    Named {
        /// Without its directory.
        name: String,
        /// Whether it has lost it.
        nameless: bool,
    },
    /// Anything else, as /proc calls it.
    Other(PathBuf),
}

/// A descriptor of a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Descriptor {
    /// Its number.
    pub number: u32,
    /// How it was opened.
    pub way: Way,
    /// What it stands for.
    pub target: Target,
    /// Whether the programs that this process starts do not get it.
    pub closed_on_exec: bool,
}

/// The descriptors of a process, in their order.
pub fn descriptors(pid: u32) -> Vec<Descriptor> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives");
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // One that was closed since the listing is left out.
    let mut all: Vec<_> = numbers.filter_map(|number| descriptor(pid, number)).collect();
    all.sort();
    all
}

/// What whoever started the tests left open, and every program that the tests start gets.
pub(crate) fn left_open_by_others(descriptor: &Descriptor) -> bool {
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
            let (name, nameless) = match text.strip_suffix(" (deleted)") {
                Some(name) => (name, true),
                None => (text.as_str(), false),
            };
            Target::Named { name: name.rsplit('/').next().unwrap_or(name).to_owned(), nameless }
        }
        None => Target::Other(link),
    };
    Some(Descriptor { number, way, target, closed_on_exec: flags & O_CLOEXEC != 0 })
}

/// In the words of docs/protocol.md, for a well-known pipe named `mario`.
impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Unnamed(_) => f.write_str("unnamed pipe")?,
            Target::Named { name, nameless } => match (name.split('.').nth(1), nameless) {
                (None, false) => f.write_str("well-known pipe")?,
                (Some("new" | "up"), true) => f.write_str("upstream")?,
                (Some("client"), true) => f.write_str("private pipe")?,
                _ => write!(f, "{name}, nameless: {nameless}")?,
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
