//! Parts of sentences: names that are safe to print, lists, file descriptors and times.

use std::time::Duration;

/// A text of another program, safe to print: control characters and characters that reorder a line are
/// escaped.
pub fn printable(text: &str) -> String {
    let escaped =
        |c: char| if c == '\'' || c == '"' || c == '\\' { vec![c] } else { c.escape_debug().collect() };
    text.chars().flat_map(escaped).collect()
}

/// Words in a list: `4, 5 and 6`.
fn list(words: &[String]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        words => words.concat(),
    }
}

/// File descriptors: `descriptor 4`, `descriptors 4, 5 and 6`.
pub(super) fn descriptors(fds: &[u32]) -> String {
    let numbers: Vec<_> = fds.iter().map(u32::to_string).collect();
    format!("descriptor{} {}", if fds.len() == 1 { "" } else { "s" }, list(&numbers))
}

/// The calls that close file descriptors: `close(4) and close(5)`.
pub(super) fn close(fds: &[u32]) -> String {
    let calls: Vec<_> = fds.iter().map(|fd| format!("close({fd})")).collect();
    list(&calls)
}

/// The limit of a wait, if it has one.
pub(super) fn within(limit: Option<Duration>) -> String {
    limit.map(|limit| format!(", for at most {}", seconds(limit))).unwrap_or_default()
}

/// A time, with one digit after the point if it is short.
pub(super) fn seconds(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    if tenths >= 100 { format!("{} s", time.as_secs()) } else { format!("{}.{} s", tenths / 10, tenths % 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2J\n\u{202e}b"), "a\\u{1b}[2J\\n\\u{202e}b");
        assert_eq!(printable("it's \"mario\" \\ é 日本"), "it's \"mario\" \\ é 日本");
    }

    #[test]
    fn a_time_has_one_digit_after_the_point_if_it_is_short() {
        assert_eq!(seconds(Duration::from_millis(1550)), "1.5 s");
        assert_eq!(seconds(Duration::from_secs(1000)), "1000 s");
    }

    #[test]
    fn descriptors_are_listed() {
        assert_eq!(descriptors(&[4]), "descriptor 4");
        assert_eq!(descriptors(&[4, 5, 6]), "descriptors 4, 5 and 6");
        assert_eq!(close(&[4, 5]), "close(4) and close(5)");
    }
}
