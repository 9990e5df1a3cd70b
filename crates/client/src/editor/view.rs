//! What is shown of the line: one row of the screen, which moves along a line that is longer.
//!
//! With one row there is nothing to compute when the window changes its size, and a long line costs as much
//! as a short one.

use super::line::{Line, Shape, before};
use crate::Message;

/// What stands before the line, and before a part of it that is not the beginning.
const PROMPT: &[u8] = b"> ";
const CONTINUED: &[u8] = b"< ";

/// An entered line is shown up to so many bytes: several screens.
const ENTERED_MAX: usize = 4096;

/// Shows the part of the line around the cursor. `from` is the first byte that was shown before. Returns the
/// first byte that is shown now: another one only if the cursor would not be on the screen.
pub(super) fn draw(line: &Line, from: usize, columns: usize, screen: &mut Vec<u8>) -> usize {
    // The last column stays free: what a terminal does after a character there is for it to say.
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

/// The first byte to show.
fn place(line: &Line, from: usize, room: usize) -> usize {
    let (bytes, cursor) = (line.bytes(), line.cursor());
    // In this order: the beginning of the line, what is shown already, the cursor in the middle of the row.
    [0, from]
        .into_iter()
        .find(|from| *from <= cursor && back(bytes, cursor, room) <= *from)
        .unwrap_or_else(|| back(bytes, cursor, room / 2))
}

/// The first byte of those that end at `cursor` and fit `room`.
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

/// Shows a line that was entered, from its beginning, in as many rows as it takes.
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

    /// What is shown of this line with the cursor here, in 10 columns, when it was shown from `from` before.
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
    fn an_entered_line_stays_from_its_beginning() {
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
