//! The plan: when each client comes, its behaviour and its messages, and when a subserver is killed.
//! Everything is drawn before anything starts, so a seed gives the same plan on every machine.

use std::time::Duration;

use handshake_core::wire::PAYLOAD_MAX;
use probe::paradigm::Paradigm;

use super::dice::Dice;

/// The longest message: several times the capacity of a pipe.
pub(super) const LONGEST: usize = 512 << 10;

/// With `--shared-wkp`, a message must fit the window: 16 frames of 4,067 bytes.
const LONGEST_IN_WINDOW: usize = 16 * PAYLOAD_MAX;

/// How a client behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Behaviour {
    /// Asks, checks every reply, pauses, asks again, says BYE.
    Polite,
    /// Behaves as `Polite`, but is a real `client`, a process of its own.
    PoliteProcess,
    /// Sends many large requests at once; takes and checks every reply.
    Flooding,
    /// Opens the well-known pipe and sends nothing.
    SilentAtWkp,
    /// Sends HELLO and nothing more.
    SilentAfterHello,
    /// Connects and sends nothing.
    SilentInSession,
    /// Asks and reads nothing for a while; then takes and checks every reply, if it still can.
    ReadingLate,
    /// Asks and never reads.
    NeverReading,
    /// Leaves after it has made its private pipe.
    DyingAfterMkfifo,
    /// Leaves after its HELLO.
    DyingAfterHello,
    /// Leaves when its ACK has arrived.
    DyingAfterAck,
    /// Leaves in the middle of a request.
    DyingMidRequest,
    /// Leaves in the middle of a reply.
    DyingMidReply,
    /// A real `client` that receives SIGKILL at some moment.
    Killed,
    /// A real `client` that receives SIGSTOP at some moment, and SIGCONT later.
    Stopped,
    /// Writes random bytes into the well-known pipe.
    GarbageAtWkp,
    /// Writes random bytes between its requests.
    GarbageInSession,
    /// Opens the well-known pipe, and writes only beginnings of valid frames there, even when the pipe has
    /// become another client's upstream.
    CuttingRecords,
    /// Speaks the course dialect, and comes with other naive clients at one instant.
    Naive,
}

impl Behaviour {
    /// Whether it follows the protocol to its end, so that all its requests must be answered.
    pub(super) fn is_owed_all(self) -> bool {
        matches!(self, Self::Polite | Self::PoliteProcess | Self::Flooding)
    }

    /// Whether it is a process of its own.
    pub(super) fn is_process(self) -> bool {
        matches!(self, Self::PoliteProcess | Self::Killed | Self::Stopped)
    }
}

/// Each behaviour with its weight, and its weight for a basic server. A silent client holds up a basic
/// server, and all clients behind it, until a deadline passes.
const BEHAVIOURS: [(Behaviour, u64, u64); 19] = [
    (Behaviour::Polite, 34, 60),
    (Behaviour::PoliteProcess, 8, 12),
    (Behaviour::Flooding, 8, 8),
    (Behaviour::SilentAtWkp, 5, 5),
    (Behaviour::SilentAfterHello, 3, 1),
    (Behaviour::SilentInSession, 4, 1),
    (Behaviour::ReadingLate, 4, 2),
    (Behaviour::NeverReading, 3, 1),
    (Behaviour::DyingAfterMkfifo, 2, 3),
    (Behaviour::DyingAfterHello, 3, 4),
    (Behaviour::DyingAfterAck, 3, 4),
    (Behaviour::DyingMidRequest, 3, 4),
    (Behaviour::DyingMidReply, 3, 4),
    (Behaviour::Killed, 6, 4),
    (Behaviour::Stopped, 4, 1),
    (Behaviour::GarbageAtWkp, 4, 5),
    (Behaviour::GarbageInSession, 3, 3),
    (Behaviour::CuttingRecords, 4, 5),
    (Behaviour::Naive, 3, 2),
];

/// One client's visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Visit {
    /// When the client comes, measured from the beginning.
    pub(super) at: Duration,
    pub(super) behaviour: Behaviour,
    /// The length of each request.
    pub(super) sizes: Vec<usize>,
    /// The most unanswered requests at a time.
    pub(super) window: usize,
    /// The pause between two requests.
    pub(super) pause: Duration,
    /// How long the client is silent, reads nothing, or lives.
    pub(super) span: Duration,
    /// How long the client is stopped.
    pub(super) stopped: Duration,
    /// The seed of its garbage.
    pub(super) seed: u64,
}

/// Everything that happens in a soak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) visits: Vec<Visit>,
    /// When a subserver is killed, and which one of those that live then.
    pub(super) kills: Vec<(Duration, u64)>,
}

