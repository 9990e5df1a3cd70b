//! The tests of the built programs: one binary, these modules.

/// The harness itself.
mod harness;

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

/// Somebody else's program in the demo.
mod guest;

/// The usual mistakes of somebody else's client in the demo, each with its advice.
mod mistakes;

/// The lab without a place for temporary files.
mod temporary;

/// What a crowd loses where the protocol is taken literally, and with ours.
mod race;

/// The paradigms, measured.
mod compare;

/// A client that stands still at a step of its handshake delays nobody.
mod held;

/// Subservers, servers and clients killed in the middle of sessions.
mod killed;

/// Everybody killed, and stopped, at each event.
mod every_event;

/// System calls that fail.
mod faults;

/// A server asked to end, in every state.
mod signals;

/// Bytes that no good client sends.
mod bad_input;

/// Who comes at which moment.
mod races;

/// Records in pieces, and pipes with hardly any room.
mod pieces;

/// One client that floods or stands still, and the others beside it.
mod fairness;

/// Processes, descriptors, files and pipe space run out.
mod shortage;

/// What another user can do: nothing.
mod users;

/// Other machines, and what a process inherits.
mod elsewhere;

/// What other processes can do with numbers, locks, names, memory and signals.
mod attacks;

/// Subservers that end, and who tells the server of it.
mod ends;

/// Clocks that jump, and servers that stand still for a while.
mod clocks;

/// Clients that mean harm: to the server, and to each other.
mod hostile;

/// Records that are not written to their end, and records that are lost.
mod cut_records;

/// Clients of the course dialect.
mod course;

/// What such clients can do to others, and others to them.
mod course_races;

/// Such clients that mean harm.
mod course_hostile;

/// A server that says what no good server says.
mod hostile_server;

/// A client that is fed without end, by its user or by its server.
mod endless;

/// A server that does not reply.
mod silence;

/// What a person at a terminal sees.
mod terminal;

/// What a person types at the client's prompt.
mod prompt;

/// Our client and the programs of the course.
mod course_client;

/// The same with one that says nothing, goes, or is none.
mod course_alone;

/// Where two things meet that seldom do.
mod corners;

/// Clients of all tempers, all at once, by chance.
mod soak;

/// As many clients at once as a server carries, in small.
mod crowd_at_scale;

/// docs/failure-modes.md names the tests that prove it.
mod page;

/// What a message costs, in reads, writes and requests for memory.
mod steady;

/// Programs in C, as the course's students write them: whom they get along with.
mod peers;

/// These programs by themselves.
mod strict_peers;

/// Clients in other languages, written from docs/protocol.md.
mod page_clients;
