//! The wire: every frame that was appended is found again, other bytes are no frame, and nothing panics.

use handshake_core::text::words;
use handshake_core::wire::{
    Ack, END, FRAME_MAX, Front, HEADER, HELLO_MAX, Header, Hello, Kind, MAGIC, NAME_MAX, OVERHEAD,
    PAYLOAD_MAX, Part, Scanner, Trust, append, append_to_trusting, frames_of, front, front_for, payload_of,
    pieces,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{encoded, frames, headers};

/// Returns all frames that a scanner finds in `bytes`, and the scanner.
fn scan(bytes: &[u8], whole: bool) -> (Vec<(Header, Vec<u8>)>, Scanner) {
    let (mut scanner, mut found) = (Scanner::default(), Vec::new());
    while let Some((frame, place)) = scanner.next_frame(bytes, whole) {
        assert_eq!(place.len(), frame.len(), "a frame's place is its length");
        assert_eq!(scanner.at, place.end, "the scanner goes on behind the frame");
        found.push((frame.header, frame.payload().into_owned()));
    }
    (found, scanner)
}

/// Bytes that contain no magic, but possibly beginnings of one.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        vec(any::<u8>(), 0..64),
        prop::sample::select(vec![&MAGIC[..1], &MAGIC[..2], &MAGIC[..3]]).prop_map(<[u8]>::to_vec),
    ];
    vec(piece, 0..8)
        .prop_map(|pieces| pieces.concat())
        .prop_filter("the magic is in it", |bytes| !bytes.windows(4).any(|four| four == MAGIC))
}

/// A header with arbitrary fields, followed by arbitrary bytes.
fn false_headers() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), HEADER - 4..200).prop_map(|rest| [&MAGIC[..], &rest].concat())
}

/// Payloads full of magics, of their beginnings, and of bytes that become magics under a mask.
fn magics(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(MAGIC.to_vec()),
        (1..MAGIC.len()).prop_map(|length| MAGIC[..length].to_vec()),
        (0..40_u8, 0..40_u8).prop_map(|(even, odd)| {
            MAGIC.iter().zip([even, odd].into_iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
        }),
        vec(any::<u8>(), 0..6),
    ];
    vec(piece, 0..300).prop_map(move |pieces| {
        let mut payload = pieces.concat();
        payload.truncate(longest);
        payload
    })
}

/// Frames with magics in their payload, and others.
fn hard_frames() -> impl Strategy<Value = (Header, Vec<u8>)> {
    let with_magics =
        prop::sample::select(vec![Kind::Hello, Kind::Request, Kind::Reply]).prop_flat_map(|kind| {
            let longest = if kind == Kind::Hello { HELLO_MAX - OVERHEAD } else { PAYLOAD_MAX };
            (headers(kind), magics(longest))
        });
    // A session's number may contain a magic, too.
    let with_magic_session = frames().prop_map(|(header, payload)| {
        (Header { session: u64::from_be_bytes(*b"x\0WKPxxx"), ..header }, payload)
    });
    prop_oneof![with_magics, with_magic_session, frames()]
}

/// Foreign bytes in one write: noise, false headers, cut frames, headers alone. Some cut frames end with the
/// beginning of a magic.
fn foreign_writes() -> impl Strategy<Value = Vec<u8>> {
    let cut = || {
        (hard_frames(), any::<prop::sample::Index>()).prop_map(|((header, payload), at)| {
            let bytes = encoded(header, &payload);
            bytes[..at.index(bytes.len())].to_vec()
        })
    };
    let cut_at_its_end = (hard_frames(), 1..6_usize).prop_map(|((header, payload), missing)| {
        let bytes = encoded(header, &payload);
        bytes[..bytes.len() - missing].to_vec()
    });
    let header = hard_frames().prop_map(|(header, payload)| encoded(header, &payload)[..HEADER].to_vec());
    let ends_with_magic =
        (cut(), 0..=MAGIC.len()).prop_map(|(cut, length)| [&cut, &MAGIC[..length]].concat());
    prop_oneof![
        vec(any::<u8>(), 0..300),
        false_headers(),
        cut(),
        cut_at_its_end,
        header,
        ends_with_magic,
        forged()
    ]
}

