//! The end of a test: the census, or a report if the test has failed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Scene;
use crate::proc::{children_of, living_in};
use crate::wait::until_true;

impl Scene {
    /// Ends the servers that still run, and takes the census. Every client must have ended. Every server must
    /// have no child, must have the descriptors that it had before the first client came, and must end with
    /// status 0 at SIGTERM. No name and no process may be left.
    pub fn end(self) {
        let programs = self.programs.borrow();
        for program in programs.iter().filter(|program| !program.is_server()) {
            assert!(!program.is_running(), "{} still runs at the end of the test", program.name());
        }
        let servers: Vec<_> =
            programs.iter().filter(|program| program.is_server() && program.is_running()).collect();
        for server in &servers {
            until_true(format_args!("{} to have no children", server.name()), || {
                children_of(server.pid()).is_empty()
            });
            server.has_descriptors_as_at_start();
            server.signal(Signal::SIGTERM);
        }
        for server in servers {
            server.ends().code(0);
        }
        assert_eq!(self.names(), [""; 0], "these names are left");
        assert_eq!(living_in(&self.place), [], "these processes are left");
        self.ended.set(true);
    }

    /// Prints all that a reader of a failure needs.
    fn report(&self) {
        eprintln!("--- names in the place: {:?}", self.names());
        eprintln!("--- processes that work there:");
        living_in(&self.place).iter().for_each(|process| eprintln!("{process:?}"));
        self.noted.borrow().iter().for_each(|words| eprintln!("--- was run: {words}"));
        let programs = self.programs.borrow();
        let (servers, others): (Vec<_>, Vec<_>) = programs.iter().partition(|program| program.is_server());
        let (running, ended): (Vec<_>, Vec<_>) = others.into_iter().partition(|program| program.is_running());
        for program in servers.iter().chain(&running).chain(&ended).take(REPORTED_PROGRAMS) {
            let how = if program.is_running() { "runs" } else { "has ended" };
            eprintln!("--- {} (process {}) {how}: {}", program.name(), program.pid(), program.words());
            report_tail("stdout", program.stdout_path());
            report_tail("stderr", program.stderr_path());
        }
        eprintln!("--- {} programs in all", programs.len());
        report_tail("the event log", self.event_log.path());
    }

    /// Ends the processes that are left: first with SIGTERM, then with SIGKILL. Only processes that this
    /// scene started have its directory as their working directory.
    fn end_all(&self) {
        let programs = self.programs.borrow();
        let left: Vec<_> = programs.iter().filter(|program| program.is_running()).collect();
        left.iter().for_each(|program| program.close_stdin());
        left.iter().for_each(|program| program.try_signal(Signal::SIGTERM));
        for program in left {
            if !program.ends_within(Duration::from_secs(1)) {
                program.try_signal(Signal::SIGKILL);
                program.ends_within(Duration::from_secs(5));
            }
        }
        for process in living_in(&self.place) {
            // The process may have ended by now.
            let _ = kill(Pid::from_raw(process.pid.cast_signed()), Signal::SIGKILL);
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let panicking = std::thread::panicking();
        if panicking {
            self.report();
        }
        if !self.ended.get() {
            self.end_all();
            assert!(panicking, "every test ends with the census: scene.end()");
        }
    }
}

/// The number of programs whose output is reported.
const REPORTED_PROGRAMS: usize = 12;

/// The number of bytes of each output that are reported.
const REPORTED_BYTES: usize = 3000;

fn report_tail(what: &str, path: &Path) {
    let bytes = fs::read(path).unwrap_or_default();
    if !bytes.is_empty() {
        let from = bytes.len().saturating_sub(REPORTED_BYTES);
        let cut = if from > 0 {
            format!(" (the last {REPORTED_BYTES} of {} bytes)", bytes.len())
        } else {
            String::new()
        };
        eprintln!("{what}{cut}:\n{}", String::from_utf8_lossy(&bytes[from..]).trim_end());
    }
}
