//! The mask: what keeps the magic out of a record but for its beginning.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::MAGIC;

static MAGIC_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&MAGIC));

/// Where the first magic in `bytes` begins.
pub(super) fn find_magic(bytes: &[u8]) -> Option<usize> {
    MAGIC_FINDER.find(bytes)
}

/// XORs `bytes`, the first of which has an even offset in its record, with the mask. Done twice, it changes nothing.
pub(super) fn apply(mask: [u8; 2], bytes: &mut [u8]) {
    let (pairs, rest) = bytes.as_chunks_mut();
    for [even, odd] in pairs {
        *even ^= mask[0];
        *odd ^= mask[1];
    }
    if let [even] = rest {
        *even ^= mask[0];
    }
}

/// The smallest mask under which no magic is in `bytes`, which are what it covers of one record.
pub(super) fn smallest(bytes: &[u8]) -> [u8; 2] {
    // A place for a magic excludes one mask at most, and these are more masks than a record has places.
    let mut excluded = [false; super::RECORD_MAX];
    for (at, place) in bytes.windows(MAGIC.len()).enumerate() {
        let needed = [0, 1, 2, 3].map(|byte| place[byte] ^ MAGIC[byte]);
        if needed[..2] == needed[2..] {
            let mask = if at % 2 == 0 { [needed[0], needed[1]] } else { [needed[1], needed[0]] };
            if let Some(excluded) = excluded.get_mut(usize::from(u16::from_be_bytes(mask))) {
                *excluded = true;
            }
        }
    }
    let smallest = excluded.iter().zip(0_u16..).find(|(excluded, _)| !**excluded);
    smallest.expect("one of them is free").1.to_be_bytes()
}
