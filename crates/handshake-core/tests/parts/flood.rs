//! A peer that writes without end: whenever bytes were skipped, more are in the pipe already. No deadline is
//! delayed by that.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use handshake_core::client::handshake::connect;
use handshake_core::deadline::Deadline;
use handshake_core::event::{Event, Role, What};
use handshake_core::event_log::EventLog;
use handshake_core::fifo::{Fifo, open_to_write};
use handshake_core::place::Place;
use handshake_core::server::options::SessionLimits;
use handshake_core::server::session::Session;
use handshake_core::stream::{FrameReader, FrameWriter, Framing};
use handshake_core::wait::signals::Handling;
use handshake_core::{Error, Process};
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, write};

const PATIENCE: Duration = Duration::from_millis(20);

/// The writing end of the pipe that is flooded.
type Flooded = Rc<RefCell<Option<OwnedFd>>>;

fn flood(pipe: &Flooded) {
    let pipe = pipe.borrow();
    write(pipe.as_ref().expect("it is open"), &[b'!'; 4096]).expect("it was just read empty");
}

/// Makes a process whose pipe is filled again after each skip. `before` receives each event first.
fn flooded(role: Role, pipe: &Flooded, before: impl Fn(&Event) + 'static) -> Rc<Process> {
    let (pipe, times) = (Rc::clone(pipe), Cell::new(0));
    let observer = move |event: &Event| {
        before(event);
        if event.what == What::Skipped {
            times.set(times.get() + 1);
            assert!(times.get() < 100_000, "it reads as long as the peer writes");
            flood(&pipe);
        }
    };
    let log = EventLog::new(None, None, Some(Box::new(observer)));
    Rc::new(Process::start(Handling::All, role, log).expect("signals can be handled"))
}

#[test]
fn a_client_gives_up_at_its_deadline() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (wkp, _reader) = Fifo::make(directory.path().join("mario")).expect("a new pipe");
    let pipe = Flooded::default();
    let (private, path) = (Rc::clone(&pipe), directory.path().to_path_buf());
    let process = flooded(Role::Client, &pipe, move |event| {
        if event.what == What::AwaitingAck {
            let name = event.pipe.as_ref().expect("the private pipe's name");
            *private.borrow_mut() = Some(open_to_write(&path.join(name)).expect("the client reads it"));
            flood(&private);
        }
    });
    let place = Place::new(wkp.path()).expect("it ends in a name");
    let connected = connect(&process, &place, Deadline::after(PATIENCE));
    assert!(matches!(connected, Err(Error::NoAnswer { .. })), "{connected:?}");
}

#[test]
fn a_server_stops_waiting_for_ready_at_its_deadline() {
    let pipe = || pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).expect("a pipe");
    let (from_client, flooding) = pipe();
    let (_private, to_client) = pipe();
    let pipe: Flooded = Rc::new(RefCell::new(Some(flooding)));
    let process = flooded(Role::Server, &pipe, |_| {});
    flood(&pipe);
    let reader = FrameReader::new(Rc::new(from_client), Framing::Atomic);
    let writer = FrameWriter::new(to_client, Framing::Stream);
    let limits = SessionLimits { handshake_timeout: PATIENCE, ..SessionLimits::default() };
    let ready = Session::new(&process, 7, limits, reader, writer, None).await_ready();
    assert!(matches!(ready, Err(Error::Lost { .. })), "{ready:?}");
}
