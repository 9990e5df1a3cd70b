//! The server: the basic server's loop, with four peers that may write anything at any moment. Sessions read
//! from the client's pipe, or, like a subserver of the central dispatch server, from an unnamed pipe.

mod peer;
mod world;

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use handshake_core::event::Role;
use handshake_core::server::options::SessionLimits;
use handshake_core::server::pending::PendingClient;
use handshake_core::server::session::{Dispatcher, Session};
use handshake_core::stream::{FrameReader, Framing};
use handshake_core::{Error, Options, Process, Request, Response, Result, Server, Service};
use nix::fcntl::OFlag;
use nix::poll::PollFlags;
use nix::unistd::pipe2;

use crate::script::Script;
use crate::setup::{in_directory, shows};
use world::World;

/// The longest message of this server.
const LONGEST: usize = 9000;

/// Runs a script. First letter: `c` for sessions behind a central process. Commands, each with a peer's digit
/// first, except `d`, `t` and `s`:
///
/// - `o`: opens the well-known pipe
/// - `h` whose name: HELLO
/// - `n` length, bytes: HELLO with that name
/// - `y`: handles its ACK like a correct client
/// - `r` kind, whose session, number, length: a frame
/// - `m` kind, whose session, number, length: a frame with MORE
/// - `b` length, bytes: these bytes
/// - `q` number, length: a correct request
/// - `p`: reads its replies
/// - `x`: closes its upstream
/// - `X`: removes and closes its private pipe
/// - `l`, `u`: takes and releases the lock on the well-known pipe
/// - `d` how, where: damages the next frame
/// - `t`: loses the next part
/// - `s`: the server goes on
pub fn server(data: &[u8]) {
    let mut script = Script::new(data);
    let central = script.letter() == Some(b'c');
    in_directory(Role::Server, |process, directory| run(process, directory, script, central));
}

fn run(process: &Rc<Process>, directory: &Path, script: Script, central: bool) {
    let world = Rc::new(RefCell::new(World::new(directory, script)));
    let mut server =
        Server::start(options(directory, &world).in_process(process)).expect("the place is free");
    server.create_wkp().expect("a pipe can be made");
    loop {
        let goes_on = world.borrow_mut().act();
        if server.wkp().is_some_and(|wkp| shows(wkp, PollFlags::POLLIN)) {
            let arrived = server.wait(true).expect("the name is ours").expect("no process asked it to end");
            assert!(arrived.is_connection(), "there is something in the pipe");
            server.receive_and_remove().expect("the name is ours");
        }
        loop {
            while let Some(client) = server.next_pending().expect("there are random numbers") {
                world.borrow_mut().turn_of(client.session);
                let served = if central {
                    serve_dispatched(&server, client, &world)
                } else {
                    serve(&server, client, &world)
                };
                assert!(!matches!(served, Err(Error::Signal(_))), "no process sent a signal");
                world.borrow_mut().turn_is_over();
            }
            if !server.has_queue() {
                break;
            }
            // The server serves so many clients in one turn, and then looks around.
            server.wait(true).expect("the name is ours");
        }
        server.create_wkp().expect("a pipe can be made");
        world.borrow_mut().check_answers();
        if !goes_on {
            break;
        }
    }
    server.end().expect("the name is ours");
    world.borrow_mut().leave();
}

/// Returns options with timeouts that end as soon as a read finds nothing.
fn options(directory: &Path, world: &Rc<RefCell<World>>) -> Options {
    let moment = Duration::from_nanos(1);
    let world = Rc::clone(world);
    let mut options = Options::at(directory.join("mario")).service(move || Reversed(Rc::clone(&world)));
    let grace = Duration::from_secs(2);
    options.limits = SessionLimits {
        longest: LONGEST,
        handshake_timeout: moment,
        idle_timeout: moment,
        queue_timeout: moment,
        grace,
    };
    options
}

fn serve(server: &Server, client: PendingClient, world: &Rc<RefCell<World>>) -> Result<()> {
    let session = server.acknowledge(client)?;
    converse(server, session, world)
}

/// Serves like a subserver; the harness is the central process.
fn serve_dispatched(server: &Server, client: PendingClient, world: &Rc<RefCell<World>>) -> Result<()> {
    let (from_central, to_subserver) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).expect("a pipe");
    let ack = client.ack(16, LONGEST, Vec::new());
    let from_client = FrameReader::new(Rc::new(from_central), Framing::Stream);
    let session = client.begin_session(server.site(), server.options(), &ack, from_client, None)?;
    world.borrow_mut().down = Some(to_subserver);
    converse(server, session.via(FakeCentral(Rc::clone(world))), world)
}

fn converse(server: &Server, mut session: Session, world: &Rc<RefCell<World>>) -> Result<()> {
    let mut service = server.new_service();
    world.borrow_mut().act();
    session.await_ready()?;
    let (mut message, mut response) = (Vec::new(), Response::default());
    while session.receive(&mut message)? {
        assert!(message.len() <= LONGEST, "a request that is too long was let through");
        // The service may have made it longer, and a vector grows to twice its length.
        assert!(message.capacity() <= 2 * (LONGEST + 1), "{} bytes are kept", message.capacity());
        session.process(service.as_mut(), &mut message, &mut response)?;
        session.reply(&response)?;
    }
    Ok(())
}

/// Replies with the message reversed. To a message of 7 bytes, replies with more than the server may send.
/// Lets the peers act while it works.
struct Reversed(Rc<RefCell<World>>);

impl Service for Reversed {
    fn call(&mut self, request: Request<'_>, response: &mut Response) {
        let message = response.edit(request);
        message.reverse();
        if message.len() == 7 {
            message.resize(LONGEST + 1, b'!');
        }
        let mut world = self.0.borrow_mut();
        world.processed(message);
        world.act();
    }
}

/// The central process.
struct FakeCentral(Rc<RefCell<World>>);

impl Dispatcher for FakeCentral {
    fn answered(&mut self, _frames: usize) {}

    fn ask(&mut self) {
        let mut world = self.0.borrow_mut();
        if !world.act() {
            world.nothing_more();
        }
    }
}

/// Returns whether this pipe's other end has been closed since it was opened, or has written bytes.
fn was_answered(pipe: impl AsFd) -> bool {
    shows(pipe, PollFlags::POLLIN)
}
