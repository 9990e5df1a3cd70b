//! The call that an external client waits in, and what the server does meanwhile: a look of `pipe_watch`.

use handshake_core::text::words;
use pipe_watch::look::{Access, Scope, Snapshot, Wait, look};
use probe::proc;

use super::printer::unbroken;

/// What an external client waits for, at one pipe.
#[derive(Debug, Clone)]
pub(super) struct Blocked {
    /// `open`, `read`, `write`.
    pub(super) call: &'static str,
    /// How the pipe is to be opened; at an open pipe, what the program waits to do.
    pub(super) access: Access,
    /// The last part of the pipe's path, or `stdin`.
    pub(super) name: String,
    /// `waits in open("4711", O_RDONLY)`.
    pub(super) waits: String,
    /// Until when, and what the server does.
    pub(super) meanwhile: String,
}

/// What the program with this PID, or one of its descendants, waits for. If several wait, the youngest
/// one's call counts: a shell waits for the programs that it runs. `None`: they run, or it is hidden.
pub(super) fn blocked(pid: u32, server: Option<u32>) -> Option<Blocked> {
    let snapshot = look(&Scope::Trees([pid].into_iter().chain(server).collect())).ok()?;
    let of_server = server.and_then(|server| snapshot.activity(server));
    let of_server = of_server.map(|does| format!("; the server {does}")).unwrap_or_default();
    proc::process_tree(pid).into_iter().rev().find_map(|pid| {
        let threads = &snapshot.processes.get(&pid)?.threads;
        let (call, access, name) = threads.iter().find_map(|thread| at_pipe(&snapshot, &thread.wait))?;
        let waits = match name.as_str() {
            STDIN => format!("waits in {call}(0) of its stdin"),
            _ => snapshot.activity(pid)?,
        };
        let until = match (call, access) {
            ("open", Access::Write) => ", until a process opens it for reading",
            ("open", _) => ", until a process opens it for writing",
            _ => "",
        };
        Some(Blocked {
            call,
            access,
            name,
            waits: unbroken(&waits),
            meanwhile: format!("{until}{of_server}"),
        })
    })
}

/// The name for a pipe without a name at file descriptor 0.
pub(super) const STDIN: &str = "stdin";

/// The call, the access and the pipe's name of a wait at one pipe.
fn at_pipe(snapshot: &Snapshot, wait: &Wait) -> Option<(&'static str, Access, String)> {
    match wait {
        Wait::Open { path: Some(path), access: Some(access), .. } => {
            Some(("open", *access, words(path.file_name()?.as_encoded_bytes())))
        }
        Wait::Pipes(wait) => {
            let [need] = wait.needs.as_slice() else { return None };
            let path = snapshot.pipes.get(&need.pipe)?.path.as_deref();
            let name = match path.and_then(|path| path.file_name()) {
                Some(name) => words(name.as_encoded_bytes()),
                None if need.fd == 0 => STDIN.to_owned(),
                None => return None,
            };
            Some((wait.call, need.access, name))
        }
        _ => None,
    }
}
