// Programs for the tests of `lab trace`: each scene, named by the argument, does one thing that a tracer can
// get wrong.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(9);
    }
}

static void make_pipe(int ends[2])
{
    must(pipe(ends) == 0, "pipe");
}

static void put(int fd, const char *text)
{
    must(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "write");
}

static ssize_t get(int fd)
{
    char bytes[4096];
    return read(fd, bytes, sizeof bytes);
}

static void reap(pid_t pid)
{
    int status;
    must(waitpid(pid, &status, 0) == pid && status == 0, "waitpid");
}

// Bytes move in every way.
static void transfers(void)
{
    int a[2], b[2];
    make_pipe(a);
    must(pipe2(b, O_NONBLOCK) == 0, "pipe2");
    char first[3], second[5];
    struct iovec out[] = {{"ab", 2}, {"", 0}, {"cdef", 4}};
    struct iovec in[] = {{first, sizeof first}, {second, sizeof second}};
    must(writev(a[1], out, 3) == 6, "writev");
    must(readv(a[0], in, 2) == 6, "readv");
    must(read(b[0], first, 1) == -1 && errno == EAGAIN, "EAGAIN");
    put(a[1], "spliced");
    must(tee(a[0], b[1], 100, 0) == 7, "tee");
    must(splice(a[0], NULL, b[1], NULL, 100, 0) == 7, "splice");
    must(get(b[0]) == 14, "read");
    struct iovec mapped = {"mapped", 6};
    must(vmsplice(a[1], &mapped, 1, 0) == 6, "vmsplice");
    must(get(a[0]) == 6, "read");
    must(pwritev2(a[1], out, 1, -1, 0) == 2, "pwritev2");
    must(preadv2(a[0], in, 1, -1, 0) == 2, "preadv2");
    char binary[] = {0, '\n', '"', (char)0xff};
    must(write(a[1], binary, sizeof binary) == 4, "write");
    must(get(a[0]) == 4, "read");
    // Addresses that are not there.
    const void *volatile nowhere = (const void *)8;
    must(write(a[1], nowhere, 5) == -1 && errno == EFAULT, "EFAULT");
    must(read(a[0], NULL, 0) == 0, "read of nothing");
    signal(SIGPIPE, SIG_IGN);
    close(a[0]);
    must(write(a[1], "x", 1) == -1 && errno == EPIPE, "EPIPE");
}

// Descriptors are copied and closed in every way; the last byte goes through all copies.
static void copies(void)
{
    int ends[2], other[2];
    make_pipe(ends);
    int copy = dup(ends[1]);
    must(dup2(copy, 50) == 50 && dup3(50, 51, O_CLOEXEC) == 51, "dup");
    int high = fcntl(51, F_DUPFD, 60);
    must(high == 60, "F_DUPFD");
    make_pipe(other);
    // A file and a pipe end take the place of a pipe end.
    int null = open("/dev/null", O_RDWR);
    must(dup2(null, other[1]) == other[1], "dup2");
    must(get(other[0]) == 0, "EOF");
    must(dup2(ends[0], other[0]) == other[0], "dup2");
    close(ends[0]);
    close(ends[1]);
    close(copy);
    syscall(SYS_close_range, 50, 59, 0);
    put(high, "last");
    must(get(other[0]) == 4, "read");
    fcntl(other[0], F_SETFL, O_NONBLOCK);
    must(get(other[0]) == -1 && errno == EAGAIN, "EAGAIN");
    close(high);
    must(get(other[0]) == 0, "EOF");
}

