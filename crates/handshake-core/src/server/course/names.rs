//! Finds course clients: which bytes in a well-known pipe, outside all frames, name a client's private pipe.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::budget::{LOOKUPS_A_PIPE, LOOKUPS_A_READ};
use crate::course::{ORIGINAL_SIZE, text_of, without_newline};
use crate::fifo::{Standing, look};
use crate::place::{Place, lock_of};
use crate::wire::Span;

/// The form of a client's name, which decides the acknowledgement that it expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordForm {
    /// Text.
    Text,
    /// Text in exactly 100 zero-padded bytes, as in the original.
    Original,
    /// A PID in 4 bytes.
    Number,
}

/// The record that contained a client's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameRecord {
    pub(crate) form: RecordForm,
    /// In bytes. For one of several records: without stack contents behind the NULs.
    pub(crate) size: usize,
    /// Whether it is a text without a NUL.
    pub(crate) is_bare: bool,
}

/// A course client that has sent its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedClient {
    /// Its private pipe.
    pub(crate) private: PathBuf,
    /// The record that named it.
    pub(crate) record: NameRecord,
}

/// The size of a name's record in most programs.
const USUAL_SIZE: usize = 10;

/// The largest PID (proc_sys_kernel(5), `pid_max`), and how many digits it has.
const PID_MAX: u32 = 1 << 22;
const DIGITS_MAX: usize = 7;

/// A name among some bytes.
#[derive(Debug)]
struct Found {
    private: PathBuf,
    /// Where it is, including the NULs behind it.
    at: Span,
    form: RecordForm,
    /// Whether the pipe exists. If not, a living process has that PID, and may make the pipe later.
    exists: bool,
}

impl Found {
    fn named_client(&self, bytes: &[u8]) -> NamedClient {
        let record = &bytes[self.at.clone()];
        let (text, size) = (text_of(record), record.len());
        let is_padded = record[text.len()..].iter().all(|byte| *byte == 0);
        let form = match self.form {
            RecordForm::Text if size == ORIGINAL_SIZE && is_padded => RecordForm::Original,
            form => form,
        };
        let is_bare = form == RecordForm::Text && text.len() == size;
        NamedClient { private: self.private.clone(), record: NameRecord { form, size, is_bare } }
    }
}

/// Returns the clients that have written `bytes` to a well-known pipe, in order. Several records may stand
/// there with nothing between them.
pub(crate) fn named_clients(bytes: &[u8], lookups: &mut Lookups<'_>) -> Vec<NamedClient> {
    let mut seen = HashSet::new();
    let mut found = lookups.find(bytes, true);
    // A client's name may appear again in stack contents behind the NUL.
    found.retain(|one| seen.insert(one.private.clone()));
    if let [one] = &mut found[..] {
        one.at = 0..bytes.len();
    }
    found.into_iter().map(|one| one.named_client(bytes)).collect()
}

/// Returns the clients whose names are in `bytes`, and where each name is, for a pipe that has a client
/// already.
pub(crate) fn names_among(bytes: &[u8], lookups: &mut Lookups<'_>) -> Vec<(NamedClient, Span)> {
    let found = lookups.find(bytes, false).into_iter();
    found.map(|one| (one.named_client(bytes), one.at)).collect()
}

/// Returns the text up to a NUL that begins at `from` or later, and where it is, including the NULs behind
/// it.
fn text_at(bytes: &[u8], from: usize) -> Option<(&[u8], Span)> {
    let start = from + bytes[from..].iter().position(|byte| *byte != 0)?;
    let text = text_of(&bytes[start..]);
    let padding = bytes[start + text.len()..].iter().take_while(|byte| **byte == 0).count();
    Some((text, start..start + text.len() + padding))
}

/// The directory of the private pipes, and a budget of look-ups in it.
pub(crate) struct Lookups<'a> {
    pub(super) place: &'a Place,
    left: usize,
    /// How many bytes the budget is for.
    bytes: usize,
    /// A second budget, for a batch of reads, to which each look-up is charged as well.
    in_all: Option<&'a Cell<usize>>,
}

