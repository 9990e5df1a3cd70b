//! The pictures of `lab trace`: from the event logs of real sessions, in every format, and as a browser shows
//! them.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use handshake_core::event::What;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use workspace_tests::{Paradigm, Scene, Tool, each, needs, tests};

each! {
    every_format_is_written_and_sound in basic forking dispatch shared;
    a_browser_shows_the_page_without_a_flaw in basic forking dispatch;
}

tests! {
    a_file_of_events_is_drawn_as_the_trace_was;
    what_a_program_says_is_no_markup;
    what_cannot_be_read_is_named;
    an_unknown_ending_is_a_usage_error;
}

/// A server with two clients, and the event log of all.
fn two_clients(scene: &Scene, paradigm: Paradigm) -> String {
    let server = scene.server(paradigm).ready();
    scene.serves("hello", "HELLO");
    scene.serves("world", "WORLD");
    scene.event_log().wait_for_many(2, What::SessionEnded, |_| true);
    server.shuts_down();
    scene.path("../log/events").to_str().expect("the path is UTF-8").to_owned()
}

/// The path of a picture of the scene.
fn picture(scene: &Scene, name: &str) -> String {
    scene.path(&format!("../log/{name}")).to_str().expect("the path is UTF-8").to_owned()
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Draws these events as files of all formats, and returns their texts by the endings.
fn draw(scene: &Scene, source: &[&str]) -> impl Fn(&str) -> String + use<> {
    let path = picture(scene, "drawn");
    let endings = ["html", "svg", "mmd", "chrome.json", "json", "jsonl", "txt"];
    let files = endings.iter().flat_map(|ending| ["-o".to_owned(), format!("{path}.{ending}")]);
    scene.lab().arg("trace").args(source).args(files).run().success().stdout("").stderr("");
    move |ending| text(&format!("{path}.{ending}"))
}

fn every_format_is_written_and_sound(scene: &Scene, paradigm: Paradigm) {
    let log = two_clients(scene, paradigm);
    let events = text(&log).lines().count();
    let drawn = draw(scene, &["--events", &log]);
    assert_well_formed(&drawn("svg"));
    for ending in ["svg", "html"] {
        let anchors: Vec<String> = ids(&drawn(ending));
        let unique: HashSet<&String> = anchors.iter().collect();
        assert_eq!(anchors.len(), unique.len(), "an anchor occurs twice: {anchors:?}");
        let each = (1..=events).map(|number| format!("e{number}"));
        each.for_each(|anchor| assert!(unique.contains(&anchor), "{anchor} is not in {ending}"));
    }
    assert!(!drawn("html").contains("<script"), "no script is needed");
    assert_flows_bind(&json(&drawn("chrome.json")));
    let timeline = json(&drawn("json"));
    assert_eq!(timeline["events"].as_array().map(Vec::len), Some(events));
    // HELLO, ACK, READY, a request and its reply, of each client.
    assert!(timeline["arrows"].as_array().is_some_and(|arrows| arrows.len() >= 10), "{timeline}");
    assert_is_sequence_diagram(&drawn("mmd"));
    assert_eq!(drawn("jsonl").lines().count(), events + 1);
    for words in ["step 1", "make mario", "read \"HELLO\"", "write its pipe's name", "ended by write #"] {
        assert!(drawn("txt").contains(words), "{words}: {}", drawn("txt"));
    }
    let shown = scene.lab().args(["trace", "--events", &log]).run().success();
    shown.stdout(contains("step 3").and(contains("client 2 [")).and(contains("\u{1b}").not()));
}

fn a_browser_shows_the_page_without_a_flaw(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::Command("chromium")]) {
        return;
    }
    let log = two_clients(scene, paradigm);
    for axis in ["order", "clock"] {
        let page = picture(scene, &format!("{axis}.html"));
        scene.lab().args(["trace", "--events", &log, "--time", axis, "-o", &page]).run().success();
        let checked = format!("{}<script>{}</script>", text(&page), include_str!("trace_pictures.js"));
        fs::write(&page, checked).expect("a file of the scene");
        for width in [400, 1_600] {
            let seen = browse(scene, &page, width);
            let (_, found) = seen.rsplit_once("CHECKED ").unwrap_or_else(|| panic!("no result: {seen}"));
            let (found, _) = found.split_once("\nEND").expect("the result has its end");
            let (texts, wrong) = found.split_once('\n').expect("a line for the texts");
            assert!(texts.split(' ').next().is_some_and(|count| count.len() > 2), "{texts}");
            assert_eq!(wrong.trim(), "", "{width} pixels, {axis}");
        }
    }
}

