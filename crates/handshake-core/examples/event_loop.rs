//! A client in an event loop: one poll(2) waits for the server and for stdin. Each line is a request; replies
//! are printed as they come, while more lines are read.
//!
//! `seq 1 10 | cargo run -p handshake-core --example event_loop -- adder`

use std::error::Error;
use std::io::stdin;
use std::os::fd::AsFd;

use handshake_core::{Answer, Client, Connection};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;

fn main() -> Result<(), Box<dyn Error>> {
    let wkp = std::env::args_os().nth(1).unwrap_or_else(|| "adder".into());
    let mut connection = Client::options().begin(wkp)?;
    let (mut input, mut input_ended) = (Vec::new(), false);

    while !(input_ended && input.is_empty() && connection.unanswered() == 0) {
        // With a line in hand, stdin has to wait: the server is busy.
        let wants_input = !input_ended && !input.contains(&b'\n');
        let stdin = stdin();
        let mut fds = [
            PollFd::new(connection.as_fd(), PollFlags::POLLIN),
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut fds[..if wants_input { 2 } else { 1 }], PollTimeout::NONE)?;
        let [from_server, from_stdin] = fds.map(|fd| fd.any().unwrap_or(false));

        if from_stdin {
            // Not through the buffer of the standard library, which poll(2) does not see.
            let mut bytes = [0; 4096];
            let length = read(&stdin, &mut bytes)?;
            input.extend_from_slice(&bytes[..length]);
            input_ended = length == 0;
            if input_ended && !input.is_empty() && !input.ends_with(b"\n") {
                input.push(b'\n');
            }
        }
        if from_server {
            print_replies(&mut connection)?;
        }
        send_lines(&mut connection, &mut input)?;
    }
    connection.close();
    Ok(())
}

/// Prints the replies that are there, until the connection has nothing more to do.
fn print_replies(connection: &mut Connection) -> handshake_core::Result<()> {
    let mut reply = Vec::new();
    loop {
        match connection.advance(&mut reply)? {
            Answer::Reply(number) => println!("{number}: {}", String::from_utf8_lossy(&reply)),
            Answer::Refused(number) => println!("{number}: refused: {}", String::from_utf8_lossy(&reply)),
            Answer::Nothing => return Ok(()),
        }
    }
}

/// Sends the complete lines of the input, as far as the server has room for them.
fn send_lines(connection: &mut Connection, input: &mut Vec<u8>) -> handshake_core::Result<()> {
    while let Some(end) = input.iter().position(|byte| *byte == b'\n')
        && connection.may_send(end)
    {
        connection.send(&input[..end])?;
        input.drain(..=end);
    }
    Ok(())
}
