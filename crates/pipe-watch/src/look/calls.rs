//! What a thread waits for, from its system call (/proc/PID/syscall: proc_pid_syscall(5)).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, makedev, statx};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use super::ends::access_of;
use super::memory::Memory;
use super::model::{Access, End, Need, PipeId, PipeWait, Target, Wait};
use crate::older;

/// A thread that waits.
#[derive(Debug)]
pub(super) struct Task<'a> {
    /// `/proc/PID/task/TID`.
    pub(super) directory: &'a str,
    /// The pipe ends of its process.
    pub(super) ends: &'a [End],
}

/// Something else than a FIFO stands at a path.
#[derive(Debug)]
struct NoFifo;

/// A system call's number and arguments, if the line of /proc/PID/syscall has one.
pub(super) fn parse(line: &str) -> Option<(i64, [u64; 6])> {
    let mut words = line.split_whitespace();
    let number = words.next()?.parse().ok().filter(|number| *number >= 0)?;
    let mut arguments = [0; 6];
    for argument in &mut arguments {
        *argument = u64::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok()?;
    }
    Some((number, arguments))
}

/// Whether this line of /proc/PID/syscall is an open(2).
pub(super) fn is_open(line: &str) -> bool {
    let number = line.split_whitespace().next().and_then(|number| number.parse::<i64>().ok());
    number.is_some_and(|number| {
        number == libc::SYS_openat || number == libc::SYS_openat2 || number == older::OPEN
    })
}

