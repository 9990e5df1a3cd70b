//! The seccomp filter: which system calls stop, all others run at full speed (seccomp(2)).
//!
//! The kernel runs it in each system call of the traced programs, and caches the answer for calls that it
//! always allows. Programs for another architecture (32 bits, x32) run untraced.

use libc::sock_filter;

use super::numbers as nr;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The AUDIT_ARCH number of this machine.
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;

/// System calls of x32 have this bit.
const X32: u32 = 0x4000_0000;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const HAS_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Calls that stop only with one of these values in an argument.
const SELECTED: [(i64, u32, &[u32]); 2] = [
    (libc::SYS_fcntl, 1, &[libc::F_DUPFD as u32, libc::F_DUPFD_CLOEXEC as u32, libc::F_SETFL as u32]),
    (libc::SYS_ioctl, 1, &[libc::FIONBIO as u32]),
];

/// The filter.
pub(super) fn program() -> Vec<sock_filter> {
    let mut program = vec![
        load(ARCHITECTURE),
        jump(EQUAL, NATIVE, 1, 0),
        allow(),
        load(NUMBER),
        jump(AT_LEAST, X32, 0, 1),
        allow(),
        // A child with CLONE_UNTRACED would escape. clone3(2) has its flags in memory: the tracer looks.
        jump(EQUAL, libc::SYS_clone as u32, 0, 4),
        load(ARGUMENTS),
        jump(HAS_BIT, libc::CLONE_UNTRACED as u32, 0, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        stop(),
    ];
    for (number, argument, values) in SELECTED {
        let count = values.len() as u8;
        program.push(jump(EQUAL, number as u32, 0, count + 3));
        program.push(load(ARGUMENTS + 8 * argument));
        let jumps = values.iter().zip((1..=count).rev());
        program.extend(jumps.map(|(value, left)| jump(EQUAL, *value, left, 0)));
        program.extend([allow(), stop()]);
    }
    let stopped: Vec<_> = nr::STOPPED.iter().filter(|number| **number >= 0).collect();
    let jumps = stopped.iter().zip((1..=stopped.len() as u8).rev());
    program.extend(jumps.map(|(number, left)| jump(EQUAL, **number as u32, left, 0)));
    program.extend([allow(), stop()]);
    program
}

fn load(offset: u32) -> sock_filter {
    sock_filter { code: LOAD, jt: 0, jf: 0, k: offset }
}

fn jump(code: u16, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    sock_filter { code, jt: if_true, jf: if_false, k: value }
}

fn answer(value: u32) -> sock_filter {
    sock_filter { code: RETURN, jt: 0, jf: 0, k: value }
}

fn allow() -> sock_filter {
    answer(libc::SECCOMP_RET_ALLOW)
}

fn stop() -> sock_filter {
    answer(libc::SECCOMP_RET_TRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter answers to a call.
    fn run(architecture: u32, number: u32, argument: (u32, u32)) -> u32 {
        let program = program();
        let (mut at, mut value) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            match step.code {
                LOAD if step.k == NUMBER => value = number,
                LOAD if step.k == ARCHITECTURE => value = architecture,
                LOAD => value = if step.k == ARGUMENTS + 8 * argument.0 { argument.1 } else { 0 },
                RETURN => return step.k,
                code => {
                    let is_true = match code {
                        EQUAL => value == step.k,
                        AT_LEAST => value >= step.k,
                        _ => value & step.k != 0,
                    };
                    at += usize::from(if is_true { step.jt } else { step.jf });
                }
            }
        }
    }

    #[test]
    fn only_calls_about_pipes_and_processes_stop() {
        for number in nr::STOPPED.iter().filter(|number| **number >= 0) {
            assert_eq!(run(NATIVE, *number as u32, (0, 0)), libc::SECCOMP_RET_TRACE, "{number}");
            assert_eq!(run(NATIVE ^ 1, *number as u32, (0, 0)), libc::SECCOMP_RET_ALLOW);
            assert_eq!(run(NATIVE, *number as u32 | X32, (0, 0)), libc::SECCOMP_RET_ALLOW);
        }
        for number in [libc::SYS_getppid, libc::SYS_mmap, libc::SYS_futex, libc::SYS_fstat] {
            assert_eq!(run(NATIVE, number as u32, (0, 0)), libc::SECCOMP_RET_ALLOW);
        }
    }

    #[test]
    fn some_calls_stop_only_with_an_argument() {
        let fcntl = |command: i32| run(NATIVE, libc::SYS_fcntl as u32, (1, command as u32));
        assert_eq!(fcntl(libc::F_GETFL), libc::SECCOMP_RET_ALLOW);
        for command in [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_SETFL] {
            assert_eq!(fcntl(command), libc::SECCOMP_RET_TRACE);
        }
        let ioctl = |request: u32| run(NATIVE, libc::SYS_ioctl as u32, (1, request));
        assert_eq!(ioctl(libc::TCGETS as u32), libc::SECCOMP_RET_ALLOW);
        assert_eq!(ioctl(libc::FIONBIO as u32), libc::SECCOMP_RET_TRACE);
        let clone = |flags: i32| run(NATIVE, libc::SYS_clone as u32, (0, flags as u32));
        assert_eq!(clone(libc::CLONE_VM | libc::CLONE_FILES), libc::SECCOMP_RET_TRACE);
        assert_eq!(clone(libc::CLONE_UNTRACED), libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
    }
}
