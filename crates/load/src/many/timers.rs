//! One timer for each worker, at a cost that hardly grows with the number of workers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use handshake_core::deadline::Deadline;

/// A heap of timers. Each answer postpones a timer, which costs only a comparison: the entry stays in the
/// heap, and is inserted again when its old time comes.
#[derive(Debug)]
pub struct Timers {
    /// When each worker's timer is due.
    due: Vec<Deadline>,
    /// The valid heap entry of each worker; its other entries are outdated.
    queued: Vec<Deadline>,
    heap: BinaryHeap<Reverse<(Deadline, usize)>>,
}

impl Timers {
    /// Timers for this many workers, all unset.
    pub fn new(workers: usize) -> Self {
        let never = vec![Deadline::NEVER; workers];
        Self { due: never.clone(), queued: never, heap: BinaryHeap::new() }
    }

    /// Sets a worker's only timer.
    pub fn set(&mut self, worker: usize, when: Deadline) {
        self.due[worker] = when;
        if when < self.queued[worker] {
            self.queued[worker] = when;
            self.heap.push(Reverse((when, worker)));
            self.drop_outdated();
        }
    }

    /// When to call [`Timers::pop`] next; never too late.
    pub fn next(&self) -> Deadline {
        self.heap.peek().map_or(Deadline::NEVER, |Reverse((when, _))| *when)
    }

    /// Unsets a timer that is due, and returns its worker.
    pub fn pop(&mut self) -> Option<usize> {
        while self.next().passed() {
            let Reverse((when, worker)) = self.heap.pop()?;
            if self.queued[worker] != when {
                continue;
            }
            self.queued[worker] = Deadline::NEVER;
            let due = std::mem::replace(&mut self.due[worker], Deadline::NEVER);
            if due.passed() {
                return Some(worker);
            }
            self.set(worker, due);
        }
        None
    }

    /// Removes outdated entries when they are too many.
    fn drop_outdated(&mut self) {
        if self.heap.len() > 4 * self.due.len() {
            self.heap.retain(|Reverse((when, worker))| self.queued[*worker] == *when);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(nanoseconds: u64) -> Deadline {
        Deadline::at(Duration::from_nanos(nanoseconds))
    }

    fn later() -> Deadline {
        Deadline::after(Duration::from_secs(3600))
    }

    #[test]
    fn timers_fire_in_order_and_once() {
        let mut timers = Timers::new(3);
        timers.set(2, at(1));
        timers.set(0, at(3));
        timers.set(1, at(2));
        assert_eq!(
            [timers.pop(), timers.pop(), timers.pop(), timers.pop()],
            [Some(2), Some(1), Some(0), None]
        );
        assert_eq!(timers.next(), Deadline::NEVER);
    }

    #[test]
    fn a_timer_put_off_or_unset_does_not_fire() {
        let mut timers = Timers::new(2);
        timers.set(0, at(1));
        timers.set(0, later());
        timers.set(1, at(1));
        timers.set(1, Deadline::NEVER);
        assert_eq!(timers.pop(), None);
        assert_ne!(timers.next(), Deadline::NEVER);
    }

    #[test]
    fn entries_that_no_longer_count_do_not_pile_up() {
        let mut timers = Timers::new(2);
        for _ in 0..1000 {
            timers.set(0, later());
            timers.set(0, at(1));
            assert_eq!(timers.pop(), Some(0));
        }
        assert!(timers.heap.len() <= 8);
    }
}
