//! Checks that the example in docs/protocol.md is what the code produces, byte for byte.

use std::fmt::Write;

use handshake_wire::{Ack, Header, Hello, Kind, Part, VERSION, append};

const NONCE: u64 = 0x1122_3344_5566_7788;
const SESSION: u64 = 0xfeed_face_cafe_beef;

/// For each frame: the sender and the pipe, the header, the payload.
fn session() -> Vec<(&'static str, Header, Vec<u8>)> {
    let header = |kind, session, sequence| Header { kind, part: Part::ONLY, session, sequence };
    let name = b"mario.client.4711.0123456789abcdef".to_vec();
    let ack = Ack { session: SESSION, version: VERSION, window: 0, longest: 16 << 20, upstream: Vec::new() };
    let hello = Hello { version: VERSION, name: &name };
    vec![
        ("client -> WKP: HELLO", header(Kind::Hello, NONCE, 0), hello.encode()),
        ("server -> private pipe: ACK", header(Kind::Ack, NONCE, 0), ack.encode()),
        ("client -> WKP: READY", header(Kind::Ready, SESSION, 0), Vec::new()),
        ("client -> WKP: REQUEST 1, \"hello\"", header(Kind::Request, SESSION, 1), b"hello".to_vec()),
        ("server -> private pipe: REPLY 1, \"HELLO\"", header(Kind::Reply, SESSION, 1), b"HELLO".to_vec()),
        ("client -> WKP: BYE", header(Kind::Bye, SESSION, 0), Vec::new()),
    ]
}

fn page_block() -> String {
    let mut block = String::new();
    for (what, header, payload) in session() {
        let mut frame = Vec::new();
        append(&mut frame, header, &payload);
        writeln!(block, "    {what}").expect("a String takes all");
        for (row, bytes) in frame.chunks(16).enumerate() {
            let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let text: String = bytes
                .iter()
                .map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' })
                .collect();
            writeln!(block, "      {:04x}  {:<47}  {text}", row * 16, hex.join(" "))
                .expect("a String takes all");
        }
    }
    block
}

#[test]
fn the_example_in_the_protocol_page_is_true() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let expected = page_block();
    assert!(
        page.contains(&expected),
        "docs/protocol.md, \"An example session in hex\", must hold exactly this:\n\n{expected}"
    );
}
