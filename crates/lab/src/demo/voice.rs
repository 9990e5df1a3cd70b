//! How the story looks: columns, colours, headings, and where lines break. On a terminal each client has a
//! colour, shared by its subserver.

use std::env;
use std::io::{Write, stderr, stdout};

use anstyle::{AnsiColor, Color, Style};
use handshake_cli::{has_colour, has_escapes};
use handshake_core::error::{Error, Result, errno_of};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use terminal_size::{Width, terminal_size_of};
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

use super::cast::{Actor, Cast};

/// Columns of a page that is no terminal, unless `COLUMNS` says otherwise.
const COLUMNS: usize = 80;
/// The longest rule of a heading.
const RULE: usize = 79;
/// Does not break where a line may: stands for the space in a name.
const NO_BREAK: char = '\u{a0}';
/// `step 1  `: the course's number.
const STEP: usize = 8;
/// `subserver 1 [12345] `: who.
const WHO: usize = 21;

const COLOURS: [AnsiColor; 5] =
    [AnsiColor::Green, AnsiColor::Magenta, AnsiColor::Cyan, AnsiColor::Yellow, AnsiColor::Red];

/// The one that speaks.
#[derive(Debug)]
pub(crate) struct Voice {
    colour: bool,
    /// Whether prompts can be wiped away once they are answered.
    wipes: bool,
    /// A prompt stands on the last line.
    prompted: bool,
}

impl Voice {
    pub(crate) fn new() -> Self {
        Self {
            colour: has_colour(&stdout()),
            wipes: has_escapes(&stdout()) && has_escapes(&stderr()),
            prompted: false,
        }
    }

    /// A new scene.
    pub(crate) fn heading(&mut self, title: &str) -> Result<()> {
        let width = columns().saturating_sub(1).min(RULE);
        let rule = "─".repeat(width.saturating_sub(title.chars().count() + 4));
        let bold = self.style(Style::new().bold());
        self.say(&format!("\n{bold}── {title} {rule}{bold:#}\n"))
    }

    /// What an actor did.
    pub(super) fn deed(&mut self, step: Option<u8>, actor: Actor, cast: &Cast, text: &str) -> Result<()> {
        let step = step.map(|step| format!("step {step}")).unwrap_or_default();
        let (bold, own) = (self.style(Style::new().bold()), self.of(actor, cast));
        let who = cast.name(actor);
        self.fill(&format!("{bold}{step:<STEP$}{bold:#}{own}{who:<WHO$}{own:#}"), STEP + WHO, text)
    }

    /// What the narrator has to say.
    pub(crate) fn note(&mut self, text: &str) -> Result<()> {
        let quiet = self.style(Style::new().italic());
        let lines = wrap("", 0, text, columns().saturating_sub(STEP));
        let lines = lines.iter().map(|line| format!("{:STEP$}{quiet}{line}{quiet:#}\n", ""));
        self.say(&lines.collect::<String>())
    }

    /// A paragraph that begins at the left edge.
    pub(crate) fn paragraph(&mut self, text: &str) -> Result<()> {
        self.fill("", 0, text)
    }

    /// What belongs to the line above it.
    pub(crate) fn detail(&mut self, text: &str) -> Result<()> {
        self.fill("    ", 4, text)
    }

    /// `text` behind `first`. Where it does not fit, it goes on in lines with an indent of `rest`.
    pub(super) fn fill(&mut self, first: &str, rest: usize, text: &str) -> Result<()> {
        let lines = wrap(first, rest, text, columns());
        self.say(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
    }

    /// A line as it is: one of a table, or a command.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        self.say(&format!("{text}\n"))
    }

    /// One thing that was checked.
    pub(crate) fn verdict(&mut self, right: bool, claim: &str) -> Result<()> {
        let (mark, colour) = if right { ("✔", AnsiColor::Green) } else { ("✘", AnsiColor::Red) };
        let style = self.style(Style::new().bold().fg_color(Some(Color::Ansi(colour))));
        self.fill(&format!("{style}{mark}{style:#} "), 2, claim)
    }

    /// Something that is worth knowing, and neither right nor wrong.
    pub(crate) fn remark(&mut self, text: &str) -> Result<()> {
        let bold = self.style(Style::new().bold());
        self.fill(&format!("{bold}•{bold:#} "), 2, text)
    }

    /// An actor's name in its colour; no line breaks inside it.
    pub(super) fn name(&self, actor: Actor, cast: &Cast, name: &str) -> String {
        let (own, name) = (self.of(actor, cast), unbroken(name));
        format!("{own}{name}{own:#}")
    }

    /// Asks for Enter, on stderr: by the first of these texts that fits one line, so that it can be wiped
    /// away.
    pub(super) fn prompt(&mut self, texts: &[String]) {
        let fits = |text: &&String| text.chars().count() < columns();
        let Some(text) = texts.iter().find(fits).or(texts.last()) else { return };
        if !self.prompted {
            let (bold, end) = (self.style(Style::new().bold()), if self.wipes { " " } else { "\n" });
            let _ = write!(stderr(), "{bold}{text}{bold:#}{end}");
            self.prompted = true;
        }
    }

    /// The prompt was answered with Enter, which has moved the cursor to the next line.
    pub(super) fn answered(&mut self) {
        if std::mem::take(&mut self.prompted) && self.wipes {
            let _ = stderr().write_all(b"\x1b[A\r\x1b[K");
        }
    }

    fn say(&mut self, text: &str) -> Result<()> {
        if std::mem::take(&mut self.prompted) && self.wipes {
            let _ = stderr().write_all(b"\r\x1b[K");
        }
        let mut stdout = stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| {
            match errno_of(&error) {
                // As any filter whose reader has enough.
                Errno::EPIPE => Error::Signal(Signal::SIGPIPE),
                errno => Error::on("write to", "stdout", errno),
            }
        })
    }

    fn of(&self, actor: Actor, cast: &Cast) -> Style {
        let Some(client) = cast.client_behind(actor) else {
            return self.style(AnsiColor::Blue.on_default().bold());
        };
        let colour = COLOURS[(client - 1) % COLOURS.len()].on_default();
        self.style(if matches!(actor, Actor::Client(_)) { colour.bold() } else { colour })
    }

    fn style(&self, style: Style) -> Style {
        if self.colour { style } else { Style::new() }
    }
}

/// Columns of the terminal; of any other page, what `COLUMNS` says.
fn columns() -> usize {
    let terminal = terminal_size_of(stdout()).map(|(Width(columns), _)| columns.into());
    let said = || env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(said).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

/// Lines of at most `width` columns, broken between words only: `text` behind `first`, then with an indent of
/// `rest`. Line breaks in `text` are spaces; escape sequences have no width.
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

/// A text that no line breaks in.
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
