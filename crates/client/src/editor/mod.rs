//! A line editor for the prompt, without any I/O: it turns a terminal's bytes into lines and into screen
//! updates.
//!
//! The client has its own line editor because it must lose no byte. One buffer, which outlives the line,
//! holds the terminal's bytes, and the editor keeps bytes that are not UTF-8. The existing editors that were
//! tried do neither.
//!
//! Reading order: this, `keys` (bytes become keys), `line` (keys change the line), `view` (the visible part
//! of the line).

mod keys;
mod line;
mod view;

use keys::{Key, Keys};
use line::Line;

use crate::Message;

pub(crate) use keys::{LITERAL, STOP};

/// The history keeps this many lines, and no line that is longer than a few screens.
const HISTORY_LINES: usize = 100;
const HISTORY_BYTES: usize = 4096;

/// The effect of a byte.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pressed {
    /// Nothing changes on the screen.
    Nothing,
    /// The line or its cursor has changed.
    Changed,
    /// The screen must be cleared.
    Clear,
    /// Enter: the line is a message.
    Entered(Message),
    /// Ctrl-D on an empty line: there are no more messages.
    End,
}

/// The edited line, and the lines before it.
#[derive(Debug)]
pub(crate) struct Editor {
    keys: Keys,
    line: Line,
    /// The longest message, in bytes.
    longest: usize,
    /// Whether more than `longest` bytes were typed. The line is then no message, until a removal empties it.
    is_too_long: bool,
    history: Vec<Vec<u8>>,
    /// The history index on display; the history's length means the new line.
    at: usize,
    /// The new line, and whether it was too long, while an older one is on display.
    draft: (Vec<u8>, bool),
    /// The bytes that were cut last.
    cut: Vec<u8>,
    /// The first visible byte.
    shown_from: usize,
}

impl Editor {
    /// An empty line, of at most `longest` bytes.
    pub(crate) fn new(longest: usize) -> Self {
        Self {
            keys: Keys::default(),
            line: Line::default(),
            longest,
            is_too_long: false,
            history: Vec::new(),
            at: 0,
            draft: (Vec::new(), false),
            cut: Vec::new(),
            shown_from: 0,
        }
    }

    /// Handles the next byte from the terminal.
    pub(crate) fn press(&mut self, byte: u8) -> Pressed {
        let Some(key) = self.keys.press(byte) else { return Pressed::Nothing };
        match key {
            Key::Byte(byte) => self.insert(&[byte]),
            Key::Enter => return Pressed::Entered(self.enter()),
            Key::EndOrDelete if self.line.bytes().is_empty() => return Pressed::End,
            Key::Clear => return Pressed::Clear,
            Key::Left => self.line.go_to(self.line.left()),
            Key::Right => self.line.go_to(self.line.right()),
            Key::WordLeft => self.line.go_to(self.line.word_left()),
            Key::WordRight => self.line.go_to(self.line.word_right()),
            Key::Home => self.line.go_to(0),
            Key::End => self.line.go_to(self.line.bytes().len()),
            Key::Backspace => drop(self.remove(self.line.left())),
            Key::EndOrDelete | Key::Delete => drop(self.remove(self.line.right())),
            Key::CutToHome => self.cut(0),
            Key::CutToEnd => self.cut(self.line.bytes().len()),
            Key::CutWordLeft => self.cut(self.line.word_left()),
            Key::CutWordRight => self.cut(self.line.word_right()),
            Key::Paste => self.insert(&self.cut.clone()),
            Key::Up => self.show_history(self.at.checked_sub(1)),
            Key::Down => self.show_history(Some(self.at + 1)),
        }
        Pressed::Changed
    }

    fn insert(&mut self, bytes: &[u8]) {
        if self.line.bytes().len() + bytes.len() > self.longest {
            self.is_too_long = true;
        } else {
            self.line.insert(bytes, self.longest);
        }
    }

    fn remove(&mut self, to: usize) -> Vec<u8> {
        let removed = self.line.remove_to(to);
        self.is_too_long &= !self.line.bytes().is_empty();
        removed
    }

