//! Advice from facts that no program produces on every machine.

use super::*;

/// An external client that made its pipe and ended by SIGINT. Nothing else is known.
fn facts() -> Facts {
    Facts {
        wkp: "mario".into(),
        shared_wkp: false,
        wkp_opened: WkpOpened::Never,
        made: vec!["4711".into()],
        no_name: None,
        name: None,
        dropped: None,
        acknowledged: false,
        printed_ack_late: false,
        blocked: None,
        blocked_before_wkp: false,
        closed_wkp: false,
        end: End::Sent(Signal::SIGINT),
        requests: 0,
        replies: 0,
    }
}

/// With the real programs of the tests, the kernel usually reports the blocking call. Here it does not.
#[test]
fn without_the_blocking_call_the_advice_is_still_right() {
    let deadlock = facts().on_handshake();
    assert!(
        deadlock.starts_with("it made 4711, and waited without having opened mario: open mario before"),
        "{deadlock}"
    );
    let named = Facts { wkp_opened: WkpOpened::ForWriting, name: Some("4711".into()), ..facts() };
    let wrong_way = named.on_handshake();
    assert_eq!(wrong_way, "it wrote its name, and did not open 4711 for reading (step 5)");
    let silent = Facts { acknowledged: true, ..named }.on_replies(2);
    assert_eq!(silent, "it sent no message: write each line of its stdin into mario");
}

#[test]
fn a_crash_is_reported_with_the_last_step() {
    let crashed = Facts { end: End::Crash(Signal::SIGSEGV), ..facts() };
    let opened = Facts { wkp_opened: WkpOpened::Shortly, ..crashed.clone() };
    assert!(crashed.on_handshake().starts_with("it crashed (SIGSEGV) before it opened mario: "));
    assert!(
        opened.on_handshake().starts_with("it crashed (SIGSEGV) after it opened mario, and before it wrote")
    );
    for (requests, replies, when) in [
        (0, 0, "before the server received a message"),
        (2, 1, "before the reply to message 2"),
        (2, 2, "after message 2"),
    ] {
        let advice = Facts { requests, replies, ..crashed.clone() }.on_replies(2);
        assert!(advice.starts_with(&format!("it crashed (SIGSEGV) {when}: ")), "{advice}");
    }
    let broken_pipe = Facts { end: End::Crash(Signal::SIGPIPE), requests: 1, replies: 1, ..facts() };
    assert_eq!(
        broken_pipe.on_replies(2),
        "it crashed (SIGPIPE) after message 1: it wrote into a pipe that no process reads any more"
    );
}

#[test]
fn the_servers_reason_is_passed_on() {
    let dropped = Facts { dropped: Some("no".into()), ..facts() };
    assert_eq!(dropped.on_handshake(), "the server says: no");
    let shared = Facts { shared_wkp: true, ..dropped };
    assert_eq!(shared.on_handshake(), format!("the server says: no; {WITHOUT_SHARED}"));
}

/// The kernel reports full names, so the facts that are compared with them must have full names too.
#[test]
fn a_name_of_the_framed_pattern_is_known_and_shown_shortened() {
    let full = "mario.client.4711.98223bc06169d123";
    let blocked = |call, access, waits: &str| {
        let (waits, meanwhile) = (waits.into(), String::new());
        Some(Blocked { call, access, name: full.into(), waits, meanwhile })
    };
    let open = |access| blocked("open", access, "waits in open()");
    let made = Facts { made: vec![full.into()], ..facts() };
    let deadlock = Facts { blocked: open(Access::Read), ..made.clone() }.on_handshake();
    assert!(deadlock.contains("a deadlock"), "{deadlock}");
    assert!(deadlock.ends_with("then open mario.client.4711.9822… (step 5)"), "{deadlock}");
    let named = Facts { wkp_opened: WkpOpened::ForWriting, name: Some(full.into()), ..made };
    let wrong_way = Facts { blocked: open(Access::Write), ..named.clone() }.on_handshake();
    assert!(wrong_way.contains("use O_RDONLY"), "{wrong_way}");
    let read = blocked("read", Access::Read, "waits in read(3)");
    let second = Facts { acknowledged: true, blocked: read, ..named }.on_replies(2);
    let waits = "it waits in a read of mario.client.4711.9822… and has sent no";
    assert!(second.starts_with(waits), "{second}");
    assert!(second.contains("does it read a second acknowledgement"), "{second}");
}
