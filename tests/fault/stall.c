/* stall.c: an LD_PRELOAD library: on rank SODA_TEST_STALL_RANK the SODA_TEST_STALL_CALL-th time
 * that a file whose path ends in SODA_TEST_STALL_PATH is opened never ends, as with a hung file
 * system. With SODA_TEST_STALL_ALL the whole process stands still. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_wanted(const char *path)
{
    static int calls;
    const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *wanted = getenv("SODA_TEST_STALL_RANK"),
               *call = getenv("SODA_TEST_STALL_CALL"), *end = getenv("SODA_TEST_STALL_PATH");
    if (!rank || !wanted || !call || !end || strcmp(rank, wanted) != 0) return 0;
    const size_t length = strlen(path), tail = strlen(end);
    return length >= tail && strcmp(path + length - tail, end) == 0 && ++calls == atoi(call);
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (is_wanted(path)) {
        if (getenv("SODA_TEST_STALL_ALL")) raise(SIGSTOP);
        for (;;) pause();
    }
    return openat(AT_FDCWD, path, flags, mode);
}
