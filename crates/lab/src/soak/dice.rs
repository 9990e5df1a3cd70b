//! A reproducible random generator: a seed gives the same numbers in every version of the lab and its
//! libraries.
//!
//! It is Marsaglia's xorshift128, whose 128 bits come from the seed. The code that makes ranges of its
//! numbers is here, because libraries change theirs, and a soak of today must be repeatable tomorrow.

use std::ops::RangeInclusive;
use std::time::Duration;

use load::many::payload::mix;
use rand_core::{Rng, SeedableRng};
use rand_xorshift::XorShiftRng;

/// A random generator.
#[derive(Debug)]
pub(super) struct Dice(XorShiftRng);

impl Dice {
    /// The generator `which` of a seed; the generators of a seed are independent of each other.
    pub(super) fn new(seed: u64, which: u64) -> Self {
        let one = mix(mix(seed) ^ which);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&one.to_le_bytes());
        bytes[8..].copy_from_slice(&mix(one).to_le_bytes());
        Self(XorShiftRng::from_seed(bytes))
    }

    /// A number less than `limit`; all are equally likely.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(limit);
        u64::try_from(wide >> 64).expect("less than the limit")
    }

    /// A number of this range; all are equally likely.
    pub(super) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// A size up to `most`. It draws the number of bits first, so small sizes are as likely as large ones.
    pub(super) fn size(&mut self, most: usize) -> usize {
        let most = most as u64;
        let bits = self.below(u64::from(u64::BITS - most.leading_zeros()) + 1);
        let size = self.below(1 << bits).min(most);
        usize::try_from(size).expect("at most what was a size")
    }

    /// A duration within this range of milliseconds.
    pub(super) fn while_of(&mut self, milliseconds: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.within(milliseconds))
    }

    /// True with a probability of `percent`.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `all`, by their weights.
    pub(super) fn weighed<T: Copy>(&mut self, all: &[(T, u64)]) -> T {
        let mut left = self.below(all.iter().map(|(_, weight)| weight).sum());
        for (one, weight) in all {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *one,
            }
        }
        unreachable!("what is below the sum falls into one of the weights")
    }

    /// Random bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        let mut dice = Dice::new(2026, 0);
        let numbers: Vec<u64> = (0..6).map(|_| dice.below(1_000_000)).collect();
        assert_eq!(numbers, [150_410, 604_870, 311_050, 801_294, 730_013, 325_420]);
    }

    #[test]
    fn numbers_keep_to_their_limits_and_reach_them() {
        let mut dice = Dice::new(1, 1);
        let seen: std::collections::BTreeSet<u64> = (0..1000).map(|_| dice.within(3..=6)).collect();
        assert_eq!(seen, [3, 4, 5, 6].into());
        let sizes: Vec<usize> = (0..10_000).map(|_| dice.size(1000)).collect();
        assert!(sizes.contains(&0) && sizes.contains(&1000), "{:?}", sizes.iter().max());
        assert!(sizes.iter().all(|size| *size <= 1000));
        assert!(!(0..1000).any(|_| dice.weighed(&[('a', 1), ('b', 0)]) == 'b'));
    }
}
