/* log.h: lines for people, on stderr. Only rank 0 prints unless something failed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A line "soda: ..." on stderr. */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A line "soda: warning: ..." on stderr. */
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A line "soda: error: ..." on stderr, of any rank: where nobody is left to return a failure to. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Silences log_info, log_warning and progress on this process (ranks other than 0). */
void log_set_quiet(bool quiet);

/* Seconds on a clock that never goes back. */
double log_seconds(void);

/* Progress of `total` units of work called `label`, of which `first` were done before; with the
 * time left at the rate since. On a terminal a bar redrawn in place, with the rate; elsewhere one
 * line every five seconds. done == total ends it. */
typedef struct {
    const char *label;
    int64_t first, total;
    double started_s, shown_s;
} log_progress;

void log_progress_start(log_progress *progress, const char *label, int64_t first, int64_t total);
void log_progress_update(log_progress *progress, int64_t done, const char *note);
