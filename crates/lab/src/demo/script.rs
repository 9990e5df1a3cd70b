//! What is played, scene by scene.

use handshake_core::event::What;
use probe::paradigm::Paradigm;

use super::cast::Actor;
use super::guest::Invitation;
use super::stage::{Halt, Stage};
use super::{Args, map, visit};

/// The whole play. Returns the pipes that were looked for and not found.
pub(super) fn play(stage: &mut Stage, args: &Args, guest: Option<&Invitation>) -> Result<Vec<String>, Halt> {
    stage.scene("The server starts")?;
    stage.start_server()?;
    stage.until("the server to wait for a connection", |now| {
        now.server_waits() || now.has_ended(Actor::Server)
    })?;
    let missing = match args.paradigm {
        Paradigm::Basic => one_after_the_other(stage, args, guest)?,
        Paradigm::Forking | Paradigm::Dispatch => all_at_once(stage, args, guest)?,
    };
    stage.scene("The server is asked to end: SIGTERM")?;
    stage.end_server();
    stage.until("the server to end", |now| now.has_ended(Actor::Server))?;
    Ok(missing)
}

/// Basic: each client has the server for itself, and the next waits for its turn.
fn one_after_the_other(
    stage: &mut Stage,
    args: &Args,
    guest: Option<&Invitation>,
) -> Result<Vec<String>, Halt> {
    let mut missing = Vec::new();
    connect(stage, 1)?;
    for client in 1..=args.clients {
        let next = client + 1;
        if next <= args.clients {
            stage.scene(&format!("Client {next} starts, while client {client} is being served"))?;
            stage.start_client()?;
            stage.until(format!("client {next} to make its private pipe"), |now| {
                now.count_of(What::PrivateCreated, next) > 0 || now.has_ended(Actor::Client(next))
            })?;
            stage.voice.note(&format!(
                "There is no well-known pipe now, so client {next} cannot connect (step 4).\n\
                 It waits for its turn, and looks again every 20 ms."
            ))?;
        }
        if client == 1 {
            missing = map::show_with_rounds(stage, args.paradigm)?;
        }
        for number in 1..=args.messages {
            stage.scene(&format!("Client {client} sends message {number}"))?;
            send(stage, client, number);
            replied(stage, client, number)?;
        }
        stage.scene(&match next {
            _ if next > args.clients => format!("Client {client} leaves"),
            _ => format!("Client {client} leaves, and client {next} has its turn"),
        })?;
        stage.troupe.hang_up(Actor::Client(client));
        stage.until(format!("client {client} to end, and the server to wait for the next"), |now| {
            let next_is_served = next > args.clients || is_connected(now, next);
            now.has_ended(Actor::Client(client)) && next_is_served && now.server_waits()
                || now.has_ended(Actor::Server)
        })?;
    }
    // It comes when there is a well-known pipe: a program of the course looks for that but once.
    if let Some(guest) = guest
        && visit::connect(stage, guest)?
    {
        map::show_again(stage)?;
        (1..=args.messages).try_for_each(|number| visit::give(stage, number))?;
        visit::leave(stage)?;
    }
    Ok(missing)
}

/// Forking and dispatch: all clients are connected at the same time.
fn all_at_once(stage: &mut Stage, args: &Args, guest: Option<&Invitation>) -> Result<Vec<String>, Halt> {
    for client in 1..=args.clients {
        connect(stage, client)?;
    }
    let guest_is_there = guest.map(|guest| visit::connect(stage, guest)).transpose()? == Some(true);
    let missing = map::show_with_rounds(stage, args.paradigm)?;
    for number in 1..=args.messages {
        if number == 1 {
            for client in 1..=args.clients {
                stage.scene(&format!("Client {client} sends message 1"))?;
                send(stage, client, 1);
                replied(stage, client, 1)?;
            }
        } else {
            stage.scene(&format!("All send message {number} at the same moment"))?;
            (1..=args.clients).for_each(|client| send(stage, client, number));
            (1..=args.clients).try_for_each(|client| replied(stage, client, number))?;
        }
        if guest_is_there {
            visit::give(stage, number)?;
        }
    }
    for client in 1..=args.clients {
        stage.scene(&format!("Client {client} leaves"))?;
        stage.troupe.hang_up(Actor::Client(client));
        stage.until(format!("client {client} to end, and its subserver to be reaped"), |now| {
            let reaped = now.count(What::SubserverReaped) >= client;
            now.has_ended(Actor::Client(client)) && reaped || now.has_ended(Actor::Server)
        })?;
    }
    if guest_is_there {
        visit::leave(stage)?;
    }
    Ok(missing)
}

fn connect(stage: &mut Stage, client: usize) -> Result<(), Halt> {
    stage.scene(&format!("Client {client} connects"))?;
    stage.start_client()?;
    stage.until(format!("client {client} to be connected"), |now| {
        is_connected(now, client) && now.server_waits()
            || now.has_ended(Actor::Client(client))
            || now.has_ended(Actor::Server)
    })
}

fn is_connected(stage: &Stage, client: usize) -> bool {
    stage.count_of(What::ReadyReceived, client) > 0 && stage.count_of(What::ReadySent, client) > 0
}

fn send(stage: &mut Stage, client: usize, number: usize) {
    stage.troupe.say(Actor::Client(client), &message(client, number));
}

fn replied(stage: &mut Stage, client: usize, number: usize) -> Result<(), Halt> {
    stage.until(format!("client {client} to receive reply {number}"), |now| {
        now.count_of(What::ReplyReceived, client) >= number || now.has_ended(Actor::Client(client))
    })
}

/// What a client sends: no two alike, so that a reply that went astray would show.
pub(super) fn message(client: usize, number: usize) -> String {
    match number {
        1 => format!("it's-a me, client {client}!"),
        _ => format!("message {number} of client {client}"),
    }
}