/// A frame with a right check, with magics in it, and without an end byte. The next magic would complete it
/// if a frame could end with one.
fn forged() -> impl Strategy<Value = Vec<u8>> {
    (headers(Kind::Request), magics(300), 0..=4_usize).prop_map(|(header, payload, missing)| {
        // Ends with its payload, like a frame of version 1.
        let payload = [&payload[..], &MAGIC].concat();
        let mut bytes = encoded(header, &[]);
        bytes.pop();
        bytes[12..14].copy_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        bytes[4..6].fill(0);
        bytes.extend(&payload);
        let check = crc_of(&bytes[10..]);
        bytes[6..10].copy_from_slice(&check.to_be_bytes());
        bytes.truncate(bytes.len() - missing);
        bytes
    })
}

/// One write into a pipe with several writers.
#[derive(Debug, Clone)]
enum Write {
    Valid(Vec<(Header, Vec<u8>)>),
    Foreign(Vec<u8>),
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let valid = vec(hard_frames(), 1..4).prop_map(Write::Valid);
    vec(prop_oneof![valid, foreign_writes().prop_map(Write::Foreign)], 1..12)
}

/// Any bytes: noise, false headers, frames, and cut frames.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let frame = || frames().prop_map(|(header, payload)| encoded(header, &payload));
    let cut = (frame(), any::<prop::sample::Index>())
        .prop_map(|(bytes, at)| bytes[..at.index(bytes.len())].to_vec());
    vec(
        prop_oneof![vec(any::<u8>(), 0..200), garbage(), false_headers(), frame(), cut, foreign_writes()],
        0..8,
    )
    .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_frame_decodes_as_it_was_encoded((header, payload) in frames(), behind in vec(any::<u8>(), 0..50)) {
        let mut bytes = encoded(header, &payload);
        prop_assert_eq!(bytes.len(), OVERHEAD + payload.len());
        prop_assert!(bytes.len() <= FRAME_MAX);
        bytes.extend(behind);
        let Front::Frame(frame) = front(&bytes) else { panic!("no frame in front: {:?}", front(&bytes)) };
        prop_assert_eq!((frame.header, &*frame.payload()), (header, &payload[..]));
        let mut message = b"before".to_vec();
        frame.append_payload_to(&mut message);
        prop_assert_eq!(&message[6..], payload);
    }

    #[test]
    fn a_frame_cut_anywhere_is_a_beginning((header, payload) in frames()) {
        let bytes = encoded(header, &payload);
        for length in 0..bytes.len() {
            prop_assert_eq!(front(&bytes[..length]), Front::Beginning, "after {} bytes", length);
        }
    }

    #[test]
    fn a_frame_with_one_wrong_bit_is_invalid(
        (header, payload) in frames(),
        bit in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encoded(header, &payload);
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!matches!(front(&bytes), Front::Frame(_)), "bit {}", bit);
    }

    #[test]
    fn a_frame_with_a_burst_of_wrong_bits_is_invalid(
        (header, payload) in frames(),
        bit in any::<prop::sample::Index>(),
        pattern in 1..=u32::MAX,
    ) {
        let mut bytes = encoded(header, &payload);
        let start = bit.index(bytes.len() * 8);
        for offset in (0..32).filter(|offset| pattern >> offset & 1 == 1) {
            // The last bits may fall off the end; the first one that is set stays.
            let at = (start + offset).min(bytes.len() * 8 - 1);
            bytes[at / 8] ^= 1 << (at % 8);
        }
        prop_assume!(bytes != encoded(header, &payload));
        prop_assert!(!matches!(front(&bytes), Front::Frame(_)), "{:#x} at bit {}", pattern, start);
    }

    #[test]
    fn a_damaged_frame_does_not_hide_the_next(
        (damaged, payload) in frames(),
        bit in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        (header, after) in frames(),
    ) {
        let mut bytes = encoded(damaged, &payload);
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes.truncate(cut.index(bytes.len() + 1));
        let wrong = bytes.len();
        bytes.extend(encoded(header, &after));
        let (found, scanner) = scan(&bytes, true);
        prop_assert_eq!(found, [(header, after)]);
        prop_assert_eq!(scanner.skipped, wrong as u64);
    }

    #[test]
    fn a_scan_of_anything_ends(bytes in anything(), whole in any::<bool>()) {
        let (found, scanner) = scan(&bytes, whole);
        let taken: usize = found.iter().map(|(_, payload)| OVERHEAD + payload.len()).sum();
        prop_assert!(scanner.at <= bytes.len());
        let skipped = usize::try_from(scanner.skipped).unwrap();
        prop_assert_eq!(scanner.at, taken + skipped, "each byte is taken or skipped");
        if whole {
            prop_assert_eq!(scanner.at, bytes.len(), "nothing is left to wait for");
        } else {
            prop_assert_eq!(front(&bytes[scanner.at..]), Front::Beginning);
        }
    }

    #[test]
    fn frames_behind_garbage_are_found(pairs in vec((garbage(), frames()), 1..5), whole in any::<bool>()) {
        let bytes: Vec<u8> = pairs
            .iter()
            .flat_map(|(garbage, (header, payload))| [garbage.clone(), encoded(*header, payload)].concat())
            .collect();
        let (found, scanner) = scan(&bytes, whole);
        let (garbage, sent): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        prop_assert_eq!(found, sent);
        prop_assert_eq!(scanner.skipped, garbage.concat().len() as u64, "just the garbage is skipped");
    }

    #[test]
    fn the_result_does_not_depend_on_the_reads(
        bytes in anything(),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let cuts = cuts.iter().map(|cut| cut.index(bytes.len() + 1));
        let mut cuts: Vec<_> = cuts.chain([bytes.len()]).collect();
        cuts.sort_unstable();
        let (mut scanner, mut found) = (Scanner::default(), Vec::new());
        for cut in cuts {
            while let Some((frame, _)) = scanner.next_frame(&bytes[..cut], false) {
                found.push((frame.header, frame.payload().into_owned()));
            }
        }
        prop_assert_eq!((found, scanner), scan(&bytes, false));
    }

    #[test]
    fn a_false_header_does_not_hide_the_next_frame(
        false_header in headers(Kind::Request),
        claimed in 0..=PAYLOAD_MAX,
        wrong in 1..=u32::MAX,
        (header, payload) in frames(),
    ) {
        let mut bytes = encoded(false_header, &vec![0xff; claimed]);
        bytes.truncate(HEADER);
        let check = u32::from_be_bytes(bytes[6..10].try_into().unwrap()) ^ wrong;
        bytes[6..10].copy_from_slice(&check.to_be_bytes());
        bytes.extend(encoded(header, &payload));
        for whole in [true, false] {
            let (found, scanner) = scan(&bytes, whole);
            prop_assert_eq!(&found, &[(header, payload.clone())], "at once");
            prop_assert_eq!(scanner.skipped, HEADER as u64);
        }
    }

    /// Foreign bytes never make the reader miss a valid frame.
    #[test]
    fn foreign_bytes_never_hide_a_valid_frame(
        writes in writes(),
        reads in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let (mut bytes, mut sent) = (Vec::new(), Vec::new());
        for write in &writes {
            match write {
                Write::Valid(frames) => {
                    for (header, payload) in frames {
                        bytes.extend(encoded(*header, payload));
                        sent.push((*header, payload.clone()));
                    }
                }
                // Valid frames among the foreign bytes are found as well.
                Write::Foreign(bytes_of_others) => bytes.extend(bytes_of_others),
            }
        }
        let reads = reads.iter().map(|at| at.index(bytes.len() + 1));
        let mut reads: Vec<_> = reads.chain([bytes.len()]).collect();
        reads.sort_unstable();
        let (mut scanner, mut found) = (Scanner::default(), Vec::new());
        for read in &reads {
            while let Some((frame, _)) = scanner.next_frame(&bytes[..*read], false) {
                found.push((frame.header, frame.payload().into_owned()));
            }
        }
        found.retain(|frame| sent.contains(frame));
        prop_assert_eq!(&found, &sent, "each once and in order");
    }

    #[test]
    fn a_magic_is_at_the_beginning_of_a_frame_and_nowhere_else((header, payload) in hard_frames()) {
        let bytes = encoded(header, &payload);
        prop_assert!(bytes.starts_with(&MAGIC));
        prop_assert!(!bytes[1..].windows(4).any(|four| four == MAGIC));
        prop_assert_eq!(bytes.last(), Some(&END));
        let mask = u16::from_be_bytes([bytes[4], bytes[5]]);
        let under = |mask: u16| {
            let own = bytes[6..bytes.len() - 1].iter().zip(bytes[4..6].iter().cycle());
            let masked = own.zip(mask.to_be_bytes().into_iter().cycle());
            let masked = masked.map(|((byte, own), mask)| byte ^ own ^ mask);
            mask.to_be_bytes().into_iter().chain(masked).collect::<Vec<_>>()
        };
        for smaller in 0..mask {
            let has_magic = under(smaller).windows(4).any(|four| four == MAGIC);
            prop_assert!(has_magic, "{} is smaller than {}", smaller, mask);
        }
    }

    /// A pipe with one trusted writer: each frame is found once, whatever it contains and however it is read.
    /// The check is still verified.
    #[test]
    fn each_frame_of_a_trusted_writer_is_found_once(
        frames in vec(hard_frames(), 1..5),
        reads in vec(any::<prop::sample::Index>(), 0..5),
        bit in any::<prop::sample::Index>(),
    ) {
        let mut bytes = Vec::new();
        for (header, payload) in &frames {
            append_to_trusting(&mut bytes, *header, payload);
        }
        let reads = reads.iter().map(|at| at.index(bytes.len() + 1));
        let mut reads: Vec<_> = reads.chain([bytes.len()]).collect();
        reads.sort_unstable();
        let (mut scanner, mut found) = (Scanner::default(), Vec::new());
        for read in reads {
            while let Some((frame, _)) = scanner.next_frame_of(&bytes[..read], false, Trust::Writer) {
                found.push((frame.header, frame.payload().into_owned()));
            }
        }
        prop_assert_eq!(&found, &frames);
        let mut wrong = Vec::new();
        append_to_trusting(&mut wrong, frames[0].0, &frames[0].1);
        let bit = bit.index(wrong.len() * 8);
        wrong[bit / 8] ^= 1 << (bit % 8);
        let front = front_for(&wrong, Trust::Writer);
        prop_assert!(!matches!(front, Front::Frame(frame) if frame.len() == wrong.len()));
    }

    #[test]
    fn a_message_is_the_sum_of_its_pieces(
        length in 0..5 * PAYLOAD_MAX,
        off_by_one in 0..3_usize,
        times in 0..4_usize,
    ) {
        // Any length, and those around the edges.
        for length in [length, (times * PAYLOAD_MAX + off_by_one).saturating_sub(1)] {
            let message: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0]).collect();
            let cut: Vec<_> = pieces(&message).collect();
            prop_assert_eq!(cut.len(), frames_of(length));
            prop_assert!(cut.iter().all(|(payload, _)| payload.len() <= PAYLOAD_MAX));
            let is_full = |(payload, part): &(&[u8], Part)| part.more && payload.len() == PAYLOAD_MAX;
            prop_assert!(cut.iter().rev().skip(1).all(is_full));
            prop_assert!(cut.iter().zip(0..).all(|((_, part), number)| part.number == number));
            let (last, part) = cut.last().expect("there is always one");
            prop_assert!(!part.more, "no part follows the last");
            prop_assert!(!last.is_empty() || length == 0, "only an empty message has an empty part");
            let joined: Vec<u8> = cut.iter().flat_map(|(payload, _)| payload.to_vec()).collect();
            prop_assert_eq!(joined, message);
        }
    }

    #[test]
    fn messages_pass_through_frames_unchanged(
        lengths in vec(0..3 * PAYLOAD_MAX, 1..6),
        session in any::<u64>(),
    ) {
        let message = |length: &usize| vec![length.to_le_bytes()[0]; *length];
        let messages: Vec<Vec<u8>> = lengths.iter().map(message).collect();
        let mut bytes = Vec::new();
        for (sequence, message) in (1..).zip(&messages) {
            for (payload, part) in pieces(message) {
                append(&mut bytes, Header { kind: Kind::Request, part, session, sequence }, payload);
            }
        }
        let (mut joined, mut message, mut due) = (Vec::new(), Vec::new(), 1);
        for (header, payload) in scan(&bytes, false).0 {
            prop_assert_eq!(header.sequence, due);
            message.extend(payload);
            if !header.part.more {
                joined.push(std::mem::take(&mut message));
                due += 1;
            }
        }
        prop_assert_eq!(joined, messages);
    }

    #[test]
    fn a_reason_fits_its_frame_and_moves_no_cursor(
        said in vec(any::<u8>(), 0..=PAYLOAD_MAX),
        text in "[^\\pC\\p{Zl}\\p{Zp}]{0,200}",
    ) {
        let shown = words(&said);
        prop_assert!(!shown.contains(char::is_control), "{:?}", shown);
        prop_assert!(payload_of(&shown).len() <= PAYLOAD_MAX);
        prop_assert!(std::str::from_utf8(payload_of(&shown)).is_ok(), "a cut character");
        prop_assert_eq!(words(payload_of(&text)), text, "what is text comes back as it was");
    }

    #[test]
    fn hello_decodes_as_it_was_encoded(version in any::<u16>(), name in vec(any::<u8>(), 1..=NAME_MAX)) {
        let hello = Hello { version, name: &name };
        let payload = hello.encode();
        prop_assert!(OVERHEAD + payload.len() <= HELLO_MAX);
        prop_assert_eq!(Hello::decode(&payload), Some(hello));
    }

    #[test]
    fn ack_decodes_as_it_was_encoded(
        (session, version, window, longest) in any::<(u64, u16, u16, u64)>(),
        upstream in vec(any::<u8>(), 0..=NAME_MAX),
    ) {
        let ack = Ack { session, version, window, longest, upstream };
        prop_assert_eq!(Ack::decode(&ack.encode()), Some(ack));
    }

    #[test]
    fn decoding_any_payload_never_panics(payload in vec(any::<u8>(), 0..400)) {
        let hello = Hello::decode(&payload);
        prop_assert_eq!(hello.is_some(), (3..=2 + NAME_MAX).contains(&payload.len()));
        prop_assert!(hello.is_none_or(|hello| hello.encode() == payload));
        let ack = Ack::decode(&payload);
        prop_assert_eq!(ack.is_some(), (20..=20 + NAME_MAX).contains(&payload.len()));
        prop_assert!(ack.is_none_or(|ack| ack.encode() == payload));
    }
}

