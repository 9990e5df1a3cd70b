//! A basic server with a service of one's own: it answers louder.
//!
//! `cargo run -p basic-server --example shout -- /tmp/mario`, then `client --wkp /tmp/mario hello`

use std::rc::Rc;

use handshake_core::event::Role;
use handshake_core::{Options, Process, Request, Response, Result, Service};

struct Shout;

impl Service for Shout {
    fn call(&mut self, request: Request<'_>, response: &mut Response) {
        response.write(&request.bytes().to_ascii_uppercase());
        response.write(b"!");
    }
}

fn main() -> Result<()> {
    let wkp = std::env::args_os().nth(1).unwrap_or_else(|| "mario".into());
    let process = Rc::new(Process::quiet(Role::Server)?);
    basic_server::serve(&process, Options::at(wkp).service(|| Shout))
}
