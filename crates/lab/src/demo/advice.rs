//! The advice for an external client: one sentence for each common mistake in a client of the course.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use handshake_core::error::LEFT_BEFORE;
use nix::sys::signal::Signal;
use pipe_watch::look::Access;

use super::blocked::{Blocked, STDIN};
use super::printer::unbroken;
use super::sentence::shorten;
use super::watch::WkpOpened;

/// The facts about an external client.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The well-known pipe's name.
    pub(super) wkp: String,
    /// Whether the server serves framed clients only.
    pub(super) shared_wkp: bool,
    pub(super) wkp_opened: WkpOpened,
    /// The full names of the pipes that it made, because [`Blocked`] has full names. They are shortened when
    /// printed.
    pub(super) made: Vec<String>,
    /// What the server read instead of a private pipe's name: the number of bytes, and the text at their
    /// beginning.
    pub(super) no_name: Option<(usize, String)>,
    /// The private pipe's name that the server received, in full.
    pub(super) name: Option<String>,
    /// Why the server dropped the client, in the server's words.
    pub(super) dropped: Option<String>,
    /// Whether the server sent the acknowledgement.
    pub(super) acknowledged: bool,
    /// Whether the client printed the acknowledgement only after it had received a message.
    pub(super) printed_ack_late: bool,
    /// The call that blocked it when it first missed an expected step.
    pub(super) blocked: Option<Blocked>,
    /// Whether it was blocked before it opened the well-known pipe.
    pub(super) blocked_before_wkp: bool,
    /// Whether it had closed the well-known pipe before it received a message.
    pub(super) closed_wkp: bool,
    pub(super) end: End,
    /// Requests that the server received, and replies that it sent.
    pub(super) requests: usize,
    pub(super) replies: usize,
}

/// How an external client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with this exit status.
    Status(i32),
    /// By a signal that the demo did not send.
    Crash(Signal),
    /// By a signal that the demo sent, because it had not ended before.
    Sent(Signal),
}

impl End {
    /// How it ended. `sent` is the last signal that the demo sent.
    pub(super) fn new(status: Option<ExitStatus>, sent: Option<Signal>) -> Self {
        let signal =
            status.and_then(|status| status.signal()).and_then(|number| Signal::try_from(number).ok());
        match (sent, signal) {
            (Some(sent), _) => Self::Sent(sent),
            (None, Some(signal)) => Self::Crash(signal),
            (None, None) => Self::Status(status.and_then(|status| status.code()).unwrap_or_default()),
        }
    }
}

impl Facts {
    /// The advice for a handshake that was not completed.
    pub(super) fn on_handshake(&self) -> String {
        let Self { wkp, name, no_name, dropped, .. } = self;
        if self.blocked_before_wkp && self.is_blocked_in_read_of(STDIN) {
            return format!(
                "it waited for input before it opened {wkp}: shake hands first (steps 3 to 5), and then \
                 read messages"
            );
        }
        match (name, no_name, dropped) {
            (Some(name), ..) if self.acknowledged => self.after_acknowledgement(name),
            (Some(name), ..) => self.after_name(name),
            (None, _, Some(dropped)) if self.shared_wkp => {
                format!("the server says: {dropped}; {WITHOUT_SHARED}")
            }
            (None, _, Some(dropped)) => format!("the server says: {dropped}"),
            (None, _, None) if self.shared_wkp && self.wkp_opened != WkpOpened::Never => {
                format!("with --shared-wkp, it must be a client of docs/protocol.md; {WITHOUT_SHARED}")
            }
            (None, Some((bytes, text)), None) => self.after_no_name(*bytes, text),
            (None, None, None) => self.before_name(),
        }
    }

