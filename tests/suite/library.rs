//! What a user of the library writes: the examples of the crates, and a crate outside the workspace.

use std::fs;
use std::path::Path;
use std::time::Duration;

use handshake_core::{Client, Error};
use workspace_tests::{Paradigm, Scene, build_by, cargo, example, tests, workspace};

tests! {
    a_sum_begins_anew_for_each_client;
    the_event_loop_prints_replies_and_refusals;
    the_key_value_service_keeps_its_store_between_clients;
    a_game_ends_with_the_right_guess;
    answers_that_came_already_open_the_window;
    a_crate_outside_the_workspace_gets_a_server_and_a_client_without_clap;
}

fn a_sum_begins_anew_for_each_client(scene: &Scene) {
    let _server = scene.server_at(example("sum")).arg("adder").start();
    let add = |numbers: &[&str]| scene.client_at(example("add")).arg("adder").args(numbers).run().success();
    add(&["1", "2", "x", "3"]).stdout("1\n3\n\"x\": not a number\n6\n");
    add(&["5"]).stdout("5\n");
}

fn the_event_loop_prints_replies_and_refusals(scene: &Scene) {
    let _server = scene.server_at(example("sum")).arg("adder").start();
    let event_loop = || scene.client_at(example("event_loop")).arg("adder");
    event_loop().reading("1\n2\nx\n3").run().success().stdout("1: 1\n2: 3\n3: refused: not a number\n4: 6\n");
    let ones = "1\n".repeat(20_000);
    let sums: String = (1..=20_000).map(|number| format!("{number}: {number}\n")).collect();
    let end = event_loop().reading(&ones).run().success();
    assert!(end.get_output().stdout == sums.as_bytes(), "other replies came");
}

fn the_key_value_service_keeps_its_store_between_clients(scene: &Scene) {
    let _server = scene.server_at(example("kv")).arg("mario").start();
    scene.serves("set plumber Mario Mario", "");
    scene.serves("get plumber", "Mario Mario");
    let refused = scene.client().arg("get princess").run().code(1);
    assert!(String::from_utf8_lossy(&refused.get_output().stderr).contains("no such key"));
}

fn a_game_ends_with_the_right_guess(scene: &Scene) {
    let _server = scene.server_at(example("guess")).arg("mario").start();
    let mut client = Client::connect(scene.path("mario")).expect("the server runs");
    let (mut least, mut most) = (1, 100);
    let right = loop {
        let guess = (least + most) / 2;
        match &client.call(guess.to_string().as_bytes()).expect("the game goes on")[..] {
            b"more" => least = guess + 1,
            b"less" => most = guess - 1,
            right => break String::from_utf8_lossy(right).into_owned(),
        }
    };
    assert!(right.starts_with("right, with guess "), "{right}");
    assert!(matches!(client.call(b"1"), Err(Error::Lost { .. })), "the session goes on");
}

/// The shared pipe has a window of 16 frames. The answers that open it may have been read already.
fn answers_that_came_already_open_the_window(scene: &Scene) {
    let _server = scene.server(Paradigm::Shared).start();
    let options = Client::options().reply_timeout(Duration::from_secs(30));
    let mut client = options.connect(scene.path("mario")).expect("the server runs");
    for round in 0..20_u32 {
        for _ in 0..16 {
            client.send(b"x").expect("there is room");
        }
        assert_eq!(client.receive().expect("a reply").0, 18 * round + 1);
        client.send(&[b'x'; 5000]).expect("there will be room");
        assert_eq!(client.call(b"last").expect("a reply"), b"LAST");
        while client.unanswered() > 0 {
            client.receive().expect("a reply");
        }
    }
    client.close().expect("the server takes everything");
}

/// A server and a client as users have written them: programs that exist must go on to compile.
const SERVER: &str = r#"
use handshake_core::{Options, Request, Response, Service};
#[derive(Default)]
struct Add(i64);
impl Service for Add {                                    // one value a session
    fn call(&mut self, request: Request<'_>, response: &mut Response) {
        match std::str::from_utf8(request.bytes()).ok().and_then(|text| text.trim().parse::<i64>().ok()) {
            Some(number) => { self.0 += number; response.write(self.0.to_string().as_bytes()); }
            None => response.refuse("not a number"),      // the client gets the reason, the session goes on
        }
    }
}
fn main() -> handshake_core::Result<()> {
    forking_server::serve(Options::at("adder").service(Add::default))      // the same call for basic_server, dispatch_server, naive aside
}
"#;
const CLIENT: &str = r#"
use handshake_core::Client;
fn main() -> handshake_core::Result<()> {
    let mut client = Client::connect("adder")?;           // blocking, default deadline; Client::options() for others
    assert_eq!(client.call(b"2")?, b"2");
    client.close()
}
"#;

fn a_crate_outside_the_workspace_gets_a_server_and_a_client_without_clap(scene: &Scene) {
    // Kept between two runs, with what was built. The table `workspace` makes the crate one of its own.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside");
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).expect("a writable directory");
    fs::create_dir_all(directory.join("src/bin")).expect("a writable directory");
    write(
        "Cargo.toml",
        &format!(
            "[package]\nname = \"outside\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
             handshake-core.path = \"{crates}/handshake-core\"\n\
             forking-server = {{ path = \"{crates}/forking-server\", default-features = false }}\n",
            crates = workspace().join("crates").display()
        ),
    );
    write("src/bin/outside-server.rs", SERVER);
    write("src/bin/outside-client.rs", CLIENT);
    fs::copy(workspace().join("Cargo.lock"), directory.join("Cargo.lock")).expect("the workspace's versions");

    let mut build = cargo("build");
    build.args(["--offline", "--target-dir", "target"]).current_dir(&directory);
    let built = build_by(&mut build);
    let _server = scene.server_at(&built["outside-server"]).start();
    scene.client_at(&built["outside-client"]).run().success().stderr("");

    let mut tree = cargo("tree");
    tree.args(["--offline", "--edges", "normal", "--prefix", "none"]).current_dir(&directory);
    let listed = tree.output().expect("cargo can be started");
    let packages = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    assert!(packages.contains("\nforking-server "), "another tree: {packages}");
    assert!(!packages.contains("\nclap"), "it has clap: {packages}");
}
