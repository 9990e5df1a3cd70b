//! What a terminal may be shown of a peer's text: the one place that decides it. Replies on the client's
//! stdout are data: they reach a terminal as they are, as with cat(1).

/// The character itself, or U+FFFD for one that acts on a terminal instead of being shown there.
///
/// Such are the controls (C0, DEL and C1), which move the cursor or begin an escape sequence. So are the
/// bidirectional controls and the two separators of Unicode, which reorder or break the line around them.
pub fn printable(c: char) -> char {
    match c {
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// A peer's bytes as one line of printable text.
pub fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(printable).collect()
}

/// A text of several lines, with its newlines and tabs, and otherwise printable.
pub fn lines(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { printable(c) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_replaced() {
        let acting = [
            '\0', '\t', '\n', '\r', '\x1b', '\x7f', '\u{80}', '\u{9b}', '\u{9d}', '\u{9f}', '\u{61c}',
            '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}',
        ];
        for c in acting {
            assert_eq!(words(c.to_string().as_bytes()), "\u{fffd}", "{c:?}");
        }
        assert_eq!(words(b"caf\xe9"), "caf\u{fffd}");
    }

    #[test]
    fn text_stays_as_it_is() {
        for text in ["a b", "café", "日本", "שלום", "👨\u{200d}👩", "\u{a0}\u{ad}", "\u{fffd}"] {
            assert_eq!(words(text.as_bytes()), text);
        }
        assert_eq!(lines("a\n\tb\r\u{9b}"), "a\n\tb\u{fffd}\u{fffd}");
    }
}
