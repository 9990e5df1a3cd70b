//! Programs under `lab trace`, and what is true of each trace.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;

use pipe_watch::event::{Call, Event, Header, PipeKey};
use tempfile::TempDir;
use workspace_tests::{Launch, Scene};

/// A trace, in a file outside the scene's place.
#[derive(Debug)]
pub(crate) struct Trace {
    directory: TempDir,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::with_prefix("trace-").expect("a temporary directory") }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("trace.jsonl")
    }

    /// Prepares `lab trace` of a command, with options.
    pub(crate) fn launch<'s, A: AsRef<OsStr>>(
        &self,
        scene: &'s Scene,
        options: &[&str],
        command: impl IntoIterator<Item = A>,
    ) -> Launch<'s> {
        let launch = scene.lab().args(["trace", "-o"]).arg(self.file()).args(options);
        launch.arg("--").args(command)
    }

    /// The events, by their numbers.
    pub(crate) fn events(&self) -> Vec<Event> {
        let text = fs::read_to_string(self.file()).expect("the trace");
        let mut lines = text.lines();
        let header: Header = serde_json::from_str(lines.next().expect("a header")).expect("a header");
        assert_eq!((header.format.as_str(), header.version), (Header::FORMAT, Header::VERSION));
        let mut events: Vec<Event> =
            lines.map(|line| serde_json::from_str(line).expect("an event")).collect();
        events.sort_by_key(|event| event.seq);
        events
    }
}

/// Traces a command that succeeds, and checks its events.
pub(crate) fn traced<A: AsRef<OsStr>>(scene: &Scene, command: impl IntoIterator<Item = A>) -> Vec<Event> {
    let trace = Trace::new();
    trace.launch(scene, &["--data", "100000"], command).run().success();
    let events = trace.events();
    assert_consistent(&events);
    events
}

/// The words of a command line of sh(1).
pub(crate) fn in_shell(script: &str, words: &[&OsStr]) -> Vec<OsString> {
    let shell = ["sh", "-c", script].map(OsString::from);
    shell.into_iter().chain(words.iter().map(|word| (*word).to_owned())).collect()
}

pub(crate) fn of(events: &[Event], call: Call) -> Vec<&Event> {
    events.iter().filter(|event| event.call == call).collect()
}

/// Bytes, and their pipe.
type Moved = Option<(PipeKey, i64)>;

/// What a call moved: out of a pipe, and into a pipe.
fn moved(event: &Event) -> (Moved, Moved) {
    let bytes = event.ret.unwrap_or(0);
    let of = |pipe: Option<PipeKey>| pipe.map(|pipe| (pipe, bytes));
    match event.call {
        Call::Read => (of(event.pipe), None),
        Call::Write => (None, of(event.pipe)),
        Call::Splice if event.text.as_deref() == Some("tee") => (None, of(event.pipe_to)),
        Call::Splice => (of(event.pipe), of(event.pipe_to)),
        _ => (None, None),
    }
}

/// What is true of each trace: events are numbered in the order of their beginnings, no bytes are read before
/// the write that they come from began, and those of a single writer come out as they went in.
pub(crate) fn assert_consistent(events: &[Event]) {
    for pair in events.windows(2) {
        assert!(pair[0].seq < pair[1].seq, "{pair:?}: one number");
        assert!(pair[0].ns <= pair[1].ns, "{pair:?}: back in time");
    }
    let mut changes: Vec<(u64, bool, PipeKey, i64)> = Vec::new();
    for event in events {
        let (from, to) = moved(event);
        changes.extend(from.map(|(pipe, bytes)| (event.end_ns(), true, pipe, -bytes)));
        changes.extend(to.map(|(pipe, bytes)| (event.ns, false, pipe, bytes)));
    }
    changes.sort_by_key(|change| (change.0, change.1));
    let mut left: BTreeMap<PipeKey, i64> = BTreeMap::new();
    for (ns, _, pipe, bytes) in changes {
        let left = left.entry(pipe).or_default();
        *left += bytes;
        assert!(*left >= 0, "at {ns}, {} bytes more were read from {pipe} than written", -*left);
    }
    for pipe in left.keys() {
        let data = |call| {
            let mut events: Vec<_> = of(events, call).into_iter().filter(|e| e.pipe == Some(*pipe)).collect();
            events.sort_by_key(|event| event.end_ns());
            let pids: Vec<_> = events.iter().map(|event| event.pid).collect();
            let is_one = pids.windows(2).all(|pair| pair[0] == pair[1]);
            (is_one, events.into_iter().filter_map(|event| event.data.clone()).collect::<String>())
        };
        let ((one_reader, read), (one_writer, written)) = (data(Call::Read), data(Call::Write));
        if one_reader && one_writer && of(events, Call::Splice).is_empty() {
            assert!(written.starts_with(&read), "{pipe}: {read:?} came out of {written:?}");
        }
    }
}

/// The bytes that are left in each FIFO.
pub(crate) fn left_in_fifos(events: &[Event]) -> BTreeMap<PipeKey, i64> {
    let mut left = left(events);
    let opened = of(events, Call::Open);
    left.retain(|pipe, _| opened.iter().any(|event| event.pipe == Some(*pipe)));
    left
}

/// The bytes that are left in each pipe.
pub(crate) fn left(events: &[Event]) -> BTreeMap<PipeKey, i64> {
    let mut left = BTreeMap::new();
    for (from, to) in events.iter().map(moved) {
        from.into_iter().for_each(|(pipe, bytes)| *left.entry(pipe).or_default() -= bytes);
        to.into_iter().for_each(|(pipe, bytes)| *left.entry(pipe).or_default() += bytes);
    }
    left.retain(|_, bytes| *bytes != 0);
    left
}