// Inode numbers come back: two FIFOs that were never there at the same time.
static void fifos(void)
{
    for (int round = 0; round < 2; round++) {
        must(open("there", O_WRONLY) == -1 && errno == ENOENT, "ENOENT");
        must(mkfifo("there", 0600) == 0, "mkfifo");
        must(mkfifo("there", 0600) == -1 && errno == EEXIST, "EEXIST");
        must(open("there", O_WRONLY | O_NONBLOCK) == -1 && errno == ENXIO, "ENXIO");
        int reader = open("there", O_RDONLY | O_NONBLOCK);
        must(rename("there", "moved") == 0, "rename");
        char path[4096];
        must(getcwd(path, sizeof path - 10) != NULL, "getcwd");
        int writer = open(strcat(path, "/moved"), O_WRONLY);
        must(unlink("moved") == 0, "unlink");
        put(writer, round ? "two" : "one");
        must(get(reader) == 3, "read");
        close(reader);
        close(writer);
    }
}

static int shared[2];

static void *write_and_close(void *unused)
{
    put(shared[1], "from a thread");
    close(shared[1]);
    return unused;
}

// Threads share their descriptors.
static void threads(void)
{
    make_pipe(shared);
    pthread_t thread;
    must(pthread_create(&thread, NULL, write_and_close, NULL) == 0, "pthread_create");
    must(get(shared[0]) == 13, "read");
    must(get(shared[0]) == 0, "EOF");
    pthread_join(thread, NULL);
}

static void *become(void *unused)
{
    dup2(shared[1], 1);
    execlp("echo", "echo", "from the thread's program", (char *)NULL);
    return unused;
}

static void *sleep_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

// A thread that is not the first one becomes another program.
static void thread_exec(void)
{
    make_pipe(shared);
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, sleep_for_ever, NULL);
        pthread_create(&thread, NULL, become, NULL);
        sleep_for_ever(NULL);
    }
    close(shared[1]);
    must(get(shared[0]) == 26, "read");
    reap(child);
}

static int clone_child(void *unused)
{
    (void)unused;
    close(shared[1]);
    return 0;
}

static char stack[64 * 1024] __attribute__((aligned(16)));

// A process that shares its parent's descriptors closes one: the parent has lost it. Then it unshares them.
static void clone_files(void)
{
    make_pipe(shared);
    pid_t child = clone(clone_child, stack + sizeof stack, CLONE_FILES | SIGCHLD, NULL);
    must(child > 0, "clone");
    reap(child);
    must(write(shared[1], "x", 1) == -1 && errno == EBADF, "EBADF");
    must(get(shared[0]) == 0, "EOF");
    make_pipe(shared);
    child = fork();
    if (child == 0) {
        must(unshare(CLONE_FILES) == 0, "unshare");
        syscall(SYS_close_range, 0, ~0U, 2 /* CLOSE_RANGE_UNSHARE */);
        _exit(0);
    }
    reap(child);
    put(shared[1], "mine");
    must(get(shared[0]) == 4, "read");
}

static void ignore(int signal)
{
    (void)signal;
}

static void on(int signal, int flags)
{
    struct sigaction action = {.sa_handler = ignore, .sa_flags = flags};
    must(sigaction(signal, &action, NULL) == 0, "sigaction");
}

// Real-time signals arrive, with and without a value.
static void signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++) {
        on(signal, 0);
        sigaddset(&set, signal);
    }
    on(SIGUSR1, 0);
    kill(getpid(), SIGUSR1);
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
        must(sigqueue(getpid(), signal, (union sigval){.sival_int = signal}) == 0, "sigqueue");
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGRTMAX);
    siginfo_t info;
    must(sigwaitinfo(&set, &info) == SIGRTMAX, "sigwaitinfo");
    pid_t child = fork();
    if (child == 0) {
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        signal(SIGRTMAX, SIG_DFL);
        kill(getpid(), SIGRTMAX);
    }
    int status;
    waitpid(child, &status, 0);
    must(WIFSIGNALED(status) && WTERMSIG(status) == SIGRTMAX, "killed by a real-time signal");
}

