/* Three ways: the name in 10 bytes, "HOLA" in 10 bytes, "HOLA" in 10 bytes. Messages are 1000 bytes. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checks.h"

#define HANDSHAKE_BUFFER_SIZE 10
#define BUFFER_SIZE 1000

/* Returns the pipe from the server, and sets the one to it. */
static int client_handshake(const char *wkp, int *to_server)
{
    char private_pipe[HANDSHAKE_BUFFER_SIZE] = "", buffer[HANDSHAKE_BUFFER_SIZE] = "";
    int from_server;
    ssize_t came;

    snprintf(private_pipe, sizeof(private_pipe), "%d", getpid());
    mkfifo(private_pipe, 0644);

    *to_server = open(wkp, O_WRONLY);
    if (*to_server < 0) {
        remove(private_pipe);
        wrong("there is no %s", wkp);
    }
    check_sent(write(*to_server, private_pipe, sizeof(private_pipe)), sizeof(private_pipe));

    from_server = open(private_pipe, O_RDONLY);
    came = read(from_server, buffer, sizeof(buffer));
    remove(private_pipe);
    check_came("acknowledgement", came);
    check_text("acknowledgement", buffer, "HOLA");

    strncpy(buffer, "HOLA", sizeof(buffer));
    check_sent(write(*to_server, buffer, sizeof(buffer)), sizeof(buffer));
    return from_server;
}

int main(int argc, char *argv[])
{
    int to_server, from_server = client_handshake(argc > 1 ? argv[1] : "luigi", &to_server);
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
