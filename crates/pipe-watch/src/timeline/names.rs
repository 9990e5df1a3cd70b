//! Short names that tell lanes and pipes apart.

use std::collections::HashMap;

use super::{Lane, Pipe};
use crate::look::printable;

/// The longest name of a pipe in a picture, in characters.
const NAME: usize = 24;

/// Names the lanes. Processes of one name are numbered; a process that its parent forked and that runs the
/// parent's program is called its child.
pub(super) fn give_titles(lanes: &mut [Lane], lane_of: &[usize]) {
    let mut bases = Vec::with_capacity(lanes.len());
    for lane in lanes.iter() {
        let parent = lane.fork.map(|fork| lane_of[fork]);
        let own = lane.names.last().cloned();
        let of_parent = parent.and_then(|parent| lanes[parent].names.last().cloned());
        bases.push(match (own, of_parent) {
            (own, Some(name)) if own.as_ref().is_none_or(|own| *own == name) => format!("{name} child"),
            (Some(own), _) => own,
            (None, _) => format!("process {}", lane.pid),
        });
    }
    let titles = numbered(&bases, |name, number| format!("{name} {number}"), 1);
    lanes.iter_mut().zip(titles).for_each(|(lane, title)| lane.title = title);
}

/// Names the pipes: the last part of the path without a long random end, numbered from the second pipe of
/// that name on. Of several names a pipe has the shortest: it may be made under a longer one, and moved.
pub(super) fn give_labels(pipes: &mut [Pipe]) {
    let mut unnamed = 0;
    let bases: Vec<String> = pipes
        .iter()
        .map(|pipe| match pipe.names.iter().map(|name| short(name)).min_by_key(String::len) {
            Some(name) => name,
            None => {
                unnamed += 1;
                format!("unnamed {unnamed}")
            }
        })
        .collect();
    let labels = numbered(&bases, |name, number| format!("{name} ({number})"), 2);
    pipes.iter_mut().zip(labels).for_each(|(pipe, label)| pipe.label = label);
}

/// Numbers the names that occur more than once, from the `first` of them that gets a number on.
fn numbered(bases: &[String], with: impl Fn(&str, usize) -> String, first: usize) -> Vec<String> {
    let mut total: HashMap<&String, usize> = HashMap::new();
    bases.iter().for_each(|base| *total.entry(base).or_default() += 1);
    let mut seen: HashMap<&String, usize> = HashMap::new();
    let mut names = Vec::with_capacity(bases.len());
    for base in bases {
        let nth = seen.entry(base).or_default();
        *nth += 1;
        let is_numbered = total[base] > 1 && *nth >= first;
        names.push(if is_numbered { with(base, *nth) } else { base.clone() });
    }
    names
}

/// Returns a path's last part in printable text, without a random end, and cut if it is long.
pub fn short(path: &str) -> String {
    let name = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path);
    let name = match name.rsplit_once('.') {
        Some((rest, end)) if end.len() == 16 && end.bytes().all(|byte| byte.is_ascii_hexdigit()) => rest,
        _ => name,
    };
    cut(&printable(name), NAME)
}

/// The beginning of a text, of at most `longest` characters.
pub(super) fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest - 1).chain(['…']).collect()
}
