//! What a race says: the numbers of all rounds, and why they are as they are.

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{Cell, CellAlignment, Table};
use handshake_core::error::Result;
use naive::Stage;

use super::Played;
use super::fate::Fate;
use super::plan::{Dialect, Match, Plan, Server};
use super::round::Round;
use crate::demo::voice::Voice;

pub(super) fn announce(plan: &Plan, voice: &mut Voice) -> Result<()> {
    let Plan { clients, rounds, patience, .. } = plan;
    let times = if *rounds == 1 { "once".into() } else { format!("{rounds} times") };
    voice.line(&format!("{clients} clients at one instant, {times}."))?;
    voice.paragraph(&format!(
        "Each has made its private pipe (step 3) before all are let go. A client that still waits when no \
         client has come to an end for {patience:?} is hanging, and is ended by its number."
    ))
}

/// Least, median and greatest of all rounds.
pub(super) fn table(plan: &Plan, played: &[Played], voice: &mut Voice) -> Result<()> {
    let rounds = if plan.rounds == 1 { String::new() } else { " (median, least to greatest)".into() };
    voice.heading(&format!("Of {} clients{rounds}", plan.clients))?;
    let mut table = Table::new();
    let header = ["", "served", "told", "wrong", "hanging", "seconds"];
    table.load_style(UTF8_BORDERS_ONLY).set_header(header);
    for over in played {
        let counts = Fate::ALL.map(|fate| figures(&over.rounds, fate, plan.clients));
        let seconds = seconds(&over.rounds);
        let name = format!("{}\n{}", over.who.server.name(), over.who.dialect.clients());
        let figures = counts.into_iter().chain([seconds]).map(right);
        table.add_row([Cell::new(name)].into_iter().chain(figures));
    }
    voice.line(&table.to_string())?;
    voice.note("seconds: from the instant to the last end that was nobody's but the client's own")
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// `16 = 32 %`, and below it the least and the greatest.
fn figures(rounds: &[Round], fate: Fate, clients: usize) -> String {
    let counts: Vec<f64> = rounds.iter().map(|round| round.of_fate(fate) as f64).collect();
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

/// Least, median, greatest, of at least one.
fn spread(samples: &[f64]) -> [f64; 3] {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    [sorted[0], f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)]), sorted[last]]
}

/// Why that became of them; of the original only what was seen.
pub(super) fn why(who: Match, rounds: &[Round], voice: &mut Voice) -> Result<()> {
    let sum = |fate| rounds.iter().map(|round| round.of_fate(fate)).sum::<usize>();
    if who.server == Server::Original {
        return why_lost(rounds, voice);
    }
    voice.note(match (who.dialect, who.server) {
        (Dialect::Course, _) if sum(Fate::Told) > 0 => TOLD,
        (Dialect::Course, _) => QUEUED,
        (Dialect::Framed, Server::Basic) => IN_LINE,
        (Dialect::Framed, Server::SharedWkp) => SHARED,
        (Dialect::Framed, _) => FRESH,
    })?;
    if sum(Fate::Hanging) > 0 {
        tell_stages(rounds, voice)?;
    }
    Ok(())
}

fn why_lost(rounds: &[Round], voice: &mut Voice) -> Result<()> {
    tell_stages(rounds, voice)?;
    let at = |stage: Stage| rounds.iter().map(|round| round.hanging_at(stage)).sum::<usize>();
    let wrong: usize = rounds.iter().map(|round| round.of_fate(Fate::Wrong)).sum();
    let reasons = [
        (at(Stage::OpensPrivatePipe) > 0, UNHEARD),
        (wrong > 0, CROSSED),
        (at(Stage::SeeksWkp) > 0, NO_NEXT),
        (at(Stage::OpensWkp) > 0, BEHIND_A_CLOSED_DOOR),
        (rounds.iter().all(|round| round.of_fate(Fate::Served) == round.clients()), LUCK),
    ];
    reasons.iter().filter(|(seen, _)| *seen).try_for_each(|(_, why)| voice.note(why))
}

/// Where those hang of whom that is known.
fn tell_stages(rounds: &[Round], voice: &mut Voice) -> Result<()> {
    for stage in Stage::UNSERVED {
        let there: usize = rounds.iter().map(|round| round.hanging_at(stage)).sum();
        if there > 0 {
            voice.detail(&format!("over all rounds: {there} {}", stage.in_words()))?;
        }
    }
    Ok(())
}

const UNHEARD: &str = "\
Several had opened the same well-known pipe. The server read the first name; the others'
came after it, into the first one's session, where they were taken for messages, or never read.
Nobody will ever open their private pipes.";

const CROSSED: &str = "\
Those messages were answered: so the first one got somebody's name for a reply.";

const NO_NEXT: &str = "\
Who hangs holds its end of that pipe open. So it never ends, the server waits there for
ever and makes no other, and all the rest look for one in vain.";

const BEHIND_A_CLOSED_DOOR: &str = "\
One had found the well-known pipe's name and opened it when the server had closed it
already: open(2) waits for a reader, and none will come.";

const LUCK: &str = "\
Nobody was lost: each opened a well-known pipe that nobody else had open. That is luck.";

const TOLD: &str = "\
Some were sent away: their private pipes were opened and closed, which is end of file.";

const QUEUED: &str = "\
Several had opened the same well-known pipe, here too: naive clients take no lock. But
whoever's name comes through a pipe that another one has waits for it, in open(2) of its own
private pipe, and is acknowledged when the other one leaves. They share it, one at a time.";

const IN_LINE: &str = "\
A name is a record, written under a lock while the pipe still has its name. So no two are
taken for one, and none comes too late: all stand in line, each gets a pipe of its own.";

const FRESH: &str = "\
A name is a record, written under a lock while the pipe still has its name. So no two are
taken for one, and none comes too late: the first keeps the pipe, the others get fresh ones.";

const SHARED: &str = "\
A name is a record, and all go on sending records, each in one write, to a pipe that keeps
its name: so nobody comes too late, and the server knows whose each record is.";

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
