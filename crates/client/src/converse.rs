//! The conversation: messages go out, replies come in, both at the same time.

use std::fmt::Display;
use std::io::{Stdout, stdout};
use std::os::fd::AsFd;
use std::time::Duration;

use handshake_cli::complain;
use handshake_core::client::session::Answer;
use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Length, Result, Status};
use handshake_core::process::{Process, Woken};
use handshake_core::text::words;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use crate::silence::{Silence, seen};
use crate::terminal::{Output, is_in_foreground};
use crate::{Connected, Cut, Input, Message, Prompt};

/// Replies that may wait for stdout, in bytes, before no more are read.
const OUTPUT_MAX: usize = 65_536;

/// A client that could not stop in the background (its process group is orphaned) looks again after this.
const BACKGROUND_LOOK: Duration = Duration::from_secs(1);

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
    stdout: Output<Stdout>,
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
        stdout: Output::new(stdout()),
        output: Vec::new(),
        printed: 0,
        reply: Vec::new(),
        status: Status::Done,
    };
    // Something may have come with the acknowledgement.
    let mut talked = talk.take_answers();
    while talked.is_ok() && !talk.is_over() {
        talked = talk.ask(process).and_then(|()| talk.turn(process));
    }
    if !matches!(talked, Err(Error::Signal(_))) {
        // Without a reply in time, a stdout that takes nothing ends the session as well.
        let is_late = matches!(talked, Err(Error::NoReply { .. })) && !rules.reply_timeout.is_zero();
        talk.print_all(process, is_late.then_some(rules.reply_timeout))?;
    }
    // Before anything else is said: the cursor may stand behind it.
    let is_typed = talk.prompt.take().is_some();
    match talked {
        // It has all it wanted; that the server left first is no loss.
        Err(Error::Lost { .. }) if talk.has_nothing_to_say(is_typed)? => {}
        talked => talked?,
    }
    talk.connection.bye();
    Ok(talk.status)
}

impl<C: Connected> Conversation<C> {
    fn is_over(&self) -> bool {
        self.input.is_over() && self.is_quiet()
    }

