//! The layout of the output: columns, colours, headings, and line breaks. On a terminal each client has a
//! colour, which its subserver shares.

use std::env;
use std::io::{Write, stderr, stdout};

use anstyle::{AnsiColor, Color, Style};
use handshake_cli::{has_colour, has_escapes};
use handshake_core::error::Result;
use terminal_size::{Width, terminal_size_of};
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

use super::roster::{Actor, Roster};

/// The width of output that goes to no terminal, unless `COLUMNS` is set.
const COLUMNS: usize = 80;
/// The longest rule of a heading.
const RULE: usize = 79;
/// Stands for a space at which no line may break.
const NO_BREAK: char = '\u{a0}';
/// The width of `step 1  `, the course's number.
const STEP: usize = 8;
/// The width of `subserver 1 [12345] `, the process.
const WHO: usize = 21;

const COLOURS: [AnsiColor; 5] =
    [AnsiColor::Green, AnsiColor::Magenta, AnsiColor::Cyan, AnsiColor::Yellow, AnsiColor::Red];

/// The printer of the lab's output.
#[derive(Debug)]
pub(crate) struct Printer {
    colour: bool,
    /// Whether a prompt can be erased after its answer.
    wipes: bool,
    /// Whether a prompt stands on the last line.
    prompted: bool,
    /// Whether it prints nothing.
    silent: bool,
}

impl Printer {
    pub(crate) fn new() -> Self {
        Self {
            colour: has_colour(&stdout()),
            wipes: has_escapes(&stdout()) && has_escapes(&stderr()),
            prompted: false,
            silent: false,
        }
    }

    /// A printer that prints nothing.
    pub(super) fn silent() -> Self {
        Self { silent: true, ..Self::new() }
    }

    /// Prints the heading of a section.
    pub(crate) fn heading(&mut self, title: &str) -> Result<()> {
        let width = columns().saturating_sub(1).min(RULE);
        let rule = "─".repeat(width.saturating_sub(title.chars().count() + 4));
        let bold = self.style(Style::new().bold());
        self.line(&format!("\n{bold}── {title} {rule}{bold:#}"))
    }

    /// Prints an action of a process.
    pub(super) fn action(
        &mut self,
        step: Option<u8>,
        actor: Actor,
        roster: &Roster,
        text: &str,
    ) -> Result<()> {
        let step = step.map(|step| format!("step {step}")).unwrap_or_default();
        let (bold, own) = (self.style(Style::new().bold()), self.of(actor, roster));
        let process = roster.name(actor);
        self.fill(&format!("{bold}{step:<STEP$}{bold:#}{own}{process:<WHO$}{own:#}"), STEP + WHO, text)
    }

    /// Prints an explanation.
    pub(crate) fn note(&mut self, text: &str) -> Result<()> {
        let quiet = self.style(Style::new().italic());
        let lines = wrap("", 0, text, columns().saturating_sub(STEP));
        let lines = lines.iter().map(|line| format!("{:STEP$}{quiet}{line}{quiet:#}", ""));
        self.line(&lines.collect::<Vec<_>>().join("\n"))
    }

    /// Prints a paragraph that begins at the left edge.
    pub(crate) fn paragraph(&mut self, text: &str) -> Result<()> {
        self.fill("", 0, text)
    }

    /// Prints a detail of the line above.
    pub(crate) fn detail(&mut self, text: &str) -> Result<()> {
        self.fill("    ", 4, text)
    }

    /// Prints a line of a list, whose text begins behind `first`.
    pub(crate) fn item(&mut self, first: &str, text: &str) -> Result<()> {
        self.fill(&unbroken(first), first.chars().count(), text)
    }

    /// Prints `text` behind `first`. Further lines have an indent of `rest`.
    pub(super) fn fill(&mut self, first: &str, rest: usize, text: &str) -> Result<()> {
        self.line(&wrap(first, rest, text, columns()).join("\n"))
    }

    /// Prints the result of a check.
    pub(crate) fn verdict(&mut self, right: bool, claim: &str) -> Result<()> {
        let (mark, colour) = if right { ("✔", AnsiColor::Green) } else { ("✘", AnsiColor::Red) };
        let style = self.style(Style::new().bold().fg_color(Some(Color::Ansi(colour))));
        self.fill(&format!("{style}{mark}{style:#} "), 2, claim)
    }

