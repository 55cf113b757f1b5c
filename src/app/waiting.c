#include "app/waiting.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SPIN_NS = 20000, SAMPLE = 100, SAMPLES = 5, BETWEEN_NS = 1000000 };

/* Libgomp's own step of a spin. */
static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("" ::: "memory");
#endif
}

static long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* Of SAMPLE steps, the shortest of some times: others may have been interrupted. */
static long sample_ns(void)
{
    long best = 0;
    for (int i = 0; i < SAMPLES; i++) {
        const long start = now_ns();
        for (int step = 0; step < SAMPLE; step++) relax();
        const long ns = now_ns() - start;
        if (i == 0 || ns < best) best = ns;
    }
    return best > 0 ? best : 1;
}

bool waiting_is_shared(const char *loadavg, long cores)
{
    int running = 0;
    return sscanf(loadavg, "%*f %*f %*f %d/", &running) == 1 && running > cores;
}

/* Whether that holds at all of some moments: work that lasts, not the start of something. */
static bool machine_is_shared(void)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    for (int i = 0; i < SAMPLES; i++) {
        char text[128] = "";
        FILE *file = fopen("/proc/loadavg", "re");
        const bool read = file && fgets(text, sizeof text, file);
        if (file) fclose(file);
        if (!read || !waiting_is_shared(text, cores)) return false;
        nanosleep(&(struct timespec){.tv_nsec = BETWEEN_NS}, NULL);
    }
    return true;
}

void waiting_limit_spin(char **argv)
{
    char count[32], program[4096];
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return;
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program);
    if (length < 0 || length == sizeof program) return;
    program[length] = 0;
    snprintf(count, sizeof count, "%ld",
             machine_is_shared() ? 0 : (long)SPIN_NS * SAMPLE / sample_ns());
    if (setenv("GOMP_SPINCOUNT", count, 1) == 0) execv(program, argv);
}
