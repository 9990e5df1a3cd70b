//! The routing: client --> server --> subserver, in both readings of the ring's last arc.

use handshake_core::deadline::monotonic_ns;
use handshake_core::event::What;
use handshake_core::io::Filled;
use handshake_core::server::course::used_pipe::UsedPipe;
use handshake_core::server::options::UpstreamMode;
use handshake_core::strays::{drain, note_skipped};
use handshake_core::stream::{FrameReader, READ_SIZE};
use handshake_core::wire::{FRAME_MAX, Frame, Header, Kind, Part, append};
use handshake_core::{Error, Result, Server};
use nix::sys::epoll::EpollFlags;

use crate::central::{Arrival, Central};
use crate::shared_wkp::WINDOW;

impl Central {
    /// One read of a shared well-known pipe: HELLOs join the line, the rest is routed by session number, in one write as
    /// long as frames of one session follow each other. Returns how many bytes it read.
    pub(crate) fn receive_shared(&mut self, server: &mut Server, wkp: u64) -> Result<usize> {
        // Taken out, so that what it read can be routed while it is looked at.
        let Some(mut reader) = self.wkps.remove(&wkp) else { return Ok(0) };
        let bytes = match reader.fill() {
            // Nobody writes to it any more; the well-known one never ends, since this process can write to it.
            Ok(Filled::End) => {
                let _ = self.poller.remove(&reader);
                return Ok(0);
            }
            Ok(Filled::Bytes(bytes)) => bytes,
            Ok(Filled::Nothing) => 0,
            Err(errno) => return Err(Error::at("read", server.place().wkp(), errno, "")),
        };
        self.was_full |= bytes + FRAME_MAX > READ_SIZE;
        let (mut run_of, mut run) = (0, 0..0);
        while let Some((frame, place)) = reader.next_frame() {
            let header = frame.header;
            let client = self.by_session.get(&header.session).copied().unwrap_or(0);
            match header.kind {
                Kind::Hello => {
                    let payload = frame.payload().into_owned();
                    server.receive_hello(header.session, &payload, reader.pipe())?;
                    continue;
                }
                Kind::Request if client != 0 && self.count_in_window(client) => {}
                Kind::Ready if self.is_first_ready(client) => {}
                Kind::Bye if self.by_session.remove(&header.session).is_some() => {}
                // Of no session, or of one that has been ended, or not a client's to say.
                _ => continue,
            }
            if run_of != client || run.end != place.start {
                self.pass_on(run_of, &reader.bytes()[run]);
                (run_of, run) = (client, place.clone());
            }
            run.end = place.end;
        }
        self.pass_on(run_of, &reader.bytes()[run]);
        note_skipped(&mut reader, None, &self.site.process);
        self.wkps.insert(wkp, reader);
        Ok(bytes)
    }

    /// `--shared-wkp`: READY counts once; more of them would fill what no window bounds.
    fn is_first_ready(&mut self, number: u64) -> bool {
        self.clients.get_mut(&number).is_some_and(|client| !std::mem::replace(&mut client.ready, true))
    }

    /// `--shared-wkp`: one more frame is unanswered. Who overruns the window by half, which is how often answers are
    /// reported, breaks the rules.
    fn count_in_window(&mut self, number: u64) -> bool {
        let Some(client) = self.clients.get_mut(&number) else { return false };
        client.unanswered += 1;
        let most = usize::from(WINDOW + WINDOW / 2);
        if client.unanswered > most {
            // What was answered before this frame was sent has been reported by now, if not yet heard.
            self.hear(number);
        }
        let Some(client) = self.clients.get(&number) else { return false };
        let keeps_the_rules = client.unanswered <= most;
        if !keeps_the_rules {
            self.evict(number, "it sent more than its window allows");
        }
        keeps_the_rules
    }

    /// client --> server --> subserver: one read of what the client wrote, one write of what counts. While the pipe down
    /// is full, this client's upstream alone is left unread.
    pub(crate) fn route(&mut self, number: u64) {
        self.route_if(number, true);
    }

    /// The same, with `shown` false if the upstream has shown nothing: then `read` = 0 is perhaps no end, but a fresh pipe
    /// that its client has not opened yet.
    pub(crate) fn route_if(&mut self, number: u64, shown: bool) {
        let Some(client) = self.clients.get_mut(&number) else { return self.look_at(number) };
        if !client.to_subserver.held.is_empty() {
            if !client.to_subserver.go_on() {
                self.watch_upstream(number);
            }
            return;
        }
        let Some(reader) = &mut client.from_client else { return };
        reader.begin_batch();
        reader.borrow(&mut self.buffer);
        let ended = match reader.fill() {
            Ok(Filled::Bytes(_) | Filled::Nothing) => false,
            Ok(Filled::End) => shown || client.fresh.is_none(),
            Err(_) => true,
        };
        let before = monotonic_ns();
        let (mut run, mut routed, mut is_ready) = (0..0, 0, false);
        while let Some((Frame { header: Header { kind, session, .. }, .. }, place)) = reader.next_frame() {
            is_ready |= kind == Kind::Ready;
            // Nothing else is a client's to say.
            if session != client.session || !matches!(kind, Kind::Ready | Kind::Request | Kind::Bye) {
                continue;
            }
            if run.end != place.start {
                client.to_subserver.pass_on(&reader.bytes()[run]);
                run = place.clone();
            }
            run.end = place.end;
            routed += place.len();
        }
        let holds = client.to_subserver.pass_on(&reader.bytes()[run]);
        note_skipped(reader, Some(client.session), &self.site.process);
        reader.give_back(&mut self.buffer);
        let session = client.session;
        if routed > 0 {
            self.site.process.log_since(What::Routed, before, |event| event.session(session).bytes(routed));
        }
        if is_ready {
            self.remove_fresh_name(number);
        }
        if ended {
            self.close_upstream(number);
        }
        if holds {
            self.watch_room(number);
        }
    }

