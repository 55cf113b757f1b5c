/* stall.c: an LD_PRELOAD library: on rank SODA_TEST_STALL_RANK the SODA_TEST_STALL_CALL-th time
 * that a file whose path holds SODA_TEST_STALL_PATH is opened never ends, as with a hung file
 * system; with SODA_TEST_STALL_SYNC, that it is synced. With SODA_TEST_STALL_ALL the whole process
 * stands still. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_wanted(const char *path, int syncs)
{
    static atomic_int calls;
    const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *wanted = getenv("SODA_TEST_STALL_RANK"),
               *call = getenv("SODA_TEST_STALL_CALL"), *part = getenv("SODA_TEST_STALL_PATH");
    if (!rank || !wanted || !call || !part || strcmp(rank, wanted) != 0) return 0;
    if (!strstr(path, part) || syncs != (getenv("SODA_TEST_STALL_SYNC") != NULL)) return 0;
    return atomic_fetch_add(&calls, 1) + 1 == atoi(call);
}

static void stall(void)
{
    if (getenv("SODA_TEST_STALL_ALL")) raise(SIGSTOP);
    for (;;) pause();
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (is_wanted(path, 0)) stall();
    return openat(AT_FDCWD, path, flags, mode);
}

int fsync(int file)
{
    char link[64], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (readlink(link, path, sizeof path - 1) > 0 && is_wanted(path, 1)) stall();
    return (int)syscall(SYS_fsync, file);
}
