//! Opens a course client's private pipe and acknowledges the client.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use super::client_process;
use super::late_clients::may_open_later;
use super::names::RecordForm;
use crate::course::{HOLA, HandshakeSteps, ITS_A_ME, ORIGINAL_SIZE, padded, text_of};
use crate::deadline::{Deadline, Pauses, now};
use crate::error::{Error, LEFT_BEFORE, Named, Result, SHUTTING_DOWN};
use crate::event::{Event, What};
use crate::fifo::{name_of, open_to_write};
use crate::io::Filled;
use crate::process::Process;
use crate::server::site::Site;
use crate::stream::{FrameReader, FrameWriter, Framing};
use crate::sys::{Lock, try_lock};
use crate::text::words;
use crate::wire::Kind;

/// How long after the acknowledgement a record may still be a third step if its bytes alone do not decide
/// that. Programs take less than 5 ms, and people type more slowly.
pub(crate) const THIRD_STEP_WITHIN: Duration = Duration::from_millis(100);

/// The longest such time for a client whose process [has not slept](client_process::is_running) since: on a
/// busy machine it may be waiting for a processor.
pub(crate) const THIRD_STEP_WITHIN_WHILE_RUNNING: Duration = Duration::from_secs(1);

/// How long after its name a client opens its private pipe at the latest, if its process cannot be found.
/// Programs open it at once.
const OPENS_WITHIN: Duration = Duration::from_millis(100);

/// What clients of the course dialect expect, where their names do not decide it. Such clients are programs
/// that were written for a systems course. The defaults suit nearly all of them.
#[derive(Debug, Clone, Default)]
pub struct CourseOptions {
    /// The acknowledgement's text. `@name` in it is replaced by the name of the client's private pipe.
    pub ack: Option<String>,
    /// The acknowledgement's size: zero-padded, or cut.
    pub ack_size: Option<usize>,
    /// How many steps the handshake has: whether the client confirms.
    pub ways: HandshakeSteps,
}

impl CourseOptions {
    /// Returns the acknowledgement for a client that has sent this private pipe's name in this form. A record
    /// shorter than its reader expects leaves nothing behind in the pipe. Text and NUL are therefore right
    /// for nearly all clients.
    pub(crate) fn acknowledgement(&self, private: &Path, form: RecordForm, session: u64) -> Vec<u8> {
        let (text, size) = match (&self.ack, form) {
            (Some(text), _) => (text.replace("@name", &name_of(private)).into_bytes(), None),
            (None, RecordForm::Text) => (HOLA.to_vec(), None),
            (None, RecordForm::Original) => (ITS_A_ME.to_vec(), Some(ORIGINAL_SIZE)),
            (None, RecordForm::Number) => {
                // Any number is right, but the number plus one must be valid, too.
                let number = u32::try_from(session >> 34).expect("30 bits");
                (number.to_ne_bytes().to_vec(), Some(size_of::<u32>()))
            }
        };
        padded(&text, self.ack_size.or(size).unwrap_or(text.len() + 1))
    }
}

/// Opens the private pipe, and locks it (flock(2)) for this session. If the pipe is locked, another
/// session uses it, no matter which client sent the name. A course client opens its pipe after it has sent
/// the name. Some clients make the pipe only then. Bytes that come through its upstream meanwhile are from
/// other clients: this client writes nothing before the acknowledgement. The client has `timeout` for its
/// open, from now, or from its name if it has waited in a queue since.
///
/// # Errors
/// [`Error::Lost`]: the client has gone, or did not open its pipe in time.
pub(crate) fn connect(
    private: &Path,
    from_client: &mut FrameReader,
    timeout: Duration,
    waits_since: Option<Duration>,
    site: &Site,
) -> Result<OwnedFd> {
    let process = &site.process;
    let until = match waits_since {
        Some(since) if !timeout.is_zero() => Deadline::at(since.saturating_add(timeout)),
        _ => Deadline::after(timeout),
    };
    let mut pauses = Pauses::first();
    let mut ended = false;
    loop {
        let late = until.passed();
        if !ended {
            ended = discard_what_comes(from_client)?;
        }
        if ended && !client_process::may_live(private) {
            site.close_when_open(private.to_path_buf());
            return Err(Error::lost(format!("{LEFT_BEFORE} the acknowledgement")));
        }
        let errno = match open_to_write(private).and_then(locked) {
            Ok(private) => return Ok(private),
            Err(errno) => errno,
        };
        let is_overdue = waits_since.is_some_and(|since| now() > since + OPENS_WITHIN);
        let has_gone = is_overdue && client_process::is_dead(private);
        let ends = process.asked_to_end().is_some();
        let is_pointless = !(may_open_later(errno) || matches!(errno, Errno::ENOENT | Errno::EWOULDBLOCK));
        if late || ends || has_gone || is_pointless {
            // The client may open its pipe after all. It must then get EOF, or it would wait forever.
            site.close_when_open(private.to_path_buf());
            let name = name_of(private);
            return Err(Error::lost(match errno {
                _ if has_gone => format!("{LEFT_BEFORE} its turn came"),
                _ if ends => format!("its private pipe {name:?}: {SHUTTING_DOWN}"),
                Errno::EWOULDBLOCK => "another session has the private pipe that it named".into(),
                errno => {
                    format!("its private pipe {name:?}: it could not be opened in time: {}", Named(errno))
                }
            }));
        }
        let mut watched = [PollFd::new(from_client.as_fd(), PollFlags::POLLIN)];
        // A pipe at EOF would be reported as ready again and again.
        let watched = if ended { &mut [] } else { &mut watched[..] };
        process.wait(watched, pauses.begin().or(until))?;
    }
}

/// Step 7: sends the acknowledgement through the private pipe, which [`connect`] has opened.
///
/// # Errors
/// [`Error::Lost`]: the client has gone.
pub(crate) fn acknowledge(
    to_client: OwnedFd,
    session: u64,
    private: &Path,
    ack: &[u8],
    process: &Process,
) -> Result<FrameWriter> {
    let mut to_client = FrameWriter::new(to_client, Framing::Stream);
    to_client.push_raw(ack);
    let event = |event: Event| event.session(session).pipe(name_of(private)).text(words(text_of(ack)));
    process
        .log_around(What::AckSent, event, || to_client.flush())
        .map_err(|errno| Error::cannot_answer(private, errno))?;
    Ok(to_client)
}

/// Locks the pipe for as long as it is open. On a file system without locks, does nothing.
fn locked(private: OwnedFd) -> Result<OwnedFd, Errno> {
    match try_lock(private.as_fd(), Lock::Exclusive) {
        Err(Errno::EWOULDBLOCK) => Err(Errno::EWOULDBLOCK),
        _ => Ok(private),
    }
}

/// Reads and discards bytes that are not from this client. The reader passes on the names in them. Returns
/// whether the pipe is at EOF.
fn discard_what_comes(from_client: &mut FrameReader) -> Result<bool> {
    from_client.begin_batch();
    match from_client.fill() {
        Ok(Filled::Bytes(_)) => {}
        Ok(Filled::Nothing) => return Ok(false),
        Ok(Filled::End) => return Ok(true),
        Err(_) => return Err(Error::lost(format!("{LEFT_BEFORE} the acknowledgement"))),
    }
    while let Some((frame, _)) = from_client.next_frame() {
        if frame.header.kind == Kind::Bye {
            return Err(Error::lost(SHUTTING_DOWN));
        }
    }
    Ok(false)
}
