//! Tests of each part of the core alone: nothing here forks, and no server runs.

mod fifo; // A guard removes the FIFO that it made and nothing else; only pipes of this user open.
mod flood; // A peer that writes without end gains no time.
mod place; // Which names a peer may choose.
mod service; // The replies of each built-in service.
mod stream; // Frames through real pipes, in pieces of any size.
mod wire; // Frames as functions of bytes.
mod wkp; // One server at a name; files of other processes are never removed.

use std::fs;
use std::path::Path;

use handshake_core::wire::{HELLO_MAX, Header, Kind, OVERHEAD, PAYLOAD_MAX, Part, append};
use proptest::collection::vec;
use proptest::prelude::*;

/// Any header of this kind.
fn headers(kind: Kind) -> impl Strategy<Value = Header> {
    (any::<u16>(), any::<bool>(), any::<u64>(), any::<u32>()).prop_map(
        move |(number, more, session, sequence)| Header {
            kind,
            part: Part { number, more },
            session,
            sequence,
        },
    )
}

/// Any valid frame: header and payload.
fn frames() -> impl Strategy<Value = (Header, Vec<u8>)> {
    use Kind::{Ack, Bye, Hello, Ready, Refuse, Reply, Request};
    prop::sample::select(vec![Hello, Ack, Ready, Request, Reply, Refuse, Bye]).prop_flat_map(|kind| {
        let longest = if kind == Hello { HELLO_MAX - OVERHEAD } else { PAYLOAD_MAX };
        // Short payloads as often as long ones.
        let payload = prop_oneof![vec(any::<u8>(), 0..=16), vec(any::<u8>(), 0..=longest)];
        (headers(kind), payload)
    })
}

/// Returns a frame's bytes.
fn encoded(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, header, payload);
    out
}

/// Returns the names in a directory, sorted.
fn listing(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the directory can be listed");
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
