//! Paragraphs that differ only in numbers: of a crowd that waits alike, the first is printed for all.

use std::collections::BTreeMap;

use handshake_core::Result;
use pipe_watch::look::{Deadlock, Finding, Kind};

use super::course::{Step, remedy};
use crate::demo::printer::Printer;

/// So many paragraphs alike are printed each.
const PRINTED_MAX: usize = 3;

/// The most numbers of those that are not printed.
const NUMBERS_MAX: usize = 8;

/// A finding or a deadlock, as it is printed.
#[derive(Debug)]
pub(super) struct Paragraph {
    sentence: String,
    details: Vec<String>,
    /// What several of these do.
    them: &'static str,
    /// The PID, the thread ID, or the PIDs of a deadlock.
    number: String,
}

impl Paragraph {
    pub(super) fn of_finding(finding: &Finding, step: Option<&Step>) -> Self {
        let remedy = remedy(finding, step).map(|remedy| format!("likely remedy: {remedy}"));
        let is_thread = finding.tid != finding.pid;
        Self {
            sentence: finding.sentence.clone(),
            details: step.map(|step| step.text.clone()).into_iter().chain(remedy).collect(),
            them: match finding.kind {
                Kind::Zombie => "processes have ended alike",
                Kind::Stopped => "processes are stopped alike",
                Kind::Busy | Kind::Running if is_thread => "threads run alike",
                Kind::Busy | Kind::Running => "processes run alike",
                _ if is_thread => "threads wait alike",
                _ => "processes wait alike",
            },
            number: finding.tid.to_string(),
        }
    }

    pub(super) fn of_deadlock(deadlock: &Deadlock) -> Self {
        let pids: Vec<_> = deadlock.pids.iter().map(u32::to_string).collect();
        Self {
            sentence: deadlock.sentence.clone(),
            details: vec![format!("likely remedy: {}", deadlock.remedy)],
            them: "deadlocks are alike",
            number: pids.join("+"),
        }
    }

    /// The text without its numbers: PIDs, inodes, descriptors, times.
    fn key(&self) -> String {
        let mut key = String::new();
        for c in [&self.sentence].into_iter().chain(&self.details).flat_map(|text| text.chars()) {
            match c {
                '0'..='9' if key.ends_with('#') => {}
                '0'..='9' => key.push('#'),
                c => key.push(c),
            }
        }
        key
    }
}

/// Prints these paragraphs, each sentence by `sentence`. Of more than three that differ only in numbers, it
/// prints the first, and the numbers of the others.
pub(super) fn print(
    paragraphs: impl Iterator<Item = Paragraph>,
    printer: &mut Printer,
    sentence: impl Fn(&mut Printer, &str) -> Result<()>,
) -> Result<()> {
    for group in groups(paragraphs) {
        let printed = if group.len() > PRINTED_MAX { 1 } else { group.len() };
        let (printed, rest) = group.split_at(printed);
        for paragraph in printed {
            sentence(printer, &paragraph.sentence)?;
            paragraph.details.iter().try_for_each(|detail| printer.detail(detail))?;
        }
        if let [first, ..] = rest {
            let mut numbers: Vec<_> = rest.iter().take(NUMBERS_MAX).map(|one| one.number.as_str()).collect();
            numbers.extend((rest.len() > NUMBERS_MAX).then_some("..."));
            printer.detail(&format!("and {} more {}: {}", rest.len(), first.them, numbers.join(", ")))?;
        }
    }
    Ok(())
}

/// The paragraphs that differ only in numbers, in the order of the first of each group.
fn groups(paragraphs: impl Iterator<Item = Paragraph>) -> Vec<Vec<Paragraph>> {
    let (mut groups, mut known) = (Vec::<Vec<_>>::new(), BTreeMap::new());
    for paragraph in paragraphs {
        let group = *known.entry(paragraph.key()).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(group) => group.push(paragraph),
            None => groups.push(vec![paragraph]),
        }
    }
    groups
}
