//! The conversation: messages go out, replies come in, both at the same time.

use std::io::{stderr, stdout};
use std::os::fd::AsFd;
use std::time::Duration;

use handshake_cli::complain;
use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Length, Result, Status};
use handshake_core::process::Process;
use handshake_core::session::client::Answer;
use handshake_core::text::words;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use nix::unistd::write;

use crate::silence::{Silence, seen};
use crate::{Connected, Cut, Input, Message, Prompt};

/// Replies that may wait for stdout, in bytes, before no more are read.
const OUTPUT_MAX: usize = 65_536;

/// What poll(2) promises to be writable without waiting: PIPE_BUF.
const WRITE_AT_ONCE: usize = 4096;

/// How a conversation is held.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The most messages that may be unanswered at a time.
    pub window: usize,
    /// How long nothing may come from the server while something is unanswered; 0: for ever.
    pub reply_timeout: Duration,
    /// Whether to say nothing on stderr but errors.
    pub quiet: bool,
}

/// A conversation under way.
struct Conversation<C> {
    connection: C,
    input: Input,
    window: usize,
    silence: Silence,
    prompt: Option<Prompt>,
    /// Printed when stdout takes it: a client must be able to hear its server, and signals, while it prints.
    output: Vec<u8>,
    /// `output[..printed]` has been printed.
    printed: usize,
    reply: Vec<u8>,
    /// What the bytes of a reply are followed by.
    newline: bool,
    status: Status,
}

/// Sends all of `input`, prints the replies, and says BYE. A message that is refused does not end it, but shows in
/// the status.
///
/// # Errors
/// The connection is lost, the server broke the protocol, or it does not reply.
pub fn converse(
    process: &Process,
    connection: impl Connected,
    input: Input,
    rules: Rules,
    prompt: Option<Prompt>,
) -> Result<Status> {
    let mut talk = Conversation {
        newline: input.cut() == Cut::Lines,
        connection,
        input,
        window: rules.window,
        silence: Silence::new(rules.reply_timeout, !rules.quiet),
        prompt,
        output: Vec::new(),
        printed: 0,
        reply: Vec::new(),
        status: Status::Done,
    };
    // Something may have come with the acknowledgement.
    let mut talked = talk.take_answers();
    while talked.is_ok() && !talk.is_over() {
        talk.ask();
        talked = talk.turn(process);
    }
    if !matches!(talked, Err(Error::Signal(_))) {
        talk.print_all(process)?;
    }
    // Before anything else is said: the cursor may stand behind it.
    drop(talk.prompt.take());
    match talked {
        // It has all it wanted; that the server said BYE first is no loss.
        Err(Error::Lost { .. }) if talk.is_over() => {}
        talked => talked?,
    }
    talk.connection.bye();
    Ok(talk.status)
}

impl<C: Connected> Conversation<C> {
    fn is_over(&self) -> bool {
        self.input.is_over() && self.is_quiet()
    }

    /// Whether all that was sent is answered, and all that was answered printed.
    fn is_quiet(&self) -> bool {
        self.input.front().is_none() && self.connection.unanswered() == 0 && self.output.is_empty()
    }

    /// Asks for a line where a person types, one at a time: replies stand between a line and the next prompt.
    fn ask(&mut self) {
        let is_quiet = self.is_quiet();
        let Some(prompt) = &mut self.prompt else { return };
        if self.input.take_stop() {
            prompt.stop();
        }
        if is_quiet {
            self.input.ask(prompt);
        } else {
            prompt.end();
        }
    }

    /// Sends what may be sent, waits for whatever comes first, and takes it.
    fn turn(&mut self, process: &Process) -> Result<()> {
        self.send()?;
        self.connection.flush()?;
        if self.is_over() {
            return Ok(());
        }
        // What the client does not read, since stdout is full, is not missing.
        self.silence.goes_on(self.connection.unanswered() > 0 && self.output.len() < OUTPUT_MAX);
        if self.silence.is_to_be_told() {
            complain("client", format_args!("waiting for a reply: {}", seen(self.connection.is_read())));
        }
        // First one more look, then the judgement: this process may have been stopped for a while.
        let late = self.silence.end().passed();
        match self.wait(process)? {
            Some(Shown::Replies) => {
                self.silence.is_broken();
                self.receive()
            }
            Some(Shown::Input) => self.input.read(),
            Some(Shown::Output) => self.print(),
            Some(Shown::Screen) => {
                self.prompt.iter_mut().for_each(Prompt::flush);
                Ok(())
            }
            Some(Shown::Room) => {
                self.silence.is_broken();
                Ok(())
            }
            None if late => Err(self.silence.error(self.connection.unanswered(), self.connection.is_read())),
            None => Ok(()),
        }
    }

