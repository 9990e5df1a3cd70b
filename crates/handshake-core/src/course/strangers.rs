//! Who has written into a pipe that another client has.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::names::{Introduction, Lookups, strangers};
use super::queue::PipeQueue;
use crate::process::Process;
use crate::wire::{Hello, Kind, Scanner, Span};

enum Stranger {
    InCourse(Introduction),
    /// One that was stopped just before its HELLO; its private pipe.
    Framed(PathBuf),
}

impl Process {
    /// Looks who has written `bytes` into a pipe that is another one's, and returns where their names are, in order. Course
    /// clients join the `queue` for that pipe, and framed ones are told to try again. `own`: the private pipe of who may
    /// write there.
    pub(crate) fn hear_strangers<'a>(
        &self,
        bytes: impl IntoIterator<Item = Cow<'a, [u8]>>,
        own: Option<&Path>,
        queue: Option<&Rc<PipeQueue>>,
    ) -> Vec<Span> {
        let Some(place) = self.latecomers.place.get() else { return Vec::new() };
        let mut places = Vec::new();
        let mut lookups = Lookups::of_session(place, queue.map(|queue| &queue.lookups));
        for bytes in bytes {
            lookups.for_bytes(bytes.len());
            for (stranger, at) in who_wrote(&bytes, own, &mut lookups) {
                match (stranger, queue) {
                    (Stranger::InCourse(name), Some(queue)) if self.asked_to_end().is_none() => {
                        queue.join(name, self);
                    }
                    (Stranger::InCourse(Introduction { private, .. }) | Stranger::Framed(private), _) => {
                        self.send_away(private, self.latecomers.because.get());
                    }
                }
                places.push(at);
            }
        }
        places
    }

    /// What one read of a course client's pipe gave, without the names of strangers; `None` if nothing else was there.
    pub(crate) fn without_strangers(
        &self,
        read: Vec<u8>,
        own: &Path,
        queue: &Rc<PipeQueue>,
    ) -> Option<Vec<u8>> {
        let strangers = self.hear_strangers([read.as_slice().into()], Some(own), Some(queue));
        if strangers.is_empty() {
            return Some(read);
        }
        let (mut rest, mut from) = (Vec::new(), 0);
        for at in strangers {
            rest.extend_from_slice(&read[from..at.start]);
            from = at.end;
        }
        rest.extend_from_slice(&read[from..]);
        rest.iter().any(|byte| *byte != 0).then_some(rest)
    }
}

/// Who has written something into a pipe that is not its own, and where; but for `own`, whose pipe it is.
fn who_wrote(bytes: &[u8], own: Option<&Path>, lookups: &mut Lookups<'_>) -> Vec<(Stranger, Span)> {
    let mut found = Vec::new();
    let in_course = |from: Span, lookups: &mut Lookups<'_>| {
        let names = strangers(&bytes[from.clone()], lookups).into_iter();
        let others = names.filter(|(name, _)| Some(name.private.as_path()) != own);
        others.map(move |(name, at)| (Stranger::InCourse(name), at.start + from.start..at.end + from.start))
    };
    let (mut scan, mut at) = (Scanner::default(), 0);
    while let Some((record, span)) = scan.next_record(bytes, true) {
        found.extend(in_course(at..span.start, lookups));
        at = span.end;
        if record.header.kind == Kind::Hello {
            let named = Hello::decode(&record.payload()).and_then(|hello| lookups.framed(&hello.name));
            found.extend(named.map(|private| (Stranger::Framed(private), span)));
        }
    }
    found.extend(in_course(at..bytes.len(), lookups));
    found
}
