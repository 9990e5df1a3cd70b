//! What is compared, and what comes out.
//!
//! Reading order: `rows`, `pairs` and `columns` say what is compared, `placement` where, `metrics` in which
//! units; `results` is what is kept of it; `statistics` and `figures` make medians and ratios of the trials,
//! `targets` verdicts, and `baseline` says what has changed since an earlier comparison. What is deliberately
//! absent: starting anything, and printing.

pub(crate) mod columns;
pub(crate) mod metrics;
pub(crate) mod pairs;
pub(crate) mod placement;
pub(crate) mod rows;

pub(crate) mod machine;
pub(crate) mod results;

pub(crate) mod figures;
pub(crate) mod statistics;

pub(crate) mod baseline;
pub(crate) mod targets;

#[cfg(test)]
pub(crate) mod samples;
