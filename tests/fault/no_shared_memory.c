/* no_shared_memory.c: an LD_PRELOAD library for a system where processes cannot share memory:
 * soda's ranks of one node then send each other what those of several nodes send. Files in memory
 * of a process alone (model/random_weights.c) are as ever. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int memfd_create(const char *name, unsigned flags)
{
    if (strcmp(name, "soda") != 0) return (int)syscall(SYS_memfd_create, name, flags);
    errno = ENOSYS;
    return -1;
}
