//! The prompt at a terminal.

use std::io::{IsTerminal, Stderr, stderr, stdin};
use std::os::fd::{AsFd, BorrowedFd};

use handshake_cli::has_escapes;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::Pid;
use terminal_size::{Width, terminal_size_of};

use crate::terminal::{Output, is_in_foreground};

/// The width of most terminals, for a terminal that does not report its own.
const COLUMNS: usize = 80;

/// A prompt on stderr, which leaves stdout to the replies.
#[derive(Debug)]
pub struct Prompt {
    /// Whether the client edits the lines; otherwise the kernel echoes and edits them.
    edits: bool,
    /// The terminal's modes before the client changed them.
    before: Option<Termios>,
    /// Whether the client has set the terminal's modes, as far as it knows.
    is_set: bool,
    stderr: Output<Stderr>,
    /// Bytes that stderr has not taken yet.
    screen: Vec<u8>,
    /// Whether the prompt is on the screen, with the cursor behind it.
    is_shown: bool,
}

impl Prompt {
    /// The prompt, if stdin and stderr are terminals. Where stderr understands no escape sequences, it is a
    /// plain `> `.
    /// Otherwise `Prompt::take_terminal` gives each key to the client, until the prompt is dropped.
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

    /// Bytes that stderr has not taken yet.
    pub(crate) fn screen(&mut self) -> &mut Vec<u8> {
        &mut self.screen
    }

    pub(crate) fn is_flushed(&self) -> bool {
        self.screen.is_empty()
    }

    /// The terminal's current number of columns.
    pub(crate) fn columns() -> usize {
        match terminal_size_of(stderr()) {
            Some((Width(columns @ 1..), _)) => columns.into(),
            _ => COLUMNS,
        }
    }

    /// Shows the prompt, for the next line. Returns whether it was on the screen already.
    pub(crate) fn begin(&mut self) -> bool {
        if !self.edits && !self.is_shown {
            self.screen.extend_from_slice(b"> ");
        }
        std::mem::replace(&mut self.is_shown, true)
    }

    /// Notes that a line was entered: the cursor stands below it.
    pub(crate) fn end(&mut self) {
        self.is_shown = false;
    }

    /// Writes some of the pending bytes; call it when stderr has room.
    pub(crate) fn flush(&mut self) {
        match self.stderr.write(&self.screen) {
            Ok(count) => drop(self.screen.drain(..count)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // The terminal has gone; the next read of stdin reports it.
            Err(_) => self.screen.clear(),
        }
    }

    /// Writes as many of the pending bytes as stderr takes now.
    pub(crate) fn flush_what_fits(&mut self) {
        let mut before = usize::MAX;
        while (1..before).contains(&self.screen.len()) && self.stderr.has_room() {
            before = self.screen.len();
            self.flush();
        }
    }

    /// Stops the process group, as Ctrl-Z does; returns when it is continued.
    pub(crate) fn stop(&mut self) {
        self.leave();
        // The kernel does the same. In an orphaned process group, nothing happens.
        let _ = kill(Pid::from_raw(0), Signal::SIGTSTP);
    }

    /// Stops the process group, as the kernel does when a background process reads the terminal.
    pub(crate) fn stop_in_background(&mut self) {
        self.forget_terminal();
        let _ = kill(Pid::from_raw(0), Signal::SIGTTIN);
    }

    /// Forgets the terminal's state: another program may have changed it while this one was stopped.
    pub(crate) fn forget_terminal(&mut self) {
        (self.is_set, self.is_shown) = (false, false);
    }

    /// Sets the terminal, if necessary: no echo, and each key is available at once. Returns whether the
    /// kernel edited the lines until now.
    pub(crate) fn take_terminal(&mut self) -> Option<bool> {
        if !self.edits || self.is_set {
            return None;
        }
        // If the terminal has gone, the next read reports it.
        let now = tcgetattr(stdin()).ok()?;
        let was_cooked = now.local_flags.contains(LocalFlags::ICANON);
        let keys = raw_modes(&now);
        // Do not take the client's own settings for the original ones.
        if was_cooked || self.before.is_none() {
            self.before = Some(now);
        }
        self.is_set = tcsetattr(stdin(), SetArg::TCSANOW, &keys).is_ok();
        Some(was_cooked)
    }

    /// Restores the terminal, and moves the cursor to the beginning of a row.
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

/// The modes without echo, in which each key is available at once. Ctrl-C and Ctrl-\ still send signals,
/// whatever the client does. The client handles Ctrl-Z and Ctrl-V itself.
fn raw_modes(before: &Termios) -> Termios {
    let mut modes = before.clone();
    modes.local_flags -= LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::IEXTEN;
    modes.local_flags |= LocalFlags::ISIG;
    let characters = [
        (SpecialCharacterIndices::VSUSP, nix::libc::_POSIX_VDISABLE),
        // A read must not block: Ctrl-C may have discarded the input.
        (SpecialCharacterIndices::VMIN, 0),
        (SpecialCharacterIndices::VTIME, 0),
    ];
    for (index, character) in characters {
        modes.control_chars[index as usize] = character;
    }
    modes
}
