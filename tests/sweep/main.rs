//! `cargo xtask sweep`: runs each fault of the table at each call of a session, once and for good.
//!
//! Prints a line for each call of each program and the verdict on stdout. Prints the whole scene of each
//! scenario that failed on stderr.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stdout};
use std::panic::{catch_unwind, set_hook};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use workspace_tests::fault::{Fault, Lasts, Side, run_with_fault, trace_calls};
use workspace_tests::{Paradigm, Tool, needs};

/// Make every system call of a session fail, one after the other, once and for good, and check the result
/// each time.
///
/// A scenario is a server, three clients, the end, and a fresh server with one more client. In each, one call
/// of one program fails. Exits with 0 if no process hung, nothing was left, each failed process said why, and
/// every client was served that could be.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask sweep", bin_name = "cargo xtask sweep")]
struct Args {
    /// Only this server
    #[arg(long, value_enum)]
    paradigm: Option<Which>,

    /// Only the calls of these processes
    #[arg(long, value_enum)]
    side: Option<Whose>,

    /// Only calls of this name
    #[arg(long, value_name = "NAME")]
    call: Option<String>,

    /// Only the n-th of them, as strace counts
    #[arg(long, value_name = "N", requires = "call")]
    nth: Option<usize>,

    /// Only this error
    #[arg(long, value_name = "ERRNO")]
    error: Option<String>,

    /// Only calls that go on failing
    #[arg(long, conflicts_with = "once")]
    for_good: bool,

    /// Only calls that fail once
    #[arg(long)]
    once: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Basic,
    Forking,
    Dispatch,
    /// dispatch --shared-wkp
    Shared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Whose {
    Server,
    Subserver,
    Client,
}

impl Args {
    fn paradigms(&self) -> impl Iterator<Item = Paradigm> {
        let only = self.paradigm;
        let all =
            [Which::Basic, Which::Forking, Which::Dispatch, Which::Shared].into_iter().zip(Paradigm::ALL);
        all.filter(move |(which, _)| only.is_none_or(|only| only == *which)).map(|(_, paradigm)| paradigm)
    }

    fn sides(&self, paradigm: Paradigm) -> impl Iterator<Item = Side> {
        let only = self.side.map(|whose| match whose {
            Whose::Server => Side::Server,
            Whose::Subserver => Side::Subserver,
            Whose::Client => Side::Client,
        });
        Side::of(paradigm).filter(move |side| only.is_none_or(|only| only == *side))
    }

    fn wants(&self, fault: &Fault) -> bool {
        self.call.as_ref().is_none_or(|call| *call == fault.call)
            && self.nth.is_none_or(|nth| nth == fault.nth)
            && self.error.as_ref().is_none_or(|error| *error == fault.error)
            && !(self.for_good && fault.lasts == Lasts::Once)
            && !(self.once && fault.lasts == Lasts::ForGood)
    }
}

/// The results of the scenarios so far.
#[derive(Debug, Default)]
struct Tally {
    tried: usize,
    /// The scenarios in which the call was made, and failed.
    struck: usize,
    failed: usize,
}

thread_local! {
    /// The reason why the last scenario failed.
    static WHY: RefCell<String> = RefCell::default();
}

fn main() -> ExitCode {
    let args = Args::parse();
    if !needs(&[Tool::StraceAttached]) {
        return ExitCode::FAILURE;
    }
    set_hook(Box::new(|panic| WHY.set(panic.to_string())));
    let (since, mut all) = (Instant::now(), Tally::default());
    for paradigm in args.paradigms() {
        for side in args.sides(paradigm) {
            sweep(&args, paradigm, side, &mut all);
        }
    }
    let seconds = since.elapsed().as_secs();
    let verdict = if all.failed == 0 { "all is well" } else { "not all is well" };
    println!(
        "{verdict}: {} scenarios, {} struck, {} failed, in {seconds} s",
        all.tried, all.struck, all.failed
    );
    if all.failed == 0 && all.tried > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs all faults of one side of a paradigm.
fn sweep(args: &Args, paradigm: Paradigm, side: Side, all: &mut Tally) {
    let since = Instant::now();
    let traced = catch_unwind(|| trace_calls(paradigm, side)).map(|calls| (calls, since.elapsed()));
    let Ok((calls, once)) = traced else {
        println!("{}, {side}: without a fault: {}", paradigm.name(), WHY.take());
        all.failed += 1;
        return;
    };
    let mut by_call = BTreeMap::<String, Vec<Fault>>::new();
    for fault in calls.iter().flat_map(Fault::of).filter(|fault| args.wants(fault)) {
        by_call.entry(fault.call.clone()).or_default().push(fault);
    }
    let faults: Vec<_> = by_call.values().flatten().collect();
    let for_good = faults.iter().filter(|fault| fault.lasts == Lasts::ForGood).count();
    let seconds = once.as_secs_f64() * faults.len() as f64 + FOR_GOOD.as_secs_f64() * for_good as f64;
    println!("{}, {side}: {} scenarios, about {seconds:.0} s", paradigm.name(), faults.len());
    for (call, faults) in by_call {
        let mut tally = Tally::default();
        for (n, fault) in faults.iter().enumerate() {
            progress(&format!("  {call}: {} of {}", n + 1, faults.len()));
            try_one(paradigm, side, fault, &mut tally);
        }
        progress("");
        let Tally { tried, struck, failed } = tally;
        println!("  {call:<16} {tried:>4} tried  {struck:>4} struck  {failed:>4} failed");
        all.tried += tried;
        all.struck += struck;
        all.failed += failed;
    }
}

/// The extra time of a call that fails for good: clients wait for their deadlines.
const FOR_GOOD: Duration = Duration::from_millis(500);

fn try_one(paradigm: Paradigm, side: Side, fault: &Fault, tally: &mut Tally) {
    tally.tried += 1;
    match catch_unwind(|| run_with_fault(paradigm, side, fault)) {
        Ok(strikes) => tally.struck += usize::from(strikes > 0),
        Err(_) => {
            tally.struck += 1;
            tally.failed += 1;
            progress("");
            println!("  FAILED: {}", WHY.take().replace('\n', "\n    "));
            println!("    again: {}", again(paradigm, side, fault));
            println!("    by hand: strace -e {fault} ...");
        }
    }
}

/// The command that runs this scenario alone.
fn again(paradigm: Paradigm, side: Side, fault: &Fault) -> String {
    let Fault { call, nth, error, lasts } = fault;
    let lasts = if *lasts == Lasts::ForGood { "--for-good" } else { "--once" };
    let paradigm = paradigm.name();
    format!(
        "cargo xtask sweep --paradigm {paradigm} --side {side} --call {call} --nth {nth} --error {error} {lasts}"
    )
}

fn progress(text: &str) {
    if stdout().is_terminal() {
        print!("\r\x1b[K{text}");
        // A line of progress may be lost.
        let _ = stdout().flush();
    }
}
