/* full.c: an LD_PRELOAD library: a disk that has no room, or is slow, for some files.
 *
 *     SODA_TEST_FULL=PART           ENOSPC for what is written to files with PART in their path ...
 *     SODA_TEST_FULL_WRITES=N       ... the first N times; without it always
 *     SODA_TEST_FULL_UNTIL=PART     ... until a file has got a name with PART in it
 *     SODA_TEST_SLOW=PART           a sync of files with PART in their path takes ...
 *     SODA_TEST_SLOW_S=N            ... N seconds more */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_bool has_room;
static atomic_int refused;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }
#define REAL(name) ((__typeof__(&name))real(#name))

static bool has_part(const char *path, const char *variable)
{
    const char *part = getenv(variable);
    return part && strstr(path, part);
}

static bool is_of(int fd, const char *variable)
{
    char link[64], path[4096];
    if (!getenv(variable)) return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return false;
    path[length] = '\0';
    return has_part(path, variable);
}

ssize_t write(int fd, const void *data, size_t bytes)
{
    const char *writes = getenv("SODA_TEST_FULL_WRITES");
    if (!has_room && is_of(fd, "SODA_TEST_FULL") && (!writes || refused++ < atoi(writes))) {
        errno = ENOSPC;
        return -1;
    }
    return REAL(write)(fd, data, bytes);
}

int rename(const char *from, const char *to)
{
    const int result = REAL(rename)(from, to);
    if (result == 0 && has_part(to, "SODA_TEST_FULL_UNTIL")) has_room = true;
    return result;
}

int fsync(int fd)
{
    if (is_of(fd, "SODA_TEST_SLOW")) {
        struct timespec left = {.tv_sec = atoi(getenv("SODA_TEST_SLOW_S"))};
        while (nanosleep(&left, &left) != 0) continue;
    }
    return REAL(fsync)(fd);
}
