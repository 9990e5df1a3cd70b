//! One poller for many clients: the file descriptors of each client, and the causes for which it advances.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::process::{Process, Woken};
use handshake_core::sys::Poller;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::epoll::{EpollEvent, EpollFlags};

use crate::transport::Opening;

/// Shorter waits use ppoll(2): epoll_wait(2) counts in milliseconds, and a connecting client retries after
/// microseconds.
const SHORT: Duration = Duration::from_millis(25);

/// Why a client advances. For an event of the poller, the token contains the cause and the client's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An event of its handshake, or an answer.
    Readable,
    /// Its upstream has room again.
    Room,
    /// Its timer is due.
    Timer,
}

impl Cause {
    /// The token for this cause, [`Cause::Readable`] or [`Cause::Room`], and this client.
    pub fn token(self, client: usize) -> u64 {
        (client as u64) << 1 | u64::from(self == Self::Room)
    }

    /// The client and the cause of a token.
    pub fn of(token: u64) -> (usize, Self) {
        let client = usize::try_from(token >> 1).expect("it was one");
        (client, if token & 1 == 1 { Self::Room } else { Self::Readable })
    }
}

/// Waits for an event, or until the deadline; returns how many of `events` were filled in.
///
/// # Errors
/// [`Error::Signal`].
pub fn wait(
    process: &Process,
    poller: &Poller,
    events: &mut [EpollEvent],
    mut until: Deadline,
) -> Result<usize> {
    if until.left().is_some_and(|left| !left.is_zero() && left < SHORT) {
        process.wait(&mut [PollFd::new(poller.as_fd(), PollFlags::POLLIN)], until)?;
        until = Deadline::in_exactly(Duration::ZERO);
    }
    match process.wait_for_many(poller, events, until)? {
        Woken::Ready(count) => Ok(count),
        Woken::Signal | Woken::Deadline => Ok(0),
    }
}

/// Watches the file descriptors of a handshake's next step.
///
/// # Errors
/// The poller cannot watch more.
pub fn watch(handshake: &impl Opening, client: usize, poller: &Poller) -> Result<()> {
    for (fd, flags) in handshake.watch().0 {
        poller.add(fd, Cause::Readable.token(client), interest(flags)).map_err(cannot_watch)?;
    }
    Ok(())
}

/// Stops watching a handshake, whose file descriptors change with every step.
///
/// # Errors
/// The handshake was not watched.
pub fn unwatch(handshake: &impl Opening, poller: &Poller) -> Result<()> {
    handshake.watch().0.into_iter().try_for_each(|(fd, _)| poller.remove(fd)).map_err(cannot_watch)
}

/// Judges the handshake's deadline, but only after a poll has found nothing.
///
/// # Errors
/// Those of [`Opening::judge_deadline`]. [`Error::Signal`].
pub fn judge(handshake: &impl Opening, process: &Process) -> Result<()> {
    let (fds, _) = handshake.watch();
    let mut fds: Vec<PollFd<'_>> = fds.into_iter().map(|(fd, flags)| PollFd::new(fd, flags)).collect();
    match process.wait(&mut fds, Deadline::in_exactly(Duration::ZERO))? {
        Woken::Deadline => handshake.judge_deadline(),
        Woken::Ready(_) | Woken::Signal => Ok(()),
    }
}

/// How the poller watches an upstream for room. Each watch reports once. A permanent watch would report each
/// time the pipe is emptied, and the error after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// The poller does not watch the pipe yet.
    Unknown,
    /// The pipe is registered, but reports nothing.
    Quiet,
    /// The poller will report once when there is room.
    Watched,
}

impl Room {
    /// Lets the poller report once when this client's upstream has room.
    ///
    /// # Errors
    /// The poller cannot watch more.
    pub fn watch_once(&mut self, to_server: BorrowedFd<'_>, client: usize, poller: &Poller) -> Result<()> {
        let (token, once) = (Cause::Room.token(client), EpollFlags::EPOLLOUT | EpollFlags::EPOLLONESHOT);
        match self {
            Self::Unknown => poller.add(to_server, token, once),
            Self::Quiet => poller.change(to_server, token, once),
            Self::Watched => Ok(()),
        }
        .map_err(cannot_watch)?;
        *self = Self::Watched;
        Ok(())
    }
}

/// The error of a change of the poller.
pub fn cannot_watch(errno: Errno) -> Error {
    Error::on("watch", "a pipe", errno)
}

fn interest(flags: PollFlags) -> EpollFlags {
    let mut interest = EpollFlags::empty();
    interest.set(EpollFlags::EPOLLIN, flags.contains(PollFlags::POLLIN));
    interest.set(EpollFlags::EPOLLOUT, flags.contains(PollFlags::POLLOUT));
    interest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_contain_client_and_cause() {
        for (client, cause) in
            [(0, Cause::Readable), (0, Cause::Room), (9999, Cause::Readable), (9999, Cause::Room)]
        {
            assert_eq!(Cause::of(cause.token(client)), (client, cause));
        }
    }
}
