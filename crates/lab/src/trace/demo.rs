//! `lab trace demo`: a demo of this lab, traced. Its event log has the course's steps.

use std::env;
use std::ffi::OsString;

use clap::ValueEnum;
use probe::paradigm::Paradigm;
use probe::temporary;

use crate::numbers::counted;

use super::live::{self, Outcome};
use super::source::{Events, NoEvents, from_logs};

/// Trace a demo: the real server and clients, with the course's steps.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which server
    #[arg(value_enum)]
    paradigm: Paradigm,

    /// How many clients
    #[arg(long, value_name = "N", default_value_t = 2)]
    clients: usize,

    /// How many messages each of them sends
    #[arg(long, value_name = "M", default_value_t = 1)]
    messages: usize,

    /// For dispatch: use one well-known pipe for everything that all clients send, and never remove it
    #[arg(long)]
    shared_wkp: bool,
}

impl Args {
    /// The picture's title.
    pub(super) fn title(&self) -> String {
        title(self.paradigm, self.clients, self.messages)
    }
}

/// What a demo is called.
pub(crate) fn title(paradigm: Paradigm, clients: usize, messages: usize) -> String {
    let (clients, messages) = (counted(clients, "client"), counted(messages, "message"));
    format!("{}: {clients}, {messages} each", paradigm.server())
}

/// Runs the demo in a process of its own, which stays hidden: it only plays the user.
pub(super) fn record(args: &super::args::Args, demo: &Args) -> Result<Events, NoEvents> {
    let events = temporary::named_file("lab-events-").map_err(|error| error.to_string())?;
    let lab = env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let paradigm = demo.paradigm.to_possible_value();
    let paradigm = paradigm.as_ref().map_or("", |value| value.get_name());
    let (clients, messages) = (demo.clients.to_string(), demo.messages.to_string());
    let mut command = vec![lab.into_os_string()];
    let words = ["demo", paradigm, "--quiet", "--clients", &clients, "--messages", &messages, "--events"];
    command.extend(words.map(OsString::from));
    command.push(events.path().into());
    command.extend(demo.shared_wkp.then(|| "--shared-wkp".into()));
    let mut found = live::record(args, &command)?;
    if found.outcome == Outcome::Failed {
        return Err(format!("the demo failed; see: lab demo {paradigm}").into());
    }
    found.hidden = found.events.first().map(|event| event.pid);
    found.add(from_logs(&[events.path()])?);
    Ok(found)
}
