//! Which crate may use which. docs/architecture.md shows the same.

use std::path::Path;

use super::File;

/// Each crate, and the crates of this workspace that it may use: always further down in this list.
const EDGES: &[(&str, &[&str])] = &[
    ("lab", &["bench", "load", "naive", "probe", "pipe-watch", "handshake-cli", "handshake-core"]),
    ("bench", &["load", "naive", "naive-server", "probe", "handshake-cli", "handshake-core"]),
    ("load", &["handshake-cli", "handshake-core"]),
    ("naive", &["probe", "handshake-core"]),
    ("probe", &["handshake-core"]),
    ("client", &["pipe-watch", "handshake-cli", "handshake-core"]),
    ("pipe-watch", &[]),
    ("dispatch-server", &["handshake-cli", "handshake-core"]),
    ("forking-server", &["handshake-cli", "handshake-core"]),
    ("basic-server", &["handshake-cli", "handshake-core"]),
    ("naive-server", &[]),
    ("handshake-cli", &["handshake-core"]),
    ("handshake-core", &["handshake-wire", "handshake-fifo"]),
    ("handshake-fifo", &[]),
    ("handshake-wire", &[]),
];

pub(super) fn findings(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        let Some(name) = crate_of(&file.path) else { continue };
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
            findings
                .push(format!("{}: add {name} to EDGES in xtask/src/tidy/crates.rs", file.path.display()));
            continue;
        };
        for used in dependencies(&file.text).filter(|used| EDGES.iter().any(|(known, _)| known == used)) {
            if !allowed.contains(&used) {
                findings.push(format!("{}: {name} may not use {used}", file.path.display()));
            }
        }
    }
    findings.extend(missing_in_architecture(files));
    findings
}

/// The crate in the folder of a Cargo.toml, if it is one of crates/.
fn crate_of(path: &Path) -> Option<&str> {
    path.strip_prefix("crates").ok()?.parent()?.to_str()
}

/// What the [dependencies] section names; what only tests use is free.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let section = manifest.split("\n[").find_map(|section| section.strip_prefix("dependencies]\n"));
    let lines = section.unwrap_or_default().lines();
    lines.filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|name| !name.is_empty())
}

/// docs/architecture.md has one line "- **NAME**" for each crate.
fn missing_in_architecture(files: &[File]) -> Vec<String> {
    let page = files.iter().find(|file| file.path.ends_with("docs/architecture.md"));
    let text = page.map(|page| page.text.as_str()).unwrap_or_default();
    let listed = |name: &str| text.contains(&format!("- **{name}**"));
    let missing = EDGES.iter().map(|(name, _)| *name).filter(|name| !listed(name));
    missing.map(|name| format!("docs/architecture.md: the list of crates lacks \"- **{name}**\"")).collect()
}
