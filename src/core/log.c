#include "core/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/pulse.h"

static bool quiet;
static atomic_bool bar_open; /* the cursor stands behind a progress bar */

void log_set_quiet(bool value) { quiet = value; }

static void line(const char *prefix, const char *format, va_list args)
{
    char text[2048], *whole = text; /* one write per line: those of several ranks do not mix */
    va_list again;
    va_copy(again, args);
    if (vsnprintf(text, sizeof text, format, args) >= (int)sizeof text &&
        vasprintf(&whole, format, again) < 0)
        whole = text; /* its start */
    va_end(again);
    fprintf(stderr, "%s%s%s\n", atomic_exchange(&bar_open, false) ? "\n" : "", prefix, whole);
    if (whole != text) free(whole);
}

void log_info(const char *format, ...)
{
    va_list args;
    if (quiet) return;
    va_start(args, format);
    line("soda: ", format, args);
    va_end(args);
}

void log_warning(const char *format, ...)
{
    va_list args;
    if (quiet) return;
    va_start(args, format);
    line("soda: warning: ", format, args);
    va_end(args);
}

void log_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line("soda: error: ", format, args);
    va_end(args);
}

double log_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void log_progress_start(log_progress *progress, const char *label, int64_t first, int64_t total)
{
    const double now = log_seconds();
    *progress = (log_progress){.label = label, .first = first, .total = total, .started_s = now};
    if (!isatty(STDERR_FILENO)) progress->shown_s = now; /* the first line after five seconds */
}

/* Units per second since the start, and the seconds that the others take then; 0 if unknown. */
static double rate_of(const log_progress *p, int64_t done, double elapsed_s, double *left_s)
{
    const double rate = elapsed_s > 0 ? (double)(done - p->first) / elapsed_s : 0;
    *left_s = rate > 0 ? (double)(p->total - done) / rate : 0;
    return rate;
}

static void draw_bar(const log_progress *p, int64_t done, double elapsed_s, const char *note)
{
    enum { WIDTH = 30 };
    char bar[WIDTH + 1];
    const int full = (int)(WIDTH * done / p->total);
    for (int i = 0; i < WIDTH; i++) bar[i] = i < full ? '#' : '.';
    bar[WIDTH] = '\0';
    double left_s;
    const double rate = rate_of(p, done, elapsed_s, &left_s);
    fprintf(stderr, "\r%s [%s] %lld/%lld  %.2f/s  %.0f s left  %s\033[K%s", p->label, bar,
            (long long)done, (long long)p->total, rate, left_s, note ? note : "",
            done == p->total ? "\n" : "");
}

void log_progress_update(log_progress *progress, int64_t done, const char *note)
{
    pulse_beat();
    if (quiet || progress->total <= 0) return;
    const double now = log_seconds(), elapsed_s = now - progress->started_s;
    const bool terminal = isatty(STDERR_FILENO), last = done == progress->total;
    if (!last && now - progress->shown_s < (terminal ? 0.1 : 5.0)) return;
    progress->shown_s = now;
    if (terminal) {
        draw_bar(progress, done, elapsed_s, note);
        bar_open = !last;
    } else {
        char left[32] = "";
        double left_s;
        if (!last && rate_of(progress, done, elapsed_s, &left_s) > 0)
            snprintf(left, sizeof left, ", %.0f s left", left_s);
        log_info("%s %lld/%lld, %.1f s%s%s%s", progress->label, (long long)done,
                 (long long)progress->total, elapsed_s, left, note && *note ? ", " : "",
                 note ? note : "");
    }
}
