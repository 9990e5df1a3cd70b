//! Results, written down: on the terminal, as a page, in a Markdown page, and in files.
//!
//! Reading order: `tables` lays the figures out, each table as a `grid`; `conclusion` works out what they
//! mean, `plots` what is drawn, as `charts`. All three forms show the same [`view`] of that, each by its
//! template in templates/. What is deliberately absent: a table that is laid out twice.

pub(crate) mod conclusion;
pub(crate) mod files;
pub(crate) mod markdown;

mod charts;
mod grid;
mod plots;
mod tables;
mod templates;

use serde_json::{Value, json};

use crate::model::baseline::Changes;
use crate::model::results::{Results, Total};
use crate::model::rows::row;
use grid::Grid;
use tables::{LEGEND, grids, short_grids};

const STYLE: &str = include_str!("templates/style.css");

/// All tables, the conclusion, and what has changed, for the terminal.
pub(crate) fn terminal(results: &Results, changes: Option<&Changes>) -> String {
    templates::render("terminal.txt", &view(results, changes))
}

/// report.html: one page that needs nothing else, in the light and in the dark.
pub(crate) fn page(results: &Results, changes: Option<&Changes>) -> String {
    templates::render("report.html", &view(results, changes)) + "\n"
}

/// What a Markdown page has between its marks.
fn section(results: &Results) -> String {
    templates::render("section.md", &view(results, None))
}

/// What the templates show.
fn view(results: &Results, changes: Option<&Changes>) -> Value {
    let short = short_grids(results);
    let details: Vec<Grid> = grids(results).into_iter().filter(|grid| !short.contains(grid)).collect();
    let of_total = |total: &Total| row(&total.row);
    json!({
        "style": STYLE,
        "began": results.began,
        "seconds": format!("{:.0}", results.seconds),
        "runs": results.runs,
        "full": results.full,
        "incomplete": results.incomplete,
        "waited": results.waited(),
        "command": results.command,
        "machine": results.machine.in_words(),
        "warnings": results.machine.warnings(),
        "conclusion": results.conclusion,
        "targets": tables::targets(results),
        "plots": plots::plots(results),
        "changes": changes,
        "legend": LEGEND,
        "grids": short,
        "details": details,
        "totals": tables::totals(results),
        "rows": results.totals.iter().filter_map(of_total).collect::<Vec<_>>(),
        "columns": results.columns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::results;

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = page(&results().judged(), None);
        for wrong in ["http://", "https://", "src=", "@import", "url(", "<script"] {
            assert!(!page.contains(wrong), "{wrong}");
        }
        for part in [
            "<svg",
            "What follows from it",
            "<h2>Targets</h2>",
            "class=worse>not reached<",
            "The figures",
            "bare FIFO ping-pong",
            "lab compare",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<table>").count(), page.matches("</table>").count());
    }

    #[test]
    fn what_is_doubtful_stands_at_the_top_and_text_is_no_markup() {
        let mut results = results();
        results.incomplete = true;
        results.command = "lab <compare> & 'more'".into();
        let page = page(&results, None);
        assert!(page.contains("<p class=warning>Interrupted"));
        assert!(page.contains("lab &lt;compare&gt; &amp; &#x27;more&#x27;"));
    }

    #[test]
    fn all_tables_are_on_the_terminal_and_what_is_incomplete_says_so() {
        let mut results = results().judged();
        let before = terminal(&results, None);
        assert!(before.contains("Round trip, 64 bytes") && before.contains("Over all trials"), "{before}");
        assert!(before.contains("\nTargets\n") && before.contains("with --wait adaptive"), "{before}");
        assert!(!before.contains("Interrupted"));
        results.incomplete = true;
        let changes = Changes::between(&results, &results);
        let after = terminal(&results, Some(&changes));
        assert!(after.contains("Interrupted") && after.contains(": 0 of "), "{after}");
    }

    #[test]
    fn every_template_can_be_filled_in() {
        let mut bare = results();
        (bare.figures, bare.totals, bare.trials, bare.columns) = Default::default();
        for results in [results().judged(), bare.judged()] {
            let changes = Changes::between(&results, &results);
            let texts =
                [terminal(&results, Some(&changes)), page(&results, Some(&changes)), section(&results)];
            for text in texts.iter().chain(results.conclusion.iter().map(|finding| &finding.answer)) {
                assert!(!text.contains("cannot be filled in"), "{text}");
            }
            assert_eq!(results.conclusion.last().unwrap().question, "What is doubtful here?");
        }
    }
}
