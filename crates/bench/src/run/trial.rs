//! One trial: a server, its clients, and what they and the kernel say of it.

use std::time::Duration;

use handshake_core::deadline::Deadline;
use load::Report;
use load::report::Usage;
use naive::{Crowd, Stage};
use probe::proc::process_tree;
use tempfile::TempDir;

use crate::model::columns::{KEPT, POLITE, Task};
use crate::model::placement::Placement;
use crate::model::results::Outcome;
use crate::model::rows::{Load, Row};
use crate::run::bench::{Bench, Member, Trouble, in_words};
use crate::run::holdings::{available, holdings, usage};

/// Naive clients that still wait after this time count as hanging.
pub(crate) const NAIVE_PATIENCE: Duration = Duration::from_secs(2);

/// A flood has begun when its server has worked for so long.
const FLOOD_BEGUN: f64 = 0.002;

/// More than any flood gets to.
const ENDLESS: usize = 1 << 40;

/// Requests that a flooding client has in flight.
const FLOOD_WINDOW: usize = 512;

/// A row at a placement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial<'a> {
    pub(crate) bench: &'a Bench,
    pub(crate) row: &'static Row,
    pub(crate) placement: Placement,
}

/// A server that accepts clients.
struct Server {
    member: Member,
    dir: TempDir,
    /// What it had used when it was ready.
    before: Usage,
    command: String,
}

