//! One poller for many clients: what each of them watches, and why it goes on.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use handshake_core::client::handshake::Handshake;
use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::process::{Process, Woken};
use handshake_core::sys::Poller;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::epoll::{EpollEvent, EpollFlags};

/// Waits shorter than this are made by ppoll(2): epoll_wait(2) counts in milliseconds, and a client that
/// seeks a server tries again after 20 microseconds.
const SHORT: Duration = Duration::from_millis(25);

/// Why a client goes on. For what a poller shows, it is in the token, beside the client's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Something of its handshake, or an answer.
    Shown,
    /// Its upstream has room again.
    Room,
    /// Its timer is due.
    Time,
}

impl Cause {
    /// The token for this cause, [`Cause::Shown`] or [`Cause::Room`], and this client.
    pub fn token(self, client: usize) -> u64 {
        (client as u64) << 1 | u64::from(self == Self::Room)
    }

    /// Whose a token is, and for what.
    pub fn of(token: u64) -> (usize, Self) {
        let client = usize::try_from(token >> 1).expect("it was one");
        (client, if token & 1 == 1 { Self::Room } else { Self::Shown })
    }
}

/// Waits until something is shown, or until the deadline; returns how many of `events` were filled in.
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

/// Has a handshake's next step shown to this client.
///
/// # Errors
/// The poller takes no more.
pub fn watch(handshake: &Handshake, client: usize, poller: &Poller) -> Result<()> {
    for (fd, flags) in handshake.watch().0 {
        poller.add(fd, Cause::Shown.token(client), interest(flags)).map_err(cannot_watch)?;
    }
    Ok(())
}

/// No more of it. What a handshake watches changes with every step.
///
/// # Errors
/// It was not watched.
pub fn unwatch(handshake: &Handshake, poller: &Poller) -> Result<()> {
    handshake.watch().0.into_iter().try_for_each(|(fd, _)| poller.remove(fd)).map_err(cannot_watch)
}

/// A deadline is judged only after a look found nothing.
///
/// # Errors
/// Those of [`Handshake::judge_deadline`]. [`Error::Signal`].
pub fn judge(handshake: &Handshake, process: &Process) -> Result<()> {
    let (fds, _) = handshake.watch();
    let mut fds: Vec<PollFd<'_>> = fds.into_iter().map(|(fd, flags)| PollFd::new(fd, flags)).collect();
    match process.wait(&mut fds, Deadline::in_exactly(Duration::ZERO))? {
        Woken::Deadline => handshake.judge_deadline(),
        Woken::Ready(_) | Woken::Signal => Ok(()),
    }
}

/// How an upstream is watched for room. Each look at it is ordered, and shown once: a pipe that is always
/// watched for room would show its every emptying, and its error after the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// The poller does not know it yet.
    Unknown,
    /// The poller knows it, and says nothing.
    Quiet,
    /// The poller will say once when there is room.
    Ordered,
}

impl Room {
    /// Has room in this client's upstream shown once.
    ///
    /// # Errors
    /// The poller takes no more.
    pub fn order(&mut self, to_server: BorrowedFd<'_>, client: usize, poller: &Poller) -> Result<()> {
        let (token, once) = (Cause::Room.token(client), EpollFlags::EPOLLOUT | EpollFlags::EPOLLONESHOT);
        match self {
            Self::Unknown => poller.add(to_server, token, once),
            Self::Quiet => poller.change(to_server, token, once),
            Self::Ordered => Ok(()),
        }
        .map_err(cannot_watch)?;
        *self = Self::Ordered;
        Ok(())
    }
}

/// The poller could not be changed.
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
    fn tokens_say_whose_they_are_and_for_what() {
        for (client, cause) in
            [(0, Cause::Shown), (0, Cause::Room), (9999, Cause::Shown), (9999, Cause::Room)]
        {
            assert_eq!(Cause::of(cause.token(client)), (client, cause));
        }
    }
}
