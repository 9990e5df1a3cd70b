//! Programs in which the kernel refuses chosen system calls (seccomp(2)), as sandboxes, old kernels and some
//! file systems do. tests/refuse.c installs the filter and becomes the program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;

use crate::launch::Launch;
use crate::needs::succeeds;
use crate::peers::Workshop;

/// A system call that the kernel refuses, for [`Launch::refusing`].
///
/// ```no_run
/// use nix::errno::Errno;
/// use workspace_tests::{Paradigm, Refusal, Scene, Tool, needs};
///
/// if !needs(&[Tool::Seccomp]) {
///     return;
/// }
/// let scene = Scene::new();
/// // renameat2 with RENAME_EXCHANGE (2) in its fifth argument, the flags.
/// let exchange = Refusal::of("renameat2", Errno::EINVAL).when(4, 2, 2);
/// let server = scene.server(Paradigm::Forking).refusing([exchange]).ready();
/// scene.end();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// Makes every call of this name fail with this error. The C library may choose between several calls:
    /// for rename(3) refuse `rename`, `renameat` and `renameat2`. The names on x86_64 and aarch64 differ.
    pub fn of(call: &str, error: Errno) -> Self {
        Self(format!("{call}:{}", error as i32))
    }

    /// Refuses the call only if this argument (0 is the first) has this value in the bits of `mask`.
    #[must_use]
    pub fn when(self, argument: u8, mask: u64, value: u64) -> Self {
        Self(format!("{}:{argument}:{mask}:{value}", self.0))
    }
}

impl Launch<'_> {
    /// Makes the kernel refuse these calls in the program and in all that it starts. Needs
    /// [`crate::Tool::Seccomp`].
    #[must_use]
    pub fn refusing(self, refusals: impl IntoIterator<Item = Refusal>) -> Self {
        let rules = refusals.into_iter().map(|refusal| OsString::from(refusal.0));
        let refuse = program().unwrap_or_else(|complaint| panic!("{complaint}"));
        self.through([refuse.into_os_string()].into_iter().chain(rules).chain(["--".into()]))
    }
}

fn program() -> Result<PathBuf, String> {
    Workshop::at(Path::new(env!("CARGO_MANIFEST_DIR")), "tools").program("refuse")
}

/// Why this machine cannot refuse calls; `None` if it can.
pub(crate) fn is_impossible() -> Option<String> {
    // true(1) does not call getppid(2), so it succeeds.
    let tried =
        program().and_then(|refuse| succeeds(Command::new(refuse).args(["getppid:ENOSYS", "--", "true"])));
    tried.err()
}