impl Task<'_> {
    /// The wait behind a system call. `wchan` tells which call restart_syscall(2) goes on with, after a
    /// SIGCONT.
    pub(super) fn wait(&self, number: i64, arguments: [u64; 6], wchan: Option<&str>) -> Wait {
        let [a, b, c, d, e, _] = arguments;
        let memory = Memory::of(self.directory);
        let number = match (number, wchan) {
            (libc::SYS_restart_syscall, Some(wchan)) if wchan.starts_with("poll_") => older::POLL,
            (libc::SYS_restart_syscall, Some(wchan)) if wchan.starts_with("futex") => libc::SYS_futex,
            (libc::SYS_restart_syscall, _) => return Wait::Sleep { length: None },
            (number, _) => number,
        };
        match number {
            older::OPEN => self.open(None, memory.path(a), b as i32, wchan),
            libc::SYS_openat => self.open(Some(a as i32), memory.path(b), c as i32, wchan),
            libc::SYS_openat2 => {
                // struct open_how begins with the flags, in 64 bits.
                let how = memory.time(c, 0).map_or(0, |how| how.as_secs() as i32);
                self.open(Some(a as i32), memory.path(b), how, wchan)
            }
            libc::SYS_read => self.transfer("read", Some(a), None, Some(c)),
            libc::SYS_readv => self.transfer("readv", Some(a), None, None),
            libc::SYS_write => self.transfer("write", None, Some(a), Some(c)),
            libc::SYS_writev => self.transfer("writev", None, Some(a), None),
            libc::SYS_vmsplice => self.transfer("vmsplice", None, Some(a), None),
            libc::SYS_splice => self.transfer("splice", Some(a), Some(c), Some(e)),
            libc::SYS_tee => self.transfer("tee", Some(a), Some(b), Some(c)),
            libc::SYS_sendfile => self.transfer("sendfile", None, Some(a), Some(d)),
            older::POLL => self.poll("poll", memory.pollfds(a, b), milliseconds(c)),
            libc::SYS_ppoll => self.poll("ppoll", memory.pollfds(a, b), memory.time(c, 1)),
            older::SELECT => self.select("select", &memory, arguments, 1000),
            libc::SYS_pselect6 => self.select("pselect", &memory, arguments, 1),
            older::EPOLL_WAIT => self.many("epoll_wait", watched(self.directory, a), milliseconds(d)),
            libc::SYS_epoll_pwait => self.many("epoll_wait", watched(self.directory, a), milliseconds(d)),
            libc::SYS_epoll_pwait2 => self.many("epoll_wait", watched(self.directory, a), memory.time(d, 1)),
            libc::SYS_wait4 => {
                Wait::Child { call: "wait4", pid: u32::try_from(a as i32).ok().filter(|pid| *pid > 0) }
            }
            libc::SYS_waitid => {
                Wait::Child { call: "waitid", pid: (a == u64::from(libc::P_PID)).then_some(b as u32) }
            }
            older::VFORK => Wait::Child { call: "vfork", pid: None },
            libc::SYS_clone | libc::SYS_clone3 => Wait::Child { call: "clone", pid: None },
            libc::SYS_futex => {
                Wait::Thread { limit: memory.time(d, 1).and_then(|time| futex_limit(b, time)) }
            }
            older::PAUSE => Wait::Signal { call: "pause", limit: None },
            libc::SYS_rt_sigsuspend => Wait::Signal { call: "sigsuspend", limit: None },
            libc::SYS_rt_sigtimedwait => Wait::Signal { call: "sigtimedwait", limit: memory.time(c, 1) },
            libc::SYS_nanosleep => Wait::Sleep { length: memory.time(a, 1) },
            libc::SYS_clock_nanosleep => {
                let asked = memory.time(c, 1);
                Wait::Sleep { length: if b == 0 { asked } else { asked.and_then(|until| left(a, until)) } }
            }
            libc::SYS_accept | libc::SYS_accept4 => self.file("accept", a),
            libc::SYS_connect => self.file("connect", a),
            libc::SYS_recvfrom | libc::SYS_recvmsg => self.file("recv", a),
            libc::SYS_sendto | libc::SYS_sendmsg => self.file("send", a),
            libc::SYS_flock => self.file("flock", a),
            libc::SYS_fcntl => self.file("fcntl", a),
            number => Wait::Call { number },
        }
    }

    /// An open(2). Only that of a FIFO waits in `wait_for_partner`; of others, as of a terminal line or a
    /// file with a lease (fcntl(2)), the path shows the type.
    fn open(&self, directory: Option<i32>, path: Option<PathBuf>, flags: i32, wchan: Option<&str>) -> Wait {
        let access = access_of(flags);
        let target = path.as_deref().map_or(Ok(Target::Unknown), |path| self.target(directory, path));
        let is_fifo = wchan == Some("wait_for_partner");
        match (target, path) {
            (Err(NoFifo), Some(path)) if !is_fifo => {
                Wait::File { call: "open", fd: None, file: path.to_string_lossy().into_owned() }
            }
            (target, path) => Wait::Open { path, access, target: target.unwrap_or(Target::Unknown) },
        }
    }

    /// What stands at a path, as this thread sees it. Only statx(2): to open a FIFO would wake its waiters.
    /// The kernel does not ask a server of the file system about the file.
    fn target(&self, directory: Option<i32>, path: &Path) -> Result<Target, NoFifo> {
        let base = match directory {
            _ if path.is_absolute() => format!("{}/root", self.directory),
            None | Some(libc::AT_FDCWD) => format!("{}/cwd", self.directory),
            Some(fd) => format!("{}/fd/{fd}", self.directory),
        };
        let path = Path::new(&base).join(path.strip_prefix("/").unwrap_or(path));
        match statx(CWD, &path, AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE | StatxFlags::INO) {
            Ok(file) if FileType::from_raw_mode(file.stx_mode.into()) == FileType::Fifo => {
                let device = makedev(file.stx_dev_major, file.stx_dev_minor);
                Ok(Target::Fifo(PipeId { device, inode: file.stx_ino }))
            }
            Ok(_) => Err(NoFifo),
            Err(Errno::NOENT) => Ok(Target::Missing),
            Err(_) => Ok(Target::Unknown),
        }
    }

    fn transfer(&self, call: &'static str, from: Option<u64>, to: Option<u64>, bytes: Option<u64>) -> Wait {
        let reads = from.and_then(|fd| self.need(fd as u32, Access::Read));
        let writes = to.and_then(|fd| self.need(fd as u32, Access::Write));
        let needs: Vec<_> = reads.into_iter().chain(writes).map(|(need, _)| need).collect();
        match to.or(from) {
            Some(fd) if needs.is_empty() => self.file(call, fd),
            _ => Wait::Pipes(PipeWait { call, needs, others: 0, bytes, limit: None }),
        }
    }

    fn poll(&self, call: &'static str, polled: Option<Vec<(i32, i16)>>, limit: Option<Duration>) -> Wait {
        let Some(polled) = polled else { return Wait::Hidden };
        let polled = polled.into_iter().filter_map(|(fd, events)| {
            let access = if events & libc::POLLIN != 0 { Access::Read } else { Access::Write };
            Some((u32::try_from(fd).ok()?, access))
        });
        self.many(call, polled, limit)
    }

    fn select(&self, call: &'static str, memory: &Memory, arguments: [u64; 6], unit: u64) -> Wait {
        let [count, read, write, _, limit, _] = arguments;
        let sets = (memory.fd_set(read, count), memory.fd_set(write, count));
        let (Some(read), Some(write)) = sets else { return Wait::Hidden };
        let read = read.into_iter().map(|fd| (fd, Access::Read));
        let write = write.into_iter().map(|fd| (fd, Access::Write));
        self.many(call, read.chain(write), memory.time(limit, unit))
    }

    fn many(
        &self,
        call: &'static str,
        polled: impl IntoIterator<Item = (u32, Access)>,
        limit: Option<Duration>,
    ) -> Wait {
        let (mut needs, mut others) = (Vec::new(), 0);
        for (fd, access) in polled {
            match self.need(fd, access) {
                // An end that only reads, or only writes, is ready for nothing else, whatever was asked for.
                Some((need, Access::Both)) => needs.push(need),
                Some((need, access)) => needs.push(Need { access, ..need }),
                None => others += 1,
            }
        }
        match (needs.is_empty(), others, limit) {
            // poll(NULL, 0, ms) is a way to sleep; without a limit, to wait for a signal.
            (true, 0, Some(_)) => Wait::Sleep { length: limit },
            (true, 0, None) => Wait::Signal { call, limit },
            _ => Wait::Pipes(PipeWait { call, needs, others, bytes: None, limit }),
        }
    }

    /// A need, and how its end was opened.
    fn need(&self, fd: u32, access: Access) -> Option<(Need, Access)> {
        let end = self.ends.iter().find(|end| end.fd == fd)?;
        Some((Need { fd, pipe: end.pipe, access }, end.access))
    }

    fn file(&self, call: &'static str, fd: u64) -> Wait {
        let fd = fd as u32;
        let link = fs::read_link(format!("{}/fd/{fd}", self.directory)).unwrap_or_default();
        Wait::File { call, fd: Some(fd), file: link.to_string_lossy().into_owned() }
    }
}

