/* no_shared_memory.c: an LD_PRELOAD library for a system where processes cannot share memory:
 * soda's ranks of one node then send each other what those of several nodes send. */
#include <errno.h>

int memfd_create(const char *name, unsigned flags);

int memfd_create(const char *name, unsigned flags)
{
    (void)name, (void)flags;
    errno = ENOSYS;
    return -1;
}
