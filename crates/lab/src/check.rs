//! The checks at the end of a run: what was seen, what was expected, and what is wrong.

use handshake_core::error::{Error, Result, signal_name};

use crate::demo::printer::Printer;
use crate::server_under_test::{Ending, ServerUnderTest, Snapshot};

/// One check.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) right: bool,
    /// What was seen, and expected.
    pub(crate) claim: String,
    /// What is wrong, or advice.
    pub(crate) details: Vec<String>,
}

impl Check {
    /// A check that is right if nothing is wrong.
    pub(crate) fn new(claim: String, wrong: impl IntoIterator<Item = String>) -> Self {
        let details = Vec::from_iter(wrong);
        Self { right: details.is_empty(), claim, details }
    }

    pub(crate) fn that(right: bool, claim: String) -> Self {
        Self::new(claim, (!right).then(|| "it is not as expected".to_owned()))
    }

    pub(crate) fn right(claim: String) -> Self {
        Self::new(claim, [])
    }

    pub(crate) fn wrong(claim: String, advice: impl Into<Option<String>>) -> Self {
        Self { right: false, claim, details: Vec::from_iter(advice.into()) }
    }
}

/// Prints the results. Returns whether all checks passed.
///
/// # Errors
/// Stdout was closed.
pub(crate) fn print(checks: impl IntoIterator<Item = Check>, printer: &mut Printer) -> Result<bool> {
    let mut right = true;
    for check in checks {
        printer.verdict(check.right, &check.claim)?;
        right &= check.right;
        check.details.iter().try_for_each(|detail| printer.detail(detail))?;
    }
    Ok(right)
}

/// Ends the server after a run, and prints the verdict's heading. Returns how the server ended; and what
/// ended the run before, if the server died.
///
/// # Errors
/// That of the run, unless the server died. Stdout was closed.
pub(crate) fn end(
    ran: Result<()>,
    mut server: ServerUnderTest,
    printer: &mut Printer,
) -> Result<(Ending, Option<String>)> {
    let died = match ran {
        Ok(()) => None,
        Err(error @ Error::Lost { .. }) => Some(error.to_string()),
        Err(Error::Signal(number)) => {
            drop(server);
            printer.heading("Verdict")?;
            return Err(interrupted(number, printer)?);
        }
        Err(error) => return Err(error),
    };
    let ending = server.close();
    printer.heading("Verdict")?;
    Ok((ending, died))
}

/// Prints that a run was interrupted. Returns the error to end with.
///
/// # Errors
/// Stdout was closed.
pub(crate) fn interrupted(number: i32, printer: &mut Printer) -> Result<Error> {
    let signal = signal_name(number);
    printer.verdict(false, &format!("interrupted by {signal}: incomplete, nothing is proved"))?;
    Ok(Error::Signal(number))
}

impl Ending {
    /// The checks that the server ended well and left nothing behind.
    pub(crate) fn checks(&self) -> [Check; 4] {
        let Self { status, outlived, names, complaints } = self;
        [
            Check::that(
                status.success(),
                format!("the server's end after SIGTERM: {status} (expected exit status: 0)"),
            ),
            Check::that(
                outlived.is_empty(),
                format!("{} subservers outlived it (expected 0)", outlived.len()),
            ),
            Check::new(
                format!("{} names left in its directory (expected 0)", names.len()),
                names.iter().map(|name| format!("left: {name}")),
            ),
            Check::new(
                format!("{} complaints on the server's stderr (expected 0)", complaints.len()),
                complaints.iter().cloned(),
            ),
        ]
    }
}

impl Snapshot {
    /// The checks that a server without clients holds no more than before the first one.
    pub(crate) fn as_before(&self, before: &Self) -> [Check; 2] {
        let (had, has) = (before.descriptors.len(), self.descriptors.len());
        let listed =
            (had != has).then(|| format!("before: {:?}; after: {:?}", before.descriptors, self.descriptors));
        [
            Check::new(
                format!("the server has {has} descriptors (expected {had}, as before the first client)"),
                listed,
            ),
            Check::that(
                self.subservers.is_empty() && self.zombies == 0,
                format!("{} subservers, {} zombies (expected 0 and 0)", self.subservers.len(), self.zombies),
            ),
        ]
    }
}
