//! What a test needs beside Rust. A machine may lack it: then the test says so and proves nothing.

use std::env;
use std::io::Write;
use std::sync::OnceLock;

use crate::peers::Workshop;
use crate::refuse;

/// What a test may need beside Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// A C compiler, `cc` or what `CC` names.
    CCompiler,
    /// seccomp(2) filters, and a C compiler for the program that installs them: for [`crate::Refusal`].
    Seccomp,
}

impl Tool {
    /// Why the machine does not have it; `None` if it does.
    fn lacks(self) -> Option<String> {
        match self {
            Self::CCompiler => {
                static WHY: OnceLock<Option<String>> = OnceLock::new();
                WHY.get_or_init(|| Workshop::of_the_peers().lacks_compiler()).clone()
            }
            Self::Seccomp => refuse::is_impossible(),
        }
    }
}

/// Whether this machine has all these tools. If not, says NOT RUN and why, and the test is to return.
///
/// # Panics
/// One is missing, and the variable `CI` is set: a machine that checks the project must have all of them.
pub fn needs(tools: &[Tool]) -> bool {
    let lacks: Vec<String> = tools.iter().filter_map(|tool| tool.lacks()).collect();
    let has_all = lacks.is_empty();
    if !has_all {
        let why = lacks.join("; ");
        assert!(!is_ci(), "{why} (CI is set, so this is a failure)");
        not_run(&why);
    }
    has_all
}

/// Whether the variable `CI` says that this machine checks the project.
fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false" && ci != "0")
}

/// Says that this test proved nothing, because the machine does not let it. Libtest knows only passed and failed.
/// It keeps back what a test prints, so this goes straight to stderr.
pub fn not_run(because: &str) {
    let test = std::thread::current();
    let line = format!("NOT RUN: {}: {because}\n", test.name().unwrap_or("a test"));
    // In vain if stderr is closed.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
