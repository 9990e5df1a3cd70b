//! Starting a program by execve(2) itself.
//!
//! [`Command`] calls execvp(3). That runs a file as a shell script if the kernel does not know its format: a
//! program that was built for another machine becomes garbage on the command line of /bin/sh, and no error is
//! seen.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::ptr;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::error::errno_of;

/// What execve(2) takes: texts, and a list of pointers to them that ends in a null pointer.
#[derive(Debug)]
struct Texts {
    pointers: Vec<*const libc::c_char>,
    /// Keeps alive what `pointers` point to.
    _texts: Vec<CString>,
}

// SAFETY: nothing changes the texts, and moving them does not move the bytes that the pointers point to.
unsafe impl Send for Texts {}
// SAFETY: as above; the pointers are only read.
unsafe impl Sync for Texts {}

impl Texts {
    fn new(texts: impl Iterator<Item = Vec<u8>>) -> Result<Self, Errno> {
        let texts = texts.map(CString::new).collect::<Result<Vec<_>, _>>().map_err(|_| Errno::EINVAL)?;
        let pointers = texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect();
        Ok(Self { pointers, _texts: texts })
    }

    fn first(&self) -> *const libc::c_char {
        self.pointers[0]
    }

    fn as_ptr(&self) -> *const *const libc::c_char {
        self.pointers.as_ptr()
    }
}

/// Has `command`, whose program is a path, started by execve(2) with no signal blocked, as a shell starts it.
/// Call this last: arguments and variables that are added later are not passed on.
///
/// Spawning it then fails with the kernel's own errno: `ENOEXEC` for a file that the kernel cannot run.
///
/// # Errors
/// `EINVAL`: a NUL in the path, an argument or a variable.
pub fn starts_by_execve(command: &mut Command) -> Result<(), Errno> {
    let execve = execve(command)?;
    // SAFETY: the closure makes system calls only and allocates nothing.
    unsafe { command.pre_exec(move || Err(execve().unwrap_err().into())) };
    Ok(())
}

/// Whether the kernel would run the program of `command`, found out without running any of it: a child that
/// is traced (ptrace(2), `PTRACE_TRACEME`) stops at the end of a successful execve(2), and is killed there.
/// Where a process must not be traced, this says yes.
///
/// # Errors
/// The errno with which execve(2) fails.
pub fn try_execve(command: &Command) -> Result<(), Errno> {
    let execve = execve(command)?;
    let mut trial = Command::new(command.get_program());
    trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let traced = move || {
        let (none, null) = (0, ptr::null_mut::<libc::c_void>());
        // SAFETY: this request ignores the other arguments.
        Errno::result(unsafe { libc::ptrace(libc::PTRACE_TRACEME, none, null, null) })
            .map_err(|_| Errno::ENOTSUP)?;
        Err(execve().unwrap_err().into())
    };
    // SAFETY: the closure makes system calls only and allocates nothing.
    unsafe { trial.pre_exec(traced) };
    match trial.spawn().map_err(|error| errno_of(&error)) {
        Ok(child) => {
            let child = Pid::from_raw(child.id().cast_signed());
            // Not reaped yet, so the number is its own.
            kill(child, Signal::SIGKILL)?;
            while matches!(waitpid(child, None)?, WaitStatus::Stopped(..)) {}
            Ok(())
        }
        Err(Errno::ENOTSUP) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The call for a child between fork and exec. It returns only if it fails.
fn execve(command: &Command) -> Result<impl Fn() -> Result<Infallible, Errno> + Send + Sync + use<>, Errno> {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words = Texts::new(words.map(|word| word.as_bytes().to_vec()))?;
    let mut variables: BTreeMap<OsString, OsString> = env::vars_os().collect();
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => variables.insert(name.into(), value.into()),
            None => variables.remove(name),
        };
    }
    let line = |(name, value): (OsString, OsString)| [name.as_os_str(), &value].join(OsStr::new("="));
    let variables = Texts::new(variables.into_iter().map(|variable| line(variable).into_encoded_bytes()))?;
    Ok(move || {
        SigSet::empty().thread_set_mask()?;
        let (path, words, variables) = (words.first(), words.as_ptr(), variables.as_ptr());
        // SAFETY: both lists end in a null pointer, and the closure owns their texts. If the call returns, it
        // changed nothing.
        Err(match Errno::result(unsafe { libc::execve(path, words, variables) }) {
            Err(errno) => errno,
            Ok(_) => Errno::EIO,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_program_has_its_arguments_and_its_variables_and_no_signal_blocked() {
        let mut command = Command::new("/bin/sh");
        let script = "echo $0 $ADDED ${HOME:-homeless}; grep -E 'Sig(Blk|Ign)' /proc/self/status";
        command.args(["-c", script, "zero"]).env("ADDED", "added").env_remove("HOME").stdout(Stdio::piped());
        try_execve(&command).unwrap();
        starts_by_execve(&mut command).unwrap();
        SigSet::all().thread_block().unwrap();
        let child = command.spawn();
        SigSet::all().thread_unblock().unwrap();
        let (mut child, mut said) = (child.unwrap(), String::new());
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success());
        let signals = said.strip_prefix("zero added homeless\nSigBlk:\t0000000000000000\nSigIgn:\t").unwrap();
        // Others may be ignored where the test itself was started so.
        let ignored = u64::from_str_radix(signals.trim_end(), 16).unwrap();
        assert_eq!(ignored & 1 << (libc::SIGPIPE - 1), 0);
    }

    /// Of a file that was just written: another test may have forked meanwhile, and hold the file open until
    /// its exec.
    fn tried(command: &Command) -> Result<(), Errno> {
        loop {
            match try_execve(command) {
                Err(Errno::ETXTBSY) => continue,
                other => return other,
            }
        }
    }

    #[test]
    fn what_the_kernel_cannot_run_is_an_error_and_no_script() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("program");
        fs::write(&file, "exit 0\n").unwrap();
        let errnos = || {
            let mut command = Command::new(&file);
            let tried = tried(&command).unwrap_err();
            starts_by_execve(&mut command).unwrap();
            [tried, errno_of(&command.spawn().unwrap_err())]
        };
        assert_eq!(errnos(), [Errno::EACCES; 2]);
        fs::set_permissions(&file, Permissions::from_mode(0o700)).unwrap();
        assert_eq!(errnos(), [Errno::ENOEXEC; 2]);
        fs::remove_file(&file).unwrap();
        assert_eq!(errnos(), [Errno::ENOENT; 2]);
    }

    #[test]
    fn a_program_that_is_only_tried_does_not_run() {
        let place = tempfile::tempdir().unwrap();
        let (file, ran) = (place.path().join("program"), place.path().join("ran"));
        fs::write(&file, format!("#!/bin/sh\n: >{ran:?}\n")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o700)).unwrap();
        for _ in 0..20 {
            tried(&Command::new(&file)).unwrap();
        }
        assert!(!ran.exists());
    }
}
