/* A forking server. Three ways: the name in 10 bytes, the same 10 bytes back, "HOLA" in 10 bytes. Messages are 1000 bytes
 * and keep the newline that they were typed with. The WKP is removed after the name was read. A client that leaves before
 * its reply is its subserver's death, by SIGPIPE; the main server goes on. */

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

static const char *wkp = "wkp";

/* Steps 1 to 6, the main server's: returns the pipe from the client, and sets the private pipe's name. */
static int server_setup(char *private_pipe)
{
    int from_client;

    if (mkfifo(wkp, 0644) < 0)
        wrong("cannot make %s", wkp);
    printf("waiting\n");
    from_client = open(wkp, O_RDONLY);

    check_came("name", read(from_client, private_pipe, HANDSHAKE_BUFFER_SIZE));
    remove(wkp);
    return from_client;
}

/* Step 8, the subserver's: returns the pipe to the client. */
static int server_connect(const char *private_pipe, int from_client)
{
    char buffer[HANDSHAKE_BUFFER_SIZE] = "";
    int to_client = open(private_pipe, O_WRONLY);

    if (to_client < 0)
        wrong("there is no %s", private_pipe);
    check_sent(write(to_client, private_pipe, HANDSHAKE_BUFFER_SIZE), HANDSHAKE_BUFFER_SIZE);

    check_came("third step", read(from_client, buffer, sizeof(buffer)));
    check_text("third step", buffer, "HOLA");

    printf("connected %s\n", private_pipe);
    return to_client;
}

static void process(char *text)
{
    for (; *text != '\0'; text++)
        *text = toupper((unsigned char)*text);
}

static void subserver(const char *private_pipe, int from_client)
{
    char buffer[BUFFER_SIZE] = "";
    int to_client = server_connect(private_pipe, from_client);

    while (read(from_client, buffer, sizeof(buffer)) > 0) {
        printf("received [%.*s]\n", (int)strcspn(buffer, "\n"), buffer);
        process(buffer);
        check_sent(write(to_client, buffer, sizeof(buffer)), sizeof(buffer));

        strncpy(buffer, "", sizeof(buffer));
    }
    printf("client left\n");
}

static void stop(int number)
{
    (void)number;
    unlink(wkp);
    _exit(0);
}

int main(int argc, char *argv[])
{
    int from_client;

    if (argc > 1)
        wkp = argv[1];
    setlinebuf(stdout);
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    signal(SIGCHLD, SIG_IGN);

    while (1) {
        char private_pipe[HANDSHAKE_BUFFER_SIZE] = "";
        from_client = server_setup(private_pipe);

        if (fork() == 0) {
            signal(SIGINT, SIG_DFL);
            signal(SIGTERM, SIG_DFL);
            subserver(private_pipe, from_client);
            return 0;
        }
        close(from_client);
    }
}
