//! The output of a race: the numbers of all rounds, and their explanation.

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{Cell, CellAlignment, Table};
use handshake_core::error::Result;
use naive::Stage;

use super::FinishedMatch;
use super::outcome::Outcome;
use super::plan::{Dialect, Match, Plan, Server};
use super::round::Round;
use crate::demo::printer::Printer;

pub(super) fn announce(plan: &Plan, printer: &mut Printer) -> Result<()> {
    let Plan { clients, rounds, patience, .. } = plan;
    let times = if *rounds == 1 { "once".into() } else { format!("{rounds} times") };
    printer.line(&format!("{clients} clients at one instant, {times}."))?;
    printer.paragraph(&format!(
        "Each has made its private pipe (step 3) before all are let go. A client that still waits when no \
         client has come to an end for {patience:?} counts as hanging, and is killed."
    ))
}

/// Prints the least, median and greatest numbers of all rounds.
pub(super) fn table(plan: &Plan, finished: &[FinishedMatch], printer: &mut Printer) -> Result<()> {
    let rounds = if plan.rounds == 1 { String::new() } else { " (median, least to greatest)".into() };
    printer.heading(&format!("Of {} clients{rounds}", plan.clients))?;
    let mut table = Table::new();
    let header = ["", "served", "told", "wrong", "hanging", "seconds"];
    table.load_style(UTF8_BORDERS_ONLY).set_header(header);
    for finished_match in finished {
        let counts = Outcome::ALL.map(|outcome| figures(&finished_match.rounds, outcome, plan.clients));
        let seconds = seconds(&finished_match.rounds);
        let name =
            format!("{}\n{}", finished_match.pairing.server.name(), finished_match.pairing.dialect.clients());
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let figures = counts.into_iter().chain([seconds]).map(right);
        table.add_row([Cell::new(name)].into_iter().chain(figures));
    }
    printer.line(&table.to_string())?;
    printer.note("seconds: from the start until the last client ended by itself")
}

/// `16 = 32 %`, and below it the least and the greatest number.
fn figures(rounds: &[Round], outcome: Outcome, clients: usize) -> String {
    let counts: Vec<f64> = rounds.iter().map(|round| round.with_outcome(outcome) as f64).collect();
    let [least, median, greatest] = spread(&counts);
    let share = 100.0 * median / clients as f64;
    let figure = format!("{median} = {share:.0} %");
    if rounds.len() == 1 { figure } else { format!("{figure}\n{least} to {greatest}") }
}

fn seconds(rounds: &[Round]) -> String {
    let took: Vec<f64> =
        rounds.iter().filter_map(|round| round.took).map(|took| took.as_secs_f64()).collect();
    if took.is_empty() {
        return "none ended".into();
    }
    let [least, median, greatest] = spread(&took);
    if rounds.len() == 1 {
        format!("{median:.3}")
    } else {
        format!("{median:.3}\n{least:.3} to {greatest:.3}")
    }
}

/// The least, median and greatest of at least one sample.
fn spread(samples: &[f64]) -> [f64; 3] {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    [sorted[0], f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)]), sorted[last]]
}

/// Explains the outcomes; for the original only from what was observed.
pub(super) fn explain(pairing: Match, rounds: &[Round], printer: &mut Printer) -> Result<()> {
    let sum = |outcome| rounds.iter().map(|round| round.with_outcome(outcome)).sum::<usize>();
    if pairing.server == Server::Original {
        return explain_losses(rounds, printer);
    }
    printer.note(match (pairing.dialect, pairing.server) {
        (Dialect::Course, _) if sum(Outcome::Notified) > 0 => SENT_AWAY,
        (Dialect::Course, _) => QUEUED,
        (Dialect::Framed, Server::Basic) => OWN_TURN,
        (Dialect::Framed, Server::SharedWkp) => SHARED,
        (Dialect::Framed, _) => FRESH,
    })?;
    if sum(Outcome::Hanging) > 0 {
        print_stages(rounds, printer)?;
    }
    Ok(())
}

fn explain_losses(rounds: &[Round], printer: &mut Printer) -> Result<()> {
    print_stages(rounds, printer)?;
    let at = |stage: Stage| rounds.iter().map(|round| round.hanging_at(stage)).sum::<usize>();
    let wrong: usize = rounds.iter().map(|round| round.with_outcome(Outcome::Wrong)).sum();
    let reasons = [
        (at(Stage::OpensPrivatePipe) > 0, NAMES_UNREAD),
        (wrong > 0, REPLY_TO_NAME),
        (at(Stage::SeeksWkp) > 0, NO_NEXT_WKP),
        (at(Stage::OpensWkp) > 0, OPENED_TOO_LATE),
        (rounds.iter().all(|round| round.with_outcome(Outcome::Served) == round.clients()), LUCK),
    ];
    reasons.iter().filter(|(seen, _)| *seen).try_for_each(|(_, text)| printer.note(text))
}

/// Prints how many clients hang in each step.
fn print_stages(rounds: &[Round], printer: &mut Printer) -> Result<()> {
    for stage in Stage::unserved() {
        let there: usize = rounds.iter().map(|round| round.hanging_at(stage)).sum();
        if there > 0 {
            printer.detail(&format!("over all rounds: {there} {}", stage.in_words()))?;
        }
    }
    Ok(())
}

const NAMES_UNREAD: &str = "\
Several clients had opened the same well-known pipe. The server read the first name. The other
names came after it, into the first client's session: the server took them for messages, or
never read them. It will never open the private pipes of these clients.";

const REPLY_TO_NAME: &str = "\
The server answered those messages, so the first client got another client's name as a reply.";

const NO_NEXT_WKP: &str = "\
A hanging client holds its end of that pipe open. The pipe never ends, so the server waits there
for ever and makes no other pipe. The other clients look for one in vain.";

const OPENED_TOO_LATE: &str = "\
A client had found the well-known pipe's name, and opened the pipe after the server had closed
it: open(2) waits for a reader, and none will come.";

const LUCK: &str = "\
No client was lost: each opened a well-known pipe that no other client had open. That is luck.";

const SENT_AWAY: &str = "\
The server turned some clients away: it opened and closed their private pipes, and they read
end of file.";

const QUEUED: &str = "\
Several clients had opened the same well-known pipe, here too: naive clients take no lock. But
a client whose name comes through another client's pipe waits for that pipe, in open(2) of its
own private pipe. The server acknowledges it when the other client leaves. They share the pipe,
one at a time.";

const OWN_TURN: &str = "\
A name is a frame, written under a lock while the pipe still has its name. So no two are
taken for one, and none comes too late: all stand in line, each gets a pipe of its own.";

const FRESH: &str = "\
A name is a frame, written under a lock while the pipe still has its name. So no two are
taken for one, and none comes too late: the first keeps the pipe, the others get fresh ones.";

const SHARED: &str = "\
A name is a frame, and all go on sending frames, each in one write, to a pipe that keeps
its name: so no name comes too late, and the server knows whose each frame is.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(spread(&[3.0]), [3.0, 3.0, 3.0]);
        assert_eq!(spread(&[3.0, 1.0]), [1.0, 2.0, 3.0]);
        assert_eq!(spread(&[5.0, 1.0, 3.0]), [1.0, 3.0, 5.0]);
    }
}
