//! The counts, and the rules for them.

use std::time::Duration;

use handshake_core::deadline::now;

use super::DEADLINE;
use super::plan::Behaviour;

/// How many losses and wrong replies are reported in words, of each kind.
const REPORTED_MAX: usize = 8;

/// How long a client that follows the protocol waits for its ACK, and for each reply.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// The soak's own loop iterates at least ten times a second. If one iteration takes this long, the machine is
/// too busy for
/// this process and perhaps for its clients. A deadline that passes then is not the server's fault.
pub(super) const STALL: Duration = Duration::from_millis(250);

/// How soon the client of a killed subserver must notice. Only EOF of its pipe shows the kill.
pub(super) const NOTICE_MAX: Duration = Duration::from_secs(5);

/// How long after its deadline a client that never reads must be evicted, even on a busy machine.
const EVICTION_MAX: Duration = Duration::from_secs(3);

/// The printed rules.
pub(super) fn rules() -> [String; 2] {
    [
        format!(
            "Lost: a client that follows the protocol (polite, flooding; in this process or a real client), \
             whose subserver was not killed, and that does not get every reply, each within \
             {REPLY_TIMEOUT:?}; or a client of any behaviour that finds no server within that time, or does \
             not end. (Excused: the server ended a session, while one iteration of the soak's own loop took \
             {STALL:?} or longer: the machine was too busy for its deadlines.)"
        ),
        "Wrong: a reply or refusal, to any client, that is not what the service makes of the request of that \
         number."
            .into(),
    ]
}

/// How a client's visit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// All replies came, and were right.
    Served,
    /// It acted as its behaviour requires.
    AsPlanned,
    /// The server ended its session.
    Dropped,
    /// A deadline passed while the machine was too busy.
    Excused,
    /// The server refused to begin a session.
    TurnedAway,
    /// Its subserver was killed; it noticed after this time.
    Orphaned(Duration),
    /// It did not get everything that it was owed.
    Lost(String),
    /// It got a reply that no client was owed.
    Wrong(String),
}

/// All counts.
#[derive(Debug, Default)]
pub(super) struct Score {
    /// Right replies.
    pub(super) replies: u64,
    pub(super) came: u64,
    pub(super) alive: u64,
    /// Clients that follow the protocol, and those of them that got everything.
    pub(super) owed: u64,
    pub(super) served: u64,
    pub(super) dropped: u64,
    /// Clients that were refused or told to retry.
    pub(super) turned_away: u64,
    pub(super) excused: u64,
    /// Killed subservers, and their clients that noticed.
    pub(super) killed: u64,
    pub(super) orphans: u64,
    /// The orphans that were owed more.
    pub(super) owed_orphans: u64,
    pub(super) slowest_orphan: Duration,
    /// Which client the slowest orphan was.
    pub(super) slowest: String,
    /// Lost or wrongly answered clients, of those that are owed everything.
    pub(super) failed: u64,
    /// Clients that never read and stayed, and those of them that were evicted.
    pub(super) stayed: u64,
    pub(super) evicted: u64,
    pub(super) lost: Vec<String>,
    pub(super) wrong: Vec<String>,
    /// When the current iteration began, and when the last slow iteration ended.
    iteration_began: Duration,
    stalled: Option<Duration>,
    pub(super) stalls: u64,
    pub(super) slowest_turn: Duration,
}

impl Score {
    pub(super) fn arrives(&mut self, behaviour: Behaviour) {
        self.came += 1;
        self.alive += 1;
        self.owed += u64::from(behaviour.is_owed_all());
    }

    /// Counts how a client's visit ended.
    pub(super) fn ended(&mut self, number: usize, behaviour: Behaviour, end: End) {
        self.alive -= 1;
        let tell = |reported: &mut Vec<String>, text: String| {
            if reported.len() < REPORTED_MAX {
                reported.push(format!("client {} ({behaviour:?}): {text}", number + 1));
            } else if reported.len() == REPORTED_MAX {
                reported.push("and more".into());
            }
        };
        let failed = matches!(end, End::Lost(_) | End::Wrong(_));
        self.failed += u64::from(failed && behaviour.is_owed_all());
        match end {
            End::Served => self.served += u64::from(behaviour.is_owed_all()),
            End::AsPlanned => {}
            End::Dropped => self.dropped += 1,
            End::Excused => self.excused += u64::from(behaviour.is_owed_all()),
            End::TurnedAway => self.turned_away += 1,
            End::Orphaned(after) => {
                self.orphans += 1;
                self.owed_orphans += u64::from(behaviour.is_owed_all());
                if after > self.slowest_orphan && !self.has_stalled(now().saturating_sub(after)) {
                    self.slowest_orphan = after;
                    self.slowest = format!(", the slowest client {} ({behaviour:?})", number + 1);
                }
            }
            End::Lost(text) => tell(&mut self.lost, text),
            End::Wrong(text) => tell(&mut self.wrong, text),
        }
    }

    /// Counts a client that never reads, when it leaves after `stayed` in its session.
    pub(super) fn never_read(&mut self, stayed: Duration, evicted: bool) {
        let excused = self.has_stalled(now().saturating_sub(stayed));
        if stayed >= DEADLINE + EVICTION_MAX && (evicted || !excused) {
            self.stayed += 1;
            self.evicted += u64::from(evicted);
        }
    }

    /// Starts the first iteration of the loop.
    pub(super) fn iterations_begin(&mut self) {
        self.iteration_began = now();
    }

    /// Ends an iteration of the loop, and starts the next.
    pub(super) fn iteration_ended(&mut self) {
        let took = now() - std::mem::replace(&mut self.iteration_began, now());
        self.slowest_turn = self.slowest_turn.max(took);
        if took >= STALL {
            self.stalled = Some(now());
            self.stalls += 1;
        }
    }

    /// Whether an iteration since then was too slow, the current one included.
    fn has_stalled(&self, since: Duration) -> bool {
        now() - self.iteration_began >= STALL || self.stalled.is_some_and(|stalled| stalled >= since)
    }

    /// How the loss of a client that is owed everything counts.
    pub(super) fn loss(&self, since: Duration, text: String) -> End {
        // The third sign: the private pipe was full, so the BYE that names the deadline did not fit.
        let by_deadline = ["the handshake timeout", "the idle timeout", "has closed its pipe"];
        let by_deadline = by_deadline.iter().any(|sign| text.contains(sign));
        if by_deadline && self.has_stalled(since) {
            return End::Excused;
        }
        End::Lost(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stall_excuses_and_only_a_missed_deadline() {
        let mut score = Score::default();
        let since = now();
        let deadline = || "the server said BYE: nothing came or went within the idle timeout".to_string();
        score.iterations_begin();
        assert!(matches!(score.loss(since, deadline()), End::Lost(_)));
        score.iteration_ended();
        assert!(matches!(score.loss(since, deadline()), End::Lost(_)));
        // Pretend that this iteration began long ago.
        score.iteration_began = since.checked_sub(STALL).expect("the machine has run for so long");
        assert_eq!(score.loss(since, deadline()), End::Excused, "the turn is not over");
        score.iteration_ended();
        assert_eq!(score.loss(since, deadline()), End::Excused);
        assert!(matches!(score.loss(since, "no answer in time".into()), End::Lost(_)));
        assert!(matches!(score.loss(now() + STALL, deadline()), End::Lost(_)), "it came after the stall");
    }
}
