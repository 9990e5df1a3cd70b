//! Makes a peer's text safe to print on a terminal. All such text goes through this module. Replies on the
//! client's stdout are data: they reach a terminal unchanged, as with cat(1).

/// Returns the character itself, or U+FFFD for a character that acts on a terminal instead of being printed.
///
/// These are the controls (C0, DEL and C1), which move the cursor or begin an escape sequence. The
/// bidirectional controls and the two separators of Unicode, which reorder or break the line around them, are
/// replaced as well.
pub fn printable(c: char) -> char {
    match c {
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// Returns a peer's bytes as one line of printable text.
pub fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(printable).collect()
}

/// Returns a text of several lines as printable text, with its newlines and tabs.
pub fn lines(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { printable(c) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_act_on_a_terminal_are_replaced() {
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
