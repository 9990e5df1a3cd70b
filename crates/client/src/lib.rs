//! The client: one program for all three servers.
//!
//! It performs the client's steps of the handshake (3, 4, 5 and 8), sends messages and prints the replies in
//! order, in either dialect. Replies on stdout are data: they reach a terminal unchanged, as with cat(1).
//! Read [`run`], then [`converse`]; for the prompt, `prompt` (the terminal), `keyboard` (the typed bytes) and
//! `editor` (the line). Deliberately absent: the client knows nothing of the server's paradigm and has no
//! thread. It blocks in one place only, where it watches server, input, output and signals.

mod args;
mod connected;
mod converse;
mod editor;
mod input;
mod keyboard;
mod observed;
mod prompt;
mod silence;
mod terminal;

use std::io::stdin;
use std::os::fd::AsFd;

use handshake_cli::Status;
use handshake_core::client::course;
use handshake_core::client::handshake::connect;
use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, errno_of};
use handshake_core::event::Role;
use handshake_core::place::Place;
use handshake_core::process::Process;
use nix::fcntl::OFlag;

pub use args::Args;
pub use connected::Connected;
pub use converse::{Rules, converse};
pub use input::{Cut, Input, Message};
pub use prompt::Prompt;

/// Runs the program: connects in the chosen dialect, converses, and says BYE in the framed dialect.
///
/// # Errors
/// The client cannot connect, or loses the connection; see [`Error`].
pub fn run(args: Args) -> Result<Status, Error> {
    let course_options = args.course_options().unwrap_or_else(|error| error.exit());
    let process = args.common.start(Role::Client)?;
    let place = Place::new(&args.common.wkp)?;
    let deadline = Deadline::after(args.timeout);
    let explained = |error| observed::explained(&place, error);
    match course_options {
        None => {
            let connected = connect(&process, &place, deadline);
            run_session(&process, connected.map_err(explained)?, args)
        }
        Some(options) => {
            let connected = course::connect(&process, &place, &options, deadline);
            run_session(&process, connected.map_err(explained)?, args)
        }
    }
}

/// Sends the messages of the command line or of stdin.
fn run_session(process: &Process, mut connection: impl Connected, args: Args) -> Result<Status, Error> {
    connection.limit_messages(args.max_message);
    let longest = connection.longest();
    let rules = Rules { window: args.window, reply_timeout: args.reply_timeout, quiet: args.common.quiet };
    if !args.messages.is_empty() {
        return converse(process, connection, Input::messages(args.messages()), rules, None);
    }
    let terminal = terminal::reopened(&stdin(), OFlag::O_RDONLY);
    let stdin = terminal.map_or_else(|| stdin().as_fd().try_clone_to_owned(), Ok);
    let stdin = stdin.map_err(|error| Error::on("use", "stdin", errno_of(&error)))?;
    let cut = if args.raw { Cut::Nowhere } else { Cut::Lines };
    let prompt = if args.raw { None } else { Prompt::start() };
    let input = match &prompt {
        Some(prompt) if prompt.edits() => Input::typed(stdin, longest),
        _ => Input::from(stdin, cut, longest),
    };
    converse(process, connection, input, rules, prompt)
}
