//! `lab crowd`: a server with as many clients at once as it can have, seen and measured.
//!
//! Reading order: [`run`]; then `scene`, what happens one after the other; a `load` process is thousands of the clients;
//! `late` are those who find the house full; `memory` is what an idle client costs; `verdict` judges. What is deliberately
//! absent: any judgement of times and sizes. They are printed as they were on this machine; what is judged is that nobody
//! is lost, and nothing is left.

mod late;
mod load;
mod memory;
mod scene;
mod verdict;

use std::time::Duration;

use ::load::most_connections;
use handshake_cli::{at_least_one, complain, duration};
use handshake_core::error::{Error, Result, Status};
use handshake_core::event::Role;
use handshake_core::limits::Limits;
use handshake_core::process::Process;
use probe::paradigm::{Kind, Paradigm};
use probe::temporary;

use crate::check;
use crate::demo::voice::Voice;
use crate::house::House;
use verdict::Seen;

/// Without `--clients`, so many come to a forking server, which needs no descriptor for them.
const MANY: usize = 10_000;

/// What the server does, and the load processes expect.
const SERVICE: &str = "reverse";

/// The clients are shared out among so many processes, or as many as their descriptors ask for.
const LOADS: usize = 2;

/// Have as many clients at once as a server carries, and see what that costs.
///
/// Starts the real server in a directory of its own, on tmpfs where there is one, and `lab load` processes that connect
/// all clients at once. Each asks once and stays. Then one can see the time that it took, the descriptors and processes,
/// the memory of an idle client; more clients come, find the house full, and wait until others leave. At the end all
/// leave, and the server must be as it was. Exits with 0 only then, and if nobody was lost.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which server: forking or dispatch; the basic one has one client at a time
    #[arg(value_enum)]
    paradigm: Paradigm,

    /// For dispatch: one well-known pipe that is never removed, for all that all clients send
    #[arg(long)]
    shared_wkp: bool,

    /// How many clients, which is also the server's --max-clients [default: what this process's limits carry; for forking
    /// at most 10,000]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    clients: Option<usize>,

    /// How many more come when the house is full
    #[arg(long, value_name = "K", default_value = "2")]
    beyond: usize,

    /// How long all stay idle, so that one can look around with ls and ps
    #[arg(long, value_name = "DUR", default_value = "0", value_parser = duration)]
    idle_for: Duration,
}

/// What is to be done, as meant.
#[derive(Debug)]
struct Plan {
    kind: Kind,
    clients: usize,
    beyond: usize,
    idle_for: Duration,
    /// What a load process can hold.
    share_max: usize,
}

impl Args {
    /// Why this is no crowd, if it is none.
    fn misuse(&self) -> Option<&'static str> {
        match self.paradigm {
            Paradigm::Basic => Some(
                "a basic server has one client at a time, so there is never a crowd at it; try: lab crowd forking",
            ),
            Paradigm::Forking if self.shared_wkp => {
                Some("--shared-wkp is for the central dispatch server: lab crowd dispatch --shared-wkp")
            }
            _ => None,
        }
    }

    fn plan(&self, limits: &Limits) -> Plan {
        let kind = Kind { paradigm: self.paradigm, shared_wkp: self.shared_wkp };
        let carried = limits.clients(kind.descriptors_each());
        let by_default = if kind.paradigm == Paradigm::Forking { carried.min(MANY) } else { carried };
        Plan {
            kind,
            clients: self.clients.unwrap_or(by_default),
            beyond: self.beyond,
            idle_for: self.idle_for,
            share_max: most_connections(limits),
        }
    }
}

impl Plan {
    /// The server's options. Its patience is long, because a slow machine is no failure here.
    fn options(&self) -> Vec<String> {
        let mut options = vec!["-q", "--service", SERVICE, "--handshake-timeout", "60s"];
        let clients = self.clients.to_string();
        options.extend(["--max-clients", &clients]);
        options.extend(self.kind.is_shared().then_some("--shared-wkp"));
        options.into_iter().map(str::to_owned).collect()
    }

    /// How many clients each load process is.
    fn shares(&self) -> Vec<usize> {
        let loads = self.clients.div_ceil(self.share_max).max(LOADS).min(self.clients);
        (0..loads).map(|load| (self.clients + load) / loads).collect()
    }
}

/// Lets the crowd come and go. [`Status::Broken`]: something was not as it has to be; what, was told.
///
/// # Errors
/// A program is missing, or a process cannot be started. [`Error::Signal`]: it was interrupted, and has ended all that it
/// had started.
pub fn run(args: Args) -> Result<Status> {
    if let Some(why) = args.misuse() {
        complain("lab", why);
        return Ok(Status::Usage);
    }
    let limits = Limits::raise();
    let plan = args.plan(&limits);
    let process = Process::quiet(Role::Client)?;
    let mut voice = Voice::new();
    announce(&plan, &limits, &mut voice)?;
    let directory = temporary::directory_in_memory("lab-crowd-")?;
    let mut house = House::open(plan.kind, &plan.options(), directory, &process)?;
    voice.line(&format!("$ {}", house.words))?;
    let mut seen = Seen::new(plan.clients, plan.beyond);
    match scene::play(&plan, &mut house, &process, &mut seen, &mut voice) {
        Err(Error::Signal(signal)) => {
            drop(house);
            voice.heading("Verdict")?;
            voice.verdict(false, &format!("interrupted by {signal}: incomplete, nothing is proved"))?;
            return Err(Error::Signal(signal));
        }
        Err(error @ Error::Lost { .. }) => seen.server_died(&error),
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    let ending = house.close();
    voice.heading("Verdict")?;
    let right = check::tell(seen.checks().into_iter().chain(ending.checks()), &mut voice)?;
    voice.line(if right { "passed" } else { "failed" })?;
    Ok(if right { Status::Done } else { Status::Broken })
}

fn announce(plan: &Plan, limits: &Limits, voice: &mut Voice) -> Result<()> {
    let Plan { kind, clients, .. } = plan;
    let shared = if kind.shared_wkp { " --shared-wkp" } else { "" };
    voice.heading(&format!("{}{shared}: {clients} clients at once", kind.paradigm.server()))?;
    let carried = limits.clients(kind.descriptors_each());
    voice.paragraph(&format!("Each process may have {limits}: that carries {carried} clients."))?;
    voice.line("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(clients: usize, share_max: usize) -> Plan {
        Plan { kind: Kind::ALL[1], clients, beyond: 2, idle_for: Duration::ZERO, share_max }
    }

    #[test]
    fn the_clients_are_shared_out_and_fit() {
        assert_eq!(plan(10_000, 9992).shares(), [5000, 5000]);
        assert_eq!(plan(1, 9992).shares(), [1]);
        for (clients, share_max) in [(2, 1), (10, 3), (300, 100), (301, 100), (7, 7)] {
            let shares = plan(clients, share_max).shares();
            assert_eq!(shares.iter().sum::<usize>(), clients);
            assert!(shares.iter().all(|share| (1..=share_max).contains(share)), "{shares:?}");
        }
    }
}
