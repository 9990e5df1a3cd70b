//! The server: HELLOs and sessions.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::server(data));
