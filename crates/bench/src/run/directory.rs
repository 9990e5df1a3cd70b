//! Where a comparison's pipes are: a directory that goes with it, and with the next one if it was killed.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use handshake_core::Result;
use nix::unistd::Uid;
use probe::{proc, temporary};
use tempfile::TempDir;

/// The number of its process follows.
const PREFIX: &str = "lab-compare-";

/// Makes one, and removes those of comparisons that are no more.
///
/// # Errors
/// No directory can be made.
pub(crate) fn make() -> Result<TempDir> {
    [Path::new(temporary::MEMORY), &env::temp_dir()].into_iter().for_each(sweep);
    temporary::directory_in_memory(&format!("{PREFIX}{}-", std::process::id()))
}

/// Removes directories that killed comparisons of this user have left. Other users' processes cannot remove
/// them.
fn sweep(parent: &Path) {
    for entry in parent.read_dir().into_iter().flatten().flatten() {
        let is_dead = entry.file_name().to_str().and_then(owner).is_some_and(|pid| !proc::lives(pid));
        // Of the entry itself, not of what a link leads to.
        let is_ours =
            entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == Uid::effective().as_raw());
        if is_dead && is_ours {
            // Another comparison that starts just now may be at it, too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The process whose directory has this name.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn only_directories_of_the_dead_are_swept() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let (parent, dead, own) = (tempfile::tempdir().unwrap(), child.id(), std::process::id());
        let path = |name: String| parent.path().join(name);
        let swept = path(format!("{PREFIX}{dead}-abc"));
        fs::create_dir_all(swept.join("trial")).unwrap();
        let living = path(format!("{PREFIX}{own}-abc"));
        let (nobody, link) = (path(format!("{PREFIX}abc")), path(format!("{PREFIX}{dead}-link")));
        [&living, &nobody].into_iter().for_each(|dir| fs::create_dir(dir).unwrap());
        symlink(&living, &link).unwrap();
        sweep(parent.path());
        assert!(!swept.exists());
        assert!(living.exists() && nobody.exists() && link.is_symlink());
    }
}
