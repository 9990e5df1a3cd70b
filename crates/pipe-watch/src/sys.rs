//! The system calls of the tracer for which rustix has no safe function: all `unsafe` of this crate.
//!
//! Raw libc, since the tracer must see and inject every signal, those from 34 on as well. The numbers and the
//! layout of `struct ptrace_syscall_info` are the kernel's: not every C library has them.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr;
use std::time::Duration;

use libc::{c_int, c_long, c_ulong, c_void, pid_t};

const PTRACE_POKEDATA: u32 = 5;
const PTRACE_CONT: u32 = 7;
const PTRACE_SYSCALL: u32 = 24;
const PTRACE_GETEVENTMSG: u32 = 0x4201;
const PTRACE_GETSIGINFO: u32 = 0x4202;
const PTRACE_SEIZE: u32 = 0x4206;
const PTRACE_LISTEN: u32 = 0x4208;
const PTRACE_GET_SYSCALL_INFO: u32 = 0x420e;

/// `struct ptrace_syscall_info`, in words: kind and architecture, instruction pointer, stack pointer, and
/// what the kind has.
type SyscallInfo = [u64; 11];

/// How a stopped thread goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resume {
    /// Until the next call of the filter.
    Run,
    /// Until its system call returns.
    UntilReturn,
    /// Not yet: it stays stopped by its signal, until SIGCONT.
    Listen,
}

/// A system call, at the moment of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyscallStop {
    /// It begins.
    Enter { number: i64, arguments: [u64; 6] },
    /// It returns this value.
    Return(i64),
    /// The thread is in no call.
    Other,
}

/// The process that sent a signal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    /// `si_code`.
    pub(crate) code: i32,
    /// `si_pid`, if the code is that of a process's signal, or for SIGCHLD.
    pub(crate) pid: i32,
}

/// A child that waits until it is traced.
#[derive(Debug)]
pub(crate) struct Gated {
    pub(crate) pid: pid_t,
    /// One byte lets the child go on. If it is closed without, the child ends.
    pub(crate) gate: OwnedFd,
    /// The child's error, as two `i32`: the step that failed, and the errno. It ends without one at exec.
    pub(crate) failure: OwnedFd,
}

/// The steps of a child that can fail.
pub(crate) const FAILED_FILTER: i32 = 1;
/// See [`FAILED_FILTER`].
pub(crate) const FAILED_EXEC: i32 = 2;

/// Starts a child that waits at a gate, then installs the filter and becomes the program. `None`: this
/// process has other threads, beside which it may not fork, or /proc does not say how many.
pub(crate) fn fork_gated(
    words: &[CString],
    filter: &[libc::sock_filter],
    signals: &HeldSignals,
) -> io::Result<Option<Gated>> {
    if !fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1) {
        return Ok(None);
    }
    let (gate, gate_writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let (failure, failure_writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let mut argv: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    argv.push(ptr::null());
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    #[expect(clippy::disallowed_methods, reason = "the tracer's one fork; this crate uses no other")]
    // SAFETY: fork takes nothing. This process has one thread, therefore the child may use all of its memory.
    let forked = unsafe { libc::fork() };
    match forked {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(gate_writer);
            let (step, errno) = become_program(&gate, &argv, &program, signals);
            let report = [step.to_ne_bytes(), errno.to_ne_bytes()].concat();
            let _ = rustix::io::write(&failure_writer, &report);
            // SAFETY: _exit takes an integer, and runs no destructor of the parent's values.
            unsafe { libc::_exit(127) }
        }
        pid => Ok(Some(Gated { pid, gate: gate_writer, failure })),
    }
}

/// What the child does. It returns only if a step fails.
fn become_program(
    gate: &OwnedFd,
    argv: &[*const libc::c_char],
    filter: &libc::sock_fprog,
    signals: &HeldSignals,
) -> (i32, i32) {
    let failed = |step| (step, io::Error::last_os_error().raw_os_error().unwrap_or(0));
    let mut byte = [0];
    let came = loop {
        match rustix::io::read(gate, &mut byte) {
            Err(rustix::io::Errno::INTR) => {}
            came => break came,
        }
    };
    if came != Ok(1) {
        return (0, 0);
    }
    signals.undo();
    // Rust's runtime ignores SIGPIPE before `main`: what it was before is not known.
    // SAFETY: an integer and a constant.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    // SAFETY: this prctl takes integers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1 as c_ulong, 0, 0, 0) } != 0 {
        return failed(FAILED_FILTER);
    }
    let mode = libc::SECCOMP_MODE_FILTER as c_ulong;
    // SAFETY: the kernel copies the filter, which lives until the call returns.
    if unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, ptr::from_ref(filter), 0, 0) } != 0 {
        return failed(FAILED_FILTER);
    }
    // SAFETY: `argv` ends with a null pointer, and its strings live in the parent's copy of the caller.
    unsafe { libc::execvp(argv[0], argv.as_ptr()) };
    failed(FAILED_EXEC)
}

