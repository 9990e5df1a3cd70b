//! The fuzz targets on all files of their corpus and on mutations of them, the same ones each time: so they cannot rot
//! between two runs of cargo-fuzz.

use std::fs;
use std::path::Path;

/// How many mutations of each file.
const MUTATIONS: usize = 100;

/// A target.
type Target = fn(&[u8]);

/// The scripts of a target, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    let entries = fs::read_dir(&folder).expect("each target has a corpus").flatten();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).expect("a script"))
        })
        .collect();
    files.sort();
    files
}

/// Plays a script; whose it was is said if that panics.
fn play(target: Target, name: &str, script: &[u8]) {
    struct Told<'a>(&'a str, &'a [u8]);
    impl Drop for Told<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the script, made of {}: {:?}", self.0, self.1.escape_ascii().to_string());
            }
        }
    }
    let _told = Told(name, script);
    target(script);
}

fn run(name: &str, target: Target) {
    let corpus = corpus(name);
    assert!(corpus.len() > 5, "{} scripts", corpus.len());
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    for (name, script) in &corpus {
        play(target, name, script);
        for _ in 0..MUTATIONS {
            let other = &corpus[random.below(corpus.len())].1;
            play(target, name, &mutated(script, other, &mut random));
        }
    }
}

/// A few of: a byte changed, taken out, put in, a part doubled, and the end of another script.
fn mutated(script: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut script = script.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(script.len() + 1);
        let end = (at + random.below(20)).min(script.len());
        match random.below(5) {
            0 if at < script.len() => script[at] = random.byte(),
            1 => drop(script.drain(at..end)),
            2 => script.insert(at, random.byte()),
            3 => script.extend_from_within(at..end),
            _ => {
                script.truncate(at);
                script.extend_from_slice(&other[random.below(other.len())..]);
            }
        }
    }
    script
}

/// xorshift64: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("it is below a usize")
    }

    /// A letter or a digit as often as anything.
    fn byte(&mut self) -> u8 {
        let letters = b"abcdfghklmnopqrsuwxyzXW0123456789 ";
        match self.below(2) {
            0 => letters[self.below(letters.len())],
            _ => u8::try_from(self.below(256)).expect("it is below 256"),
        }
    }
}

#[test]
fn records_are_found_whatever_comes() {
    run("frames", fuzz_targets::frames);
}

#[test]
fn a_server_keeps_its_promises_whatever_its_clients_do() {
    run("server", fuzz_targets::server);
}

#[test]
fn a_client_keeps_its_promises_whatever_its_server_does() {
    run("client", fuzz_targets::client);
}
