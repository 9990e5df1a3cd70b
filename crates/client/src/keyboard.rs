//! The bytes typed at the prompt: they wait here until a line is asked for, and then go to the editor.

use std::collections::VecDeque;

use crate::Message;
use crate::editor::{Editor, LITERAL, Pressed, STOP};

/// How many bytes may be typed ahead. Beyond that the client stops reading the terminal, and the kernel
/// blocks the writer. It is far more than a person types or pastes.
const AHEAD_MAX: usize = 1 << 20;

/// Ctrl-D.
const END: u8 = 0x04;

/// The bytes that were typed and belong to no message yet. The buffer lives as long as the session, not only
/// for one line. Bytes that are typed while a reply is pending wait here.
#[derive(Debug)]
pub(crate) struct Keyboard {
    ahead: VecDeque<u8>,
    editor: Editor,
    /// Whether the last byte was Ctrl-V: the next byte is then no key.
    is_literal: bool,
    /// Whether Ctrl-Z was pressed.
    stop: bool,
}

/// What [`Keyboard::ask`] returns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The line is not complete yet.
    Nothing,
    /// The line was entered.
    Line(Message),
    /// EOF: there are no more lines.
    End,
}

impl Keyboard {
    pub(crate) fn new(longest: usize) -> Self {
        Self { ahead: VecDeque::new(), editor: Editor::new(longest), is_literal: false, stop: false }
    }

    /// Takes bytes from the terminal. While the kernel edited the lines itself, it turned each Ctrl-D into a
    /// NUL (n_tty). `was_cooked` says that these bytes may contain such NULs.
    pub(crate) fn take(&mut self, bytes: &[u8], was_cooked: bool) {
        for byte in bytes {
            let is_literal = std::mem::take(&mut self.is_literal);
            match *byte {
                STOP if !is_literal => self.stop = true,
                0 if !is_literal && was_cooked => self.ahead.push_back(END),
                byte => {
                    self.is_literal = byte == LITERAL && !is_literal;
                    self.ahead.push_back(byte);
                }
            }
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.ahead.len() < AHEAD_MAX
    }

    /// The terminal has hung up. A line without Enter is no message, so it is discarded.
    pub(crate) fn hang_up(&mut self) {
        let entered =
            self.ahead.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        self.ahead.truncate(entered);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Whether Ctrl-Z was pressed since the last call.
    pub(crate) fn take_stop(&mut self) -> bool {
        std::mem::take(&mut self.stop)
    }

    /// Passes the typed bytes to the editor, up to the end of a line. Appends to `screen` the bytes that
    /// update a row of `columns` columns; `is_shown` says whether the prompt is already on the screen.
    pub(crate) fn ask(&mut self, is_shown: bool, columns: usize, screen: &mut Vec<u8>) -> Asked {
        let mut changed = !is_shown;
        while let Some(byte) = self.ahead.pop_front() {
            match self.editor.press(byte) {
                Pressed::Nothing => {}
                Pressed::Changed => changed = true,
                Pressed::Clear => {
                    screen.extend_from_slice(b"\x1b[H\x1b[2J");
                    changed = true;
                }
                Pressed::Entered(message) => {
                    Editor::draw_entered(&message, screen);
                    return Asked::Line(message);
                }
                Pressed::End => {
                    self.ahead.clear();
                    return Asked::End;
                }
            }
        }
        if changed {
            self.editor.draw(columns, screen);
        }
        Asked::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_typed_ahead_wait_for_their_prompt() {
        let (mut keyboard, mut screen) = (Keyboard::new(10), Vec::new());
        keyboard.take(b"a\nb\nc", false);
        let line = |text: &str| Asked::Line(Message::Whole(text.into()));
        assert_eq!(keyboard.ask(false, 80, &mut screen), line("a"));
        assert_eq!(keyboard.ask(false, 80, &mut screen), line("b"));
        assert_eq!(keyboard.ask(false, 80, &mut screen), Asked::Nothing);
        assert!(screen.ends_with(b"\r> c\x1b[K\r\x1b[3C"), "{screen:?}");
        keyboard.take(b"\n\x04d\n", false);
        assert_eq!(keyboard.ask(true, 80, &mut screen), line("c"));
        assert_eq!(keyboard.ask(false, 80, &mut screen), Asked::End);
        assert!(keyboard.is_empty(), "after the end there is nothing");
    }

    #[test]
    fn ctrl_z_acts_at_once_and_is_no_part_of_a_line() {
        let (mut keyboard, mut screen) = (Keyboard::new(10), Vec::new());
        keyboard.take(b"a\x1ab\x16", false);
        assert!(keyboard.take_stop());
        // The editor handles Ctrl-V before the next byte arrives.
        assert_eq!(keyboard.ask(false, 80, &mut screen), Asked::Nothing);
        keyboard.take(b"\x1a\n", false);
        assert!(!keyboard.take_stop(), "after Ctrl-V it is a byte");
        assert_eq!(keyboard.ask(true, 80, &mut screen), Asked::Line(Message::Whole(b"ab\x1a".into())));
        keyboard.take(b"\x16\x16\x1a\n", false);
        assert!(keyboard.take_stop(), "the second Ctrl-V is the byte");
        assert_eq!(keyboard.ask(true, 80, &mut screen), Asked::Line(Message::Whole(b"\x16".into())));
    }

    #[test]
    fn a_nul_is_ctrl_d_only_if_the_kernel_edited_the_line() {
        let (mut keyboard, mut screen) = (Keyboard::new(10), Vec::new());
        keyboard.take(b"\0a\0b\n", false);
        assert_eq!(keyboard.ask(false, 80, &mut screen), Asked::Line(Message::Whole(b"ab".into())));
        keyboard.take(b"c\n\0d\n", true);
        assert_eq!(keyboard.ask(false, 80, &mut screen), Asked::Line(Message::Whole(b"c".into())));
        assert_eq!(keyboard.ask(false, 80, &mut screen), Asked::End);
    }

    #[test]
    fn a_hang_up_discards_a_line_without_enter() {
        let mut keyboard = Keyboard::new(10);
        keyboard.take(b"a\nrm -r", false);
        keyboard.hang_up();
        assert_eq!(keyboard.ask(false, 80, &mut Vec::new()), Asked::Line(Message::Whole(b"a".into())));
        assert!(keyboard.is_empty());
    }
}
