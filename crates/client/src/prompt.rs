//! The prompt, for a person at a terminal.

use std::io::{IsTerminal, Stderr, stderr, stdin};
use std::os::fd::{AsFd, BorrowedFd};

use handshake_cli::has_escapes;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::Pid;
use terminal_size::{Width, terminal_size_of};

use crate::terminal::{Output, is_in_foreground};

/// What most terminals have, for one that does not say.
const COLUMNS: usize = 80;

/// A prompt on stderr, which leaves stdout to the replies.
#[derive(Debug)]
pub struct Prompt {
    /// Whether the client edits the lines; otherwise the kernel echoes and edits them.
    edits: bool,
    /// How the terminal was before the client set it.
    before: Option<Termios>,
    /// Whether the client has set the terminal, as far as it knows.
    is_set: bool,
    stderr: Output<Stderr>,
    /// What is to be shown and is not yet.
    screen: Vec<u8>,
    /// Whether a prompt stands there, and the cursor behind it.
    is_shown: bool,
}

impl Prompt {
    /// A prompt, if stdin and stderr are terminals. Where stderr understands no escape sequences, the prompt
    /// is a plain `> `. Otherwise the client gets each key from `Prompt::take_terminal` on, until this is
    /// dropped.
    pub fn start() -> Option<Self> {
        if !stdin().is_terminal() || !stderr().is_terminal() {
            return None;
        }
        let (edits, stderr) = (has_escapes(&stderr()), Output::new(stderr()));
        Some(Self { edits, before: None, is_set: false, stderr, screen: Vec::new(), is_shown: false })
    }

    /// Whether the client edits the lines.
    pub(crate) fn edits(&self) -> bool {
        self.edits
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

    /// A line is asked for: the prompt is shown. Returns whether it was shown already.
    pub(crate) fn begin(&mut self) -> bool {
        if !self.edits && !self.is_shown {
            self.screen.extend_from_slice(b"> ");
        }
        std::mem::replace(&mut self.is_shown, true)
    }

    /// The line was entered, and the cursor stands below it.
    pub(crate) fn end(&mut self) {
        self.is_shown = false;
    }

    /// Shows some of what is to be shown; call it when stderr shows room.
    pub(crate) fn flush(&mut self) {
        match self.stderr.write(&self.screen) {
            Ok(count) => drop(self.screen.drain(..count)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // The terminal has gone, and stdin tells of that.
            Err(_) => self.screen.clear(),
        }
    }

    /// Shows what stderr takes now.
    pub(crate) fn flush_what_fits(&mut self) {
        let mut before = usize::MAX;
        while (1..before).contains(&self.screen.len()) && self.stderr.has_room() {
            before = self.screen.len();
            self.flush();
        }
    }

    /// Stops the process and those of its job, as Ctrl-Z does; this returns when it goes on.
    pub(crate) fn stop(&mut self) {
        self.leave();
        // As the kernel does it. Where no shell looks after the job, nothing happens.
        let _ = kill(Pid::from_raw(0), Signal::SIGTSTP);
    }

    /// Stops the process and those of its job, as the kernel does when one reads the terminal in the
    /// background.
    pub(crate) fn stop_in_background(&mut self) {
        self.lose();
        let _ = kill(Pid::from_raw(0), Signal::SIGTTIN);
    }

    /// Another program (a shell, while this one was stopped) may have used the terminal and set it otherwise.
    pub(crate) fn lose(&mut self) {
        (self.is_set, self.is_shown) = (false, false);
    }

    /// Sets the terminal, if that is due: it shows no keys, and hands over each at once. Then returns whether
    /// the kernel edited the lines until now.
    pub(crate) fn take_terminal(&mut self) -> Option<bool> {
        if !self.edits || self.is_set {
            return None;
        }
        // If the terminal has gone, a read will tell.
        let now = tcgetattr(stdin()).ok()?;
        let was_cooked = now.local_flags.contains(LocalFlags::ICANON);
        let keys = of_keys(&now);
        // What this client has set itself is not how the terminal was.
        if was_cooked || self.before.is_none() {
            self.before = Some(now);
        }
        self.is_set = tcsetattr(stdin(), SetArg::TCSANOW, &keys).is_ok();
        Some(was_cooked)
    }

    /// Leaves the terminal as it was, and the cursor at the beginning of a row.
    fn leave(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            self.screen.push(b'\n');
        }
        // In the background, the kernel would stop the process.
        if is_in_foreground() {
            self.flush_what_fits();
            if let Some(before) = self.before.as_ref().filter(|_| self.is_set) {
                let _ = tcsetattr(stdin(), SetArg::TCSANOW, before);
            }
        }
        self.is_set = false;
    }
}

impl AsFd for Prompt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stderr.as_fd()
    }
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
