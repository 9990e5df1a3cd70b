//! The display of the line: one row of the screen, which scrolls along a longer line.
//!
//! With one row, a resized window needs no computation, and a long line costs no more than a short one.

use super::line::{Line, Shape, before};
use crate::Message;

/// The prompt, and the mark before a part that is not the line's beginning.
const PROMPT: &[u8] = b"> ";
const CONTINUED: &[u8] = b"< ";

/// At most this many bytes of an entered line are displayed: several screens.
const ENTERED_MAX: usize = 4096;

/// Draws the part of the line around the cursor. `from` is the first byte that was visible before. Returns
/// the first byte that is visible now; it changes only if the cursor would leave the row.
pub(super) fn draw(line: &Line, from: usize, columns: usize, screen: &mut Vec<u8>) -> usize {
    // The last column stays free: terminals differ in what they do after a character there.
    let room = columns.saturating_sub(PROMPT.len() + 1).max(1);
    let from = place(line, from, room);
    let (bytes, cursor) = (line.bytes(), line.cursor());
    screen.push(b'\r');
    screen.extend_from_slice(if from == 0 { PROMPT } else { CONTINUED });
    let (mut at, mut used, mut column) = (from, 0, 0);
    loop {
        if at == cursor {
            column = used;
        }
        let shape = Shape::of(&bytes[at..]);
        if shape.bytes == 0 || used + shape.columns > room {
            break;
        }
        shape.draw(screen);
        at += shape.bytes;
        used += shape.columns;
    }
    screen.extend_from_slice(format!("\x1b[K\r\x1b[{}C", PROMPT.len() + column).as_bytes());
    from
}

/// The first byte to draw.
fn place(line: &Line, from: usize, room: usize) -> usize {
    let (bytes, cursor) = (line.bytes(), line.cursor());
    // Prefer the beginning of the line, then the current position, then one with the cursor in the middle.
    [0, from]
        .into_iter()
        .find(|from| *from <= cursor && back(bytes, cursor, room) <= *from)
        .unwrap_or_else(|| back(bytes, cursor, room / 2))
}

/// The first of the bytes that end at `cursor` and fit into `room` columns.
fn back(bytes: &[u8], cursor: usize, room: usize) -> usize {
    let (mut at, mut used) = (cursor, 0);
    while at > 0 {
        let previous = before(bytes, at);
        used += Shape::of(&bytes[previous..at]).columns;
        if used > room {
            break;
        }
        at = previous;
    }
    at
}

/// Draws an entered line from its beginning, in as many rows as it needs.
pub(super) fn draw_entered(message: &Message, screen: &mut Vec<u8>) {
    screen.extend_from_slice(b"\r\x1b[K");
    screen.extend_from_slice(PROMPT);
    match message {
        Message::Whole(line) => {
            let mut rest = &line[..line.len().min(ENTERED_MAX)];
            while !rest.is_empty() {
                let shape = Shape::of(rest);
                shape.draw(screen);
                rest = &rest[shape.bytes..];
            }
            screen.extend_from_slice(if line.len() > ENTERED_MAX { "…\n".as_bytes() } else { b"\n" });
        }
        Message::TooLong => screen.extend_from_slice("…\n".as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row of 10 columns for this line and cursor, if `from` was the first visible byte before.
    fn shown(text: &str, cursor: usize, from: usize) -> (String, usize) {
        let mut line = Line::default();
        line.set(text.into());
        line.go_to(cursor);
        let mut screen = Vec::new();
        let from = draw(&line, from, 10, &mut screen);
        (String::from_utf8(screen).expect("a screen shows text"), from)
    }

    #[test]
    fn the_row_moves_along_a_long_line() {
        let row = |row: &str, column: usize, from: usize| (format!("\r{row}\x1b[K\r\x1b[{column}C"), from);
        assert_eq!(shown("", 0, 0), row("> ", 2, 0));
        assert_eq!(shown("abcdefg", 7, 0), row("> abcdefg", 9, 0));
        assert_eq!(shown("abcdefgh", 8, 0), row("< fgh", 5, 5));
        assert_eq!(shown("abcdefghijkl", 12, 5), row("< fghijkl", 9, 5));
        assert_eq!(shown("abcdefghijkl", 6, 5), row("> abcdefg", 8, 0));
        assert_eq!(shown("abcdefghijklmnopqrstuvwxyz", 13, 20), row("< klmnopq", 5, 10));
        assert_eq!(shown("日本語日本語", 9, 0), row("> 日本語", 8, 0));
        assert_eq!(shown("a\x1b\u{202e}\u{9b}b", 5, 0), row("> a^[\u{fffd}\u{fffd}b", 6, 0));
    }

    #[test]
    fn an_entered_line_is_drawn_from_its_beginning() {
        let entered = |message: Message| {
            let mut screen = Vec::new();
            draw_entered(&message, &mut screen);
            String::from_utf8(screen).expect("a screen shows text")
        };
        assert_eq!(entered(Message::Whole(b"caf\xe9".into())), "\r\x1b[K> caf\u{fffd}\n");
        assert_eq!(entered(Message::Whole(vec![b'x'; 5000])).len(), "\r\x1b[K> …\n".len() + ENTERED_MAX);
        assert_eq!(entered(Message::TooLong), "\r\x1b[K> …\n");
    }
}
