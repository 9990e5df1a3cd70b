//! The payloads: bytes that differ for each connection, request and position, and can be computed again to
//! check the reply.

/// 2^64 divided by the golden ratio: its multiples spread evenly.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Fills `message` with `bytes` bytes for the `request`-th request of a connection. The words do not depend
/// on each other. So this runs at the speed of memory, and a measurement shows the server and not this
/// function.
pub fn fill(message: &mut Vec<u8>, bytes: usize, connection: usize, request: usize) {
    message.resize(bytes, 0);
    let mut word = mix((connection as u64).wrapping_mul(STEP) ^ mix(request as u64));
    let (words, rest) = message.as_chunks_mut();
    for bytes in words {
        *bytes = word.to_le_bytes();
        word = word.wrapping_add(STEP);
    }
    rest.copy_from_slice(&word.to_le_bytes()[..rest.len()]);
}

/// Mixes `word`, so that every bit depends on every other (the finalizer of Steele's splitmix64).
pub fn mix(mut word: u64) -> u64 {
    word = word.wrapping_add(STEP);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn payload(bytes: usize, connection: usize, request: usize) -> Vec<u8> {
        let mut message = vec![7; 3];
        fill(&mut message, bytes, connection, request);
        message
    }

    #[test]
    fn payloads_differ_by_connection_and_request_and_are_the_same_again() {
        let all: HashSet<Vec<u8>> = (0..50)
            .flat_map(|connection| (0..50).map(move |request| payload(13, connection, request)))
            .collect();
        assert_eq!(all.len(), 2500);
        assert_eq!(payload(13, 4, 2), payload(13, 4, 2));
    }

    #[test]
    fn payloads_have_any_length() {
        for bytes in [0, 1, 7, 8, 9, 4067, 4068] {
            assert_eq!(payload(bytes, 1, 1).len(), bytes);
        }
        assert!(payload(4073, 1, 1).starts_with(&payload(9, 1, 1)));
    }
}
