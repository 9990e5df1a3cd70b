//! The sequence of a demo, section by section.

use handshake_core::event::What;
use nix::sys::signal::Signal;
use probe::paradigm::Paradigm;

use super::director::{Director, Halt};
use super::external_client::ExternalProgram;
use super::roster::{Actor, message};
use super::{Args, external_script, map, ring};

/// Runs the whole demo. Returns the pipes that were expected and not found.
pub(super) fn run(
    director: &mut Director,
    args: &Args,
    external: Option<&ExternalProgram>,
) -> Result<Vec<String>, Halt> {
    director.section("The server starts")?;
    director.start_server()?;
    director.until("the server to wait for a connection", |now| {
        now.server_waits() || now.has_ended(Actor::Server)
    })?;
    let missing = match args.paradigm {
        Paradigm::Basic => one_after_the_other(director, args, external)?,
        _ => all_at_once(director, args, external)?,
    };
    director.section("The server is asked to end: SIGTERM")?;
    director.processes.signal(Actor::Server, Signal::SIGTERM);
    director.until("the server to end", |now| now.has_ended(Actor::Server))?;
    Ok(missing)
}

/// Basic: one client has the server for itself, while the next waits for its turn.
fn one_after_the_other(
    director: &mut Director,
    args: &Args,
    external: Option<&ExternalProgram>,
) -> Result<Vec<String>, Halt> {
    let mut missing = Vec::new();
    connect(director, 1)?;
    for client in 1..=args.clients {
        let next = client + 1;
        if next <= args.clients {
            director.section(&format!("Client {next} starts, while client {client} is being served"))?;
            director.start_client()?;
            director.until(format!("client {next} to make its private pipe"), |now| {
                now.count_of(What::PrivateCreated, next) > 0 || now.has_ended(Actor::Client(next))
            })?;
            director.printer.note(&format!(
                "There is no well-known pipe now, so client {next} cannot connect (step 4).\n\
                 It waits for its turn, and looks again every 20 ms."
            ))?;
        }
        if client == 1 {
            missing = ring::show_all(director, args.paradigm)?;
        }
        for number in 1..=args.messages {
            director.section(&format!("Client {client} sends message {number}"))?;
            send(director, client, number);
            replied(director, client, number)?;
        }
        director.section(&match next {
            _ if next > args.clients => format!("Client {client} leaves"),
            _ => format!("Client {client} leaves, and client {next} has its turn"),
        })?;
        director.processes.close_stdin(Actor::Client(client));
        director.until(format!("client {client} to end, and the server to wait for the next"), |now| {
            let next_is_served = next > args.clients || is_connected(now, next);
            now.has_ended(Actor::Client(client)) && next_is_served && now.server_waits()
                || now.has_ended(Actor::Server)
        })?;
    }
    // The external client starts when there is a well-known pipe, because a program of the course looks for
    // it only once.
    if let Some(external) = external
        && external_script::connect(director, external)?
    {
        map::show_again(&mut director.printer, &director.roster, director.processes.wkp())?;
        (1..=args.messages).try_for_each(|number| external_script::give(director, number))?;
        external_script::leave(director)?;
    }
    Ok(missing)
}

/// Forking and dispatch: all clients are connected at the same time.
fn all_at_once(
    director: &mut Director,
    args: &Args,
    external: Option<&ExternalProgram>,
) -> Result<Vec<String>, Halt> {
    for client in 1..=args.clients {
        connect(director, client)?;
    }
    let external_is_connected =
        external.map(|external| external_script::connect(director, external)).transpose()? == Some(true);
    let missing = ring::show_all(director, args.paradigm)?;
    for number in 1..=args.messages {
        if number == 1 {
            for client in 1..=args.clients {
                director.section(&format!("Client {client} sends message 1"))?;
                send(director, client, 1);
                replied(director, client, 1)?;
            }
        } else {
            director.section(&format!("All send message {number} at the same moment"))?;
            (1..=args.clients).for_each(|client| send(director, client, number));
            (1..=args.clients).try_for_each(|client| replied(director, client, number))?;
        }
        if external_is_connected {
            external_script::give(director, number)?;
        }
    }
    for client in 1..=args.clients {
        director.section(&format!("Client {client} leaves"))?;
        director.processes.close_stdin(Actor::Client(client));
        director.until(format!("client {client} to end, and its subserver to be reaped"), |now| {
            let reaped = now.count(What::SubserverReaped) >= client;
            now.has_ended(Actor::Client(client)) && reaped || now.has_ended(Actor::Server)
        })?;
    }
    if external_is_connected {
        external_script::leave(director)?;
    }
    Ok(missing)
}

fn connect(director: &mut Director, client: usize) -> Result<(), Halt> {
    director.section(&format!("Client {client} connects"))?;
    director.start_client()?;
    director.until(format!("client {client} to be connected"), |now| {
        is_connected(now, client) && now.server_waits()
            || now.has_ended(Actor::Client(client))
            || now.has_ended(Actor::Server)
    })
}

fn is_connected(director: &Director, client: usize) -> bool {
    director.count_of(What::ReadyReceived, client) > 0 && director.count_of(What::ReadySent, client) > 0
}

fn send(director: &mut Director, client: usize, number: usize) {
    director.processes.send_line(Actor::Client(client), &message(client, number));
}

fn replied(director: &mut Director, client: usize, number: usize) -> Result<(), Halt> {
    director.until(format!("client {client} to receive reply {number}"), |now| {
        now.count_of(What::ReplyReceived, client) >= number || now.has_ended(Actor::Client(client))
    })
}
