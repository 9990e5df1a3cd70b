/* For LD_PRELOAD: in each process, the first unlink(2) of a fresh upstream (*.up.*) fails for lack of memory. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int unlink(const char *path)
{
    static int has_failed;
    if (!has_failed && strstr(path, ".up.") != NULL) {
        has_failed = 1;
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
