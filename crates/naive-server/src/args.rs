//! The command line.

use std::io::{Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::serve;

/// The exit status if the system refuses, as for all programs of this workspace (docs/protocol.md).
const REFUSED: u8 = 3;

const WARNING: &str = "naive-server: a teaching example, not for deployment: it loses clients";

const HINT: &str =
    "a naive server that was ended leaves its pipe behind: remove it, or choose another name with --wkp";

/// Serve clients over named pipes, literally as the course does: a teaching example that loses clients.
///
/// Not for deployment. Of clients that connect at one instant, most wait for ever. SIGTERM, SIGINT, SIGHUP:
/// end at once, and leave the well-known pipe behind.
#[derive(Debug, Parser)]
#[command(name = "naive-server", version)]
pub struct Args {
    /// The well-known pipe
    #[arg(long, value_name = "PATH", default_value = "mario", env = "HANDSHAKE_WKP")]
    wkp: PathBuf,

    /// Say nothing on stderr but errors
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the program. Returns its exit status.
pub fn run(args: Args) -> ExitCode {
    let tell = |line: &str| {
        if !args.quiet {
            write_line(line);
        }
    };
    tell(WARNING);
    match serve(&args.wkp, |line| tell(&format!("<server> {line}"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            let why = errno.desc().to_lowercase();
            write_line(&format!("naive-server: cannot serve at {:?}: {errno:?} ({why}): {HINT}", args.wkp));
            ExitCode::from(REFUSED)
        }
    }
}

/// Writes a line to stderr, without the control characters that a client may have sent. A closed stderr is no
/// reason to fail.
fn write_line(line: &str) {
    let _ = stderr().write_all(format!("{}\n", line.replace(char::is_control, "?")).as_bytes());
}
