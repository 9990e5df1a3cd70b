//! The prompt with history, for a person at a terminal.

use std::io::{IsTerminal, Write, stderr, stdin};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};

use handshake_core::Error;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpid, pipe2, write};
use rustyline::error::ReadlineError;
use rustyline::{Behavior, Config, DefaultEditor};

/// A thread that reads lines and sends them down an unnamed pipe, so that the rest of the client sees a prompt as it
/// sees any other stdin, and goes on watching the server while somebody types.
#[derive(Debug)]
pub struct Prompt {
    /// Shows the next prompt: so replies stand between a line and the next prompt.
    next: Sender<()>,
    /// How the terminal was, for the case that the client ends while the thread reads.
    terminal: Option<Termios>,
}

impl Prompt {
    /// Starts the thread; returns the end of the pipe that the lines come out of.
    ///
    /// # Errors
    /// No pipe, no thread, no terminal.
    pub fn start() -> Result<(Self, OwnedFd), Error> {
        let (lines, into) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| Error::on("make", "a pipe", errno))?;
        let (next, shown) = channel();
        let terminal = tcgetattr(stdin()).ok();
        #[expect(clippy::disallowed_methods, reason = "the client never forks")]
        std::thread::spawn(move || read_lines(&into, &shown));
        Ok((Self { next, terminal }, lines))
    }

    /// Lets the thread ask for the next line.
    pub fn show(&self) {
        // If it has ended, there is no next line.
        let _ = self.next.send(());
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        if let Some(terminal) = &self.terminal {
            // The last thing this client does to the terminal; there is nothing to do if it has gone.
            let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, terminal);
            if stderr().is_terminal() {
                let _ = stderr().write_all(b"\r");
            }
        }
    }
}

fn read_lines(into: &OwnedFd, shown: &Receiver<()>) {
    // The prompt goes to the terminal itself: stdout is data.
    let config = Config::builder().behavior(Behavior::PreferTerm).auto_add_history(true).build();
    let Ok(mut editor) = DefaultEditor::with_config(config) else { return };
    while shown.recv().is_ok() {
        match editor.readline("> ") {
            Ok(line) => {
                let mut line = line.into_bytes();
                line.push(b'\n');
                let mut rest = &line[..];
                while !rest.is_empty() {
                    let Ok(count) = write(into, rest) else { return };
                    rest = &rest[count..];
                }
            }
            Err(ReadlineError::Interrupted) => {
                // In raw mode the terminal sends no signal; the loop of the client waits for one.
                let _ = kill(getpid(), Signal::SIGINT);
                // To return would close the pipe, and the end of the input might be seen before the signal.
                loop {
                    std::thread::park();
                }
            }
            Err(_) => return,
        }
    }
}
