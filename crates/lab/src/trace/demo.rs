//! `lab trace demo`: a demo of this lab, traced. Its event log has the course's steps.

use std::env;
use std::ffi::OsString;

use clap::ValueEnum;
use probe::paradigm::Paradigm;
use probe::temporary;

use crate::numbers::counted;

use super::args::{Args, DemoArgs};
use super::live;
use super::recording::{Events, NoEvents, Outcome, from_logs};

/// What a demo is called.
pub(crate) fn title(paradigm: Paradigm, clients: usize, messages: usize) -> String {
    let (clients, messages) = (counted(clients, "client"), counted(messages, "message"));
    format!("{}: {clients}, {messages} each", paradigm.server())
}

/// Runs the demo in a process of its own, which stays hidden: it only plays the user.
pub(super) fn record(args: &Args, demo: &DemoArgs) -> Result<Events, NoEvents> {
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
