//! Which rows a column measures, and which references each of them is compared with.

/// A row, and the references that it is compared with.
pub(crate) type Pair = (&'static str, &'static [&'static str]);

const PING: &[&str] = &["fifo-ping-pong", "fifo-poll"];
const RING: &[&str] = &["fifo-ring"];
const PIPE: &[&str] = &["fifo-pipelined"];
const BULK: &[&str] = &["fifo-4k", "fifo-64k", "fifo-1m"];
const IN_TURN: &[&str] = &["unix-in-turn"];
const FORKS: &[&str] = &["unix-forking"];

pub(crate) const ROUND_TRIP: &[Pair] = &[
    ("basic", PING),
    ("forking", PING),
    ("dispatch", RING),
    ("shared-wkp", RING),
    ("fifo-ping-pong", &[]),
    ("fifo-poll", &["fifo-ping-pong"]),
    ("fifo-ring", &["fifo-ping-pong"]),
    ("unix-in-turn", &["fifo-ping-pong"]),
    ("unix-forking", &["fifo-ping-pong"]),
];

pub(crate) const ONE_CLIENT: &[Pair] = &[
    ("basic", PIPE),
    ("forking", PIPE),
    ("dispatch", RING),
    ("shared-wkp", RING),
    ("fifo-pipelined", &[]),
    ("fifo-ring", PIPE),
    ("unix-in-turn", PIPE),
    ("unix-forking", PIPE),
];

pub(crate) const MANY_CLIENTS: &[Pair] = &[
    ("basic", IN_TURN),
    ("forking", FORKS),
    ("dispatch", RING),
    ("shared-wkp", RING),
    ("fifo-ring", FORKS),
    ("unix-in-turn", &[]),
    ("unix-forking", &[]),
];

pub(crate) const LONG: &[Pair] = &[
    ("basic", BULK),
    ("forking", BULK),
    ("dispatch", BULK),
    ("fifo-4k", &[]),
    ("fifo-64k", &[]),
    ("fifo-1m", &[]),
    ("unix-forking", BULK),
];

pub(crate) const SOCKETS: &[Pair] = &[
    ("basic", IN_TURN),
    ("forking", FORKS),
    ("dispatch", FORKS),
    ("shared-wkp", FORKS),
    ("unix-in-turn", &[]),
    ("unix-forking", &[]),
];

pub(crate) const FLOODED: &[Pair] =
    &[("forking", FORKS), ("dispatch", FORKS), ("shared-wkp", FORKS), ("unix-forking", &[])];

pub(crate) const HELD: &[Pair] = &[("forking", &[]), ("dispatch", &[]), ("shared-wkp", &[])];

pub(crate) const CROWD: &[Pair] = &[
    ("basic", &[]),
    ("forking", &[]),
    ("dispatch", &[]),
    ("shared-wkp", &[]),
    ("unix-in-turn", &[]),
    ("unix-forking", &[]),
    ("course", &[]),
];
