#include "core/path.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

soda_status path_in(char *path, size_t size, const char *folder, const char *format, ...)
{
    const int used = snprintf(path, size, "%s/", folder);
    if (used >= 0 && (size_t)used < size) {
        va_list args;
        va_start(args, format);
        const int more = vsnprintf(path + used, size - (size_t)used, format, args);
        va_end(args);
        if (more >= 0 && (size_t)more < size - (size_t)used) return SODA_OK;
    }
    return FAIL(SODA_ERR_INPUT, "%.200s...: the path is too long: expected less than %zu bytes",
                folder, size);
}

bool path_is_there(const char *path)
{
    struct stat about;
    return lstat(path, &about) == 0;
}

soda_status path_cannot_open(const char *path)
{
    char target[4096];
    const int why = errno;
    const ssize_t length = why == ENOENT ? readlink(path, target, sizeof target - 1) : -1;
    if (length < 0) return FAIL(SODA_ERR_IO, "%s: cannot open: %s", path, strerror(why));
    target[length] = '\0';
    return FAIL(SODA_ERR_INPUT, "%s: a symbolic link to %s, which does not exist%s", path, target,
                strstr(target, "annex/objects") ? ": run \"git annex get\"" : "");
}
