//! A forking server that adds up the numbers that a client sends: each session has a sum of its own.
//!
//! `cargo run -p forking-server --example sum -- adder`, and then
//! `cargo run -p handshake-core --example add -- adder 1 2 3`

use handshake_core::{Options, Request, Response, Result, Service};

/// One value a session, in the session's own process.
#[derive(Default)]
struct Add(i64);

impl Service for Add {
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
    let wkp = std::env::args_os().nth(1).unwrap_or_else(|| "adder".into());
    forking_server::serve(Options::at(wkp).service(Add::default))
}
