//! The client: handshake and connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::client(data));
