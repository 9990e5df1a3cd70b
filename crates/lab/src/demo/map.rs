//! The process tree, and the holders of each pipe end, as /proc shows them at this moment.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use handshake_core::error::Result;
use probe::proc::{self, Direction, PipeEnd};

use super::printer::Printer;
use super::roster::{Actor, Roster};
use super::sentence;
use super::wkp::Wkp;

/// Columns of the table.
const PIPE: usize = 30;
const NAME: usize = 7;
const READERS: usize = 16;

/// Notes that explain the table.
const GONE: &str = "A name that is gone was removed in step 6 or 8. Processes that have the pipe open go \
on using it; no other process can open it.";
const OWN_END: &str = "The server holds a write end of the well-known pipe itself. So its read end sees no \
hang-up while no client has the pipe open.";

/// The purpose of a pipe; rows stand in the order in which a request passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// The well-known pipe, while it has its name.
    Door,
    /// A client's pipe to the server: a former well-known pipe, or a fresh one.
    Upstream,
    /// From the central process to a subserver.
    Down,
    /// From a subserver to the central process.
    Up,
    /// A client's private pipe.
    Private,
}

/// A pipe and its holders.
#[derive(Debug)]
pub(super) struct Row {
    label: String,
    /// `yes`, `gone`, `never`.
    name: &'static str,
    purpose: Use,
    readers: BTreeSet<Actor>,
    writers: BTreeSet<Actor>,
}

/// Shows the processes and the pipes.
pub(super) fn show(printer: &mut Printer, roster: &Roster, wkp: &Wkp) -> Result<()> {
    let own = std::process::id();
    printer.line(&format!("  lab demo [{own}]"))?;
    show_children(printer, roster, own, "  ")?;
    show_pipes(printer, roster, &rows(roster, wkp))
}

/// Shows the processes and the pipes under a heading.
pub(super) fn show_again(printer: &mut Printer, roster: &Roster, wkp: &Wkp) -> Result<()> {
    printer.heading("The processes, and the pipe ends that they hold")?;
    show(printer, roster, wkp)
}

fn show_children(printer: &mut Printer, roster: &Roster, parent: u32, indent: &str) -> Result<()> {
    let children: Vec<_> = proc::children(parent)
        .into_iter()
        .filter_map(|child| Some((roster.actor(child.pid)?, child)))
        .collect();
    for (index, (actor, child)) in children.iter().enumerate() {
        let (branch, below) = if index + 1 == children.len() { ("└─", "  ") } else { ("├─", "│ ") };
        let name = printer.name(*actor, roster, &roster.name(*actor));
        let dead = if child.state == 'Z' { "  (zombie)" } else { "" };
        printer.fill(&format!("{indent}{branch} "), indent.len(), &format!("{name}{dead}"))?;
        show_children(printer, roster, child.pid, &format!("{indent}{below} "))?;
    }
    Ok(())
}

fn show_pipes(printer: &mut Printer, roster: &Roster, rows: &[Row]) -> Result<()> {
    printer.line(&format!("\n  {:PIPE$}{:NAME$}{:READERS$}written by", "pipe", "name", "read by"))?;
    for row in rows {
        let readers = names(printer, roster, &row.readers, READERS);
        let writers = names(printer, roster, &row.writers, 0);
        let before = format!("  {:PIPE$}{:NAME$}{readers}", row.label, row.name);
        printer.fill(&before, 2 + PIPE + NAME + READERS, &writers)?;
    }
    if rows.iter().any(|row| row.name == "gone") {
        printer.note(GONE)?;
    }
    if rows.iter().any(|row| row.purpose == Use::Door) { printer.note(OWN_END) } else { Ok(()) }
}

