//! The harness of the tests of the built programs. A test is a story in a [`Scene`]:
//!
//! ```no_run
//! use workspace_tests::{Paradigm, Scene};
//!
//! let scene = Scene::new();
//! let server = scene.server(Paradigm::Forking).args(["--service", "echo"]).ready();
//! scene.client().arg("hello").run().success().stdout("hello\n");
//! assert!(server.is_running());
//! scene.end();
//! ```
//!
//! Reading order: [`Scene`]; how it starts programs, [`Launch`]; what one can do with them, [`Program`]; what
//! they did, [`Record`]; what the kernel knows of them, [`proc`]; peers made by hand: [`RawClient`] and
//! [`RawServer`], and of the course, [`CourseClient`] and [`CourseServer`]. These stand on [`wait`], the one
//! place that waits, with a deadline, and on `binaries`, which has the programs built by the cargo that runs
//! the test. [`Terminal`] is a terminal that a program is at. [`peers`] are programs in C that speak what the
//! course's students' programs speak. [`fault`] plays one story with each system call that can fail, with
//! strace. [`Refusal`] has the kernel refuse chosen system calls for a program's whole life. With [`needs`] a
//! test says what it needs beside Rust.
//!
//! What is deliberately absent: nothing sleeps, nothing forks, and nothing is ended by name but only by number what the
//! scene itself started.

mod binaries;
mod course_server;
pub mod fault;
mod launch;
mod needs;
mod paradigm;
pub mod peers;
pub mod proc;
mod program;
mod raw;
mod raw_course;
mod raw_server;
mod record;
mod refuse;
mod scene;
mod terminal;
pub mod wait;

pub use binaries::{build_programs, path_of};
pub use course_server::CourseServer;
pub use launch::{Barrier, Launch};
pub use needs::{Tool, is_root, needs, not_run};
pub use paradigm::Paradigm;
pub use program::Program;
pub use raw::{Answer, RawClient, record};
pub use raw_course::{CourseClient, Heard};
pub use raw_server::RawServer;
pub use record::Record;
pub use refuse::Refusal;
pub use scene::Scene;
pub use terminal::Terminal;

/// Makes one `#[test]` of a story for each paradigm that it is true of: `story in basic forking;` becomes
/// `story::basic` and `story::forking`. Such a list stands at the top of each module, as its table of contents.
///
/// A story that proves rows of docs/failure-modes.md says which: `story in basic: row_9 row_26;` becomes
/// `story::row_9::row_26::basic`, so that `cargo test row_9::` runs all that there is about that row.
#[macro_export]
macro_rules! each {
    ($($story:ident in $($paradigm:ident)+ $(: $($row:ident)+)?;)+) => {
        $(mod $story {
            use super::$story;
            $crate::each!(@rows $story [$($paradigm)+] $($($row)+)?);
        })+
    };
    (@rows $story:ident $paradigms:tt $row:ident $($rows:ident)*) => {
        mod $row {
            use super::$story;
            $crate::each!(@rows $story $paradigms $($rows)*);
        }
    };
    (@rows $story:ident []) => {
        #[test]
        fn once() {
            $story();
        }
    };
    (@rows $story:ident [$($paradigm:ident)+]) => {
        $(#[test]
        fn $paradigm() {
            $story($crate::Paradigm::named(stringify!($paradigm)));
        })+
    };
}

/// The same for stories of which no paradigm is a part: `story: row_5;` becomes `story::row_5::once`, and `story;`
/// `story::once`.
#[macro_export]
macro_rules! stories {
    ($($story:ident $(: $($row:ident)+)?;)+) => {
        $(mod $story {
            use super::$story;
            $crate::each!(@rows $story [] $($($row)+)?);
        })+
    };
}
