//! `--pause`: the gate at which all processes stop after each event, and the Enter key that releases one of
//! them.

use std::os::fd::{AsFd, OwnedFd};

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::process::Process;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::unistd::{pipe2, read, write};

/// The most bytes that one read of the keyboard takes.
const READ_SIZE: usize = 1024;

/// The demo's end of the gate. Dropping it releases all processes for good.
#[derive(Debug)]
pub(super) struct Pause {
    gate: OwnedFd,
    /// The PIDs of the processes at the gate, in the order of their arrival, in which the kernel wakes them.
    waiting: Vec<u32>,
    /// The process that was released last, as far as the demo can know.
    released: Option<u32>,
    /// Typed bytes that were not handled yet.
    typed: Vec<u8>,
    /// Whether the input has ended.
    over: bool,
}

/// What the person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Next,
    Map,
    Quit,
}

impl Pause {
    /// Makes the gate; returns it and its read end for the processes.
    ///
    /// # Errors
    /// No pipe can be made.
    pub(super) fn new() -> Result<(Self, OwnedFd)> {
        let failed = |errno| Error::on("make", "the gate", errno);
        // The processes inherit the read end, under the same number; they do not inherit the write end.
        let (read, gate) = pipe2(OFlag::empty()).map_err(failed)?;
        fcntl(&gate, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(failed)?;
        Ok((Self { gate, waiting: Vec::new(), released: None, typed: Vec::new(), over: false }, read))
    }

    /// Notes that a process has logged an event, and therefore stands at the gate.
    pub(super) fn arrived(&mut self, pid: u32) {
        if self.waiting.contains(&pid) {
            // The last release went to this process, so the other one is still at the gate.
            self.waiting.retain(|one| *one != pid);
            self.waiting.splice(0..0, self.released.take().filter(|other| *other != pid));
        }
        self.waiting.push(pid);
    }

    /// The processes at the gate; the first is released next.
    pub(super) fn waiting(&self) -> &[u32] {
        &self.waiting
    }

    /// Forgets processes that have ended. A process at the gate cannot end, so the last release went to this
    /// one, and the other one is still at the gate.
    pub(super) fn forget(&mut self, is_gone: impl Fn(u32) -> bool) {
        let stood = self.waiting.len();
        self.waiting.retain(|pid| !is_gone(*pid));
        if self.waiting.len() < stood {
            let other =
                self.released.take().filter(|other| !is_gone(*other) && !self.waiting.contains(other));
            self.waiting.splice(0..0, other);
        }
    }

    /// Releases one process, if any is at the gate: otherwise the next process to arrive would take the byte.
    ///
    /// # Errors
    /// Those of write(2).
    pub(super) fn release_one(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.released = Some(self.waiting.remove(0));
        write(&self.gate, b"\n").map(drop).map_err(|errno| Error::on("write to", "the gate", errno))
    }

    /// Waits for the keyboard, or until `until`.
    ///
    /// # Errors
    /// [`Error::Signal`].
    pub(super) fn listen(&mut self, process: &Process, until: Deadline) -> Result<()> {
        let stdin = std::io::stdin();
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        process.wait(&mut fds, until)?;
        if fds[0].any() == Some(true) {
            let mut bytes = [0; READ_SIZE];
            match read(&stdin, &mut bytes) {
                Ok(count) if count > 0 => self.typed.extend_from_slice(&bytes[..count]),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                _ => self.over = true,
            }
        }
        Ok(())
    }

    /// The next typed line.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        let end = self.typed.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.typed.drain(..=end).collect();
        Some(match line.trim_ascii() {
            b"q" => Answer::Quit,
            b"m" => Answer::Map,
            _ => Answer::Next,
        })
    }

    /// Whether the input has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processes_at_the_gate_are_known_even_after_a_wrong_guess() {
        let (mut pause, gate) = Pause::new().unwrap();
        pause.arrived(1);
        pause.arrived(2);
        pause.release_one().unwrap();
        assert_eq!(pause.waiting(), [2]);
        // Process 2 logs another event, so the byte went to it, and 1 is still at the gate.
        pause.arrived(2);
        assert_eq!(pause.waiting(), [1, 2]);
        pause.forget(|pid| pid == 1);
        pause.release_one().unwrap();
        pause.release_one().unwrap();
        assert!(pause.waiting().is_empty());
        drop(pause);
        let mut bytes = [0; 8];
        assert_eq!(read(&gate, &mut bytes), Ok(2), "one byte for each that stood there, and none for nobody");
    }

    #[test]
    fn a_process_that_ended_was_the_released_one() {
        let (mut pause, _gate) = Pause::new().unwrap();
        pause.arrived(1);
        pause.arrived(2);
        pause.release_one().unwrap();
        pause.forget(|pid| pid == 2);
        assert_eq!(pause.waiting(), [1], "the byte was for 2, which ended, and 1 is still there");
        pause.release_one().unwrap();
        pause.forget(|pid| pid < 3);
        assert!(pause.waiting().is_empty());
    }

    #[test]
    fn lines_are_answers() {
        let (mut pause, _gate) = Pause::new().unwrap();
        pause.typed.extend(b"\nm\n q \nwhat?\nq");
        let answers: Vec<_> = std::iter::from_fn(|| pause.answer()).collect();
        assert_eq!(answers, [Answer::Next, Answer::Map, Answer::Quit, Answer::Next]);
    }
}
