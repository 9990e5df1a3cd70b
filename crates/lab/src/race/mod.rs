//! `lab race`: many clients at one instant, and what becomes of them: with the protocol as taught, and with ours.
//!
//! Reading order: [`run`]; `plan` is who meets whom; `host` is a server, the original or one of ours; `round` is one race
//! at it, and `fate` what became of a client; `tell` says all that, and why. What is deliberately absent: any judgement of
//! the original. It is measured, and shown beside ours; what is judged is that at ours nobody waits in vain.

mod fate;
mod host;
mod plan;
mod round;
mod tell;

use std::ops::RangeInclusive;
use std::time::Duration;

use handshake_cli::{complain, duration};
use handshake_core::error::{Error, Result, Status};
use handshake_core::event::Role;
use handshake_core::process::Process;

use crate::check::{self, Check};
use crate::demo::voice::Voice;
use fate::Fate;
use host::Host;
use plan::{Dialect, Match, Plan, Server};
use round::Round;

/// Each is a process, and all of them want to run at one instant.
const CLIENTS: RangeInclusive<usize> = 2..=1000;
const ROUNDS: RangeInclusive<usize> = 1..=1000;

/// See why the plain handshake loses clients, and that ours does not.
///
/// Lets many clients go at one instant: at the course's server, taken literally; at ours, with the same naive clients; and
/// at ours with framed ones. Each makes its private pipe first, so that all begin with step 4. It tells how many were
/// served, told that they were not (end of file, an error), answered wrongly, or left hanging, and why. Who goes on after an
/// end of file, as most such programs do, and writes into another's session counts as answered wrongly. Exits with 0 only
/// if at our servers every client was served.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which servers [default: original basic forking dispatch]
    #[arg(value_enum, value_name = "SERVER")]
    servers: Vec<Server>,

    /// How many clients at one instant
    #[arg(long, value_name = "N", default_value = "50", value_parser = within(CLIENTS))]
    clients: usize,

    /// How often: it is a race, and no two are alike
    #[arg(long, value_name = "K", default_value = "5", value_parser = within(ROUNDS))]
    rounds: usize,

    /// What the clients of our servers speak [default: one after the other, both]
    #[arg(long, value_enum, value_name = "DIALECT")]
    dialect: Option<Dialect>,

    /// When nobody has come to an end for so long, whoever still waits is hanging
    #[arg(long, value_name = "DUR", default_value = "3s", value_parser = duration)]
    patience: Duration,
}

/// A match that is over.
#[derive(Debug)]
struct Played {
    who: Match,
    rounds: Vec<Round>,
    /// How a server of ours ended.
    ending: Option<Vec<Check>>,
}

/// Runs all races. [`Status::Broken`]: at a server of ours somebody was lost.
///
/// # Errors
/// A program is missing, or a process cannot be started. [`Error::Signal`]: it was interrupted, and has ended all that it
/// had started.
pub fn run(args: Args) -> Result<Status> {
    let plan = match Plan::of(args) {
        Ok(plan) => plan,
        Err(why) => {
            complain("lab", why);
            return Ok(Status::Usage);
        }
    };
    let process = Process::quiet(Role::Client)?;
    let mut voice = Voice::new();
    tell::announce(&plan, &mut voice)?;
    let mut played = Vec::new();
    for who in &plan.matches {
        match play(*who, &plan, &process, &mut voice) {
            Ok(over) => played.push(over),
            Err(Error::Signal(signal)) => {
                voice.verdict(false, &format!("interrupted by {signal}: incomplete, nothing is proved"))?;
                return Err(Error::Signal(signal));
            }
            Err(error) => return Err(error),
        }
    }
    tell::table(&plan, &played, &mut voice)?;
    let checks: Vec<_> = played.into_iter().filter_map(Played::judged).flatten().collect();
    voice.heading("Verdict")?;
    if checks.is_empty() {
        voice.line("The original is measured, and not judged.")?;
    }
    let right = check::tell(checks, &mut voice)?;
    Ok(if right { Status::Done } else { Status::Broken })
}

/// All rounds at one server.
fn play(who: Match, plan: &Plan, process: &Process, voice: &mut Voice) -> Result<Played> {
    voice.heading(&who.title())?;
    let mut host = Host::open(who.server, process)?;
    voice.line(&format!("$ {}", host.words()))?;
    voice.line(&format!("$ {}   ({} of them)", host.clients_words(who), plan.clients))?;
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        if number > 1 {
            host.begin_anew(process)?;
        }
        let round = round::run(who, plan, &host, process)?;
        voice.line(&format!("round {number}: {round}"))?;
        rounds.push(round);
    }
    tell::why(who, &rounds, voice)?;
    Ok(Played { who, rounds, ending: host.close() })
}

impl Played {
    /// What had to be, where the server is one of ours.
    fn judged(self) -> Option<[Check; 2]> {
        let ending = self.ending?;
        let all: usize = self.rounds.iter().map(Round::clients).sum();
        let served: usize = self.rounds.iter().map(|round| round.of_fate(Fate::Served)).sum();
        let title = self.who.title();
        let people = Check::that(served == all, format!("{title}: of {all}, {served} served (expected all)"));
        let wrong = ending.into_iter().filter(|check| !check.wrong.is_empty());
        let wrong = wrong.flat_map(|check| [vec![check.claim], check.wrong].concat());
        Some([people, Check::new(format!("{title}: ended with 0 and left nothing behind"), wrong)])
    }
}

/// A number of the command line.
fn within(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("a whole number from {} to {}", range.start(), range.end())),
    }
}
