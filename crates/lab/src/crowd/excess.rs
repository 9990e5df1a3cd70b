//! The clients beyond the server's capacity: they wait, unanswered, until others leave.

use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::Result;
use handshake_core::process::Process;

use super::load::{Load, Stay, TIMEOUT, await_reports};
use crate::server_under_test::{REST, ServerUnderTest};

/// How long to check that the excess clients get no answer: far longer than an answer takes.
pub(super) const WATCHED: Duration = Duration::from_secs(1);

/// What happened to the excess clients.
#[derive(Debug)]
pub(super) struct Excess {
    /// How many still had their private pipes at the end of that time: a client removes its pipe after the
    /// acknowledgement.
    pub(super) waited: usize,
    /// How many subservers there were at that moment.
    pub(super) subservers: usize,
    /// How many got the right reply after others had left.
    pub(super) served: usize,
    pub(super) complaints: Vec<String>,
}

/// Connects `beyond` more clients. After they have waited for a while, the clients of one load process leave.
///
/// # Errors
/// Those of [`await_reports`].
pub(super) fn connect_more(
    beyond: usize,
    leaving: &mut Load,
    server: &mut ServerUnderTest,
    process: &Process,
) -> Result<Excess> {
    let mut excess_load = [Load::start(server, beyond, Stay::UntilServed)?];
    let until = Deadline::after(REST);
    while private_pipes(server) < beyond && !excess_load[0].is_finished() && !until.passed() {
        await_reports(&mut excess_load, Deadline::in_exactly(Duration::from_millis(10)), server, process)?;
    }
    await_reports(&mut excess_load, Deadline::in_exactly(WATCHED), server, process)?;
    let (waited, subservers) = (private_pipes(server), server.snapshot().subservers.len());
    leaving.leave();
    await_reports(&mut excess_load, Deadline::after(2 * TIMEOUT), server, process)?;
    let served =
        excess_load[0].report().map_or(0, |report| report.requests.saturating_sub(report.mismatches));
    let (_, complaints) = excess_load[0].end(process)?;
    Ok(Excess { waited, subservers, served: usize::try_from(served).unwrap_or(usize::MAX), complaints })
}

/// How many clients have sent their names and got no answer.
fn private_pipes(server: &ServerUnderTest) -> usize {
    server.names().iter().filter(|name| name.contains(".client.")).count()
}