    /// Watches just what would be of use, since poll(2) tells of errors and hang-ups unasked. What shows
    /// first in this order comes first: a reply is printed before the next is read.
    fn wait(&self, process: &Process) -> Result<Option<Shown>> {
        let (stdout, stderr) = (stdout(), stderr());
        let (input, output) = (PollFlags::POLLIN, PollFlags::POLLOUT);
        let mut fds = Vec::with_capacity(5);
        if self.prompt.as_ref().is_some_and(|prompt| !prompt.is_flushed()) {
            fds.push((Shown::Screen, PollFd::new(stderr.as_fd(), output)));
        }
        if !self.output.is_empty() {
            fds.push((Shown::Output, PollFd::new(stdout.as_fd(), output)));
        }
        if self.output.len() < OUTPUT_MAX {
            fds.push((Shown::Replies, PollFd::new(self.connection.from_server(), input)));
        }
        if !self.connection.is_flushed() {
            fds.push((Shown::Room, PollFd::new(self.connection.to_server(), output)));
        }
        if let Some(source) = self.input.wanting(self.connection.unanswered() < self.window) {
            fds.push((Shown::Input, PollFd::new(source, input)));
        }
        let (shown, mut fds): (Vec<_>, Vec<_>) = fds.into_iter().unzip();
        process.wait(&mut fds, self.silence.until())?;
        Ok(shown.into_iter().zip(fds).find_map(|(shown, fd)| fd.any().unwrap_or(false).then_some(shown)))
    }

    fn send(&mut self) -> Result<()> {
        while let Some(message) = self.input.front() {
            let sent = match message {
                Message::TooLong => {
                    let longest = self.connection.longest();
                    Err(self.connection.too_long(Length::MoreThan(longest)))
                }
                Message::Whole(message) if self.may_send(message.len()) => self.connection.send(message),
                Message::Whole(_) => break,
            };
            match sent {
                Err(error @ (Error::TooLong { .. } | Error::Unfit { .. })) => {
                    complain("client", error);
                    self.status = Status::Broken;
                }
                sent => drop(sent?),
            }
            self.input.pop();
        }
        Ok(())
    }

    fn may_send(&self, bytes: usize) -> bool {
        self.connection.unanswered() < self.window && self.connection.may_send(bytes)
    }

    fn receive(&mut self) -> Result<()> {
        self.connection.read()?;
        self.take_answers()
    }

    fn take_answers(&mut self) -> Result<()> {
        loop {
            match self.connection.answer(&mut self.reply)? {
                Answer::Reply(_) => {
                    if self.output.is_empty() {
                        // A long reply is not copied.
                        std::mem::swap(&mut self.output, &mut self.reply);
                    } else {
                        self.output.extend_from_slice(&self.reply);
                    }
                    self.output.extend(self.newline.then_some(b'\n'));
                }
                Answer::Refused(number) => {
                    let reason = words(&self.reply);
                    complain("client", format_args!("the server refused message {number}: {reason}"));
                    self.status = Status::Broken;
                }
                Answer::Nothing => return Ok(()),
            }
        }
    }

    /// Writes as much of the output as cannot make us wait; call it when stdout shows room.
    fn print(&mut self) -> Result<()> {
        let rest = &self.output[self.printed..];
        match write(stdout(), &rest[..rest.len().min(WRITE_AT_ONCE)]) {
            Ok(count) => self.printed += count,
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // As any filter whose reader has enough.
            Err(Errno::EPIPE) => return Err(Error::Signal(Signal::SIGPIPE)),
            Err(errno) => return Err(Error::on("write to", "stdout", errno)),
        }
        if self.printed == self.output.len() {
            self.output.clear();
            self.printed = 0;
        }
        Ok(())
    }

    /// Prints what was answered before the connection was lost.
    fn print_all(&mut self, process: &Process) -> Result<()> {
        while !self.output.is_empty() {
            let stdout = stdout();
            process.wait(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)], Deadline::NEVER)?;
            self.print()?;
        }
        Ok(())
    }
}

/// What a wait of the conversation showed.
#[derive(Clone, Copy)]
enum Shown {
    Replies,
    Room,
    Output,
    Screen,
    Input,
}
