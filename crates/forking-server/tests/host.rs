//! A program that uses this library as one part of what it does. A test program of its own: it looks at what
//! belongs to the whole process.

use std::fs;
use std::sync::mpsc::channel;

use handshake_core::event::Role;
use handshake_core::{Client, Error, Options, Process, Result};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

type Serve = fn(Options) -> Result<()>;

/// The signals of this process that have handlers, and those that it ignores, and those that this thread
/// blocks (proc(5)).
fn signals() -> Vec<String> {
    let status = fs::read_to_string("/proc/thread-self/status").expect("proc(5)");
    let is_one = |line: &&str| ["SigBlk", "SigIgn", "SigCgt"].iter().any(|name| line.starts_with(name));
    status.lines().filter(is_one).map(String::from).collect()
}

fn timer_slack() -> i32 {
    nix::sys::prctl::get_timerslack().expect("prctl(2)")
}

#[test]
fn a_host_gets_back_what_was_changed_and_no_fork_beside_its_threads() {
    let (before, slack) = (signals(), timer_slack());
    for role in [Role::Client, Role::Server] {
        let process = Process::quiet(role).expect("signals can be handled");
        assert!(SigSet::thread_get_mask().expect("a mask").contains(Signal::SIGTERM));
        assert_ne!(signals(), before);
        // Another one beside it changes nothing, and takes nothing away, whichever ends first.
        drop(Process::quiet(role));
        assert!(SigSet::thread_get_mask().expect("a mask").contains(Signal::SIGTERM));
        let another = Process::quiet(role).expect("signals can be handled");
        drop(process);
        assert!(SigSet::thread_get_mask().expect("a mask").contains(Signal::SIGTERM));
        assert_ne!(signals(), before);
        drop(another);
        assert_eq!(signals(), before, "after {role}");
        assert_eq!(timer_slack(), slack, "after {role}");
    }

    let directory = tempfile::tempdir().expect("a directory");
    let connection = Client::options().begin(directory.path().join("mario")).expect("two descriptors");
    assert_eq!((signals(), timer_slack()), (before.clone(), slack), "a client changes nothing");
    drop(connection);

    let (stop, stopped) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || stopped.recv());
        let serves: [Serve; 2] = [forking_server::serve, dispatch_server::serve];
        for serve in serves {
            let directory = tempfile::tempdir().expect("a directory");
            let refused = serve(Options::at(directory.path().join("mario"))).expect_err("it has threads");
            assert!(
                matches!(refused, Error::System { errno, .. } if errno == Errno::EDEADLK as i32),
                "{refused}"
            );
            assert!(refused.to_string().contains("this process has "), "{refused}");
            assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 0, "something was left");
        }
        drop(stop);
    });
    assert_eq!(signals(), before);
}
