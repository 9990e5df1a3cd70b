/* What the peers check. Nothing of a dialect is here: each program can be read alone. */

#ifndef CHECKS_H
#define CHECKS_H

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>

/* Says what was wrong, and ends with 1. */
__attribute__((noreturn, format(printf, 1, 2))) static inline void wrong(const char *what, ...)
{
    va_list arguments;
    va_start(arguments, what);
    vfprintf(stderr, what, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

/* A record leaves in one write. */
static inline void check_sent(ssize_t sent, size_t size)
{
    if (sent != (ssize_t)size)
        wrong("%zd bytes of a record of %zu were sent", sent, size);
}

/* A record comes in one read; nothing is the end of the file: the other side has left. */
static inline void check_came(const char *record, ssize_t came)
{
    if (came <= 0)
        wrong("the other side left before its %s", record);
}

static inline void check_size(const char *record, ssize_t came, size_t size)
{
    if (came != (ssize_t)size)
        wrong("the %s has %zd bytes, not %zu", record, came, size);
}

/* After its text a record is zeros up to its end. */
static inline void check_padded(const char *record, const char *bytes, size_t size)
{
    for (size_t i = strnlen(bytes, size); i < size; i++)
        if (bytes[i] != '\0')
            wrong("the %s is not padded with zeros", record);
}

/* The text may have no end: no more of it is shown than the smallest record has. */
static inline void check_text(const char *record, const char *text, const char *wanted)
{
    if (strcmp(text, wanted) != 0)
        wrong("the %s is [%.9s], not [%s]", record, text, wanted);
}

static inline void check_number(const char *record, int number, int wanted)
{
    if (number != wanted)
        wrong("the %s is %d, not %d", record, number, wanted);
}

/* The reply is the request in upper case, and one read has brought all of it. */
static inline void check_reply(const char *reply, const char *request, int from_server)
{
    int left = 0;
    size_t i = 0;
    while (request[i] != '\0' && reply[i] == toupper((unsigned char)request[i]))
        i++;
    if (request[i] != '\0' || reply[i] != '\0')
        wrong("the reply to [%s] is [%.60s]", request, reply);
    if (ioctl(from_server, FIONREAD, &left) < 0 || left != 0)
        wrong("the reply to [%s] is longer than one read: %d bytes are left", request, left);
}

#endif
