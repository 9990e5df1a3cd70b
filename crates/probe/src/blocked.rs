//! The system call that another process is blocked in, read from /proc/PID/syscall (proc(5)).
//!
//! Linux only, as `proc` is. A kernel or a sandbox may hide the call; the lab then goes on without it.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use handshake_core::text::words;
use nix::libc;

use crate::proc;

/// A system call that waits for another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// open(2) of a FIFO, which blocks until the other end is opened.
    Open {
        /// The last part of its path.
        name: String,
        /// How it is opened.
        access: Access,
    },
    /// read(2).
    Read {
        /// The last part of a path, or `stdin`.
        name: String,
    },
    /// write(2).
    Write {
        /// The last part of a path.
        name: String,
    },
}

/// The access mode of an open(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// `O_RDONLY`.
    ReadOnly,
    /// `O_WRONLY`.
    WriteOnly,
    /// `O_RDWR`.
    ReadWrite,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "O_RDONLY",
            Self::WriteOnly => "O_WRONLY",
            Self::ReadWrite => "O_RDWR",
        })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { name, access } => write!(f, "open(\"{name}\", {access})"),
            Self::Read { name } => write!(f, "a read of {name}"),
            Self::Write { name } => write!(f, "a write to {name}"),
        }
    }
}

/// The call that a process or one of its descendants is blocked in. If several are blocked, the youngest
/// one's counts: a shell waits for the programs that it runs.
pub fn blocking_call(pid: u32) -> Option<Call> {
    proc::process_tree(pid).into_iter().rev().find_map(call)
}

fn call(pid: u32) -> Option<Call> {
    // "257 0xffffff9c 0x5587 0x0 ...": the call's number and its arguments; or "running".
    let line = proc::text(&format!("/proc/{pid}/syscall"));
    let mut words = line.split_whitespace();
    let number: libc::c_long = words.next()?.parse().ok()?;
    let argument = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
    let arguments: Vec<u64> = words.map_while(argument).collect();
    let open = |path: usize| {
        let flags = *arguments.get(path + 1)? as libc::c_int;
        let access = match flags & libc::O_ACCMODE {
            libc::O_RDONLY => Access::ReadOnly,
            libc::O_WRONLY => Access::WriteOnly,
            _ => Access::ReadWrite,
        };
        Some(Call::Open { name: text_at(pid, *arguments.get(path)?)?, access })
    };
    match number {
        libc::SYS_openat => open(1),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => open(0),
        libc::SYS_read => Some(Call::Read { name: file(pid, *arguments.first()?)? }),
        libc::SYS_write => Some(Call::Write { name: file(pid, *arguments.first()?)? }),
        _ => None,
    }
}

/// The last part of the path that a process has at `address` of its memory, as a C string.
fn text_at(pid: u32, address: u64) -> Option<String> {
    let mut bytes = vec![0; libc::PATH_MAX as usize];
    let read = File::open(format!("/proc/{pid}/mem")).ok()?.read_at(&mut bytes, address).ok()?;
    let text = bytes[..read].split(|byte| *byte == 0).next()?;
    Some(last_part(&String::from_utf8_lossy(text)))
}

fn file(pid: u32, fd: u64) -> Option<String> {
    let link = fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
    let link = link.to_string_lossy();
    // The link of an unnamed pipe is "pipe:[4711]".
    Some(if fd == 0 && !link.starts_with('/') {
        "stdin".into()
    } else {
        last_part(link.trim_end_matches(" (deleted)"))
    })
}

fn last_part(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    words(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn an_open_and_a_read_that_wait_are_known() {
        if proc::text("/proc/self/syscall").is_empty() {
            // Libtest captures the output of eprintln!, so this writes to stderr directly.
            let why = "/proc/self/syscall is empty: this kernel or sandbox does not show the call";
            let test = "blocked::tests::an_open_and_a_read_that_wait_are_known";
            let _ = writeln!(std::io::stderr(), "NOT RUN: {test}: {why}");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        mkfifo(&place.path().join("pipe"), Mode::S_IRWXU).unwrap();
        let open = |name: &str, access| Call::Open { name: name.into(), access };
        for (script, due) in [
            ("exec 3<pipe", open("pipe", Access::ReadOnly)),
            ("exec 3>./pipe", open("pipe", Access::WriteOnly)),
            ("exec 3<>pipe; read line <&3", Call::Read { name: "pipe".into() }),
            ("cat -; :", Call::Read { name: "stdin".into() }),
        ] {
            let mut shell = Command::new("/bin/sh");
            let mut shell =
                shell.args(["-c", script]).current_dir(&place).stdin(Stdio::piped()).spawn().unwrap();
            let until = Instant::now() + Duration::from_secs(20);
            let mut seen = None;
            while seen.as_ref() != Some(&due) && Instant::now() < until {
                seen = blocking_call(shell.id());
                #[expect(clippy::disallowed_methods, reason = "/proc shows no event to wait for")]
                std::thread::sleep(Duration::from_millis(1));
            }
            shell.kill().unwrap();
            shell.wait().unwrap();
            assert_eq!(seen, Some(due), "{script}");
        }
    }
}
