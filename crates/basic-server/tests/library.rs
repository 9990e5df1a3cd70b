//! A program that has a basic server in a thread and clients beside it, by the library alone.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use handshake_core::{Answer, Client, Error, Options, Request, Response, Result, Service};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use tempfile::TempDir;

/// Does what each request says: `N` adds a number; see `call` for the others.
#[derive(Default)]
struct Add(i64);

impl Service for Add {
    fn call(&mut self, request: Request<'_>, response: &mut Response) {
        match request.bytes() {
            b"slow" => response.delay(Duration::from_millis(300)),
            b"last" => {
                response.write(b"bye");
                response.end();
            }
            b"number" => response.write(format!("{}", request.number()).as_bytes()),
            b"long" => response.write(&vec![b'x'; 1 << 20]),
            text => match std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok()) {
                Some(number) => {
                    self.0 += number;
                    response.write(self.0.to_string().as_bytes());
                }
                None => response.refuse("not a number"),
            },
        }
    }
}

/// A server in a thread. [`Server::end`] stops it and checks that nothing is left.
struct Server {
    directory: TempDir,
    stop: io::PipeWriter,
    thread: JoinHandle<Result<()>>,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let wkp = directory.path().join("adder");
        let (stopped, stop) = io::pipe().expect("a pipe");
        let (mut is_ready, ready) = io::pipe().expect("a pipe");
        let serve = move || {
            let options = Options::at(wkp).service(Add::default).leave_signals();
            basic_server::serve(options.stop_fd(stopped).ready_fd(ready))
        };
        #[expect(clippy::disallowed_methods, reason = "a basic server never forks")]
        let thread = thread::spawn(serve);
        let mut notice = Vec::new();
        is_ready.read_to_end(&mut notice).expect("the server reports");
        assert_eq!(notice, b"\n");
        Self { directory, stop, thread }
    }

    fn wkp(&self) -> PathBuf {
        self.directory.path().join("adder")
    }

    fn client(&self) -> Client {
        Client::connect(self.wkp()).expect("the server is ready")
    }

    fn end(self) {
        drop(self.stop);
        self.thread.join().expect("no panic").expect("the server ends in good order");
        let left: Vec<_> = self.directory.path().read_dir().expect("it exists").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_call_returns_its_reply() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.call(b"2").expect("a reply"), b"2");
    assert_eq!(client.call(b"40").expect("a reply"), b"42");
    assert_eq!(client.call(b"number").expect("a reply"), b"3");
    assert_eq!(client.call(b"long").expect("a reply").len(), 1 << 20);
    client.close().expect("the server takes everything");
    let mut next = server.client();
    assert_eq!(next.call(b"1").expect("a reply"), b"1", "each session has its own service");
    drop(next);
    server.end();
}

#[test]
fn a_refusal_and_a_message_that_is_too_long_leave_the_session_usable() {
    let server = Server::start();
    let mut client = server.client();
    for number in 1..=2 {
        let refused = client.call(b"two").expect_err("it is not a number");
        let is_it = matches!(&refused, Error::RequestRefused { number: of, reason, .. }
            if *of == number && reason == "not a number");
        assert!(is_it, "{refused}");
    }
    let too_long = client.call(&vec![b'1'; (16 << 20) + 1]).expect_err("it is too long");
    assert!(matches!(too_long, Error::TooLong { .. }), "{too_long}");
    assert_eq!(client.call(b"5").expect("a reply"), b"5");
    drop(client);
    server.end();
}

#[test]
fn a_late_reply_is_discarded() {
    let server = Server::start();
    let mut client = server.client();
    let late = client.call_within(b"slow", Duration::from_millis(20)).expect_err("it takes longer");
    assert!(matches!(late, Error::NoReply { .. }), "{late}");
    assert_eq!(client.unanswered(), 0);
    assert_eq!(client.call(b"7").expect("a reply"), b"7");
    client.close().expect("the server takes everything");
    server.end();
}

