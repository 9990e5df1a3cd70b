//! The place where server and clients meet: the WKP's directory and name, and the names derived from it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};

use crate::error::{Error, Remedy, Result};
use crate::sys;
use crate::wire::NAME_MAX;

/// The most that a derived name adds: `./` before it, and `.client.`, a PID, a dot and 16 digits after it.
const DERIVED_MAX: usize = 2 + 8 + 10 + 1 + 16;

/// A well-known pipe's path, split into its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    directory: PathBuf,
    /// The directory without symbolic links, resolved when this value was made. As given, if that failed.
    resolved: PathBuf,
    name: OsString,
}

impl Place {
    /// Returns the place of the well-known pipe at `path`, absolute or relative to the working directory.
    ///
    /// # Errors
    /// [`Error::NoName`]: the path ends in no name. `ENAMETOOLONG`: the names derived from it would not fit.
    pub fn new(path: &Path) -> Result<Self> {
        // Removes a slash at the end, which would mean a directory to the kernel.
        let path = path.components().as_path();
        let Some(name) = path.file_name() else {
            return Err(Error::NoName { path: path.to_path_buf() });
        };
        let longest = format!(".client.{}.{:016x}", u32::MAX, 0);
        if name.len() + longest.len() > NAME_MAX {
            let error = Error::at("use the path", path, Errno::ENAMETOOLONG, "");
            return Err(error.with_remedy(Remedy::ShorterName));
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new(".")).to_path_buf();
        let resolved = fs::canonicalize(&directory).unwrap_or_else(|_| directory.clone());
        Ok(Self { path: path.to_path_buf(), name: name.to_os_string(), directory, resolved })
    }

    /// Returns the path of the well-known pipe.
    pub fn wkp(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a bare name beside the well-known pipe.
    pub(crate) fn beside(&self, name: &[u8]) -> PathBuf {
        // `join` would allocate twice.
        let mut path = PathBuf::with_capacity(self.directory.as_os_str().len() + 1 + name.len());
        path.push(&self.directory);
        path.push(OsStr::from_bytes(name));
        path
    }

    /// Returns the absolute path, without symbolic links, of a bare name beside the well-known pipe.
    pub(crate) fn resolved_beside(&self, name: &str) -> PathBuf {
        self.resolved.join(name)
    }

    /// Returns the path of the lock file, which one live server holds.
    pub fn lock(&self) -> PathBuf {
        lock_of(&self.path)
    }

    /// Returns a temporary name for the next well-known pipe before it gets its name, and for the old one
    /// after it lost its name. Random, so that no process can predict it.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn aside(&self) -> Result<PathBuf> {
        self.derived("new")
    }

    /// Returns a name for a private pipe of this process.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn private(&self) -> Result<PathBuf> {
        self.derived("client")
    }

    /// Returns a name for a fresh upstream of this process.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn upstream(&self) -> Result<PathBuf> {
        self.derived("up")
    }

    /// Returns `NAME.KIND.PID.RANDOM` beside the well-known pipe. Without `format!`: its code would be more
    /// pages for each subserver to map.
    fn derived(&self, kind: &str) -> Result<PathBuf> {
        let (random, mut pid) = (random()?, itoa::Buffer::new());
        let hex = |i| b"0123456789abcdef"[(random >> (60 - 4 * i)) as usize & 0xf];
        let (pid, digits): (_, [u8; 16]) = (pid.format(getpid().as_raw()), std::array::from_fn(hex));
        let mut path = PathBuf::with_capacity(self.path.as_os_str().len() + DERIVED_MAX);
        path.push(&self.directory);
        path.push(&self.name);
        for part in [b".", kind.as_bytes(), b".", pid.as_bytes(), b".", &digits] {
            path.as_mut_os_string().push(OsStr::from_bytes(part));
        }
        Ok(path)
    }

    /// Returns the path of a private pipe that a HELLO names. The name must be one that a client of this
    /// place may choose: bare, and `NAME.client.PID.RANDOM`.
    pub fn named_by_client(&self, name: &[u8]) -> Option<PathBuf> {
        let (kind, _) = self.kind_and_pid(OsStr::from_bytes(name))?;
        (kind == "client").then(|| self.beside(name))
    }

    /// Returns the path of a fresh upstream that an ACK names. The name must be one that a server of this
    /// place may choose: bare, and `NAME.up.PID.RANDOM`.
    pub fn named_by_server(&self, name: &[u8]) -> Option<PathBuf> {
        let (kind, _) = self.kind_and_pid(OsStr::from_bytes(name))?;
        (kind == "up").then(|| self.beside(name))
    }

    /// Returns the directory of all pipes of this place.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the path of the private pipe that a course client names. Any name in this directory is
    /// allowed, except the well-known one and those derived from it. Programs write it bare, after `./`, or
    /// as an absolute path.
    pub(crate) fn bare_in_course(&self, name: &[u8]) -> Option<PathBuf> {
        let name = name.strip_prefix(b"./").unwrap_or(name);
        let (directory, bare) = match name.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (Some(&name[..slash]), &name[slash + 1..]),
            None => (None, name),
        };
        // The paths are compared, and never looked up: a look-up of a path that a peer chose may hang in a
        // dead file system.
        let is_here = || {
            directory.is_none_or(|given| {
                let given = Path::new(OsStr::from_bytes(given)).components();
                given.clone().eq(self.directory.components()) || given.eq(self.resolved.components())
            })
        };
        let is_name = (1..=NAME_MAX).contains(&bare.len())
            && !matches!(bare, b"." | b"..")
            && !bare.iter().any(u8::is_ascii_control);
        let bare = OsStr::from_bytes(bare);
        let is_free = bare != self.name && self.kind_and_pid(bare).is_none();
        (is_name && is_free && is_here()).then(|| self.beside(bare.as_bytes()))
    }

    /// Splits a derived name into `client`, `up` or `new`, and the PID.
    pub(crate) fn kind_and_pid(&self, name: &OsStr) -> Option<(&'static str, Pid)> {
        let rest = name.as_bytes().strip_prefix(self.name.as_bytes())?.strip_prefix(b".")?;
        let mut parts = rest.split(|byte| *byte == b'.');
        let (kind, pid, random) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = ["client", "up", "new"].into_iter().find(|known| known.as_bytes() == kind)?;
        let is_random = random.len() == 16 && random.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let digits = pid.iter().all(u8::is_ascii_digit);
        let pid: i32 = std::str::from_utf8(pid).ok()?.parse().ok().filter(|pid| *pid > 0)?;
        (is_random && digits && parts.next().is_none()).then_some((kind, Pid::from_raw(pid)))
    }
}

/// Returns the lock file of the server with this well-known pipe.
pub(crate) fn lock_of(wkp: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(wkp.file_name().unwrap_or_default());
    name.push(".lock");
    wkp.with_file_name(name)
}

/// Returns 64 unpredictable bits from the kernel.
///
/// # Errors
/// The kernel has no random source. Where it lacks getrandom(2): no file descriptor is available now.
pub fn random() -> Result<u64> {
    sys::random().map_err(|error| Error::on("read", "the kernel's random source", error))
}
