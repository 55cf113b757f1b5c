#include "core/status.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[STATUS_MESSAGE];
static _Thread_local char trace[STATUS_TRACE];

/* Of all slots. Not a critical section of OpenMP: threads that it does not know keep failures, too,
 * and LLVM's library 19 may crash where two of those meet. */
static pthread_mutex_t slot_lock = PTHREAD_MUTEX_INITIALIZER;

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

soda_status status_prefix(soda_status code, const char *format, ...)
{
    if (code == SODA_OK) return SODA_OK;
    char prefix[STATUS_MESSAGE - 2]; /* leaves room for ": " */
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    const size_t used = strlen(prefix) + 2, most = sizeof message - 1 - used;
    const size_t rest = strlen(message) < most ? strlen(message) : most;
    memmove(message + used, message, rest);
    memcpy(message, prefix, used - 2);
    memcpy(message + used - 2, ": ", 2);
    message[used + rest] = '\0';
    return code;
}

void status_keep(status_slot *slot, soda_status s)
{
    if (s == SODA_OK) return;
    pthread_mutex_lock(&slot_lock);
    if (slot->status == SODA_OK) {
        slot->status = s;
        memcpy(slot->message, message, sizeof message);
        memcpy(slot->trace, trace, sizeof trace);
    }
    pthread_mutex_unlock(&slot_lock);
}

bool status_kept(const status_slot *slot)
{
    pthread_mutex_lock(&slot_lock);
    const bool kept = slot->status != SODA_OK;
    pthread_mutex_unlock(&slot_lock);
    return kept;
}

soda_status status_take(const status_slot *slot)
{
    if (slot->status == SODA_OK) return SODA_OK;
    memcpy(message, slot->message, sizeof message);
    memcpy(trace, slot->trace, sizeof trace);
    return slot->status;
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
