/* Programs that hang: hang SCENE. Each process of a scene takes a name (prctl(2)), by which the test finds it.
 * The processes end when the test kills them, or with their parent.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void check(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(2);
    }
}

static void name(const char *text)
{
    prctl(PR_SET_NAME, text);
}

/* A child that dies with its parent. */
static pid_t child(const char *text)
{
    pid_t pid = fork();
    check(pid, "fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        name(text);
    }
    return pid;
}

static void make(const char *path)
{
    check(mkfifo(path, 0600), path);
}

static int opened(const char *path, int flags)
{
    int fd = open(path, flags);
    check(fd, path);
    return fd;
}

static void wait_for_signal(void)
{
    for (;;)
        pause();
}

static void read_one(int fd)
{
    char byte;
    if (read(fd, &byte, 1) < 0)
        perror("read");
}

/* Writes more than any pipe takes. */
static void flood(int fd)
{
    static char bytes[65536];
    while (write(fd, bytes, sizeof bytes) > 0)
        ;
}

static void client_private(void)
{
    char own[16];
    if (child("server") == 0)
        wait_for_signal();
    name("client");
    snprintf(own, sizeof own, "%d", (int)getpid());
    make(own);
    opened(own, O_RDONLY);
}

/* The client opens its private pipe before it has written its name. */
static void too_early(void)
{
    make("mario");
    if (child("server") == 0)
        opened("mario", O_RDONLY);
    name("client");
    make("secret");
    opened("secret", O_RDONLY);
}

/* A client ends after it has sent its name. The server waits for it, and the next client for the server. */
static void client_died(void)
{
    char own[16] = "";
    name("server");
    make("mario");
    pid_t client = child("client");
    if (client == 0) {
        snprintf(own, sizeof own, "%d", (int)getpid());
        make(own);
        dprintf(opened("mario", O_WRONLY), "%s", own);
        exit(0);
    }
    int wkp = opened("mario", O_RDONLY);
    check(read(wkp, own, sizeof own - 1), "read");
    close(wkp);
    waitpid(client, NULL, 0);
    if (child("next") == 0)
        opened("mario", O_WRONLY);
    opened(own, O_WRONLY);
}

/* Three clients wait for a server that does something else. */
static void busy_server(void)
{
    make("mario");
    for (int i = 0; i < 3; i++)
        if (child("client") == 0)
            opened("mario", O_WRONLY);
    name("server");
    wait_for_signal();
}

static void server_waits(void)
{
    name("server");
    make("mario");
    opened("mario", O_RDONLY);
}

/* A thousand clients open one FIFO. */
static void crowd(void)
{
    make("M");
    for (int i = 0; i < 1000; i++)
        if (child("client") == 0)
            opened("M", O_WRONLY);
    name("parent");
    wait_for_signal();
}

/* A thousand clients open their private pipes, which no server opens. */
static void private_crowd(void)
{
    char own[16];
    for (int i = 0; i < 1000; i++)
        if (child("client") == 0) {
            snprintf(own, sizeof own, "%d", (int)getpid());
            make(own);
            opened(own, O_RDONLY);
        }
    name("parent");
    wait_for_signal();
}

static void held_end(void)
{
    int ends[2];
    check(pipe(ends), "pipe");
    if (child("holder") == 0)
        wait_for_signal();
    name("reader");
    close(ends[1]);
    read_one(ends[0]);
}

static void self_held(void)
{
    name("server");
    make("mario");
    int reader = opened("mario", O_RDONLY | O_NONBLOCK);
    opened("mario", O_WRONLY);
    fcntl(reader, F_SETFL, 0);
    read_one(reader);
}

static void self_both(void)
{
    name("server");
    make("mario");
    read_one(opened("mario", O_RDWR));
}

static void two_writers(void)
{
    int to[2], from[2];
    check(pipe(to), "pipe");
    check(pipe(from), "pipe");
    if (child("second") == 0) {
        close(to[1]);
        close(from[0]);
        flood(from[1]);
        exit(0);
    }
    name("first");
    close(to[0]);
    close(from[1]);
    flood(to[1]);
}

static void two_readers(void)
{
    int to[2], from[2];
    check(pipe(to), "pipe");
    check(pipe(from), "pipe");
    if (child("second") == 0) {
        close(to[1]);
        close(from[0]);
        read_one(to[0]);
        exit(0);
    }
    name("first");
    close(to[0]);
    close(from[1]);
    read_one(from[0]);
}

/* Ten pairs of processes, as two_readers. */
static void pairs(void)
{
    for (int i = 0; i < 10; i++)
        if (child("first") == 0)
            two_readers();
    name("parent");
    wait_for_signal();
}

static void zombie(void)
{
    name("parent");
    if (child("ended") == 0)
        _exit(1);
    wait_for_signal();
}