const HELLO_HEADER: Header = Header { kind: Kind::Hello, part: Part::ONLY, session: 7, sequence: 0 };

#[test]
fn a_hello_longer_than_posix_pipe_buf_is_no_frame() {
    let longest = encoded(HELLO_HEADER, &[b'x'; HELLO_MAX - OVERHEAD]);
    assert!(matches!(front(&longest), Front::Frame(frame) if frame.len() == HELLO_MAX));
    let longer = encoded(HELLO_HEADER, &[b'x'; HELLO_MAX - OVERHEAD + 1]);
    assert_eq!(front(&longer), Front::Garbage(longer.len()));
}

#[test]
fn an_unknown_kind_flag_or_length_is_no_frame_despite_its_crc() {
    for (at, value) in [(10, 0), (10, 9), (10, 255), (11, 2), (11, 0x80), (12, 0x10)] {
        let mut bytes = encoded(Header { kind: Kind::Bye, ..HELLO_HEADER }, &[0xff; PAYLOAD_MAX]);
        bytes[at] = value;
        let check = crc_of(&bytes[10..bytes.len() - 1]);
        bytes[6..10].copy_from_slice(&check.to_be_bytes());
        assert_eq!(front(&bytes), Front::Garbage(bytes.len()), "byte {at} = {value}");
    }
}

