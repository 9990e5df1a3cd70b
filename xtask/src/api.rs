//! `cargo xtask api`.

use std::collections::BTreeSet;
use std::io::{self, Error};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, str};

use serde_json::Value;

use crate::cargo::{cargo, root};

/// The library whose API is listed.
const LIBRARY: &str = "handshake-core";

/// The committed listing.
const LISTING: &str = "docs/api.txt";

/// Compare the library's documented API with docs/api.txt, so that a review sees each change.
///
/// The task reads what rustdoc knows of the library. Its format belongs to a version of Rust. With another
/// version, the task says so and compares nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write the listing instead
    #[arg(long)]
    write: bool,
}

/// Runs the task.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let Some(api) = listing()? else {
        eprintln!("xtask api: the API was not compared: this Rust's rustdoc has another format");
        return Ok(ExitCode::SUCCESS);
    };
    let path = root().join(LISTING);
    if args.write {
        return fs::write(path, api).map(|()| ExitCode::SUCCESS);
    }
    let committed = fs::read_to_string(path)?;
    let of = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (now, before) = (of(&api), of(&committed));
    before.difference(&now).for_each(|line| eprintln!("- {line}"));
    now.difference(&before).for_each(|line| eprintln!("+ {line}"));
    if committed == api {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("xtask api: the API is not that of {LISTING}. If that is meant: cargo xtask api --write");
    Ok(ExitCode::FAILURE)
}

/// Returns the lines of the API. `None` if rustdoc's format is unknown.
///
/// The types are defined in modules that are hidden in the documentation, and re-exported at the root. A
/// first run, without hidden items, gives their names; a second run, with them, what they contain.
fn listing() -> io::Result<Option<String>> {
    let Some(exports) = lines(&rustdoc(false)?) else { return Ok(None) };
    let names: Vec<&str> =
        exports.iter().filter_map(|line| line.strip_prefix("pub use ")?.rsplit("::").next()).collect();
    let path = rustdoc(true)?;
    let hidden = hidden_functions(&path)?;
    let Some(all) = lines(&path) else { return Ok(None) };
    let is_api = |line: &&String| {
        let Some((owner, name)) = item(line) else { return false };
        names.contains(&owner) && !hidden.contains(&(owner.to_owned(), name.to_owned()))
    };
    // Each type is listed twice: where it is defined, and where it is exported.
    let api: BTreeSet<String> = all.iter().filter(is_api).map(|line| at_the_root(line)).collect();
    Ok(Some(api.into_iter().map(|line| line + "\n").collect()))
}

/// Removes the names of modules: of a path, the segments before the first type.
fn at_the_root(line: &str) -> String {
    let is_in_path = |sign: char| sign.is_alphanumeric() || "_:".contains(sign);
    let words = line.split_inclusive(|sign| !is_in_path(sign));
    let short = words.map(|word| {
        let from = word.rfind("::").filter(|_| !word.starts_with("::")).map_or(0, |last| {
            let types = word.match_indices("::").map(|(at, _)| at + 2);
            types.clone().find(|at| word[*at..].starts_with(char::is_uppercase)).unwrap_or(last + 2)
        });
        &word[from..]
    });
    short.collect()
}

/// Returns the type or trait that a line is about, and its member, or an empty text.
fn item(line: &str) -> Option<(&str, &str)> {
    let at = line.find("handshake_")?;
    let path = line[at..].split(['(', '<', ' ', '>']).next()?.trim_end_matches(':');
    let mut types = path.split("::").skip_while(|part| !part.starts_with(char::is_uppercase));
    Some((types.next()?, types.next().unwrap_or_default()))
}

/// Lets rustdoc describe the library. Returns the file.
fn rustdoc(with_hidden: bool) -> io::Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args(["rustdoc", "--locked", "--quiet", "--lib", "--package", LIBRARY]);
    cargo.args(["--target-dir".as_ref(), root().join("target/api").as_os_str()]);
    cargo.args(["--", "-Z", "unstable-options", "--output-format", "json"]);
    cargo.args(with_hidden.then_some("--document-hidden-items"));
    // The format is not stable, so rustdoc would refuse.
    let status = cargo.env("RUSTC_BOOTSTRAP", "1").status()?;
    if !status.success() {
        return Err(Error::other(format!("{cargo:?}: {status}")));
    }
    Ok(root().join("target/api/doc").join(LIBRARY.replace('-', "_")).with_extension("json"))
}

fn lines(described: &Path) -> Option<Vec<String>> {
    let api = public_api::Builder::from_rustdoc_json(described)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build();
    Some(api.ok()?.items().map(ToString::to_string).collect())
}

/// Returns the functions that are hidden in the documentation: the type and the name.
fn hidden_functions(described: &Path) -> io::Result<BTreeSet<(String, String)>> {
    let crate_: Value = serde_json::from_slice(&fs::read(described)?)?;
    let index = crate_["index"].as_object().ok_or_else(|| Error::other("rustdoc lists nothing"))?;
    let mut hidden = BTreeSet::new();
    let is_hidden = |item: &Value| item["attrs"].to_string().contains("#[doc(hidden)]");
    for block in index.values() {
        let owner = &block["inner"]["impl"];
        let owner = owner["for"]["resolved_path"]["path"].as_str().unwrap_or_default();
        let owner = owner.rsplit("::").next().unwrap_or_default();
        for member in block["inner"]["impl"]["items"].as_array().into_iter().flatten() {
            let item = &index[&member.to_string()];
            if is_hidden(block) || is_hidden(item) {
                hidden.insert((owner.into(), item["name"].as_str().unwrap_or_default().into()));
            }
        }
    }
    Ok(hidden)
}
