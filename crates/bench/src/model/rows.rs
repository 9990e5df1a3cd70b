//! The rows: the paradigms and their references. A new one is an entry in [`ROWS`], and its name where a
//! column compares.

use std::path::Path;

use probe::paradigm::Paradigm as Served;
use serde::Serialize;

/// What is measured.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// On the command line and in the files.
    pub(crate) name: &'static str,
    /// In tables.
    pub(crate) title: &'static str,
    /// In a sentence.
    pub(crate) what: &'static str,
    #[serde(skip)]
    server: Server,
    /// Arguments of the references' client: how to reach the server. None for `lab load`.
    #[serde(skip)]
    client: &'static [&'static str],
}

#[derive(Debug)]
enum Server {
    /// A server of this project.
    Paradigm(Served),
    /// A role of `lab reference`, and the options that follow the directory.
    Reference(&'static str, &'static [&'static str]),
}

use Server::{Paradigm, Reference};

/// All of them.
pub(crate) const ROWS: [Row; 14] = [
    Row {
        name: "basic",
        title: "basic",
        what: "One process serves one client at a time; the others wait in line.",
        server: Paradigm(Served::Basic),
        client: &[],
    },
    Row {
        name: "forking",
        title: "forking",
        what: "The main server forks off a subserver for each client.",
        server: Paradigm(Served::Forking),
        client: &[],
    },
    Row {
        name: "dispatch",
        title: "dispatch",
        what: "One central process reads from all clients and routes to a subserver for each.",
        server: Paradigm(Served::Dispatch),
        client: &[],
    },
    Row {
        name: "shared-wkp",
        title: "dispatch --shared-wkp",
        what: "The same over one well-known pipe for all, with a window of 16 frames a client.",
        server: Paradigm(Served::SharedWkp),
        client: &[],
    },
    Row {
        name: "fifo-ping-pong",
        title: "bare FIFO ping-pong",
        what: "Two processes, two named pipes, blocking read and write, nothing else.",
        server: Reference("fifo-echo", &[]),
        client: &["fifo"],
    },
    Row {
        name: "fifo-poll",
        title: "bare FIFO, poll and read",
        what: "The same with poll(2) before each read, on both sides.",
        server: Reference("fifo-echo", &["--poll"]),
        client: &["fifo", "--poll"],
    },
    Row {
        name: "fifo-pipelined",
        title: "bare pipelined FIFO echo",
        what: "The same two processes with as many messages in flight; each read takes all there are.",
        server: Reference("fifo-echo", &[]),
        client: &["fifo"],
    },
    Row {
        name: "fifo-ring",
        title: "bare three-hop ring",
        what: "Client, central process, subserver, and back to the client: three pipes, blocking.",
        server: Reference("ring-central", &[]),
        client: &["fifo"],
    },
    Row {
        name: "fifo-4k",
        title: "bare FIFO echo, 4 KiB writes",
        what: "Long messages between two processes, 4 KiB a write.",
        server: Reference("fifo-echo", &["--chunk", "4096"]),
        client: &["fifo", "--chunk", "4096"],
    },
    Row {
        name: "fifo-64k",
        title: "bare FIFO echo, 64 KiB writes",
        what: "Long messages between two processes, 64 KiB a write.",
        server: Reference("fifo-echo", &["--chunk", "65536"]),
        client: &["fifo", "--chunk", "65536"],
    },
    Row {
        name: "fifo-1m",
        title: "bare FIFO echo, 1 MiB writes",
        what: "Long messages between two processes, 1 MiB a write.",
        server: Reference("fifo-echo", &["--chunk", "1048576"]),
        client: &["fifo", "--chunk", "1048576"],
    },
    Row {
        name: "unix-in-turn",
        title: "Unix socket, in turn",
        what: "A socket server that accepts and serves one client after the other.",
        server: Reference("unix-server", &[]),
        client: &["unix"],
    },
    Row {
        name: "unix-forking",
        title: "Unix socket, forking",
        what: "A socket server that accepts and forks for each client.",
        server: Reference("unix-server", &["--fork"]),
        client: &["unix"],
    },
    Row {
        name: "course",
        title: "the protocol as taught",
        what: "The course's eight steps taken literally, with naive clients.",
        server: Reference("naive-server", &[]),
        client: &[],
    },
];

/// The row of this name.
pub(crate) fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// The place of a row among all, if this version has it.
pub(crate) fn place(name: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.name == name)
}

/// The title of a row, or its name if it is of another version of this program.
pub(crate) fn title(name: &str) -> &str {
    row(name).map_or(name, |row| row.title)
}

const THOUSAND: usize = 1_000;

/// What is asked of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    /// Of each client; or handshakes, one after the other.
    pub(crate) requests: usize,
    /// Of each client, before the clock runs.
    pub(crate) warm_up: usize,
    pub(crate) payload: usize,
    pub(crate) window: usize,
    pub(crate) connect_only: bool,
    /// Stay connected.
    pub(crate) hold: bool,
}

