//! What a server does with a message: the `process(buffer)` of the course's loop.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

/// Turns each request into its reply. One value serves one session, so it may keep state.
///
/// A service runs in the process that serves its client. In [basic] that is the server itself. In [forking]
/// and [dispatch] it is a subserver, a child made by fork(2):
///
/// - What the service changes in memory, no other session sees. State that sessions share belongs into a file
///   or another server. A value made before `serve` is copied into each subserver as it was at that moment.
///   In basic, sessions may share a value by an [`Rc`](std::rc::Rc).
/// - A subserver closes all file descriptors that it inherits, except 0, 1 and 2. Open files and connections
///   in the function given to [`Options::service`](crate::Options::service): it runs in the subserver.
/// - A panic ends the session: the subserver exits with status 101, and the client notices EOF. Other
///   sessions go on. In basic a panic ends the server.
/// - A subserver has one thread, and may start others. The process that calls `serve` must not have any.
/// - A service that sleeps cannot be interrupted. To reply later, set a [delay](Response::delay).
///
/// [basic]: https://docs.rs/basic-server
/// [forking]: https://docs.rs/forking-server
/// [dispatch]: https://docs.rs/dispatch-server
///
/// ```
/// use handshake_core::{Request, Response, Service};
///
/// struct Shout;
/// impl Service for Shout {
///     fn call(&mut self, request: Request<'_>, response: &mut Response) {
///         response.write(request.bytes());
///         response.write(b"!");
///     }
/// }
/// ```
pub trait Service {
    /// Handles one request. Without a call of `response`, the reply is empty. A server refuses a request that
    /// is longer than [`SessionLimits::longest`](crate::SessionLimits::longest), without this call.
    fn call(&mut self, request: Request<'_>, response: &mut Response);
}

/// A request: the message that a client sent.
#[derive(Debug)]
pub struct Request<'a> {
    bytes: &'a mut Vec<u8>,
    session: u64,
    number: u32,
}

impl<'a> Request<'a> {
    /// Makes a request, for tests of a service.
    pub fn new(bytes: &'a mut Vec<u8>, session: u64, number: u32) -> Self {
        Self { bytes, session, number }
    }

    /// Returns the message.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// Returns the number of the session, random and unique among the sessions of a server.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// Returns the number of the request within its session, from 1. After 4,294,967,295 comes 0.
    pub fn number(&self) -> u32 {
        self.number
    }
}

/// The answer to one request. It begins as an empty reply.
///
/// With `write!` and [`io::Write`] it can be written to as to a `Vec`.
#[derive(Debug, Default)]
pub struct Response {
    bytes: Vec<u8>,
    refuses: bool,
    /// Whether the session ends after this answer.
    pub(crate) ends: bool,
    /// How long the session waits before it sends this answer.
    pub(crate) delay: Duration,
}

impl Response {
    /// Appends `bytes` to the reply. The server refuses a reply that is longer than its longest message.
    pub fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Makes the request's bytes the reply, without a copy, and returns them to be changed.
    pub fn edit(&mut self, request: Request<'_>) -> &mut Vec<u8> {
        std::mem::swap(&mut self.bytes, request.bytes);
        &mut self.bytes
    }

    /// Refuses the request. The client gets `reason` instead of a reply, and the session goes on. Call it
    /// last: what is written after it goes on with the reason. The client receives at most 4,067 bytes of it.
    /// The course dialect has no refusal: the session of such a client ends.
    pub fn refuse(&mut self, reason: &str) {
        self.bytes.clear();
        self.write(reason.as_bytes());
        self.refuses = true;
    }

    /// Ends the session after this answer. Requests that the client has sent meanwhile stay unanswered.
    pub fn end(&mut self) {
        self.ends = true;
    }

    /// Delays the answer. Meanwhile the session watches its client and the signals.
    pub fn delay(&mut self, delay: Duration) {
        self.delay = delay;
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        *self = Self { bytes: std::mem::take(&mut self.bytes), ..Self::default() };
    }

    /// Returns the reply so far, or the reason of a refusal.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns whether the request is refused.
    pub fn refuses(&self) -> bool {
        self.refuses
    }
}

impl io::Write for Response {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The built-in services, which the programs of the server crates offer by name. Bytes that are not ASCII
/// letters stay unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BuiltIn {
    /// The request itself.
    Echo,
    /// The request in capital letters.
    #[default]
    Upper,
    /// The request with its last byte first.
    Reverse,
    /// The request with each letter moved 13 places.
    Rot13,
    /// The number of the request within its session, from 1, in decimal.
    Count,
    /// The request itself, after this delay.
    Sleep(Duration),
}

impl BuiltIn {
    /// Turns a message into the reply to it, for the tools of this workspace that check replies. `number` is
    /// that of the request within its session, from 1.
    #[doc(hidden)]
    pub fn reply_to(self, number: u32, message: &mut Vec<u8>) {
        match self {
            Self::Echo | Self::Sleep(_) => {}
            Self::Upper => message.make_ascii_uppercase(),
            Self::Reverse => message.reverse(),
            Self::Rot13 => message.iter_mut().for_each(|byte| *byte = rot13(*byte)),
            Self::Count => {
                message.clear();
                message.extend(number.to_string().bytes());
            }
        }
    }
}

impl Service for BuiltIn {
    fn call(&mut self, request: Request<'_>, response: &mut Response) {
        if let Self::Sleep(delay) = *self {
            response.delay(delay);
        }
        let number = request.number();
        self.reply_to(number, response.edit(request));
    }
}

fn rot13(byte: u8) -> u8 {
    let first = match byte {
        b'a'..=b'z' => b'a',
        b'A'..=b'Z' => b'A',
        _ => return byte,
    };
    (byte - first + 13) % 26 + first
}

impl FromStr for BuiltIn {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match (name, name.strip_prefix("sleep:").map(str::parse)) {
            ("echo", _) => Ok(Self::Echo),
            ("upper", _) => Ok(Self::Upper),
            ("reverse", _) => Ok(Self::Reverse),
            ("rot13", _) => Ok(Self::Rot13),
            ("count", _) => Ok(Self::Count),
            (_, Some(Ok(ms))) => Ok(Self::Sleep(Duration::from_millis(ms))),
            _ => Err("there are: echo, upper, reverse, rot13, count, sleep:MS".into()),
        }
    }
}

impl fmt::Display for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Echo => f.write_str("echo"),
            Self::Upper => f.write_str("upper"),
            Self::Reverse => f.write_str("reverse"),
            Self::Rot13 => f.write_str("rot13"),
            Self::Count => f.write_str("count"),
            Self::Sleep(delay) => write!(f, "sleep:{}", delay.as_millis()),
        }
    }
}
