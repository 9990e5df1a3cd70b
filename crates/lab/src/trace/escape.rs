//! Text of other programs, safe in HTML, SVG and Mermaid.

use handshake_core::text::printable;

/// For HTML and SVG, in text and in quoted attributes.
pub(super) fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' => safe.push('\n'),
            // Neither is a character of XML.
            '\u{fffe}' | '\u{ffff}' => safe.push(char::REPLACEMENT_CHARACTER),
            c => safe.push(printable(c)),
        }
    }
    safe
}

/// For a text in a Mermaid sequence diagram. There `;` and a newline end a statement, `#` begins an entity,
/// and `<` and `>` are markup.
pub(super) fn mermaid(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars().map(printable) {
        match c {
            '#' | ';' | '<' | '>' | '"' | '\'' | '&' | '%' | '{' | '}' | '`' | '\\' => {
                safe.push_str(&format!("#{};", u32::from(c)));
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_program_is_markup() {
        assert_eq!(
            xml("<a href='x'>&\"\u{1b}\u{202e}\u{ffff}"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(mermaid("a;b\n#1<br>"), "a#59;b\u{fffd}#35;1#60;br#62;");
    }
}
