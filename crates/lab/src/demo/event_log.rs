//! The event log: read while the processes write it, and sorted by time.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use handshake_core::deadline::monotonic_ns;
use handshake_core::error::{Error, Result};
use handshake_core::event::{Event, What};

/// How long an event is held back for older events of other processes: they write their lines a moment after
/// the action.
const HOLD: Duration = Duration::from_millis(40);

/// How long an event is held back if its cause is missing. On a busy machine, the kernel may preempt a
/// process between an action and its line.
const HOLD_FOR_CAUSE: Duration = Duration::from_secs(1);

/// The events so far.
#[derive(Debug)]
pub(super) struct LogReader {
    file: File,
    /// The beginning of an incomplete line.
    part: Vec<u8>,
    /// All events, in the order of the file.
    seen: Vec<Event>,
    /// Events that were read, and not printed yet.
    held: Vec<Event>,
}

impl LogReader {
    /// Follows an event log that other processes write to `file`.
    pub(super) fn follow(file: File) -> Self {
        Self { file, part: Vec::new(), seen: Vec::new(), held: Vec::new() }
    }

    /// Reads what was appended since the last call; returns how many events there are now.
    ///
    /// # Errors
    /// Those of read(2), and a line that is no event.
    pub(super) fn read(&mut self) -> Result<usize> {
        let failed = |error: std::io::Error| Error::on("read", "the event log", error);
        self.file.read_to_end(&mut self.part).map_err(failed)?;
        while let Some(end) = self.part.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.part.drain(..=end).collect();
            let event: Event = serde_json::from_slice(&line).map_err(|error| Error::Protocol {
                what: format!(
                    "a line of the event log is no event: {error}: were server and client built with \
                     this lab?"
                ),
            })?;
            self.held.push(event.clone());
            self.seen.push(event);
        }
        Ok(self.seen.len())
    }

    /// All events so far, in the order of the file.
    pub(super) fn seen(&self) -> &[Event] {
        &self.seen
    }

    /// Whether every event was printed.
    pub(super) fn is_printed(&self) -> bool {
        self.held.is_empty()
    }

    /// The events that can be printed now, in order. `keeps_no_log`: the cause of this event is in no log, so
    /// it is not awaited.
    pub(super) fn due(&mut self, keeps_no_log: impl Fn(&Event) -> bool) -> Vec<Event> {
        self.held.sort_by_key(in_order);
        let now = monotonic_ns();
        let is_due = |event: &Event| {
            let age = Duration::from_nanos(now.saturating_sub(event.ns));
            age > HOLD_FOR_CAUSE || (age > HOLD && (self.has_cause(event) || keeps_no_log(event)))
        };
        let due = self.held.iter().take_while(|event| is_due(event)).count();
        self.held.drain(..due).collect()
    }

    /// Whether the event in another process that must have come first was read.
    fn has_cause(&self, event: &Event) -> bool {
        cause(event.what).is_none_or(|cause| self.find(cause, event).is_some())
    }

    fn find(&self, cause: What, of: &Event) -> Option<&Event> {
        self.seen.iter().find(|other| other.what == cause && thread(other) == thread(of))
    }

    /// All pairs of an effect and its cause, which should be older; `None` if the cause was never logged.
    /// Only effects that `count` accepts.
    pub(super) fn pairs(
        &self,
        count: impl Fn(&Event) -> bool,
    ) -> impl Iterator<Item = (&Event, Option<&Event>)> {
        let effects = self.seen.iter().filter(move |event| count(event));
        effects.filter_map(|event| Some((event, self.find(cause(event.what)?, event))))
    }
}

/// The sort key: time; then the step's number; then cause before effect, which is the order of [`What`].
fn in_order(event: &Event) -> (u64, u8, u8) {
    (event.ns, event.step.unwrap_or(u8::MAX), event.what as u8)
}

/// The event in another process that must come first.
fn cause(what: What) -> Option<What> {
    Some(match what {
        What::HelloReceived => What::HelloSent,
        What::AckReceived => What::AckSent,
        What::ReadyReceived => What::ReadySent,
        What::RequestReceived => What::RequestSent,
        What::ReplyReceived => What::ReplySent,
        _ => return None,
    })
}

/// What connects an effect with its cause: the pipe's name in a HELLO, later the session and the sequence
/// number.
fn thread(event: &Event) -> (Option<&str>, Option<u32>) {
    match event.what {
        What::HelloSent => (event.text.as_deref(), None),
        What::HelloReceived => (event.pipe.as_deref(), None),
        _ => (event.session.as_deref(), event.seq),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(ns: u64, what: &str, more: &str) -> String {
        format!("{{\"ns\":{ns},\"pid\":1,\"role\":\"client\",\"what\":\"{what}\"{more}}}\n")
    }

    /// The events of these lines that can be printed now.
    fn printed(lines: &[String]) -> Vec<What> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut event_log = LogReader::follow(file.reopen().unwrap());
        file.write_all(lines.concat().as_bytes()).unwrap();
        assert_eq!(event_log.read().unwrap(), lines.len());
        event_log.due(|_| false).into_iter().map(|event| event.what).collect()
    }

    #[test]
    fn events_are_sorted_by_time_and_then_by_step() {
        let lines = [
            line(2, "ack-sent", ",\"step\":8"),
            line(2, "awaiting-ack", ",\"step\":5"),
            line(1, "waiting", ",\"step\":2"),
            line(2, "ready-sent", ""),
        ];
        assert_eq!(printed(&lines), [What::Waiting, What::AwaitingAck, What::AckSent, What::ReadySent]);
    }

    #[test]
    fn a_new_event_waits_for_older_ones() {
        assert_eq!(printed(&[line(1, "waiting", ""), line(monotonic_ns(), "bye-sent", "")]), [What::Waiting]);
    }

    #[test]
    fn an_effect_waits_for_its_cause() {
        let ago = monotonic_ns() - (HOLD * 3).as_nanos() as u64;
        let received = line(ago, "reply-received", ",\"session\":\"a\",\"seq\":1");
        let other = line(ago - 1, "reply-sent", ",\"session\":\"b\",\"seq\":1");
        let cause = line(ago - 1, "reply-sent", ",\"session\":\"a\",\"seq\":1");
        assert_eq!(printed(&[received.clone(), other]), [What::ReplySent]);
        assert_eq!(printed(&[received, cause]), [What::ReplySent, What::ReplyReceived]);
    }
}