/// The coloured names, in a field of `width`.
fn names(printer: &Printer, roster: &Roster, actors: &BTreeSet<Actor>, width: usize) -> String {
    if actors.is_empty() {
        return format!("{:width$}", "nobody");
    }
    let plain: usize = actors.iter().map(|actor| actor.to_string().len() + 2).sum::<usize>() - 2;
    let names: Vec<_> = actors.iter().map(|actor| printer.name(*actor, roster, &actor.to_string())).collect();
    format!("{}{:space$}", names.join(", "), "", space = width.saturating_sub(plain))
}

/// All pipes that the demo's processes hold, except those between them and the demo.
pub(super) fn rows(roster: &Roster, wkp: &Wkp) -> Vec<Row> {
    let own: HashSet<_> = proc::pipe_ends(std::process::id()).into_iter().map(|end| end.pipe).collect();
    let mut pipes: BTreeMap<(u64, u64), Vec<(Actor, PipeEnd)>> = BTreeMap::new();
    for (actor, pid) in roster.all() {
        // Unnamed pipes inside the external client do not concern the demo.
        let is_external = roster.external().map(Actor::Client) == Some(actor);
        let shown = |end: &PipeEnd| !own.contains(&end.pipe) && (end.name.is_some() || !is_external);
        for end in proc::pipe_ends(pid).into_iter().filter(shown) {
            pipes.entry(end.pipe).or_default().push((actor, end));
        }
    }
    let mut rows: Vec<Row> = pipes.into_values().map(|ends| row(&ends, roster, wkp)).collect();
    rows.sort_by_key(|row| (row.purpose != Use::Door, client_of(row, roster), row.purpose));
    mark(&mut rows, |row| row.purpose == Use::Upstream && row.label == wkp.name());
    mark(&mut rows, |row| matches!(row.purpose, Use::Down | Use::Up));
    rows
}

fn row(ends: &[(Actor, PipeEnd)], roster: &Roster, wkp: &Wkp) -> Row {
    let holders = |direction| -> BTreeSet<Actor> {
        ends.iter().filter(|(_, end)| end.direction == direction).map(|(actor, _)| *actor).collect()
    };
    let (readers, writers) = (holders(Direction::Read), holders(Direction::Write));
    let end = &ends[0].1;
    let name = match (&end.name, end.is_named) {
        (_, true) => "yes",
        (Some(_), false) => "gone",
        (None, _) => "never",
    };
    let (label, purpose) = match end.name.as_deref() {
        None if writers.contains(&Actor::Server) => ("unnamed pipe".into(), Use::Down),
        None => ("unnamed pipe".into(), Use::Up),
        Some(name) if name.contains(".client.") || roster.maker_of(name).is_some() => {
            (sentence::shorten(name), Use::Private)
        }
        Some(name) if name.contains(".up.") => (sentence::shorten(name), Use::Upstream),
        Some(_) if end.is_named => (wkp.name().into(), Use::Door),
        // The server renamed it to remove its name; the kernel remembers the last one, `NAME.new.PID`.
        Some(_) => (wkp.name().into(), Use::Upstream),
    };
    Row { label, name, purpose, readers, writers }
}

/// The client that the pipe belongs to.
fn client_of(row: &Row, roster: &Roster) -> Option<usize> {
    row.readers.iter().chain(&row.writers).filter_map(|actor| roster.client_served_by(*actor)).min()
}

/// Adds a letter to labels that would otherwise be equal.
fn mark(rows: &mut [Row], are_alike: impl Fn(&Row) -> bool) {
    let alike = rows.iter_mut().filter(|row| are_alike(row));
    let letters =
        ["", "a", "b"].into_iter().flat_map(|first| ('a'..='z').map(move |last| format!("{first}{last}")));
    for (row, letter) in alike.zip(letters) {
        row.label += &format!(" ({letter})");
    }
}

/// The label of the pipe that `from` writes to and `to` reads.
pub(super) fn arc(rows: &[Row], from: Actor, to: Actor) -> Option<&str> {
    let joins = |row: &&Row| row.writers.contains(&from) && row.readers.contains(&to);
    rows.iter().find(joins).map(|row| row.label.as_str())
}
