//! The lab: see, measure and break the three paradigms.
//!
//! Reading order: [`demo`] shows the course's steps as they happen; [`load`] puts many connections on a server, measures
//! it, and checks every reply; [`compare`] does that to all paradigms and to what else one could use, and says which is for
//! what. What is deliberately absent: nothing here knows how a server works inside. The lab sees
//! what any client sees, the event record, and nothing else.

mod args;

pub mod compare;
pub mod demo;
pub mod load;

pub use args::{Args, run};
