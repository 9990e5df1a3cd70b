//! The tests of the built programs: one binary, these modules.

/// The course's steps, as they happen.
mod steps;

/// What goes in comes out, whole and in order.
mod streams;

/// Many clients: at one instant, one after the other, more than there is room for.
mod crowds;

/// Who holds which ends of which pipes.
mod descriptors;

/// A server that has nothing to do does nothing.
mod idle;

/// One live server at a name, and nobody's file harmed.
mod places;

/// What a person sees of all that.
mod demo;

/// The paradigms, measured.
mod compare;

/// A client that stands still at a step of its handshake delays nobody.
mod held;

/// Subservers and servers killed in the middle of sessions.
mod killed;

/// Everybody killed, and stopped, at each event.
mod every_event;

/// System calls that fail.
mod faults;

/// A server asked to end, in every state.
mod signals;

/// Bytes that no good client sends.
mod bad_input;

/// Clients that mean harm: to the server, and to each other.
mod hostile;

/// A server that says what no good server says.
mod hostile_server;

/// Where two things meet that seldom do.
mod corners;

/// Clients of all tempers, all at once, by chance.
mod soak;
