//! What is to happen: who comes when, of which temper, with what to say; and when a subserver is killed. All of it is
//! drawn before anything starts, so the same seed gives the same plan, whatever the machine makes of it.

use std::time::Duration;

use handshake_core::wire::PAYLOAD_MAX;
use probe::paradigm::Kind;

use super::dice::Dice;

/// The longest message of all: several times what a pipe holds.
pub(super) const LONGEST: usize = 512 << 10;

/// With `--shared-wkp` no message is longer than its window: 16 records of 4,067 bytes.
const LONGEST_IN_WINDOW: usize = 16 * PAYLOAD_MAX;

/// How a client behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Temper {
    /// Asks, checks every reply, thinks, asks again, says BYE.
    Polite,
    /// The same as a real `client`, a process of its own.
    PoliteProcess,
    /// Many large requests at once; takes and checks every reply.
    Flooding,
    /// Opens the well-known pipe and says nothing.
    SilentAtWkp,
    /// Says HELLO and nothing more.
    SilentAfterHello,
    /// Connects and says nothing.
    SilentInSession,
    /// Asks and reads nothing for a while; then takes and checks every reply, if it still may.
    ReadingLate,
    /// Asks and never reads.
    NeverReading,
    /// Goes when it has made its private pipe.
    DyingAfterMkfifo,
    /// Goes when it has said HELLO.
    DyingAfterHello,
    /// Goes when its ACK is there.
    DyingAfterAck,
    /// Goes in the middle of a request.
    DyingMidRequest,
    /// Goes in the middle of a reply.
    DyingMidReply,
    /// A real `client` that gets SIGKILL at some moment.
    Killed,
    /// A real `client` that gets SIGSTOP at some moment, and SIGCONT later.
    Stopped,
    /// Writes bytes of no meaning into the well-known pipe.
    GarbageAtWkp,
    /// Writes bytes of no meaning between its requests.
    GarbageInSession,
    /// Opens the well-known pipe, and writes only beginnings of sound records there, also when the pipe has become
    /// another client's upstream.
    CuttingRecords,
    /// Speaks the course dialect, and comes with others of its kind at one instant.
    Naive,
}

impl Temper {
    /// Whether it follows the protocol to its end: so all its requests must be answered.
    pub(super) fn is_owed_all(self) -> bool {
        matches!(self, Self::Polite | Self::PoliteProcess | Self::Flooding)
    }

    /// Whether it is a process of its own.
    pub(super) fn is_process(self) -> bool {
        matches!(self, Self::PoliteProcess | Self::Killed | Self::Stopped)
    }
}

/// Each temper with its weight; and its weight in front of a basic server, where who is silent holds up everybody
/// behind it until a deadline passes.
const TEMPERS: [(Temper, u64, u64); 19] = [
    (Temper::Polite, 34, 60),
    (Temper::PoliteProcess, 8, 12),
    (Temper::Flooding, 8, 8),
    (Temper::SilentAtWkp, 5, 5),
    (Temper::SilentAfterHello, 3, 1),
    (Temper::SilentInSession, 4, 1),
    (Temper::ReadingLate, 4, 2),
    (Temper::NeverReading, 3, 1),
    (Temper::DyingAfterMkfifo, 2, 3),
    (Temper::DyingAfterHello, 3, 4),
    (Temper::DyingAfterAck, 3, 4),
    (Temper::DyingMidRequest, 3, 4),
    (Temper::DyingMidReply, 3, 4),
    (Temper::Killed, 6, 4),
    (Temper::Stopped, 4, 1),
    (Temper::GarbageAtWkp, 4, 5),
    (Temper::GarbageInSession, 3, 3),
    (Temper::CuttingRecords, 4, 5),
    (Temper::Naive, 3, 2),
];

/// One client's visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Visit {
    /// When it comes, from the beginning.
    pub(super) at: Duration,
    pub(super) temper: Temper,
    /// The length of each request.
    pub(super) sizes: Vec<usize>,
    /// How many may be unanswered.
    pub(super) window: usize,
    /// Thought between two requests.
    pub(super) pause: Duration,
    /// How long it is silent, reads nothing, or lives.
    pub(super) span: Duration,
    /// How long it is stopped.
    pub(super) stopped: Duration,
    /// For the bytes of its garbage.
    pub(super) seed: u64,
}

/// All that is to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) visits: Vec<Visit>,
    /// When a subserver is killed, and which one of those that live then.
    pub(super) kills: Vec<(Duration, u64)>,
}

impl Plan {
    /// The plan of this seed, for so long.
    pub(super) fn new(seed: u64, kind: Kind, lasting: Duration) -> Self {
        let mut dice = Dice::new(seed, u64::from(kind.forks()) + 2 * u64::from(kind.is_shared()));
        let mut visits = Vec::new();
        let mut at = Duration::ZERO;
        let mut first = one_of_each(&mut dice);
        while at < lasting {
            // Now and then many at one instant.
            let together = if dice.chance(4) { dice.within(4..=12) } else { 1 };
            for _ in 0..together {
                let temper = first.pop().unwrap_or_else(|| by_weight(&mut dice, kind));
                let burst = if temper == Temper::Naive { dice.within(3..=8) } else { 1 };
                visits.extend((0..burst).map(|_| visit(&mut dice, kind, temper, at)));
            }
            at += dice.while_of(if kind.forks() { 5..=85 } else { 40..=200 });
        }
        let kills = if kind.forks() { kills(&mut dice, lasting) } else { Vec::new() };
        Self { visits, kills }
    }

