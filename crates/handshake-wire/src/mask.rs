//! The mask, which keeps the magic out of a frame except at its beginning.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::layout::{FRAME_MAX, MAGIC};

static MAGIC_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&MAGIC));

/// Returns where the first magic in `bytes` begins.
pub(crate) fn find_magic(bytes: &[u8]) -> Option<usize> {
    MAGIC_FINDER.find(bytes)
}

/// XORs `bytes` with the mask. The first byte must have an even offset in its frame.
pub(crate) fn apply(mask: [u8; 2], bytes: &mut [u8]) {
    let (pairs, rest) = bytes.as_chunks_mut();
    for [even, odd] in pairs {
        *even ^= mask[0];
        *odd ^= mask[1];
    }
    if let [even] = rest {
        *even ^= mask[0];
    }
}

/// Masks a frame, given without its end byte. Uses the smallest mask under which the frame contains no second
/// magic.
///
/// Hardly any frame needs a mask. Inlined, the array of this function would cost each process two pages of
/// stack.
#[cold]
#[inline(never)]
pub(crate) fn mask(frame: &mut [u8]) {
    let excluded = excluded(&frame[6..]);
    for mask in
        (0..).zip(excluded).filter(|(_, excluded)| !excluded).map(|(mask, _): (u16, _)| mask.to_be_bytes())
    {
        frame[4..6].copy_from_slice(&mask);
        apply(mask, &mut frame[6..]);
        // The mask itself may be part of a magic.
        if find_magic(&frame[MAGIC.len()..]).is_none() {
            return;
        }
        apply(mask, &mut frame[6..]);
    }
    unreachable!("a place excludes one mask at most, and a frame has fewer places than there are masks here")
}

/// Returns the masks under which a magic would appear in `bytes`, the masked part of a frame.
fn excluded(bytes: &[u8]) -> [bool; FRAME_MAX] {
    let mut excluded = [false; FRAME_MAX];
    for (at, place) in bytes.windows(MAGIC.len()).enumerate() {
        let needed = [0, 1, 2, 3].map(|byte| place[byte] ^ MAGIC[byte]);
        if needed[..2] == needed[2..] {
            let mask = if at % 2 == 0 { [needed[0], needed[1]] } else { [needed[1], needed[0]] };
            if let Some(excluded) = excluded.get_mut(usize::from(u16::from_be_bytes(mask))) {
                *excluded = true;
            }
        }
    }
    excluded
}
