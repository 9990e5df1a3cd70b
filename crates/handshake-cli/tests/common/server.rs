//! The command line of every server: each server includes these tests, and adds those for its own options.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use handshake_core::sys::with_default_signals;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use predicates::prelude::*;
use predicates::str::is_match;

use crate::common::{
    PROGRAM, TestDirectory, WATCHDOG, check_error, check_help_and_version, check_wrong_usage, program,
};
use crate::{OPTIONS, RUNS, WRONG};

#[test]
fn help_names_every_option() {
    let all = [
        "--wkp <PATH> = mario",
        "--service <NAME> = upper",
        "--max-message <BYTES> = 16M",
        "--handshake-timeout <DUR> = 5s",
        "--idle-timeout <DUR> = 0",
        "--grace <DUR> = 2s",
        "--ack <TEXT>",
        "--ack-size <N>",
        "--handshake <WAYS> = auto",
        "--queue-timeout <DUR> = 0",
        "--ready-fd <FD>",
        "--events <FILE>",
        "--gate <FD>",
        "--wait <HOW> = adaptive",
        "--color <WHEN> = auto",
        "--quiet",
        "--verbose",
    ];
    check_help_and_version(&[&all, OPTIONS].concat());
}

#[test]
fn wrong_usage_ends_with_2() {
    let all: [(&[&str], &str); 22] = [
        (&["--no-such"], "'--no-such'"),
        (&["mario"], "'mario'"),
        (&["-q", "-v"], "'--quiet' cannot be used with '--verbose'"),
        (&["--wkp"], "--wkp"),
        (&["--wkp", ""], "--wkp"),
        (&["--service", "shout"], "there are: echo, upper, reverse, rot13, count, sleep:MS"),
        (&["--service", "sleep:"], "'sleep:'"),
        (&["--service", "sleep:1s"], "'sleep:1s'"),
        (&["--service", ""], "--service"),
        (&["--max-message", "1.5M"], "4096, 16M"),
        (&["--max-message", "16m"], "'16m'"),
        (&["--max-message=-1"], "'-1'"),
        (&["--max-message", "99999999999G"], "--max-message"),
        (&["--handshake-timeout", "5"], "300ms, 5s; 0 is none"),
        (&["--handshake-timeout=-5s"], "'-5s'"),
        (&["--idle-timeout", "1 s"], "'1 s'"),
        (&["--idle-timeout", "s"], "'s'"),
        (&["--grace", "1e30h"], "'1e30h'"),
        (&["--grace", "infs"], "'infs'"),
        (&["--ready-fd", "one"], "'one'"),
        (&["--gate", "99999999999"], "--gate"),
        (&["--wait", "long"], "one of adaptive, block"),
    ];
    for (args, because) in all.iter().chain(WRONG) {
        check_wrong_usage(args, because);
    }
}

#[test]
fn a_path_that_cannot_be_the_well_known_pipe_is_refused() {
    TestDirectory::new().check_refused_as_wkp([
        ("none/mario", "ENOENT"),
        ("directory", "EEXIST"),
        ("file", "EEXIST"),
        ("link", "EEXIST"),
        ("file/mario", "ENOTDIR"),
    ]);
}

#[test]
fn a_path_without_a_name_is_wrong_usage() {
    check_error(program(["--wkp", "/"]), 2, "EINVAL");
}

#[test]
fn a_closed_file_descriptor_is_refused() {
    TestDirectory::new().check_refused_fds(&["--ready-fd", "--gate"]);
}

#[test]
fn the_environment_names_the_well_known_pipe() {
    let directory = TestDirectory::new();
    let mut from_environment = program([""; 0]);
    from_environment.env("HANDSHAKE_WKP", directory.at("directory"));
    check_error(from_environment, 3, &format!("cannot use {:?}", directory.at("directory")));
    let mut from_both = program([Path::new("--wkp"), &directory.at("file")]);
    from_both.env("HANDSHAKE_WKP", directory.at("directory"));
    check_error(from_both, 3, &format!("cannot use {:?}", directory.at("file")));
    directory.check_untouched();
}

