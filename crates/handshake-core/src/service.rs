//! What a server does with a message: the `process(buffer)` of the course's loop.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Turns a request into its reply, in place. One value serves one session, so it may keep state.
///
/// ```
/// use handshake_core::service::Service;
///
/// struct Shout;
/// impl Service for Shout {
///     fn process(&mut self, message: &mut Vec<u8>) {
///         message.push(b'!');
///     }
/// }
/// ```
pub trait Service {
    /// Turns `message`, the request, into the reply. A reply longer than the server's longest message is not
    /// sent; the client gets a REFUSE instead.
    fn process(&mut self, message: &mut Vec<u8>);

    /// Returns how long to delay the reply. The session watches its client and its signals meanwhile; a
    /// service that slept could not.
    fn delay(&self) -> Duration {
        Duration::ZERO
    }
}

/// The built-in services of the servers (`--service NAME`). Bytes that are not ASCII letters stay unchanged.
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
    /// Makes a service for a new session.
    pub fn for_session(self) -> Box<dyn Service> {
        Box::new(Counted { service: self, requests: 0 })
    }
}

/// A built-in service with the state of one session.
struct Counted {
    service: BuiltIn,
    requests: u64,
}

impl Service for Counted {
    fn process(&mut self, message: &mut Vec<u8>) {
        self.requests += 1;
        match self.service {
            BuiltIn::Echo | BuiltIn::Sleep(_) => {}
            BuiltIn::Upper => message.make_ascii_uppercase(),
            BuiltIn::Reverse => message.reverse(),
            BuiltIn::Rot13 => message.iter_mut().for_each(|byte| *byte = rot13(*byte)),
            BuiltIn::Count => {
                message.clear();
                message.extend(self.requests.to_string().bytes());
            }
        }
    }

    fn delay(&self) -> Duration {
        match self.service {
            BuiltIn::Sleep(delay) => delay,
            _ => Duration::ZERO,
        }
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
