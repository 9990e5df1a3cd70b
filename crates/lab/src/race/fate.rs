//! What became of a client.

use naive::{End, Stage};

use super::plan::Dialect;

/// How it came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It got its acknowledgement, and the reply to its request.
    Served,
    /// It got the end of a pipe, or an error: it knows, and may come again.
    Told,
    /// It got something else: another's reply, for example. Or it got an end of file, and went on in another's session.
    Wrong,
    /// It still waited when nobody else had ended for so long.
    Hanging,
}

impl Fate {
    pub(super) const ALL: [Self; 4] = [Self::Served, Self::Told, Self::Wrong, Self::Hanging];

    /// After a number.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Told => "told",
            Self::Wrong => "answered wrongly",
            Self::Hanging => "hanging",
        }
    }

    /// Of a client that said `message`; with a naive one that hangs, where.
    pub(super) fn of(end: &End, dialect: Dialect, message: &str) -> (Self, Option<Stage>) {
        match (dialect, end.status) {
            (Dialect::Course, None) => (Self::Hanging, Some(Stage::last_of(&end.printed))),
            (Dialect::Framed, None) => (Self::Hanging, None),
            (Dialect::Course, Some(_)) => match Stage::last_of(&end.printed) {
                Stage::Served => (Self::Served, None),
                Stage::Wrong => (Self::Wrong, None),
                _ => (Self::Told, None),
            },
            (Dialect::Framed, Some(status)) => {
                let is_reply = end.printed.strip_suffix(b"\n") == Some(message.as_bytes());
                match (status.success(), is_reply) {
                    (true, true) => (Self::Served, None),
                    (false, _) if end.printed.is_empty() => (Self::Told, None),
                    _ => (Self::Wrong, None),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;
    use std::time::Duration;

    use super::*;

    fn fate(printed: &str, code: Option<i32>, dialect: Dialect) -> Fate {
        let status = code.map(|code| ExitStatus::from_raw(code << 8));
        let end = End { printed: printed.into(), status, after: Duration::ZERO };
        Fate::of(&end, dialect, "hello").0
    }

    #[test]
    fn a_fate_is_what_was_printed_and_how_it_ended() {
        for (printed, code, expected) in [
            ("hello\n", Some(0), Fate::Served),
            ("hello\n", Some(1), Fate::Wrong),
            ("hallo\n", Some(0), Fate::Wrong),
            ("", Some(0), Fate::Wrong),
            ("", Some(1), Fate::Told),
            ("", None, Fate::Hanging),
        ] {
            assert_eq!(fate(printed, code, Dialect::Framed), expected, "{printed:?} {code:?}");
        }
        for (printed, code, expected) in [
            ("wpard", Some(0), Fate::Served),
            ("wparx", Some(1), Fate::Wrong),
            ("wpb", Some(1), Fate::Told),
            ("wp", None, Fate::Hanging),
        ] {
            assert_eq!(fate(printed, code, Dialect::Course), expected, "{printed:?} {code:?}");
        }
    }
}
