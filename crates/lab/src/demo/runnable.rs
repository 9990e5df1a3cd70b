//! Whether the kernel can run a file.
//!
//! execvp(3), by which programs are started, hands a file that the kernel cannot run to /bin/sh. A program that was built for
//! another machine would become garbage on a command line, and no error would be seen.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use handshake_core::error::errno_of;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

/// The head of an ELF file, up to the number of the machine that it was built for (elf(5)).
const HEAD: usize = 20;
const MACHINE: usize = 18;

/// Looks at the x bit and at the first bytes of the file.
///
/// # Errors
/// `EACCES`: no x bit. `ENOEXEC`: neither a program for this machine nor a script with a `#!` line. Those of open(2).
pub(super) fn check(path: &Path) -> Result<(), Errno> {
    access(path, AccessFlags::X_OK)?;
    let head = head(path)?;
    let is_script = head.starts_with(b"#!");
    let is_ours = || head.starts_with(b"\x7fELF") && head.get(MACHINE..) == own_machine().as_deref();
    if is_script || is_ours() || has_other_formats() { Ok(()) } else { Err(Errno::ENOEXEC) }
}

fn head(path: &Path) -> Result<Vec<u8>, Errno> {
    let mut head = Vec::new();
    let file = File::open(path).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head));
    file.map_err(|error| errno_of(&error)).map(|_| head)
}

fn own_machine() -> Option<Vec<u8>> {
    head(Path::new("/proc/self/exe")).ok()?.get(MACHINE..).map(<[u8]>::to_vec)
}

/// Whether the kernel was told how to run files of other formats (binfmt_misc), an emulator for example.
fn has_other_formats() -> bool {
    let formats = fs::read_dir("/proc/sys/fs/binfmt_misc");
    let is_format = |name: &std::ffi::OsStr| name != "register" && name != "status";
    formats
        .is_ok_and(|mut formats| formats.any(|entry| entry.is_ok_and(|entry| is_format(&entry.file_name()))))
}