impl<'a> Lookups<'a> {
    /// The budget for one well-known pipe that was taken.
    pub(crate) fn of_well_known_pipe(place: &'a Place) -> Self {
        Self { place, left: LOOKUPS_A_PIPE, bytes: 0, in_all: None }
    }

    /// The budget for one read of a session, within the budget `in_all` of the batch.
    pub(crate) fn of_session(place: &'a Place, in_all: Option<&'a Cell<usize>>) -> Self {
        Self { place, left: *LOOKUPS_A_READ.start(), bytes: 0, in_all }
    }

    /// Adds the budget for the next `bytes` bytes of the read.
    pub(crate) fn for_bytes(&mut self, bytes: usize) {
        let of = |bytes: usize| bytes.clamp(*LOOKUPS_A_READ.start(), *LOOKUPS_A_READ.end());
        self.left += of(self.bytes + bytes) - of(self.bytes);
        self.bytes += bytes;
    }

    /// Finds names as text or as numbers. With `early`, the PID of a living process counts as text too,
    /// because that process may be about to make its pipe. An existing pipe is stronger evidence: 4 bytes can
    /// be both a number and the digits of another number.
    fn find(&mut self, bytes: &[u8], early: bool) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        // Where the next text may begin, and where the last name's own bytes end, without the zeros behind
        // it.
        let (mut from, mut floor) = (0, 0);
        while let Some((text, at)) = text_at(bytes, from) {
            from = at.end;
            let mut names = self.names_in(text, at, floor, bytes, early);
            if let (Some(before), Some(first)) = (found.last_mut(), names.first()) {
                // A number may begin with zeros, which looked like the last name's.
                before.at.end = before.at.end.min(first.at.start);
            }
            if let Some(last) = names.last_mut() {
                if last.form == RecordForm::Text && self.has_garbage_behind(&last.at, bytes, early) {
                    last.at.end = last.at.start + USUAL_SIZE;
                }
                from = last.at.end;
                floor = match last.form {
                    RecordForm::Number => last.at.end,
                    _ => last.at.start + text_of(&bytes[last.at.clone()]).len(),
                };
            }
            found.append(&mut names);
        }
        let existing = found.iter().filter(|one| one.exists);
        let explained: usize = existing.map(|one| one.at.len()).sum();
        if explained == bytes.len() {
            return found;
        }
        let numbers = self.numbers(bytes);
        if numbers.len() * size_of::<u32>() > explained { numbers } else { found }
    }

    /// Returns the pipe with this name. If there is none, returns those of several clients whose names stand
    /// without a gap: digits without a NUL, and numbers.
    fn names_in(&mut self, text: &[u8], at: Span, mut floor: usize, bytes: &[u8], early: bool) -> Vec<Found> {
        let found = |private, at, form, exists| Found { private, at, form, exists };
        if let Some(private) = self.known(without_newline(text)) {
            return vec![found(private, at, RecordForm::Text, true)];
        }
        if early && text.iter().all(u8::is_ascii_digit) {
            // The pipe of a number exists. Of the text, only a process does.
            if let Some((private, number)) = self.number_at(at.start, floor, bytes) {
                return vec![found(private, number, RecordForm::Number, true)];
            }
            if let Some(private) = self.of_living_process(text) {
                return vec![found(private, at, RecordForm::Text, false)];
            }
        }
        let (mut row, mut from, end) = (Vec::new(), at.start, at.start + text.len());
        while from < end {
            if let Some((private, length)) = self.digits(&bytes[from..end]) {
                from += length;
                floor = from;
                let to = if from == end { at.end } else { from };
                row.push(found(private, from - length..to, RecordForm::Text, true));
            } else if let Some((private, number)) = self.number_at(from, floor, bytes) {
                (from, floor) = (number.end, number.end);
                row.push(found(private, number, RecordForm::Number, true));
            } else {
                // All of the text is something else.
                return Vec::new();
            }
        }
        row
    }

    /// Returns whether stack contents follow a name's NUL, up to the size that most programs use for a
    /// record.
    fn has_garbage_behind(&mut self, at: &Span, bytes: &[u8], early: bool) -> bool {
        let usual = at.start + USUAL_SIZE;
        let Some(behind) = bytes.get(at.end..usual).filter(|behind| !behind.is_empty()) else { return false };
        let is_text = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        // It may also be a message of the pipe's client.
        let is_message = text_of(behind).iter().all(is_text) && behind.ends_with(b"\0");
        !is_message
            && !self.is_name_at(at.end, bytes, early)
            && (usual == bytes.len() || self.is_name_at(usual, bytes, early))
    }

    /// Returns whether a name begins at `at`.
    fn is_name_at(&mut self, at: usize, bytes: &[u8], early: bool) -> bool {
        text_at(bytes, at).is_some_and(|(text, next)| {
            next.start == at && !self.names_in(text, next, at, bytes, early).is_empty()
        })
    }

    /// Returns the pipe with the longest name that these digits begin with, and the name's length.
    fn digits(&mut self, text: &[u8]) -> Option<(PathBuf, usize)> {
        let before = if text.starts_with(b"./") { 2 } else { 0 };
        let digits = text[before..].iter().take(DIGITS_MAX).take_while(|byte| byte.is_ascii_digit()).count();
        let mut lengths = (before + 1..=before + digits).rev();
        lengths.find_map(|length| Some((self.known(&text[..length])?, length)))
    }

    /// Returns the PID whose first byte other than 0 is at `at`. It begins at `floor` or later. Zeros behind
    /// its 4 bytes would mean that it is text in a padded record.
    fn number_at(&mut self, at: usize, floor: usize, bytes: &[u8]) -> Option<(PathBuf, Span)> {
        (0..=2).filter_map(|zeros| at.checked_sub(zeros)).filter(|from| *from >= floor).find_map(|from| {
            let number = u32::from_ne_bytes(*bytes[from..].first_chunk()?);
            let ends = bytes.get(from + 4).is_none_or(|next| *next != 0);
            let is_number = bytes[from..at].iter().all(|byte| *byte == 0) && (1..=PID_MAX).contains(&number);
            let private = if ends && is_number { self.known(number.to_string().as_bytes()) } else { None };
            private.map(|private| (private, from..from + 4))
        })
    }

    /// Finds PIDs in 4 bytes each: the pipe of that number, or the one whose name begins with it, as in
    /// `123.fifo`.
    fn numbers(&mut self, bytes: &[u8]) -> Vec<Found> {
        let (numbers, rest) = bytes.as_chunks();
        let numbers: Vec<u32> = numbers.iter().map(|number| u32::from_ne_bytes(*number)).collect();
        let are_numbers = rest.is_empty() && numbers.iter().all(|number| (1..=PID_MAX).contains(number));
        let mut found = Vec::new();
        for (index, number) in numbers.into_iter().enumerate().filter(|_| are_numbers) {
            let digits = number.to_string();
            if let Some(private) = self.known(digits.as_bytes()).or_else(|| self.beginning_with(&digits)) {
                let at = index * 4..(index + 1) * 4;
                found.push(Found { private, at, form: RecordForm::Number, exists: true });
            }
        }
        found
    }

    fn beginning_with(&mut self, digits: &str) -> Option<PathBuf> {
        self.charge()?;
        for entry in fs::read_dir(self.place.directory()).ok()?.flatten() {
            // Reading a directory entry costs about as much as a look-up.
            self.charge()?;
            let name = entry.file_name().into_encoded_bytes();
            let rest = name.strip_prefix(digits.as_bytes()).and_then(|rest| rest.first());
            if rest.is_some_and(|next| !next.is_ascii_digit())
                && let Some(pipe) = pipe_named(self.place, &name)
            {
                return Some(pipe);
            }
        }
        None
    }

    fn known(&mut self, name: &[u8]) -> Option<PathBuf> {
        self.charge()?;
        pipe_named(self.place, name)
    }

    /// Returns the pipe that the process with this PID may make later, if such a process lives and the name
    /// is free.
    fn of_living_process(&mut self, digits: &[u8]) -> Option<PathBuf> {
        self.charge()?;
        let number = std::str::from_utf8(digits).ok()?;
        let pid = Pid::from_raw(number.parse().ok().filter(|pid| *pid > 0)?);
        let lives = matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM));
        let private = self.place.bare_in_course(digits).filter(|_| lives)?;
        matches!(look(&private), Ok(Standing::Nothing)).then_some(private)
    }

    /// Takes one look-up from the budget. Returns `None` when it is spent.
    fn charge(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        if let Some(in_all) = self.in_all {
            in_all.set(in_all.get().checked_sub(1)?);
        }
        Some(())
    }
}

