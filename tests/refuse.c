/*
 * refuse: runs a program in which the kernel refuses chosen system calls with a chosen error (seccomp(2)).
 *
 *     refuse CALL:ERRNO[:ARGUMENT:MASK:VALUE] ... -- PROGRAM [ARGUMENT ...]
 *
 * CALL and ERRNO are names (renameat2, EINVAL) or decimal numbers. With ARGUMENT (0 is the first), a call is
 * refused only if that argument & MASK == VALUE; these two are numbers as in C. For example,
 * renameat2:EINVAL:4:2:2 refuses RENAME_EXCHANGE only. The error 0 makes the kernel skip the call and report
 * success. If two rules refuse one call, the first one decides.
 *
 * The program replaces this one, with the same PID. The rules bind its children and their programs, too.
 * Exit status 2: usage, or a name that this machine does not know; 77: seccomp cannot be used here; 126, 127:
 * PROGRAM cannot be run, or does not exist.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__ && !defined __ILP32__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__ && !defined __ILP32__ && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "refuse.c knows the system calls of x86_64 and of little-endian aarch64 only"
#endif

struct named {
    const char *name;
    long number;
};

#define CALL(name) { #name, SYS_##name }
static const struct named calls[] = {
    CALL(accept4), CALL(clock_gettime), CALL(clone), CALL(clone3), CALL(close), CALL(close_range),
    CALL(dup3), CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_pwait), CALL(eventfd2), CALL(execve),
    CALL(exit_group), CALL(faccessat), CALL(faccessat2), CALL(fchmod), CALL(fchmodat), CALL(fchown),
    CALL(fchownat), CALL(fcntl), CALL(flock), CALL(fstat), CALL(fstatfs), CALL(fsync), CALL(ftruncate),
    CALL(futex), CALL(getdents64), CALL(getpid), CALL(getppid), CALL(getrandom), CALL(inotify_add_watch),
    CALL(inotify_init1), CALL(ioctl), CALL(kill), CALL(linkat), CALL(lseek), CALL(madvise),
    CALL(memfd_create), CALL(mkdirat), CALL(mknodat), CALL(mmap), CALL(mprotect), CALL(newfstatat),
    CALL(openat), CALL(openat2), CALL(pidfd_open), CALL(pidfd_send_signal), CALL(pipe2), CALL(ppoll),
    CALL(prctl), CALL(pread64), CALL(prlimit64), CALL(process_vm_readv), CALL(ptrace), CALL(pwrite64),
    CALL(read), CALL(readlinkat), CALL(readv), CALL(renameat), CALL(renameat2), CALL(rt_sigaction),
    CALL(rt_sigprocmask), CALL(rt_sigqueueinfo), CALL(rt_sigtimedwait), CALL(sched_setaffinity),
    CALL(sched_yield), CALL(sendmsg), CALL(setpgid), CALL(setrlimit), CALL(setsid), CALL(signalfd4),
    CALL(splice), CALL(statx), CALL(symlinkat), CALL(tee), CALL(tgkill), CALL(timerfd_create),
    CALL(timerfd_settime), CALL(umask), CALL(unlinkat), CALL(unshare), CALL(utimensat), CALL(vmsplice),
    CALL(wait4), CALL(waitid), CALL(write), CALL(writev),
#ifdef __x86_64__ /* aarch64 has only the newer forms of these. */
    CALL(access), CALL(chmod), CALL(chown), CALL(dup2), CALL(epoll_create), CALL(epoll_wait), CALL(fork),
    CALL(link), CALL(lstat), CALL(mkdir), CALL(mknod), CALL(open), CALL(pipe), CALL(poll), CALL(readlink),
    CALL(rename), CALL(rmdir), CALL(stat), CALL(symlink), CALL(unlink), CALL(vfork),
#endif
#ifdef SYS_epoll_pwait2 /* Since Linux 5.11. */
    CALL(epoll_pwait2),
#endif
};

#define ERROR(name) { #name, name }
static const struct named errors[] = {
    ERROR(E2BIG), ERROR(EACCES), ERROR(EAGAIN), ERROR(EBADF), ERROR(EBUSY), ERROR(ECHILD), ERROR(EDQUOT),
    ERROR(EEXIST), ERROR(EFAULT), ERROR(EFBIG), ERROR(EINTR), ERROR(EINVAL), ERROR(EIO), ERROR(EISDIR),
    ERROR(ELOOP), ERROR(EMFILE), ERROR(EMLINK), ERROR(ENAMETOOLONG), ERROR(ENFILE), ERROR(ENODEV),
    ERROR(ENOENT), ERROR(ENOEXEC), ERROR(ENOLCK), ERROR(ENOMEM), ERROR(ENOSPC), ERROR(ENOSYS),
    ERROR(ENOTDIR), ERROR(ENOTEMPTY), ERROR(ENOTSUP), ERROR(ENOTTY), ERROR(ENXIO), ERROR(EOPNOTSUPP),
    ERROR(EOVERFLOW), ERROR(EPERM), ERROR(EPIPE), ERROR(ERANGE), ERROR(EROFS), ERROR(ESPIPE),
    ERROR(ESRCH), ERROR(ESTALE), ERROR(ETIMEDOUT), ERROR(ETXTBSY), ERROR(EWOULDBLOCK), ERROR(EXDEV),
};

