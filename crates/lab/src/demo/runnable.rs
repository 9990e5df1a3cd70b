//! Whether the kernel can run a file.
//!
//! The demo starts programs with execvp(3), which passes a file that the kernel cannot run to /bin/sh. The
//! shell would read a program for another machine as a script of garbage, and the demo would see no error.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use handshake_core::error::errno_of;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

/// The size of an ELF header up to the number of its machine (elf(5)), and the offset of that number.
const HEAD: usize = 20;
const MACHINE: usize = 18;

/// Checks the x bit and the first bytes of the file.
///
/// # Errors
/// `EACCES`: no x bit. `ENOEXEC`: neither a program for this machine nor a script with a `#!` line. Those of
/// open(2).
pub(super) fn check(path: &Path) -> Result<(), Errno> {
    access(path, AccessFlags::X_OK)?;
    let head = head(path)?;
    let is_script = head.starts_with(b"#!");
    let is_ours = || head.starts_with(b"\x7fELF") && head.get(MACHINE..).is_some_and(is_run_here);
    if is_script || is_ours() || has_other_formats() { Ok(()) } else { Err(Errno::ENOEXEC) }
}

fn head(path: &Path) -> Result<Vec<u8>, Errno> {
    let mut head = Vec::new();
    let file = File::open(path).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head));
    file.map_err(|error| errno_of(&error)).map(|_| head)
}

/// The kernel also runs 32-bit programs of the same family: EM_386 (3) on x86_64, EM_ARM (40) on aarch64.
const FAMILY: Option<u16> = if cfg!(target_arch = "x86_64") {
    Some(3)
} else if cfg!(target_arch = "aarch64") {
    Some(40)
} else {
    None
};

/// Whether this machine runs programs for `machine`, a number in an ELF file's byte order.
fn is_run_here(machine: &[u8]) -> bool {
    own_machine().as_deref() == Some(machine) || FAMILY.is_some_and(|family| *machine == family.to_le_bytes())
}

fn own_machine() -> Option<Vec<u8>> {
    head(Path::new("/proc/self/exe")).ok()?.get(MACHINE..).map(<[u8]>::to_vec)
}

/// Whether the kernel was configured to run files of other formats (binfmt_misc), for example by an emulator.
fn has_other_formats() -> bool {
    let formats = fs::read_dir("/proc/sys/fs/binfmt_misc");
    let is_format = |name: &std::ffi::OsStr| name != "register" && name != "status";
    formats
        .is_ok_and(|mut formats| formats.any(|entry| entry.is_ok_and(|entry| is_format(&entry.file_name()))))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_32_bit_program_of_the_same_family_can_run_and_one_of_another_cannot() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("program");
        let checked = |machine: u16| {
            let mut head = b"\x7fELF".to_vec();
            head.resize(MACHINE, 0);
            head.extend(machine.to_le_bytes());
            fs::write(&path, head).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            check(&path)
        };
        if let Some(family) = FAMILY {
            assert_eq!(checked(family), Ok(()));
        }
        // EM_SPARC.
        let other = if has_other_formats() { Ok(()) } else { Err(Errno::ENOEXEC) };
        assert_eq!(checked(2), other);
    }
}