/// Attaches to a thread without stopping it. `options` also go to each thread that it will start.
pub(crate) fn seize(tid: pid_t, options: c_int) -> io::Result<()> {
    // SAFETY: two numbers.
    unsafe { ptrace(PTRACE_SEIZE, tid, 0, options as c_ulong) }.map(drop)
}

/// Lets a stopped thread go on, and delivers `signal` to it (0: none).
pub(crate) fn resume(tid: pid_t, how: Resume, signal: c_int) -> io::Result<()> {
    let request = match how {
        Resume::Run => PTRACE_CONT,
        Resume::UntilReturn => PTRACE_SYSCALL,
        Resume::Listen => PTRACE_LISTEN,
    };
    // SAFETY: these requests take two numbers.
    unsafe { ptrace(request, tid, 0, signal as c_ulong) }.map(drop)
}

/// The number that belongs to a stopped thread's event: a new PID, an exit status, a former thread ID.
pub(crate) fn event_message(tid: pid_t) -> io::Result<u64> {
    let mut message: c_ulong = 0;
    // SAFETY: the kernel writes one number, which lives until the call returns.
    unsafe { ptrace(PTRACE_GETEVENTMSG, tid, 0, ptr::from_mut(&mut message) as c_ulong) }?;
    Ok(message)
}

/// The system call of a stopped thread.
pub(crate) fn syscall_stop(tid: pid_t) -> io::Result<SyscallStop> {
    let mut info: SyscallInfo = [0; 11];
    let size = size_of::<SyscallInfo>() as c_ulong;
    // SAFETY: the kernel writes at most `size` bytes, which live until the call returns.
    unsafe { ptrace(PTRACE_GET_SYSCALL_INFO, tid, size, ptr::from_mut(&mut info) as c_ulong) }?;
    let [kind, _, _, first, arguments @ .., _] = info;
    let arguments = [arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]];
    Ok(match kind & 0xff {
        // PTRACE_SYSCALL_INFO_ENTRY, and that of a filter.
        1 | 3 => SyscallStop::Enter { number: first as i64, arguments },
        2 => SyscallStop::Return(first as i64),
        _ => SyscallStop::Other,
    })
}

/// Returns the sender of the signal at which a thread is stopped.
///
/// # Errors
/// EINVAL: no signal stopped the thread.
pub(crate) fn sender(tid: pid_t) -> io::Result<Sender> {
    // `siginfo_t`: number, errno, code, and from the fifth word on what depends on the code.
    let mut info = [0i32; 32];
    // SAFETY: the kernel writes a siginfo_t of 128 bytes, the size of `info`.
    unsafe { ptrace(PTRACE_GETSIGINFO, tid, 0, ptr::from_mut(&mut info) as c_ulong) }?;
    Ok(Sender { code: info[2], pid: info[4] })
}

/// Writes one word into a stopped thread's memory.
pub(crate) fn write_word(tid: pid_t, address: u64, word: u64) -> io::Result<()> {
    // SAFETY: the address is of the other process.
    unsafe { ptrace(PTRACE_POKEDATA, tid, address as c_ulong, word as c_ulong) }.map(drop)
}

/// # Safety
/// If this request writes into this process's memory, `data` is the address of a value of the size that it
/// writes.
unsafe fn ptrace(request: u32, tid: pid_t, address: c_ulong, data: c_ulong) -> io::Result<c_long> {
    // SAFETY: the caller's promise. Nothing else of this process's memory is touched.
    let result = unsafe { libc::ptrace(request as _, tid, address, data) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The next stop or end of any child or traced thread, with its status as of wait(2). `None`: nothing yet.
///
/// # Errors
/// ECHILD: there is no child any more.
pub(crate) fn next_status() -> io::Result<Option<(pid_t, c_int)>> {
    let mut status = 0;
    // SAFETY: `status` is an integer for the kernel to write.
    match unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::WNOHANG) } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        tid => Ok(Some((tid, status))),
    }
}

