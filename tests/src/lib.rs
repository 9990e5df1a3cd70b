//! The harness of the tests of the built programs. A test takes place in a [`Scene`]:
//!
//! ```no_run
//! use workspace_tests::{Paradigm, Scene, each};
//!
//! each! {
//!     a_client_is_served in basic forking;
//! }
//!
//! fn a_client_is_served(scene: &Scene, paradigm: Paradigm) {
//!     let server = scene.server(paradigm).args(["--service", "echo"]).ready();
//!     scene.client().arg("hello").run().success().stdout("hello\n");
//!     assert!(server.is_running());
//! }
//! ```
//!
//! Reading order: [`Scene`]; [`Launch`], which starts programs; [`Program`], a started program; [`EventLog`],
//! what the programs did; [`proc`], what the kernel knows of them. [`RawClient`] and [`RawServer`] are peers
//! that the test controls step by step. [`CourseClient`] and [`CourseServer`] are the same for the course
//! dialect. [`pipe`] is what these four do with a pipe, and [`steps`] what tests of several subjects do.
//! [`wait`] is the only module that waits, always with a deadline. `binaries` holds the programs, built by
//! the cargo that runs the test. [`Terminal`] is a terminal for a program. [`peers`] are C programs that
//! speak what the course's students' programs speak, [`traced`] those for
//! the tracer. [`fault`] runs one scenario with each system call that
//! can fail, under strace. [`Refusal`] makes the kernel refuse chosen system calls for a program's whole
//! life. With [`needs`] a test says what it needs beside Rust.
//!
//! The harness never sleeps and never forks. It ends processes by number only, and only processes that the
//! scene started.

mod binaries;
mod course_server;
mod event_log;
pub mod fault;
mod launch;
mod needs;
mod paradigm;
pub mod peers;
pub mod pipe;
pub mod proc;
mod program;
mod raw;
mod raw_course;
mod raw_server;
mod refuse;
mod scene;
pub mod steps;
mod terminal;
pub mod traced;
pub mod wait;

pub use binaries::{build_by, cargo, example, path_of, workspace};
pub use course_server::CourseServer;
pub use event_log::EventLog;
pub use launch::{Barrier, Launch};
pub use needs::{Tool, is_root, needs, not_run};
pub use paradigm::Paradigm;
pub use program::Program;
pub use raw::{Answer, RawClient, frame};
pub use raw_course::{CourseClient, Heard};
pub use raw_server::RawServer;
pub use refuse::Refusal;
pub use scene::Scene;
pub use terminal::Terminal;

/// Makes one `#[test]` of a function for each paradigm in its list: `test in basic forking;` becomes
/// `test::basic` and `test::forking`. Such a list stands at the top of each module, as its table of contents.
/// The function is called with a new [`Scene`] and the paradigm. The scene ends after it, with the census.
///
/// A test that proves rows of docs/failure-modes.md names them: `test in basic: row_9 row_26;` becomes
/// `test::row_9::row_26::basic`. Then `cargo test row_9::` runs all tests of that row.
///
/// Functions in a list that begins with `own scenes:` are called with the paradigm alone, and make their
/// scenes themselves.
#[macro_export]
macro_rules! each {
    (own scenes: $($test:ident in $($paradigm:ident)+ $(: $($row:ident)+)?;)+) => {
        $($crate::each!(@test [] $test [$($paradigm)+] $($($row)+)?);)+
    };
    ($($test:ident in $($paradigm:ident)+ $(: $($row:ident)+)?;)+) => {
        $($crate::each!(@test [scene] $test [$($paradigm)+] $($($row)+)?);)+
    };
    (@test $scene:tt $test:ident $paradigms:tt $($row:ident)*) => {
        mod $test {
            use super::$test;
            $crate::each!(@rows $scene $test $paradigms $($row)*);
        }
    };
    (@rows $scene:tt $test:ident $paradigms:tt $row:ident $($rows:ident)*) => {
        mod $row {
            use super::$test;
            $crate::each!(@rows $scene $test $paradigms $($rows)*);
        }
    };
    (@rows $scene:tt $test:ident []) => {
        #[test]
        fn once() {
            $crate::each!(@run $scene $test);
        }
    };
    (@rows $scene:tt $test:ident [$($paradigm:ident)+]) => {
        $(#[test]
        fn $paradigm() {
            $crate::each!(@run $scene $test $crate::Paradigm::named(stringify!($paradigm)));
        })+
    };
    (@run [] $test:ident $paradigm:expr) => {
        $test($paradigm);
    };
    (@run [scene] $test:ident $($paradigm:expr)?) => {
        let scene = $crate::Scene::new();
        $test(&scene $(, $paradigm)?);
        scene.end();
    };
}

/// Makes a `#[test]` of each function that has no paradigm: `test: row_5;` becomes `test::row_5::once`, and
/// `test;` becomes `test::once`. The function is called with a new [`Scene`]. [`each!`] explains the rows.
#[macro_export]
macro_rules! tests {
    ($($test:ident $(: $($row:ident)+)?;)+) => {
        $($crate::each!(@test [scene] $test [] $($($row)+)?);)+
    };
}
