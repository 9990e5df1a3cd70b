//! Each client's round trip, drawn from the pipes that were really found.

use handshake_core::error::Result;
use probe::paradigm::Paradigm;

use super::cast::Actor::{self, Client, Server, Subserver};
use super::map::{Row, arc};
use super::stage::Stage;
use super::voice::unbroken;

/// Draws the round trip of each client that is being served; returns what is missing.
pub(super) fn show(stage: &mut Stage, rows: &[Row], paradigm: Paradigm) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for client in stage.cast.clients() {
        // What a guest lacks is its own affair.
        let mut of_guest = Vec::new();
        let missing = if stage.cast.guest() == Some(client) { &mut of_guest } else { &mut missing };
        if client == 1 || paradigm == Paradigm::Dispatch {
            stage.voice.line("")?;
        }
        if paradigm == Paradigm::Dispatch {
            ring(stage, rows, client, missing)?;
        } else if paradigm == Paradigm::Forking || client == 1 {
            round_trip(stage, rows, client, missing)?;
        }
    }
    Ok(missing)
}

/// Basic and forking: there and back between two processes.
fn round_trip(stage: &mut Stage, rows: &[Row], client: usize, missing: &mut Vec<String>) -> Result<()> {
    let server = stage.cast.subserver_of(client).map_or(Server, Subserver);
    let client = Client(client);
    let there = found(rows, client, server, missing);
    let back = found(rows, server, client, missing);
    let [client, server] = [client, server].map(|actor| coloured(stage, actor, actor.to_string()));
    stage.voice.fill("  ", 4, &format!("{client} --> {there} --> {server} --> {back} --> {client}"))
}

/// Dispatch: server --> subserver --> client --> well-known pipe --> server.
fn ring(stage: &mut Stage, rows: &[Row], client: usize, missing: &mut Vec<String>) -> Result<()> {
    let Some(subserver) = stage.cast.subserver_of(client).map(Subserver) else {
        missing.push(format!("a subserver of client {client}"));
        return Ok(());
    };
    let client = Client(client);
    let names = [Server, subserver, client].map(|actor| coloured(stage, actor, stage.cast.name(actor)));
    let end = coloured(stage, Server, Server.to_string());
    let wkp = unbroken("well-known pipe");
    stage.voice.fill("  ", 4, &format!("{} --> {wkp} --> {end}", names.join(" --> ")))?;
    let down = found(rows, Server, subserver, missing);
    let up = found(rows, subserver, Server, missing);
    let reply = found(rows, subserver, client, missing);
    let request = found(rows, client, Server, missing);
    for (from, to, pipe, what) in [
        (client, Server, request, "all that it sends"),
        (Server, subserver, down, "its records, routed"),
        (subserver, client, reply, "the replies"),
        (subserver, Server, up, "that it has gone"),
    ] {
        let arc = format!("    {:27}{pipe:27} ", format!("{from} --> {to}"));
        stage.voice.fill(&arc.replace('\u{a0}', " "), 59, what)?;
    }
    Ok(())
}

fn coloured(stage: &Stage, actor: Actor, name: String) -> String {
    stage.voice.name(actor, &stage.cast, &name)
}

fn found(rows: &[Row], from: Actor, to: Actor, missing: &mut Vec<String>) -> String {
    arc(rows, from, to).map_or_else(
        || {
            missing.push(format!("a pipe from {from} to {to}"));
            "(no pipe!)".into()
        },
        unbroken,
    )
}
