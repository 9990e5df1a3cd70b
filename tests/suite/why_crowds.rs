//! `lab why` about crowds: one paragraph for all that wait alike, and no time that grows with their square.

use std::time::{Duration, Instant};

use crate::hung::{Hung, says};

/// The time must not grow with the square of the crowd, or worse. One screen has room for the answer.
#[test]
fn a_crowd_that_waits_alike_is_explained_in_seconds_on_one_screen() {
    for (scene, sentence) in [
        (
            "crowd",
            "✘ @client waits in open(\"M\", O_WRONLY), until a process opens it for reading. None has. \
                   Meanwhile @parent waits in pause() for a signal. 999 other processes wait to open it in \
                   the same way.",
        ),
        ("private-crowd", "step 5 of the client: the server must take step 7, which opens # for writing"),
    ] {
        let Some(hung) = Hung::in_c(scene) else { return };
        let clients = vec![("client", "open"); 1000];
        let hung = hung.waits(&[clients.as_slice(), &[("parent", "pause")]].concat());
        let start = Instant::now();
        let end = hung.why(&[]).code(1);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        let text = String::from_utf8_lossy(&end.get_output().stdout).into_owned();
        assert!(text.contains("    and 999 more processes wait alike: "), "{text}");
        assert!(text.lines().count() <= 24, "{text}");
        end.stdout(says(sentence));
        // All of them are in the JSON object.
        let json = hung.why(&["--json"]).code(1);
        let found: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).expect("JSON");
        assert_eq!(found["findings"].as_array().map(Vec::len), Some(1001));
        hung.end();
    }
}

/// A pair that waits for each other is told once for all pairs alike.
#[test]
fn deadlocks_alike_are_told_once() {
    let Some(hung) = Hung::in_c("pairs") else { return };
    let pairs = [("first", "read"), ("second", "read")].repeat(10);
    let hung = hung.waits(&[pairs.as_slice(), &[("parent", "pause")]].concat());
    let end = hung.why(&[]).code(1);
    let text = String::from_utf8_lossy(&end.get_output().stdout).into_owned();
    assert_eq!((text.matches("✘ deadlock: ").count(), text.matches("✘ ").count()), (1, 3), "{text}");
    assert!(text.contains("    and 9 more deadlocks are alike: "), "{text}");
    hung.end();
}