/// `-v` reports the limits before anything else; without `-v` they are not reported.
#[test]
fn with_v_it_reports_its_limits_once_and_first() {
    let mut all: Vec<(&[&str], &str)> = vec![(&["-v"], r"\d+ clients? at a time")];
    if OPTIONS.iter().any(|option| option.starts_with("--max-clients")) {
        all.push((&["-v", "--max-clients", "1"], "1 client at a time"));
        all.push((&["-v", "--max-clients", "2"], "2 clients at a time"));
        // More clients than any limits allow.
        let beyond = r"1000000 clients at a time, and these limits carry \d+";
        all.push((&["-v", "--max-clients", "1000000"], beyond));
    } else {
        all.push((&["-v"], "1 client at a time"));
    }
    for (args, most) in all {
        let limits = r"\A<server> may have \d+ descriptors, \d+ processes, \d+\.\d GiB of memory: at most";
        let told = is_match(format!("{limits} {most}\n")).expect("a good pattern");
        let printed = stderr_of(args);
        assert!(told.eval(&printed), "with {args:?}: {printed}");
        assert_eq!(printed.matches("may have").count(), 1, "with {args:?}: {printed}");
        let others = stderr_of(&args[1..]);
        assert!(!others.contains("may have") && !others.contains("limits"), "{others}");
    }
}

/// Everything that a server prints on stderr between its start and its end.
fn stderr_of(args: &[&str]) -> String {
    let directory = TestDirectory::new();
    let mut server = Running::start(&directory, args);
    let printed = server.stderr_until("connection\n");
    let printed = printed + &server.end_by(Signal::SIGTERM);
    directory.check_untouched();
    printed
}

#[test]
fn asked_to_end_it_ends_with_0_and_leaves_nothing() {
    let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
    for (args, signal) in RUNS.iter().flat_map(|args| signals.map(|signal| (args, signal))) {
        let directory = TestDirectory::new();
        let mut server = Running::start(&directory, args);
        server.stderr_until("connection\n");
        assert_eq!(directory.added().len(), 2, "the well-known pipe and the lock: {:?}", directory.added());
        server.end_by(signal);
        directory.check_untouched();
    }
}

#[test]
fn it_says_on_ready_fd_when_clients_can_connect() {
    let directory = TestDirectory::new();
    let mut server = Running::start(&directory, &["--quiet", "--ready-fd", "1"]);
    let stdout = server.0.stdout.take().expect("it is piped");
    assert_eq!(read_until(stdout, None), "\n", "one newline, then the end");
    assert!(directory.at("mario").exists());
    server.end_by(Signal::SIGTERM);
    directory.check_untouched();
}

#[test]
fn one_server_has_one_name() {
    let directory = TestDirectory::new();
    let mut server = Running::start(&directory, &[]);
    assert_eq!(server.stderr_until("connection\n"), "<server> waiting for connection\n");
    let because = format!("cannot serve at {:?}: the name is in use (", directory.at("mario"));
    check_error(program([Path::new("--wkp"), &directory.at("mario")]), 3, &because);
    server.end_by(Signal::SIGTERM);
    directory.check_untouched();
}

/// A running server; it is killed when a test fails early.
struct Running(Child);

impl Running {
    fn start(directory: &TestDirectory, args: &[&str]) -> Self {
        let mut command = Command::new(assert_cmd::cargo_bin!());
        command.arg("--wkp").arg(directory.at("mario")).args(args);
        // This process may have been started with SIGHUP or SIGINT ignored.
        with_default_signals(&mut command);
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(piped.spawn().expect("it can be started"))
    }

    /// What the server prints on stderr, up to `end`.
    fn stderr_until(&mut self, end: &str) -> String {
        read_until(self.0.stderr.as_mut().expect("it is piped"), Some(end))
    }

    /// Ends the server, and checks that it exits with 0. Returns the rest of what it and its subservers print
    /// on stderr.
    fn end_by(mut self, signal: Signal) -> String {
        let pid = Pid::from_raw(self.0.id().try_into().expect("a process number"));
        kill(pid, signal).expect("it runs");
        let printed = read_until(self.0.stderr.as_mut().expect("it is piped"), None);
        let status = self.0.wait().expect("it is our child");
        assert_eq!(status.code(), Some(0), "{PROGRAM} after {signal}: {status}: {printed}");
        printed
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The server has ended, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a pipe up to `end`, or else up to EOF.
fn read_until(mut pipe: impl Read + AsFd, end: Option<&str>) -> String {
    let mut heard = String::new();
    while !end.is_some_and(|end| heard.ends_with(end)) {
        let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        let shown = poll(&mut watched, u16::try_from(WATCHDOG.as_millis()).expect("below a minute"));
        if shown == Err(Errno::EINTR) {
            // The child processes of other tests send SIGCHLD, which interrupts poll(2).
            continue;
        }
        assert_eq!(shown, Ok(1), "{PROGRAM} said only {heard:?}");
        let mut bytes = [0; 4096];
        match pipe.read(&mut bytes).expect("it shows something") {
            0 => break,
            count => heard += &String::from_utf8_lossy(&bytes[..count]),
        }
    }
    heard
}
