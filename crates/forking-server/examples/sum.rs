//! A forking server with a service of one's own: it adds up the numbers that a client sends.
//!
//! `cargo run -p forking-server --example sum -- /tmp/mario`, then `client --wkp /tmp/mario 1 2 3`

use handshake_core::{Options, Request, Response, Result, Service};

/// One for each client: every subserver has its own.
#[derive(Default)]
struct Sum(i64);

impl Service for Sum {
    fn call(&mut self, request: Request<'_>, response: &mut Response) {
        match std::str::from_utf8(request.bytes()).ok().and_then(|text| text.trim().parse::<i64>().ok()) {
            Some(number) => {
                self.0 = self.0.saturating_add(number);
                response.write(self.0.to_string().as_bytes());
            }
            None => response.refuse("not a number"),
        }
    }
}

fn main() -> Result<()> {
    let wkp = std::env::args_os().nth(1).unwrap_or_else(|| "mario".into());
    forking_server::serve(Options::at(wkp).service(Sum::default))
}
