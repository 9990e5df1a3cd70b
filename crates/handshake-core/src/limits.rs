//! What the kernel lets this process have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the number of descriptors to the hard limit, and says what it is.
pub fn raise_descriptors() -> u64 {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_err() => soft,
        Ok((_, hard)) => hard,
        Err(_) => 1024,
    }
}

/// How many processes this user may have.
pub fn processes() -> u64 {
    getrlimit(Resource::RLIMIT_NPROC).map_or(1024, |(soft, _)| soft)
}

/// How many subservers a main server may have at most: half the processes of its user, so that the user can still
/// log in and end it.
pub fn subservers() -> usize {
    usize::try_from(processes() / 2).unwrap_or(usize::MAX).clamp(1, 1 << 15)
}

/// How many clients a process can have that holds so many descriptors for each, and a few of its own.
pub fn clients_of(descriptors_each: u64) -> usize {
    let left = raise_descriptors().saturating_sub(32) / descriptors_each;
    usize::try_from(left).unwrap_or(usize::MAX).clamp(1, subservers())
}
