//! The conversation: messages go out, replies come in, both at the same time.

use std::fmt::Display;
use std::io::{Stdout, stdout};
use std::os::fd::AsFd;
use std::time::Duration;

use handshake_cli::{Status, complain, explain};
use handshake_core::client::session::Answer;
use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Length, Result};
use handshake_core::process::{Process, Woken};
use handshake_core::text::words;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use crate::observed;
use crate::silence::{Silence, seen};
use crate::terminal::{Output, is_in_foreground};
use crate::{Connected, Cut, Input, Message, Prompt};

/// The client stops reading replies while this many bytes wait for stdout.
const OUTPUT_MAX: usize = 65_536;

/// How often a client in the background checks whether it is in the foreground again. An orphaned process
/// group cannot be stopped, so such a client stays awake.
const BACKGROUND_LOOK: Duration = Duration::from_secs(1);

/// How a conversation is held.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The most messages that may be unanswered at a time.
    pub window: usize,
    /// How long the server may send nothing while a message is unanswered; 0: for ever.
    pub reply_timeout: Duration,
    /// Whether to print only errors on stderr.
    pub quiet: bool,
}

/// A conversation in progress.
struct Conversation<C> {
    connection: C,
    input: Input,
    window: usize,
    silence: Silence,
    prompt: Option<Prompt>,
    stdout: Output<Stdout>,
    /// Printed when stdout has room: the client must react to its server and to signals while it prints.
    output: Vec<u8>,
    /// `output[..printed]` has been printed.
    printed: usize,
    reply: Vec<u8>,
    /// Whether to print a newline after each reply.
    newline: bool,
    status: Status,
}

/// Sends all of `input`, prints the replies, and says BYE. A refused message does not end the conversation;
/// the returned status reports it.
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
    let mut conversation = Conversation {
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
    // Replies may have arrived together with the acknowledgement.
    let mut outcome = conversation.take_answers();
    while outcome.is_ok() && !conversation.is_over() {
        outcome = conversation.ask(process).and_then(|()| conversation.step(process));
    }
    if !matches!(outcome, Err(Error::Signal(_))) {
        // After a reply timeout, a stdout that accepts nothing must not keep the client alive either.
        let is_late = matches!(outcome, Err(Error::NoReply { .. })) && !rules.reply_timeout.is_zero();
        conversation.print_all(process, is_late.then_some(rules.reply_timeout))?;
    }
    // Drop the prompt before printing anything else: the cursor may stand behind it.
    let is_typed = conversation.prompt.take().is_some();
    match outcome {
        // The client has all its replies, so it ignores that the server closed the connection first.
        Err(Error::Lost { .. }) if conversation.is_over_after_read(is_typed)? => {}
        outcome => outcome?,
    }
    conversation.connection.bye();
    Ok(conversation.status)
}

impl<C: Connected> Conversation<C> {
    fn is_over(&self) -> bool {
        self.input.is_over() && self.is_idle()
    }

