//! The checks at the end: no client was lost, none was served beyond the limit, nothing is left behind.

use std::process::ExitStatus;

use load::Report;

use super::excess::{Excess, WATCHED};
use crate::check::Check;
use crate::server_under_test::Snapshot;

/// Everything that is judged.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) clients: usize,
    pub(super) beyond: usize,
    /// The server before the first client; with all clients; after all clients.
    pub(super) before: Option<Snapshot>,
    pub(super) full: Option<Snapshot>,
    pub(super) after: Option<Snapshot>,
    /// The reports of the load processes.
    pub(super) reports: Vec<Report>,
    pub(super) complaints: Vec<String>,
    pub(super) excess: Option<Excess>,
    pub(super) died: Option<String>,
}

impl Seen {
    /// Notes how a load process ended, and its complaints.
    pub(super) fn load_ended(&mut self, (status, complaints): (ExitStatus, Vec<String>)) {
        if !status.success() && complaints.is_empty() {
            self.complaints.push(format!("a load process ended without a message: {status}"));
        }
        self.complaints.extend(complaints);
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        let mut checks = vec![self.replies()];
        if let Some(full) = &self.full {
            let (here, due) = (full.subservers.len(), self.clients);
            checks.push(Check::that(here == due, format!("{here} subservers at once (expected {due})")));
        }
        checks.extend(self.excess.iter().flat_map(|excess| self.of_excess(excess)));
        checks.extend(self.at_rest());
        checks
    }

    /// The sum of a count in all reports.
    pub(super) fn sum(&self, count: fn(&Report) -> u64) -> u64 {
        self.reports.iter().map(count).sum()
    }

    /// How many clients got the right reply, none, and a wrong one.
    pub(super) fn right_lost_wrong(&self) -> [u64; 3] {
        let (answered, wrong) = (self.sum(|report| report.requests), self.sum(|report| report.mismatches));
        [answered.saturating_sub(wrong), (self.clients as u64).saturating_sub(answered), wrong]
    }

    fn replies(&self) -> Check {
        let [right, lost, wrong] = self.right_lost_wrong();
        let claim = format!("of {} clients {right} got the right reply (expected all)", self.clients);
        let short = (lost + wrong > 0).then(|| format!("{lost} lost, {wrong} wrong"));
        Check::new(claim, short.into_iter().chain(self.complaints.iter().cloned()))
    }

    fn of_excess(&self, excess: &Excess) -> [Check; 2] {
        let Excess { waited, subservers, served, complaints } = excess;
        let due = self.beyond;
        let claim = format!(
            "{due} more came: for {:?} {waited} of them waited for an answer (expected all), and there were \
             {subservers} subservers (expected {})",
            WATCHED, self.clients
        );
        [
            Check::that(*waited == due && *subservers == self.clients, claim),
            Check::new(
                format!("when others had left, {served} of these {due} got the right reply (expected all)"),
                complaints.iter().cloned().chain((served != &due).then(|| "a client was lost".to_owned())),
            ),
        ]
    }

    /// The checks of the server after all clients have left.
    fn at_rest(&self) -> Vec<Check> {
        let (Some(before), Some(after)) = (&self.before, &self.after) else {
            return vec![Check::new("the server lived to the end".into(), self.died.clone())];
        };
        after.as_before(before).into()
    }
}
