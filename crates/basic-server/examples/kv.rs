//! A key-value service: `set KEY VALUE`, `get KEY`. A basic server serves all sessions in one process, one
//! after the other, so they share one store, without a lock.
//!
//! `cargo run -p basic-server --example kv -- store`, then `client --wkp store "set plumber Mario"` and
//! `client --wkp store "get plumber"`

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use handshake_core::{Options, Request, Response, Result, Service};

/// Each session has one of these, with the same store.
#[derive(Clone, Default)]
struct Store(Rc<RefCell<HashMap<String, String>>>);

impl Service for Store {
    fn call(&mut self, request: Request<'_>, response: &mut Response) {
        let text = String::from_utf8_lossy(request.bytes());
        let words: Vec<_> = text.trim_end().splitn(3, ' ').collect();
        match words[..] {
            ["set", key, value] => {
                self.0.borrow_mut().insert(key.into(), value.into());
            }
            ["get", key] => match self.0.borrow().get(key) {
                Some(value) => response.write(value.as_bytes()),
                None => response.refuse("no such key"),
            },
            _ => response.refuse("there are: set KEY VALUE, get KEY"),
        }
    }
}

fn main() -> Result<()> {
    let wkp = std::env::args_os().nth(1).unwrap_or_else(|| "store".into());
    let store = Store::default();
    basic_server::serve(Options::at(wkp).service(move || store.clone()))
}
