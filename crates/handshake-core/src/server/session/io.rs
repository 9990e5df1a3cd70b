//! The mechanics of a session: one turn of reading and writing, and the BYE at the end.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use super::Session;
use crate::deadline::{Deadline, monotonic_ns};
use crate::error::{Error, Named, Result};
use crate::event::What;
use crate::io::Filled;
use crate::process::Woken;
use crate::strays::note_skipped;
use crate::stream::{FrameWriter, READS_MAX};
use crate::wire::{Header, Kind, Part, payload_of};

/// The result of a turn of reading and writing.
#[derive(PartialEq, Eq)]
pub(super) enum Turn {
    /// Bytes were read, or can be written.
    Moved,
    /// A signal arrived.
    Signal,
    /// The deadline passed.
    Deadline,
    /// The client has closed its private pipe, and no bytes were on their way to it.
    Left,
}

impl Session {
    /// Queues a frame about the current request for writing. If there is no room, waits until the client has
    /// read some frames: a client that never reads must not fill our memory.
    pub(super) fn queue(&mut self, kind: Kind, part: Part, payload: &[u8]) -> Result<()> {
        if !self.to_client.has_room() {
            self.write_until(FrameWriter::has_room)?;
        }
        let header = Header { kind, part, session: self.id, sequence: self.in_hand };
        self.dialect.push(&mut self.to_client, header, payload)
    }

    /// Writes until `enough` returns true, and reads meanwhile: two sides that only write would wait for each
    /// other forever.
    pub(super) fn write_until(&mut self, enough: impl Fn(&FrameWriter) -> bool) -> Result<()> {
        loop {
            self.flush()?;
            if enough(&self.to_client) {
                return Ok(());
            }
            self.judge_grace()?;
            let until = Deadline::after(self.limits.idle_timeout).or(self.end_of_grace());
            if self.wait_and_read(until)? == Turn::Deadline {
                self.judge_grace()?;
                return Err(Error::lost("it did not take its replies within the idle timeout"));
            }
        }
    }

    pub(super) fn refuse(&mut self, reason: &str) -> Result<()> {
        self.queue(Kind::Refuse, Part::ONLY, payload_of(reason))?;
        self.process.log(What::RequestRefused, |event| event.session(self.id).seq(self.in_hand).text(reason));
        Ok(())
    }

    pub(super) fn answered(&mut self) {
        let frames = self.incoming.take_frames();
        if let Some(dispatcher) = &mut self.dispatcher {
            dispatcher.answered(frames);
        }
    }

    pub(super) fn deadline_passed(&mut self, reason: &'static str) -> Result<()> {
        match &mut self.dispatcher {
            Some(dispatcher) => {
                dispatcher.ask();
                self.asked = Some(reason);
                Ok(())
            }
            None => Err(self.bye(reason)),
        }
    }

    /// Handles IDLE: the central process found nothing when it was asked. If a frame came before that answer,
    /// the client is not idle. Returns true if the client has none of the confirmation that was awaited.
    pub(super) fn handle_idle(&mut self) -> Result<bool> {
        let Some(mut reason) = self.asked.take() else { return Ok(false) };
        if self.confirmation.is_awaited() {
            match self.dialect.confirmation_is_late(&mut self.confirmation, true) {
                Some(why) => reason = why,
                None => return Ok(true),
            }
        }
        if self.dispatcher.is_some() { Err(self.bye(reason)) } else { Ok(false) }
    }

    pub(super) fn end_of_grace(&self) -> Deadline {
        self.process.end_of(self.limits.grace)
    }

    pub(super) fn judge_grace(&self) -> Result<()> {
        if self.process.asked_to_end().is_none() {
            return Ok(());
        }
        if self.process.parent_died() {
            return Err(Error::lost("the server has died"));
        }
        if self.end_of_grace().passed() { Err(Error::lost("the grace was over")) } else { Ok(()) }
    }

    /// Writes as much as the client's pipe takes now.
    fn flush(&mut self) -> Result<()> {
        if self.queued.is_empty() {
            return self.to_client.flush().map_err(gone);
        }
        let before = monotonic_ns();
        self.to_client.flush().map_err(gone)?;
        self.process.log_described(&mut self.queued, before);
        Ok(())
    }

    /// Writes as much as the client's pipe takes now, then waits.
    pub(super) fn turn(&mut self, until: Deadline) -> Result<Turn> {
        self.flush()?;
        self.wait_and_read(until)
    }

    /// Waits until there is something to read or to write, and reads it.
    pub(super) fn wait_and_read(&mut self, until: Deadline) -> Result<Turn> {
        let reads = !self.input_ended && self.from_client.has_room();
        let writes = !self.to_client.is_empty();
        let write_flag = if writes { PollFlags::POLLOUT } else { PollFlags::empty() };
        let mut fds = [
            PollFd::new(self.to_client.as_fd(), write_flag),
            PollFd::new(self.from_client.as_fd(), PollFlags::POLLIN),
        ];
        // With a full buffer the pipe is not watched: a hang-up there would never let us sleep.
        let watched = if reads { &mut fds[..] } else { &mut fds[..1] };
        let woken = self.process.wait(watched, until)?;
        let [to_client, from_client] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        match woken {
            Woken::Signal => return Ok(Turn::Signal),
            Woken::Deadline => return Ok(Turn::Deadline),
            Woken::Ready(_) => {}
        }
        if from_client.intersects(PollFlags::POLLIN | PollFlags::POLLHUP) {
            self.read()?;
        } else if to_client.contains(PollFlags::POLLERR) {
            return if writes { Err(gone(Errno::EPIPE)) } else { Ok(Turn::Left) };
        }
        Ok(Turn::Moved)
    }

    /// Reads for a process that was asked to end. The session still answers what has come up to now. The
    /// number of reads is bounded, so that a client that goes on writing cannot keep the process alive.
    pub(super) fn read_what_has_come(&mut self) -> Result<()> {
        let reads = self.last_reads.unwrap_or(READS_MAX);
        self.last_reads = Some(if self.read()? == Filled::Nothing { 0 } else { reads.saturating_sub(1) });
        Ok(())
    }

    pub(super) fn read(&mut self) -> Result<Filled> {
        // The next read resets the count of skipped bytes.
        note_skipped(&mut self.from_client, Some(self.id), &self.process);
        self.from_client.begin_batch();
        let failed = |errno| Error::lost(format!("its pipe cannot be read: {}", Named(errno)));
        let filled = self.from_client.fill().map_err(failed)?;
        self.input_ended |= filled == Filled::End;
        Ok(filled)
    }

    /// Ends the session in good order: the client gets the remaining replies and a BYE.
    pub(super) fn over(&mut self, how: &str, last_word: &str) -> Result<bool> {
        self.write_until(FrameWriter::is_empty)?;
        if !last_word.is_empty() {
            self.bye(last_word);
        }
        self.process.log(What::SessionEnded, |event| event.session(self.id).text(how));
        Ok(false)
    }

    /// Sends BYE, if the client still takes it. Returns the reason as an error.
    pub(super) fn bye(&mut self, reason: &str) -> Error {
        let header = Header { kind: Kind::Bye, part: Part::ONLY, session: self.id, sequence: 0 };
        // BYE is only a courtesy: the client reads EOF anyway.
        let _ =
            self.dialect.push(&mut self.to_client, header, payload_of(reason)).and_then(|()| self.flush());
        Error::lost(reason)
    }
}

pub(super) fn gone(errno: Errno) -> Error {
    Error::lost(format!("the client has gone: {}", Named(errno)))
}
