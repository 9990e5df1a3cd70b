//! A queue that is fair between processes: each has its turn, however many of its clients wait.

use std::collections::{BTreeMap, VecDeque};

/// Waiting items, by the process that they belong to. Processes take turns, in the order in which they came.
/// The items of one process are served first come, first served.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    waiting: BTreeMap<i32, VecDeque<T>>,
    /// The processes that have items, each once, the next one first.
    turns: VecDeque<i32>,
    len: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<T> FairQueue<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push(&mut self, process: i32, item: T) {
        // Nearly always a process has one item.
        let queue = self.waiting.entry(process).or_insert_with(|| VecDeque::with_capacity(1));
        if queue.is_empty() {
            self.turns.push_back(process);
        }
        queue.push_back(item);
        self.len += 1;
    }

    /// Returns the item that was popped last to the queue: it is the next one again.
    pub(super) fn requeue(&mut self, process: i32, item: T) {
        self.turns.retain(|other| *other != process);
        self.turns.push_front(process);
        self.waiting.entry(process).or_default().push_front(item);
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let process = self.turns.pop_front()?;
        let item = self.take(process, VecDeque::pop_front);
        if self.waiting.contains_key(&process) {
            self.turns.push_back(process);
        }
        item
    }

    /// Takes out the newest item of the process that has most items, if that process has more than `process`.
    pub(super) fn drop_for(&mut self, process: i32) -> Option<T> {
        let own = self.waiting.get(&process).map_or(0, VecDeque::len);
        let (&largest, _) = self
            .waiting
            .iter()
            .max_by_key(|(_, queue)| queue.len())
            .filter(|(_, queue)| queue.len() > own + 1)?;
        self.take(largest, VecDeque::pop_back)
    }

    fn take(&mut self, process: i32, take: impl FnOnce(&mut VecDeque<T>) -> Option<T>) -> Option<T> {
        let queue = self.waiting.get_mut(&process)?;
        let item = take(queue)?;
        self.len -= 1;
        if queue.is_empty() {
            self.waiting.remove(&process);
        }
        Some(item)
    }

    /// Takes out all items, in no particular order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.len = 0;
        self.turns.clear();
        std::mem::take(&mut self.waiting).into_values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue_of(items: &[(i32, u32)]) -> FairQueue<u32> {
        let mut queue = FairQueue::default();
        items.iter().for_each(|(process, item)| queue.push(*process, *item));
        queue
    }

    #[test]
    fn processes_take_turns() {
        let mut queue = queue_of(&[(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (2, 21)]);
        assert_eq!(queue.len(), 6);
        let order: Vec<u32> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [10, 20, 30, 11, 21, 12]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_requeued_item_comes_next() {
        let mut queue = queue_of(&[(1, 10), (1, 11), (2, 20)]);
        let first = queue.pop().expect("it is not empty");
        queue.requeue(1, first);
        let order: Vec<u32> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [10, 20, 11]);
    }

    #[test]
    fn the_process_that_has_most_makes_room() {
        let mut queue = queue_of(&[(1, 10), (1, 11), (1, 12), (2, 20)]);
        assert_eq!(queue.drop_for(1), None, "for none of its own");
        assert_eq!(queue.drop_for(3), Some(12));
        assert_eq!(queue.drop_for(2), None, "it has as many then");
        assert_eq!(queue.drop_for(3), Some(11));
        assert_eq!(queue.drop_for(3), None, "one each is fair");
        assert_eq!((queue.len(), queue.pop(), queue.pop(), queue.pop()), (2, Some(10), Some(20), None));
    }

    #[test]
    fn all_can_be_taken_at_once() {
        let mut queue = queue_of(&[(1, 10), (2, 20), (1, 11)]);
        let mut all: Vec<u32> = queue.drain().collect();
        all.sort_unstable();
        assert_eq!((all, queue.len(), queue.pop()), (vec![10, 11, 20], 0, None));
    }
}
