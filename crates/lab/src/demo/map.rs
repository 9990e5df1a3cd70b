//! Who is whose child, and who holds which end of which pipe, as /proc tells it at this moment.

use std::collections::{BTreeMap, HashSet};

use handshake_core::error::Result;
use probe::proc::{self, PipeEnd, Way};

use super::cast::{Actor, Cast};
use super::stage::Stage;
use super::voice::Voice;
use super::wkp::Wkp;
use super::{Paradigm, tell};

/// Columns of the table.
const PIPE: usize = 30;
const NAME: usize = 7;
const READERS: usize = 16;

/// What the table does not say by itself.
const GONE: &str = "A name that is gone was removed in step 6 or 8. Processes that have the pipe open go \
on using it; no other process can open it.";
const OWN_END: &str = "The server holds a write end of the well-known pipe itself. So its read end sees no \
hang-up while no client has the pipe open.";

/// What a pipe is for; rows stand in the order in which a request passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// The well-known pipe, with its name.
    Door,
    /// A client's way to the server: a former well-known pipe, or a fresh one.
    Upstream,
    /// From the central process to a subserver.
    Down,
    /// And back.
    Up,
    /// A client's private pipe.
    Private,
}

/// A pipe, and who holds it.
#[derive(Debug)]
pub(super) struct Row {
    label: String,
    /// `yes`, `gone`, `never`.
    name: &'static str,
    purpose: Use,
    readers: Vec<Actor>,
    writers: Vec<Actor>,
}

/// Shows processes and pipes.
pub(super) fn show(stage: &mut Stage) -> Result<()> {
    let rows = rows(&stage.cast, stage.troupe.wkp());
    show_processes(&mut stage.voice, &stage.cast)?;
    show_pipes(&mut stage.voice, &stage.cast, &rows)
}

/// The same under a heading of its own, and each client's round trip; returns what is missing in one.
pub(super) fn show_with_rounds(stage: &mut Stage, paradigm: Paradigm) -> Result<Vec<String>> {
    show_again(stage)?;
    let rows = rows(&stage.cast, stage.troupe.wkp());
    super::ring::show(stage, &rows, paradigm)
}

/// Shows processes and pipes, under a heading of their own.
pub(super) fn show_again(stage: &mut Stage) -> Result<()> {
    stage.voice.heading("Who is there, and who holds which end of which pipe")?;
    show(stage)
}

fn show_processes(voice: &mut Voice, cast: &Cast) -> Result<()> {
    let own = std::process::id();
    voice.line(&format!("  lab demo [{own}]"))?;
    show_children(voice, cast, own, "  ")
}

fn show_children(voice: &mut Voice, cast: &Cast, parent: u32, indent: &str) -> Result<()> {
    let children: Vec<_> = proc::children(parent)
        .into_iter()
        .filter_map(|child| Some((cast.actor(child.pid)?, child)))
        .collect();
    for (index, (actor, child)) in children.iter().enumerate() {
        let (branch, below) = if index + 1 == children.len() { ("└─", "  ") } else { ("├─", "│ ") };
        let name = voice.name(*actor, cast, &cast.name(*actor));
        let dead = if child.state == 'Z' { "  (zombie)" } else { "" };
        voice.fill(&format!("{indent}{branch} "), indent.len(), &format!("{name}{dead}"))?;
        show_children(voice, cast, child.pid, &format!("{indent}{below} "))?;
    }
    Ok(())
}

fn show_pipes(voice: &mut Voice, cast: &Cast, rows: &[Row]) -> Result<()> {
    voice.line(&format!("\n  {:PIPE$}{:NAME$}{:READERS$}written by", "pipe", "name", "read by"))?;
    for row in rows {
        let readers = names(voice, cast, &row.readers, READERS);
        let writers = names(voice, cast, &row.writers, 0);
        let before = format!("  {:PIPE$}{:NAME$}{readers}", row.label, row.name);
        voice.fill(&before, 2 + PIPE + NAME + READERS, &writers)?;
    }
    if rows.iter().any(|row| row.name == "gone") {
        voice.note(GONE)?;
    }
    if rows.iter().any(|row| row.purpose == Use::Door) { voice.note(OWN_END) } else { Ok(()) }
}