#[test]
fn many_requests_can_be_in_flight_beside_calls() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.send(b"1").expect("room"), 1);
    assert_eq!(client.send(b"two").expect("room"), 2);
    assert_eq!(client.call(b"3").expect("a reply"), b"4", "a call waits for its own reply");
    assert_eq!(client.unanswered(), 2);
    assert_eq!(client.receive().expect("a reply"), (1, b"1".to_vec()));
    let refused = client.receive().expect_err("it is not a number");
    assert!(matches!(refused, Error::RequestRefused { number: 2, .. }), "{refused}");
    // More than the pipes hold: the client reads replies while it sends.
    for _ in 0..20 {
        client.send(b"long").expect("there will be room");
    }
    while client.unanswered() > 0 {
        assert_eq!(client.receive().expect("a reply").1.len(), 1 << 20);
    }
    let nothing = client.receive().expect_err("no request is unanswered");
    assert!(matches!(nothing, Error::System { .. }), "{nothing}");
    drop(client);
    server.end();
}

#[test]
fn a_service_can_end_its_session() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.call(b"last").expect("a reply"), b"bye");
    let over = client.call(b"1").expect_err("the session is over");
    assert!(matches!(&over, Error::Lost { .. }), "{over}");
    assert!(over.to_string().contains("the service has ended the session"), "{over}");
    server.end();
}

#[test]
fn no_server_is_an_error_after_the_deadline() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = Client::options().connect_timeout(Duration::from_millis(50));
    let error = options.connect(directory.path().join("adder")).expect_err("no server runs");
    assert!(matches!(error, Error::NoServer { .. }), "{error}");
    assert!(!error.to_string().contains("--"), "a library error names no option: {error}");
    let mut connection = options.begin(directory.path().join("adder")).expect("two descriptors");
    let error = loop {
        wait_for(&connection);
        if let Err(error) = connection.advance(&mut Vec::new()) {
            break error;
        }
    };
    assert!(matches!(error, Error::NoServer { .. }), "{error}");
}

fn wait_for(connection: &handshake_core::Connection) {
    let mut fds = [PollFd::new(connection.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, PollTimeout::from(10_000_u16)), Ok(1), "nothing happened for 10 s");
}

#[test]
fn an_event_loop_can_drive_a_connection() {
    let server = Server::start();
    let mut connection = Client::options().begin(server.wkp()).expect("two descriptors");
    assert!(connection.send(b"1").is_err(), "the handshake is not done");
    let (mut sent, mut answered, mut reply) = (0, 0, Vec::new());
    while answered < 1000 {
        wait_for(&connection);
        loop {
            match connection.advance(&mut reply).expect("the server lives") {
                Answer::Reply(number) => {
                    answered += 1;
                    assert_eq!((number, &reply), (answered, &answered.to_string().into_bytes()));
                }
                Answer::Refused(number) => panic!("request {number} was refused"),
                Answer::Nothing => break,
            }
        }
        while sent < 1000 && connection.may_send(1) {
            sent = connection.send(b"1").expect("there is room");
        }
    }
    assert!(connection.ready() && connection.unanswered() == 0);
    connection.close();
    server.end();
}

#[test]
fn an_event_loop_may_watch_by_edge() {
    let server = Server::start();
    let mut connection = Client::options().begin(server.wkp()).expect("two descriptors");
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("a descriptor");
    let by_edge = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0);
    epoll.add(&connection, by_edge).expect("it can be watched");
    let (mut sent, mut answered, mut reply) = (0, 0, Vec::new());
    while answered < 10 {
        let count = epoll.wait(&mut [EpollEvent::empty()], 10_000_u16).expect("no signal comes");
        assert_eq!(count, 1, "nothing happened for 10 s, with {answered} of {sent} answered");
        while connection.advance(&mut reply).expect("the server lives") != Answer::Nothing {
            answered += 1;
            assert_eq!(reply.len(), 1 << 20);
        }
        while sent < 10 && connection.may_send(4) {
            sent = connection.send(b"long").expect("there is room");
        }
    }
    connection.close();
    server.end();
}

#[test]
fn the_longest_durations_are_as_good_as_none() {
    let server = Server::start();
    let options = Client::options().connect_timeout(Duration::MAX).reply_timeout(Duration::MAX);
    let mut client = options.connect(server.wkp()).expect("the server is ready");
    assert_eq!(client.call_within(b"1", Duration::MAX).expect("a reply"), b"1");
    drop(client);
    server.end();
}

#[test]
fn a_server_that_stops_ends_its_session() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.call(b"1").expect("a reply"), b"1");
    let wkp: PathBuf = server.wkp();
    server.end();
    let over = client.call(b"1").expect_err("the server has ended");
    assert!(matches!(over, Error::Lost { .. }), "{over}");
    assert!(!Path::new(&wkp).exists());
}
