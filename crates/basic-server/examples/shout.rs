//! A basic server with a service of one's own: it answers louder.
//!
//! `cargo run -p basic-server --example shout -- /tmp/mario`, then `client --wkp /tmp/mario hello`

use handshake_core::{Options, Request, Response, Result, Service};

struct Shout;

impl Service for Shout {
    fn call(&mut self, request: Request<'_>, response: &mut Response) {
        response.write(&request.bytes().to_ascii_uppercase());
        response.write(b"!");
    }
}

fn main() -> Result<()> {
    let wkp = std::env::args_os().nth(1).unwrap_or_else(|| "mario".into());
    basic_server::serve(Options::at(wkp).service(|| Shout))
}
