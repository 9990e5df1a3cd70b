/* Three ways; every record is its text with the NUL, and no longer: the name, any text, any text, the messages. The WKP is
 * removed before the name is read. SIGPIPE is ignored, and a failed write is a client's end. */

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checks.h"

#define BUFFER_SIZE 256

static const char *wkp = "toad";

/* Returns the pipe to the client, and sets the one from it. */
static int server_handshake(int *from_client)
{
    char private_pipe[BUFFER_SIZE] = "", buffer[BUFFER_SIZE];
    int to_client;

    if (mkfifo(wkp, 0644) < 0)
        wrong("cannot make %s", wkp);
    printf("waiting\n");
    *from_client = open(wkp, O_RDONLY);

    remove(wkp);
    check_came("name", read(*from_client, private_pipe, sizeof(private_pipe)));

    to_client = open(private_pipe, O_WRONLY);
    if (to_client < 0)
        wrong("there is no %s", private_pipe);

    check_sent(write(to_client, "welcome", strlen("welcome") + 1), strlen("welcome") + 1);
    check_came("third step", read(*from_client, buffer, sizeof(buffer)));

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
            if (write(to_client, buffer, strlen(buffer) + 1) < 0)
                break;

            strncpy(buffer, "", sizeof(buffer));
        }
        printf("client left\n");
        close(from_client);
        close(to_client);
    }
}
