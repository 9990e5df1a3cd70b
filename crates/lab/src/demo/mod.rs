//! `lab demo`: the course's steps as they happen, told from the event record of the real programs.
//!
//! Reading order: `script` is what is played; `stage` follows the record, tells, and waits; `map` and `ring` show who
//! holds which pipe; `verdict` checks. They stand on `troupe` (the processes), `pause` (`--pause`), `record` (the order of
//! time), `cast` (who is who), `tell` (sentences), `voice` (how it looks) and `wkp` (whose a name is).
//!
//! Any program can be one of the clients: it is a `guest`: `visit` plays its part of the script, `finding`
//! judges it, and `advice` says what to mend. What it does, it says itself on its `terminal`, or is seen from
//! outside by `watch`.

mod advice;
mod cast;
mod finding;
mod guest;
mod map;
mod pause;
mod record;
mod ring;
mod runnable;
mod script;
mod stage;
mod tell;
mod terminal;
mod troupe;
mod verdict;
mod visit;
pub(crate) mod voice;
mod watch;
mod wkp;

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use handshake_cli::complain;
use handshake_core::Result;
use handshake_core::error::Status;
use handshake_core::event::Role;
use handshake_core::process::Process;
use probe::paradigm::Paradigm;

use guest::Invitation;
use pause::Pause;
use stage::{Halt, Stage};
use troupe::Troupe;
use voice::Voice;
use wkp::Wkp;

/// More would neither fit a page nor be read.
const CLIENTS_MAX: usize = 20;
const MESSAGES_MAX: usize = 100;

/// Watch a paradigm's steps as they happen.
///
/// Starts the real server and clients in a directory of their own, tells each step as it happens, shows which process
/// holds which end of which pipe, and checks at the end that every reply is right and nothing is left. Exits with 0
/// only then.
///
/// With --client, a program of yours is one more client, unchanged, in the course dialect or the framed one.
/// What it does is told as the server sees it and as one sees it from outside. It must shake hands, print the
/// reply to each message, and end when its input does or by Ctrl-C's signal. If it deadlocks, crashes or gets
/// no reply, the demo says which mistake that is and exits with 1; everything else is told as a finding.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which server
    #[arg(value_enum)]
    paradigm: Paradigm,

    /// How many clients
    #[arg(long, value_name = "N", default_value = "3", value_parser = within(1..=CLIENTS_MAX))]
    clients: usize,

    /// How many messages each of them sends
    #[arg(long, value_name = "M", default_value = "2", value_parser = within(0..=MESSAGES_MAX))]
    messages: usize,

    /// For dispatch: one well-known pipe that is never removed, for all that all clients send
    #[arg(long)]
    shared_wkp: bool,

    /// Stop all processes after each step, until Enter; look around meanwhile with ls and ps
    #[arg(long)]
    pause: bool,

    /// The well-known pipe's name
    #[arg(long, value_name = "NAME", default_value = "mario")]
    wkp: Wkp,

    /// A program of yours as one more client: in the directory of the pipes, with the messages as lines of its stdin
    #[arg(long, value_name = "PATH")]
    client: Option<PathBuf>,

    /// What the program is given as its arguments
    #[arg(last = true, value_name = "ARGUMENT", requires = "client")]
    arguments: Vec<OsString>,
}

/// What it is, in the course's words.
fn in_words(paradigm: Paradigm, shared_wkp: bool) -> &'static [&'static str] {
    match (paradigm, shared_wkp) {
        (Paradigm::Basic, _) => {
            &["One client at a time; once it exits, the server creates a new well-known pipe."]
        }
        (Paradigm::Forking, _) => &["The main server forks off a dedicated subserver for each client."],
        (Paradigm::Dispatch, false) => &[
            RING,
            "The server handles all incoming connections. Each client goes on writing to the well-known \
             pipe that it shook hands on, which has no name any more.",
        ],
        (Paradigm::Dispatch, true) => &[
            RING,
            "The server handles all incoming connections. All clients write to the one well-known pipe, \
             which is never removed (--shared-wkp).",
        ],
    }
}

const RING: &str = "server --> subserver 1 --> client 1 --> well-known pipe --> server";

/// Plays the demo. `Broken`: something was not as it has to be; what, was told.
///
/// # Errors
/// A program is missing, or the demo itself cannot go on. [`Signal`](handshake_core::Error::Signal): it was interrupted,
/// and has ended all that it had started.
pub fn run(args: Args) -> Result<Status> {
    if args.shared_wkp && args.paradigm != Paradigm::Dispatch {
        complain("lab", "--shared-wkp is for the central dispatch server: lab demo dispatch --shared-wkp");
        return Ok(Status::Usage);
    }
    let guest = args.client.as_ref().map(|path| Invitation::new(path, &args.arguments)).transpose()?;
    let process = Process::quiet(Role::Client)?;
    let (pause, gate) =
        if args.pause { Pause::new().map(|(pause, gate)| (Some(pause), Some(gate)))? } else { (None, None) };
    let troupe = Troupe::gather(args.paradigm, args.shared_wkp, args.wkp.clone(), gate)?;
    let mut stage = Stage::set(process, pause, troupe, Voice::new())?;
    announce(&mut stage, &args)?;
    let played = script::play(&mut stage, &args, guest.as_ref());
    let right = close(&mut stage, &args, played)?;
    Ok(if right { Status::Done } else { Status::Broken })
}

fn announce(stage: &mut Stage, args: &Args) -> Result<()> {
    let (clients, messages) = (counted(args.clients, "client"), counted(args.messages, "message"));
    let title = format!("{}: {clients}, {messages} each", args.paradigm.server());
    stage.voice.heading(&title)?;
    in_words(args.paradigm, args.shared_wkp).iter().try_for_each(|text| stage.voice.note(text))?;
    let place = stage.troupe.place().display().to_string();
    stage.voice.note(&format!("The pipes are in {place}"))?;
    if args.pause {
        stage
            .voice
            .note("After each step all stand still: look around with ls -la, ps, ls -l /proc/PID/fd.")?;
    }
    Ok(())
}

/// Ends everybody, and says whether all was right.
fn close(stage: &mut Stage, args: &Args, played: Result<Vec<String>, Halt>) -> Result<bool> {
    if let Err(Halt::Failed(error)) = played {
        return Err(error);
    }
    let left = stage.end()?;
    stage.voice.heading("What was checked")?;
    let right = match played {
        Ok(missing) => verdict::judge(stage, args, missing, &left)?,
        Err(Halt::Stuck(expected)) => {
            stage.voice.verdict(false, &format!("expected {expected}; it did not happen in time"))?;
            verdict::judge(stage, args, Vec::new(), &left).map(|_| false)?
        }
        Err(Halt::Quit | Halt::Failed(_)) => return verdict::judge_rest(stage, &left),
    };
    if args.client.is_none() {
        return Ok(right);
    }
    stage.voice.heading("What was seen of your program")?;
    Ok(finding::judge(stage, args)? && right)
}

/// `1 client`, `2 clients`.
fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A number of the command line.
fn within(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("a whole number from {} to {}", range.start(), range.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_to_their_range() {
        let clients = within(1..=3);
        assert_eq!((clients("1"), clients("3")), (Ok(1), Ok(3)));
        for wrong in ["0", "4", "-1", "x", ""] {
            assert!(clients(wrong).is_err(), "{wrong:?} is not from 1 to 3");
        }
    }
}
