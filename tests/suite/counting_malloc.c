/* For LD_PRELOAD: how often a program asks for memory. When it ends, also by _exit, it appends a line with the count to the
 * file that $COUNT names. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's own, by the names under which it knows them itself. */
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

static unsigned long asked;

void *malloc(size_t size)
{
    asked++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    asked++;
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    asked++;
    return __libc_realloc(block, size);
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("COUNT");
    int file = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    char line[32];
    if (file >= 0) {
        int length = snprintf(line, sizeof line, "%lu\n", asked);
        if (write(file, line, length) < 0)
            _exit(99);
        close(file);
    }
}

/* A subserver leaves without its parent's cleanup. */
void _exit(int status)
{
    tell();
    syscall(SYS_exit_group, status);
    __builtin_unreachable();
}
