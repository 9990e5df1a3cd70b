//! The bytes in the pipes, as pure functions: no I/O, no system call, no clock.
//!
//! - `layout`: the numbers of docs/protocol.md. `frame`: one frame, its header and its check. `payload`: the
//!   contents of HELLO and ACK. `scan`: finding frames among other bytes. `mask`: keeping the magic out of a
//!   frame's inside.
//! - [`course`]: the other dialect, which the course's programs speak (docs/course-dialect.md).
//!
//! [`Scanner::next_frame`] finds frames. [`append`] and [`pieces`] make them.

pub mod course;
mod frame;
mod layout;
mod mask;
mod payload;
mod scan;

pub use frame::{
    Frame, Front, Header, Kind, Part, Trust, append, append_to_trusting, frames_of, front, front_for,
    payload_of, pieces,
};
pub use layout::{END, FRAME_MAX, HEADER, HELLO_MAX, MAGIC, NAME_MAX, OVERHEAD, PAYLOAD_MAX, VERSION};
pub use payload::{Ack, Hello};
pub use scan::{Scanner, Span};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
