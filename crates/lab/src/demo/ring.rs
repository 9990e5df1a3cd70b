//! Each client's round trip, drawn from the pipes that /proc really shows.

use handshake_core::error::Result;
use probe::paradigm::Paradigm;

use super::director::Director;
use super::map::{self, Row, arc};
use super::printer::unbroken;
use super::roster::Actor::{self, Client, Server, Subserver};

/// Shows the processes and the pipes under a heading, and the round trip of each client that is being served.
/// Returns the missing pipes.
pub(super) fn show_all(director: &mut Director, paradigm: Paradigm) -> Result<Vec<String>> {
    map::show_again(&mut director.printer, &director.roster, director.processes.wkp())?;
    let rows = map::rows(&director.roster, director.processes.wkp());
    let mut missing = Vec::new();
    for client in director.roster.clients() {
        // A missing pipe of the external client is no failure of the demo.
        let mut of_external = Vec::new();
        let missing =
            if director.roster.external() == Some(client) { &mut of_external } else { &mut missing };
        if client == 1 || paradigm == Paradigm::Dispatch {
            director.printer.line("")?;
        }
        if paradigm == Paradigm::Dispatch {
            ring(director, &rows, client, missing)?;
        } else if paradigm == Paradigm::Forking || client == 1 {
            round_trip(director, &rows, client, missing)?;
        }
    }
    Ok(missing)
}

/// The round trip of basic and forking: there and back between two processes.
fn round_trip(director: &mut Director, rows: &[Row], client: usize, missing: &mut Vec<String>) -> Result<()> {
    let server = director.roster.subserver_of(client).map_or(Server, Subserver);
    let client = Client(client);
    let there = found(rows, client, server, missing);
    let back = found(rows, server, client, missing);
    let [client, server] = [client, server].map(|actor| coloured(director, actor, actor.to_string()));
    director.printer.fill("  ", 4, &format!("{client} --> {there} --> {server} --> {back} --> {client}"))
}

/// The round trip of dispatch: server --> subserver --> client --> well-known pipe --> server.
fn ring(director: &mut Director, rows: &[Row], client: usize, missing: &mut Vec<String>) -> Result<()> {
    let Some(subserver) = director.roster.subserver_of(client).map(Subserver) else {
        missing.push(format!("a subserver of client {client}"));
        return Ok(());
    };
    let client = Client(client);
    let names =
        [Server, subserver, client].map(|actor| coloured(director, actor, director.roster.name(actor)));
    let end = coloured(director, Server, Server.to_string());
    let wkp = unbroken("well-known pipe");
    director.printer.fill("  ", 4, &format!("{} --> {wkp} --> {end}", names.join(" --> ")))?;
    let down = found(rows, Server, subserver, missing);
    let up = found(rows, subserver, Server, missing);
    let reply = found(rows, subserver, client, missing);
    let request = found(rows, client, Server, missing);
    for (from, to, pipe, what) in [
        (client, Server, request, "all that it sends"),
        (Server, subserver, down, "its frames, routed"),
        (subserver, client, reply, "the replies"),
        (subserver, Server, up, "that it has gone"),
    ] {
        let arc = format!("    {:27}{pipe:27} ", format!("{from} --> {to}"));
        director.printer.fill(&arc.replace('\u{a0}', " "), 59, what)?;
    }
    Ok(())
}

fn coloured(director: &Director, actor: Actor, name: String) -> String {
    director.printer.name(actor, &director.roster, &name)
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
