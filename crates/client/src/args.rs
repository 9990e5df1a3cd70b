//! The command line, as typed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::{Error, ErrorKind};
use clap::{CommandFactory, Parser, ValueEnum};
use handshake_cli::{Common, at_least_one, duration, handshake_steps, size};
use handshake_core::client::course::{self as course, CourseClientOptions};
use handshake_core::course::HandshakeSteps;

/// Talk to a server over named pipes.
///
/// Sends each MESSAGE, and prints each reply on a line of its own, in order. Without MESSAGE, every line of
/// stdin is one message; on a terminal there is a prompt.
#[derive(Debug, Parser)]
#[command(name = "client", version)]
pub struct Args {
    #[command(flatten)]
    pub(crate) common: Common,

    /// How long to try for a connection; 0: for ever
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// How long the server may send nothing while a message is unanswered; 0: for ever
    #[arg(long, value_name = "DUR", default_value = "60s", value_parser = duration)]
    pub(crate) reply_timeout: Duration,

    /// The dialect to speak: framed (servers of this workspace) or course (programs of the course)
    #[arg(long, value_name = "DIALECT", default_value = "framed")]
    dialect: Dialect,

    /// In the course dialect, whether the server waits for a third step: 2 (no), 3 (yes), auto (as its
    /// acknowledgement suggests)
    #[arg(long, value_name = "WAYS", value_parser = handshake_steps)]
    handshake: Option<HandshakeSteps>,

    /// In the course dialect, the private pipe's name, for a server that knows only one name
    #[arg(long, value_name = "NAME", value_parser = OsStringValueParser::new().try_map(bare_name))]
    private_name: Option<OsString>,

    /// In the course dialect, the form in which to send the private pipe's name: name, path (after the
    /// directory of --wkp), absolute (after that directory from the root on), number (the PID as 4 bytes)
    /// [default: name]
    #[arg(long, value_name = "FORM", hide_possible_values = true)]
    name_form: Option<NameFormatArg>,

    /// In the course dialect, end each message in a newline, and expect one at the end of each reply
    #[arg(long)]
    newline: bool,

    /// The most messages that may be unanswered at a time; in the course dialect always 1
    #[arg(long, value_name = "N", default_value = "64", value_parser = at_least_one)]
    #[arg(default_value_if("dialect", "course", "1"))]
    pub(crate) window: usize,

    /// The longest message to send or receive, whatever the server grants; suffixes K, M, G
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = size)]
    pub(crate) max_message: usize,

    /// Send all of stdin as one message, and print the reply's bytes
    #[arg(long, conflicts_with = "messages")]
    pub(crate) raw: bool,

    /// What to send
    #[arg(value_name = "MESSAGE")]
    pub(crate) messages: Vec<OsString>,
}

/// The form in which the client sends its private pipe's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NameFormatArg {
    Name,
    Path,
    Absolute,
    Number,
}

impl From<NameFormatArg> for course::NameFormat {
    fn from(form: NameFormatArg) -> Self {
        match form {
            NameFormatArg::Name => Self::Name,
            NameFormatArg::Path => Self::Path,
            NameFormatArg::Absolute => Self::Absolute,
            NameFormatArg::Number => Self::Number,
        }
    }
}

/// The dialect in which the client and the server speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dialect {
    Framed,
    Course,
}

impl Args {
    pub(crate) fn messages(self) -> impl Iterator<Item = Vec<u8>> {
        self.messages.into_iter().map(OsString::into_vec)
    }

    /// The options of the course dialect, or `None` for the framed dialect.
    ///
    /// # Errors
    /// The options contradict each other; the error is clap's.
    pub(crate) fn course_options(&self) -> Result<Option<CourseClientOptions>, Error> {
        let wrong = |what| Self::command().error(ErrorKind::ArgumentConflict, what);
        match self.dialect {
            Dialect::Framed if self.handshake.is_some() => Err(wrong("--handshake is for --dialect course")),
            Dialect::Framed if self.private_name.is_some() => {
                Err(wrong("--private-name is for --dialect course"))
            }
            Dialect::Framed if self.name_form.is_some() => Err(wrong("--name-form is for --dialect course")),
            Dialect::Framed if self.newline => Err(wrong("--newline is for --dialect course")),
            Dialect::Framed => Ok(None),
            Dialect::Course if self.window > 1 => Err(wrong(
                "--window is 1 with --dialect course: such a server reads all that it finds as one message",
            )),
            Dialect::Course
                if self.name_form == Some(NameFormatArg::Number) && self.private_name.is_some() =>
            {
                Err(wrong("--name-form number is the process number, and --private-name another name"))
            }
            Dialect::Course => Ok(Some(CourseClientOptions {
                ways: self.handshake.unwrap_or_default(),
                private_name: self.private_name.clone(),
                name_form: self.name_form.map(Into::into).unwrap_or_default(),
                newline: self.newline,
            })),
        }
    }
}

/// Accepts only a name without a directory: a private pipe stands beside the WKP.
fn bare_name(name: OsString) -> Result<OsString, &'static str> {
    let is_bare = Path::new(&name).file_name() == Some(&name);
    if is_bare { Ok(name) } else { Err("a bare name: the private pipe is made beside the well-known one") }
}