    fn cut(&mut self, to: usize) {
        let cut = self.remove(to);
        if !cut.is_empty() {
            self.cut = cut;
        }
    }

    fn show_history(&mut self, at: Option<usize>) {
        let Some(at) = at.filter(|at| *at <= self.history.len()) else { return };
        if self.at == self.history.len() {
            self.draft = (self.line.take(), self.is_too_long);
        }
        // No line of the history is too long.
        let shown = self.history.get(at).map(|line| (line.clone(), false));
        let (line, is_too_long) = shown.unwrap_or_else(|| std::mem::take(&mut self.draft));
        (self.at, self.is_too_long) = (at, is_too_long);
        self.line.set(line);
    }

    fn enter(&mut self) -> Message {
        let line = self.line.take();
        self.shown_from = 0;
        if std::mem::take(&mut self.is_too_long) {
            self.at = self.history.len();
            return Message::TooLong;
        }
        if (1..=HISTORY_BYTES).contains(&line.len()) && self.history.last() != Some(&line) {
            self.history.push(line.clone());
            if self.history.len() > HISTORY_LINES {
                self.history.remove(0);
            }
        }
        self.at = self.history.len();
        Message::Whole(line)
    }

    /// Appends to `screen` one row of `columns` columns: the prompt and the line, or the part of it around
    /// the cursor.
    pub(crate) fn draw(&mut self, columns: usize, screen: &mut Vec<u8>) {
        self.shown_from = view::draw(&self.line, self.shown_from, columns, screen);
    }