    /// Whether the conversation is over. Looks once more at the input, whose end may not have been read yet; not at a
    /// terminal.
    fn has_nothing_to_say(&mut self, is_typed: bool) -> Result<bool> {
        let shows = |source| poll(&mut [PollFd::new(source, PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1);
        if !is_typed && self.is_quiet() && self.input.wanting(true).is_some_and(shows) {
            self.input.read()?;
        }
        Ok(self.is_over())
    }

    /// Whether all that was sent is answered, and all that was answered printed.
    fn is_quiet(&self) -> bool {
        self.input.front().is_none() && self.connection.unanswered() == 0 && self.output.is_empty()
    }

    /// Asks for a line where a person types, one at a time: replies stand between a line and the next prompt.
    fn ask(&mut self, process: &Process) -> Result<()> {
        let is_quiet = self.is_quiet();
        let Some(prompt) = &mut self.prompt else { return Ok(()) };
        let mut was_stopped = self.input.take_stop();
        if was_stopped {
            prompt.stop();
        }
        if !is_in_foreground() {
            prompt.stop_in_background();
            was_stopped = true;
        }
        if was_stopped {
            // Takes SIGCONT, and a signal to end that came meanwhile.
            process.wait(&mut [], Deadline::in_exactly(Duration::ZERO))?;
        }
        if process.was_continued() {
            prompt.lose();
        }
        if !is_in_foreground() {
            return Ok(());
        }
        if let Some(was_cooked) = prompt.take_terminal() {
            self.input.read_typed(was_cooked)?;
        }
        if is_quiet {
            self.input.ask(prompt);
        } else {
            prompt.end();
        }
        Ok(())
    }

    /// Sends what may be sent, waits for whatever comes first, and takes it.
    fn turn(&mut self, process: &Process) -> Result<()> {
        let refused = self.send()?;
        self.connection.flush()?;
        // After a message that is not sent, the next line is asked for at once.
        if refused || self.is_over() {
            return Ok(());
        }
        // What the client does not read, since stdout is full, is not missing.
        self.silence.goes_on(self.connection.unanswered() > 0 && self.output.len() < OUTPUT_MAX);
        if self.silence.is_to_be_told() {
            let seen = seen(self.connection.is_read());
            self.complain(format_args!("waiting for a reply: {seen}"));
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
            Some(Shown::Nothing) if late => {
                Err(self.silence.error(self.connection.unanswered(), self.connection.is_read()))
            }
            Some(Shown::Nothing) | None => Ok(()),
        }
    }

    /// Watches just what would be of use, since poll(2) tells of errors and hang-ups unasked. What shows
    /// first in this order comes first: a reply is printed before the next is read.
    fn wait(&self, process: &Process) -> Result<Option<Shown>> {
        let (input, output) = (PollFlags::POLLIN, PollFlags::POLLOUT);
        let mut fds = Vec::with_capacity(5);
        // In the background, another program has the terminal. A look tells whether that is still so.
        let is_ours = self.prompt.is_none() || is_in_foreground();
        let look = if is_ours { Deadline::NEVER } else { Deadline::after(BACKGROUND_LOOK) };
        if let Some(prompt) = self.prompt.as_ref().filter(|prompt| is_ours && !prompt.is_flushed()) {
            fds.push((Shown::Screen, PollFd::new(prompt.as_fd(), output)));
        }
        if !self.output.is_empty() {
            fds.push((Shown::Output, PollFd::new(self.stdout.as_fd(), output)));
        }
        if self.output.len() < OUTPUT_MAX {
            fds.push((Shown::Replies, PollFd::new(self.connection.from_server(), input)));
        }
        if !self.connection.is_flushed() {
            fds.push((Shown::Room, PollFd::new(self.connection.to_server(), output)));
        }
        let source = self.input.wanting(self.connection.unanswered() < self.window);
        if let Some(source) = source.filter(|_| is_ours) {
            fds.push((Shown::Input, PollFd::new(source, input)));
        }
        let (shown, mut fds): (Vec<_>, Vec<_>) = fds.into_iter().unzip();
        if process.wait(&mut fds, self.silence.until().or(look))? == Woken::Deadline {
            return Ok(Some(Shown::Nothing));
        }
        Ok(shown.into_iter().zip(fds).find_map(|(shown, fd)| fd.any().unwrap_or(false).then_some(shown)))
    }

    /// Sends what may be sent. Returns whether this client refused to send a message.
    fn send(&mut self) -> Result<bool> {
        let mut refused = false;
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
                    self.complain(error);
                    self.status = Status::Broken;
                    refused = true;
                }
                sent => drop(sent?),
            }
            self.input.pop();
        }
        Ok(refused)
    }

    /// Complains, below what was entered at the prompt.
    fn complain(&mut self, what: impl Display) {
        self.prompt.iter_mut().for_each(Prompt::flush_what_fits);
        complain("client", what);
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
                    self.complain(format_args!("the server refused message {number}: {reason}"));
                    self.status = Status::Broken;
                }
                Answer::Nothing => return Ok(()),
            }
        }
    }

    /// Writes as much of the output as cannot make us wait; call it when stdout shows room.
    fn print(&mut self) -> Result<()> {
        match self.stdout.write(&self.output[self.printed..]) {
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

    /// Prints what was answered before the connection was lost. Gives up when stdout takes nothing for so
    /// long.
    fn print_all(&mut self, process: &Process, patience: Option<Duration>) -> Result<()> {
        while !self.output.is_empty() {
            let until = patience.map_or(Deadline::NEVER, Deadline::after);
            let mut room = [PollFd::new(self.stdout.as_fd(), PollFlags::POLLOUT)];
            match process.wait(&mut room, until)? {
                Woken::Ready(_) => self.print()?,
                Woken::Deadline => break,
                Woken::Signal => {}
            }
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
    /// Nothing until the deadline.
    Nothing,
}
