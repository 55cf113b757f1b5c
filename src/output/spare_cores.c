#include "output/spare_cores.h"

#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "core/log.h"

static const double LATE_S = 10;     /* of a save beside training */
static const double CONTENDED = 0.1; /* part of the time in which training waits for a core */

double spare_cores_used_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double spare_cores_delayed_s(void)
{
    unsigned long long delayed_ns = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (file && fscanf(file, "%*u %llu", &delayed_ns) != 1) delayed_ns = 0;
    if (file) fclose(file);
    return 1e-9 * (double)delayed_ns;
}

void spare_cores_watch(spare_cores *cores)
{
    *cores = (spare_cores){.since_s = log_seconds(), .delayed_s = spare_cores_delayed_s()};
}

void spare_cores_look(spare_cores *cores)
{
    const double now_s = log_seconds(), delayed_s = spare_cores_delayed_s();
    cores->contended = delayed_s - cores->delayed_s > CONTENDED * (now_s - cores->since_s);
    cores->since_s = now_s;
    cores->delayed_s = delayed_s;
}

/* An idle thread gives a core back at once, but gets next to none where there are no gaps: then it
 * is only the least of the normal ones. It stays on its core: moved to another one it would count
 * as new there, and come before the threads of the step. */
void spare_cores_use(const spare_cores *cores)
{
    (void)setpriority(PRIO_PROCESS, 0, 19); /* of this thread alone, like the rest */
    const int core = cores->crowded || cores->contended ? -1 : sched_getcpu();
    if (core < 0 || core >= CPU_SETSIZE) return;
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(core, &here);
    if (sched_setaffinity(0, sizeof here, &here) != 0) return;
    (void)sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0});
}

void spare_cores_sufficed(spare_cores *cores, double took_s)
{
    if (took_s > LATE_S) cores->crowded = true; /* once is enough */
}
