//! A client that has numbers added, by a server such as the example `sum` of forking-server.
//!
//! `cargo run -p handshake-core --example add -- adder 1 2 3`

use std::time::Duration;

use handshake_core::{Client, Error, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let wkp = arguments.next().unwrap_or_else(|| "adder".into());
    let mut client = Client::options().reply_timeout(Duration::from_secs(10)).connect(wkp)?;
    for number in arguments {
        match client.call(number.as_bytes()) {
            Ok(sum) => println!("{}", String::from_utf8_lossy(&sum)),
            // The session goes on.
            Err(Error::RequestRefused { reason, .. }) => println!("{number:?}: {reason}"),
            Err(error) => return Err(error),
        }
    }
    client.close()
}