/// Names in their colours, in a field of `width`.
fn names(voice: &Voice, cast: &Cast, actors: &[Actor], width: usize) -> String {
    if actors.is_empty() {
        return format!("{:width$}", "nobody");
    }
    let plain: usize = actors.iter().map(|actor| actor.to_string().len() + 2).sum::<usize>() - 2;
    let names: Vec<_> = actors.iter().map(|actor| voice.name(*actor, cast, &actor.to_string())).collect();
    format!("{}{:space$}", names.join(", "), "", space = width.saturating_sub(plain))
}

/// All pipes that the processes of the play hold, but for those between them and the demo.
pub(super) fn rows(cast: &Cast, wkp: &Wkp) -> Vec<Row> {
    let own: HashSet<_> = proc::pipe_ends(std::process::id()).into_iter().map(|end| end.pipe).collect();
    let mut pipes: BTreeMap<(u64, u64), Vec<(Actor, PipeEnd)>> = BTreeMap::new();
    for (actor, pid) in cast.all() {
        // What a guest has for itself is its own affair.
        let is_guest = cast.guest().map(Actor::Client) == Some(actor);
        let shown = |end: &PipeEnd| !own.contains(&end.pipe) && (end.name.is_some() || !is_guest);
        for end in proc::pipe_ends(pid).into_iter().filter(shown) {
            pipes.entry(end.pipe).or_default().push((actor, end));
        }
    }
    let mut rows: Vec<Row> = pipes.into_values().map(|ends| row(&ends, cast, wkp)).collect();
    rows.sort_by_key(|row| (row.purpose != Use::Door, client_of(row, cast), row.purpose));
    mark(&mut rows, |row| row.purpose == Use::Upstream && row.label == wkp.name());
    mark(&mut rows, |row| matches!(row.purpose, Use::Down | Use::Up));
    rows
}

fn row(ends: &[(Actor, PipeEnd)], cast: &Cast, wkp: &Wkp) -> Row {
    let holders = |way| {
        let mut holders: Vec<Actor> =
            ends.iter().filter(|(_, end)| end.way == way).map(|(actor, _)| *actor).collect();
        holders.sort_unstable();
        holders.dedup();
        holders
    };
    let (readers, writers) = (holders(Way::Read), holders(Way::Write));
    let end = &ends[0].1;
    let name = match (&end.name, end.is_named) {
        (_, true) => "yes",
        (Some(_), false) => "gone",
        (None, _) => "never",
    };
    let (label, purpose) = match end.name.as_deref() {
        None if writers.contains(&Actor::Server) => ("unnamed pipe".into(), Use::Down),
        None => ("unnamed pipe".into(), Use::Up),
        Some(name) if name.contains(".client.") || cast.maker_of(name).is_some() => {
            (tell::shorten(name), Use::Private)
        }
        Some(name) if name.contains(".up.") => (tell::shorten(name), Use::Upstream),
        Some(_) if end.is_named => (wkp.name().into(), Use::Door),
        // It was moved aside to lose its name: the kernel remembers the last one, `NAME.new.PID`.
        Some(_) => (wkp.name().into(), Use::Upstream),
    };
    Row { label, name, purpose, readers, writers }
}

/// The client whose pipe it is.
fn client_of(row: &Row, cast: &Cast) -> Option<usize> {
    row.readers.iter().chain(&row.writers).filter_map(|actor| cast.client_behind(*actor)).min()
}

/// Tells those apart that have the same label, by a letter.
fn mark(rows: &mut [Row], are_alike: impl Fn(&Row) -> bool) {
    let alike = rows.iter_mut().filter(|row| are_alike(row));
    let letters =
        ["", "a", "b"].into_iter().flat_map(|first| ('a'..='z').map(move |last| format!("{first}{last}")));
    for (row, letter) in alike.zip(letters) {
        row.label += &format!(" ({letter})");
    }
}

/// The pipe that `from` writes to and `to` reads.
pub(super) fn arc(rows: &[Row], from: Actor, to: Actor) -> Option<&str> {
    let joins = |row: &&Row| row.writers.contains(&from) && row.readers.contains(&to);
    rows.iter().find(joins).map(|row| row.label.as_str())
}
