//! report.html: one page that needs nothing else, in the light and in the dark.

mod plots;
mod svg;

use crate::model::baseline::Changes;
use crate::model::metrics::{metric_of, number};
use crate::model::results::{Finding, Results};
use crate::model::rows::{row, title};
use crate::report::grid::{self, Grid, LEGEND, grids, short_grids};
use plots::{Plot, class, plots};

const STYLE: &str = include_str!("style.css");

/// The whole page.
pub(crate) fn page(results: &Results, changes: Option<&Changes>) -> String {
    let body: String = [
        heading(results),
        section("What follows from it", &findings(&results.conclusion)),
        targets(results),
        section("Drawn", &drawings(results)),
        changes.map_or_else(String::new, |changes| section("What has changed", &told(changes))),
        section("The figures", &tables(results)),
        section("Who was compared", &rows(results)),
        section("How to do it again", &commands(results)),
    ]
    .concat();
    format!(
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta name=viewport content='width=device-width, initial-scale=1'>\n\
         <title>Three ways to serve many clients, measured</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// As text in HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&quot;")
}

fn section(title: &str, body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("<section>\n<h2>{title}</h2>\n{body}</section>\n") }
}

fn heading(results: &Results) -> String {
    let mut warnings = results.machine.warnings();
    if results.incomplete {
        warnings.insert(0, "Interrupted: this is what was measured by then.".into());
    }
    if results.runs < 5 {
        warnings.push(format!("Only {} runs of each row: fewer than 5 are no result.", results.runs));
    }
    let warnings: String =
        warnings.iter().map(|warning| format!("<p class=warning>{}</p>\n", escape(warning))).collect();
    let form = if results.full { "full" } else { "quick" };
    format!(
        "<header>\n<h1>Three ways to serve many clients over named pipes, measured</h1>\n\
         <p class=lead>The basic, the forking and the central dispatch server beside bare pipes, Unix sockets and the \
         protocol as taught. The {form} form{}, {} in {:.0} s, {} runs of each row. A {}.</p>\n{warnings}</header>\n",
        escape(&results.waited()),
        escape(&results.began.replace('T', " ").replace('Z', " UTC")),
        results.seconds,
        results.runs,
        escape(&results.machine.in_words())
    )
}

fn findings(findings: &[Finding]) -> String {
    let one = |(index, finding): (usize, &Finding)| {
        let answer = escape(&finding.answer);
        // The first answer has a sentence for each need.
        let answer = if index == 0 && findings.len() > 1 {
            let needs: String =
                answer.split_inclusive(". ").map(|need| format!("<li>{}</li>", need.trim())).collect();
            format!("<ul>{needs}</ul>")
        } else {
            format!("<p>{answer}</p>")
        };
        format!("<div class=finding><h3>{}</h3>{answer}</div>\n", escape(&finding.question))
    };
    let all: String = findings.iter().enumerate().map(one).collect();
    format!("<div class=findings>\n{all}</div>\n")
}

fn targets(results: &Results) -> String {
    let table = |grid| table(&Grid { title: String::new(), ..grid });
    section("Targets", &grid::targets(results).map(table).unwrap_or_default())
}

fn drawings(results: &Results) -> String {
    let plots = plots(results);
    if plots.is_empty() {
        return String::new();
    }
    let all: String = plots.iter().map(drawing).collect();
    format!("<div class=plots>\n{all}</div>\n")
}

fn drawing(plot: &Plot) -> String {
    let entry =
        |name: &String| format!("<span><i class='{}'></i>{}</span>", class(name), escape(title(name)));
    let legend: String = plot.legend.iter().map(entry).collect();
    let legend = if legend.is_empty() { legend } else { format!("<div class=legend>{legend}</div>") };
    format!(
        "<figure><h3>{}</h3><div class=says>{}</div>{legend}{}</figure>\n",
        escape(&plot.title),
        escape(plot.says),
        plot.svg
    )
}

fn tables(results: &Results) -> String {
    let short = short_grids(results);
    let all = grids(results);
    let mut html = format!("<p class=says>{}</p>\n", escape(LEGEND));
    html.extend(short.iter().map(table));
    html.push_str(&totals(results));
    if all.len() > short.len() {
        // Those of throughput were drawn together above.
        let details: String = all.iter().filter(|grid| !short.contains(grid)).map(table).collect();
        html.push_str(&format!(
            "<details><summary>Throughput in all detail</summary>\n{details}</details>\n"
        ));
    }
    html
}

