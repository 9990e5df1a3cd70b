/* Three ways in integers of 4 bytes: the process number, which names the private pipe; any integer; that one plus one.
 * Messages are 100 bytes. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checks.h"

#define NAME_SIZE 12
#define BUFFER_SIZE 100

/* Returns the pipe from the server, and sets the one to it. */
static int client_handshake(const char *wkp, int *to_server)
{
    char private_pipe[NAME_SIZE] = "";
    int from_server, pid = getpid(), number;
    ssize_t came;

    snprintf(private_pipe, sizeof(private_pipe), "%d", pid);
    mkfifo(private_pipe, 0644);

    *to_server = open(wkp, O_WRONLY);
    if (*to_server < 0) {
        remove(private_pipe);
        wrong("there is no %s", wkp);
    }
    check_sent(write(*to_server, &pid, sizeof(pid)), sizeof(pid));

    from_server = open(private_pipe, O_RDONLY);
    came = read(from_server, &number, sizeof(number));
    remove(private_pipe);
    check_came("acknowledgement", came);
    check_size("acknowledgement", came, sizeof(number));

    number++;
    check_sent(write(*to_server, &number, sizeof(number)), sizeof(number));
    return from_server;
}

int main(int argc, char *argv[])
{
    int to_server, from_server = client_handshake(argc > 1 ? argv[1] : "well_known_pipe", &to_server);
    char line[BUFFER_SIZE], message[BUFFER_SIZE], reply[BUFFER_SIZE];

    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        strncpy(message, line, sizeof(message));
        check_sent(write(to_server, message, sizeof(message)), sizeof(message));

        check_came("reply", read(from_server, reply, sizeof(reply)));
        check_reply(reply, message, from_server);
        printf("%s\n", reply);
        fflush(stdout);
    }
    close(to_server);
    close(from_server);
    return 0;
}
