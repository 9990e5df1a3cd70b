//! The command line of `client`: its help, wrong usage, and every reason why it cannot connect.

#[path = "../../handshake-cli/tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::time::Instant;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use common::{TestDirectory, check_error, check_help_and_version, check_wrong_usage, program};

#[test]
fn help_names_every_option() {
    check_help_and_version(&[
        "--wkp <PATH> = mario",
        "--timeout <DUR> = 10s",
        "--reply-timeout <DUR> = 60s",
        "--dialect <DIALECT> = framed",
        "--handshake <WAYS>",
        "--private-name <NAME>",
        "--name-form <FORM>",
        "--newline",
        "--window <N> = 64",
        "--max-message <BYTES> = 16M",
        "--raw",
        "--events <FILE>",
        "--gate <FD>",
        "--wait <HOW> = adaptive",
        "--color <WHEN> = auto",
        "--quiet",
        "--verbose",
    ]);
}

#[test]
fn wrong_usage_ends_with_2() {
    let all: [(&[&str], &str); 25] = [
        (&["--no-such"], "'--no-such'"),
        (&["--service", "echo"], "'--service'"),
        (&["-q", "-v"], "'--quiet' cannot be used with '--verbose'"),
        (&["--raw", "hello"], "'--raw' cannot be used with '[MESSAGE]...'"),
        (&["--wkp"], "--wkp"),
        (&["--wkp", ""], "--wkp"),
        (&["--timeout", "5"], "300ms, 5s; 0 is none"),
        (&["--timeout=-5s"], "'-5s'"),
        (&["--timeout", "soon"], "'soon'"),
        (&["--reply-timeout", "5"], "300ms, 5s; 0 is none"),
        (&["--max-message", "16m"], "'16m'"),
        (&["--window", "0"], "at least 1"),
        (&["--window", "wide"], "at least 1"),
        (&["--dialect", "klingon"], "[possible values: framed, course]"),
        (&["--handshake", "2"], "--handshake is for --dialect course"),
        (&["--dialect", "framed", "--handshake", "auto"], "--handshake is for --dialect course"),
        (&["--private-name", "luigi"], "--private-name is for --dialect course"),
        (&["--dialect", "course", "--handshake", "4"], "one of 2, 3, auto"),
        (&["--dialect", "course", "--window", "2"], "--window is 1 with --dialect course"),
        (&["--dialect", "course", "--private-name", "a/b"], "a bare name"),
        (&["--dialect", "course", "--private-name", "/tmp/luigi"], "a bare name"),
        (&["--dialect", "course", "--private-name", ".."], "a bare name"),
        (&["--dialect", "course", "--private-name", ""], "a bare name"),
        (&["--gate", "one"], "'one'"),
        (&["--wait", "long"], "one of adaptive, block"),
    ];
    for (args, because) in all {
        check_wrong_usage(args, because);
    }
}

#[test]
fn a_path_that_is_no_fifo_is_refused() {
    TestDirectory::new().check_refused_as_wkp([
        ("none/mario", "ENOENT"),
        ("directory", "EISDIR"),
        ("file", "EINVAL"),
        ("link", "ELOOP"),
        ("file/mario", "ENOTDIR"),
    ]);
}

#[test]
fn a_path_without_a_name_is_wrong_usage() {
    check_error(program(["--wkp", "/"]), 2, "EINVAL");
}

#[test]
fn a_closed_file_descriptor_is_refused() {
    TestDirectory::new().check_refused_fds(&["--gate"]);
}

/// Tries to connect to this pipe for 200 ms.
fn connect_for_200_ms(wkp: &Path) -> assert_cmd::Command {
    program([Path::new("--timeout"), "200ms".as_ref(), "--wkp".as_ref(), wkp, "hello".as_ref()])
}

#[test]
fn without_a_server_it_says_how_to_start_one() {
    let directory = TestDirectory::new();
    let wkp = directory.at("mario");
    let hint = format!("Start one with: forking-server --wkp {}", wkp.display());
    let begun = Instant::now();
    check_error(
        connect_for_200_ms(&wkp),
        3,
        &format!(
            "cannot connect to {wkp:?}: ENOENT (no such pipe): is a server running, and not busy with \
             another client? {hint}"
        ),
    );
    assert!(begun.elapsed().as_millis() >= 200, "it tried until its deadline");
    directory.check_untouched();

    mkfifo(&wkp, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    check_error(
        connect_for_200_ms(&wkp),
        3,
        &format!(
            "cannot connect to {wkp:?}: ENXIO (no reader): is a server running, and not busy with another \
             client? {hint}"
        ),
    );
    assert_eq!(directory.added(), ["mario"], "the client removed its private pipe and nothing else");
}

#[test]
fn without_an_answer_it_ends_with_1() {
    let directory = TestDirectory::new();
    let wkp = directory.at("mario");
    mkfifo(&wkp, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    // A server that neither reads nor writes.
    let _reader = open(&wkp, OFlag::O_RDONLY | OFlag::O_NONBLOCK, Mode::empty()).unwrap();
    check_error(connect_for_200_ms(&wkp), 1, &format!("cannot connect to {wkp:?}: no answer in time ("));
    assert_eq!(directory.added(), ["mario"]);
}

#[test]
fn the_environment_names_the_well_known_pipe() {
    let directory = TestDirectory::new();
    let mut from_environment = program(["--timeout", "200ms", "hello"]);
    from_environment.env("HANDSHAKE_WKP", directory.at("luigi"));
    check_error(from_environment, 3, &format!("cannot connect to {:?}", directory.at("luigi")));
    let mut from_both = connect_for_200_ms(&directory.at("mario"));
    from_both.env("HANDSHAKE_WKP", directory.at("luigi"));
    check_error(from_both, 3, &format!("cannot connect to {:?}", directory.at("mario")));
    directory.check_untouched();
}

#[test]
fn without_a_name_it_is_mario_here() {
    let directory = TestDirectory::new();
    let mut command = program(["--timeout", "200ms"]);
    command.current_dir(directory.path());
    check_error(command, 3, "cannot connect to \"mario\": ENOENT");
    directory.check_untouched();
}
