//! A game by a dispatch server: guess a number from 1 to 100. The session ends with the right guess.
//!
//! `cargo run -p dispatch-server --example guess -- game`, then `client --wkp game`
//!
//! All players write to one well-known pipe, whose name stays. The central process routes their guesses, and
//! sees no number: each game is in a subserver.

use handshake_core::{Options, Request, Response, Result, Service, UpstreamMode};

struct Game;

impl Service for Game {
    fn call(&mut self, request: Request<'_>, response: &mut Response) {
        let secret = request.session() % 100 + 1; // the session's number is random
        let text = String::from_utf8_lossy(request.bytes());
        let Ok(guess) = text.trim().parse::<u64>() else { return response.refuse("not a number") };
        if guess == secret {
            response.write(format!("right, with guess {}", request.number()).as_bytes());
            response.end();
        } else {
            response.write(if guess < secret { b"more" } else { b"less" });
        }
    }
}

fn main() -> Result<()> {
    let wkp = std::env::args_os().nth(1).unwrap_or_else(|| "game".into());
    dispatch_server::serve(Options::at(wkp).upstream(UpstreamMode::Shared).service(|| Game))
}
