/* Three ways; every record is its text without a NUL, so the buffers are emptied before each read: the name, "HOLA",
 * "HOLA", the messages. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checks.h"

#define BUFFER_SIZE 256

/* Returns the pipe from the server, and sets the one to it. */
static int client_handshake(const char *wkp, int *to_server)
{
    char private_pipe[BUFFER_SIZE], buffer[BUFFER_SIZE] = "";
    int from_server;
    ssize_t came;

    snprintf(private_pipe, sizeof(private_pipe), "%d", getpid());
    mkfifo(private_pipe, 0644);

    *to_server = open(wkp, O_WRONLY);
    if (*to_server < 0) {
        remove(private_pipe);
        wrong("there is no %s", wkp);
    }
    check_sent(write(*to_server, private_pipe, strlen(private_pipe)), strlen(private_pipe));

    from_server = open(private_pipe, O_RDONLY);
    came = read(from_server, buffer, sizeof(buffer));
    remove(private_pipe);
    check_came("acknowledgement", came);
    check_text("acknowledgement", buffer, "HOLA");

    check_sent(write(*to_server, "HOLA", strlen("HOLA")), strlen("HOLA"));
    return from_server;
}

int main(int argc, char *argv[])
{
    int to_server, from_server = client_handshake(argc > 1 ? argv[1] : "peach", &to_server);
    char message[BUFFER_SIZE], reply[BUFFER_SIZE];

    while (fgets(message, sizeof(message), stdin)) {
        message[strcspn(message, "\n")] = '\0';
        check_sent(write(to_server, message, strlen(message)), strlen(message));

        memset(reply, 0, sizeof(reply));
        check_came("reply", read(from_server, reply, sizeof(reply)));
        check_reply(reply, message, from_server);
        printf("%s\n", reply);
        fflush(stdout);
    }
    close(to_server);
    close(from_server);
    return 0;
}
