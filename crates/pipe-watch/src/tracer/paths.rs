//! Calls with paths: open(2), mkfifo(3), unlink(2), rename(2).
//!
//! A FIFO is looked at when a call begins, while it still has its name. Of files that are missing, only those
//! are reported that are, were or become a FIFO in this trace, or look like one: see [`Tracer::is_likely`].

use std::io;
use std::path::Path;

use super::fifo_names::{Name, name};
use super::pending::{At, Begun, Entry, Kind, Opening, Renaming};
use super::state::Tracer;
use crate::event::{Call, Event};
use crate::look::{Access, PipeId, ends, stat};

impl Tracer<'_> {
    /// Reads a path. A relative one begins in the working directory, or in that of a descriptor.
    pub(super) fn at(&self, entry: &Entry, directory: Option<i32>, address: u64) -> Option<At> {
        let path = entry.memory().path(address)?;
        let tid = entry.tid;
        let base = match directory {
            _ if path.is_absolute() => format!("/proc/{tid}/root"),
            None | Some(libc::AT_FDCWD) => format!("/proc/{tid}/cwd"),
            Some(fd) => format!("/proc/{tid}/fd/{fd}"),
        };
        let real = Path::new(&base).join(path.strip_prefix("/").unwrap_or(&path));
        Some(At { given: path.to_string_lossy().into_owned(), real })
    }

    fn event_at(&mut self, entry: &Entry, call: Call, at: &At) -> Event {
        let mut event = self.event(entry.tid, entry.ns, call);
        event.path = Some(at.given.clone());
        event
    }

    /// A FIFO has this path.
    fn learn(&mut self, at: &At, id: PipeId) {
        self.pipes.rename(id, Some(at.given.clone()));
        if let Some(name) = name(&at.real) {
            self.names.learn(name).into_iter().for_each(|event| self.log.add(event));
        }
    }

    pub(super) fn enter_open(
        &mut self,
        entry: &Entry,
        directory: Option<i32>,
        address: u64,
        flags: i32,
    ) -> Begun {
        let at = self.at(entry, directory, address)?;
        let node = stat::node(&at.real);
        let fifo = node.as_ref().ok().filter(|node| node.is_fifo).map(|node| node.id);
        let is_other = fifo.is_none() && (node.is_ok() || flags & libc::O_CREAT != 0);
        let mut event = if is_other {
            Event::new(0, entry.ns, entry.pid as u32, Call::Open, crate::event::Source::Trace)
        } else {
            self.event_at(entry, Call::Open, &at)
        };
        event.access = ends::access_of(flags);
        event.nonblocking = flags & libc::O_NONBLOCK != 0;
        let life = fifo.map(|id| {
            let (pipe, life) = self.pipes.hold(id);
            event.pipe = Some(pipe);
            self.learn(&at, id);
            life
        });
        Some((event, Kind::Open(Opening { at, flags, life, is_other })))
    }

    pub(super) fn leave_open(&mut self, tid: i32, mut event: Event, opening: Opening) {
        let Some(fd) = event.ret else { return self.leave_failed_open(event, opening) };
        let fd = fd as i32;
        let file = stat::node(Path::new(&format!("/proc/{tid}/fd/{fd}")));
        let fifo = file.ok().filter(|file| file.is_fifo).map(|file| file.id);
        let end = fifo.zip(ends::access_of(opening.flags));
        let end = end.map(|(id, access)| self.pipes.open(id, access, opening.flags));
        if let Some(task) = self.tasks.get(&tid) {
            task.files.borrow_mut().set(fd, end.clone());
        }
        let Some(end) = end else { return };
        if opening.is_other {
            // The FIFO took the place of another file since the call began.
            let numbered = self.event(tid, event.ns, Call::Open);
            event = Event { seq: numbered.seq, tid: numbered.tid, who: numbered.who, ..event };
        }
        event.fd = Some(fd);
        event.pipe = Some(end.pipe);
        event.path = Some(opening.at.given);
        self.log.add(event);
    }

    fn leave_failed_open(&mut self, mut event: Event, opening: Opening) {
        if opening.is_other {
            return;
        }
        if let Ok(Some(id)) = fifo(&opening.at.real) {
            event.pipe = Some(self.pipes.key(id));
        }
        let name = name(&opening.at.real);
        let is_known = name.as_ref().is_some_and(|name| self.names.is_known(name));
        if event.pipe.is_some() || is_known || self.is_likely(&event, name.as_ref(), &opening) {
            self.log.add(event);
        } else if let (Some(name), Some("ENOENT")) = (name, event.errno.as_deref()) {
            self.names.wait(name, event);
        }
    }

    /// Whether a missing file was probably meant to be a FIFO: a program opens it for writing and does not
    /// make it; it lies where other FIFOs lie; or it is in the working directory and has no suffix. A loader
    /// looks for its libraries elsewhere.
    fn is_likely(&self, event: &Event, name: Option<&Name>, opening: &Opening) -> bool {
        let given = opening.at.given.as_str();
        let is_system = ["/dev/", "/proc/", "/sys/"].iter().any(|place| given.starts_with(place));
        match event.errno.as_deref() {
            _ if is_system => false,
            Some("ENXIO") => true,
            Some("ENOENT") if opening.flags & libc::O_DIRECTORY == 0 => {
                event.access.is_some_and(Access::writes)
                    || name.is_some_and(|name| self.names.is_beside_fifos(name))
                    || !given.contains(['/', '.'])
            }
            _ => false,
        }
    }

    pub(super) fn enter_mkfifo(
        &mut self,
        entry: &Entry,
        directory: Option<i32>,
        address: u64,
        mode: u64,
    ) -> Begun {
        if mode as u32 & libc::S_IFMT != libc::S_IFIFO {
            return None;
        }
        let at = self.at(entry, directory, address)?;
        Some((self.event_at(entry, Call::Mkfifo, &at), Kind::Mkfifo(at)))
    }

    pub(super) fn leave_mkfifo(&mut self, mut event: Event, at: &At) {
        if let Ok(Some(id)) = fifo(&at.real) {
            let is_new = event.ret.is_some();
            event.pipe = Some(if is_new { self.pipes.made(id) } else { self.pipes.key(id) });
            self.learn(at, id);
        }
        self.log.add(event);
    }

    pub(super) fn enter_unlink(&mut self, entry: &Entry, directory: Option<i32>, address: u64) -> Begun {
        let at = self.at(entry, directory, address)?;
        let fifo = match fifo(&at.real) {
            Ok(Some(id)) => Some(id),
            Ok(None) => return None,
            Err(_) => {
                name(&at.real).filter(|name| self.names.is_known(name))?;
                None
            }
        };
        let mut event = self.event_at(entry, Call::Unlink, &at);
        event.pipe = fifo.map(|id| self.pipes.key(id));
        Some((event, Kind::Unlink(at, fifo)))
    }

    pub(super) fn leave_unlink(&mut self, event: Event, at: &At, id: Option<PipeId>) {
        if let (Some(id), true) = (id, event.ret.is_some()) {
            self.learn(at, id);
            self.pipes.rename(id, None);
        }
        self.log.add(event);
    }

    pub(super) fn enter_rename(
        &mut self,
        entry: &Entry,
        (from, from_address): (Option<i32>, u64),
        (to, to_address): (Option<i32>, u64),
        flags: u64,
    ) -> Begun {
        let from = self.at(entry, from, from_address)?;
        let to = self.at(entry, to, to_address)?;
        let fifos = [&from, &to].map(|at| fifo(&at.real).ok().flatten());
        fifos[0].or(fifos[1])?;
        let mut event = self.event_at(entry, Call::Rename, &from);
        event.path_to = Some(to.given.clone());
        event.pipe = fifos[0].map(|id| self.pipes.key(id));
        event.pipe_to = fifos[1].map(|id| self.pipes.key(id));
        let exchanges = flags & u64::from(libc::RENAME_EXCHANGE) != 0;
        Some((event, Kind::Rename(Renaming { from: (from, fifos[0]), to: (to, fifos[1]), exchanges })))
    }

    pub(super) fn leave_rename(&mut self, event: Event, renaming: Renaming) {
        let Renaming { from, to, exchanges } = renaming;
        if event.ret.is_some() {
            match to.1 {
                Some(id) if exchanges => self.learn(&from.0, id),
                Some(id) => self.pipes.rename(id, None),
                None => {}
            }
            if let Some(id) = from.1 {
                self.learn(&to.0, id);
            }
        }
        self.log.add(event);
    }
}

/// The FIFO at a path; `None` if it is another file.
///
/// # Errors
/// There is no file.
fn fifo(path: &Path) -> io::Result<Option<PipeId>> {
    stat::node(path).map(|file| file.is_fifo.then_some(file.id))
}
