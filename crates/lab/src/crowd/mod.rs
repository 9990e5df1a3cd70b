//! `lab crowd`: a server with as many clients at once as it can have, observed and measured.
//!
//! Reading order: [`run`]; then `phases`, the order of a run; `load` is a process that acts as thousands of
//! clients. `excess` are the clients beyond the server's capacity; `memory` is the cost of an idle client;
//! `verdict` judges. Deliberately absent: any judgement of times and sizes. The lab prints them as it
//! measured them. It judges only that no client is lost, and that nothing is left behind.

mod excess;
mod load;
mod memory;
mod phases;
mod verdict;

use std::time::Duration;

use ::load::most_connections;
use handshake_cli::{Status, at_least_one, complain, duration};
use handshake_core::error::Result;
use handshake_core::event::Role;
use handshake_core::limits::Limits;
use handshake_core::process::Process;
use probe::paradigm::Paradigm;
use probe::temporary;

use crate::check;
use crate::demo::printer::Printer;
use crate::server_under_test::ServerUnderTest;
use verdict::Seen;

/// The default number of clients at a forking server, which needs no file descriptor for them.
const MANY: usize = 10_000;

/// The server's service, which the load processes expect.
const SERVICE: &str = "reverse";

/// How many load processes share the clients, unless their file descriptors require more.
const LOADS: usize = 2;

/// Connect as many clients at once as a server supports, and see what that costs.
///
/// Starts the real server in a directory of its own, on tmpfs if possible, and `lab load` processes that
/// connect all clients at once. Each client asks once and stays. Then the command prints the time that it
/// took, the file descriptors and processes, and the memory of an idle client. More clients come, find the
/// server at capacity, and wait until others leave. At the end all leave, and the server must be as it was.
/// Exits with 0 only then, and if no client was lost.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which server: forking or dispatch; the basic server has one client at a time
    #[arg(value_enum)]
    paradigm: Paradigm,

    /// For dispatch: use one well-known pipe for everything that all clients send, and never remove it
    #[arg(long)]
    shared_wkp: bool,

    /// How many clients, which is also the server's --max-clients [default: what this process's limits allow;
    /// for forking at most 10,000]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    clients: Option<usize>,

    /// How many more clients come when the server is at capacity
    #[arg(long, value_name = "K", default_value = "2")]
    beyond: usize,

    /// How long all clients stay idle, so that you can look around with ls and ps
    #[arg(long, value_name = "DUR", default_value = "0", value_parser = duration)]
    idle_for: Duration,
}

/// What to do.
#[derive(Debug)]
struct Plan {
    paradigm: Paradigm,
    clients: usize,
    beyond: usize,
    idle_for: Duration,
    /// The most clients of one load process.
    share_max: usize,
}

impl Args {
    /// The server; or why these options make no crowd.
    fn server(&self) -> Result<Paradigm, &'static str> {
        let misuse = "--shared-wkp is for the central dispatch server: lab crowd dispatch --shared-wkp";
        match self.paradigm {
            Paradigm::Basic => Err(
                "a basic server has one client at a time, so there is never a crowd at it; try: lab crowd \
                 forking",
            ),
            paradigm => paradigm.with(self.shared_wkp).ok_or(misuse),
        }
    }

    fn plan(&self, paradigm: Paradigm, limits: &Limits) -> Plan {
        let carried = limits.clients(paradigm.descriptors_each());
        let by_default = if paradigm == Paradigm::Forking { carried.min(MANY) } else { carried };
        Plan {
            paradigm,
            clients: self.clients.unwrap_or(by_default),
            beyond: self.beyond,
            idle_for: self.idle_for,
            share_max: most_connections(limits),
        }
    }
}

impl Plan {
    /// The number of clients of each load process.
    fn shares(&self) -> Vec<usize> {
        let loads = self.clients.div_ceil(self.share_max).max(LOADS).min(self.clients);
        (0..loads).map(|load| (self.clients + load) / loads).collect()
    }
}

/// Runs the crowd. [`Status::Broken`]: a check failed, and was printed.
///
/// # Errors
/// A program is missing, or a process cannot be started. [`Signal`](handshake_core::Error::Signal): the
/// lab was interrupted, and has ended all processes that it had started.
pub fn run(args: Args) -> Result<Status> {
    let Ok(paradigm) = args.server().inspect_err(|why| complain("lab", why)) else {
        return Ok(Status::Usage);
    };
    let limits = Limits::raise();
    let plan = args.plan(paradigm, &limits);
    let process = Process::quiet(Role::Client)?;
    let mut printer = Printer::new();
    announce(&plan, &limits, &mut printer)?;
    let directory = temporary::directory_in_memory("lab-crowd-")?;
    let clients = plan.clients.to_string();
    // The timeout is long, because a slow machine is no failure here.
    let options =
        ["-q", "--service", SERVICE, "--handshake-timeout", "60s", "--max-clients", clients.as_str()];
    let mut server = ServerUnderTest::open(paradigm, &options, directory, &process)?;
    printer.line(&format!("$ {}", server.words))?;
    let mut seen = Seen { clients: plan.clients, beyond: plan.beyond, ..Seen::default() };
    let ran = phases::run(&plan, &mut server, &process, &mut seen, &mut printer);
    let (ending, died) = check::end(ran, server, &mut printer)?;
    seen.died = died;
    let right = check::print(seen.checks().into_iter().chain(ending.checks()), &mut printer)?;
    printer.line(if right { "passed" } else { "failed" })?;
    Ok(if right { Status::Done } else { Status::Broken })
}

fn announce(plan: &Plan, limits: &Limits, printer: &mut Printer) -> Result<()> {
    let Plan { paradigm, clients, .. } = plan;
    printer.heading(&format!("{}: {clients} clients at once", paradigm.words()))?;
    let carried = limits.clients(paradigm.descriptors_each());
    printer.paragraph(&format!("Each process may have {limits}: enough for {carried} clients."))?;
    printer.line("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(clients: usize, share_max: usize) -> Plan {
        Plan { paradigm: Paradigm::Forking, clients, beyond: 2, idle_for: Duration::ZERO, share_max }
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