    /// Whether the conversation is over. Reads the input once more, because its EOF may not have been read
    /// yet; skips this at a terminal.
    fn is_over_after_read(&mut self, is_typed: bool) -> Result<bool> {
        let shows = |source| poll(&mut [PollFd::new(source, PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1);
        if !is_typed && self.is_idle() && self.input.wanting(true).is_some_and(shows) {
            self.input.read()?;
        }
        Ok(self.is_over())
    }

    /// Whether every message is answered and every reply printed.
    fn is_idle(&self) -> bool {
        self.input.front().is_none() && self.connection.unanswered() == 0 && self.output.is_empty()
    }

    /// At a terminal, asks for the next line. The prompt appears only after all replies to the line before.
    fn ask(&mut self, process: &Process) -> Result<()> {
        let is_idle = self.is_idle();
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
            // Accept SIGCONT, and a termination signal that arrived meanwhile.
            process.wait(&mut [], Deadline::in_exactly(Duration::ZERO))?;
        }
        if process.was_continued() {
            prompt.forget_terminal();
        }
        if !is_in_foreground() {
            return Ok(());
        }
        if let Some(was_cooked) = prompt.take_terminal() {
            self.input.read_typed(was_cooked)?;
        }
        if is_idle {
            self.input.ask(prompt);
        } else {
            prompt.end();
        }
        Ok(())
    }

    /// Sends what it may, waits for the first event, and handles it.
    fn step(&mut self, process: &Process) -> Result<()> {
        let refused = self.send()?;
        self.connection.flush()?;
        // This client refused a message, so it asks for the next line at once.
        if refused || self.is_over() {
            return Ok(());
        }
        // While stdout is full the client reads no replies, so the silence is not the server's.
        self.silence.update(self.connection.unanswered() > 0 && self.output.len() < OUTPUT_MAX);
        if self.silence.take_notice() {
            let seen = seen(self.connection.is_read());
            self.complain(format_args!("waiting for a reply: {seen}"));
        }
        // Poll once more before giving up: this process may have been stopped for a while.
        let late = self.silence.end().passed();
        match self.wait(process)? {
            Some(Ready::Replies) => {
                self.silence.reset();
                self.receive()
            }
            Some(Ready::Input) => self.input.read(),
            Some(Ready::Output) => self.print(),
            Some(Ready::Screen) => {
                self.prompt.iter_mut().for_each(Prompt::flush);
                Ok(())
            }
            Some(Ready::Room) => {
                self.silence.reset();
                Ok(())
            }
            Some(Ready::Nothing) if late => {
                let server = observed::behind(self.connection.to_server());
                Err(self.silence.error(self.connection.unanswered(), self.connection.is_read(), server))
            }
            Some(Ready::Nothing) | None => Ok(()),
        }
    }

    /// Watches only the file descriptors that matter now, since poll(2) reports errors and hang-ups unasked.
    /// If several are ready, the order below decides: the client prints a reply before it reads the next.
    fn wait(&self, process: &Process) -> Result<Option<Ready>> {
        let (input, output) = (PollFlags::POLLIN, PollFlags::POLLOUT);
        let mut fds = Vec::with_capacity(5);
        // In the background, another program has the terminal. Check regularly whether that is still the
        // case.
        let is_ours = self.prompt.is_none() || is_in_foreground();
        let look = if is_ours { Deadline::NEVER } else { Deadline::after(BACKGROUND_LOOK) };
        if let Some(prompt) = self.prompt.as_ref().filter(|prompt| is_ours && !prompt.is_flushed()) {
            fds.push((Ready::Screen, PollFd::new(prompt.as_fd(), output)));
        }
        if !self.output.is_empty() {
            fds.push((Ready::Output, PollFd::new(self.stdout.as_fd(), output)));
        }
        if self.output.len() < OUTPUT_MAX {
            fds.push((Ready::Replies, PollFd::new(self.connection.from_server(), input)));
        }
        if !self.connection.is_flushed() {
            fds.push((Ready::Room, PollFd::new(self.connection.to_server(), output)));
        }
        let source = self.input.wanting(self.connection.unanswered() < self.window);
        if let Some(source) = source.filter(|_| is_ours) {
            fds.push((Ready::Input, PollFd::new(source, input)));
        }
        let (shown, mut fds): (Vec<_>, Vec<_>) = fds.into_iter().unzip();
        if process.wait(&mut fds, self.silence.until().or(look))? == Woken::Deadline {
            return Ok(Some(Ready::Nothing));
        }
        Ok(shown.into_iter().zip(fds).find_map(|(shown, fd)| fd.any().unwrap_or(false).then_some(shown)))
    }

    /// Sends what it may. Returns whether this client refused to send a message.
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
                    self.complain(explain(&error));
                    self.status = Status::Broken;
                    refused = true;
                }
                sent => drop(sent?),
            }
            self.input.pop();
        }
        Ok(refused)
    }

    /// Prints a complaint below the line entered at the prompt.
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
                        // Swap the buffers, so that a long reply is not copied.
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

    /// Writes as much of the output as stdout takes without blocking; call it when stdout has room.
    fn print(&mut self) -> Result<()> {
        match self.stdout.write(&self.output[self.printed..]) {
            Ok(count) => self.printed += count,
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // The reader of stdout has closed it: end as any filter does.
            Err(Errno::EPIPE) => return Err(Error::Signal(Signal::SIGPIPE as i32)),
            Err(errno) => return Err(Error::on("write to", "stdout", errno)),
        }
        if self.printed == self.output.len() {
            self.output.clear();
            self.printed = 0;
        }
        Ok(())
    }

    /// Prints the replies that arrived before the connection was lost. Gives up when stdout takes nothing for
    /// `timeout`.
    fn print_all(&mut self, process: &Process, timeout: Option<Duration>) -> Result<()> {
        while !self.output.is_empty() {
            let until = timeout.map_or(Deadline::NEVER, Deadline::after);
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

/// What a wait of the conversation found.
#[derive(Clone, Copy)]
enum Ready {
    Replies,
    Room,
    Output,
    Screen,
    Input,
    /// Nothing happened before the deadline.
    Nothing,
}
