//! Error numbers: found in errors of the standard library, and shown by name.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// Returns the errno behind an error of the standard library: its own, that of a wrapped error, or the
/// closest one to its kind. Never 0.
pub fn errno_of(error: &io::Error) -> Errno {
    error
        .raw_os_error()
        .or_else(|| wrapped_number(error))
        .map_or_else(|| errno_of_kind(error.kind()), Errno::from_raw)
}

/// Returns the errno of the system error that `error` wraps. Crates such as tempfile wrap it in private types
/// without a `source`. The error's text shows the errno: "No such file or directory (os error 2) at path
/// ...".
fn wrapped_number(error: &io::Error) -> Option<i32> {
    let text = error.get_ref()?.to_string();
    text.split_once("(os error ")?.1.split_once(')')?.0.parse().ok()
}

fn errno_of_kind(kind: io::ErrorKind) -> Errno {
    match kind {
        io::ErrorKind::NotFound => Errno::ENOENT,
        io::ErrorKind::PermissionDenied => Errno::EACCES,
        io::ErrorKind::AlreadyExists => Errno::EEXIST,
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Errno::EINVAL,
        io::ErrorKind::BrokenPipe => Errno::EPIPE,
        io::ErrorKind::OutOfMemory => Errno::ENOMEM,
        io::ErrorKind::WriteZero | io::ErrorKind::StorageFull => Errno::ENOSPC,
        io::ErrorKind::Unsupported => Errno::ENOTSUP,
        _ => Errno::EIO,
    }
}

/// An error's symbolic name and its meaning on a pipe: `ENXIO (no reader)`.
#[derive(Debug, Clone, Copy)]
pub struct Named(pub Errno);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.0 {
            Errno::ENXIO => "no reader".into(),
            Errno::EPIPE => "the reader has gone".into(),
            other => other.desc().to_lowercase(),
        };
        write!(f, "{:?} ({meaning})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_always_has_an_errno() {
        assert_eq!(errno_of(&io::Error::from_raw_os_error(Errno::ENOENT as i32)), Errno::ENOENT);
        let full = io::Error::from_raw_os_error(Errno::EMFILE as i32);
        assert_eq!(errno_of(&io::Error::other(io::Error::other(full))), Errno::EMFILE);
        let made = tempfile::tempdir_in("/dev/null").expect_err("it is no directory");
        assert_eq!((made.raw_os_error(), errno_of(&made)), (None, Errno::ENOTDIR));
        assert_eq!(errno_of(&io::ErrorKind::PermissionDenied.into()), Errno::EACCES);
        assert_eq!(errno_of(&io::Error::other("words only")), Errno::EIO);
    }
}
