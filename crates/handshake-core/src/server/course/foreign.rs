//! Names that other clients have written into a client's pipe.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::names::{Lookups, NamedClient, names_among};
use super::queue::PipeQueue;
use crate::server::site::Site;
use crate::stream::Foreign;
use crate::wire::{Hello, Kind, Scanner, Span};

/// Receives the bytes in one pipe that are not from the pipe's client.
#[derive(Debug)]
pub(crate) struct ForeignNames {
    site: Rc<Site>,
    /// The queue of course clients for this pipe. `None` if they cannot be served.
    queue: Option<Rc<PipeQueue>>,
}

enum Writer {
    InCourse(NamedClient),
    /// A framed client that was stopped just before its HELLO, by its private pipe.
    Framed(PathBuf),
}

impl ForeignNames {
    /// Makes the receiver for a pipe with this queue.
    pub(crate) fn of_pipe(site: &Rc<Site>, queue: Option<&Rc<PipeQueue>>) -> Self {
        Self { site: Rc::clone(site), queue: queue.cloned() }
    }

    /// Finds the names in `bytes` and returns where they are, in order. Course clients join the queue; framed
    /// clients are turned away, and retry. `own` is the private pipe of the pipe's client, whose name is not
    /// foreign.
    pub(crate) fn find<'a>(
        &self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        own: Option<&Path>,
    ) -> Vec<Span> {
        let mut places = Vec::new();
        let in_all = self.queue.as_ref().map(|queue| &queue.lookups);
        let mut lookups = Lookups::of_session(&self.site.place, in_all);
        for bytes in pieces {
            lookups.for_bytes(bytes.len());
            for (writer, at) in writers(bytes, own, &mut lookups) {
                match (writer, &self.queue) {
                    (Writer::InCourse(name), Some(queue)) if self.site.process.asked_to_end().is_none() => {
                        self.site.join(queue, name);
                    }
                    (Writer::InCourse(NamedClient { private, .. }) | Writer::Framed(private), _) => {
                        self.site.turn_away(private, self.site.why_late.get());
                    }
                }
                places.push(at);
            }
        }
        places
    }

    /// Removes the names from one read of a course client's pipe. Returns `None` if the read contained
    /// nothing else.
    pub(crate) fn taken_out_of(&self, read: Vec<u8>, own: &Path) -> Option<Vec<u8>> {
        let names = self.find([read.as_slice()], Some(own));
        if names.is_empty() {
            return Some(read);
        }
        let (mut rest, mut from) = (Vec::new(), 0);
        for at in names {
            rest.extend_from_slice(&read[from..at.start]);
            from = at.end;
        }
        rest.extend_from_slice(&read[from..]);
        rest.iter().any(|byte| *byte != 0).then_some(rest)
    }
}

impl Foreign for ForeignNames {
    fn begin_batch(&self) {
        if let Some(queue) = &self.queue {
            queue.begin_batch();
        }
    }

    /// Where no client can wait for the pipe, a name may be the last for a long time.
    fn joins_cut_bytes(&self) -> bool {
        self.queue.is_some()
    }

    fn receive(&self, pieces: &[Vec<u8>]) {
        self.find(pieces.iter().map(Vec::as_slice), None);
    }
}

/// Returns the clients that have written `bytes`, and where their names are. Leaves out the client of `own`.
fn writers(bytes: &[u8], own: Option<&Path>, lookups: &mut Lookups<'_>) -> Vec<(Writer, Span)> {
    let mut found = Vec::new();
    let in_course = |from: Span, lookups: &mut Lookups<'_>| {
        let names = names_among(&bytes[from.clone()], lookups).into_iter();
        let others = names.filter(|(name, _)| Some(name.private.as_path()) != own);
        others.map(move |(name, at)| (Writer::InCourse(name), at.start + from.start..at.end + from.start))
    };
    let (mut scan, mut at) = (Scanner::default(), 0);
    while let Some((frame, span)) = scan.next_frame(bytes, true) {
        found.extend(in_course(at..span.start, lookups));
        at = span.end;
        if frame.header.kind == Kind::Hello {
            let named =
                Hello::decode(&frame.payload()).and_then(|hello| lookups.place.named_by_client(hello.name));
            found.extend(named.map(|private| (Writer::Framed(private), span)));
        }
    }
    found.extend(in_course(at..bytes.len(), lookups));
    found
}
