//! What is shown of a timeline: chosen pipes and processes, floods as one row, and a limited number.

mod choice;

use pipe_watch::event::{Call, Source};
use pipe_watch::timeline::{Timeline, duration, grouped, text_of};

pub(super) use choice::Choice;

/// A timeline, and what to show of it.
#[derive(Debug)]
pub(super) struct View<'t> {
    pub(super) timeline: &'t Timeline,
    pub(super) title: String,
    /// The rows, in order.
    pub(super) rows: Vec<Row>,
    /// How many rows were left out at the end.
    pub(super) left_out: usize,
    /// The row of each event that is shown; a folded event has that of its fold.
    pub(super) row_of: Vec<Option<usize>>,
    /// The row at which each event's wait ends.
    pub(super) end_of: Vec<Option<usize>>,
}

/// A row of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// An event begins.
    Event(usize),
    /// A flood begins.
    Fold(usize),
    /// The wait of this event ends.
    End(usize),
}

impl<'t> View<'t> {
    /// Shows these events, at most so many. Each flood is one row if it `folds`.
    pub(super) fn new(
        timeline: &'t Timeline,
        title: String,
        is_shown: &[bool],
        folds: bool,
        most: usize,
    ) -> Self {
        let count = timeline.events.len();
        let mut view = Self {
            timeline,
            title,
            rows: vec![],
            left_out: 0,
            row_of: vec![None; count],
            end_of: vec![None; count],
        };
        let mut fold_of = vec![None; count];
        if folds {
            for (at, fold) in timeline.folds.iter().enumerate() {
                fold.events.iter().for_each(|event| fold_of[*event] = Some(at));
            }
        }
        let mut ranked = Vec::new();
        for event in (0..count).filter(|event| is_shown[*event]) {
            match fold_of[event] {
                None => ranked.push((timeline.began[event], Row::Event(event))),
                Some(fold) if timeline.folds[fold].events[0] == event => {
                    ranked.push((timeline.began[event], Row::Fold(fold)));
                }
                Some(_) => {}
            }
        }
        view.left_out = ranked.len().saturating_sub(most);
        ranked.truncate(most);
        let ends = ranked.iter().filter_map(|(_, row)| match row {
            Row::Event(event) => {
                let wait = timeline.wait_of(*event).filter(|wait| wait.took.is_some())?;
                let is_own = wait.ended_by.is_some_and(|by| view.is_own_exit(*event, by));
                (!is_own).then_some((timeline.ended[*event], Row::End(*event)))
            }
            _ => None,
        });
        let ends: Vec<_> = ends.collect();
        ranked.extend(ends);
        ranked.sort_by_key(|(rank, _)| *rank);
        view.rows = ranked.into_iter().map(|(_, row)| row).collect();
        for (at, row) in view.rows.iter().enumerate() {
            match row {
                Row::Event(event) => view.row_of[*event] = Some(at),
                Row::End(event) => view.end_of[*event] = Some(at),
                Row::Fold(fold) => {
                    timeline.folds[*fold].events.iter().for_each(|event| view.row_of[*event] = Some(at));
                }
            }
        }
        for wait in &timeline.waits {
            if let Some(exit) = wait.ended_by.filter(|by| view.is_own_exit(wait.event, *by)) {
                view.end_of[wait.event] = view.row_of[exit];
            }
        }
        view
    }

    /// The events that are shown, with their rows: a flood is its first event.
    pub(super) fn shown(&self) -> impl Iterator<Item = (usize, Row)> {
        self.rows.iter().filter_map(|row| match row {
            Row::Event(event) => Some((*event, *row)),
            Row::Fold(fold) => Some((self.timeline.folds[*fold].events[0], *row)),
            Row::End(_) => None,
        })
    }

    /// The lanes that have a row, in order of birth.
    pub(super) fn lanes(&self) -> Vec<usize> {
        let mut is_shown = vec![false; self.timeline.lanes.len()];
        self.shown().for_each(|(event, _)| is_shown[self.timeline.lane_of[event]] = true);
        (0..is_shown.len()).filter(|lane| is_shown[*lane]).collect()
    }

    /// When this row began, since the first event.
    pub(super) fn clock(&self, event: usize) -> String {
        let ns = self.timeline.events[event].ns - self.timeline.start_ns();
        let (whole, parts, unit) = match ns {
            1_000_000_000.. => (ns / 1_000_000_000, ns / 1_000_000 % 1_000, "s"),
            _ => (ns / 1_000_000, ns / 1_000 % 1_000, "ms"),
        };
        format!("{}.{parts:03} {unit}", grouped(whole))
    }

    /// What a row says; without the name of its process.
    pub(super) fn words(&self, row: Row) -> String {
        match row {
            Row::Event(event) | Row::End(event) => text_of(self.timeline, event),
            Row::Fold(fold) => fold_words(self.timeline, fold),
        }
    }