/// The page's elements as a browser has them after its scripts, in a window of this width.
fn browse(scene: &Scene, page: &str, width: u32) -> String {
    let profile = picture(scene, "profile");
    let output = Command::new("timeout")
        .args(["-k", "5", "60", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--virtual-time-budget=2000", "--no-first-run", "--disable-extensions"])
        .arg(format!("--user-data-dir={profile}"))
        .arg(format!("--window-size={width},900"))
        .arg(format!("file://{page}"))
        .output()
        .expect("timeout is there");
    // The browser's own processes may write to it until the last of them has ended.
    let _ = fs::remove_dir_all(Path::new(&profile));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn a_file_of_events_is_drawn_as_the_trace_was(scene: &Scene) {
    let log = two_clients(scene, Paradigm::Forking);
    let first = draw(scene, &["--events", &log]);
    let (events, svg) = (picture(scene, "again.jsonl"), first("svg"));
    fs::write(&events, first("jsonl")).expect("a file of the scene");
    let second = draw(scene, &["--from", &events]);
    assert_eq!(second("svg"), svg);
    // A process alone, and as many events as are asked for.
    let some = picture(scene, "some.svg");
    let options = ["--only", "client 2", "--max-events", "3", "--title", "One client"];
    scene.lab().args(["trace", "--from", &events, "-o", &some]).args(options).run().success();
    let some = text(&some);
    assert_eq!(ids(&some).len(), 4, "the picture and three events");
    assert!(some.contains("One client") && some.contains("later events are not shown"));
    scene
        .lab()
        .args(["trace", "--from", &events, "--only", "luigi"])
        .run()
        .code(2)
        .stderr(contains("no process or pipe is called \"luigi\"; there are: server, client 1, "));
}

/// Names and bytes that would end a tag, a statement or a line.
fn what_a_program_says_is_no_markup(scene: &Scene) {
    let hostile = r"</title></text><script>alert(1)</script>&amp;'\u001b[2J\u202e\n;#<br>]]>";
    let header = r#"{"format":"pipe-trace","version":1,"command":["<b>","--\u0007"]}"#;
    let line = |seq: u32, pid: u32, more: &str| {
        format!(
            r#"{{"seq":{seq},"ns":{seq}000,"took":10,"pid":{pid},"who":"{hostile}","source":"trace",{more}}}"#
        )
    };
    let pipe = format!(r#""pipe":"1:2:0","path":"/tmp/{hostile}","data":"{hostile}","fd":3"#);
    let lines = [
        header.to_owned(),
        line(1, 7, &format!(r#""call":"mkfifo",{pipe}"#)),
        line(2, 7, &format!(r#""call":"write","ret":100,"asked":200,{pipe}"#)),
        line(3, 8, &format!(r#""call":"read","ret":100,{pipe}"#)),
        line(4, 8, &format!(r#""call":"open","errno":"{hostile}",{pipe}"#)),
        line(5, 8, &format!(r#""call":"note","text":"{hostile}""#)),
        line(6, 8, &format!(r#""call":"exit","signal":"{hostile}""#)),
    ];
    let file = picture(scene, "hostile.jsonl");
    fs::write(&file, lines.join("\n") + "\n").expect("a file of the scene");
    let drawn = draw(scene, &["--from", &file]);
    assert_well_formed(&drawn("svg"));
    assert_is_sequence_diagram(&drawn("mmd"));
    assert_flows_bind(&json(&drawn("chrome.json")));
    for ending in ["svg", "html", "mmd", "txt"] {
        let drawn = drawn(ending);
        let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!drawn.contains(acts), "a control character in {ending}");
        assert!(ending == "txt" || !drawn.contains("<script"), "a tag in {ending}");
    }
    scene.lab().args(["trace", "--from", &file]).run().success().stdout(contains("\u{1b}").not());
}

fn what_cannot_be_read_is_named(scene: &Scene) {
    let file = picture(scene, "wrong");
    let check = |content: &str, option: &str, says: &str| {
        fs::write(&file, content).expect("a file of the scene");
        scene.lab().args(["trace", option, &file]).run().code(2).stdout("").stderr(contains(says));
    };
    check(
        "{\"format\":\"pipe-trace\",\"version\":99}\n",
        "--from",
        "it has version 99, and this program knows",
    );
    check(
        "{\"format\":\"pipe-trace\",\"version\":1}\n{}\n",
        "--from",
        "line 2 is no event: missing field `seq`",
    );
    check("{}\n", "--from", "line 1 is no header of a trace");
    check("{\"ns\":1}\n", "--events", "line 1 is no event of our programs: missing field `pid`");
    let missing = picture(scene, "missing");
    scene.lab().args(["trace", "--from", &missing]).run().code(2).stderr(contains("No such file"));
}

fn an_unknown_ending_is_a_usage_error(scene: &Scene) {
    let picture = scene.lab().args(["trace", "--events", "x", "-o", "picture.pdf"]).run();
    picture.code(2).stderr(contains("there are .html .svg .mmd .chrome.json .json .jsonl .txt"));
    scene.lab().arg("trace").run().code(2).stderr(contains("Usage: lab trace"));
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// The anchors of a page.
fn ids(text: &str) -> Vec<String> {
    let starts = text.split(" id=").skip(1);
    let id = |rest: &str| rest.trim_start_matches('"').split(['"', ' ', '>']).next().map(str::to_owned);
    starts.filter_map(id).collect()
}

/// Every tag is closed, every attribute quoted, and every `&` begins an entity.
fn assert_well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut parts = xml.split('<');
    assert_eq!(parts.next(), Some(""), "it begins with a tag");
    for part in parts {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("a tag without its end: {part}"));
        for entity in part.split('&').skip(1) {
            let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
            assert!(known.iter().any(|known| entity.starts_with(known)), "no entity: {entity}");
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "an attribute without its end: {tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !tag.starts_with('?') {
            open.push(tag.split(' ').next().unwrap_or(tag));
        }
        assert!(!open.is_empty() || text.trim().is_empty(), "text outside of all tags: {text}");
    }
    assert_eq!(open, Vec::<&str>::new(), "never closed");
}

/// Perfetto draws a flow only if both of its ends are in slices, and the first is not later than the second.
fn assert_flows_bind(trace: &Value) {
    let events = trace["traceEvents"].as_array().expect("an array of events");
    let number = |event: &Value, field: &str| event[field].as_f64().expect("a number");
    let slices: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    let mut flows = 0;
    for end in events.iter().filter(|event| event["ph"] == "s" || event["ph"] == "f") {
        let ts = number(end, "ts");
        let holds = |slice: &&&Value| {
            let begin = number(slice, "ts");
            slice["pid"] == end["pid"]
                && slice["tid"] == end["tid"]
                && begin <= ts
                && ts < begin + number(slice, "dur")
        };
        assert!(slices.iter().any(|slice| holds(&slice)), "in no slice: {end}");
        if end["ph"] == "f" {
            assert_eq!(end["bp"], "e");
            let begin = events.iter().find(|event| event["ph"] == "s" && event["id"] == end["id"]);
            assert!(begin.is_some_and(|begin| number(begin, "ts") <= ts), "it begins later: {end}");
            flows += 1;
        }
    }
    assert!(flows > 0, "no flow");
    // Slices of a thread may not overlap.
    for (at, slice) in slices.iter().enumerate() {
        let end = number(slice, "ts") + number(slice, "dur");
        let next =
            slices[at + 1..].iter().find(|next| next["pid"] == slice["pid"] && next["tid"] == slice["tid"]);
        // Times are in microseconds, with nanoseconds behind the point.
        assert!(next.is_none_or(|next| number(next, "ts") > end - 0.0005), "{slice} overlaps the next");
    }
}

/// Each line is a participant, a message or a note, of participants that are known.
fn assert_is_sequence_diagram(text: &str) {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("sequenceDiagram"));
    let mut known = HashSet::new();
    for line in lines.map(str::trim).filter(|line| !line.starts_with("%%")) {
        assert!(!line.contains(['<', '"', '{', '}']), "markup: {line}");
        if let Some(participant) = line.strip_prefix("participant ") {
            known.insert(participant.split_once(" as ").expect("a name").0);
            continue;
        }
        let (who, what) = line.split_once(": ").unwrap_or_else(|| panic!("no statement: {line}"));
        let who = who.strip_prefix("Note over ").unwrap_or(who);
        let is_known = |name: &str| known.contains(name);
        assert!(
            who.split("-->>")
                .flat_map(|part| part.split("->>"))
                .flat_map(|part| part.split(','))
                .all(is_known),
            "{line}"
        );
        // A `;` ends a statement, unless it ends an entity.
        let mut rest = what;
        while let Some((before, after)) = rest.split_once(';') {
            let entity = before.rsplit_once('#').map(|(_, entity)| entity);
            assert!(entity.is_some_and(|entity| entity.bytes().all(|b| b.is_ascii_digit())), "{line}");
            rest = after;
        }
    }
    assert!(text.len() < 50_000, "Mermaid's limit");
}