fn table(grid: &Grid) -> String {
    let headline = |text: &String| match text.split_once(", ") {
        Some((what, unit)) => format!("<th>{}<small>{}</small></th>", escape(what), escape(unit)),
        None => format!("<th>{}</th>", escape(text)),
    };
    let header: String = grid.header.iter().map(headline).collect();
    let cell = |cell: &Vec<String>| {
        let (first, more) = cell.split_first().map_or(("", &[][..]), |(first, more)| (first.as_str(), more));
        let more: String = more.iter().map(|line| format!("<small>{}</small>", escape(line))).collect();
        let class = match first {
            "reached" => " class=better",
            "not reached" => " class=worse",
            _ => "",
        };
        format!("<td{class}>{}{more}</td>", escape(first))
    };
    let line = |line: &crate::report::grid::Line| {
        let cells: String = line.cells.iter().map(cell).collect();
        format!("<tr{}>{cells}</tr>\n", if line.is_paradigm { " class=paradigm" } else { "" })
    };
    let lines: String = grid.lines.iter().map(line).collect();
    let notes: String = grid.notes.iter().map(|note| format!("<p class=note>{}</p>", escape(note))).collect();
    format!(
        "<div class=table><h3>{}</h3><table><tr>{header}</tr>\n{lines}</table>{notes}</div>\n",
        escape(&grid.title)
    )
}

fn totals(results: &Results) -> String {
    let line = |total: &crate::model::results::Total| {
        let counts = [total.answered, total.lost, total.wrong, total.failed_trials];
        let counts: String =
            counts.iter().map(|count| format!("<td>{}</td>", number(*count as f64))).collect();
        let paradigm = row(&total.row).is_some_and(|row| row.is_paradigm());
        let class = if paradigm { " class=paradigm" } else { "" };
        format!("<tr{class}><td>{}</td>{counts}</tr>\n", escape(title(&total.row)))
    };
    let lines: String = results.totals.iter().map(line).collect();
    format!(
        "<div class='table plain'><h3>Over all trials</h3><table><tr><th></th><th>replies and handshakes checked</th>\
         <th>lost</th><th>wrong</th><th>failed trials</th></tr>\n{lines}</table></div>\n"
    )
}

fn told(changes: &Changes) -> String {
    let line = |change: &crate::model::baseline::Change| {
        let metric = metric_of(&change.metric).map_or(change.metric.as_str(), |metric| metric.title);
        let over = change.to.as_ref().map(|to| format!(" over {}", title(to))).unwrap_or_default();
        let (class, word) = if change.better { ("better", "better") } else { ("worse", "worse") };
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}{}</td><td>{}</td><td>{}</td><td class={class}>{word}</td></tr>\n",
            escape(title(&change.row)),
            change.placement.title(),
            escape(&change.column),
            escape(metric),
            escape(&over),
            number(change.before),
            number(change.now)
        )
    };
    let lines: String = changes.changes.iter().map(line).collect();
    let warning = if changes.warning.is_empty() {
        String::new()
    } else {
        format!("<p class=warning>The earlier run is hard to compare with: {}.</p>", escape(&changes.warning))
    };
    format!(
        "<p>Since {}: {} of {} figures have changed by more than chance.</p>{warning}<div class=table><table><tr><th></th>\
         <th>placement</th><th>column</th><th>figure</th><th>before</th><th>now</th><th></th></tr>\n{lines}</table></div>\n",
        escape(&changes.since),
        changes.changes.len(),
        changes.compared
    )
}

fn rows(results: &Results) -> String {
    let named = results.totals.iter().filter_map(|total| row(&total.row));
    let list: String =
        named.map(|row| format!("<dt>{}</dt><dd>{}</dd>", escape(row.title), escape(row.what))).collect();
    if list.is_empty() { list } else { format!("<dl>{list}</dl>\n") }
}

fn commands(results: &Results) -> String {
    let mut html = format!(
        "<p>The whole: <code>{}</code></p>\n<p class=says>Each trial has a new directory, DIR. taskset stands for how the \
         processes are kept on a processor.</p>\n",
        escape(&results.command)
    );
    for column in results.columns.iter().filter(|column| !column.commands.is_empty()) {
        let line = |one: &crate::model::results::Commands| {
            format!("{}\n{}\n", escape(&one.server), escape(&one.client))
        };
        let lines: Vec<String> = column.commands.iter().map(line).collect();
        html.push_str(&format!(
            "<details><summary>{}: {}</summary><pre>{}</pre></details>\n",
            escape(&column.id),
            escape(&column.title),
            lines.join("\n")
        ));
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::results::samples::results;

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let mut results = results();
        results = results.judged();
        let page = page(&results, None);
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
        assert!(page.contains("lab &lt;compare&gt; &amp; &#39;more&#39;"));
    }
}
