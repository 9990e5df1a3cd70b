//! No import cycle between the files of a crate in crates/.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::File;

/// A module's path from the crate's root.
type Module = Vec<String>;

pub(super) fn findings(files: &[File]) -> Vec<String> {
    let mut crates: BTreeMap<&Path, BTreeMap<Module, &File>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is("rs")) {
        if let Some((source, module)) = module_of(&file.path) {
            crates.entry(source).or_default().insert(module, file);
        }
    }
    crates.values().flat_map(cycles).collect()
}

/// The folder `src` that a file lies in, and its module.
fn module_of(path: &Path) -> Option<(&Path, Module)> {
    let source = path.ancestors().find(|folder| folder.ends_with("src"))?;
    path.starts_with("crates").then_some(())?;
    let inside = path.strip_prefix(source).ok()?.with_extension("");
    let mut module: Module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    Some((source, module))
}

/// The cycles of a crate: each module from which imports lead back to it, with one way.
fn cycles(modules: &BTreeMap<Module, &File>) -> Vec<String> {
    let imports: BTreeMap<&Module, BTreeSet<&Module>> =
        modules.iter().map(|(module, file)| (module, imports_of(module, &file.text, modules))).collect();
    let mut found: Vec<BTreeSet<&Module>> = Vec::new();
    let mut told = Vec::new();
    for module in modules.keys() {
        if let Some(way) = way_back(module, &imports) {
            let members: BTreeSet<_> = way.iter().copied().collect();
            if !found.iter().any(|known| !known.is_disjoint(&members)) {
                let names: Vec<_> =
                    way.iter().map(|module| modules[*module].path.display().to_string()).collect();
                told.push(format!("{}: an import cycle: {}", names[0], names.join(" -> ")));
                found.push(members);
            }
        }
    }
    told
}

/// The shortest way along imports from a module back to itself.
fn way_back<'a>(
    start: &'a Module,
    imports: &BTreeMap<&'a Module, BTreeSet<&'a Module>>,
) -> Option<Vec<&'a Module>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in &imports[way[way.len() - 1]] {
                let further: Vec<_> = way.iter().copied().chain([*next]).collect();
                if *next == start {
                    return Some(further);
                }
                if seen.insert(*next) {
                    longer.push(further);
                }
            }
        }
        ways = longer;
    }
    None
}

/// The other modules that a file names by a path from `crate`, `super` or `self`, outside tests and comments.
fn imports_of<'a>(module: &Module, text: &str, modules: &'a BTreeMap<Module, &File>) -> BTreeSet<&'a Module> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code: String =
        code.lines().filter_map(|line| line.split("//").next()).flat_map(|line| [line, "\n"]).collect();
    let mut imports = BTreeSet::new();
    for (start, base) in
        [("crate::", 0), ("super::", module.len().saturating_sub(1)), ("self::", module.len())]
    {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
            {
                continue;
            }
            let base = &module[..base];
            for path in paths(&code[at + start.len()..]) {
                imports.extend(deepest(&[base, &path].concat(), modules).filter(|found| *found != module));
            }
        }
    }
    imports
}

/// The paths that begin here: `a::b`, or those of `a::{b, c::d}`.
fn paths(code: &str) -> Vec<Module> {
    let name_ends = code.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(code.len());
    let (name, rest) = code.split_at(name_ends);
    if let Some(group) = rest.strip_prefix('{').filter(|_| name.is_empty()) {
        let end = group.find([';', '}']).unwrap_or(group.len());
        return group[..end].split(',').flat_map(|one| paths(one.trim())).collect();
    }
    let tails = rest.strip_prefix("::").map(paths).filter(|tails| !tails.is_empty());
    let tails = tails.unwrap_or_else(|| vec![Vec::new()]);
    tails.into_iter().map(|tail| [vec![name.to_owned()], tail].concat()).collect()
}

/// The module that a path lies in: the longest beginning of the path that is one.
fn deepest<'a>(path: &[String], modules: &'a BTreeMap<Module, &File>) -> impl Iterator<Item = &'a Module> {
    let found = (1..=path.len()).rev().find_map(|length| modules.get_key_value(&path[..length].to_vec()));
    found.map(|(module, _)| module).into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.to_owned() }
    }

    #[test]
    fn a_cycle_is_found_and_a_tree_is_none() {
        let tree = [
            file("crates/c/src/lib.rs", "pub mod a;\npub mod b;"),
            file("crates/c/src/a.rs", "use crate::b::{self, B};"),
            file("crates/c/src/b.rs", ""),
        ];
        assert_eq!(findings(&tree), [""; 0]);
        let cycle = [
            file("crates/c/src/a/mod.rs", "use super::b::{C, B};"),
            file("crates/c/src/b.rs", "fn f() { crate::a::g() }"),
        ];
        assert_eq!(
            findings(&cycle),
            [
                "crates/c/src/a/mod.rs: an import cycle: crates/c/src/a/mod.rs -> crates/c/src/b.rs -> crates/c/src/a/mod.rs"
            ]
        );
        let in_tests = [
            file("crates/c/src/a.rs", "use crate::b::B;"),
            file("crates/c/src/b.rs", "#[cfg(test)]\nmod tests { use crate::a; }"),
        ];
        assert_eq!(findings(&in_tests), [""; 0]);
    }
}