#[test]
#[should_panic(expected = "a payload fits its frame")]
fn a_payload_that_does_not_fit_is_the_callers_bug() {
    append(&mut Vec::new(), HELLO_HEADER, &[0; PAYLOAD_MAX + 1]);
}

/// HELLO, READY, and requests of one and of three frames.
fn valid_writes() -> Vec<Vec<(Header, Vec<u8>)>> {
    let header = |kind| Header { kind, ..HELLO_HEADER };
    let name = b"\0\x02mario.client.4711.0123456789abcdef".to_vec();
    let message = [vec![b'x'; 2 * PAYLOAD_MAX], MAGIC.repeat(9)].concat();
    let frames = pieces(&message).map(|(payload, part)| {
        (Header { kind: Kind::Request, part, session: 7, sequence: 1 }, payload.to_vec())
    });
    vec![
        vec![(header(Kind::Hello), name)],
        vec![(header(Kind::Ready), Vec::new())],
        vec![(header(Kind::Request), b"hello".to_vec())],
        frames.collect(),
    ]
}

/// The frames behind a foreign frame are found, wherever that frame is cut.
#[test]
fn a_frame_cut_at_any_length_hides_no_valid_frame() {
    for cut in valid_writes().concat() {
        let whole = encoded(cut.0, &cut.1);
        for valid in valid_writes() {
            let behind: Vec<u8> =
                valid.iter().flat_map(|(header, payload)| encoded(*header, payload)).collect();
            for length in 1..whole.len() {
                let bytes = [&whole[..length], &behind].concat();
                let (found, scanner) = scan(&bytes, false);
                assert!(found == valid, "{:?} behind {length} bytes of {:?}", valid[0].0.kind, cut.0.kind);
                assert_eq!(scanner.skipped, length as u64);
            }
        }
    }
}