    /// The advice if the server has read nothing from the client.
    fn before_name(&self) -> String {
        let wkp = &self.wkp;
        let write_name =
            format!("write the name of the private pipe into {wkp} (step 4), then open that pipe (step 5)");
        if let (WkpOpened::Never, Some(Blocked { call: "open", access, name, waits, .. })) =
            (self.wkp_opened, &self.blocked)
            && self.made.contains(name)
        {
            let name = shorten(name);
            let also = if *access == Access::Read { "" } else { ", with O_RDONLY" };
            return format!(
                "it {waits} before it has opened {wkp}: a deadlock, since the server cannot open a \
                 pipe whose name it has not read. Open {wkp} and write the name first (step 4), then open \
                 {name} (step 5){also}"
            );
        }
        match (self.wkp_opened, self.end) {
            (WkpOpened::ForReading, _) => format!(
                "it opened {wkp} for reading: use {}, since the client writes there and the server reads",
                unbroken(&format!("open(\"{wkp}\", O_WRONLY)"))
            ),
            (WkpOpened::Never, End::Crash(signal)) => crash(signal, &format!("before it opened {wkp}")),
            (WkpOpened::Never, End::Status(_)) => {
                format!("it made {}, and ended before it opened {wkp}: {OTHER_NAME}", self.made_in_words())
            }
            (WkpOpened::Never, End::Sent(_)) => format!(
                "it made {}, and waited without having opened {wkp}: open {wkp} before its own pipe (steps \
                 4 and 5); {OTHER_NAME}",
                self.made_in_words()
            ),
            (_, End::Crash(signal)) => {
                crash(signal, &format!("after it opened {wkp}, and before it wrote a name"))
            }
            (_, End::Status(_)) => format!("it opened {wkp} and ended without writing into it: {write_name}"),
            (_, End::Sent(_)) => {
                format!("it opened {wkp} and wrote nothing into it: {write_name}{}", self.waits())
            }
        }
    }

    /// The advice if the server has read something that is no private pipe's name.
    fn after_no_name(&self, bytes: usize, text: &str) -> String {
        let wkp = &self.wkp;
        if text.is_empty() {
            return format!(
                "the {bytes} bytes that it wrote into {wkp} begin with NUL: write the name of its private \
                 pipe, with its first character first (step 4)"
            );
        }
        self.no_such_pipe(&format!("[{text}]"), "make one with mkfifo(3)")
    }

    /// The advice if the client has written something that is no name of a pipe of its own.
    fn no_such_pipe(&self, written: &str, mkfifo: &str) -> String {
        let wkp = &self.wkp;
        match self.made.as_slice() {
            [] => format!(
                "it wrote {written} into {wkp}, and made no pipe of that name: {mkfifo} before it opens \
                 {wkp} (step 3)"
            ),
            made => format!(
                "it wrote {written} into {wkp}, but its pipe is called {}: write the name of the pipe that \
                 it made (step 4)",
                in_words(made)
            ),
        }
    }

    /// The advice if the server has read the name, and has not sent the acknowledgement.
    fn after_name(&self, name: &str) -> String {
        let (full_name, name) = (name, shorten(name));
        if !self.made.iter().any(|made| made == full_name) {
            let mkfifo = format!("call mkfifo(\"{name}\", 0600)");
            return self.no_such_pipe(&format!("the name {name}"), &mkfifo);
        }
        match (&self.blocked, self.end) {
            (Some(Blocked { call: "open", access: Access::Write, name: opened, waits, .. }), _)
                if opened == full_name =>
            {
                format!(
                    "it {waits}: use O_RDONLY, since the server writes into the private pipe and the client \
                     reads (step 5)"
                )
            }
            (_, End::Crash(signal)) => crash(signal, "after it wrote its name, before the acknowledgement"),
            (_, End::Status(_)) => format!(
                "it wrote its name and ended: open {name} for reading (step 5), and read the \
                 acknowledgement (step 8)"
            ),
            (_, End::Sent(_)) if self.dropped.as_ref().is_some_and(|why| why.contains(LEFT_BEFORE)) => {
                self.keep_wkp_open()
            }
            (_, End::Sent(_)) => {
                format!("it wrote its name, and did not open {name} for reading (step 5){}", self.waits())
            }
        }
    }

