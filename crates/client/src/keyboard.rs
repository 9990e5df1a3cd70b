//! What is typed at the prompt: keys that wait, and the editor that they go to when a line is asked for.

use std::collections::VecDeque;

use crate::Message;
use crate::editor::{Editor, LITERAL, Pressed, STOP};

/// Bytes that may be typed ahead. Beyond them the client stops reading the terminal, and the kernel holds the
/// writer up. It is far more than a person types or pastes.
const AHEAD_MAX: usize = 1 << 20;

/// Ctrl-D.
const END: u8 = 0x04;

/// The bytes that were typed and are not in a message yet. The buffer lasts as long as the session, and not
/// only for one line: what is typed or pasted ahead waits here while a reply is awaited.
#[derive(Debug)]
pub(crate) struct Keyboard {
    ahead: VecDeque<u8>,
    editor: Editor,
    /// Whether the last byte was Ctrl-V: then the next one is no key.
    is_literal: bool,
    /// Whether Ctrl-Z was pressed.
    stop: bool,
}

/// What a line that was asked for has come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It is being typed.
    Nothing,
    /// It was entered.
    Line(Message),
    /// There is none, and will be none.
    End,
}

impl Keyboard {
    pub(crate) fn new(longest: usize) -> Self {
        Self { ahead: VecDeque::new(), editor: Editor::new(longest), is_literal: false, stop: false }
    }

    /// Takes what was typed. The kernel has made a NUL of each Ctrl-D that was typed while it edited the
    /// lines itself (n_tty): `was_cooked` says that these bytes may have such.
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

    /// The terminal has gone. A line that was not entered is no message.
    pub(crate) fn hang_up(&mut self) {
        let entered =
            self.ahead.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        self.ahead.truncate(entered);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Whether Ctrl-Z was pressed since this was asked last.
    pub(crate) fn take_stop(&mut self) -> bool {
        std::mem::take(&mut self.stop)
    }

    /// Lets the editor have what was typed, up to the end of a line. Appends to `screen` what changes there,
    /// in a row of so many columns; `is_shown` says whether the prompt is there already.
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
    fn what_is_typed_ahead_waits_for_its_prompt() {
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
    fn ctrl_z_is_seen_before_its_turn_and_is_no_part_of_a_line() {
        let (mut keyboard, mut screen) = (Keyboard::new(10), Vec::new());
        keyboard.take(b"a\x1ab\x16", false);
        assert!(keyboard.take_stop());
        // The editor takes the Ctrl-V before the next byte comes.
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
    fn a_line_that_was_not_entered_ends_with_its_terminal() {
        let mut keyboard = Keyboard::new(10);
        keyboard.take(b"a\nrm -r", false);
        keyboard.hang_up();
        assert_eq!(keyboard.ask(false, 80, &mut Vec::new()), Asked::Line(Message::Whole(b"a".into())));
        assert!(keyboard.is_empty());
    }
}
