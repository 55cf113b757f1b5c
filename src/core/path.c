#include "core/path.h"

#include <stdarg.h>
#include <stdio.h>

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
