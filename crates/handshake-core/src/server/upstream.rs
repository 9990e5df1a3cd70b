//! The pipe that brings a client's bytes, on the server's side.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::deadline::monotonic_ns;
use crate::error::{Error, Result};
use crate::event::{Event, What};
use crate::fifo::Fifo;
use crate::server::course::foreign::ForeignNames;
use crate::server::site::Site;
use crate::stream::{Foreign, FrameReader, Framing, Translate};

/// A client's upstream: the well-known pipe that its name came through, or a fresh pipe.
#[derive(Debug)]
pub struct Upstream {
    /// Its reading end.
    pub from_client: Rc<OwnedFd>,
    /// How frames arrive on it.
    pub framing: Framing,
    /// A fresh pipe has a name until READY has come through it.
    pub fresh: Option<Fifo>,
    pub(super) translate: Option<Box<dyn Translate>>,
    pub(super) foreign: Option<Rc<dyn Foreign>>,
}

impl Upstream {
    /// Makes a fresh pipe, for a client whose name came through a pipe that is not its own.
    ///
    /// # Errors
    /// No pipe can be made.
    pub(super) fn fresh(session: u64, site: &Site) -> Result<Self> {
        let before = monotonic_ns();
        let (fifo, from_client) = Fifo::make(site.place.upstream()?)
            .map_err(|errno| Error::at("make a fresh upstream beside", site.place.wkp(), errno, ""))?;
        let event = |event: Event| event.session(session).pipe(fifo.name());
        site.process.log_since(What::UpstreamCreated, before, event);
        let (from_client, framing) = (Rc::new(from_client), Framing::Stream);
        Ok(Self { from_client, framing, fresh: Some(fifo), translate: None, foreign: None })
    }

    /// Sets up `reader`, which reads this pipe, to parse what this client writes.
    #[must_use]
    pub fn reader(&mut self, mut reader: FrameReader) -> FrameReader {
        if let Some(foreign) = self.foreign.take() {
            reader = reader.with_foreign(foreign);
        }
        match self.translate.take() {
            Some(translate) => reader.translated(translate),
            None => reader,
        }
    }

    /// Returns the upstream for the ACK: a fresh pipe's name, or nothing.
    pub fn name_in_ack(&self) -> Vec<u8> {
        self.fresh.as_ref().map(|fifo| fifo.name_bytes().to_vec()).unwrap_or_default()
    }
}

/// Returns a reader of a pipe that all clients share and that is never removed (`--shared-wkp`). Course
/// clients whose names come through it are turned away.
pub fn reader_of_shared(wkp: Rc<OwnedFd>, site: &Rc<Site>) -> FrameReader {
    let foreign = Rc::new(ForeignNames::of_pipe(site, None));
    FrameReader::new(wkp, Framing::Atomic).with_foreign(foreign)
}