/// Returns the private pipe that a course client means by `name`, bare or with the directory before it. The
/// path must be an existing pipe of this user, without a function in the framed dialect.
fn pipe_named(place: &Place, name: &[u8]) -> Option<PathBuf> {
    let path = place.bare_in_course(name)?;
    let is_pipe = |path: &PathBuf| matches!(look(path), Ok(Standing::Fifo(_)));
    // Another server's well-known pipe has a lock file beside it.
    Some(path).filter(is_pipe).filter(|path| look(&lock_of(path)) == Ok(Standing::Nothing))
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

    const PIPES: [&str; 8] = ["1", "22", "221", "65536", "5000001", "luigi", "77.fifo", "mario"];

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

    fn lookups_for<'a>(place: &'a Place, bytes: &[u8]) -> Lookups<'a> {
        let mut lookups = Lookups::of_session(place, None);
        lookups.for_bytes(bytes.len());
        lookups
    }

    #[test]
    fn names_without_a_gap_are_divided() {
        let (_directory, place) = place();
        let named = |bytes: &[u8]| {
            names(
                named_clients(bytes, &mut Lookups::of_well_known_pipe(&place))
                    .into_iter()
                    .map(|one| one.private),
            )
        };
        assert_eq!(named(b"221"), ["221"], "the longest");
        // Joined digits are too large to be the PID of a living process.
        assert_eq!(named(b"500000122"), ["5000001", "22"]);
        assert_eq!(named(b"221500000122"), ["221", "5000001", "22"]);
        assert_eq!(named(b"luigi1"), [""; 0], "only numbers are written so");
        assert_eq!(named(b"1\0\0garbage\x0022\n\0"), ["1", "22"]);
        assert_eq!(named(b"22\x0022\x001\x0022"), ["22", "1"], "once each");
        assert_eq!(named(&77_u32.to_ne_bytes()), ["77.fifo"]);
        let number = 221_u32.to_ne_bytes();
        assert_eq!(named(&[&b"1"[..], &number, b"22\0luigi\0"].concat()), ["1", "221", "22", "luigi"]);
        assert_eq!(named(b"1./221\0"), ["1", "221"]);
        let padded_then_number = [&b"22\0\0"[..], &65536_u32.to_ne_bytes()].concat();
        assert_eq!(named(&padded_then_number), ["22", "65536"], "its zeros are its own");
        let numbers = [221_u32, 65536, 22].map(u32::to_ne_bytes).concat();
        assert_eq!(named(&numbers), ["221", "65536", "22"]);
        assert_eq!(named(b"mario\0"), [""; 0], "the well-known pipe is no private pipe");
    }

    /// Each name is found with the size of its record, because the third step may have that size.
    #[test]
    fn names_of_others_are_found_with_their_records() {
        let (_directory, place) = place();
        let found = |bytes: &[u8]| -> Vec<(String, Span, RecordForm)> {
            let found = names_among(bytes, &mut lookups_for(&place, bytes));
            let of = |one: &NamedClient| (crate::fifo::name_of(&one.private), one.record.form);
            found
                .into_iter()
                .map(|(one, at)| (of(&one), at))
                .map(|((name, form), at)| (name, at, form))
                .collect()
        };
        let garbage = b"22\0\x7f\x01\x02\x03\x04\x05\x06";
        assert_eq!(
            found(garbage),
            [("22".into(), 0..10, RecordForm::Text)],
            "stack contents belong to the record"
        );
        let both = [&garbage[..], b"luigi\0\0\0\0\0"].concat();
        assert_eq!(
            found(&both),
            [("22".into(), 0..10, RecordForm::Text), ("luigi".into(), 10..20, RecordForm::Text)]
        );
        let behind = [b"1", &crate::course::padded(b"22", ORIGINAL_SIZE)[..]].concat();
        assert_eq!(
            found(&behind),
            [("1".into(), 0..1, RecordForm::Text), ("22".into(), 1..101, RecordForm::Original)]
        );
        let message = crate::course::padded(&221_u32.to_le_bytes()[..1], 100);
        assert_eq!(found(&message), [], "a number has no zeros behind it");
        assert_eq!(found(b"22 is my number\0"), [], "a message may begin with one");
    }

    #[test]
    fn an_existing_pipe_beats_one_that_a_living_process_may_make() {
        let directory = TempDir::new().unwrap();
        let place = Place::new(&directory.path().join("mario")).unwrap();
        let named = |bytes: &[u8]| {
            let clients = named_clients(bytes, &mut Lookups::of_well_known_pipe(&place));
            clients
                .into_iter()
                .map(|one| (crate::fifo::name_of(&one.private), one.record.form))
                .collect::<Vec<_>>()
        };
        // The bytes are the text "1", and the number 49. Process 1 lives on every machine.
        let name = 49_u32.to_le_bytes();
        assert_eq!(named(&name), [("1".into(), RecordForm::Text)], "process 1 may be about to make its pipe");
        if cfg!(target_endian = "little") {
            mkfifo(&directory.path().join("49"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
            assert_eq!(named(&name), [("49".into(), RecordForm::Number)]);
            mkfifo(&directory.path().join("luigi"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
            let [number, luigi] = [("49".into(), RecordForm::Number), ("luigi".into(), RecordForm::Text)];
            assert_eq!(named(&[&name[..], b"luigi\0"].concat()), [number.clone(), luigi.clone()]);
            assert_eq!(named(&[b"luigi\0\0", &name[..]].concat()), [luigi, number]);
        }
    }

    #[test]
    fn several_records_of_the_original_are_recognised() {
        let (_directory, place) = place();
        let record = |name: &[u8]| crate::course::padded(name, ORIGINAL_SIZE);
        let forms = |bytes: &[u8]| -> Vec<RecordForm> {
            named_clients(bytes, &mut Lookups::of_well_known_pipe(&place))
                .into_iter()
                .map(|client| client.record.form)
                .collect()
        };
        assert_eq!(forms(&record(b"1")), [RecordForm::Original]);
        assert_eq!(forms(&[record(b"1"), record(b"22")].concat()), [RecordForm::Original; 2]);
        assert_eq!(forms(&[record(b"1"), vec![0; 100]].concat()), [RecordForm::Text]);
        assert_eq!(forms(&77_u32.to_ne_bytes()), [RecordForm::Number]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// P6: for any bytes written, the names found are those of existing pipes, and no others.
        #[test]
        fn only_existing_pipes_are_found(pieces in vec(prop_oneof![
            vec(any::<u8>(), 0..12),
            select(vec![
                &b"\0"[..], b"\0\0\x01\0", b"./", b"../", b"\n", b"1", b"221", b"luigi", b"mario", b"77",
            ])
            .prop_map(<[u8]>::to_vec),
        ], 0..20)) {
            let (_directory, place) = place();
            let bytes = pieces.concat();
            let known = |name: &String| PIPES[..7].contains(&name.as_str());
            let clients = named_clients(&bytes, &mut Lookups::of_well_known_pipe(&place));
            for name in names(clients.into_iter().map(|one| one.private)) {
                // A living process counts before it has made its pipe.
                prop_assert!(known(&name) || name.parse::<i32>().is_ok(), "{}", name);
            }
            let mut from = 0;
            for (one, at) in names_among(&bytes, &mut lookups_for(&place, &bytes)) {
                let name = crate::fifo::name_of(&one.private);
                prop_assert!(known(&name));
                let in_order = from <= at.start && at.start < at.end && at.end <= bytes.len();
                prop_assert!(in_order, "{:?} from {}", at, from);
                from = at.end;
                let bytes = &bytes[at];
                let is_number = bytes.len() == 4 && u32::from_ne_bytes(bytes.try_into().unwrap()) <= PID_MAX;
                prop_assert!(is_number || bytes.windows(name.len()).any(|window| window == name.as_bytes()));
            }
        }
    }
}
