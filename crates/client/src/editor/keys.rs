//! Turns the bytes of a terminal into keys: single bytes, and sequences that begin with ESC.

/// Ctrl-V: the next byte is no key.
pub(crate) const LITERAL: u8 = 0x16;
/// Ctrl-Z.
pub(crate) const STOP: u8 = 0x1a;
const ESC: u8 = 0x1b;
const DEL: u8 = 0x7f;

/// Longer than any sequence that a terminal sends for a key.
const SEQUENCE_MAX: usize = 16;

/// The meaning of a key; the bindings are those of Emacs, as in other programs with a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A byte of the line.
    Byte(u8),
    Enter,
    /// Ctrl-D.
    EndOrDelete,
    Clear,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    Backspace,
    Delete,
    CutToHome,
    CutToEnd,
    CutWordLeft,
    CutWordRight,
    Paste,
}

/// The parser's position in a sequence.
#[derive(Debug, Default)]
enum State {
    #[default]
    Between,
    /// After Ctrl-V.
    Literal,
    /// After ESC.
    Escape,
    /// After `ESC O`: one byte follows.
    Ss3,
    /// After `ESC [`: parameters follow, and a final byte from `@` to `~`.
    Csi(Vec<u8>),
}

/// The parser of key sequences.
#[derive(Debug, Default)]
pub(super) struct Keys(State);

impl Keys {
    /// The key that this byte is, or completes.
    pub(super) fn press(&mut self, byte: u8) -> Option<Key> {
        match std::mem::take(&mut self.0) {
            State::Between => self.single(byte),
            State::Literal => Some(Key::Byte(byte)),
            // Alt-Backspace, on some terminals.
            State::Escape if byte == 0x08 => Some(Key::CutWordLeft),
            // A control byte ends a sequence and keeps its own meaning.
            _ if byte < b' ' => self.single(byte),
            State::Escape => self.after_escape(byte),
            State::Ss3 => cursor_key(byte),
            State::Csi(parameters) if (b'@'..=b'~').contains(&byte) => sequence(&parameters, byte),
            State::Csi(mut parameters) => {
                if parameters.len() < SEQUENCE_MAX {
                    parameters.push(byte);
                    self.0 = State::Csi(parameters);
                }
                None
            }
        }
    }

    fn single(&mut self, byte: u8) -> Option<Key> {
        Some(match byte {
            b'\n' | b'\r' => Key::Enter,
            0x04 => Key::EndOrDelete,
            0x01 => Key::Home,
            0x02 => Key::Left,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x08 | DEL => Key::Backspace,
            0x0b => Key::CutToEnd,
            0x0c => Key::Clear,
            0x0e => Key::Down,
            0x10 => Key::Up,
            0x15 => Key::CutToHome,
            0x17 => Key::CutWordLeft,
            0x19 => Key::Paste,
            b'\t' | b' '.. => Key::Byte(byte),
            LITERAL => return self.continue_in(State::Literal),
            ESC => return self.continue_in(State::Escape),
            // Other control bytes have no meaning here.
            _ => return None,
        })
    }

    fn after_escape(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'[' => self.continue_in(State::Csi(Vec::new())),
            b'O' => self.continue_in(State::Ss3),
            b'b' => Some(Key::WordLeft),
            b'f' => Some(Key::WordRight),
            b'd' => Some(Key::CutWordRight),
            DEL => Some(Key::CutWordLeft),
            _ => None,
        }
    }

    fn continue_in(&mut self, state: State) -> Option<Key> {
        self.0 = state;
        None
    }
}

/// A cursor key, by the last byte of its sequence.
fn cursor_key(byte: u8) -> Option<Key> {
    Some(match byte {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'F' => Key::End,
        b'H' => Key::Home,
        _ => return None,
    })
}

/// The key of the sequence `ESC [ parameters last`.
fn sequence(parameters: &[u8], last: u8) -> Option<Key> {
    match (parameters, last) {
        (b"1" | b"7", b'~') => Some(Key::Home),
        (b"3", b'~') => Some(Key::Delete),
        (b"4" | b"8", b'~') => Some(Key::End),
        // With Alt, Ctrl, or both.
        (b"1;3" | b"1;5" | b"1;7", b'C') => Some(Key::WordRight),
        (b"1;3" | b"1;5" | b"1;7", b'D') => Some(Key::WordLeft),
        (b"" | b"1", last) => cursor_key(last),
        _ => None,
    }
}
