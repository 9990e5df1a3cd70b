//! The columns: what is measured of which rows, against which references. A new one is an entry in
//! [`columns`].

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

use crate::model::metrics::number;
use crate::model::pairs::{CROWD, FLOODED, HELD, LONG, MANY_CLIENTS, ONE_CLIENT, Pair, ROUND_TRIP, SOCKETS};
use crate::model::placement::Placement;
use crate::model::placement::Placement::{Busy, DifferentCores, Free, SameCore};

/// What columns are chosen by on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Group {
    /// One request of 64 bytes at a time
    RoundTrip,
    /// Messages a second, by clients and messages in flight
    Throughput,
    /// Echo of messages of 1 MiB
    Bulk,
    /// Handshakes a second
    Connects,
    /// Handshakes a second beside thousands of connected clients
    Crowded,
    /// How long the second client waits while the first keeps its connection
    SecondClient,
    /// Polite clients beside one that floods
    Flood,
    /// Memory, descriptors and processes for idle clients
    Memory,
    /// Who is lost when many knock at one instant
    Losses,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("none is skipped").get_name())
    }
}

/// What a trial does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// So many clients ask, each with so many requests in flight, of so many bytes.
    Talk {
        clients: usize,
        window: usize,
        payload: usize,
    },
    /// So many clients connect and leave, over and over.
    Connect {
        clients: usize,
    },
    /// One client connects and leaves, over and over: alone, and beside so many that stay.
    Crowded {
        held: usize,
    },
    SecondClient,
    Flood,
    /// So many connect and say nothing.
    Memory {
        clients: usize,
    },
    /// So many clients connect at one instant.
    Crowd {
        clients: usize,
    },
}

/// A column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// `throughput-8x64`.
    pub(crate) id: String,
    pub(crate) group: Group,
    pub(crate) title: String,
    pub(crate) task: Task,
    pub(crate) pairs: &'static [Pair],
    /// Only the best of the references counts, whichever that is.
    pub(crate) best_reference: bool,
    /// The rows that are not measured, and why not.
    pub(crate) left_out: &'static [(&'static str, &'static str)],
    /// Where, in the quick form; empty: not there at all, unless asked for by name.
    quick: &'static [Placement],
    full: &'static [Placement],
}

impl Column {
    /// Where it is measured.
    pub(crate) fn placements(&self, full: bool, by_name: bool) -> &'static [Placement] {
        match (full, by_name && self.quick.is_empty()) {
            (true, _) => self.full,
            (false, true) => &[Free],
            (false, false) => self.quick,
        }
    }
}

const EVERYWHERE: &[Placement] = &[Free, SameCore, DifferentCores];
const HERE: &[Placement] = &[Free];
const NOWHERE: &[Placement] = &[];

/// Clients and messages in flight of each: all pairs of these are columns of throughput.
const CLIENTS: [usize; 4] = [1, 8, 64, 256];
const WINDOWS: [usize; 4] = [1, 8, 64, 512];

/// One flooding and so many polite clients, as in docs/failure-modes.md.
pub(crate) const POLITE: usize = 63;

/// So long the first client keeps its connection while a second one waits.
pub(crate) const KEPT: Duration = Duration::from_millis(200);

/// Idle clients whose memory is looked at; with one client at a time, there is but one.
const IDLE: usize = 64;

/// Clients that connect at one instant.
const KNOCKING: usize = 50;

/// Clients that stay connected while the next ones come.
pub(crate) const CROWDED: usize = 5_000;

/// Payload of short messages.
const SHORT: usize = 64;

