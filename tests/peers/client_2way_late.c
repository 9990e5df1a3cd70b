/* Two ways; every record is 64 bytes. The WKP is opened before the private pipe is made, and that is named "./" and the
 * process number. Whatever comes first is the acknowledgement. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checks.h"

#define BUFFER_SIZE 64

/* Returns the pipe from the server, and sets the one to it. */
static int client_handshake(const char *wkp, int *to_server)
{
    char private_pipe[BUFFER_SIZE] = "", buffer[BUFFER_SIZE] = "";
    int from_server;
    ssize_t came;

    *to_server = open(wkp, O_WRONLY);
    if (*to_server < 0)
        wrong("there is no %s", wkp);

    snprintf(private_pipe, sizeof(private_pipe), "./%d", getpid());
    mkfifo(private_pipe, 0644);
    check_sent(write(*to_server, private_pipe, sizeof(private_pipe)), sizeof(private_pipe));

    from_server = open(private_pipe, O_RDONLY);
    came = read(from_server, buffer, sizeof(buffer));
    remove(private_pipe);
    check_came("acknowledgement", came);
    return from_server;
}

int main(int argc, char *argv[])
{
    int to_server, from_server = client_handshake(argc > 1 ? argv[1] : "wario", &to_server);
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
