//! Waits for the next stop of any traced thread, and decides when the trace ends.

use std::time::{Duration, Instant};

use rustix::process::{Pid, getpgid, getpgrp};

use super::state::{Phase, Tracer};
use super::{Ending, Error, Summary};
use crate::sys::{self, HeldSignals};

/// The signals that end a trace.
pub(super) const TAKEN: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// A child and its parent report a birth within this time. Otherwise the parent was killed meanwhile.
const BIRTH: Duration = Duration::from_millis(100);

/// Signals that come within this time are one request to end: timeout(1) sends one to its child, and one to
/// its process group.
const ONE_REQUEST: Duration = Duration::from_millis(200);

/// While stops come without a pause, signals and deadlines are looked at once in so many.
const STOPS_PER_LOOK: u32 = 64;

impl Tracer<'_> {
    /// Goes on until no traced process is left.
    pub(super) fn run(mut self, signals: &HeldSignals) -> Result<Summary, Error> {
        let mut stops = 0_u32;
        let mut over_since = None;
        loop {
            match sys::next_status() {
                Ok(Some((tid, status))) => {
                    over_since = None;
                    self.handle(tid, status);
                    stops = stops.wrapping_add(1);
                    if stops.is_multiple_of(STOPS_PER_LOOK) {
                        self.pause(signals, Some(Duration::ZERO));
                    }
                }
                // A child is left that is not traced: this process had it before.
                Ok(None) if self.is_over() => {
                    let since = *over_since.get_or_insert_with(Instant::now);
                    let left = BIRTH.saturating_sub(since.elapsed());
                    if left.is_zero() {
                        return self.result();
                    }
                    self.pause(signals, Some(left));
                }
                Ok(None) if self.early.is_empty() || self.is_killing() => {
                    self.pause(signals, self.patience());
                }
                Ok(None) => {
                    let begin = Instant::now();
                    self.pause(signals, Some(self.patience().map_or(BIRTH, |left| left.min(BIRTH))));
                    if begin.elapsed() >= BIRTH {
                        self.adopt_early();
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                // ECHILD: all have ended.
                Err(_) => return self.result(),
            }
            self.judge();
        }
    }

    /// Whether no traced thread is left, as far as is known.
    fn is_over(&self) -> bool {
        self.tasks.is_empty() && (self.early.is_empty() || self.is_killing())
    }

    fn result(mut self) -> Result<Summary, Error> {
        self.finish_all();
        if let Some(refusal) = self.refusal {
            return Err(Error::Refused(refusal));
        }
        if let Some(error) = self.log.failure {
            return Err(Error::Sink(error));
        }
        if !self.has_begun && self.summary.signal.is_none() {
            return Err(self.main.error());
        }
        let status = self.status.unwrap_or(0);
        let ending = if libc::WIFSIGNALED(status) {
            Ending::Killed(libc::WTERMSIG(status) as u8)
        } else {
            Ending::Exited(libc::WEXITSTATUS(status) as u8)
        };
        Ok(Summary { ending, kept: self.log.kept, left_out: self.log.left_out, ..self.summary })
    }

    /// Waits for a stop, a signal or a deadline.
    fn pause(&mut self, signals: &HeldSignals, limit: Option<Duration>) {
        let Some((signal, by_kernel)) = signals.next(limit) else { return };
        if signal == libc::SIGCHLD {
            return;
        }
        self.summary.signal.get_or_insert(signal);
        let is_repeated = self.signalled.is_some_and(|first| first.elapsed() < ONE_REQUEST);
        self.signalled.get_or_insert_with(Instant::now);
        match self.phase {
            _ if is_repeated => {}
            Phase::Asked(_) | Phase::Killed => self.kill_all(),
            Phase::Running | Phase::Lingering(_) => {
                // The terminal sends its signals to a process group, which is the tracer's.
                let own = getpgrp();
                let group = |pid: i32| Pid::from_raw(pid).and_then(|pid| getpgid(Some(pid)).ok());
                for pid in self.processes.keys().filter(|pid| !by_kernel || group(**pid) != Some(own)) {
                    sys::send(*pid, signal);
                }
                self.phase = Phase::Asked(Instant::now() + self.options.grace);
            }
        }
    }

    /// How long it may wait.
    fn patience(&self) -> Option<Duration> {
        match self.phase {
            Phase::Lingering(Some(until)) | Phase::Asked(until) => {
                Some(until.saturating_duration_since(Instant::now()))
            }
            Phase::Running | Phase::Lingering(None) | Phase::Killed => None,
        }
    }

    /// Whether it is time for the next phase.
    fn judge(&mut self) {
        let is_due = self.patience().is_some_and(|left| left.is_zero());
        if self.log.failure.is_some() || self.refusal.is_some() {
            self.kill_all();
        }
        match self.phase {
            Phase::Running if self.status.is_some() => {
                let until = self.options.linger.map(|linger| Instant::now() + linger);
                self.phase = Phase::Lingering(until);
            }
            Phase::Lingering(_) if is_due => {
                self.summary.ended = self.processes.len() as u64;
                self.signal_all(libc::SIGTERM);
                self.phase = Phase::Asked(Instant::now() + self.options.grace);
            }
            Phase::Asked(_) if is_due => self.kill_all(),
            _ => {}
        }
    }

    /// Kills the program for what it does, once there is a limit to it.
    pub(super) fn check_limits(&mut self) {
        let max = self.options.max_processes;
        if self.phase == Phase::Killed || (self.starts <= max && self.tasks.len() <= max) {
            return;
        }
        self.warn(format!(
            "the program was killed: it started more than {max} processes and programs, or has more threads; \
             --max-processes sets the limit"
        ));
        self.kill_all();
    }

    /// Adds a warning, unless it was given.
    pub(super) fn warn(&mut self, text: String) {
        const WARNINGS_MAX: usize = 20;
        if self.summary.warnings.len() < WARNINGS_MAX && !self.summary.warnings.contains(&text) {
            self.summary.warnings.push(text);
        }
    }

    /// Whether stopped threads are killed.
    pub(super) fn is_killing(&self) -> bool {
        self.phase == Phase::Killed
    }

    fn signal_all(&self, signal: i32) {
        for pid in self.processes.keys() {
            sys::send(*pid, signal);
        }
    }

    fn kill_all(&mut self) {
        if self.phase == Phase::Killed {
            return;
        }
        self.phase = Phase::Killed;
        self.finish_all();
        self.signal_all(libc::SIGKILL);
        self.early.iter().for_each(|tid| sys::send(*tid, libc::SIGKILL));
    }
}
