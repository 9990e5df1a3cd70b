//! The prompt, for a person at a terminal.

use std::io::{IsTerminal, Write, stderr, stdin};
use std::os::fd::AsFd;

use handshake_cli::has_escapes;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::{Pid, getpgrp, tcgetpgrp};
use terminal_size::{Width, terminal_size_of};

/// What most terminals have, for one that does not say.
const COLUMNS: usize = 80;

/// A prompt on stderr, which leaves stdout to the replies.
#[derive(Debug)]
pub struct Prompt {
    /// How the client sets the terminal, and how that was before; `None`: the kernel echoes and edits the
    /// lines.
    modes: Option<(Termios, Termios)>,
    /// What is to be shown and is not yet.
    screen: Vec<u8>,
    /// Whether a prompt stands there, and the cursor behind it.
    is_shown: bool,
}

impl Prompt {
    /// A prompt, if stdin and stderr are terminals. Where stderr understands no escape sequences, the prompt
    /// is a plain `> `. Otherwise the client gets each key from now on, until this is dropped.
    pub fn start() -> Option<Self> {
        if !stdin().is_terminal() || !stderr().is_terminal() {
            return None;
        }
        let modes = has_escapes(&stderr()).then(|| tcgetattr(stdin()).ok()).flatten();
        let modes = modes.map(|before| (of_keys(&before), before));
        let modes = modes.filter(|(keys, _)| tcsetattr(stdin(), SetArg::TCSANOW, keys).is_ok());
        Some(Self { modes, screen: Vec::new(), is_shown: false })
    }

    /// Whether the client edits the lines.
    pub(crate) fn edits(&self) -> bool {
        self.modes.is_some()
    }

    pub(crate) fn is_shown(&self) -> bool {
        self.is_shown
    }

    /// What is to be shown and is not yet.
    pub(crate) fn screen(&mut self) -> &mut Vec<u8> {
        &mut self.screen
    }

    pub(crate) fn is_flushed(&self) -> bool {
        self.screen.is_empty()
    }

    /// The columns of the terminal as it is now.
    pub(crate) fn columns() -> usize {
        match terminal_size_of(stderr()) {
            Some((Width(columns @ 1..), _)) => columns.into(),
            _ => COLUMNS,
        }
    }

    /// A line is asked for: the prompt is shown. A program that had the terminal meanwhile (a shell, after
    /// SIGSTOP and SIGCONT) may have set it otherwise.
    pub(crate) fn begin(&mut self) {
        match &self.modes {
            None if !self.is_shown => self.screen.extend_from_slice(b"> "),
            Some((keys, _)) if tcgetattr(stdin()).is_ok_and(|now| now.local_flags != keys.local_flags) => {
                self.set(SetTo::Keys);
            }
            _ => {}
        }
        self.is_shown = true;
    }

    /// The line was entered, and the cursor stands below it.
    pub(crate) fn end(&mut self) {
        self.is_shown = false;
    }

    /// Shows what is to be shown; call it when stderr shows room.
    pub(crate) fn flush(&mut self) {
        // A terminal that takes nothing any more has gone, and stdin tells of that.
        let _ = stderr().write_all(&self.screen);
        self.screen.clear();
    }

    /// Stops the process and those of its job, as Ctrl-Z does; this returns when it goes on.
    pub(crate) fn stop(&mut self) {
        self.leave();
        // As the kernel does it. Where no shell looks after the job, nothing happens.
        let _ = kill(Pid::from_raw(0), Signal::SIGTSTP);
        self.set(SetTo::Keys);
    }

    /// Leaves the terminal as it was, and the cursor at the beginning of a row.
    fn leave(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            self.screen.push(b'\n');
        }
        let stderr = stderr();
        let mut room = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        if !self.screen.is_empty() && poll(&mut room, PollTimeout::ZERO) == Ok(1) {
            self.flush();
        }
        self.set(SetTo::Before);
    }

    fn set(&self, to: SetTo) {
        // In the background, it is another program's terminal; and it would stop this one for touching it.
        let is_ours = tcgetpgrp(stdin()).map_or(true, |group| group == getpgrp());
        if let Some((keys, before)) = self.modes.as_ref().filter(|_| is_ours) {
            let modes = match to {
                SetTo::Keys => keys,
                SetTo::Before => before,
            };
            // If the terminal has gone, there is nothing to set.
            let _ = tcsetattr(stdin(), SetArg::TCSANOW, modes);
        }
    }
}

/// How to set a terminal.
#[derive(Debug, Clone, Copy)]
enum SetTo {
    /// The client gets each key.
    Keys,
    /// As the client found it.
    Before,
}

impl Drop for Prompt {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Modes in which the terminal shows no keys and hands over each at once. Ctrl-C and Ctrl-\ remain signals,
/// and work whatever the client does. Ctrl-Z and Ctrl-V are for the client.
fn of_keys(before: &Termios) -> Termios {
    let mut modes = before.clone();
    modes.local_flags -= LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::IEXTEN;
    modes.local_flags |= LocalFlags::ISIG;
    let characters = [
        (SpecialCharacterIndices::VSUSP, nix::libc::_POSIX_VDISABLE),
        // A read waits for nothing: Ctrl-C may have thrown away what there was.
        (SpecialCharacterIndices::VMIN, 0),
        (SpecialCharacterIndices::VTIME, 0),
    ];
    for (index, character) in characters {
        modes.control_chars[index as usize] = character;
    }
    modes
}
