//! The third step: a course client's answer to an acknowledgement.

use crate::course::{HOLA, HandshakeSteps, ITS_A_ME, padded, text_of};

/// Returns what confirms the acknowledgement `ack`, for a client whose private pipe has this name. `None`: no
/// third step.
///
/// A course server does not say whether it waits for a third step, nor which text it expects. Its
/// acknowledgement suggests both. The table comes from 47 servers, and 46 of them accept its answers.
pub fn third_step(ack: &[u8], private_name: &[u8], steps: HandshakeSteps) -> Option<Vec<u8>> {
    let text = text_of(ack);
    match steps {
        HandshakeSteps::Two => return None,
        HandshakeSteps::Auto if text == ITS_A_ME => return None,
        HandshakeSteps::Three | HandshakeSteps::Auto => {}
    }
    Some(if let Some(number) = as_integer(ack) {
        number.wrapping_add(1).to_ne_bytes().to_vec()
    } else if text == private_name {
        of_the_size_of(ack, HOLA)
    } else if let Some(number) = next_in_decimal(text) {
        of_the_size_of(ack, number.to_string().as_bytes())
    } else {
        ack.to_vec()
    })
}

/// Returns the integer in 4 bytes, unless they are a word or a decimal number, with or without a NUL. Of
/// random integers, one in 1,500 reads as a word or number, but one in 26 as some text.
fn as_integer(ack: &[u8]) -> Option<i32> {
    let bytes: [u8; 4] = ack.try_into().ok()?;
    let text = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    let is_word = match text {
        [first, rest @ ..] if rest.iter().all(u8::is_ascii_lowercase) => first.is_ascii_alphabetic(),
        text => text.iter().all(u8::is_ascii_uppercase) || text.iter().all(u8::is_ascii_digit),
    };
    (!is_word).then(|| i32::from_ne_bytes(bytes))
}

/// Returns the number after the decimal number in `text`.
fn next_in_decimal(text: &[u8]) -> Option<i64> {
    str::from_utf8(text).ok()?.parse::<i64>().ok()?.checked_add(1)
}

/// Returns `text` padded to the acknowledgement's length. It ends with a NUL if the acknowledgement contains
/// one.
fn of_the_size_of(ack: &[u8], text: &[u8]) -> Vec<u8> {
    let nul = usize::from(ack.contains(&0));
    padded(text, ack.len().max(text.len() + nul))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const NAME: &[u8] = b"4711";

    /// Returns what `--handshake auto` answers to `ack`.
    fn auto_answer(ack: &[u8]) -> Option<Vec<u8>> {
        third_step(ack, NAME, HandshakeSteps::Auto)
    }

    #[test]
    fn an_integer_is_answered_by_the_next() {
        for number in [0, 1, 41, 4711, 31_337, -2, i32::MIN, 0x0102_0304] {
            assert_eq!(
                auto_answer(&number.to_ne_bytes()),
                Some((number + 1).to_ne_bytes().to_vec()),
                "{number}"
            );
        }
        assert_eq!(auto_answer(&i32::MAX.to_ne_bytes()), Some(i32::MIN.to_ne_bytes().to_vec()));
    }

    #[test]
    fn four_bytes_that_are_a_word_are_no_integer() {
        for ack in [b"HOLA", b"Hola", b"hola", b"yes\0", b"Yes\0", b"ACK\0"] {
            assert_eq!(auto_answer(ack), Some(ack.to_vec()));
        }
        for ack in [b"hOLA", b"a1b2", b"hi, ", b"\0\0\0a", b"ab\0\0"] {
            assert_eq!(auto_answer(ack), Some((i32::from_ne_bytes(*ack) + 1).to_ne_bytes().to_vec()));
        }
        assert_eq!(auto_answer(b"123\0"), Some(b"124\0".to_vec()));
        assert_eq!(auto_answer(b"4710"), Some(b"4711".to_vec()));
    }

    #[test]
    fn its_own_name_is_answered_by_hola_of_the_same_size() {
        for size in [5, 10, 100, 1000] {
            assert_eq!(auto_answer(&padded(NAME, size)), Some(padded(HOLA, size)));
        }
        assert_eq!(auto_answer(NAME), Some(HOLA.to_vec()));
        assert_eq!(third_step(b"7\0", b"7", HandshakeSteps::Auto), Some(b"HOLA\0".to_vec()));
        let word = b"luigi\0";
        assert_eq!(third_step(word, b"luigi", HandshakeSteps::Auto), Some(padded(HOLA, word.len())));
    }

    #[test]
    fn a_number_is_answered_by_the_next() {
        for (ack, step) in [
            (&b"123"[..], &b"124"[..]),
            (b"99", b"100"),
            (b"99\0", b"100\0"),
            (b"-1\0\0\0", b"0\0\0\0\0"),
            (b"2147483647\0", b"2147483648\0"),
        ] {
            assert_eq!(auto_answer(ack).as_deref(), Some(step));
        }
        assert_eq!(auto_answer(&padded(b"41", 1000)), Some(padded(b"42", 1000)));
    }

    #[test]
    fn any_other_acknowledgement_is_repeated() {
        let hola = padded(HOLA, 1000);
        for ack in [
            b"HOLA\0",
            &hola[..],
            b"\0",
            b"connected",
            b"12 34\0",
            b"9223372036854775807\0",
            b"99999999999999999999",
            b"its-a-me",
            b"ACK\0garbage",
        ] {
            assert_eq!(auto_answer(ack), Some(ack.to_vec()));
        }
    }

    #[test]
    fn its_a_me_gets_no_third_step_unless_one_is_requested() {
        for ack in [ITS_A_ME.to_vec(), padded(ITS_A_ME, 100)] {
            assert_eq!(auto_answer(&ack), None);
            assert_eq!(third_step(&ack, NAME, HandshakeSteps::Two), None);
            assert_eq!(third_step(&ack, NAME, HandshakeSteps::Three), Some(ack));
        }
    }

    proptest! {
        #[test]
        fn two_steps_include_no_third_step(ack in vec(any::<u8>(), 1..100)) {
            prop_assert_eq!(third_step(&ack, NAME, HandshakeSteps::Two), None);
        }

        #[test]
        fn three_steps_include_a_third_step_no_shorter_than_the_ack(ack in vec(any::<u8>(), 1..100)) {
            let step = third_step(&ack, NAME, HandshakeSteps::Three).expect("a third step");
            prop_assert!(step.len() >= ack.len());
            if text_of(&ack) != ITS_A_ME {
                prop_assert_eq!(third_step(&ack, NAME, HandshakeSteps::Auto), Some(step));
            }
        }

        #[test]
        fn any_decimal_number_is_answered_by_the_next(number in any::<i64>(), size in 21_usize..1000) {
            prop_assume!(number != 4711 && number != i64::MAX);
            let ack = padded(number.to_string().as_bytes(), size);
            prop_assert_eq!(auto_answer(&ack), Some(padded((number + 1).to_string().as_bytes(), size)));
        }
    }
}
