//! Observes a program from outside: the pipes that it makes, opens and removes.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use handshake_core::error::{Error, Result};
use handshake_core::fifo::{Standing, look};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use probe::proc::{self, Direction, PipeEnd};

use super::sentence::shorten;
use super::wkp::Wkp;

/// Observes a directory, and the file descriptors of a program and its descendants.
#[derive(Debug)]
pub(super) struct Watch {
    /// Reports every name that appears or disappears, however short its life (inotify(7)).
    names: Inotify,
    place: PathBuf,
    wkp: Wkp,
    /// The PIDs of the demo's own clients, whose pipes do not belong to the program.
    ours: Vec<u32>,
    made: BTreeSet<String>,
    left: BTreeSet<String>,
    opened: BTreeSet<(String, bool)>,
    /// Whether the well-known pipe was opened, even if only for a moment between two looks at the file
    /// descriptors.
    wkp_opened: bool,
}

/// How a program has opened the well-known pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WkpOpened {
    Never,
    /// Opened and closed again between two looks.
    Shortly,
    ForReading,
    ForWriting,
    Both,
}

/// An observation: the course's step, if it is one, and a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) step: Option<u8>,
    pub(super) text: String,
}

impl Watch {
    /// Starts to observe.
    ///
    /// # Errors
    /// The user has reached the limit of inotify instances.
    pub(super) fn begin(place: &Path, wkp: &Wkp, ours: Vec<u32>) -> Result<Self> {
        let failed = |errno| Error::at("watch", place, errno, "");
        let names = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(failed)?;
        // The server made, opened and renamed its pipe before this. From now on only a client opens the pipe
        // by its name.
        let watched = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_OPEN;
        names.add_watch(place, watched).map_err(failed)?;
        let (made, left, opened) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (place, wkp) = (place.into(), wkp.clone());
        Ok(Self { names, place, wkp, ours, made, left, opened, wkp_opened: false })
    }

    /// The file descriptor that is readable when a name has appeared, disappeared or was opened.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.names.as_fd()
    }

    /// What has happened since the last look, in order. The program is process `pid`.
    pub(super) fn look(&mut self, pid: u32) -> Vec<Seen> {
        let mut seen = Vec::new();
        while let Ok(events) = self.names.read_events() {
            seen.extend(events.iter().filter_map(|event| self.name(event)));
        }
        let ends = proc::process_tree(pid).into_iter().flat_map(proc::pipe_ends);
        for end in ends {
            if let Some(name) = end.name {
                seen.extend(self.end(name, end.direction));
            }
        }
        // Within one look, the steps' order is the only possible one.
        seen.sort_by_key(|seen| seen.step.unwrap_or(u8::MAX));
        seen
    }

    /// Whether process `pid` and its descendants hold no pipe to the server.
    pub(super) fn has_closed_wkp(&self, pid: u32) -> bool {
        let to_server = |end: &PipeEnd| {
            end.direction != Direction::Read
                && end.name.as_ref().is_some_and(|name| self.wkp.is_of_server(name))
        };
        !proc::process_tree(pid).into_iter().flat_map(proc::pipe_ends).any(|end| to_server(&end))
    }

    /// The observation of a name that appeared or disappeared.
    fn name(&mut self, event: &InotifyEvent) -> Option<Seen> {
        let name = event.name.as_deref().and_then(OsStr::to_str)?;
        if event.mask.contains(AddWatchFlags::IN_OPEN) {
            self.wkp_opened |= name == self.wkp.name();
            return None;
        }
        if event.mask.contains(AddWatchFlags::IN_DELETE) {
            self.left.remove(name);
            let text = format!("{} is removed", shorten(name));
            return self.made.contains(name).then_some(Seen { step: Some(8), text });
        }
        if self.wkp.is_of_server(name) || self.ours.iter().any(|pid| self.wkp.is_of_client(name, *pid)) {
            return None;
        }
        self.left.insert(name.into());
        let is_again = !self.made.insert(name.into());
        let again = if is_again { " again" } else { "" };
        let (step, what) = match look(&self.place.join(name)) {
            Ok(Standing::Other(what)) => (None, what),
            // The pipe may have been removed since, as private pipes are.
            _ => (Some(3), "a pipe"),
        };
        Some(Seen { step, text: format!("{what} {} appears{again}", shorten(name)) })
    }

    /// The observation of a pipe end that the program holds.
    fn end(&mut self, name: String, direction: Direction) -> Option<Seen> {
        let is_private = self.made.contains(&name);
        let shown = if self.wkp.is_of_server(&name) { self.wkp.name().to_owned() } else { name };
        let (step, what) = match direction {
            Direction::Read if is_private => (Some(5), "for reading"),
            Direction::Read => (None, "for reading"),
            Direction::Write if is_private => (None, "for writing"),
            Direction::Write => (Some(4), "for writing"),
        };
        let is_new = self.opened.insert((shown.clone(), direction == Direction::Write));
        is_new.then(|| Seen { step, text: format!("it has {} open {what}", shorten(&shown)) })
    }

    /// The names that it has made.
    pub(super) fn made(&self) -> impl Iterator<Item = &str> {
        self.made.iter().map(String::as_str)
    }

    /// The names that it has made and not removed.
    pub(super) fn left(&self) -> impl Iterator<Item = &str> {
        self.left.iter().map(String::as_str)
    }

    /// How it was seen to open the well-known pipe.
    pub(super) fn wkp_opened(&self) -> WkpOpened {
        let [reads, writes] =
            [false, true].map(|direction| self.opened.contains(&(self.wkp.name().to_owned(), direction)));
        match (reads, writes) {
            (true, true) => WkpOpened::Both,
            (true, false) => WkpOpened::ForReading,
            (false, true) => WkpOpened::ForWriting,
            (false, false) if self.wkp_opened => WkpOpened::Shortly,
            (false, false) => WkpOpened::Never,
        }
    }
}
