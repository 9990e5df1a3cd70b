//! Steps of the course dialect that tests of several subjects share.

use std::time::{Duration, Instant};

use handshake_core::course::padded;
use handshake_core::event::{Event, What};

use crate::course_server::CourseServer;
use crate::launch::Launch;
use crate::raw_course::CourseClient;
use crate::scene::Scene;
use crate::wait::until_true;

/// Returns the event of the acknowledgement to the only client of this name.
pub fn acknowledged(scene: &Scene, private: &str) -> Event {
    scene.event_log().wait_for(What::AckSent, |event| event.pipe.as_deref() == Some(private))
}

/// Waits until the server has read this client's third step. A message must not come in the same read.
pub fn is_confirmed(scene: &Scene, client: &CourseClient) {
    let session = acknowledged(scene, client.name()).session;
    scene.event_log().wait_for(What::ReadyReceived, |event| event.session == session);
}

/// Prepares a client whose deadline does not pass here.
pub fn client<'s>(scene: &'s Scene, options: &[&str]) -> Launch<'s> {
    scene.client().args(["--dialect", "course", "--timeout", "60s"]).args(options)
}

/// Checks that the next record is this message. Replies with the message in capitals, in a record of 100
/// bytes.
pub fn serves(server: &mut CourseServer, message: &str) {
    assert_eq!(server.receive(), padded(message.as_bytes(), message.len() + 1));
    server.say(&padded(message.to_uppercase().as_bytes(), 100));
}

/// Longer than the 300 ms timeout of some handshakes, and longer than the wait for unsolicited records.
pub fn let_700_ms_pass() {
    let since = Instant::now();
    until_true("time to pass", || since.elapsed() > Duration::from_millis(700));
}
