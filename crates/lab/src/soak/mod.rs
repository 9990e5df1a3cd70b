//! `lab soak`: clients of all tempers come and go at random, and at the end everything must be as it was.
//!
//! Reading order: `plan` is what is to happen, drawn by `dice`; `crowd` makes it happen; `guest` is one client, with its
//! session in `talk`, in the course dialect in `naive`, or as a process of its own in `program`; `terms` is how the server is told to serve. `score` says what counts as what, `table` shows it every second, `verdict` judges. What is deliberately absent: any measure of
//! speed. On a slow machine less happens, and what happens must be right.

mod crowd;
mod dice;
mod guest;
mod naive;
mod plan;
mod program;
mod score;
mod table;
mod talk;
mod terms;
mod verdict;

use std::rc::Rc;
use std::time::Duration;

use handshake_cli::complain;
use handshake_core::error::{Error, Result, Status};
use handshake_core::event::Role;
use handshake_core::limits::Limits;
use handshake_core::place::random;
use handshake_core::process::Process;
use probe::paradigm::{Kind, Paradigm};
use probe::temporary;

use crate::demo::voice::Voice;
use crate::house::House;
use crowd::{Crowd, Shared};
use plan::Plan;
use table::Table;
use verdict::Findings;

/// Let clients of all tempers come and go, and see that nothing is lost and nothing is left.
///
/// Starts the real server in a directory of its own. Clients come at random: polite, flooding, silent, stopped, dying at
/// any step, never reading, writing garbage, and in bursts of the course dialect; and now and then a subserver is killed. Every reply is checked; a line a
/// second says how things are. At the end all leave, and the server must be as it was before the first came.
/// Exits with 0 only then.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long clients come, for each paradigm
    #[arg(long, value_name = "N", default_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Which server; without it all, one after the other
    #[arg(long, value_enum)]
    paradigm: Option<Paradigm>,

    /// For dispatch: one well-known pipe that is never removed, for all that all clients send
    #[arg(long)]
    shared_wkp: bool,

    /// The same seed gives the same plan: who comes when, and does what; what the kernel makes of it may differ.
    /// Without it, one by chance, which is printed
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
}

/// Soaks one paradigm or all. [`Status::Broken`]: something was not as it has to be; what, was told.
///
/// # Errors
/// A program is missing, or the soak itself cannot go on. [`Error::Signal`]: it was interrupted, and has ended all that
/// it had started.
pub fn run(args: Args) -> Result<Status> {
    if args.shared_wkp && args.paradigm != Some(Paradigm::Dispatch) {
        let hint = "lab soak --paradigm dispatch --shared-wkp";
        complain("lab", format!("--shared-wkp is for the central dispatch server: {hint}"));
        return Ok(Status::Usage);
    }
    Limits::raise();
    let process = Rc::new(Process::quiet(Role::Client)?);
    let seed = match args.seed {
        Some(seed) => seed,
        // Short enough to be typed again.
        None => random()? % 1_000_000,
    };
    let mut voice = Voice::new();
    let mut right = true;
    let asked_for = |kind: &Kind| match args.paradigm {
        Some(paradigm) => kind.paradigm == paradigm && kind.shared_wkp == args.shared_wkp,
        None => true,
    };
    for kind in Kind::ALL.into_iter().filter(asked_for) {
        right &= soak(kind, &args, seed, &process, &mut voice)?;
    }
    Ok(if right { Status::Done } else { Status::Broken })
}

/// One paradigm. Returns whether all was right.
fn soak(kind: Kind, args: &Args, seed: u64, process: &Rc<Process>, voice: &mut Voice) -> Result<bool> {
    let lasting = Duration::from_secs(args.seconds.into());
    announce(kind, args.seconds, seed, voice)?;
    let directory = temporary::directory("lab-soak-")?;
    let mut house = House::open(kind, &terms::options(kind), directory, process)?;
    voice.line(&format!("$ {}\n", house.words))?;
    score::rules().iter().try_for_each(|rule| voice.paragraph(rule))?;
    let mut findings = Findings::new(kind);
    let plan = Plan::new(seed, kind, lasting);
    match carry_out(plan, lasting, &house, process, &mut findings, voice) {
        Err(Error::Signal(signal)) => {
            drop(house);
            voice.heading("Verdict")?;
            voice.verdict(false, &format!("interrupted by {signal}: incomplete, nothing is proved"))?;
            Err(Error::Signal(signal))
        }
        // The server has died, or stdout has gone.
        Err(error @ Error::Lost { .. }) => {
            findings.server_died(&error);
            findings.close(&mut house);
            verdict::judge(&findings, voice)
        }
        Err(error) => Err(error),
        Ok(()) => {
            findings.close(&mut house);
            verdict::judge(&findings, voice)
        }
    }
}

fn announce(kind: Kind, seconds: u32, seed: u64, voice: &mut Voice) -> Result<()> {
    let shared = if kind.shared_wkp { " --shared-wkp" } else { "" };
    let server = kind.paradigm.server();
    let name = server.trim_end_matches("-server");
    voice.heading(&format!("{server}{shared}: {seconds} s, seed {seed}"))?;
    voice.line(&format!("Again: lab soak --paradigm {name}{shared} --seconds {seconds} --seed {seed}"))
}

/// Warms up, carries the plan out, and has one more client served.
fn carry_out(
    plan: Plan,
    lasting: Duration,
    house: &House,
    process: &Rc<Process>,
    findings: &mut Findings,
    voice: &mut Voice,
) -> Result<()> {
    let before = house.at_rest(process, None)?;
    let mut warming = Shared::new(process, house)?;
    Crowd::new(Plan::warm_up(findings.kind), house, &mut warming).run(Duration::ZERO, lives)?;
    findings.warm = Some(house.at_rest(process, Some(&before))?);
    findings.before = Some(before);
    let mut table = Table::default();
    let mut shared = Shared::new(process, house)?;
    let soaked = Crowd::new(plan, house, &mut shared).run(lasting, |second, house, score| {
        table.tell(second, &house.look(), score, voice)?;
        lives(second, house, score)
    });
    findings.score = shared.score;
    soaked?;
    findings.after = Some(house.at_rest(process, findings.before.as_ref())?);
    let mut last = Shared::new(process, house)?;
    Crowd::new(Plan::one_more(findings.kind), house, &mut last).run(Duration::ZERO, lives)?;
    findings.one_more = Some(last.score);
    Ok(())
}

/// A server that has died answers nobody any more.
fn lives(_second: u64, house: &House, _score: &score::Score) -> Result<()> {
    if probe::proc::lives(house.pid()) {
        return Ok(());
    }
    Err(Error::Lost { what: "the server has ended by itself".into(), unanswered: 0 })
}
