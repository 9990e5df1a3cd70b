//! The servers under test.

/// A server, and the command that starts it.
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
    /// All paradigms.
    pub const ALL: [Self; 4] = [Self::Basic, Self::Forking, Self::Dispatch, Self::Shared];

    /// Returns the paradigm with this name, the last part of a test's name.
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|paradigm| paradigm.name() == name).expect("a paradigm's name")
    }

    /// The paradigm's name, one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Forking => "forking",
            Self::Dispatch => "dispatch",
            Self::Shared => "shared",
        }
    }

    /// The name of its program.
    pub fn binary(self) -> &'static str {
        match self {
            Self::Basic => "basic-server",
            Self::Forking => "forking-server",
            Self::Dispatch | Self::Shared => "dispatch-server",
        }
    }

    /// The option that selects this paradigm, if the program needs one.
    pub(crate) fn option(self) -> Option<&'static str> {
        (self == Self::Shared).then_some("--shared-wkp")
    }

    /// Whether each client has a subserver.
    pub fn has_subservers(self) -> bool {
        self != Self::Basic
    }

    /// Whether the server removes the name of the well-known pipe in step 6.
    pub fn removes_wkp(self) -> bool {
        self != Self::Shared
    }
}
