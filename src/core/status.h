/* status.h: how a function says that it failed, and where.
 *
 * A function that can fail returns soda_status. The first failure records one message with FAIL;
 * every caller that passes it on with TRY adds its own place. main prints message and trace once.
 * The record is kept per thread; nothing here exits. */
#pragma once

#include <stdbool.h>

enum { STATUS_MESSAGE = 2048, STATUS_TRACE = 1024 };

typedef enum {
    SODA_OK = 0,
    SODA_ERR_INPUT,       /* a file, key or value from outside is not what was expected */
    SODA_ERR_USAGE,       /* the command line is wrong: exit code 2 */
    SODA_ERR_UNSUPPORTED, /* well-formed, but not something soda can do */
    SODA_ERR_IO,          /* the operating system refused to read or write */
    SODA_ERR_MEMORY,      /* not enough memory */
    SODA_ERR_NUMERIC,     /* a value is not finite, or an iteration did not converge */
    SODA_ERR_INTERNAL,    /* a promise between two rooms was broken: a bug */
    SODA_STOPPED,         /* stopped early with a committed checkpoint: exit code 75 */
} soda_status;

/* Records `code` with a printf message as the current failure of this thread and returns it.
 * The message says what was expected and what was found, and names file and key where it can. */
soda_status status_fail(soda_status code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Adds the place file:line to the trace of the current failure; returns `code`. */
soda_status status_pass(soda_status code, const char *file, int line);

/* Puts "PREFIX: " before the message of the current failure and returns `code`; does nothing for
 * SODA_OK: TRY(status_prefix(image_decode(bytes, size, &image), "%s", path)). */
soda_status status_prefix(soda_status code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The first failure of several threads. Records are per thread and would be lost with them: each
 * thread keeps, and the thread that goes on takes. Starts as zeros. */
typedef struct {
    soda_status status;
    char message[STATUS_MESSAGE], trace[STATUS_TRACE];
} status_slot;

/* Keeps `s` with this thread's record, unless it is SODA_OK or the slot has a failure. Any thread.
 */
void status_keep(status_slot *slot, soda_status s);

/* Whether a failure was kept, so that the rest need not be done. Any thread. */
bool status_kept(const status_slot *slot);

/* Makes the kept failure the current one of this thread and returns it; SODA_OK if there is none.
 * Once the other threads are done. */
soda_status status_take(const status_slot *slot);

/* The message of the current failure, "" if there is none; valid until the next failure. */
const char *status_message(void);

/* The places the failure came through, innermost first: "src/a.c:12 < src/b.c:40". */
const char *status_trace(void);

/* Forgets the current failure, after it was reported or survived. */
void status_clear(void);

/* The process exit code that belongs to a status: 0, 1, 2 or 75. */
int status_exit_code(soda_status code);

/* `code` itself, whatever recording it returned: readers and analyzers of one file see that a
 * failure is never SODA_OK. */
static inline soda_status status_code(soda_status code, soda_status recorded)
{
    (void)recorded;
    return code;
}

#define FAIL(code, ...) status_code((code), status_fail((code), __FILE__, __LINE__, __VA_ARGS__))

#define TRY(call)                                                                                  \
    do {                                                                                           \
        const soda_status try_status_ = (call);                                                    \
        if (try_status_ != SODA_OK) {                                                              \
            status_pass(try_status_, __FILE__, __LINE__);                                          \
            return try_status_;                                                                    \
        }                                                                                          \
    } while (0)

/* Like TRY, for functions with something to release: sets the local `s` and jumps. */
#define TRY_TO(label, call)                                                                        \
    do {                                                                                           \
        s = (call);                                                                                \
        if (s != SODA_OK) {                                                                        \
            status_pass(s, __FILE__, __LINE__);                                                    \
            goto label;                                                                            \
        }                                                                                          \
    } while (0)
