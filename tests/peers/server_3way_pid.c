/* Three ways in integers of 4 bytes: the process number, which names the private pipe; any integer; that one plus one.
 * Messages are 100 bytes. The WKP is removed before the number is read. SIGPIPE is ignored, and a failed write is a
 * client's end. */

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checks.h"

#define NAME_SIZE 12
#define BUFFER_SIZE 100

static const char *wkp = "well_known_pipe";

/* Returns the pipe to the client, and sets the one from it. */
static int server_handshake(int *from_client)
{
    char private_pipe[NAME_SIZE];
    int to_client, pid, number, answer;
    ssize_t came;

    if (mkfifo(wkp, 0644) < 0)
        wrong("cannot make %s", wkp);
    printf("waiting\n");
    *from_client = open(wkp, O_RDONLY);

    remove(wkp);
    came = read(*from_client, &pid, sizeof(pid));
    check_came("process number", came);
    check_size("process number", came, sizeof(pid));

    snprintf(private_pipe, sizeof(private_pipe), "%d", pid);
    to_client = open(private_pipe, O_WRONLY);
    if (to_client < 0)
        wrong("there is no %s", private_pipe);

    number = rand() % 1000;
    check_sent(write(to_client, &number, sizeof(number)), sizeof(number));

    came = read(*from_client, &answer, sizeof(answer));
    check_came("third step", came);
    check_size("third step", came, sizeof(answer));
    check_number("third step", answer, number + 1);

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
    srand(getpid());
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