    /// Prints a remark, which is neither right nor wrong.
    pub(crate) fn remark(&mut self, text: &str) -> Result<()> {
        let bold = self.style(Style::new().bold());
        self.fill(&format!("{bold}•{bold:#} "), 2, text)
    }

    /// An actor's name in its colour; no line breaks inside it.
    pub(super) fn name(&self, actor: Actor, roster: &Roster, name: &str) -> String {
        let (own, name) = (self.of(actor, roster), unbroken(name));
        format!("{own}{name}{own:#}")
    }

    /// Asks for Enter, on stderr: with the first of these texts that fits on one line, so that it can be
    /// erased.
    pub(super) fn prompt(&mut self, texts: &[String]) {
        let fits = |text: &&String| text.chars().count() < columns();
        let Some(text) = texts.iter().find(fits).or(texts.last()) else { return };
        if !self.prompted {
            let (bold, end) = (self.style(Style::new().bold()), if self.wipes { " " } else { "\n" });
            let _ = write!(stderr(), "{bold}{text}{bold:#}{end}");
            self.prompted = true;
        }
    }

    /// Erases the prompt after Enter, which has moved the cursor to the next line.
    pub(super) fn answered(&mut self) {
        if std::mem::take(&mut self.prompted) && self.wipes {
            let _ = stderr().write_all(b"\x1b[A\r\x1b[K");
        }
    }

    /// Prints a text unchanged, and a newline: a line of a table, or a command.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        if std::mem::take(&mut self.prompted) && self.wipes {
            let _ = stderr().write_all(b"\r\x1b[K");
        }
        if self.silent { Ok(()) } else { load::print(text) }
    }

    fn of(&self, actor: Actor, roster: &Roster) -> Style {
        let Some(client) = roster.client_served_by(actor) else {
            return self.style(AnsiColor::Blue.on_default().bold());
        };
        let colour = COLOURS[(client - 1) % COLOURS.len()].on_default();
        self.style(if matches!(actor, Actor::Client(_)) { colour.bold() } else { colour })
    }

    fn style(&self, style: Style) -> Style {
        if self.colour { style } else { Style::new() }
    }
}

/// The width of the terminal, or the value of `COLUMNS`.
fn columns() -> usize {
    let terminal = terminal_size_of(stdout()).map(|(Width(columns), _)| columns.into());
    let from_environment = || env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(from_environment).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

/// Breaks `text` into lines of at most `width` columns, between words only. `first` stands before the first
/// line, and an
/// indent of `rest` before the others. Line breaks in `text` are spaces; escape sequences have no width.
fn wrap(first: &str, rest: usize, text: &str, width: usize) -> Vec<String> {
    let rest = " ".repeat(rest);
    let options = Options::new(width)
        .initial_indent(first)
        .subsequent_indent(&rest)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    let text = text.replace('\n', " ");
    textwrap::wrap(&text, options).iter().map(|line| line.replace(NO_BREAK, " ")).collect()
}

/// A text without line breaks.
pub(super) fn unbroken(text: &str) -> String {
    text.replace(' ', &NO_BREAK.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_go_on_under_their_beginning() {
        let wrapped = wrap("step 1  ", 8, "creates the well-known pipe mario", 30);
        assert_eq!(wrapped, ["step 1  creates the well-known", "        pipe mario"]);
        assert_eq!(wrap("", 0, "one\ntwo", 80), ["one two"]);
        assert_eq!(wrap("", 2, "a verylongwordindeed b", 8), ["a", "  verylongwordindeed", "  b"]);
        assert_eq!(wrap("", 0, "request 1    [a]", 80), ["request 1    [a]"]);
        assert_eq!(wrap("", 0, "", 80), [""]);
    }

    #[test]
    fn names_are_not_broken_and_colours_have_no_width() {
        let text = format!("{} --> \u{1b}[1m{}\u{1b}[0m", unbroken("client 1"), unbroken("subserver 1"));
        assert_eq!(wrap("", 2, &text, 24), ["client 1 --> \u{1b}[1msubserver 1\u{1b}[0m"]);
        assert_eq!(wrap("", 2, &text, 23), ["client 1 -->", "  \u{1b}[1msubserver 1\u{1b}[0m"]);
    }
}