    /// Appends to `screen` an entered line, in its final form.
    pub(crate) fn draw_entered(message: &Message, screen: &mut Vec<u8>) {
        view::draw_entered(message, screen);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The messages that these bytes give, and whether Ctrl-D ended the input.
    fn typed(bytes: &[u8], longest: usize) -> (Vec<Message>, bool) {
        let (mut editor, mut messages) = (Editor::new(longest), Vec::new());
        for byte in bytes {
            match editor.press(*byte) {
                Pressed::Entered(message) => messages.push(message),
                Pressed::End => return (messages, true),
                _ => editor.draw(20, &mut Vec::new()),
            }
        }
        (messages, false)
    }

    /// The message that these bytes and Enter give.
    fn line(bytes: &[u8]) -> Vec<u8> {
        match typed(&[bytes, b"\n"].concat(), 100).0.pop() {
            Some(Message::Whole(line)) => line,
            other => panic!("{bytes:?} gives {other:?}"),
        }
    }

    #[test]
    fn keys_edit_as_in_other_programs() {
        for (keys, expected) in [
            (&b"hello"[..], &b"hello"[..]),
            (b"hellp\x7fo", b"hello"),
            (b"ello\x01h", b"hello"),
            (b"hllo\x1b[D\x1b[D\x1b[De", b"hello"),
            (b"hello\x1b[H\x1b[C\x1b[3~", b"hllo"),
            (b"hello\x02\x02\x0b", b"hel"),
            (b"hello\x02\x02\x15", b"lo"),
            (b"one two\x17three", b"one three"),
            (b"one two\x17\x01\x19", b"twoone "),
            (b"one two\x1bb\x1bbx\x1bfy", b"xoney two"),
            (b"one two\x1b[1;5D\x1bd", b"one "),
            (b"xyz\x1b[1~a\x1b[4~b\x1bOHc\x1bOFd", b"caxyzbd"),
            (b"ab\x04\x01\x04", b"b"),
            (b"a\tb\x16\x1b\x16\x00", b"a\tb\x1b\0"),
            (b"\0a\0", b"a"),
            (b"one two\x1b\x08", b"one "),
            (b"a\x1b[99;99Zb\x1bqc\x1b[<1;2Md", b"abcd"),
            ("日本\x7f語".as_bytes(), "日語".as_bytes()),
            ("e\u{301}x\x1b[D\x1b[D\x1b[3~".as_bytes(), b"x"),
            (b"caf\xe9\x1b[D\x1b[Dx", b"caxf\xe9"),
            (b"\xe9\xe9\xff\x7f", b"\xe9\xe9"),
            (b"", b""),
        ] {
            assert_eq!(line(keys), expected, "{:?}", String::from_utf8_lossy(keys));
        }
    }

    #[test]
    fn up_and_down_go_through_the_history() {
        let whole = |lines: &[&str]| -> Vec<_> {
            lines.iter().map(|line| Message::Whole(line.as_bytes().to_vec())).collect()
        };
        let up_up_down = b"a\nb\nmine\x1b[A\x1b[A\x1b[B!\n";
        assert_eq!(typed(up_up_down, 100).0, whole(&["a", "b", "b!"]));
        let back_to_mine = b"a\nmine\x10\x10\x0e\x0e\n\x10\x10\x10\n";
        assert_eq!(typed(back_to_mine, 100).0, whole(&["a", "mine", "a"]));
        let many: String = (0..200).map(|number| format!("{number}\n")).collect();
        let first = [many.as_bytes(), &[0x10; 300], b"\n"].concat();
        assert_eq!(typed(&first, 100).0.pop(), whole(&["100"]).pop());
    }

    #[test]
    fn ctrl_d_ends_only_on_an_empty_line() {
        assert_eq!(typed(b"a\x04\n", 100), (vec![Message::Whole(b"a".into())], false));
        assert_eq!(typed(b"a\n\x04b\n", 100), (vec![Message::Whole(b"a".into())], true));
    }

    #[test]
    fn a_line_that_is_too_long_is_no_message_until_it_is_emptied() {
        let messages = typed(b"abc\nabcd\x7f\x7f\nabcd\x15ab\nabc\x01\x17\x05\x19\n", 3).0;
        let (abc, ab) = (Message::Whole(b"abc".into()), Message::Whole(b"ab".into()));
        assert_eq!(messages, [abc, Message::TooLong, ab, Message::TooLong]);
        assert_eq!(typed(b"abc\n", 0).0, [Message::TooLong]);
        assert_eq!(typed(b"abc\x15\n", 0).0, [Message::Whole(Vec::new())]);
    }

    #[test]
    fn a_history_line_is_not_too_long_while_the_new_line_is() {
        let abc = || Message::Whole(b"abc".into());
        assert_eq!(typed(b"abc\nabcd\x10\n", 3).0, [abc(), abc()]);
        assert_eq!(typed(b"abc\nabcd\x10\x0e\n", 3).0, [abc(), Message::TooLong]);
        assert_eq!(typed(b"abc\nx\x10d\x0e\n", 3).0, [abc(), Message::Whole(b"x".into())]);
    }

    #[test]
    fn enter_ends_the_line_in_the_middle_of_a_sequence() {
        for sequence in ["\x1b", "\x1b[", "\x1b[1;", "\x1bO"] {
            let keys = format!("a{sequence}\rb{sequence}\x1b[D{sequence}\x04c\n");
            let messages = typed(keys.as_bytes(), 100).0;
            assert_eq!(messages, [Message::Whole(b"a".into()), Message::Whole(b"c".into())], "{sequence:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_without_a_key_meaning_are_sent_unchanged(
            lines in vec(vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8], 0..40), 0..5),
        ) {
            let bytes: Vec<u8> = lines.iter().flat_map(|line| [&line[..], b"\n"].concat()).collect();
            let expected: Vec<Message> = lines.into_iter().map(Message::Whole).collect();
            prop_assert_eq!(typed(&bytes, 100), (expected, false));
        }

        #[test]
        fn no_bytes_give_a_message_beyond_the_limit(
            bytes in vec(any::<u8>(), 0..300),
            longest in 0_usize..40,
        ) {
            for message in typed(&bytes, longest).0 {
                if let Message::Whole(line) = message {
                    prop_assert!(line.len() <= longest);
                }
            }
        }
    }
}
