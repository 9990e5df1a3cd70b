//! The servers under test.

/// A server, and how it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paradigm {
    /// `basic-server`.
    Basic,
    /// `forking-server`.
    Forking,
    /// `dispatch-server`.
    Dispatch,
    /// `dispatch-server --shared-wkp`.
    Shared,
}

impl Paradigm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Basic, Self::Forking, Self::Dispatch, Self::Shared];

    /// The one that a test's name ends with.
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|paradigm| paradigm.name() == name).expect("a paradigm's name")
    }

    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Forking => "forking",
            Self::Dispatch => "dispatch",
            Self::Shared => "shared",
        }
    }

    /// The program.
    pub fn binary(self) -> &'static str {
        match self {
            Self::Basic => "basic-server",
            Self::Forking => "forking-server",
            Self::Dispatch | Self::Shared => "dispatch-server",
        }
    }

    /// The option that makes the program this paradigm.
    pub(crate) fn option(self) -> Option<&'static str> {
        (self == Self::Shared).then_some("--shared-wkp")
    }

    /// Whether each client has a subserver.
    pub fn has_subservers(self) -> bool {
        self != Self::Basic
    }

    /// Whether the well-known pipe loses its name in step 6.
    pub fn removes_wkp(self) -> bool {
        self != Self::Shared
    }
}
