/* own_open.h: takes the place of the C library's open() in the one file that includes it. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Defined by that file: 0, or the errno with which the call is to fail. */
static int before_open(const char *path, int flags);

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    errno = before_open(path, flags);
    return errno ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
