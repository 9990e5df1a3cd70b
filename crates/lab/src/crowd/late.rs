//! The clients beyond the server's capacity: they wait, unanswered, until others leave.

use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::Result;
use handshake_core::process::Process;

use super::load::{Load, PATIENCE, Stay, await_reports};
use crate::house::{House, REST};

/// How long to check that the excess clients get no answer: far longer than an answer takes.
const WATCHED: Duration = Duration::from_secs(1);

/// What happened to the excess clients.
#[derive(Debug)]
pub(super) struct Late {
    /// How many still had their private pipes at the end of that time: a client removes its pipe after the
    /// acknowledgement.
    pub(super) waited: usize,
    /// How many subservers there were at that moment.
    pub(super) subservers: usize,
    /// How many got the right reply after others had left.
    pub(super) served: usize,
    pub(super) complaints: Vec<String>,
}

impl Late {
    pub(super) const WATCHED: Duration = WATCHED;
}

/// Connects `beyond` more clients. After they have waited for a while, the clients of one load process leave.
///
/// # Errors
/// Those of [`await_reports`].
pub(super) fn let_more_come(
    beyond: usize,
    leaving: &mut Load,
    house: &mut House,
    process: &Process,
) -> Result<Late> {
    let mut more = [Load::start(house, beyond, Stay::UntilServed)?];
    let until = Deadline::after(REST);
    while private_pipes(house) < beyond && !more[0].is_told() && !until.passed() {
        await_reports(&mut more, Deadline::in_exactly(Duration::from_millis(10)), house, process)?;
    }
    await_reports(&mut more, Deadline::in_exactly(WATCHED), house, process)?;
    let (waited, subservers) = (private_pipes(house), house.look().subservers.len());
    leaving.leave();
    await_reports(&mut more, Deadline::after(2 * PATIENCE), house, process)?;
    let served = more[0].report().map_or(0, |report| report.requests.saturating_sub(report.mismatches));
    let (_, complaints) = more[0].end(process)?;
    Ok(Late { waited, subservers, served: usize::try_from(served).unwrap_or(usize::MAX), complaints })
}

/// How many clients have sent their names and got no answer.
fn private_pipes(house: &House) -> usize {
    house.names().iter().filter(|name| name.contains(".client.")).count()
}
