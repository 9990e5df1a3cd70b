//! A forking server with a service of one's own: it adds up the numbers that a client sends.
//!
//! `cargo run -p forking-server --example sum -- /tmp/mario`, then `client --wkp /tmp/mario 1 2 3`

use std::rc::Rc;

use handshake_core::event::Role;
use handshake_core::{Options, Process, Result, Service};

/// One for each client: every subserver has its own.
#[derive(Default)]
struct Sum(i64);

impl Service for Sum {
    fn process(&mut self, message: &mut Vec<u8>) {
        let number = String::from_utf8_lossy(message).trim().parse().unwrap_or(0);
        self.0 = self.0.saturating_add(number);
        *message = self.0.to_string().into_bytes();
    }
}

fn main() -> Result<()> {
    let wkp = std::env::args_os().nth(1).unwrap_or_else(|| "mario".into());
    let process = Rc::new(Process::quiet(Role::Server)?);
    forking_server::serve(&process, Options::at(wkp).service(Sum::default))
}
