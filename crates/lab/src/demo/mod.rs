//! `lab demo`: the course's steps as they happen, reported from the event log of the real programs.
//!
//! Reading order: `script` is the sequence of a demo; `director` starts and waits, `report` follows the log
//! and prints. `map` and `ring` show which process holds which pipe; `verdict` checks. They use `processes`
//! (starts and ends them), `pause` (`--pause`) and `event_log` (events in the order of time). `roster` knows
//! which PID is which process, and `wkp` which names belong to the server. `sentence` puts an event into
//! words, and `printer` defines the layout.
//!
//! Any program can be one of the clients, as an `external_client`. `external_script` is its part of the
//! script, `finding` judges it, and `advice` says what to correct. Its output goes to a `terminal`, and
//! `watch` observes it from outside.

mod advice;
mod blocked;
mod director;
mod event_log;
mod external_client;
mod external_script;
mod finding;
mod map;
mod pause;
pub(crate) mod printer;
mod processes;
mod report;
mod ring;
mod roster;
mod runnable;
mod script;
mod sentence;
mod terminal;
mod verdict;
mod watch;
mod wkp;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use handshake_cli::{Status, complain};
use handshake_core::error::{Error, Result};
use handshake_core::event::Role;
use handshake_core::process::Process;
use probe::paradigm::Paradigm;

use director::{Director, Halt};
use external_client::ExternalProgram;
use pause::Pause;
use printer::Printer;
use processes::Processes;
use wkp::Wkp;

use crate::numbers::{CLIENTS_MAX, MESSAGES_MAX, within};
use crate::trace;

/// Watch a paradigm's steps as they happen.
///
/// Starts the real server and clients in a directory of their own, prints each step as it happens, and shows
/// which process holds which end of which pipe. At the end it checks that every reply is right and nothing is
/// left. Exits with 0 only then.
///
/// With --client, a program of yours is one more client, unchanged, in the course dialect or the framed one.
/// The demo prints what the server sees of it, and what can be seen from outside. The program must complete
/// the handshake, print the reply to each message, and end when its input ends or by Ctrl-C's signal. If it
/// deadlocks, crashes or gets no reply, the demo names the mistake and exits with 1. It prints everything
/// else as a finding.
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

    /// For dispatch: use one well-known pipe for everything that all clients send, and never remove it
    #[arg(long)]
    shared_wkp: bool,

    /// Stop all processes after each step, until Enter; meanwhile, look around with ls and ps
    #[arg(long)]
    pause: bool,

    /// The well-known pipe's name
    #[arg(long, value_name = "NAME", default_value = "mario")]
    wkp: Wkp,

    /// Write the demo's timeline to FILE; its ending says how, as for `lab trace -o`
    #[arg(long, value_name = "FILE", value_parser = trace::output)]
    html: Option<trace::Output>,

    /// Write the event log of all processes to FILE
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,

    /// Print nothing: the exit status says whether all checks passed
    #[arg(long, short, conflicts_with = "pause")]
    quiet: bool,

    /// A program of yours as one more client: in the directory of the pipes, with the messages as lines of
    /// its stdin
    #[arg(long, value_name = "PATH")]
    client: Option<PathBuf>,

    /// The program's arguments
    #[arg(last = true, value_name = "ARGUMENT", requires = "client")]
    arguments: Vec<OsString>,
}

/// The paradigm, in the course's words.
fn in_words(paradigm: Paradigm) -> &'static [&'static str] {
    match paradigm {
        Paradigm::Basic => {
            &["One client at a time; once it exits, the server creates a new well-known pipe."]
        }
        Paradigm::Forking => &["The main server forks off a dedicated subserver for each client."],
        Paradigm::Dispatch => &[
            RING,
            "The server handles all incoming connections. Each client goes on writing to the well-known \
             pipe that it shook hands on, which has no name any more.",
        ],
        Paradigm::SharedWkp => &[
            RING,
            "The server handles all incoming connections. All clients write to the one well-known pipe, \
             which is never removed (--shared-wkp).",
        ],
    }
}

const RING: &str = "server --> subserver 1 --> client 1 --> well-known pipe --> server";

/// Runs the demo. `Broken`: a check failed, and was printed.
///
/// # Errors
/// A program is missing, or the demo itself cannot go on. [`Signal`](handshake_core::Error::Signal): the demo
/// was interrupted, and has ended all processes that it had started.
pub fn run(args: Args) -> Result<Status> {
    let Some(paradigm) = args.paradigm.with(args.shared_wkp) else {
        complain("lab", "--shared-wkp is for the central dispatch server: lab demo dispatch --shared-wkp");
        return Ok(Status::Usage);
    };
    let external =
        args.client.as_ref().map(|path| ExternalProgram::new(path, &args.arguments)).transpose()?;
    let process = Process::quiet(Role::Client)?;
    let (pause, gate) = args.pause.then(Pause::new).transpose()?.unzip();
    let processes = Processes::prepare(paradigm, args.wkp.clone(), gate)?;
    let printer = if args.quiet { Printer::silent() } else { Printer::new() };
    let mut director = Director::new(process, pause, processes, printer)?;
    announce(&mut director, &args)?;
    let played = script::run(&mut director, &args, external.as_ref());
    let right = close(&mut director, &args, played);
    save(&director, &args)?;
    if let Some(file) = &args.html {
        director.printer.note(&format!("The timeline is in {}", file.path().display()))?;
    }
    let right = right?;
    Ok(if right { Status::Done } else { Status::Broken })
}

fn announce(director: &mut Director, args: &Args) -> Result<()> {
    director.printer.heading(&title(args))?;
    in_words(director.processes.paradigm).iter().try_for_each(|text| director.printer.note(text))?;
    director.printer.note(&format!("The pipes are in {}", director.processes.place().display()))?;
    if args.pause {
        director
            .printer
            .note("After each step all stand still: look around with ls -la, ps, ls -l /proc/PID/fd.")?;
    }
    Ok(())
}

fn title(args: &Args) -> String {
    trace::demo_title(args.paradigm, args.clients, args.messages)
}

/// Writes the files that were asked for.
fn save(director: &Director, args: &Args) -> Result<()> {
    let events = director.event_log.seen();
    let drawn = args.html.as_ref().map(|file| trace::draw(events.to_vec(), title(args), file));
    let written = args.events.as_ref().map(|file| {
        let lines = events.iter().filter_map(|event| serde_json::to_string(event).ok());
        let failed = |error| Error::on("write", file.display().to_string(), error);
        fs::write(file, lines.map(|line| line + "\n").collect::<String>()).map_err(failed)
    });
    drawn.into_iter().chain(written).collect()
}

/// Ends all processes, and prints the verdict. Returns whether all checks passed.
fn close(director: &mut Director, args: &Args, played: Result<Vec<String>, Halt>) -> Result<bool> {
    if let Err(Halt::Failed(error)) = played {
        return Err(error);
    }
    let left = director.end()?;
    director.printer.heading("What was checked")?;
    let right = match played {
        Ok(missing) => verdict::judge(director, args, missing, &left)?,
        Err(Halt::Stuck(expected)) => {
            director.printer.verdict(false, &format!("expected {expected}; it did not happen in time"))?;
            verdict::judge(director, args, Vec::new(), &left).map(|_| false)?
        }
        Err(Halt::Quit | Halt::Failed(_)) => return verdict::judge_rest(director, &left),
    };
    if args.client.is_none() {
        return Ok(right);
    }
    director.printer.heading("What was seen of your program")?;
    Ok(finding::judge(director, args)? && right)
}
