//! From the samples of several runs to one figure: the median, and how far the runs were apart.

use serde::{Deserialize, Serialize};

/// A figure is marked as wide if its runs are further apart than this part of their median.
const WIDE: f64 = 0.3;

/// The median of several runs, with the least and the greatest of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) runs: usize,
    /// The runs were too far apart.
    pub(crate) wide: bool,
}

impl Summary {
    /// Of at least one sample.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        let median = f64::midpoint(low, high);
        Some(Self { median, min, max, runs: sorted.len(), wide: max - min > WIDE * median.abs() })
    }

    /// Whether the ranges of the runs overlap. If they do, neither summary counts as greater.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

/// The ratios of each run to the same run of the reference, summarized. Changes of the machine from run to
/// run cancel out. Runs that only one of the two has do not count.
pub(crate) fn ratio(samples: &[(usize, f64)], reference: &[(usize, f64)]) -> Option<Summary> {
    let of = |run: usize| reference.iter().find(|sample| sample.0 == run).map(|sample| sample.1);
    let ratios: Vec<f64> = samples
        .iter()
        .filter_map(|(run, value)| Some(value / of(*run)?))
        .filter(|ratio| ratio.is_finite())
        .collect();
    Summary::of(&ratios)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_ends_are_kept() {
        let summary = Summary::of(&[5.0, 1.0, 3.0]).unwrap();
        assert_eq!((summary.median, summary.min, summary.max, summary.runs), (3.0, 1.0, 5.0, 3));
        assert_eq!(Summary::of(&[1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn a_wide_spread_is_seen() {
        assert!(!Summary::of(&[100.0, 110.0, 120.0]).unwrap().wide);
        assert!(Summary::of(&[100.0, 110.0, 150.0]).unwrap().wide);
        assert!(!Summary::of(&[0.0, 0.0]).unwrap().wide);
        assert!(Summary::of(&[0.0, 0.0, 1.0]).unwrap().wide);
    }

    #[test]
    fn ratios_are_taken_run_by_run() {
        // The machine was three times slower in run 1; the ratio does not see it.
        let (ours, bare) = ([(0, 20.0), (1, 60.0), (2, 21.0)], [(0, 10.0), (1, 30.0), (3, 1.0)]);
        let ratio = ratio(&ours, &bare).unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max, ratio.runs), (2.0, 2.0, 2.0, 2));
        assert_eq!(super::ratio(&ours, &[(0, 0.0)]), None);
    }

    #[test]
    fn overlapping_runs_decide_nothing() {
        let summary = |samples: &[f64]| Summary::of(samples).unwrap();
        assert!(summary(&[1.0, 3.0]).overlaps(&summary(&[2.0, 4.0])));
        assert!(!summary(&[1.0, 2.0]).overlaps(&summary(&[3.0, 4.0])));
    }
}
