//! Many naive clients that knock at one instant, and what becomes of each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, pipe};
use std::process::{Child, Command};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result, errno_of};
use handshake_core::process::Process;

/// Between two looks whether somebody has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Where a client stands, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Got its acknowledgement and the reply to its request.
    Served,
    /// Got something else.
    Wrong,
    /// Got an error, or the end of a pipe.
    Broken,
    /// Finds no well-known pipe.
    SeeksWkp,
    /// Waits in open(2) of the well-known pipe.
    OpensWkp,
    /// Waits in open(2) of its own private pipe.
    OpensPrivatePipe,
    /// Waits in read(2) for its acknowledgement.
    ReadsAcknowledgement,
    /// Waits in read(2) for its reply.
    ReadsReply,
}

impl Stage {
    const ALL: [Self; 8] = [
        Self::Served,
        Self::Wrong,
        Self::Broken,
        Self::SeeksWkp,
        Self::OpensWkp,
        Self::OpensPrivatePipe,
        Self::ReadsAcknowledgement,
        Self::ReadsReply,
    ];

    /// All but those that got an answer.
    pub(crate) const UNSERVED: [Self; 6] = [
        Self::Broken,
        Self::SeeksWkp,
        Self::OpensWkp,
        Self::OpensPrivatePipe,
        Self::ReadsAcknowledgement,
        Self::ReadsReply,
    ];

    /// In the files.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Wrong => "wrong",
            Self::Broken => "broken",
            Self::SeeksWkp => "seeks-wkp",
            Self::OpensWkp => "opens-wkp",
            Self::OpensPrivatePipe => "opens-private-pipe",
            Self::ReadsAcknowledgement => "reads-acknowledgement",
            Self::ReadsReply => "reads-reply",
        }
    }

    /// How a client writes it.
    pub(super) fn letter(self) -> u8 {
        match self {
            Self::Served => b'd',
            Self::Wrong => b'x',
            Self::Broken => b'b',
            Self::SeeksWkp => b's',
            Self::OpensWkp => b'w',
            Self::OpensPrivatePipe => b'p',
            Self::ReadsAcknowledgement => b'a',
            Self::ReadsReply => b'r',
        }
    }

    fn of(letter: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.letter() == letter)
    }

    /// Of a client that is neither served nor answered wrongly: what became of it, after "N".
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Wrong => "answered wrongly",
            Self::Broken => "cut off",
            Self::SeeksWkp => "still seeking a well-known pipe",
            Self::OpensWkp => "hanging in open(2) of the well-known pipe",
            Self::OpensPrivatePipe => "hanging in open(2) of their own private pipe",
            Self::ReadsAcknowledgement => "hanging in read(2) for the acknowledgement",
            Self::ReadsReply => "hanging in read(2) for the reply",
        }
    }
}

/// How many ended where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) ends: BTreeMap<Stage, usize>,
}

impl Outcome {
    /// How many came to this end.
    pub(crate) fn at(&self, stage: Stage) -> usize {
        self.ends.get(&stage).copied().unwrap_or(0)
    }
}

/// The clients, started and held back.
#[derive(Debug)]
pub(crate) struct Crowd {
    members: Vec<(Child, File, bool)>,
}

impl Crowd {
    /// Starts so many, lets them go at one instant, waits until all have ended or `patience` is over, and ends the rest.
    ///
    /// # Errors
    /// One cannot be started. [`Error::Signal`].
    pub(crate) fn run(
        count: usize,
        patience: Duration,
        process: &Process,
        command: impl Fn() -> Command,
    ) -> Result<Outcome> {
        let failed = |error: io::Error| Error::on("start", "a naive client", errno_of(&error));
        let (closed, barrier) = pipe().map_err(failed)?;
        let mut crowd = Self { members: Vec::new() };
        for _ in 0..count {
            let said = tempfile::tempfile().map_err(failed)?;
            let mut command = command();
            command.stdin(closed.try_clone().map_err(failed)?);
            command.stdout(said.try_clone().map_err(failed)?);
            crowd.members.push((command.spawn().map_err(failed)?, said, false));
        }
        drop(closed);
        drop(barrier);
        crowd.wait(Deadline::in_exactly(patience), process)?;
        Ok(Outcome { ends: crowd.ends() })
    }

    /// Until all have ended, or the time is over.
    fn wait(&mut self, until: Deadline, process: &Process) -> Result<()> {
        loop {
            for (child, _, ended) in self.members.iter_mut().filter(|member| !member.2) {
                *ended = !matches!(child.try_wait(), Ok(None));
            }
            if until.passed() || self.members.iter().all(|member| member.2) {
                return Ok(());
            }
            // A look now and then even so: in a process with threads another one may get the signal.
            process.wait(&mut [], until.or(Deadline::in_exactly(LOOK)))?;
        }
    }

    /// Where each stands: the last letter that it wrote.
    fn ends(&mut self) -> BTreeMap<Stage, usize> {
        let mut ends = BTreeMap::new();
        for (_, said, _) in &mut self.members {
            let mut letters = Vec::new();
            // A file without a name; one that could not be read would count as cut off.
            let _ = said.rewind().and_then(|()| said.read_to_end(&mut letters));
            let stage = letters.last().and_then(|letter| Stage::of(*letter)).unwrap_or(Stage::Broken);
            *ends.entry(stage).or_default() += 1;
        }
        ends
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for (child, _, _) in self.members.iter_mut().filter(|member| !member.2) {
            // Ours and not reaped, so the number is still its own.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use handshake_core::event::Role;

    use super::*;

    #[test]
    fn letters_are_told_apart() {
        for stage in Stage::ALL {
            assert_eq!(Stage::of(stage.letter()), Some(stage));
        }
        assert_eq!(Stage::of(b'?'), None);
    }

    #[test]
    fn a_crowd_ends_served_or_hanging_and_is_counted() {
        let process = Process::quiet(Role::Client).unwrap();
        let run = |script: &'static str, patience| {
            let command = || {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", script]);
                command
            };
            Crowd::run(3, patience, &process, command).unwrap()
        };
        let done = run("read line; printf wpard", Duration::from_secs(60));
        assert_eq!((done.at(Stage::Served), done.ends.len()), (3, 1));
        // Longer than the shell takes to write two letters, and far less than it would sleep.
        let hung = run("read line; printf wp; exec sleep 1000", Duration::from_secs(1));
        assert_eq!(hung.ends.values().sum::<usize>(), 3);
        assert_eq!((hung.at(Stage::Served), hung.at(Stage::ReadsReply)), (0, 0));
    }
}
