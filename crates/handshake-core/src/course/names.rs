//! Who is meant by bytes in a well-known pipe that are no record: the private pipes' names of course clients.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::{ORIGINAL_SIZE, text_of, without_newline};
use crate::budget::{LOOKUPS_A_PIPE, LOOKUPS_A_READ};
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

/// The record that a client has sent its name in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameRecord {
    pub(crate) form: Form,
    /// In bytes; of one among several, without what was on the stack behind the NULs.
    pub(crate) size: usize,
    /// Whether it is a text without a NUL.
    pub(crate) is_bare: bool,
}

/// A course client that has sent its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// Its private pipe.
    pub(crate) private: PathBuf,
    /// How it said so.
    pub(crate) record: NameRecord,
}

/// The largest process number (proc_sys_kernel(5), `pid_max`), and how many digits it has.
const PID_MAX: u32 = 1 << 22;
const DIGITS_MAX: usize = 7;

/// A name among some bytes.
#[derive(Debug)]
struct Found {
    private: PathBuf,
    /// Where it is, with the NULs behind it.
    at: Span,
    form: Form,
    /// Whether the pipe stands there. If not, a living process has that number, and may make the pipe later.
    stands: bool,
}

/// Who has written `bytes`, in order: several may have, one right behind the other.
pub(crate) fn introductions(bytes: &[u8], lookups: &mut Lookups<'_>) -> Vec<Introduction> {
    let mut seen = HashSet::new();
    let mut found = lookups.find(bytes, true);
    // A client's name may stand again in what it left behind the NUL.
    found.retain(|one| seen.insert(one.private.clone()));
    let (is_original, is_alone) = (is_original(bytes, found.len()), found.len() == 1);
    let introduction = |one: Found| {
        let form = if is_original { Form::Original } else { one.form };
        let size = if is_alone { bytes.len() } else { one.at.len() };
        let is_bare = form == Form::Text && text_of(&bytes[one.at.clone()]).len() == size;
        Introduction { private: one.private, record: NameRecord { form, size, is_bare } }
    };
    found.into_iter().map(introduction).collect()
}

/// The pipes whose names are among `bytes`, and where; for a pipe that has an owner already.
pub(crate) fn strangers(bytes: &[u8], lookups: &mut Lookups<'_>) -> Vec<(PathBuf, Span)> {
    lookups.find(bytes, false).into_iter().map(|one| (one.private, one.at)).collect()
}

/// What stands between NULs, and where, with the NULs behind it.
fn texts(bytes: &[u8]) -> impl Iterator<Item = (&[u8], Span)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes[at..].iter().position(|byte| *byte != 0)?;
        let text = text_of(&bytes[start..]);
        let padding = bytes[start + text.len()..].iter().take_while(|byte| **byte == 0).count();
        at = start + text.len() + padding;
        Some((text, start..at))
    })
}

/// Whether these are so many records as in the original.
fn is_original(bytes: &[u8], count: usize) -> bool {
    let (records, rest) = bytes.as_chunks::<ORIGINAL_SIZE>();
    let is_padded =
        |record: &[u8; ORIGINAL_SIZE]| record[text_of(record).len()..].iter().all(|byte| *byte == 0);
    rest.is_empty() && records.len() == count && records.iter().all(is_padded)
}

/// The directory where the private pipes are, and how often it may still be asked.
pub(crate) struct Lookups<'a> {
    place: &'a Place,
    left: usize,
}

impl<'a> Lookups<'a> {
    /// For one well-known pipe that was taken.
    pub(crate) fn of_well_known_pipe(place: &'a Place) -> Self {
        Self { place, left: LOOKUPS_A_PIPE }
    }

    /// For what one read brought of a session.
    pub(crate) fn of_session(place: &'a Place) -> Self {
        Self { place, left: LOOKUPS_A_READ }
    }

    /// The private pipe that a HELLO names.
    pub(crate) fn framed(&self, name: &[u8]) -> Option<PathBuf> {
        self.place.named_by_client(name)
    }

    /// Names as text, or as numbers. With `early`, the number of a living process counts as text too: that
    /// process may be about to make its pipe. A pipe that stands there is the better proof: 4 bytes can be
    /// both a number and the digits of another number.
    fn find(&mut self, bytes: &[u8], early: bool) -> Vec<Found> {
        let mut found = Vec::new();
        for (text, at) in texts(bytes) {
            let pipes = self.in_a_row(without_newline(text), early).into_iter();
            found.extend(pipes.map(|(private, stands)| Found {
                private,
                at: at.clone(),
                form: Form::Text,
                stands,
            }));
        }
        if found.iter().any(|one| one.stands) {
            return found;
        }
        let numbers = self.numbers(bytes);
        if numbers.is_empty() { found } else { numbers }
    }

    /// The pipe with this name, and whether it stands there. If there is none, the pipes whose names these
    /// digits are: each was written without a NUL.
    fn in_a_row(&mut self, text: &[u8], early: bool) -> Vec<(PathBuf, bool)> {
        let whole = self.known(text);
        if whole.is_some() || !text.iter().all(u8::is_ascii_digit) {
            return whole.into_iter().map(|private| (private, true)).collect();
        }
        if early && let Some(private) = self.of_living_process(text) {
            return vec![(private, false)];
        }
        let (mut found, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let lengths = (1..=rest.len().min(DIGITS_MAX)).rev();
            let longest = lengths.into_iter().find_map(|length| Some((self.known(&rest[..length])?, length)));
            // Digits that are nobody's name: then all of it is something else.
            let Some((private, length)) = longest else { return Vec::new() };
            found.push((private, true));
            rest = &rest[length..];
        }
        found
    }

