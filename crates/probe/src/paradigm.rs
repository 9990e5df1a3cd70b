//! The three paradigms, as the command line names them.

use clap::ValueEnum;

/// The three paradigms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Paradigm {
    /// One client at a time
    Basic,
    /// A subserver for each client
    Forking,
    /// One process routes, subservers answer
    Dispatch,
}

impl Paradigm {
    /// The name of the server's program and package.
    pub fn server(self) -> &'static str {
        match self {
            Self::Basic => "basic-server",
            Self::Forking => "forking-server",
            Self::Dispatch => "dispatch-server",
        }
    }

    /// Whether the server has subservers.
    pub fn forks(self) -> bool {
        self != Self::Basic
    }
}

/// A paradigm, and whether all clients share one well-known pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Which of the three.
    pub paradigm: Paradigm,
    /// Dispatch over one well-known pipe.
    pub shared_wkp: bool,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self { paradigm: Paradigm::Basic, shared_wkp: false },
        Self { paradigm: Paradigm::Forking, shared_wkp: false },
        Self { paradigm: Paradigm::Dispatch, shared_wkp: false },
        Self { paradigm: Paradigm::Dispatch, shared_wkp: true },
    ];

    /// Whether the server has subservers.
    pub fn forks(self) -> bool {
        self.paradigm.forks()
    }

    /// How many file descriptors the main server holds for each client. For dispatch, these are the upstream
    /// and the pair of unnamed pipes.
    pub fn descriptors_each(self) -> u64 {
        match self.paradigm {
            Paradigm::Basic | Paradigm::Forking => 0,
            Paradigm::Dispatch if self.shared_wkp => 2,
            Paradigm::Dispatch => 3,
        }
    }

    /// Whether all clients write into one well-known pipe.
    pub fn is_shared(self) -> bool {
        self.shared_wkp
    }
}
