//! `lab trace demo`: a demo of this lab, traced. Its event log has the course's steps.

use std::env;
use std::ffi::OsString;
use std::path::Path;

use clap::ValueEnum;
use handshake_cli::{Status, complain};
use pipe_watch::tracer;
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
    if demo.paradigm.with(demo.shared_wkp).is_none() {
        return Err("--shared-wkp is for the central dispatch server: lab trace demo dispatch --shared-wkp"
            .to_owned()
            .into());
    }
    let log = temporary::named_file("lab-events-")?;
    let mut found = live::record(args, &command(demo, log.path())?).map_err(|error| match error {
        tracer::Error::Refused(_) => {
            let way_out = "lab demo PARADIGM --html FILE draws a demo without tracing it";
            NoEvents(Status::Refused, format!("{error}; {way_out}"))
        }
        error => error.into(),
    })?;
    if found.outcome == Outcome::Failed {
        complain("lab", "a check of the demo failed: lab demo says which");
    }
    found.header.title = Some(title(demo.paradigm, demo.clients, demo.messages));
    found.header.hidden = found.events.first().map(|event| event.pid);
    found.add(from_logs(&[log.path()])?);
    Ok(found)
}

/// The command line of the demo, which writes its event log to this file.
fn command(demo: &DemoArgs, log: &Path) -> Result<Vec<OsString>, String> {
    let lab = env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let paradigm = demo.paradigm.to_possible_value();
    let paradigm = paradigm.as_ref().map_or("", |value| value.get_name());
    let (clients, messages) = (demo.clients.to_string(), demo.messages.to_string());
    let words = ["demo", paradigm, "--quiet", "--clients", &clients, "--messages", &messages, "--events"];
    let mut command = vec![lab.into_os_string()];
    command.extend(words.map(OsString::from));
    command.push(log.into());
    command.extend(demo.shared_wkp.then(|| "--shared-wkp".into()));
    Ok(command)
}
