/* A client of the course that makes the mistake which its argument names.
 * Without an argument it makes none. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE 100

static const char *mistake = "none";

static int makes(const char *name)
{
    return strcmp(mistake, name) == 0;
}

/* One record, padded with zeros. */
static void send(int pipe, const char *text)
{
    char record[SIZE] = "";

    strncpy(record, text, SIZE - 1);
    if (write(pipe, record, SIZE) < 0)
        perror("write");
}

/* Returns the pipe from the server, and sets the one to it. */
static int client_handshake(int *to_server)
{
    char private_pipe[SIZE] = "", ack[SIZE];
    int from_server = -1;

    snprintf(private_pipe, SIZE, "%d", getpid());
    if (makes("no_mkfifo_word"))
        strcpy(private_pipe, "secret");
    if (!makes("no_mkfifo") && !makes("no_mkfifo_word"))
        mkfifo(private_pipe, 0644);
    if (makes("own_pipe_first"))
        from_server = open(private_pipe, O_RDONLY);
    if (makes("own_pipe_first_wronly"))
        from_server = open(private_pipe, O_WRONLY);
    if (makes("input_first"))
        getchar();
    if (makes("crashes_before_open"))
        raise(SIGSEGV);
    if (makes("other_wkp"))
        *to_server = open("luigi", O_WRONLY);
    else
        *to_server = open("mario", makes("wkp_rdonly") ? O_RDONLY : makes("wkp_rdwr") ? O_RDWR : O_WRONLY);
    if (makes("other_wkp") || makes("leaves_after_open"))
        _exit(0);
    if (makes("crashes_before_name"))
        raise(SIGSEGV);

    if (makes("other_name"))
        send(*to_server, "private");
    else if (makes("other_number"))
        send(*to_server, "1");
    else if (makes("empty_name"))
        send(*to_server, "");
    else if (!makes("writes_nothing"))
        send(*to_server, private_pipe);
    if (makes("crashes_after_name"))
        raise(SIGSEGV);
    if (makes("leaves_after_name"))
        _exit(0);
    if (makes("closes_wkp"))
        close(*to_server);

    if (!makes("own_pipe_never"))
        from_server = open(private_pipe, makes("own_pipe_wronly") ? O_WRONLY : O_RDONLY);
    else
        pause();
    if (!makes("ack_is_reply") && read(from_server, ack, SIZE) < 0)
        perror("read");
    if (makes("ack_twice") && read(from_server, ack, SIZE) < 0)
        perror("read");
    if (!makes("leaves_pipe"))
        remove(private_pipe);
    if (makes("crashes_after_ack"))
        raise(SIGSEGV);
    if (makes("leaves_after_ack"))
        _exit(0);
    return from_server;
}

int main(int argc, char *argv[])
{
    char line[SIZE], reply[SIZE];
    int to_server, from_server;

    if (argc > 1)
        mistake = argv[1];
    from_server = client_handshake(&to_server);
    if (makes("handshake_only")) {
        sleep(1);
        return 0;
    }
    while (fgets(line, SIZE, stdin)) {
        if (makes("crashes_before_message"))
            raise(SIGSEGV);
        if (makes("reads_all_input"))
            continue;
        line[strcspn(line, "\n")] = '\0';
        send(to_server, line);
        if (makes("no_reply_read"))
            return 0;
        if (makes("crashes_after_message"))
            raise(SIGSEGV);
        if (read(from_server, reply, SIZE) <= 0)
            return 1;
        if (!makes("prints_nothing"))
            printf("%s\n", reply);
    }
    while (makes("never_ends"))
        pause();
    if (makes("crashes_at_end"))
        raise(SIGSEGV);
    return makes("fails_at_end") ? 7 : 0;
}
