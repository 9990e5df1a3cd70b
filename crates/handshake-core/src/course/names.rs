//! Who is meant by bytes in a well-known pipe that are no record: the private pipes' names of course clients.

use std::fs;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::{ORIGINAL_SIZE, text_of, without_newline};
use crate::fifo::{Standing, look};
use crate::place::Place;
use crate::wire::Span;

/// In what form a client has sent its name, which tells what acknowledgement it expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text.
    Text,
    /// Text in exactly 100 zero-padded bytes, as in the original.
    Original,
    /// A process number in 4 bytes.
    Number,
}

/// A course client that has sent its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// Its private pipe.
    pub(crate) private: PathBuf,
    /// How it said so.
    pub(crate) form: Form,
}

/// Names looked up at most for the bytes of one read in a session, where garbage may come without end.
const NAMES_MAX: usize = 64;

/// Who has written `bytes`, in order: several may have, one right behind the other.
pub(crate) fn introductions(bytes: &[u8], place: &Place) -> Vec<Introduction> {
    let named = texts(bytes).flat_map(|(text, _)| in_a_row(without_newline(text), place));
    let mut all: Vec<_> = named.map(|private| Introduction { private, form: Form::Text }).collect();
    if !all.is_empty() {
        if is_original(bytes, all.len()) {
            all.iter_mut().for_each(|client| client.form = Form::Original);
        }
        return all;
    }
    let (numbers, rest) = bytes.as_chunks();
    let mut numbered = Vec::new();
    if rest.is_empty() {
        let known = numbers.iter().filter_map(|number| of_number(u32::from_ne_bytes(*number), place));
        numbered.extend(known.map(|private| Introduction { private, form: Form::Number }));
    }
    if numbered.is_empty() {
        numbered.extend(of_living_process(text_of(bytes), place));
    }
    numbered
}

/// The pipes whose names are among `bytes`, and where; for a pipe that has an owner already.
pub(crate) fn strangers(bytes: &[u8], place: &Place) -> Vec<(PathBuf, Span)> {
    let known = |(text, at): (&[u8], Span)| Some((place.named_in_course(without_newline(text))?, at));
    texts(bytes).take(NAMES_MAX).filter_map(known).collect()
}

/// What stands between NULs, and where.
fn texts(bytes: &[u8]) -> impl Iterator<Item = (&[u8], Span)> {
    let mut at = 0;
    let texts = bytes.split(|byte| *byte == 0).map(move |text| {
        let start = at;
        at += text.len() + 1;
        (text, start..start + text.len())
    });
    texts.filter(|(text, _)| !text.is_empty())
}

/// The pipes with these names. Where nothing stands between them, since each was written without a NUL, the longest at the
/// front comes first.
fn in_a_row(mut text: &[u8], place: &Place) -> Vec<PathBuf> {
    let mut found = Vec::new();
    while !text.is_empty() {
        let longest = text.len().min(crate::wire::NAME_MAX);
        let Some((private, length)) =
            (1..=longest).rev().find_map(|length| Some((place.named_in_course(&text[..length])?, length)))
        else {
            break;
        };
        found.push(private);
        text = &text[length..];
    }
    found
}

/// Whether these are so many records as in the original.
fn is_original(bytes: &[u8], count: usize) -> bool {
    let (records, rest) = bytes.as_chunks::<ORIGINAL_SIZE>();
    let is_padded =
        |record: &[u8; ORIGINAL_SIZE]| record[text_of(record).len()..].iter().all(|byte| *byte == 0);
    rest.is_empty() && records.len() == count && records.iter().all(is_padded)
}

/// The pipe of that number, or the one whose name begins with it: `123`, `123.fifo`.
fn of_number(number: u32, place: &Place) -> Option<PathBuf> {
    let digits = number.to_string();
    place.named_in_course(digits.as_bytes()).or_else(|| {
        let entries = fs::read_dir(place.directory()).ok()?;
        let mut names = entries.flatten().map(|entry| entry.file_name().into_encoded_bytes());
        names.find_map(|name| {
            let rest = name.strip_prefix(digits.as_bytes())?;
            let goes_on = rest.first().is_some_and(u8::is_ascii_digit);
            if goes_on { None } else { place.named_in_course(&name) }
        })
    })
}