    /// `--shared-wkp`: passes on frames of a client.
    fn pass_on(&mut self, number: u64, frames: &[u8]) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let session = client.session;
        let held_before = !client.to_subserver.held.is_empty();
        let before = monotonic_ns();
        let holds = client.to_subserver.pass_on(frames);
        self.site.process.log_since(What::Routed, before, |event| event.session(session).bytes(frames.len()));
        if holds && !held_before {
            self.watch_room(number);
        }
    }

    /// The pipe down is full: watches it instead of the upstream.
    fn watch_room(&mut self, number: u64) {
        let Some(client) = self.clients.get(&number) else { return };
        if let Some(upstream) = &client.from_client {
            let _ = self.poller.remove(upstream);
        }
        let pipe = client.to_subserver.pipe.as_ref();
        let watched = pipe.map(|pipe| self.watch(pipe, Arrival::Frames(number), EpollFlags::EPOLLOUT));
        if let Some(Err(error)) = watched {
            self.evict(number, &format!("the server is short of memory: {error}"));
        }
    }

    /// The pipe down has room again: watches the upstream instead of it.
    fn watch_upstream(&mut self, number: u64) {
        let own_pipe = self.mode == UpstreamMode::PerClient;
        let Some(client) = self.clients.get_mut(&number) else { return };
        if let Some(pipe) = &client.to_subserver.pipe {
            let _ = self.poller.remove(pipe);
        }
        if client.from_client.is_none() && own_pipe {
            client.to_subserver.pipe = None;
        }
        let upstream = self.clients.get(&number).and_then(|client| client.from_client.as_ref());
        let watched =
            upstream.map(|upstream| self.watch(upstream, Arrival::Frames(number), EpollFlags::EPOLLIN));
        if let Some(Err(error)) = watched {
            self.evict(number, &format!("the server is short of memory: {error}"));
        }
    }

    fn remove_fresh_name(&mut self, number: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let (session, Some(fifo)) = (client.session, client.fresh.take()) else { return };
        let name = fifo.name();
        // If it cannot be removed now, the next start sweeps it.
        let _ = self.site.process.log_around(
            What::UpstreamRemoved,
            |event| event.session(session).pipe(name),
            || fifo.remove(),
        );
    }

    /// The client writes no more: its subserver sees the end when it has taken what is held.
    pub(crate) fn close_upstream(&mut self, number: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let upstream = client.from_client.take();
        if client.to_subserver.held.is_empty() {
            client.to_subserver.pipe = None;
        }
        let session = client.session;
        if let Some(upstream) = upstream {
            let _ = self.poller.remove(&upstream);
            self.let_go(upstream, session);
        }
        // What was let go may have brought a name.
        if let Some(client) = self.clients.get_mut(&number) {
            client.pipe = client.pipe.take().filter(UsedPipe::may_be_handed_on);
        }
    }

    /// This client's part of an upstream is over: course clients that have written into it join its queue.
    pub(crate) fn let_go(&mut self, mut upstream: FrameReader, session: u64) {
        if upstream.is_open_to_others() {
            upstream.borrow(&mut self.buffer);
            drain(&mut upstream, session, &self.site.process);
            upstream.give_back(&mut self.buffer);
        }
    }

    /// Says something of its own to a subserver, after all that was routed to it.
    pub(crate) fn say(&mut self, number: u64, kind: Kind, reason: &str) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let mut frame = Vec::new();
        let header = Header { kind, part: Part::ONLY, session: client.session, sequence: 0 };
        append(&mut frame, header, reason.as_bytes());
        let held_before = !client.to_subserver.held.is_empty();
        if client.to_subserver.pass_on(&frame) && !held_before {
            self.watch_room(number);
        }
    }

    /// Ends a session. The subserver tells its client why, if that takes it within the grace.
    fn evict(&mut self, number: u64, reason: &str) {
        self.say(number, Kind::Bye, reason);
        let Some(client) = self.clients.get(&number) else { return };
        let (session, subserver) = (client.session, client.subserver);
        self.by_session.remove(&session);
        self.site.process.log(What::ClientDropped, |event| event.session(session).text(reason));
        self.subservers.order_to_end(subserver);
    }
}