/// As many masks are excluded as possible.
#[test]
fn a_mask_is_found_for_the_worst_payload() {
    let mut payload = Vec::new();
    for mask in 0..1000_u16 {
        let [even, odd] = mask.to_be_bytes();
        payload.extend(MAGIC.iter().zip([even, odd, even, odd]).map(|(byte, mask)| byte ^ mask));
    }
    let bytes = encoded(Header { kind: Kind::Request, ..HELLO_HEADER }, &payload);
    assert_eq!(u16::from_be_bytes([bytes[4], bytes[5]]), 1000);
    assert!(!bytes[1..].windows(4).any(|four| four == MAGIC));
    assert!(matches!(front(&bytes), Front::Frame(frame) if *frame.payload() == *payload));
}

/// The mask's second byte and the check may make a magic, too.
#[test]
fn a_check_that_makes_a_magic_is_masked() {
    let header = Header { kind: Kind::Request, ..HELLO_HEADER };
    let bytes = encoded(header, &[0, 0xe8, 0x47, 0xaa]);
    assert_eq!(
        crc_of(&[&[4, 0, 0, 4, 0, 0], &[0; 7][..], &[7, 0, 0, 0, 0, 0, 0xe8, 0x47, 0xaa]].concat()) >> 8,
        0x57_4b50
    );
    assert_eq!(bytes[4..6], [0, 1]);
    assert!(matches!(front(&bytes), Front::Frame(frame) if *frame.payload() == [0, 0xe8, 0x47, 0xaa]));
}

/// CRC-32 of IEEE 802.3 bit by bit: checks the table in docs/protocol.md independently of the code.
fn crc_of(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn a_frame_has_the_layout_of_the_protocol_page() {
    let header = Header {
        kind: Kind::Request,
        part: Part { number: 0x0d0e, more: true },
        session: 0x0102_0304_0506_0708,
        sequence: 0x090a_0b0c,
    };
    let bytes = encoded(header, b"hello");
    assert_eq!(bytes[..4], *b"\0WKP");
    assert_eq!(bytes[4..6], [0, 0], "mask");
    assert_eq!(bytes[6..10], crc_of(&bytes[10..33]).to_be_bytes(), "check");
    assert_eq!(bytes[10..16], [4, 1, 0, 5, 0x0d, 0x0e], "kind, flags, length, part");
    assert_eq!(bytes[16..28], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], "session, sequence");
    assert_eq!(bytes[28..], *b"hello\n");
}
