//! How the story looks: columns, colours, headings. On a terminal each client has a colour, shared by its subserver.

use std::io::{Write, stderr, stdout};

use anstyle::{AnsiColor, Color, Style};
use handshake_cli::{has_colour, has_escapes};
use handshake_core::error::{Error, Result, errno_of};
use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::cast::{Actor, Cast};

/// Columns of the page: narrow enough for a terminal of 80.
const WIDTH: usize = 79;
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
        let rule = "─".repeat(WIDTH.saturating_sub(title.chars().count() + 4));
        let bold = self.style(Style::new().bold());
        self.say(&format!("\n{bold}── {title} {rule}{bold:#}\n"))
    }

    /// What an actor did.
    pub(super) fn deed(&mut self, step: Option<u8>, actor: Actor, cast: &Cast, text: &str) -> Result<()> {
        let step = step.map(|step| format!("step {step}")).unwrap_or_default();
        let (bold, own) = (self.style(Style::new().bold()), self.of(actor, cast));
        let who = cast.name(actor);
        self.say(&format!("{bold}{step:<STEP$}{bold:#}{own}{who:<WHO$}{own:#}{text}\n"))
    }

    /// What the narrator has to say.
    pub(crate) fn note(&mut self, text: &str) -> Result<()> {
        let quiet = self.style(Style::new().italic());
        let lines = text.lines().map(|line| format!("{:STEP$}{quiet}{line}{quiet:#}\n", ""));
        self.say(&lines.collect::<String>())
    }

    /// A line as it is.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        self.say(&format!("{text}\n"))
    }

    /// One thing that was checked.
    pub(crate) fn verdict(&mut self, right: bool, claim: &str) -> Result<()> {
        let (mark, colour) = if right { ("✔", AnsiColor::Green) } else { ("✘", AnsiColor::Red) };
        let style = self.style(Style::new().bold().fg_color(Some(Color::Ansi(colour))));
        self.say(&format!("{style}{mark}{style:#} {claim}\n"))
    }

    /// Something that is worth knowing, and neither right nor wrong.
    pub(crate) fn remark(&mut self, text: &str) -> Result<()> {
        let bold = self.style(Style::new().bold());
        self.say(&format!("{bold}•{bold:#} {text}\n"))
    }

    /// An actor's name in its colour, in a field of `width`.
    pub(super) fn name(&self, actor: Actor, cast: &Cast, name: &str, width: usize) -> String {
        let own = self.of(actor, cast);
        format!("{own}{name:<width$}{own:#}")
    }

    /// Asks for Enter, on stderr.
    pub(super) fn prompt(&mut self, text: &str) {
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
