//! The three ways to serve, as the command line names them.

use clap::ValueEnum;

/// The three ways to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Paradigm {
    /// One client at a time
    Basic,
    /// A subserver for each client
    Forking,
    /// One process routes, subservers answer
    Dispatch,
}

impl Paradigm {
    /// The server's program and package.
    pub(crate) fn server(self) -> &'static str {
        match self {
            Self::Basic => "basic-server",
            Self::Forking => "forking-server",
            Self::Dispatch => "dispatch-server",
        }
    }

    /// Whether there are subservers.
    pub(crate) fn forks(self) -> bool {
        self != Self::Basic
    }
}