/* Room for a filter: the kernel's limit is 4096 instructions. */
#define MOST 512

static struct sock_filter filter[MOST];
static unsigned short filled;

static void fail(int status, const char *what, const char *object)
{
    fprintf(stderr, "refuse: %s: %s\n", what, object);
    exit(status);
}

static unsigned short put(uint16_t code, uint32_t k, uint8_t jump_if_true, uint8_t jump_if_false)
{
    if (filled == MOST)
        fail(2, "too many rules", "");
    filter[filled] = (struct sock_filter){ code, jump_if_true, jump_if_false, k };
    return filled++;
}

static void load(size_t offset)
{
    put(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* Returns a number from text of this base, or fails. */
static uint64_t number(const char *text, int base, const char *rule)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, base);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0)
        fail(2, "not a number in a rule", rule);
    return value;
}

static uint32_t named_number(const struct named *table, size_t rows, const char *name, const char *rule)
{
    for (size_t row = 0; row < rows; row++)
        if (strcmp(table[row].name, name) == 0)
            return (uint32_t)table[row].number;
    return (uint32_t)number(name, 10, rule);
}

/* One half of an argument, of 32 bits. Where it differs, the rule ends: the jumps are filled in later. */
static unsigned short compare(size_t offset, uint32_t mask, uint32_t value)
{
    load(offset);
    put(BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
    return put(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 0);
}

static void rule(const char *words)
{
    char copy[256];
    if (strlen(words) >= sizeof copy)
        fail(2, "a rule is too long", words);
    strcpy(copy, words);
    char *fields[6];
    int count = 0;
    for (char *field = copy; field != NULL && count < 6; count++) {
        fields[count] = field;
        field = strchr(field, ':');
        if (field != NULL)
            *field++ = '\0';
    }
    if (count != 2 && count != 5)
        fail(2, "a rule is CALL:ERRNO or CALL:ERRNO:ARGUMENT:MASK:VALUE, not", words);
    uint32_t call = named_number(calls, sizeof calls / sizeof *calls, fields[0], words);
    uint32_t error = named_number(errors, sizeof errors / sizeof *errors, fields[1], words);
    if (error > 4095)
        fail(2, "no error has this number", words);

    unsigned short unless[3];
    int conditions = 0;
    load(offsetof(struct seccomp_data, nr));
    unless[conditions++] = put(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 0);
    if (count == 5) {
        uint64_t argument = number(fields[2], 10, words);
        uint64_t mask = number(fields[3], 0, words), value = number(fields[4], 0, words);
        if (argument > 5)
            fail(2, "system calls have arguments 0 to 5", words);
        if ((value & ~mask) != 0)
            fail(2, "MASK never leaves VALUE", words);
        size_t low = offsetof(struct seccomp_data, args) + 8 * argument;
        unless[conditions++] = compare(low, (uint32_t)mask, (uint32_t)value);
        /* The upper half of an int's register is undefined, so look only if the mask asks for it. */
        if (mask >> 32 != 0)
            unless[conditions++] = compare(low + 4, (uint32_t)(mask >> 32), (uint32_t)(value >> 32));
    }
    put(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error, 0, 0);
    for (int condition = 0; condition < conditions; condition++)
        filter[unless[condition]].jf = (uint8_t)(filled - unless[condition] - 1);
}

int main(int argc, char **argv)
{
    int word = 1;
    while (word < argc && strcmp(argv[word], "--") != 0)
        word++;
    if (word < 2 || word + 1 >= argc)
        fail(2, "usage", "refuse CALL:ERRNO[:ARGUMENT:MASK:VALUE] ... -- PROGRAM [ARGUMENT ...]");
    char **program = argv + word + 1;

    /* In a program of another architecture the numbers mean other calls: all of its calls pass. */
    load(offsetof(struct seccomp_data, arch));
    put(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    put(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    for (int each = 1; each < word; each++)
        rule(argv[each]);
    put(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);

    struct sock_fprog whole = { .len = filled, .filter = filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fail(77, "cannot set no_new_privs", strerror(errno));
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole, 0, 0) != 0)
        fail(77, "cannot install a seccomp filter", strerror(errno));
    execvp(program[0], program);
    int error = errno;
    fprintf(stderr, "refuse: cannot run %s: %s\n", program[0], strerror(error));
    return error == ENOENT ? 127 : 126;
}
