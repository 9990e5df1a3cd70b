//! Numbers events, hands them on, and counts those that are too many.

use std::io;

use crate::event::Event;

/// The events of a trace.
pub(super) struct Log<'a> {
    sink: &'a mut dyn FnMut(Event) -> io::Result<()>,
    max: u64,
    last: u64,
    pub(super) kept: u64,
    pub(super) left_out: u64,
    /// The first error of the sink.
    pub(super) failure: Option<io::Error>,
}

impl<'a> Log<'a> {
    pub(super) fn new(max: usize, sink: &'a mut dyn FnMut(Event) -> io::Result<()>) -> Self {
        Self { sink, max: max as u64, last: 0, kept: 0, left_out: 0, failure: None }
    }

    /// The number of an event that begins now.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Whether all further events are only counted.
    pub(super) fn is_full(&self) -> bool {
        self.kept >= self.max || self.failure.is_some()
    }

    /// Hands on an event that is complete.
    pub(super) fn add(&mut self, event: Event) {
        if self.is_full() {
            self.left_out += 1;
            return;
        }
        self.kept += 1;
        self.failure = (self.sink)(event).err();
    }

    /// Begins again with 1: nothing has been added.
    pub(super) fn restart(&mut self) {
        self.last = 0;
    }
}