    /// What is done before anything is measured: the longest message, and several clients at a time.
    pub(super) fn warm_up(kind: Kind) -> Self {
        let mut dice = Dice::new(0, 0);
        let tempers = [Temper::Flooding, Temper::Polite, Temper::PoliteProcess, Temper::GarbageInSession];
        let all = tempers.into_iter().cycle().take(12);
        let mut visits: Vec<Visit> =
            all.map(|temper| visit(&mut dice, kind, temper, Duration::ZERO)).collect();
        let first_three = visits[0].sizes.iter_mut().take(3);
        first_three.for_each(|size| *size = longest(kind));
        Self { visits, kills: Vec::new() }
    }

    /// One more client, when all have left.
    pub(super) fn one_more(kind: Kind) -> Self {
        let visit = visit(&mut Dice::new(1, 0), kind, Temper::PoliteProcess, Duration::ZERO);
        Self { visits: vec![visit], kills: Vec::new() }
    }
}

/// The longest message that a server of this kind takes.
fn longest(kind: Kind) -> usize {
    if kind.is_shared() { LONGEST_IN_WINDOW } else { LONGEST }
}

/// Every temper, in some order.
fn one_of_each(dice: &mut Dice) -> Vec<Temper> {
    let mut left: Vec<Temper> = TEMPERS.iter().map(|(temper, ..)| *temper).collect();
    let mut shuffled = Vec::new();
    while !left.is_empty() {
        let next = usize::try_from(dice.below(left.len() as u64)).expect("an index");
        shuffled.push(left.swap_remove(next));
    }
    shuffled
}

fn by_weight(dice: &mut Dice, kind: Kind) -> Temper {
    let weights =
        TEMPERS.map(|(temper, forking, basic)| (temper, if kind.forks() { forking } else { basic }));
    dice.weighed(&weights)
}

fn visit(dice: &mut Dice, kind: Kind, temper: Temper, at: Duration) -> Visit {
    let (requests, largest) = match temper {
        Temper::Flooding => (dice.within(4..=24), longest(kind)),
        Temper::ReadingLate | Temper::NeverReading => (dice.within(20..=200), 16 << 10),
        Temper::DyingMidRequest | Temper::DyingMidReply => (1, longest(kind)),
        Temper::PoliteProcess => (dice.within(1..=200), 2 << 10),
        // All of it must fit the smallest pipe, its stdin.
        Temper::Killed | Temper::Stopped => (dice.within(0..=12), 300),
        _ => (dice.within(0..=40), 8 << 10),
    };
    let mut sizes: Vec<usize> = (0..requests).map(|_| dice.size(largest)).collect();
    if matches!(temper, Temper::DyingMidRequest | Temper::DyingMidReply) {
        sizes[0] = sizes[0].max(longest(kind) / 2);
    }
    Visit {
        at,
        temper,
        sizes,
        window: usize::try_from(dice.within(1..=64)).expect("it is small"),
        pause: if dice.chance(30) { dice.while_of(0..=30) } else { Duration::ZERO },
        span: dice.while_of(match temper {
            Temper::Killed => 0..=120,
            // Long beyond the server's deadline.
            Temper::NeverReading => 4000..=6000,
            _ => 0..=1500,
        }),
        stopped: dice.while_of(50..=2500),
        seed: dice.below(u64::MAX),
    }
}

fn kills(dice: &mut Dice, lasting: Duration) -> Vec<(Duration, u64)> {
    let mut kills = Vec::new();
    let mut at = dice.while_of(100..=1000);
    while at < lasting {
        kills.push((at, dice.below(1 << 32)));
        at += dice.while_of(100..=1000);
    }
    kills
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_seed_is_a_plan() {
        for kind in Kind::ALL {
            let plan = Plan::new(7, kind, MINUTE);
            assert_eq!(plan, Plan::new(7, kind, MINUTE));
            assert_ne!(plan, Plan::new(8, kind, MINUTE));
        }
    }

    #[test]
    fn every_temper_comes_even_in_a_short_run() {
        for kind in Kind::ALL {
            let plan = Plan::new(7, kind, Duration::from_secs(5));
            let tempers: HashSet<Temper> = plan.visits.iter().map(|visit| visit.temper).collect();
            assert_eq!(tempers.len(), TEMPERS.len(), "{kind:?}");
            assert!(plan.visits.is_sorted_by_key(|visit| visit.at));
            assert_eq!(plan.kills.is_empty(), !kind.forks());
        }
    }

    #[test]
    fn no_message_outgrows_what_its_server_takes() {
        let plan = Plan::new(7, Kind { shared_wkp: true, ..Kind::ALL[2] }, MINUTE);
        assert!(plan.visits.iter().flat_map(|visit| &visit.sizes).all(|size| *size <= LONGEST_IN_WINDOW));
    }
}
