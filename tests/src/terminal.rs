//! A terminal for programs under test: the test types, and sees what they show.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::wait::until_told;

/// A pseudo-terminal (pty(7)) of 80 columns.
#[derive(Debug)]
pub struct Terminal {
    /// The end that a terminal emulator would hold.
    person: File,
    /// The end that programs hold. The test holds it as well, so that what they have shown stays readable.
    program: OwnedFd,
    shown: RefCell<Vec<u8>>,
}

impl Terminal {
    /// A new one, as the kernel makes it: it echoes, and edits lines itself.
    pub fn new() -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("a pseudo-terminal");
        fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("it is open");
        for end in [&pty.master, &pty.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("it is open");
        }
        Self { person: pty.master.into(), program: pty.slave, shown: RefCell::default() }
    }

    /// The end for a program.
    pub(crate) fn for_program(&self) -> OwnedFd {
        self.program.try_clone().expect("a copy of a descriptor")
    }

    /// Presses these keys.
    pub fn types(&self, keys: impl AsRef<[u8]>) {
        let mut rest = keys.as_ref();
        while !rest.is_empty() {
            let what = || format!("room in the terminal for {} bytes more", rest.len());
            let count = until_told(what, || (&self.person).write(rest).ok());
            rest = &rest[count..];
        }
    }

    /// All that was shown so far, with escape sequences.
    pub fn screen(&self) -> String {
        let mut shown = self.shown.borrow_mut();
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = (&self.person).read(&mut bytes) {
            shown.extend_from_slice(&bytes[..count]);
        }
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// Waits until this was shown.
    pub fn shows(&self, text: &str) {
        self.shows_times(text, 1);
    }

    /// Waits until this was shown so often.
    pub fn shows_times(&self, text: &str, times: usize) {
        let what = || format!("the terminal to show {text:?} {times} times, not {:?}", self.screen());
        until_told(what, || (self.screen().matches(text).count() >= times).then_some(()));
    }

    /// Whether the kernel echoes and edits lines, as it does for a shell's programs.
    pub fn is_as_it_was(&self) -> bool {
        let flags = tcgetattr(&self.program).expect("it is a terminal").local_flags;
        flags.contains(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG)
    }

    /// Whether the terminal takes nothing more from programs, until [`Terminal::screen`] is read.
    pub fn is_full(&self) -> bool {
        let mut fds = [PollFd::new(self.program.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).expect("a look at a terminal") == 0
    }

    /// The person goes: the terminal hangs up.
    pub fn hangs_up(self) {}
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}
