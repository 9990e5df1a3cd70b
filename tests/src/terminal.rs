//! A terminal for programs under test: the test types, and sees the screen.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::wait::until_with_message;

/// A pseudo-terminal (pty(7)) of 80 columns.
#[derive(Debug)]
pub struct Terminal {
    /// The end of the terminal emulator.
    person: File,
    /// The end of the programs. The test keeps it open, so that the programs' output stays readable after
    /// they end.
    program: OwnedFd,
    shown: RefCell<Vec<u8>>,
}

impl Terminal {
    /// Makes a terminal with the kernel's defaults: it echoes, and edits lines itself.
    pub fn new() -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("a pseudo-terminal");
        fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("the terminal is open");
        for end in [&pty.master, &pty.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("the terminal is open");
        }
        Self { person: pty.master.into(), program: pty.slave, shown: RefCell::default() }
    }

    /// Returns a copy of the programs' end.
    pub(crate) fn for_program(&self) -> OwnedFd {
        self.program.try_clone().expect("a copy of a descriptor")
    }

    /// Types these keys.
    pub fn types(&self, keys: impl AsRef<[u8]>) {
        let mut rest = keys.as_ref();
        while !rest.is_empty() {
            let what = || format!("room in the terminal for {} more bytes", rest.len());
            let count = until_with_message(what, || (&self.person).write(rest).ok());
            rest = &rest[count..];
        }
    }

    /// Returns all that was shown so far, with escape sequences.
    pub fn screen(&self) -> String {
        let mut shown = self.shown.borrow_mut();
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = (&self.person).read(&mut bytes) {
            shown.extend_from_slice(&bytes[..count]);
        }
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// Waits until the terminal has shown this text.
    pub fn shows(&self, text: &str) {
        self.shows_times(text, 1);
    }

    /// Waits until the terminal has shown this text this number of times.
    pub fn shows_times(&self, text: &str, times: usize) {
        let what = || format!("the terminal to show {text:?} {times} times, not {:?}", self.screen());
        until_with_message(what, || (self.screen().matches(text).count() >= times).then_some(()));
    }

    /// Whether the terminal echoes, edits lines and sends signals, as it did at the start.
    pub fn is_as_it_was(&self) -> bool {
        let flags = tcgetattr(&self.program).expect("the descriptor is a terminal").local_flags;
        flags.contains(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG)
    }

    /// Whether the terminal takes no more output from programs. Fills it first: on a busy machine the kernel
    /// makes a little room later, and wakes no program for that.
    pub fn is_full(&self) -> bool {
        // Another open of the same terminal: the programs keep theirs as it is.
        let path = format!("/proc/self/fd/{}", self.program.as_raw_fd());
        let mut filler = OpenOptions::new();
        filler.write(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
        let mut filler = filler.open(path).expect("the terminal can be opened again");
        while filler.write(&[b'x'; 64]).is_ok_and(|count| count > 0) {}
        let mut fds = [PollFd::new(self.program.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).expect("poll(2) accepts a terminal") == 0
    }

    /// Closes the emulator's end: the terminal hangs up.
    pub fn hangs_up(self) {}
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}
