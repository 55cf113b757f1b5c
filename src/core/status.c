#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[2048];
static _Thread_local char trace[1024];

/* "src/core/status.c", from whatever path the compiler was given. */
static const char *short_path(const char *file)
{
    const char *best = file;
    for (const char *p = file; (p = strstr(p, "src/")) != NULL; p++) best = p;
    return best;
}

static void add_place(const char *file, int line)
{
    const size_t used = strlen(trace);
    snprintf(trace + used, sizeof trace - used, "%s%s:%d", used ? " < " : "", short_path(file),
             line);
}

soda_status status_fail(soda_status code, const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    trace[0] = '\0';
    add_place(file, line);
    return code;
}

soda_status status_pass(soda_status code, const char *file, int line)
{
    add_place(file, line);
    return code;
}

const char *status_message(void) { return message; }
const char *status_trace(void) { return trace; }

void status_clear(void)
{
    message[0] = '\0';
    trace[0] = '\0';
}

int status_exit_code(soda_status code)
{
    switch (code) {
    case SODA_OK: return 0;
    case SODA_ERR_USAGE: return 2;
    case SODA_STOPPED: return 75;
    default: return 1;
    }
}