    /// The advice if the client left after the acknowledgement.
    fn after_acknowledgement(&self, name: &str) -> String {
        let (wkp, name) = (&self.wkp, shorten(name));
        match self.end {
            End::Crash(signal) => crash(signal, "after the acknowledgement"),
            End::Status(_) => format!(
                "it ended right after the acknowledgement: keep {wkp} and {name} open, and send what comes \
                 from stdin until that ends"
            ),
            End::Sent(_) => format!(
                "it closed {wkp} or {name} right after the acknowledgement: keep both open, since messages \
                 go through the first and replies come through the second"
            ),
        }
    }

    fn keep_wkp_open(&self) -> String {
        format!(
            "it closed {} after its name: keep that open, since its messages go there, and the server takes \
             its closing for the client's end",
            self.wkp
        )
    }

    /// The advice for missing replies. `messages` is the number of messages that the client should have
    /// received.
    pub(super) fn on_replies(&self, messages: usize) -> String {
        let (wkp, requests) = (&self.wkp, self.requests);
        let reads_private = self.name.as_deref().is_some_and(|name| self.is_blocked_in_read_of(name));
        let name = self.name.as_deref().map_or_else(|| "its private pipe".into(), shorten);
        let read = format!("read each reply from {name} before the next message, and print it");
        match self.end {
            End::Crash(signal) => crash(signal, &self.when()),
            _ if self.printed_ack_late => {
                "it took the acknowledgement for its first reply: read the acknowledgement in the handshake \
                 (step 8), before the first message"
                    .into()
            }
            _ if requests == 0 && self.closed_wkp => self.keep_wkp_open(),
            _ if requests == 0 && reads_private => format!(
                "it waits in a read of {name} and has sent no message: does it read a second \
                 acknowledgement? The server sends one, and then only replies"
            ),
            _ if requests == 0 && self.is_blocked_in_read_of(STDIN) => {
                "it waits for more input and has sent nothing: send each line as soon as it is read".into()
            }
            End::Status(_) if requests == 0 => format!(
                "it ended before the server received a message: write each line of its stdin into {wkp}, \
                 and read the reply (to try a handshake alone: --messages 0)"
            ),
            End::Sent(_) if requests == 0 => {
                format!("it sent no message: write each line of its stdin into {wkp}{}", self.waits())
            }
            End::Status(_) if self.replies < requests => {
                format!("it ended before the reply to message {requests} came: {read}")
            }
            End::Status(_) if requests < messages => {
                format!("it ended after message {requests}, and did not print the reply: {read}")
            }
            _ => format!("it did not print every reply: {read}"),
        }
    }

    fn when(&self) -> String {
        match (self.requests, self.replies) {
            (0, _) => "before the server received a message".into(),
            (requests, replies) if replies < requests => format!("before the reply to message {requests}"),
            (requests, _) => format!("after message {requests}"),
        }
    }

    fn made_in_words(&self) -> String {
        if self.made.is_empty() { "no pipe".into() } else { in_words(&self.made) }
    }

    fn is_blocked_in_read_of(&self, file: &str) -> bool {
        self.blocked.as_ref().is_some_and(|blocked| blocked.call == "read" && blocked.name == file)
    }

    fn waits(&self) -> String {
        let waits = |blocked: &Blocked| format!("; it {}{}", blocked.waits, blocked.meanwhile);
        self.blocked.as_ref().map_or(String::new(), waits)
    }
}

/// The shortened names of pipes.
pub(super) fn in_words(pipes: &[String]) -> String {
    pipes.iter().map(|pipe| shorten(pipe)).collect::<Vec<_>>().join(", ")
}

const WITHOUT_SHARED: &str = "for a client of the course: lab demo dispatch, without --shared-wkp";
const OTHER_NAME: &str = "if it looks for another name, say so with --wkp NAME";

/// When a signal killed the program; and why, or how to find out.
fn crash(signal: Signal, when: &str) -> String {
    let cause = match signal {
        Signal::SIGPIPE => "it wrote into a pipe that no process reads any more",
        _ => "gcc -g -fsanitize=address, or gdb, shows the line",
    };
    format!("it crashed ({signal}) {when}: {cause}")
}

#[cfg(test)]
mod tests;