/// The descriptors of an epoll(7) instance stand in its fdinfo: `tfd: 5 events: 19 ...`.
pub(crate) fn watched(directory: &str, epoll: u64) -> Vec<(u32, Access)> {
    let info = fs::read_to_string(format!("{directory}/fdinfo/{epoll}")).unwrap_or_default();
    let entry = |line: &str| {
        let mut words = line.strip_prefix("tfd:")?.split_whitespace();
        let fd = words.next()?.parse().ok()?;
        let events = u32::from_str_radix(words.nth(1)?, 16).ok()?;
        Some((fd, if events & libc::EPOLLIN as u32 != 0 { Access::Read } else { Access::Write }))
    };
    info.lines().filter_map(entry).collect()
}

/// The limit of poll(2); a negative number is none.
fn milliseconds(limit: u64) -> Option<Duration> {
    u64::try_from(i64::from(limit as i32)).ok().map(Duration::from_millis)
}

/// How much is left of the limit of a futex(2): for some operations a length, for the others a time of a
/// clock.
fn futex_limit(operation: u64, time: Duration) -> Option<Duration> {
    let operation = operation as i32;
    let is_realtime = operation & libc::FUTEX_CLOCK_REALTIME != 0;
    let clock = match operation & libc::FUTEX_CMD_MASK {
        libc::FUTEX_LOCK_PI => libc::CLOCK_REALTIME,
        libc::FUTEX_WAIT_BITSET | libc::FUTEX_WAIT_REQUEUE_PI | libc::FUTEX_LOCK_PI2 if is_realtime => {
            libc::CLOCK_REALTIME
        }
        libc::FUTEX_WAIT_BITSET | libc::FUTEX_WAIT_REQUEUE_PI | libc::FUTEX_LOCK_PI2 => libc::CLOCK_MONOTONIC,
        _ => return Some(time),
    };
    left(clock as u64, time)
}

/// How much is left until a time of this clock.
fn left(clock: u64, until: Duration) -> Option<Duration> {
    let now = match clock as i32 {
        libc::CLOCK_MONOTONIC => clock_gettime(ClockId::Monotonic).try_into().ok()?,
        libc::CLOCK_REALTIME => SystemTime::now().duration_since(UNIX_EPOCH).ok()?,
        _ => return None,
    };
    Some(until.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_futex_has_a_length_or_a_time_as_its_limit() {
        let second = Duration::from_secs(1);
        let operation = |operation: i32| operation as u64 | libc::FUTEX_PRIVATE_FLAG as u64;
        assert_eq!(futex_limit(operation(libc::FUTEX_WAIT), second), Some(second));
        // These times have passed.
        let realtime = libc::FUTEX_WAIT_BITSET | libc::FUTEX_CLOCK_REALTIME;
        for absolute in [libc::FUTEX_WAIT_BITSET, realtime, libc::FUTEX_LOCK_PI, libc::FUTEX_LOCK_PI2] {
            assert_eq!(futex_limit(operation(absolute), Duration::from_nanos(1)), Some(Duration::ZERO));
        }
    }

    #[test]
    fn a_line_has_a_call_or_none() {
        let call = parse("0 0x3 0x7ffe 0x1 0x0 0x0 0x0 0x7ffd 0x7f00\n").unwrap();
        assert_eq!((call.0, &call.1[..3]), (0, &[3, 0x7ffe, 1][..]));
        assert_eq!((parse("running\n"), parse("-1 0x7ffd 0x7f00\n"), parse("")), (None, None, None));
        assert!(is_open(&format!("{} 0x0 ...", libc::SYS_openat)) && !is_open("running"));
    }
}