/// All columns, in the order of measuring and telling.
pub(crate) fn columns() -> Vec<Column> {
    let mut all = vec![Column {
        quick: EVERYWHERE,
        full: &[Free, SameCore, DifferentCores, Busy],
        ..column(Group::RoundTrip, "", "round trip, 64 bytes, one at a time", talk(1, 1), ROUND_TRIP)
    }];
    for clients in CLIENTS {
        // One client with one message in flight is the round trip.
        let windows = WINDOWS.into_iter().filter(|window| (clients, *window) != (1, 1));
        all.extend(windows.map(|window| throughput(clients, window)));
    }
    all.push(Column {
        full: EVERYWHERE,
        best_reference: true,
        left_out: &[("shared-wkp", "a message of 1 MiB outgrows its window of 16 frames and is refused")],
        ..column(
            Group::Bulk,
            "",
            "echo of 1 MiB, one at a time",
            Task::Talk { clients: 1, window: 1, payload: 1 << 20 },
            LONG,
        )
    });
    for clients in [1, 8, 64] {
        let title = format!("connects, {}", counted(clients));
        let task = Task::Connect { clients };
        let quick = if clients == 8 { HERE } else { NOWHERE };
        let id = format!("-{clients}");
        all.push(Column { quick, full: EVERYWHERE, ..column(Group::Connects, &id, &title, task, SOCKETS) });
    }
    all.extend(the_rest());
    all
}

fn the_rest() -> [Column; 5] {
    const ALONE: &str = "one client at a time: the polite ones wait until the flooding one leaves";
    let title = format!("connects, 1 client, beside {} connected ones", number(CROWDED as f64));
    let crowded = column(Group::Crowded, "", &title, Task::Crowded { held: CROWDED }, HELD);
    let title = "the second client's wait while the first keeps its connection";
    let second = column(Group::SecondClient, "", title, Task::SecondClient, SOCKETS);
    let title = format!("{POLITE} polite clients beside a flooding one");
    let flood = column(Group::Flood, "", &title, Task::Flood, FLOODED);
    let title = format!("{IDLE} idle clients (one at a time: 1)");
    let memory = column(Group::Memory, "", &title, Task::Memory { clients: IDLE }, SOCKETS);
    let title = format!("{KNOCKING} clients at one instant");
    let crowd = column(Group::Losses, "", &title, Task::Crowd { clients: KNOCKING }, CROWD);
    [
        crowded,
        Column { quick: HERE, ..second },
        Column { left_out: &[("basic", ALONE), ("unix-in-turn", ALONE)], ..flood },
        memory,
        Column { quick: HERE, ..crowd },
    ]
}

/// Measured in the full form, placed freely, and not in the quick one.
fn column(group: Group, id: &str, title: &str, task: Task, pairs: &'static [Pair]) -> Column {
    Column {
        id: format!("{group}{id}"),
        group,
        title: title.into(),
        task,
        pairs,
        best_reference: false,
        left_out: &[],
        quick: NOWHERE,
        full: HERE,
    }
}

fn talk(clients: usize, window: usize) -> Task {
    Task::Talk { clients, window, payload: SHORT }
}

fn throughput(clients: usize, window: usize) -> Column {
    let pairs = if clients == 1 { ONE_CLIENT } else { MANY_CLIENTS };
    let title = format!("{}, {window} in flight{}", counted(clients), if clients > 1 { " each" } else { "" });
    let id = format!("-{clients}x{window}");
    let column = column(Group::Throughput, &id, &title, talk(clients, window), pairs);
    // What the speeds that matter are judged by.
    let matters = matches!((clients, window), (1, 64 | 512) | (8, 64));
    let full = if matters { EVERYWHERE } else { HERE };
    Column { quick: if (clients, window) == (1, 64) { HERE } else { NOWHERE }, full, ..column }
}

/// `1 client`, `8 clients`.
pub(crate) fn counted(clients: usize) -> String {
    format!("{clients} client{}", if clients == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rows::row;

    #[test]
    fn every_name_in_a_column_is_a_row_and_every_reference_is_measured_in_it() {
        for column in columns() {
            for (name, references) in column.pairs {
                assert!(row(name).is_some(), "{name} in {}", column.id);
                for reference in *references {
                    let measured = column.pairs.iter().any(|pair| pair.0 == *reference);
                    assert!(measured, "{reference} in {}", column.id);
                }
            }
        }
    }

    #[test]
    fn ids_are_told_apart() {
        let mut ids: Vec<_> = columns().into_iter().map(|column| column.id).collect();
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all);
        assert!(ids.contains(&"throughput-8x64".into()) && ids.contains(&"round-trip".into()));
    }
}
