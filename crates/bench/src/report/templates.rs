//! The templates: what is written of results, in words and in HTML. Figures come with all their digits, rows
//! by name; the templates write them as tables do.

use handshake_cli::complain;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, UndefinedBehavior, Value};
use serde::Serialize;

use super::grid::Grid;
use crate::model::metrics;
use crate::model::rows::{place, title};

const TEMPLATES: [(&str, &str); 5] = [
    ("conclusion.txt", include_str!("templates/conclusion.txt")),
    ("terminal.txt", include_str!("templates/terminal.txt")),
    ("section.md", include_str!("templates/section.md")),
    ("report.html", include_str!("templates/report.html")),
    ("charts.html", include_str!("templates/charts.html")),
];

/// Fills in a template. Results that took long to measure are worth more than an error in a template, which
/// the tests find: it is printed on stderr, and stands where the text would be.
pub(crate) fn render(name: &str, with: &impl Serialize) -> String {
    let text = environment().and_then(|all| all.get_template(name)?.render(Serde(with)));
    text.unwrap_or_else(|error| {
        let text = format!("{name} cannot be filled in: {error:#}");
        complain("lab", &text);
        text
    })
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut all = Environment::new();
    all.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    all.set_undefined_behavior(UndefinedBehavior::Chainable);
    all.add_filter("number", number);
    all.add_filter("place", |place: f64| format!("{place:.1}"));
    all.add_filter("title", |row: &str| title(row).to_owned());
    all.add_filter("class", class);
    all.add_filter("drawn", |grid: Serde<Grid>| grid.drawn());
    // Two of them would strike through what is between.
    all.add_filter("markdown", |text: &str| text.replace('~', "\\~").replace('|', "\\|"));
    TEMPLATES.into_iter().try_for_each(|(name, text)| all.add_template(name, text))?;
    Ok(all)
}

/// The class that gives a row its colour.
fn class(row: &str) -> String {
    place(row).map_or_else(|| "other".into(), |place| format!("c{place}"))
}

/// As in tables; what is no number, because it was infinite, is a dash.
fn number(value: &Value) -> String {
    metrics::number(f64::try_from(value.clone()).unwrap_or(f64::NAN))
}