/// Whoever has sent its own process number may be about to make its pipe.
fn of_living_process(text: &[u8], place: &Place) -> Option<Introduction> {
    let number = std::str::from_utf8(without_newline(text)).ok()?;
    let pid = Pid::from_raw(number.parse().ok().filter(|pid| *pid > 0)?);
    let lives = matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM));
    lives.then(|| Introduction { private: place.directory().join(number), form: Form::Text })
}

impl Place {
    /// The private pipe that a course client means by `name`: bare, or with the directory before it; a pipe of this user
    /// must stand there, and none that has a part in the framed dialect.
    pub(crate) fn named_in_course(&self, name: &[u8]) -> Option<PathBuf> {
        let path = self.bare_in_course(name)?;
        matches!(look(&path), Ok(Standing::Fifo(_))).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use tempfile::TempDir;

    use super::*;

    const PIPES: [&str; 6] = ["1", "22", "221", "luigi", "77.fifo", "mario"];

    fn place() -> (TempDir, Place) {
        let directory = TempDir::new().unwrap();
        for name in PIPES {
            mkfifo(&directory.path().join(name), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        }
        let place = Place::new(&directory.path().join("mario")).unwrap();
        (directory, place)
    }

    fn names(found: impl IntoIterator<Item = PathBuf>) -> Vec<String> {
        found.into_iter().map(|path| crate::fifo::name_of(&path)).collect()
    }

    #[test]
    fn names_are_taken_apart_where_nothing_stands_between_them() {
        let (_directory, place) = place();
        let introduced =
            |bytes: &[u8]| names(introductions(bytes, &place).into_iter().map(|one| one.private));
        assert_eq!(introduced(b"221"), ["221"], "the longest");
        assert_eq!(introduced(b"2222"), ["22", "22"]);
        assert_eq!(introduced(b"1221luigi"), ["1", "221", "luigi"]);
        assert_eq!(introduced(b"1\0\0garbage\x0022\n\0"), ["1", "22"]);
        assert_eq!(introduced(&77_u32.to_ne_bytes()), ["77.fifo"]);
        assert_eq!(introduced(b"mario\0"), [""; 0], "the well-known pipe is nobody's private one");
    }

    #[test]
    fn records_of_the_original_are_known_also_when_there_are_several() {
        let (_directory, place) = place();
        let record = |name: &[u8]| super::super::padded(name, ORIGINAL_SIZE);
        let forms = |bytes: &[u8]| -> Vec<Form> {
            introductions(bytes, &place).into_iter().map(|client| client.form).collect()
        };
        assert_eq!(forms(&record(b"1")), [Form::Original]);
        assert_eq!(forms(&[record(b"1"), record(b"22")].concat()), [Form::Original; 2]);
        assert_eq!(forms(&[record(b"1"), vec![0; 100]].concat()), [Form::Text]);
        assert_eq!(forms(&77_u32.to_ne_bytes()), [Form::Number]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// P6: whatever is written, what is found is a pipe that stands there, and no other.
        #[test]
        fn nothing_else_is_ever_found(pieces in vec(prop_oneof![
            vec(any::<u8>(), 0..12),
            select(vec![&b"\0"[..], b"./", b"../", b"\n", b"1", b"221", b"luigi", b"mario", b"77"])
                .prop_map(<[u8]>::to_vec),
        ], 0..20)) {
            let (_directory, place) = place();
            let bytes = pieces.concat();
            let known = |name: &String| PIPES[..5].contains(&name.as_str());
            for name in names(introductions(&bytes, &place).into_iter().map(|one| one.private)) {
                // A living process is believed before it has made its pipe.
                prop_assert!(known(&name) || name.parse::<i32>().is_ok(), "{}", name);
            }
            for (private, at) in strangers(&bytes, &place) {
                let name = crate::fifo::name_of(&private);
                prop_assert!(known(&name));
                prop_assert!(bytes[at].windows(name.len()).any(|window| window == name.as_bytes()));
            }
        }
    }
}