impl Trial<'_> {
    /// Carries out `task`; each client makes `count` requests or connections, where that is to be said.
    pub(crate) fn run(&self, task: Task, count: usize) -> Result<Outcome, Trouble> {
        match task {
            Task::Talk { clients, window, payload } => {
                let load = Load { clients, window, payload, requests: count, ..Load::ONE };
                self.talk(Load { warm_up: count / 10, ..load })
            }
            Task::Connect { clients } => {
                self.talk(Load { clients, requests: count, connect_only: true, ..Load::ONE })
            }
            Task::Crowded { held } => self.crowded(held, count),
            Task::SecondClient => self.second_client(),
            Task::Flood => self.flood(count),
            Task::Memory { clients } => self.memory(clients),
            Task::Crowd { clients } if self.row.name == "course" => self.naive_crowd(clients),
            Task::Crowd { clients } => self.crowd(clients),
        }
    }

    fn serve(&self, clients: usize) -> Result<Server, Trouble> {
        let dir = self.bench.directory()?;
        let (words, cpu) =
            (self.row.server(dir.path(), clients, &self.bench.wait), self.bench.cpus.at(self.placement).0);
        let mut member = self.bench.start(&words, cpu, false)?;
        member.first_line()?;
        let before = usage(&process_tree(member.running.pid()));
        let command = in_words(&words, dir.path(), cpu);
        Ok(Server { member, dir, before, command })
    }

    fn client(&self, server: &Server, load: &Load) -> Result<(Member, String), Trouble> {
        let dir = server.dir.path();
        let (words, cpu) =
            (self.row.client(dir, load, &self.bench.wait), self.bench.cpus.at(self.placement).1);
        Ok((self.bench.start(&words, cpu, load.hold)?, in_words(&words, dir, cpu)))
    }

    /// Runs a client to its end. Returns its report and its command.
    fn ask(&self, server: &Server, load: &Load) -> Result<(Report, String), Trouble> {
        let (mut client, words) = self.client(server, load)?;
        Ok((report(&mut client)?, words))
    }

    /// Starts a client that stays, and waits until it is connected. Returns its command, too.
    fn hold(&self, server: &Server, clients: usize) -> Result<(Member, String), Trouble> {
        let (mut client, words) = self.client(server, &Load { clients, hold: true, ..Load::ONE })?;
        client.first_line()?;
        Ok((client, words))
    }

    /// Ends the server; returns what it and its subservers have used since it was ready.
    fn end(&self, mut server: Server) -> Result<Usage, Trouble> {
        let before = Usage::of_the_reaped();
        server.member.end()?;
        let used = Usage::of_the_reaped().since(before).since(server.before);
        let names = || server.dir.path().read_dir().into_iter().flatten().flatten();
        if self.row.is_paradigm()
            && let Some(name) = names().next()
        {
            return Err(server.member.trouble(&format!("left {:?} behind", name.file_name())));
        }
        Ok(used)
    }

    /// Ends the server, as [`Trial::end`] does, and counts what its clients report. `client` is the command
    /// of the client that is measured.
    fn close(
        &self,
        server: Server,
        client: String,
        reports: &[&Report],
    ) -> Result<(Outcome, Usage), Trouble> {
        let mut outcome = Outcome { commands: (server.command.clone(), client), ..Outcome::default() };
        for report in reports {
            outcome.answered += report.requests;
            outcome.lost += report.lost.max(report.errors);
            outcome.wrong += report.mismatches;
        }
        Ok((outcome, self.end(server)?))
    }

    fn talk(&self, load: Load) -> Result<Outcome, Trouble> {
        let server = self.serve(load.clients)?;
        let (report, words) = self.ask(&server, &load)?;
        let (mut outcome, used) = self.close(server, words, &[&report])?;
        let latency = report.latency_ns;
        for (metric, ns) in [("p50", latency.p50), ("p99", latency.p99), ("p999", latency.p999)] {
            outcome.set(metric, ns as f64 / 1e3);
        }
        if load.connect_only {
            outcome.set("connects", report.connects_per_second.unwrap_or(0.0));
        } else if load.payload >= 1 << 16 {
            outcome.set("gigabytes", report.requests_per_second * load.payload as f64 / 1e9);
        } else {
            outcome.set("rate", report.requests_per_second);
        }
        let each = (load.clients * (load.requests + load.warm_up)) as f64;
        let seconds = used.processor_seconds + report.usage.processor_seconds;
        outcome.set("processor", seconds * 1e6 / each);
        let switches = used.context_switches + report.usage.context_switches;
        outcome.set("switches", switches as f64 / each);
        outcome.histogram = report.histogram.unwrap_or_default();
        Ok(outcome)
    }

    fn crowded(&self, held: usize, count: usize) -> Result<Outcome, Trouble> {
        let server = self.serve(held + 1)?;
        let load = Load { requests: count, connect_only: true, ..Load::ONE };
        let (alone, _) = self.ask(&server, &load)?;
        let (mut crowd, _) = self.hold(&server, held)?;
        let subservers = process_tree(server.member.running.pid()).len() - 1;
        if subservers < held {
            return Err(crowd.trouble(&format!("holds {subservers} connections only")));
        }
        let (beside, words) = self.ask(&server, &load)?;
        crowd.running.close_stdin();
        let crowd = report(&mut crowd)?;
        let (mut outcome, _) = self.close(server, words, &[&alone, &crowd, &beside])?;
        let rate = |report: &Report| report.connects_per_second.unwrap_or(0.0);
        outcome.set("connects-alone", rate(&alone));
        outcome.set("connects-beside", rate(&beside));
        outcome.set("connect-cost", rate(&alone) / rate(&beside));
        Ok(outcome)
    }

    fn second_client(&self) -> Result<Outcome, Trouble> {
        let server = self.serve(2)?;
        let (mut first, _) = self.hold(&server, 1)?;
        let kept = Deadline::after(KEPT);
        let (mut second, words) = self.client(&server, &Load { connect_only: true, ..Load::ONE })?;
        while !second.has_ended() && !kept.passed() {
            self.bench.process.wait(&mut [], kept)?;
        }
        let in_line = !second.has_ended();
        first.running.close_stdin();
        let (first, second) = (report(&mut first)?, report(&mut second)?);
        let (mut outcome, _) = self.close(server, words, &[&first, &second])?;
        outcome.set("wait", second.latency_ns.max as f64 / 1e6);
        outcome.set("in-line", f64::from(u8::from(in_line)));
        Ok(outcome)
    }

    fn flood(&self, count: usize) -> Result<Outcome, Trouble> {
        let server = self.serve(POLITE + 1)?;
        let load = Load { clients: POLITE, requests: count, warm_up: count / 10, ..Load::ONE };
        let (alone, _) = self.ask(&server, &load)?;
        let endless = Load { requests: ENDLESS, window: FLOOD_WINDOW, ..Load::ONE };
        let (mut flooding, _) = self.client(&server, &endless)?;
        self.flood_begins(&server, &mut flooding)?;
        let (beside, words) = self.ask(&server, &load)?;
        if flooding.has_ended() {
            return Err(flooding.trouble("ended before the polite clients"));
        }
        flooding.end()?;
        let (mut outcome, _) = self.close(server, words, &[&alone, &beside])?;
        let (alone, beside) = (alone.latency_ns.p99 as f64 / 1e3, beside.latency_ns.p99 as f64 / 1e3);
        outcome.set("alone-p99", alone);
        outcome.set("beside-p99", beside);
        outcome.set("flood-factor", beside / alone);
        Ok(outcome)
    }

    /// Waits until the server has work.
    fn flood_begins(&self, server: &Server, flooding: &mut Member) -> Result<(), Trouble> {
        let worked = || usage(&process_tree(server.member.running.pid())).processor_seconds;
        let before = worked();
        let until = Deadline::after(Duration::from_secs(10));
        while worked() < before + FLOOD_BEGUN {
            if until.passed() || flooding.has_ended() {
                return Err(flooding.trouble("did not begin to flood"));
            }
            self.bench.process.wait(&mut [], Deadline::in_exactly(Duration::from_millis(1)))?;
        }
        Ok(())
    }

    fn memory(&self, clients: usize) -> Result<Outcome, Trouble> {
        let in_turn = matches!(self.row.name, "basic" | "unix-in-turn");
        let clients = if in_turn { 1 } else { clients };
        let server = self.serve(clients)?;
        let pid = server.member.running.pid();
        let (before, free) = (holdings(&process_tree(pid)), available());
        let (mut client, words) = self.hold(&server, clients)?;
        let (after, less_free) = (holdings(&process_tree(pid)), available());
        let of_client = holdings(&[client.running.pid()]).memory;
        client.running.close_stdin();
        let report = report(&mut client)?;
        let (mut outcome, _) = self.close(server, words, &[&report])?;
        let each = clients as f64;
        outcome.set("memory", (after.memory - before.memory) / each);
        outcome.set("memory-all", (free - less_free - of_client) / each);
        outcome.set("descriptors", (after.descriptors as f64 - before.descriptors as f64) / each);
        outcome.set("processes", after.processes as f64);
        outcome.set("clients", each);
        Ok(outcome)
    }

    fn crowd(&self, clients: usize) -> Result<Outcome, Trouble> {
        let server = self.serve(clients)?;
        let (report, words) = self.ask(&server, &Load { clients, ..Load::ONE })?;
        let (mut outcome, _) = self.close(server, words, &[&report])?;
        outcome.set("clients", clients as f64);
        outcome.set("served", report.requests as f64);
        outcome.set("lost", clients as f64 - report.requests as f64);
        outcome.set("wrong", report.mismatches as f64);
        Ok(outcome)
    }

    fn naive_crowd(&self, clients: usize) -> Result<Outcome, Trouble> {
        let server = self.serve(clients)?;
        let dir = server.dir.path();
        let words = ["lab", "reference", "naive-client", &dir.display().to_string()].map(String::from);
        let command = || self.bench.command(&words, self.bench.cpus.at(self.placement).1);
        let until = Deadline::in_exactly(NAIVE_PATIENCE);
        let members = Crowd::gather(std::iter::repeat_with(command).take(clients))?;
        let crowd = members.release(NAIVE_PATIENCE, until, &self.bench.process)?;
        let client = format!("{} ({clients} of them)", in_words(&words, dir, None));
        let (mut outcome, _) = self.close(server, client, &[])?;
        let (served, wrong) = (Stage::Served.count_in(&crowd), Stage::Wrong.count_in(&crowd));
        let lost = clients - served - wrong;
        (outcome.answered, outcome.lost, outcome.wrong) = (served as u64, lost as u64, wrong as u64);
        for (metric, count) in [("clients", clients), ("served", served), ("lost", lost), ("wrong", wrong)] {
            outcome.set(metric, count as f64);
        }
        for stage in Stage::unserved() {
            outcome.set(stage.id(), stage.count_in(&crowd) as f64);
        }
        Ok(outcome)
    }
}

/// What a client reports at its end.
fn report(client: &mut Member) -> Result<Report, Trouble> {
    let report = serde_json::from_slice(client.finish()?);
    report.map_err(|_| client.trouble("ended without a report"))
}
