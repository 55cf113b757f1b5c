#include "core/pulse.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t beats, collectives;
static atomic_bool saved, hurried;
static _Atomic int64_t step = -1;
static const char *_Atomic phase = "start-up";
static const char *_Atomic collective;

static const char *_Atomic saver_part;
static _Atomic int64_t saver_step;
static atomic_int saver_clock, saver_thread; /* what it used of a core; its number in /proc */

void pulse_beat(void) { atomic_fetch_add_explicit(&beats, 1, memory_order_relaxed); }

void pulse_phase(const char *name, int64_t number)
{
    atomic_store_explicit(&phase, name, memory_order_relaxed);
    atomic_store_explicit(&step, number, memory_order_relaxed);
    pulse_beat();
}

void pulse_wait(const char *name)
{
    atomic_store_explicit(&collective, name, memory_order_relaxed);
    pulse_beat();
}

void pulse_collective(const char *name)
{
    if (name) atomic_fetch_add_explicit(&collectives, 1, memory_order_relaxed);
    pulse_wait(name);
}

void pulse_saved(void) { atomic_store_explicit(&saved, true, memory_order_relaxed); }

void pulse_hurry(void) { atomic_store_explicit(&hurried, true, memory_order_relaxed); }

pulse pulse_read(void)
{
    return (pulse){atomic_load_explicit(&beats, memory_order_relaxed),
                   atomic_load_explicit(&collectives, memory_order_relaxed),
                   atomic_load_explicit(&phase, memory_order_relaxed),
                   atomic_load_explicit(&collective, memory_order_relaxed),
                   atomic_load_explicit(&step, memory_order_relaxed),
                   atomic_load_explicit(&saved, memory_order_relaxed),
                   atomic_load_explicit(&hurried, memory_order_relaxed)};
}

void pulse_save(const char *part, int64_t number)
{
    clockid_t clock;
    if (part && pthread_getcpuclockid(pthread_self(), &clock) != 0) return;
    if (part) {
        atomic_store(&saver_clock, clock);
        atomic_store(&saver_thread, (int)syscall(SYS_gettid));
        atomic_store(&saver_step, number);
    }
    atomic_store(&saver_part, part);
}

pulse_saver pulse_read_saver(void)
{
    struct timespec used;
    const char *part = atomic_load(&saver_part);
    if (!part || clock_gettime(atomic_load(&saver_clock), &used) != 0) return (pulse_saver){0};
    return (pulse_saver){part, atomic_load(&saver_step),
                         (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec};
}

bool pulse_saver_is_ready(void)
{
    char path[64], text[128] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", atomic_load(&saver_thread));
    FILE *file = fopen(path, "re");
    if (!file) return false;
    if (!fgets(text, sizeof text, file)) text[0] = '\0';
    fclose(file);
    const char *name_end = strrchr(text, ')'); /* what follows is the state, as ps prints it */
    return name_end && strncmp(name_end, ") R", 3) == 0;
}
