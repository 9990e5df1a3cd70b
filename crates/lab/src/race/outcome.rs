//! The outcome of a race for a client.

use naive::{End, Stage};

use super::plan::Dialect;

/// The outcome for one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// It received its acknowledgement, and the reply to its request.
    Served,
    /// It received EOF or an error: it knows, and may try again.
    Notified,
    /// It received something else, such as another client's reply. Or it received EOF, and went on in another
    /// client's session.
    Wrong,
    /// It still waited when no other client had ended for the length of `--patience`.
    Hanging,
}

impl Outcome {
    pub(super) const ALL: [Self; 4] = [Self::Served, Self::Notified, Self::Wrong, Self::Hanging];

    /// The word for the output, behind a number.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Notified => "told",
            Self::Wrong => "answered wrongly",
            Self::Hanging => "hanging",
        }
    }

    /// The outcome of a client that sent `message`.
    pub(super) fn of(end: &End, dialect: Dialect, message: &str) -> Self {
        let Some(status) = end.status else { return Self::Hanging };
        let is_reply = end.printed.strip_suffix(b"\n") == Some(message.as_bytes());
        match (dialect, Stage::last_of(&end.printed)) {
            (Dialect::Course, Stage::Served) => Self::Served,
            (Dialect::Course, Stage::Wrong) => Self::Wrong,
            (Dialect::Course, _) => Self::Notified,
            (Dialect::Framed, _) if status.success() && is_reply => Self::Served,
            (Dialect::Framed, _) if !status.success() && end.printed.is_empty() => Self::Notified,
            (Dialect::Framed, _) => Self::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;
    use std::time::Duration;

    use super::*;

    fn outcome(printed: &str, code: Option<i32>, dialect: Dialect) -> Outcome {
        let status = code.map(|code| ExitStatus::from_raw(code << 8));
        let end = End { printed: printed.into(), status, after: Duration::ZERO };
        Outcome::of(&end, dialect, "hello")
    }

    #[test]
    fn the_outcome_follows_from_the_output_and_the_exit_status() {
        for (printed, code, expected) in [
            ("hello\n", Some(0), Outcome::Served),
            ("hello\n", Some(1), Outcome::Wrong),
            ("hallo\n", Some(0), Outcome::Wrong),
            ("", Some(0), Outcome::Wrong),
            ("", Some(1), Outcome::Notified),
            ("", None, Outcome::Hanging),
        ] {
            assert_eq!(outcome(printed, code, Dialect::Framed), expected, "{printed:?} {code:?}");
        }
        for (printed, code, expected) in [
            ("wpard", Some(0), Outcome::Served),
            ("wparx", Some(1), Outcome::Wrong),
            ("wpb", Some(1), Outcome::Notified),
            ("wp", None, Outcome::Hanging),
        ] {
            assert_eq!(outcome(printed, code, Dialect::Course), expected, "{printed:?} {code:?}");
        }
    }
}
