//! A central dispatch server with a service of one's own: it answers each message with the one before it.
//!
//! `cargo run -p dispatch-server --example previous -- /tmp/mario`, then `client --wkp /tmp/mario here we go`

use handshake_core::{Options, Request, Response, Result, Service};

/// One for each client: every subserver has its own.
#[derive(Default)]
struct Previous(Vec<u8>);

impl Service for Previous {
    fn call(&mut self, request: Request<'_>, response: &mut Response) {
        response.write(&self.0);
        self.0 = request.bytes().to_vec();
    }
}

fn main() -> Result<()> {
    let wkp = std::env::args_os().nth(1).unwrap_or_else(|| "mario".into());
    dispatch_server::serve(Options::at(wkp).service(Previous::default))
}