// A child stops, and goes on.
static void stopped(void)
{
    int ends[2], back[2];
    make_pipe(ends);
    make_pipe(back);
    pid_t child = fork();
    if (child == 0) {
        raise(SIGSTOP);
        put(ends[1], "goes on");
        get(back[0]);
        _exit(0);
    }
    int status;
    must(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status), "WUNTRACED");
    kill(child, SIGCONT);
    must(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status), "WCONTINUED");
    must(get(ends[0]) == 7, "read");
    // Stopped in read(2), which goes on afterwards.
    kill(child, SIGSTOP);
    must(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status), "WUNTRACED");
    kill(child, SIGCONT);
    put(back[1], "again");
    reap(child);
}

// A timer's signal interrupts calls: with SA_RESTART they go on, without they fail.
static void restarts(void)
{
    int ends[2];
    make_pipe(ends);
    for (int round = 0; round < 2; round++) {
        on(SIGALRM, round == 0 ? SA_RESTART : 0);
        pid_t child = fork();
        if (child == 0) {
            // Twice the timer, and then a byte.
            struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
            nanosleep(&pause, NULL);
            kill(getppid(), SIGALRM);
            nanosleep(&pause, NULL);
            put(ends[1], "x");
            _exit(0);
        }
        ssize_t got = get(ends[0]);
        if (round == 0) {
            must(got == 1, "read with SA_RESTART");
        } else {
            must(got == -1 && errno == EINTR, "read without SA_RESTART");
            must(get(ends[0]) == 1, "read");
        }
        reap(child);
    }
}

// A read(2) fails three times with EINTR, and the program makes it again. The handler does not always return.
static sigjmp_buf back;

static void jump(int signal)
{
    (void)signal;
    siglongjmp(back, 1);
}

static void retries(void)
{
    int ends[2];
    make_pipe(ends);
    on(SIGALRM, 0);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
        for (int round = 0; round < 4; round++) {
            nanosleep(&pause, NULL);
            kill(parent, round < 3 ? SIGALRM : SIGUSR1);
        }
        nanosleep(&pause, NULL);
        put(ends[1], "x");
        _exit(0);
    }
    signal(SIGUSR1, jump);
    char byte;
    ssize_t got;
    sigsetjmp(back, 1);
    do
        got = read(ends[0], &byte, 1);
    while (got == -1 && errno == EINTR);
    must(got == 1, "read");
    reap(child);
}

// Waits for many descriptors.
static void polls(void)
{
    int ends[2];
    make_pipe(ends);
    struct pollfd polled[] = {{0, 0, 0}, {ends[0], POLLIN, 0}, {ends[1], POLLOUT, 0}};
    must(poll(polled, 2, 1) == 0, "poll in vain");
    must(poll(polled, 3, -1) == 1 && polled[2].revents == POLLOUT, "poll");
    put(ends[1], "x");
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    must(select(ends[0] + 1, &set, NULL, NULL, NULL) == 1, "select");
}

static int write_from_vfork;

// vfork: the parent sleeps until its child has become a program.
static void vforks(void)
{
    make_pipe(shared);
    write_from_vfork = shared[1];
    pid_t child = vfork();
    if (child == 0) {
        dup2(write_from_vfork, 1);
        execlp("echo", "echo", "vfork", (char *)NULL);
        _exit(1);
    }
    must(get(shared[0]) == 6, "read");
    reap(child);
    must(execlp("./no-such-program", "no", (char *)NULL) == -1, "execlp");
}

// Programs that become programs.
static void chain(const char *program, int left)
{
    char number[12];
    sprintf(number, "%d", left - 1);
    if (left > 0)
        execl(program, program, "chain", number, (char *)NULL);
}

struct clone3_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

// Children that no tracer shall see: one call fails, and the other one has a child that is traced.
static void untraced(void)
{
    make_pipe(shared);
    must(syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0) == -1 && errno == EPERM, "clone");
    struct clone3_arguments arguments = {.flags = CLONE_UNTRACED, .exit_signal = SIGCHLD};
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0) {
        put(shared[1], "seen");
        _exit(0);
    }
    must(get(shared[0]) == 4, "read");
    reap(child);
}

