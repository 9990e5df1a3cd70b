//! `lab race`: many clients start at one instant, with the protocol as taught and with ours. It shows their
//! outcomes.
//!
//! Reading order: [`run`]; `plan` pairs servers and clients; `host` is a server, the original or one of this
//! workspace. `round` is one race at a server, and `outcome` the result for a client; `report` prints and
//! explains the results. Deliberately absent: any judgement of the original. The lab measures it for
//! comparison; it judges only that no client of our servers waits in vain.

mod host;
mod outcome;
mod plan;
mod report;
mod round;

use std::ops::RangeInclusive;
use std::time::Duration;

use handshake_cli::{Status, complain, duration};
use handshake_core::error::{Error, Result};
use handshake_core::event::Role;
use handshake_core::process::Process;
use probe::programs::words;

use crate::check::{self, Check};
use crate::demo::printer::Printer;
use crate::numbers::within;
use host::Host;
use outcome::Outcome;
use plan::{Dialect, Match, Plan, Server};
use round::Round;

/// Each client is a process, and all of them run at one instant.
const CLIENTS: RangeInclusive<usize> = 2..=1000;
const ROUNDS: RangeInclusive<usize> = 1..=1000;

/// See why the plain handshake loses clients, and that ours does not.
///
/// Starts many clients at one instant. Naive clients race at the course's server, taken literally, and at our
/// servers; framed clients race at our servers. Each client makes its private pipe first, so that all begin
/// with step 4. The lab reports how many were served, told that they were not (end of file, an error),
/// answered wrongly, or left hanging, and why. Most naive programs go on after an end of file, and write into
/// another client's session: such a client counts as answered wrongly. Exits with 0 only if our servers
/// served every client.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which servers [default: original basic forking dispatch]
    #[arg(value_enum, value_name = "SERVER")]
    servers: Vec<Server>,

    /// How many clients start at one instant
    #[arg(long, value_name = "N", default_value = "50", value_parser = within(CLIENTS))]
    clients: usize,

    /// How often to repeat the race, because no two races are alike
    #[arg(long, value_name = "K", default_value = "5", value_parser = within(ROUNDS))]
    rounds: usize,

    /// The dialect of the clients at our servers [default: both, one after the other]
    #[arg(long, value_enum, value_name = "DIALECT")]
    dialect: Option<Dialect>,

    /// A client counts as hanging if it still waits when no client has ended for this long
    #[arg(long, value_name = "DUR", default_value = "3s", value_parser = duration)]
    patience: Duration,
}

/// A finished match.
#[derive(Debug)]
struct FinishedMatch {
    pairing: Match,
    rounds: Vec<Round>,
    /// How a server of ours ended; `None` for the original.
    ending: Option<Vec<Check>>,
}

/// Runs all races. [`Status::Broken`]: a server of ours lost a client.
///
/// # Errors
/// A program is missing, or a process cannot be started. [`Error::Signal`]: the lab was interrupted, and has
/// ended all processes that it had started.
pub fn run(args: Args) -> Result<Status> {
    let Ok(plan) = Plan::of(args).inspect_err(|why| complain("lab", why)) else {
        return Ok(Status::Usage);
    };
    let process = Process::quiet(Role::Client)?;
    let mut printer = Printer::new();
    report::announce(&plan, &mut printer)?;
    let mut finished = Vec::new();
    for pairing in &plan.matches {
        match run_match(*pairing, &plan, &process, &mut printer) {
            Ok(finished_match) => finished.push(finished_match),
            Err(Error::Signal(number)) => return Err(check::interrupted(number, &mut printer)?),
            Err(error) => return Err(error),
        }
    }
    report::table(&plan, &finished, &mut printer)?;
    let checks: Vec<_> = finished.into_iter().filter_map(FinishedMatch::checks).flatten().collect();
    printer.heading("Verdict")?;
    if checks.is_empty() {
        printer.line("The original is measured, and not judged.")?;
    }
    let right = check::print(checks, &mut printer)?;
    Ok(if right { Status::Done } else { Status::Broken })
}

/// Runs all rounds at one server.
fn run_match(pairing: Match, plan: &Plan, process: &Process, printer: &mut Printer) -> Result<FinishedMatch> {
    printer.heading(&pairing.title())?;
    let mut host = Host::open(pairing.server, process)?;
    printer.line(&format!("$ {}", host.running.words))?;
    printer.line(&format!(
        "$ {}   ({} of them)",
        words(&host.client(pairing.dialect, "MESSAGE")?),
        plan.clients
    ))?;
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        if number > 1 {
            host.begin_anew(process)?;
        }
        let round = round::run(pairing, plan, &host, process)?;
        printer.line(&format!("round {number}: {round}"))?;
        rounds.push(round);
    }
    report::explain(pairing, &rounds, printer)?;
    Ok(FinishedMatch { pairing, rounds, ending: host.close() })
}

impl FinishedMatch {
    /// The checks for a server of ours.
    fn checks(self) -> Option<[Check; 2]> {
        let ending = self.ending?;
        let all: usize = self.rounds.iter().map(Round::clients).sum();
        let served: usize = self.rounds.iter().map(|round| round.with_outcome(Outcome::Served)).sum();
        let title = self.pairing.title();
        let clients =
            Check::that(served == all, format!("{title}: of {all}, {served} served (expected all)"));
        let wrong = ending.into_iter().filter(|check| !check.right);
        let wrong = wrong.flat_map(|check| [vec![check.claim], check.details].concat());
        Some([clients, Check::new(format!("{title}: ended with 0 and left nothing behind"), wrong)])
    }
}
