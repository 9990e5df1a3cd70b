//! The checks at the end: what was seen, and what was expected.

use handshake_core::error::Result;
use probe::paradigm::Paradigm;

use super::plan::LONGEST;
use super::score::{NOTICE_MAX, REPLY_TIMEOUT, STALL, Score};
use crate::check::{self, Check};
use crate::demo::printer::Printer;
use crate::server_under_test::{Ending, Snapshot};

/// How far the main server's memory may grow after the warm-up, in KiB: pages that the allocator keeps.
const GROWTH: u64 = 512;

/// Everything that is judged.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The server before the first client; after the warm-up; after all clients.
    pub(super) before: Option<Snapshot>,
    pub(super) warm: Option<Snapshot>,
    pub(super) after: Option<Snapshot>,
    pub(super) score: Score,
    /// The counts of the last client.
    pub(super) one_more: Option<Score>,
    pub(super) died: Option<String>,
}

/// Prints the results. Returns whether all checks passed.
///
/// # Errors
/// Stdout was closed.
pub(super) fn judge(
    paradigm: Paradigm,
    findings: &Findings,
    ending: &Ending,
    printer: &mut Printer,
) -> Result<bool> {
    let checks = clients(paradigm, findings).into_iter().chain(rest(paradigm, findings));
    let right = check::print(checks.chain(ending.checks()), printer)?;
    let Score { slowest_turn, stalls, .. } = &findings.score;
    printer.line(&format!(
        "  the slowest iteration of the soak's own loop took {slowest_turn:.3?}; {stalls} took {STALL:?} or \
         longer"
    ))?;
    printer.line(if right { "passed" } else { "failed" })?;
    Ok(right)
}

/// The checks of the clients that follow the protocol.
fn clients(paradigm: Paradigm, findings: &Findings) -> Vec<Check> {
    let score = &findings.score;
    let Score { replies, owed, served, excused, owed_orphans, .. } = score;
    // Clients whose visits did not end, because the server died.
    let missing = owed - served - excused - owed_orphans - score.failed;
    let mut checks = vec![
        Check::new(
            format!("{replies} replies verified, {} clients got a wrong one (expected 0)", score.wrong.len()),
            score.wrong.iter().cloned(),
        ),
        Check::new(
            format!(
                "of {owed} clients that follow the protocol {served} got every reply, {owed_orphans} lost \
                 their subserver, {excused} were excused, {} lost (expected 0)",
                score.lost.len()
            ),
            score.lost.iter().cloned().chain((missing > 0).then(|| format!("{missing} are missing"))),
        ),
        Check::that(*replies > 0, format!("something was served: {replies} replies (expected more than 0)")),
        Check::that(
            findings.died.is_some() || score.alive == 0,
            format!("{} clients came, {} are left (expected 0)", score.came, score.alive),
        ),
    ];
    checks.extend(peers(paradigm, findings));
    checks
}

/// The checks of the misbehaving clients, and of those whose subserver was killed.
fn peers(paradigm: Paradigm, findings: &Findings) -> Vec<Check> {
    let score = &findings.score;
    let Score { killed, orphans, .. } = score;
    let mut checks = vec![Check::that(
        score.evicted == score.stayed,
        format!(
            "{} clients never read and stayed long beyond the server's deadline, {} were evicted (expected \
             all)",
            score.stayed, score.evicted
        ),
    )];
    if paradigm.forks() {
        checks.push(Check::that(
            score.slowest_orphan <= NOTICE_MAX,
            format!(
                "{killed} subservers killed; the {orphans} clients that lost one in their session noticed \
                 within {:.3?} (expected at most {NOTICE_MAX:?}){}",
                score.slowest_orphan, score.slowest
            ),
        ));
    }
    checks
}

/// The checks of the server after all clients have left.
fn rest(paradigm: Paradigm, findings: &Findings) -> Vec<Check> {
    let (Some(before), Some(warm), Some(after)) = (&findings.before, &findings.warm, &findings.after) else {
        return vec![Check::new("the server lived to the end".into(), findings.died.clone())];
    };
    let bound = warm.memory + growth(paradigm);
    let served = findings.one_more.as_ref().map_or(0, |score| score.served);
    let [descriptors, subservers] = after.as_before(before);
    vec![
        descriptors,
        subservers,
        Check::that(
            after.memory <= bound,
            format!(
                "the server's own memory is {} KiB (expected at most {bound}: {} after the warm-up and \
                 {} more)",
                after.memory,
                warm.memory,
                growth(paradigm)
            ),
        ),
        Check::new(
            format!("{served} of 1 more client was served, within {REPLY_TIMEOUT:?}"),
            findings.one_more.iter().flat_map(|score| score.lost.iter().chain(&score.wrong).cloned()),
        ),
    ]
}

/// How far the server's memory may grow. A basic server holds messages in its own memory; others only route
/// them.
fn growth(paradigm: Paradigm) -> u64 {
    if paradigm.forks() { GROWTH } else { GROWTH + 2 * (LONGEST as u64 >> 10) }
}
