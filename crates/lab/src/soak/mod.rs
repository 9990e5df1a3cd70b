//! `lab soak`: clients of every behaviour come and go at random, and at the end everything must be as it was.
//!
//! Reading order: `plan` is what happens, drawn at random by `dice`; `crowd` carries it out. `virtual_client`
//! is one client: its session is in `session`, in the course dialect in `naive`, and as a process of its own
//! in `program`. `score` defines what counts as what, `table`
//! prints it every second, `verdict` judges. Deliberately absent: any measure of speed. On a slow machine
//! less happens, and all of it must be right.

mod crowd;
mod dice;
mod naive;
mod plan;
mod program;
mod score;
mod session;
mod shared;
mod table;
mod verdict;
mod virtual_client;

use std::rc::Rc;
use std::time::Duration;

use handshake_cli::{Status, complain};
use handshake_core::error::{Error, Result};
use handshake_core::event::Role;
use handshake_core::limits::Limits;
use handshake_core::place::random;
use handshake_core::process::Process;
use probe::paradigm::Paradigm;
use probe::temporary;

use crate::check;
use crate::demo::printer::Printer;
use crate::server_under_test::ServerUnderTest;
use crowd::Crowd;
use plan::Plan;
use shared::Shared;
use verdict::Findings;

/// The server's deadlines are short, so that silent clients do not hold up a basic server for long.
const DEADLINE: Duration = Duration::from_secs(1);
/// The most clients at a time. More come than that, because a server at capacity is part of the soak.
const MOST: &str = "8";

/// Let clients of every behaviour come and go, and see that nothing is lost and nothing is left.
///
/// Starts the real server in a directory of its own. Clients come at random: polite, flooding, silent,
/// stopped, dying at any step, never reading, writing garbage, and in bursts of the course dialect. Now and
/// then a subserver is killed. Every reply is checked; one line a second shows the state. At the end all
/// leave, and the server must be as it was before the first client. Exits with 0 only then.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long clients come, for each paradigm
    #[arg(long, value_name = "N", default_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Which server [default: all, one after the other]
    #[arg(long, value_enum)]
    paradigm: Option<Paradigm>,

    /// For dispatch: use one well-known pipe for everything that all clients send, and never remove it
    #[arg(long)]
    shared_wkp: bool,

    /// The same seed gives the same plan: which client comes when, and what it does; the kernel's scheduling
    /// may differ [default: a random seed, which is printed]
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
}

/// Soaks one paradigm or all. [`Status::Broken`]: a check failed, and was printed.
///
/// # Errors
/// A program is missing, or the soak itself cannot go on. [`Error::Signal`]: the lab was interrupted, and has
/// ended all processes that it had started.
pub fn run(args: Args) -> Result<Status> {
    let only = args.paradigm.and_then(|paradigm| paradigm.with(args.shared_wkp));
    if args.shared_wkp && only.is_none() {
        let hint = "lab soak --paradigm dispatch --shared-wkp";
        complain("lab", format!("--shared-wkp is for the central dispatch server: {hint}"));
        return Ok(Status::Usage);
    }
    Limits::raise();
    let process = Rc::new(Process::quiet(Role::Client)?);
    let seed = match args.seed {
        Some(seed) => seed,
        // Short enough to type.
        None => random()? % 1_000_000,
    };
    let mut printer = Printer::new();
    let mut right = true;
    for paradigm in Paradigm::ALL.into_iter().filter(|one| only.is_none_or(|only| only == *one)) {
        right &= soak(paradigm, &args, seed, &process, &mut printer)?;
    }
    Ok(if right { Status::Done } else { Status::Broken })
}

/// Soaks one paradigm. Returns whether all checks passed.
fn soak(
    paradigm: Paradigm,
    args: &Args,
    seed: u64,
    process: &Rc<Process>,
    printer: &mut Printer,
) -> Result<bool> {
    let lasting = Duration::from_secs(args.seconds.into());
    announce(paradigm, args.seconds, seed, printer)?;
    let directory = temporary::directory("lab-soak-")?;
    let deadline = format!("{}ms", DEADLINE.as_millis());
    let mut options = vec!["-q", "--service", "reverse"];
    options.extend(["--handshake-timeout", &deadline, "--idle-timeout", &deadline]);
    if paradigm.forks() {
        options.extend(["--max-clients", MOST]);
    }
    let server = ServerUnderTest::open(paradigm, &options, directory, process)?;
    printer.line(&format!("$ {}\n", server.words))?;
    score::rules().iter().try_for_each(|rule| printer.paragraph(rule))?;
    let mut findings = Findings::default();
    let plan = Plan::new(seed, paradigm, lasting);
    let ran = carry_out(paradigm, plan, lasting, &server, process, &mut findings, printer);
    let (ending, died) = check::end(ran, server, printer)?;
    findings.died = died;
    verdict::judge(paradigm, &findings, &ending, printer)
}

fn announce(paradigm: Paradigm, seconds: u32, seed: u64, printer: &mut Printer) -> Result<()> {
    let words = paradigm.words();
    printer.heading(&format!("{words}: {seconds} s, seed {seed}"))?;
    let words = words.replace("-server", "");
    printer.line(&format!("Again: lab soak --paradigm {words} --seconds {seconds} --seed {seed}"))
}

/// Warms up, carries the plan out, and serves one more client.
fn carry_out(
    paradigm: Paradigm,
    plan: Plan,
    lasting: Duration,
    server: &ServerUnderTest,
    process: &Rc<Process>,
    findings: &mut Findings,
    printer: &mut Printer,
) -> Result<()> {
    let before = server.at_rest(process, None)?;
    let mut warming = Shared::new(process, server)?;
    Crowd::new(Plan::warm_up(paradigm), server, &mut warming).run(Duration::ZERO, check_alive)?;
    findings.warm = Some(server.at_rest(process, Some(&before))?);
    findings.before = Some(before);
    let mut shared = Shared::new(process, server)?;
    let soaked = Crowd::new(plan, server, &mut shared).run(lasting, |second, server, score| {
        table::print_line(second, &server.snapshot(), score, printer)?;
        check_alive(second, server, score)
    });
    findings.score = shared.score;
    soaked?;
    findings.after = Some(server.at_rest(process, findings.before.as_ref())?);
    let mut last = Shared::new(process, server)?;
    Crowd::new(Plan::one_more(paradigm), server, &mut last).run(Duration::ZERO, check_alive)?;
    findings.one_more = Some(last.score);
    Ok(())
}

/// Ends the soak if the server has died: it answers no client any more.
fn check_alive(_second: u64, server: &ServerUnderTest, _score: &score::Score) -> Result<()> {
    if probe::proc::lives(server.pid()) {
        return Ok(());
    }
    Err(Error::lost("the server has ended by itself"))
}