// The first process ends, its descendants go on: one ends by itself, the other one never.
static void orphans(int ends_itself)
{
    make_pipe(shared);
    if (fork() == 0) {
        close(shared[1]);
        get(shared[0]);
        if (!ends_itself)
            sleep_for_ever(NULL);
        mkfifo("late", 0600);
        unlink("late");
        _exit(0);
    }
}

// Forks, or starts programs, without end.
static void storm(const char *program, int execs)
{
    for (;;) {
        if (execs)
            execl(program, program, "exec-storm", (char *)NULL);
        fork();
    }
}

// A reader waits in open(2) while the writer comes, writes and leaves. All happens many times.
static void rendezvous(void)
{
    must(mkfifo("meeting", 0600) == 0, "mkfifo");
    for (int round = 0; round < 50; round++) {
        pid_t child = fork();
        if (child == 0) {
            int writer = open("meeting", O_WRONLY);
            put(writer, "name");
            _exit(0);
        }
        int reader = open("meeting", O_RDONLY);
        must(get(reader) == 4, "read");
        must(get(reader) == 0, "EOF");
        close(reader);
        reap(child);
    }
    unlink("meeting");
}

// One process floods another one.
static void flood(void)
{
    static char bytes[100000];
    make_pipe(shared);
    pid_t child = fork();
    if (child == 0) {
        close(shared[0]);
        for (int round = 0; round < 20; round++)
            must(write(shared[1], bytes, sizeof bytes) == sizeof bytes, "write");
        _exit(0);
    }
    close(shared[1]);
    while (get(shared[0]) > 0)
        ;
    reap(child);
}

// Two processes exchange this many messages; then the process makes calls that no tracer wants to see.
static void messages(int count, int others)
{
    int there[2], back[2];
    make_pipe(there);
    make_pipe(back);
    static char message[1000];
    pid_t child = fork();
    if (child == 0) {
        close(there[1]);
        for (ssize_t got; (got = read(there[0], message, sizeof message)) > 0;)
            must(write(back[1], message, got) == got, "write");
        _exit(0);
    }
    close(there[0]);
    for (int round = 0; round < count; round++) {
        must(write(there[1], message, sizeof message) == sizeof message, "write");
        must(read(back[0], message, sizeof message) == sizeof message, "read");
    }
    close(there[1]);
    reap(child);
    for (int round = 0; round < others; round++)
        syscall(SYS_getppid);
}

int main(int count, char *words[])
{
    const char *scene = count > 1 ? words[1] : "";
    int number = count > 2 ? atoi(words[2]) : 0, second = count > 3 ? atoi(words[3]) : 0;
    const struct {
        const char *name;
        void (*play)(void);
    } scenes[] = {
        {"transfers", transfers}, {"copies", copies},     {"fifos", fifos},           {"threads", threads},
        {"clone-files", clone_files}, {"signals", signals}, {"thread-exec", thread_exec}, {"stopped", stopped},
        {"restarts", restarts},   {"retries", retries},     {"polls", polls},       {"vforks", vforks},         {"untraced", untraced},
        {"flood", flood},         {"rendezvous", rendezvous},
    };
    for (size_t at = 0; at < sizeof scenes / sizeof *scenes; at++)
        if (strcmp(scene, scenes[at].name) == 0)
            return scenes[at].play(), 0;
    if (strcmp(scene, "chain") == 0)
        return chain(words[0], number), 0;
    if (strcmp(scene, "orphans") == 0)
        return orphans(number), 0;
    if (strcmp(scene, "messages") == 0)
        return messages(number, second), 0;
    if (strcmp(scene, "fork-storm") == 0)
        storm(words[0], 0);
    if (strcmp(scene, "exec-storm") == 0)
        storm(words[0], 1);
    fprintf(stderr, "no scene: %s\n", scene);
    return 2;
}
