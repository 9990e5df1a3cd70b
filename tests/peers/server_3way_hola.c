/* Three ways: the name in 10 bytes, "HOLA" in 10 bytes, "HOLA" in 10 bytes. Messages are 1000 bytes. The WKP is removed
 * after the name was read, in the order of the numbered steps. SIGPIPE is ignored, and a failed write is a client's end. */

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checks.h"

#define HANDSHAKE_BUFFER_SIZE 10
#define BUFFER_SIZE 1000

static const char *wkp = "luigi";

/* Returns the pipe to the client, and sets the one from it. */
static int server_handshake(int *from_client)
{
    char private_pipe[HANDSHAKE_BUFFER_SIZE] = "", buffer[HANDSHAKE_BUFFER_SIZE];
    int to_client;

    if (mkfifo(wkp, 0644) < 0)
        wrong("cannot make %s", wkp);
    printf("waiting\n");
    *from_client = open(wkp, O_RDONLY);

    check_came("name", read(*from_client, private_pipe, sizeof(private_pipe)));
    remove(wkp);

    to_client = open(private_pipe, O_WRONLY);
    if (to_client < 0)
        wrong("there is no %s", private_pipe);

    strncpy(buffer, "HOLA", sizeof(buffer));
    check_sent(write(to_client, buffer, sizeof(buffer)), sizeof(buffer));

    strncpy(buffer, "", sizeof(buffer));
    check_came("third step", read(*from_client, buffer, sizeof(buffer)));
    check_text("third step", buffer, "HOLA");

    printf("connected %s\n", private_pipe);
    return to_client;
}

static void process(char *text)
{
    for (; *text != '\0'; text++)
        *text = toupper((unsigned char)*text);
}

static void stop(int number)
{
    (void)number;
    unlink(wkp);
    _exit(0);
}

int main(int argc, char *argv[])
{
    int to_client, from_client;
    char buffer[BUFFER_SIZE] = "";

    if (argc > 1)
        wkp = argv[1];
    setlinebuf(stdout);
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);

    while (1) {
        to_client = server_handshake(&from_client);

        while (read(from_client, buffer, sizeof(buffer)) > 0) {
            printf("received [%s]\n", buffer);
            process(buffer);
            if (write(to_client, buffer, sizeof(buffer)) < 0)
                break;

            strncpy(buffer, "", sizeof(buffer));
        }
        printf("client left\n");
        close(from_client);
        close(to_client);
    }
}
