//! The tests of the built programs: one binary, with these modules.

/// Tests of the harness itself.
mod harness;

/// The course's steps, in their order.
mod steps;

/// What a user of the library writes: the examples, and a crate outside the workspace.
mod library;

/// Messages come back whole and in order.
mod streams;

/// Many clients: at one instant, in a row, and more than the limit.
mod crowds;

/// The descriptors that each process holds.
mod descriptors;

/// An idle server uses no processor time.
mod idle;

/// One live server at a name; files of others stay untouched.
mod places;

/// The output of the demo.
mod demo;

/// An external client in the demo.
mod external_client;

/// Common mistakes of an external client in the demo, each with its advice.
mod mistakes;

/// A scene whose programs hang.
mod hung;

/// Fourteen ways to hang, in three languages, and what `lab why` says.
mod why;

/// Rarer ways to hang.
mod why_more;

/// Many that hang alike.
mod why_crowds;

/// The options of `lab why`.
mod why_options;

/// The transcripts in docs/why.md.
mod page_why;

/// The pictures in docs/pictures.
mod page_pictures;

/// Programs under `lab trace`.
mod tracing;

/// What `lab trace` records of programs in C, against strace(1).
mod traced;

/// What `lab trace` records of servers and clients.
mod traced_servers;

/// The ends of a trace, and programs that are not to be traced.
mod traced_ends;

/// Signals to `lab trace`.
mod traced_signals;

/// The pictures of `lab trace`.
mod trace_pictures;

/// `lab trace demo`, and what becomes of a recording.
mod trace_demo;

/// The lab without a directory for temporary files.
mod temporary;

/// Clients that are lost with the protocol as taught, and none with ours.
mod race;

/// The course's own server, which loses clients.
mod naive;

/// The comparison of the paradigms.
mod compare;

/// A client that is held at a step of its handshake delays no other.
mod held;

/// Subservers, servers and clients killed during sessions.
mod killed;

/// Each process killed, and stopped, at each of its events.
mod every_event;

/// System calls that fail.
mod faults;

/// A server asked to end, in every state.
mod signals;

/// Bytes that no correct client sends.
mod bad_input;

/// Clients that come at the same time, too early or too late.
mod races;

/// Frames in pieces, and pipes with little room.
mod pieces;

/// A client that floods, stops or never reads, and the other clients.
mod fairness;

/// Shortages of processes, descriptors, files and pipe space.
mod shortage;

/// Another user gets no access.
mod users;

/// Other machines, and what a process inherits.
mod elsewhere;

/// Servers in gdb.
mod debugger;

/// Attacks with numbers, locks, names, memory and signals.
mod attacks;

/// Subservers that end, and the signals that report it.
mod ends;

/// Clocks that jump, and servers that are stopped for a while.
mod clocks;

/// Hostile clients.
mod hostile;

/// Frames that are cut off, and frames that are lost.
mod cut_frames;

/// Clients of the course dialect.
mod course;

/// Course clients that share a well-known pipe.
mod course_races;

/// Hostile course clients.
mod course_hostile;

/// A hostile server.
mod hostile_server;

/// A client with endless input, or with a server that sends endless data.
mod endless;

/// A server that does not reply.
mod silence;

/// Output on a terminal.
mod terminal;

/// Input at the client's prompt.
mod prompt;

/// Our client with the programs of the course.
mod course_client;

/// Our client with a course server that is silent, leaves or speaks another protocol.
mod course_alone;

/// Rare combinations.
mod corners;

/// Random clients of all behaviours at once.
mod soak;

/// A small crowd: as many clients as a server takes.
mod crowd_at_scale;

/// docs/failure-modes.md lists the tests that prove it.
mod page;

/// The cost of a message in reads, writes and allocations.
mod steady;

/// C programs like those of the course's students, with each other and with ours.
mod peers;

/// Tests of these C programs alone.
mod strict_peers;

/// Clients in other languages, written from docs/protocol.md.
mod page_clients;
