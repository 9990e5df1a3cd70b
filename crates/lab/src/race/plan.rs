//! Who meets whom.

use std::time::Duration;

use clap::ValueEnum;
use probe::paradigm::Paradigm;

use super::Args;

/// The servers, as the command line names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Server {
    /// The course's, taken literally
    Original,
    /// One client at a time
    Basic,
    /// A subserver for each client
    Forking,
    /// One process routes, subservers answer
    Dispatch,
    /// The same with one well-known pipe for all, which is not for course clients
    SharedWkp,
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Dialect {
    /// A bare name, an acknowledgement, 100 bytes a message: the naive client
    Course,
    /// Records under a lock: the client of this workspace
    Framed,
}

/// Clients of one kind at one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) server: Server,
    pub(super) dialect: Dialect,
}

/// What is to be done, as meant.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) matches: Vec<Match>,
    pub(super) clients: usize,
    pub(super) rounds: usize,
    pub(super) patience: Duration,
}

const BY_DEFAULT: [Server; 4] = [Server::Original, Server::Basic, Server::Forking, Server::Dispatch];

impl Server {
    /// Which of ours, if it is one.
    pub(super) fn paradigm(self) -> Option<Paradigm> {
        match self {
            Self::Original => None,
            Self::Basic => Some(Paradigm::Basic),
            Self::Forking => Some(Paradigm::Forking),
            Self::Dispatch => Some(Paradigm::Dispatch),
            Self::SharedWkp => Some(Paradigm::SharedWkp),
        }
    }

    pub(super) fn name(self) -> String {
        self.paradigm().map_or("the course's server".into(), Paradigm::words)
    }

    /// The original knows no records; and on a pipe that all share, a bare name would be in everybody's way.
    fn speaks(self, dialect: Dialect) -> bool {
        match self {
            Self::Original => dialect == Dialect::Course,
            Self::SharedWkp => dialect == Dialect::Framed,
            Self::Basic | Self::Forking | Self::Dispatch => true,
        }
    }
}

impl Dialect {
    pub(super) fn clients(self) -> &'static str {
        match self {
            Self::Course => "naive clients",
            Self::Framed => "framed clients",
        }
    }
}

impl Match {
    pub(super) fn title(self) -> String {
        format!("{}, {}", self.server.name(), self.dialect.clients())
    }
}

impl Plan {
    /// # Errors
    /// Why these options do not go together.
    pub(super) fn of(args: Args) -> Result<Self, &'static str> {
        let Args { servers, clients, rounds, dialect, patience } = args;
        if patience.is_zero() {
            return Err(
                "--patience 0: some clients hang for ever, so something must say when that is; try: 3s",
            );
        }
        if servers.contains(&Server::SharedWkp) && dialect == Some(Dialect::Course) {
            return Err("shared-wkp is not for course clients; try: lab race shared-wkp --dialect framed");
        }
        let servers = if servers.is_empty() { BY_DEFAULT.into() } else { servers };
        let dialects = dialect.map_or(vec![Dialect::Course, Dialect::Framed], |one| vec![one]);
        // What is shown to lose clients stands beside whatever ours are tried with.
        let original = servers.contains(&Server::Original);
        let first = original.then_some(Match { server: Server::Original, dialect: Dialect::Course });
        let of = |dialect| {
            let ours = servers.iter().filter(|server| server.paradigm().is_some());
            ours.map(move |server| Match { server: *server, dialect })
        };
        let ours = dialects.into_iter().flat_map(of).filter(|who| who.server.speaks(who.dialect));
        Ok(Self { matches: first.into_iter().chain(ours).collect(), clients, rounds, patience })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(servers: &[Server], dialect: Option<Dialect>) -> Result<Vec<(Server, Dialect)>, &'static str> {
        let patience = Duration::from_secs(1);
        let plan = Plan::of(Args { servers: servers.into(), clients: 2, rounds: 1, dialect, patience })?;
        Ok(plan.matches.into_iter().map(|who| (who.server, who.dialect)).collect())
    }

    #[test]
    fn the_original_comes_first_and_everybody_meets_whom_it_understands() {
        use Dialect::{Course, Framed};
        use Server::{Basic, Dispatch, Forking, Original, SharedWkp};
        let ours = |dialect| [Basic, Forking, Dispatch].map(|server| (server, dialect));
        let all = [vec![(Original, Course)], ours(Course).into(), ours(Framed).into()].concat();
        assert_eq!(plan(&[], None), Ok(all));
        let framed = [vec![(Original, Course)], ours(Framed).into()].concat();
        assert_eq!(plan(&[], Some(Framed)), Ok(framed));
        assert_eq!(plan(&[SharedWkp, Basic], Some(Framed)), Ok(vec![(SharedWkp, Framed), (Basic, Framed)]));
        assert_eq!(plan(&[SharedWkp], None), Ok(vec![(SharedWkp, Framed)]));
        assert!(plan(&[SharedWkp], Some(Course)).is_err());
    }

    #[test]
    fn patience_has_an_end() {
        let args = Args { servers: vec![], clients: 2, rounds: 1, dialect: None, patience: Duration::ZERO };
        assert!(Plan::of(args).is_err());
    }
}