/// Reads another thread's memory, as far as it is there. Returns the number of bytes.
pub(crate) fn read_memory(tid: pid_t, address: u64, bytes: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // The kernel reads a part as a whole or not at all: the page that may not exist is a part of its own.
    let first = bytes.len().min(4096 - address as usize % 4096);
    let part = |address: u64, length| libc::iovec { iov_base: address as *mut c_void, iov_len: length };
    let remote = [part(address, first), part(address.wrapping_add(first as u64), bytes.len() - first)];
    // SAFETY: the kernel writes only into `bytes`; the other addresses are of the other process.
    let read = unsafe { libc::process_vm_readv(tid, &local, 1, remote.as_ptr(), 2, 0) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// Holds back signals, so that [`HeldSignals::next`] takes them. Dropping it lets them through again.
#[derive(Debug)]
pub(crate) struct HeldSignals {
    held: libc::sigset_t,
    /// The mask and the action of SIGCHLD as they were before.
    before: libc::sigset_t,
    child: libc::sigaction,
}

impl HeldSignals {
    /// Holds back these signals in this thread, and SIGCHLD. A signal that is ignored stays ignored: nohup(1)
    /// and shells start programs like that.
    pub(crate) fn new(signals: &[c_int]) -> Self {
        let child = action(libc::SIGCHLD);
        // An ignored SIGCHLD would not come, and its children would not be waited for.
        // SAFETY: an integer and a constant.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
        let heeded = signals.iter().copied().filter(|signal| !is_ignored(*signal));
        let held = signal_set(&heeded.chain([libc::SIGCHLD]).collect::<Vec<_>>());
        Self { held, before: set_mask(libc::SIG_BLOCK, &held), child }
    }

    /// Undoes it: the mask and the action of SIGCHLD are as before.
    pub(super) fn undo(&self) {
        // SAFETY: the action is one that this process had.
        unsafe { libc::sigaction(libc::SIGCHLD, &self.child, ptr::null_mut()) };
        set_mask(libc::SIG_SETMASK, &self.before);
    }

    /// Waits for one of them, at most this long. Returns its number, and whether the kernel sent it (the
    /// terminal: to all processes in the foreground).
    pub(crate) fn next(&self, limit: Option<Duration>) -> Option<(c_int, bool)> {
        let limit = limit.map(|limit| libc::timespec {
            tv_sec: limit.as_secs() as libc::time_t,
            tv_nsec: limit.subsec_nanos() as c_long,
        });
        let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: all zeros are a siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set, the info and the limit live until the call returns.
        let signal = unsafe { libc::sigtimedwait(&self.held, &mut info, limit) };
        (signal > 0).then_some((signal, info.si_code > 0))
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        // One that was taken as the reason to end must not strike again.
        while self.next(Some(Duration::ZERO)).is_some() {}
        self.undo();
    }
}

/// Whether this process ignores a signal.
fn is_ignored(signal: c_int) -> bool {
    action(signal).sa_sigaction == libc::SIG_IGN
}

/// What this process does at a signal.
fn action(signal: c_int) -> libc::sigaction {
    // SAFETY: all zeros are a sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the call only writes into `action`.
    unsafe { libc::sigaction(signal, ptr::null(), &mut action) };
    action
}

fn signal_set(signals: &[c_int]) -> libc::sigset_t {
    // SAFETY: all zeros are an empty set.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    for signal in signals {
        // SAFETY: `set` is a set of signals; a wrong number is an error without effect.
        unsafe { libc::sigaddset(&mut set, *signal) };
    }
    set
}

fn set_mask(how: c_int, set: &libc::sigset_t) -> libc::sigset_t {
    let mut before = signal_set(&[]);
    // SAFETY: both sets live until the call returns.
    unsafe { libc::pthread_sigmask(how, set, &mut before) };
    before
}

/// Sends a signal to a process, which may have ended.
pub(crate) fn send(pid: pid_t, signal: c_int) {
    // SAFETY: two integers.
    unsafe { libc::kill(pid, signal) };
}
