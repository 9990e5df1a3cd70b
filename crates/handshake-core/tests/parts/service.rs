//! The built-in services: each one's reply, and each one's name.

use std::time::Duration;

use handshake_core::service::BuiltIn;
use proptest::prelude::*;

/// Returns what a new session of this service answers to these messages.
fn replies(name: &str, messages: &[&[u8]]) -> Vec<Vec<u8>> {
    let service: BuiltIn = name.parse().expect(name);
    let reply = |(number, message): (u32, &&[u8])| {
        let mut message = message.to_vec();
        service.reply_to(number, &mut message);
        message
    };
    (1..).zip(messages).map(reply).collect()
}

#[test]
fn each_service_answers_what_its_name_says() {
    let message = "It's-a me, Mario! \u{e9}\0\n".as_bytes();
    let expect = |name, reply: &str| assert_eq!(replies(name, &[message]), [reply.as_bytes()], "{name}");
    expect("echo", "It's-a me, Mario! \u{e9}\0\n");
    expect("upper", "IT'S-A ME, MARIO! \u{e9}\0\n");
    expect("rot13", "Vg'f-n zr, Znevb! \u{e9}\0\n");
    expect("sleep:5", "It's-a me, Mario! \u{e9}\0\n");
    expect("count", "1");
    assert_eq!(replies("reverse", &["\u{e9}ab\n".as_bytes()]), [b"\nba\xa9\xc3"], "bytes, not characters");
}

#[test]
fn count_counts_from_1_within_a_session() {
    assert_eq!(replies("count", &[b"a", b"", b"c"]), [b"1", b"2", b"3"]);
    assert_eq!(replies("count", &[b"a"]), [b"1"], "and each session for itself");
}

#[test]
fn the_default_is_upper() {
    assert_eq!(BuiltIn::default(), BuiltIn::Upper);
}

#[test]
fn an_unknown_name_gets_the_list_of_services() {
    for wrong in
        ["", "Echo", "echo ", "sleep", "sleep:", "sleep:x", "sleep:-1", "sleep:1s", "sleep:1.5", "sleep: 1"]
    {
        let error = wrong.parse::<BuiltIn>().expect_err(wrong);
        assert!(error.contains("echo, upper, reverse, rot13, count, sleep:MS"), "{wrong}: {error}");
    }
}

/// Any service.
fn services() -> impl Strategy<Value = BuiltIn> {
    use BuiltIn::{Count, Echo, Reverse, Rot13, Sleep, Upper};
    prop_oneof![
        prop::sample::select(vec![Echo, Upper, Reverse, Rot13, Count]),
        any::<u64>().prop_map(|ms| Sleep(Duration::from_millis(ms))),
    ]
}

proptest! {
    #[test]
    fn a_services_name_parses_to_the_service(service in services()) {
        prop_assert_eq!(service.to_string().parse(), Ok(service));
    }

    #[test]
    fn a_service_applied_twice_gives_the_expected_text(message in any::<Vec<u8>>()) {
        let reply = |name, message: Vec<u8>| replies(name, &[&message]).remove(0);
        let again = |name, times| (0..times).fold(message.clone(), |message, _| reply(name, message));
        prop_assert_eq!(&again("reverse", 2), &message);
        prop_assert_eq!(&again("rot13", 2), &message);
        prop_assert_eq!(again("upper", 2), again("upper", 1));
        prop_assert_eq!(&again("echo", 1), &message);
    }
}