    /// How long the event waited, and what ended the wait.
    pub(super) fn wait_words(&self, event: usize) -> Option<String> {
        let wait = self.timeline.wait_of(event)?;
        let Some(took) = wait.took else { return Some("still waits at the end".to_owned()) };
        if let Some(exit) = wait.ended_by.filter(|by| self.is_own_exit(event, *by)) {
            let number = self.timeline.events[exit].seq;
            return Some(format!(
                "waited {}, until {} #{number}",
                duration(took),
                text_of(self.timeline, exit)
            ));
        }
        let ended = wait.ended_by.map(|by| format!(", ended by {}", self.reference(by)));
        Some(format!("waited {}{}", duration(took), ended.unwrap_or_default()))
    }

    /// Whether the second event is the end of the first one's process.
    fn is_own_exit(&self, event: usize, exit: usize) -> bool {
        let timeline = self.timeline;
        timeline.events[exit].call == Call::Exit && timeline.lane_of[exit] == timeline.lane_of[event]
    }

    /// An event as other events name it: `write #12`.
    pub(super) fn reference(&self, event: usize) -> String {
        let the = &self.timeline.events[event];
        format!("{} #{}", word_of(the.call), the.seq)
    }

    /// What stands below the picture: what was left out, the state at the end, and the source.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.left_out_words().into_iter().collect();
        notes.extend(self.at_end());
        notes.push(self.source().to_owned());
        notes
    }

    /// The calls that never returned, and why.
    pub(super) fn at_end(&self) -> Vec<String> {
        const MOST: usize = 12;
        let timeline = self.timeline;
        let name = |lane: usize| lane_title(timeline, lane);
        let shown = timeline.waits.iter().filter(|wait| self.row_of[wait.event].is_some());
        let mut lines: Vec<String> = Vec::new();
        for wait in shown {
            let is_end = timeline.is_stuck_at_end(wait.event);
            let when = match wait.ended_by.filter(|_| !is_end) {
                Some(exit) => format!("Until #{}", timeline.events[exit].seq),
                None => "At the end".to_owned(),
            };
            let is_failed = timeline.events[wait.event].errno.is_some();
            let cause = timeline.cause(wait.event).filter(|_| is_end || !is_failed);
            lines
                .extend(cause.map(|cause| format!("{when}: {} {cause}", name(timeline.lane_of[wait.event]))));
        }
        let pairs = timeline.deadlocks().into_iter();
        lines
            .extend(pairs.map(|(one, two)| {
                format!("At the end: {} and {} wait for each other", name(one), name(two))
            }));
        if lines.len() > MOST {
            let more = lines.len() - MOST;
            lines.truncate(MOST);
            lines.push(format!("At the end: {more} more calls wait"));
        }
        lines
    }

    /// Where the events come from, and what such events leave out.
    pub(super) fn source(&self) -> &'static str {
        let has = |source| self.timeline.events.iter().any(|event| event.source == source);
        if has(Source::Trace) {
            "From a trace."
        } else if has(Source::Look) {
            "From looks at the processes: short events are missing, and all bytes."
        } else {
            "From event logs: no closes, no ends of processes, few waits."
        }
    }

    /// A sentence about what is not shown.
    pub(super) fn left_out_words(&self) -> Option<String> {
        let count = grouped(self.left_out as u64);
        (self.left_out > 0).then(|| format!("{count} later events are not shown: --max-events shows more"))
    }
}

/// A call as one word.
pub(super) fn word_of(call: Call) -> String {
    let text = serde_json::to_value(call).ok();
    text.and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
}

fn fold_words(timeline: &Timeline, fold: usize) -> String {
    let fold = &timeline.folds[fold];
    let times = grouped(fold.times as u64);
    let bytes: i64 = fold.events.iter().filter_map(|event| bytes_of(timeline, *event)).sum();
    let bytes = if bytes > 0 { format!(", {} bytes", grouped(bytes.unsigned_abs())) } else { String::new() };
    match fold.period {
        1 => format!("× {times} more{bytes}"),
        period => format!("these {period} × {times} more{bytes}"),
    }
}

fn bytes_of(timeline: &Timeline, event: usize) -> Option<i64> {
    let event = &timeline.events[event];
    event.ret.filter(|ret| *ret > 0 && matches!(event.call, Call::Read | Call::Write | Call::Splice))
}

/// A lane's name and PID.
pub(super) fn lane_title(timeline: &Timeline, lane: usize) -> String {
    let lane = &timeline.lanes[lane];
    if lane.title.ends_with(&lane.pid.to_string()) {
        return lane.title.clone();
    }
    format!("{} · {}", lane.title, lane.pid)
}
