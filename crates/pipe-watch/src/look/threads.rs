//! One thread: its state, what it waits for, and the paths that it names.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::calls::{self, Task};
use super::guess::guess;
use super::model::{End, State, Thread, Wait};
use super::stat::{self, Stat, Status};

/// A thread's state and counters. They are read before all else: whether the thread slept all the time, only
/// a later look at its counters can tell.
pub(super) fn state_of(directory: &str) -> Option<(Stat, Status)> {
    Some((stat::stat(directory)?, stat::status(directory)?))
}

/// Reads what a thread waits for. `line`: its system call, if that is known.
pub(super) fn thread(
    tid: u32,
    (stat, status): (Stat, Status),
    directory: &str,
    ends: &[End],
    line: Option<&str>,
) -> Thread {
    let wchan = || stat::wchan(directory);
    let (wait, is_guess) = match stat.state {
        State::Stopped => (Wait::Stopped, false),
        State::Traced => (Wait::Traced, false),
        State::Running | State::Zombie => (Wait::Nothing, false),
        State::Sleeping | State::Uninterruptible => match line.map(calls::parse) {
            Some(Some((number, arguments))) => {
                (Task { directory, ends }.wait(number, arguments, wchan().as_deref()), false)
            }
            // It runs again.
            Some(None) => (Wait::Nothing, false),
            None => (wchan().map_or(Wait::Hidden, |wchan| guess(ends, &wchan)), true),
        },
    };
    Thread {
        tid,
        name: stat.name,
        state: stat.state,
        sleeps: status.sleeps,
        ticks: stat.ticks,
        wait,
        is_guess,
    }
}

/// A thread of a process that has not ended.
pub(super) fn living_thread(pid: u32) -> Option<u32> {
    let is_living = |tid: &u32| {
        stat::stat(&format!("/proc/{pid}/task/{tid}")).is_some_and(|stat| stat.state != State::Zombie)
    };
    stat::tids(pid).ok()?.into_iter().find(is_living)
}

/// A thread's path, from the root. The directory is without symbolic links, as in /proc/PID/fd.
pub(super) fn absolute(directory: &str, path: &Path) -> PathBuf {
    let path =
        fs::read_link(format!("{directory}/cwd")).map_or_else(|_| path.to_owned(), |cwd| cwd.join(path));
    let place = path.parent().and_then(|place| place.canonicalize().ok());
    place.zip(path.file_name()).map_or(path.clone(), |(place, name)| place.join(name))
}

/// Whether a program's system calls have the numbers of a 32-bit machine (elf(5), `EI_CLASS`).
pub(super) fn is_of_32_bits(pid: u32) -> bool {
    let mut head = [0; 5];
    let read = File::open(format!("/proc/{pid}/exe")).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head[4] == 1
}