impl Load {
    /// One client, one short request.
    pub(crate) const ONE: Self = Self {
        clients: 1,
        requests: 1,
        warm_up: 0,
        payload: 64,
        window: 1,
        connect_only: false,
        hold: false,
    };

    fn options(&self) -> Vec<String> {
        let numbers = [
            ("--connections", self.clients),
            ("--requests", self.requests),
            ("--warm-up", self.warm_up),
            ("--payload", self.payload),
            ("--window", self.window),
        ];
        let flags = [("--connect-only", self.connect_only), ("--hold", self.hold)];
        let numbers = numbers.into_iter().flat_map(|(name, value)| [name.into(), value.to_string()]);
        numbers.chain(flags.into_iter().filter(|flag| flag.1).map(|flag| flag.0.into())).collect()
    }
}

impl Row {
    /// Whether it is one of the paradigms, and no reference.
    pub(crate) fn is_paradigm(&self) -> bool {
        matches!(self.server, Paradigm(..))
    }

    /// The server's program and arguments, with its pipes in `dir`.
    pub(crate) fn server(&self, dir: &Path, clients: usize, wait: &str) -> Vec<String> {
        let dir = dir.display().to_string();
        match self.server {
            Paradigm(paradigm) => {
                let all = [paradigm.server(), "-q", "--service", "echo", "--ready-fd", "1", "--wkp"];
                let wait = [format!("{dir}/mario"), "--wait".into(), wait.into()];
                let option = paradigm.option().map(String::from);
                all.map(String::from).into_iter().chain(wait).chain(option).collect()
            }
            Reference(role, options) => {
                let all = ["lab".into(), "reference".into(), role.into(), dir];
                let clients = (role == "ring-central").then(|| ["--clients".into(), clients.to_string()]);
                all.into_iter().chain(own(options)).chain(clients.into_iter().flatten()).collect()
            }
        }
    }

    /// Its client's program and arguments.
    pub(crate) fn client(&self, dir: &Path, load: &Load, wait: &str) -> Vec<String> {
        let dir = dir.display().to_string();
        let words: Vec<String> = match self.client {
            [] => {
                let wkp = format!("{dir}/mario");
                // Of thousands that begin at once, the last waits longer than it would by default.
                let timeout = if load.clients > THOUSAND { &["--timeout", "60s"][..] } else { &[] };
                let all = ["lab", "load", "--json", "--histogram", "--wkp", &wkp, "--wait", wait];
                all.iter().chain(timeout).map(|word| (*word).into()).collect()
            }
            [way, options @ ..] => {
                let all = ["lab".into(), "reference".into(), "client".into(), (*way).into(), dir];
                all.into_iter().chain(own(options)).collect()
            }
        };
        words.into_iter().chain(load.options()).collect()
    }
}

fn own(words: &'static [&'static str]) -> impl Iterator<Item = String> {
    words.iter().map(|word| (*word).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for one in &ROWS {
            assert_eq!(ROWS.iter().filter(|row| row.name == one.name).count(), 1, "{}", one.name);
        }
    }

    #[test]
    fn commands_are_as_one_would_type_them() {
        let (dir, load) = (Path::new("/p"), Load { clients: 8, window: 64, hold: true, ..Load::ONE });
        let words = |name: &str| row(name).unwrap().server(dir, 8, "block").join(" ");
        assert_eq!(
            words("shared-wkp"),
            "dispatch-server -q --service echo --ready-fd 1 --wkp /p/mario --wait block --shared-wkp"
        );
        assert_eq!(words("fifo-ring"), "lab reference ring-central /p --clients 8");
        assert_eq!(words("fifo-poll"), "lab reference fifo-echo /p --poll");
        let options = "--connections 8 --requests 1 --warm-up 0 --payload 64 --window 64 --hold";
        let words = |name: &str| row(name).unwrap().client(dir, &load, "adaptive").join(" ");
        assert_eq!(
            words("basic"),
            format!("lab load --json --histogram --wkp /p/mario --wait adaptive {options}")
        );
        assert_eq!(words("fifo-poll"), format!("lab reference client fifo /p --poll {options}"));
    }
}