/* Waits until the parent waits in an open() of a FIFO. */
static void until_parent_waits(void)
{
    char path[64], line[64] = "";
    snprintf(path, sizeof path, "/proc/%d/wchan", (int)getppid());
    while (strcmp(line, "wait_for_partner") != 0) {
        int fd = opened(path, O_RDONLY);
        ssize_t got = read(fd, line, sizeof line - 1);
        line[got > 0 ? got : 0] = 0;
        close(fd);
        usleep(1000);
    }
}

static void gone_wkp(void)
{
    name("client");
    make("mario");
    if (child("remover") == 0) {
        until_parent_waits();
        unlink("mario");
        wait_for_signal();
    }
    opened("mario", O_WRONLY);
}

/* As gone_wkp, but a new pipe takes the name, and gets a reader. */
static void newer_wkp(void)
{
    name("client");
    make("mario");
    if (child("server") == 0) {
        until_parent_waits();
        make("other");
        check(rename("other", "mario"), "rename");
        opened("mario", O_RDONLY | O_NONBLOCK);
        wait_for_signal();
    }
    opened("mario", O_WRONLY);
}

static void both_read_first(void)
{
    make("up");
    make("down");
    if (child("second") == 0)
        opened("down", O_RDONLY);
    name("first");
    opened("up", O_RDONLY);
}

static void both_read_same(void)
{
    make("mario");
    if (child("second") == 0)
        opened("mario", O_RDONLY);
    name("first");
    opened("mario", O_RDONLY);
}

static void polls(void)
{
    int ends[2];
    check(pipe(ends), "pipe");
    if (child("holder") == 0)
        wait_for_signal();
    name("reader");
    close(ends[1]);
    struct pollfd polled = { ends[0], POLLIN, 0 };
    poll(&polled, 1, -1);
}

/* No process has opened the other end yet. */
static void poll_alone(void)
{
    name("reader");
    make("luigi");
    struct pollfd polled = { opened("luigi", O_RDONLY | O_NONBLOCK), POLLIN, 0 };
    poll(&polled, 1, -1);
}

static void selects(void)
{
    int ends[2];
    fd_set set;
    check(pipe(ends), "pipe");
    if (child("holder") == 0)
        wait_for_signal();
    name("reader");
    close(ends[1]);
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    select(ends[0] + 1, &set, NULL, NULL, NULL);
}

static void polls_many(void)
{
    struct pollfd polled[5];
    for (int i = 0; i < 5; i++) {
        int ends[2];
        check(pipe(ends), "pipe");
        polled[i] = (struct pollfd){ ends[0], POLLIN, 0 };
        if (child("holder") == 0)
            wait_for_signal();
        close(ends[1]);
    }
    name("reader");
    poll(polled, 5, -1);
}

/* A pipe to itself, as a signal handler writes to, and one from another process. */
static void self_pipe(void)
{
    int own[2], ends[2];
    check(pipe(own), "pipe");
    check(pipe(ends), "pipe");
    if (child("holder") == 0) {
        close(own[0]);
        close(own[1]);
        wait_for_signal();
    }
    name("reader");
    close(ends[1]);
    struct pollfd polled[] = { { own[0], POLLIN, 0 }, { ends[0], POLLIN, 0 } };
    poll(polled, 2, -1);
}

static void only_self_pipe(void)
{
    int own[2];
    name("reader");
    check(pipe(own), "pipe");
    struct pollfd polled = { own[0], POLLIN, 0 };
    poll(&polled, 1, -1);
}

static void epolls(void)
{
    int ends[2], watcher = epoll_create1(0);
    check(watcher, "epoll_create1");
    check(pipe(ends), "pipe");
    if (child("holder") == 0)
        wait_for_signal();
    name("reader");
    close(ends[1]);
    struct epoll_event event = { .events = EPOLLIN };
    check(epoll_ctl(watcher, EPOLL_CTL_ADD, ends[0], &event), "epoll_ctl");
    epoll_wait(watcher, &event, 1, -1);
}

static void spin(void)
{
    name("client");
    make("mario");
    int reader = opened("mario", O_RDONLY | O_NONBLOCK);
    opened("mario", O_WRONLY);
    char byte;
    while (read(reader, &byte, 1) != 1)
        ;
}

static void stopped(void)
{
    name("stopped");
    raise(SIGSTOP);
}

static void stopped_reader(void)
{
    int ends[2];
    check(pipe(ends), "pipe");
    if (child("reader") == 0) {
        close(ends[1]);
        raise(SIGSTOP);
        exit(0);
    }
    name("writer");
    close(ends[0]);
    flood(ends[1]);
}

/* A reader is the only reader of what it writes. */
static void own_reader(void)
{
    int ends[2];
    name("writer");
    check(pipe(ends), "pipe");
    flood(ends[1]);
}

static void wait_child(void)
{
    int ends[2];
    check(pipe(ends), "pipe");
    if (child("child") == 0)
        read_one(ends[0]);
    name("parent");
    wait(NULL);
}

/* The child writes more than the pipe takes; the parent reads only after its end. */
static void wait_before_read(void)
{
    int ends[2];
    check(pipe(ends), "pipe");
    if (child("child") == 0) {
        close(ends[0]);
        flood(ends[1]);
        exit(0);
    }
    name("parent");
    close(ends[1]);
    wait(NULL);
    read_one(ends[0]);
}

