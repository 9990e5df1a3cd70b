//! Tests of the errors.

use super::*;

#[test]
fn an_error_can_pass_between_threads() {
    fn passes<T: std::error::Error + Send + Sync + 'static>() {}
    passes::<Error>();
}

#[test]
fn a_failed_system_call_has_its_cause() {
    let failed = Error::on("make", "a pipe", Errno::ENOENT);
    let cause = failed.io_error().expect("a system call failed");
    assert_eq!((cause.kind(), cause.raw_os_error()), (io::ErrorKind::NotFound, Some(2)));
    assert_eq!(failed.to_string(), "cannot make a pipe: ENOENT (no such file or directory)");
    assert_eq!(Error::Signal(15).to_string(), "ended by SIGTERM");
    assert_eq!(Error::Signal(50).to_string(), "ended by signal 50");
}

#[test]
fn a_shortage_has_its_own_hint() {
    let short = Error::at("fork", Path::new("x"), Errno::ENOMEM, "another").with_remedy(Remedy::OtherName);
    assert!(short.is_shortage() && short.to_string().ends_with(": end something that uses memory"));
    assert!(matches!(short, Error::System { remedy: None, .. }));
}
