//! The servers of this project, as the command line names them.

use clap::ValueEnum;

/// The three paradigms, the third of them in two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Paradigm {
    /// One client at a time
    Basic,
    /// A subserver for each client
    Forking,
    /// One process routes, subservers answer
    Dispatch,
    /// The same, over one well-known pipe for all clients.
    #[value(skip)]
    SharedWkp,
}

impl Paradigm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Basic, Self::Forking, Self::Dispatch, Self::SharedWkp];

    /// This paradigm, with `--shared-wkp` or without. None: the option is not for it.
    pub fn with(self, shared_wkp: bool) -> Option<Self> {
        match (self, shared_wkp) {
            (_, false) => Some(self),
            (Self::Dispatch, true) => Some(Self::SharedWkp),
            _ => None,
        }
    }

    /// The name of the server's program and package.
    pub fn server(self) -> &'static str {
        match self {
            Self::Basic => "basic-server",
            Self::Forking => "forking-server",
            Self::Dispatch | Self::SharedWkp => "dispatch-server",
        }
    }

    /// The option that makes the difference between two forms of a paradigm.
    pub fn option(self) -> Option<&'static str> {
        (self == Self::SharedWkp).then_some("--shared-wkp")
    }

    /// The program, and the option.
    pub fn words(self) -> String {
        [self.server()].into_iter().chain(self.option()).collect::<Vec<_>>().join(" ")
    }

    /// Whether the server has subservers.
    pub fn forks(self) -> bool {
        self != Self::Basic
    }

    /// How many file descriptors the main server holds for each client. For dispatch, these are the upstream
    /// and the pair of unnamed pipes.
    pub fn descriptors_each(self) -> u64 {
        match self {
            Self::Basic | Self::Forking => 0,
            Self::Dispatch => 3,
            Self::SharedWkp => 2,
        }
    }
}
