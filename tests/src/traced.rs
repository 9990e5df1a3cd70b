//! The programs in tests/traced: they do what a tracer can get wrong, in the way named by their argument.

use std::path::{Path, PathBuf};

use crate::peers::{PROGRAM, Workshop};

const STATIC: &[&str] = &["-Wall", "-Wextra", "-O1", "-pthread", "-static", "-o"];

/// Compiles the program.
pub fn traced_program() -> PathBuf {
    program(PROGRAM)
}

/// Compiles the program without shared libraries.
pub fn static_traced_program() -> PathBuf {
    program(STATIC)
}

fn program(flags: &'static [&'static str]) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("traced");
    let workshop = Workshop { flags, ..Workshop::at(&sources, "traced") };
    workshop.program("traced").unwrap_or_else(|complaint| panic!("{complaint}"))
}
