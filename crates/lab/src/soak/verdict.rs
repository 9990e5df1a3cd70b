//! What is checked at the end: what was seen, and what had to be.

use handshake_core::error::{Error, Result};
use probe::paradigm::Kind;

use super::plan::LONGEST;
use super::score::{AT_ONCE, PATIENCE, STALL, Score};
use crate::check::{self, Check};
use crate::demo::voice::Voice;
use crate::house::{Ending, House, Look};

/// What the main server's memory may have grown by since the warm-up, in KiB: pages that the allocator keeps.
const GROWTH: u64 = 512;

/// All that is judged.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) kind: Kind,
    /// Before the first client; after the warm-up; when all had left.
    pub(super) before: Option<Look>,
    pub(super) warm: Option<Look>,
    pub(super) after: Option<Look>,
    pub(super) score: Score,
    /// Of the last client.
    pub(super) one_more: Option<Score>,
    died: Option<String>,
    ending: Option<Ending>,
}

impl Findings {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            before: None,
            warm: None,
            after: None,
            score: Score::default(),
            one_more: None,
            died: None,
            ending: None,
        }
    }

    pub(super) fn server_died(&mut self, error: &Error) {
        self.died = Some(error.to_string());
    }

    /// Ends the server, and looks at what is left.
    pub(super) fn close(&mut self, house: &mut House) {
        self.ending = Some(house.close());
    }
}

/// Says what was found. Returns whether all is right.
///
/// # Errors
/// Stdout has gone.
pub(super) fn judge(findings: &Findings, voice: &mut Voice) -> Result<bool> {
    voice.heading("Verdict")?;
    let ending = findings.ending.iter().flat_map(Ending::checks);
    let right = check::tell(clients(findings).into_iter().chain(rest(findings)).chain(ending), voice)?;
    let Score { slowest_turn, stalls, .. } = &findings.score;
    voice.line(&format!(
        "  the slowest turn of the soak's own loop took {slowest_turn:.3?}; {stalls} took {STALL:?} or longer"
    ))?;
    voice.line(if right { "passed" } else { "failed" })?;
    Ok(right)
}

/// What became of the clients.
fn clients(findings: &Findings) -> Vec<Check> {
    let score = &findings.score;
    let Score { replies, owed, served, excused, owed_orphans, .. } = score;
    // Those of them that have not come to their end: the server died.
    let missing = owed - served - excused - owed_orphans - score.failed;
    let mut checks = vec![
        Check::new(
            format!("{replies} replies verified, {} clients got a wrong one (expected 0)", score.wrong.len()),
            score.wrong.iter().cloned(),
        ),
        Check::new(
            format!(
                "of {owed} clients that follow the protocol {served} got every reply, {owed_orphans} lost their subserver, \
                 {excused} were excused, {} lost (expected 0)",
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
    checks.extend(peers(findings));
    checks
}

/// What became of those who misbehaved, and of those whose peer was killed.
fn peers(findings: &Findings) -> Vec<Check> {
    let score = &findings.score;
    let Score { killed, orphans, .. } = score;
    let mut checks = vec![Check::that(
        score.evicted == score.stayed,
        format!(
            "{} clients never read and stayed long beyond the server's deadline, {} were evicted (expected all)",
            score.stayed, score.evicted
        ),
    )];
    if findings.kind.forks() {
        checks.push(Check::that(
            score.slowest_orphan <= AT_ONCE,
            format!(
                "{killed} subservers killed; the {orphans} clients that lost one in their session knew within {:.3?} \
                 (expected at most {AT_ONCE:?}){}",
                score.slowest_orphan, score.slowest
            ),
        ));
    }
    checks
}

/// How the server stood when all had left.
fn rest(findings: &Findings) -> Vec<Check> {
    let (Some(before), Some(warm), Some(after)) = (&findings.before, &findings.warm, &findings.after) else {
        return vec![Check::new("the server lived to the end".into(), findings.died.clone())];
    };
    let bound = warm.memory + growth(findings.kind);
    let served = findings.one_more.as_ref().map_or(0, |score| score.served);
    let [descriptors, subservers] = after.as_before(before);
    vec![
        descriptors,
        subservers,
        Check::that(
            after.memory <= bound,
            format!(
                "the server's own memory is {} KiB (expected at most {bound}: {} after the warm-up and {} more)",
                after.memory,
                warm.memory,
                growth(findings.kind)
            ),
        ),
        Check::new(
            format!("{served} of 1 more client was served, within {PATIENCE:?}"),
            findings.one_more.iter().flat_map(|score| score.lost.iter().chain(&score.wrong).cloned()),
        ),
    ]
}

/// A basic server has messages in its own memory; others only route them.
fn growth(kind: Kind) -> u64 {
    if kind.forks() { GROWTH } else { GROWTH + 2 * (LONGEST as u64 >> 10) }
}
