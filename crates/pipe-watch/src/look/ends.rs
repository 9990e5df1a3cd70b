//! The pipe ends of a process: /proc/PID/fd and /proc/PID/fdinfo (proc_pid_fd(5), proc_pid_fdinfo(5)).

use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::model::{Access, End, Pipe, PipeId};
use super::stat;

/// The pipe ends of a process, and the pipes that they belong to.
///
/// # Errors
/// The process has ended, or its descriptors are hidden.
pub(super) fn of(pid: u32) -> io::Result<Vec<(End, Pipe)>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?;
    let mut fds: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    fds.sort_unstable();
    Ok(fds.into_iter().filter_map(|fd| end(pid, fd)).collect())
}

/// A descriptor, if it is a pipe's end. Following the link opens nothing, and looks up no path.
fn end(pid: u32, fd: u32) -> Option<(End, Pipe)> {
    let path = format!("/proc/{pid}/fd/{fd}");
    let link = fs::read_link(&path).ok()?;
    let is_pipe = link.as_os_str().as_bytes().starts_with(b"pipe:[");
    if !is_pipe && !link.is_absolute() {
        return None;
    }
    let file = stat::node(Path::new(&path)).ok().filter(|file| file.is_fifo)?;
    let flags = flags(pid, fd)?;
    let access = access_of(flags)?;
    let is_named = !is_pipe && file.has_name;
    let path = (!is_pipe).then(|| without_mark(&link, is_named));
    let is_nonblocking = flags & libc::O_NONBLOCK != 0;
    Some((
        End { fd, pipe: file.id, access, is_nonblocking },
        Pipe { id: file.id, path, is_named, fill: None },
    ))
}

/// The pipe behind a descriptor of a thread, and the flags with which it is open.
pub(crate) fn pipe(tid: i32, fd: i32) -> Option<(PipeId, i32)> {
    let file = stat::node(Path::new(&format!("/proc/{tid}/fd/{fd}"))).ok().filter(|file| file.is_fifo)?;
    Some((file.id, flags(tid as u32, fd as u32)?))
}

/// The flags of open(2) with which a descriptor is open.
fn flags(pid: u32, fd: u32) -> Option<i32> {
    let info = stat::text(&format!("/proc/{pid}/fdinfo/{fd}"))?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    i32::from_str_radix(flags.trim(), 8).ok()
}

/// The access mode in the flags of open(2). `None`: `O_PATH`, which opens no end.
pub(crate) fn access_of(flags: i32) -> Option<Access> {
    if flags & libc::O_PATH != 0 {
        return None;
    }
    Some(match flags & libc::O_ACCMODE {
        libc::O_RDONLY => Access::Read,
        libc::O_WRONLY => Access::Write,
        _ => Access::Both,
    })
}

/// The path without the mark that the kernel puts behind a name that was removed.
fn without_mark(link: &Path, is_named: bool) -> PathBuf {
    let bytes = link.as_os_str().as_bytes();
    let bytes = if is_named { bytes } else { bytes.strip_suffix(b" (deleted)").unwrap_or(bytes) };
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()))
}