impl Plan {
    /// The plan of this seed, for this duration.
    pub(super) fn new(seed: u64, paradigm: Paradigm, lasting: Duration) -> Self {
        let mut dice =
            Dice::new(seed, u64::from(paradigm.forks()) + 2 * u64::from(paradigm == Paradigm::SharedWkp));
        let mut visits = Vec::new();
        let mut at = Duration::ZERO;
        let mut first = one_of_each(&mut dice);
        while at < lasting {
            // Now and then, many clients at one instant.
            let together = if dice.chance(4) { dice.within(4..=12) } else { 1 };
            for _ in 0..together {
                let behaviour = first.pop().unwrap_or_else(|| by_weight(&mut dice, paradigm));
                let burst = if behaviour == Behaviour::Naive { dice.within(3..=8) } else { 1 };
                visits.extend((0..burst).map(|_| visit(&mut dice, paradigm, behaviour, at)));
            }
            at += dice.while_of(if paradigm.forks() { 5..=85 } else { 40..=200 });
        }
        let kills = if paradigm.forks() { kills(&mut dice, lasting) } else { Vec::new() };
        Self { visits, kills }
    }

    /// The plan before anything is measured: the longest message, and several clients at a time.
    pub(super) fn warm_up(paradigm: Paradigm) -> Self {
        let mut dice = Dice::new(0, 0);
        let behaviours =
            [Behaviour::Flooding, Behaviour::Polite, Behaviour::PoliteProcess, Behaviour::GarbageInSession];
        let all = behaviours.into_iter().cycle().take(12);
        let mut visits: Vec<Visit> =
            all.map(|behaviour| visit(&mut dice, paradigm, behaviour, Duration::ZERO)).collect();
        let first_three = visits[0].sizes.iter_mut().take(3);
        first_three.for_each(|size| *size = longest(paradigm));
        Self { visits, kills: Vec::new() }
    }

    /// The plan after all clients have left: one more client.
    pub(super) fn one_more(paradigm: Paradigm) -> Self {
        let visit = visit(&mut Dice::new(1, 0), paradigm, Behaviour::PoliteProcess, Duration::ZERO);
        Self { visits: vec![visit], kills: Vec::new() }
    }
}

/// The longest message that this server takes.
fn longest(paradigm: Paradigm) -> usize {
    if paradigm == Paradigm::SharedWkp { LONGEST_IN_WINDOW } else { LONGEST }
}

/// Every behaviour, in random order.
fn one_of_each(dice: &mut Dice) -> Vec<Behaviour> {
    let mut left: Vec<Behaviour> = BEHAVIOURS.iter().map(|(behaviour, ..)| *behaviour).collect();
    let mut shuffled = Vec::new();
    while !left.is_empty() {
        let next = usize::try_from(dice.below(left.len() as u64)).expect("an index");
        shuffled.push(left.swap_remove(next));
    }
    shuffled
}

fn by_weight(dice: &mut Dice, paradigm: Paradigm) -> Behaviour {
    let weights = BEHAVIOURS
        .map(|(behaviour, forking, basic)| (behaviour, if paradigm.forks() { forking } else { basic }));
    dice.weighed(&weights)
}

fn visit(dice: &mut Dice, paradigm: Paradigm, behaviour: Behaviour, at: Duration) -> Visit {
    let (requests, largest) = match behaviour {
        Behaviour::Flooding => (dice.within(4..=24), longest(paradigm)),
        Behaviour::ReadingLate | Behaviour::NeverReading => (dice.within(20..=200), 16 << 10),
        Behaviour::DyingMidRequest | Behaviour::DyingMidReply => (1, longest(paradigm)),
        Behaviour::PoliteProcess => (dice.within(1..=200), 2 << 10),
        // All lines must fit the smallest pipe, its stdin.
        Behaviour::Killed | Behaviour::Stopped => (dice.within(0..=12), 300),
        _ => (dice.within(0..=40), 8 << 10),
    };
    let mut sizes: Vec<usize> = (0..requests).map(|_| dice.size(largest)).collect();
    if matches!(behaviour, Behaviour::DyingMidRequest | Behaviour::DyingMidReply) {
        sizes[0] = sizes[0].max(longest(paradigm) / 2);
    }
    Visit {
        at,
        behaviour,
        sizes,
        window: usize::try_from(dice.within(1..=64)).expect("it is small"),
        pause: if dice.chance(30) { dice.while_of(0..=30) } else { Duration::ZERO },
        span: dice.while_of(match behaviour {
            Behaviour::Killed => 0..=120,
            // Far longer than the server's deadline.
            Behaviour::NeverReading => 4000..=6000,
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
        for paradigm in Paradigm::ALL {
            let plan = Plan::new(7, paradigm, MINUTE);
            assert_eq!(plan, Plan::new(7, paradigm, MINUTE));
            assert_ne!(plan, Plan::new(8, paradigm, MINUTE));
        }
    }

    #[test]
    fn every_behaviour_occurs_even_in_a_short_run() {
        for paradigm in Paradigm::ALL {
            let plan = Plan::new(7, paradigm, Duration::from_secs(5));
            let behaviours: HashSet<Behaviour> = plan.visits.iter().map(|visit| visit.behaviour).collect();
            assert_eq!(behaviours.len(), BEHAVIOURS.len(), "{paradigm:?}");
            assert!(plan.visits.is_sorted_by_key(|visit| visit.at));
            assert_eq!(plan.kills.is_empty(), !paradigm.forks());
        }
    }

    #[test]
    fn no_message_exceeds_the_limit_of_its_server() {
        let plan = Plan::new(7, Paradigm::SharedWkp, MINUTE);
        assert!(plan.visits.iter().flat_map(|visit| &visit.sizes).all(|size| *size <= LONGEST_IN_WINDOW));
    }
}