    /// Process numbers in 4 bytes each: the pipe of that number, or the one whose name begins with it, as in `123.fifo`.
    fn numbers(&mut self, bytes: &[u8]) -> Vec<Found> {
        let (numbers, rest) = bytes.as_chunks();
        let numbers: Vec<u32> = numbers.iter().map(|number| u32::from_ne_bytes(*number)).collect();
        let are_numbers = rest.is_empty() && numbers.iter().all(|number| (1..=PID_MAX).contains(number));
        let mut found = Vec::new();
        for (index, number) in numbers.into_iter().enumerate().filter(|_| are_numbers) {
            let private = self.known(number.to_string().as_bytes()).or_else(|| self.beginning_with(number));
            let at = index * 4..(index + 1) * 4;
            found.extend(private.map(|private| Found { private, at, form: Form::Number, stands: true }));
        }
        found
    }

    fn beginning_with(&mut self, number: u32) -> Option<PathBuf> {
        self.charge()?;
        let digits = number.to_string();
        for entry in fs::read_dir(self.place.directory()).ok()?.flatten() {
            // To read a name costs about as much as to ask for one.
            self.charge()?;
            let name = entry.file_name().into_encoded_bytes();
            let rest = name.strip_prefix(digits.as_bytes()).and_then(|rest| rest.first());
            if rest.is_some_and(|next| !next.is_ascii_digit())
                && let Some(pipe) = self.place.named_in_course(&name)
            {
                return Some(pipe);
            }
        }
        None
    }

    fn known(&mut self, name: &[u8]) -> Option<PathBuf> {
        self.charge()?;
        self.place.named_in_course(name)
    }

    /// The pipe that the process with this number may make later, if such a process lives and nothing has the
    /// name.
    fn of_living_process(&mut self, digits: &[u8]) -> Option<PathBuf> {
        self.charge()?;
        let number = std::str::from_utf8(digits).ok()?;
        let pid = Pid::from_raw(number.parse().ok().filter(|pid| *pid > 0)?);
        let lives = matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM));
        let private = self.place.bare_in_course(digits).filter(|_| lives)?;
        matches!(look(&private), Ok(Standing::Nothing)).then_some(private)
    }

    /// Takes one look-up from the budget; `None` when it is spent.
    fn charge(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        Some(())
    }
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

    const PIPES: [&str; 7] = ["1", "22", "221", "5000001", "luigi", "77.fifo", "mario"];

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
        let introduced = |bytes: &[u8]| {
            names(
                introductions(bytes, &mut Lookups::of_well_known_pipe(&place))
                    .into_iter()
                    .map(|one| one.private),
            )
        };
        assert_eq!(introduced(b"221"), ["221"], "the longest");
        // Together too large for the number of a process that might live.
        assert_eq!(introduced(b"500000122"), ["5000001", "22"]);
        assert_eq!(introduced(b"221500000122"), ["221", "5000001", "22"]);
        assert_eq!(introduced(b"luigi1"), [""; 0], "only numbers are written so");
        assert_eq!(introduced(b"1\0\0garbage\x0022\n\0"), ["1", "22"]);
        assert_eq!(introduced(b"22\x0022\x001\x0022"), ["22", "1"], "once each");
        assert_eq!(introduced(&77_u32.to_ne_bytes()), ["77.fifo"]);
        assert_eq!(introduced(b"mario\0"), [""; 0], "the well-known pipe is nobody's private one");
    }

    #[test]
    fn a_pipe_that_stands_there_beats_one_that_a_living_process_may_make() {
        let directory = TempDir::new().unwrap();
        let place = Place::new(&directory.path().join("mario")).unwrap();
        let introduced = |bytes: &[u8]| {
            let clients = introductions(bytes, &mut Lookups::of_well_known_pipe(&place));
            clients
                .into_iter()
                .map(|one| (crate::fifo::name_of(&one.private), one.record.form))
                .collect::<Vec<_>>()
        };
        // The text "1", and the number 49. Process 1 lives on every machine.
        let name = 49_u32.to_le_bytes();
        assert_eq!(introduced(&name), [("1".into(), Form::Text)], "process 1 may be about to make its pipe");
        if cfg!(target_endian = "little") {
            mkfifo(&directory.path().join("49"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
            assert_eq!(introduced(&name), [("49".into(), Form::Number)]);
        }
    }

    #[test]
    fn records_of_the_original_are_known_also_when_there_are_several() {
        let (_directory, place) = place();
        let record = |name: &[u8]| super::super::padded(name, ORIGINAL_SIZE);
        let forms = |bytes: &[u8]| -> Vec<Form> {
            introductions(bytes, &mut Lookups::of_well_known_pipe(&place))
                .into_iter()
                .map(|client| client.record.form)
                .collect()
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
            let known = |name: &String| PIPES[..6].contains(&name.as_str());
            for name in names(introductions(&bytes, &mut Lookups::of_well_known_pipe(&place)).into_iter().map(|one| one.private)) {
                // A living process is believed before it has made its pipe.
                prop_assert!(known(&name) || name.parse::<i32>().is_ok(), "{}", name);
            }
            for (private, at) in strangers(&bytes, &mut Lookups::of_session(&place)) {
                let name = crate::fifo::name_of(&private);
                prop_assert!(known(&name));
                let is_number = at.len() == 4 && u32::from_ne_bytes(bytes[at.clone()].try_into().unwrap()) <= PID_MAX;
                prop_assert!(is_number || bytes[at].windows(name.len()).any(|window| window == name.as_bytes()));
            }
        }
    }
}