static void *reads(void *fd)
{
    name("worker");
    read_one(*(int *)fd);
    return NULL;
}

static void threads(void)
{
    int ends[2];
    pthread_t worker;
    check(pipe(ends), "pipe");
    if (child("holder") == 0)
        wait_for_signal();
    name("main");
    close(ends[1]);
    pthread_create(&worker, NULL, reads, &ends[0]);
    pthread_join(worker, NULL);
}

static void *waits_a_minute(void *unused)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    struct timespec until;
    name("worker");
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&mutex);
    while (pthread_cond_timedwait(&condition, &mutex, &until) == 0)
        ;
    return unused;
}

static void timed_wait(void)
{
    pthread_t worker;
    name("main");
    pthread_create(&worker, NULL, waits_a_minute, NULL);
    pthread_join(worker, NULL);
}

/* An open that waits at no pipe: a lease of another process holds it up (fcntl(2)). */
static void leased(void)
{
    int ready[2];
    check(pipe(ready), "pipe");
    if (child("holder") == 0) {
        close(ready[0]);
        signal(SIGIO, SIG_IGN);
        int fd = open("file", O_RDONLY | O_CREAT, 0600);
        check(fcntl(fd, F_SETLEASE, F_RDLCK), "F_SETLEASE");
        close(ready[1]);
        wait_for_signal();
    }
    name("writer");
    close(ready[1]);
    read_one(ready[0]);
    opened("file", O_WRONLY);
}

/* Two threads talk by two pipes, and both read. */
static void two_threads(void)
{
    int to[2], from[2];
    pthread_t worker;
    check(pipe(to), "pipe");
    check(pipe(from), "pipe");
    name("main");
    pthread_create(&worker, NULL, reads, &to[0]);
    read_one(from[0]);
}

/* The first thread ends, and the second waits. There is no child: it would die with the first thread. */
static void leader_ended(void)
{
    static int ends[2];
    pthread_t worker;
    check(pipe(ends), "pipe");
    name("main");
    pthread_create(&worker, NULL, reads, &ends[0]);
    pthread_exit(NULL);
}

/* first reads from second, which reads from third, which waits for a signal. */
static void chain(void)
{
    int one[2], two[2];
    check(pipe(one), "pipe");
    check(pipe(two), "pipe");
    if (child("second") == 0) {
        close(one[0]);
        close(two[1]);
        read_one(two[0]);
        exit(0);
    }
    if (child("third") == 0) {
        close(one[0]);
        close(one[1]);
        close(two[0]);
        wait_for_signal();
    }
    name("first");
    close(one[1]);
    close(two[0]);
    close(two[1]);
    read_one(one[0]);
}

/* The holder sleeps for longer than any person waits. */
static void long_sleep(void)
{
    int ends[2];
    check(pipe(ends), "pipe");
    if (child("holder") == 0)
        sleep(1000);
    name("reader");
    close(ends[1]);
    read_one(ends[0]);
}

/* The holder waits for its terminal or its input: it may go on. */
static void short_poll(void)
{
    int ends[2];
    check(pipe(ends), "pipe");
    if (child("holder") == 0)
        for (;;)
            poll(NULL, 0, 10000);
    name("reader");
    close(ends[1]);
    read_one(ends[0]);
}

static const struct {
    const char *name;
    void (*run)(void);
} SCENES[] = {
    { "client-private", client_private },
    { "too-early", too_early },
    { "client-died", client_died },
    { "busy-server", busy_server },
    { "server-waits", server_waits },
    { "crowd", crowd },
    { "private-crowd", private_crowd },
    { "held-end", held_end },
    { "self-held", self_held },
    { "self-both", self_both },
    { "two-writers", two_writers },
    { "two-readers", two_readers },
    { "pairs", pairs },
    { "zombie", zombie },
    { "gone-wkp", gone_wkp },
    { "newer-wkp", newer_wkp },
    { "both-read-first", both_read_first },
    { "both-read-same", both_read_same },
    { "poll", polls },
    { "poll-alone", poll_alone },
    { "select", selects },
    { "poll-many", polls_many },
    { "self-pipe", self_pipe },
    { "only-self-pipe", only_self_pipe },
    { "epoll", epolls },
    { "spin", spin },
    { "stopped", stopped },
    { "stopped-reader", stopped_reader },
    { "own-reader", own_reader },
    { "wait-child", wait_child },
    { "wait-before-read", wait_before_read },
    { "threads", threads },
    { "timed-wait", timed_wait },
    { "leased", leased },
    { "two-threads", two_threads },
    { "leader-ended", leader_ended },
    { "chain", chain },
    { "long-sleep", long_sleep },
    { "short-poll", short_poll },
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof SCENES / sizeof *SCENES; i++) {
        if (strcmp(argv[1], SCENES[i].name) == 0) {
            SCENES[i].run();
            return 1;
        }
    }
    fprintf(stderr, "usage: hang SCENE\n");
    return 2;
}
