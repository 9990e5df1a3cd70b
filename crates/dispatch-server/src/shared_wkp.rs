//! What only `--shared-wkp` has: one well-known pipe that is never removed.

/// `--shared-wkp`: why a client of the course dialect cannot be served.
pub(crate) const NO_COURSE: &str =
    "it speaks the course dialect, whose messages do not say whose they are; with --shared-wkp they must";

/// `--shared-wkp`: frames that a client may have unanswered. Sixteen full ones are the 64 KiB of a pipe: nobody can
/// fill the well-known pipe by keeping the rules.
pub(crate) const WINDOW: u16 = 16;
