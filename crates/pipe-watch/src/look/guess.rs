//! The kind of a wait, where the system call is hidden: from the wait channel (proc_pid_wchan(5)).

use super::model::{Access, End, Need, PipeWait, Target, Wait};

/// The wait behind a wait channel, where the system call is hidden: what kind it is, and the pipes that
/// it may be about.
pub(super) fn guess(ends: &[End], wchan: &str) -> Wait {
    let unlimited = |call, access| {
        let needs = ends.iter().filter(|end| end.access == access || end.access == Access::Both);
        let needs = needs.map(|end| Need { fd: end.fd, pipe: end.pipe, access }).collect();
        Wait::Pipes(PipeWait { call, needs, others: 0, bytes: None, limit: None })
    };
    match wchan {
        "wait_for_partner" => Wait::Open { path: None, access: None, target: Target::Unknown },
        _ if wchan.ends_with("pipe_read") => unlimited("read", Access::Read),
        _ if wchan.ends_with("pipe_write") => unlimited("write", Access::Write),
        _ if wchan.starts_with("do_wait") => Wait::Child { call: "wait", pid: None },
        _ if wchan.starts_with("futex") => Wait::Thread { limit: None },
        _ if wchan.ends_with("sys_pause") => Wait::Signal { call: "pause", limit: None },
        _ if wchan.contains("nanosleep") => Wait::Sleep { length: None },
        _ => Wait::Hidden,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Write, pipe};
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::look::{ends, stat};

    /// What remains where Yama hides the system call.
    #[test]
    fn a_wait_channel_tells_the_kind_of_a_wait_and_the_pipes_in_question() {
        if std::fs::read("/proc/self/wchan").is_err() {
            let _ = writeln!(std::io::stderr(), "NOT RUN: guess: /proc/self/wchan is hidden");
            return;
        }
        let (reader, mut writer) = pipe().unwrap();
        let fd = reader.as_raw_fd().cast_unsigned();
        std::thread::scope(|threads| {
            let (sender, tid) = std::sync::mpsc::channel();
            let read = move || {
                sender.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
                std::io::Read::read(&mut &reader, &mut [0]).unwrap();
            };
            threads.spawn(read);
            let directory = format!("/proc/self/task/{}", tid.recv().unwrap());
            let ends: Vec<End> =
                ends::of(std::process::id()).unwrap().into_iter().map(|(end, _)| end).collect();
            let until = Instant::now() + Duration::from_secs(60);
            let found = loop {
                match stat::wchan(&directory).map(|wchan| guess(&ends, &wchan)) {
                    Some(Wait::Pipes(wait)) => break Some(wait),
                    _ if Instant::now() > until => break None,
                    _ => {}
                }
            };
            // The reader must end before a panic, or the scope waits for it.
            writer.write_all(b"x").unwrap();
            let found = found.expect("a wait at a pipe");
            assert_eq!(found.call, "read");
            assert!(found.needs.iter().any(|need| need.fd == fd && need.access == Access::Read));
        });
        assert_eq!(guess(&[], "0"), Wait::Hidden);
    }
}
