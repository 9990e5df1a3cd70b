//! What one sees of a program from outside: the pipes that it makes, opens and removes.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use handshake_core::error::{Error, Result};
use handshake_core::fifo::{Standing, look};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use probe::proc::{self, PipeEnd, Way};

use super::tell::shorten;
use super::wkp::Wkp;

/// Looks at a directory, and at the descriptors of a program and of those that it has started.
#[derive(Debug)]
pub(super) struct Watch {
    /// Tells of every name that comes or goes, however short its life (inotify(7)).
    names: Inotify,
    place: PathBuf,
    wkp: Wkp,
    /// Our own clients, whose pipes are none of its.
    ours: Vec<u32>,
    made: BTreeSet<String>,
    left: BTreeSet<String>,
    opened: BTreeSet<(String, bool)>,
    /// Whether the well-known pipe was opened, even if only for a moment between two looks at the
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

/// Something that was seen: the course's number, if it has one, and in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) step: Option<u8>,
    pub(super) text: String,
}

impl Watch {
    /// From now on.
    ///
    /// # Errors
    /// The kernel has no more of such watches for this user.
    pub(super) fn begin(place: &Path, wkp: &Wkp, ours: Vec<u32>) -> Result<Self> {
        let failed = |errno| Error::at("watch", place, errno, "");
        let names = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(failed)?;
        // The server makes, opens and renames its pipe before; from now on only a client opens it by its
        // name.
        let watched = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_OPEN;
        names.add_watch(place, watched).map_err(failed)?;
        let (made, left, opened) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (place, wkp) = (place.into(), wkp.clone());
        Ok(Self { names, place, wkp, ours, made, left, opened, wkp_opened: false })
    }

    /// Shows that there is something to look at.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.names.as_fd()
    }

    /// What has happened since, in order. The program is process `pid`.
    pub(super) fn look(&mut self, pid: u32) -> Vec<Seen> {
        let mut seen = Vec::new();
        while let Ok(events) = self.names.read_events() {
            seen.extend(events.iter().filter_map(|event| self.name(event)));
        }
        let ends = proc::family(pid).into_iter().flat_map(proc::pipe_ends);
        for end in ends {
            if let Some(name) = end.name {
                seen.extend(self.end(name, end.way));
            }
        }
        // In one look, the order in which it can only have been.
        seen.sort_by_key(|seen| seen.step.unwrap_or(u8::MAX));
        seen
    }

    /// Whether process `pid` and those that it has started can write nothing to the server.
    pub(super) fn has_closed_wkp(&self, pid: u32) -> bool {
        let to_server = |end: &PipeEnd| {
            end.way != Way::Read && end.name.as_ref().is_some_and(|name| self.wkp.is_of_server(name))
        };
        !proc::family(pid).into_iter().flat_map(proc::pipe_ends).any(|end| to_server(&end))
    }

    /// A name that came or went.
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
            // It may have gone since, as a private pipe does.
            _ => (Some(3), "a pipe"),
        };
        Some(Seen { step, text: format!("{what} {} appears{again}", shorten(name)) })
    }

    /// An end of a pipe that it holds.
    fn end(&mut self, name: String, way: Way) -> Option<Seen> {
        let is_private = self.made.contains(&name);
        let shown = if self.wkp.is_of_server(&name) { self.wkp.name().to_owned() } else { name };
        let (step, what) = match way {
            Way::Read if is_private => (Some(5), "for reading"),
            Way::Read => (None, "for reading"),
            Way::Write if is_private => (None, "for writing"),
            Way::Write => (Some(4), "for writing"),
        };
        let is_new = self.opened.insert((shown.clone(), way == Way::Write));
        is_new.then(|| Seen { step, text: format!("it has {} open {what}", shorten(&shown)) })
    }

    /// What it has made so far.
    pub(super) fn made(&self) -> impl Iterator<Item = &str> {
        self.made.iter().map(String::as_str)
    }

    /// What it has made and not removed.
    pub(super) fn left(&self) -> impl Iterator<Item = &str> {
        self.left.iter().map(String::as_str)
    }

    /// How it was seen to have the well-known pipe open.
    pub(super) fn wkp_opened(&self) -> WkpOpened {
        let [reads, writes] =
            [false, true].map(|way| self.opened.contains(&(self.wkp.name().to_owned(), way)));
        match (reads, writes) {
            (true, true) => WkpOpened::Both,
            (true, false) => WkpOpened::ForReading,
            (false, true) => WkpOpened::ForWriting,
            (false, false) if self.wkp_opened => WkpOpened::Shortly,
            (false, false) => WkpOpened::Never,
        }
    }
}
