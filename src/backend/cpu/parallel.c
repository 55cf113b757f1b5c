#include "backend/cpu/parallel.h"

#include <omp.h>
#include <sched.h>

#include "backend/cpu/parallel_team.h"
#include "core/round.h"

/* Below this a team costs more than it saves: 32 KiB take about 2 us on one core. */
enum { LEAST_BYTES = 32 * 1024 };

static int allowed_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return omp_get_num_procs();
    return CPU_COUNT(&set);
}

void parallel_set_threads(int threads)
{
    const int wanted = threads > 0 ? threads : allowed_cores();
    omp_set_num_threads(parallel_team_start(wanted));
}

int parallel_threads(void) { return omp_get_max_threads(); }

void parallel_for(int64_t count, int64_t unit, size_t bytes, int most, parallel_body body,
                  const void *context)
{
    const int64_t units = ceil_div(count, unit);
    int64_t parts = most < parallel_threads() ? most : parallel_threads();
    if (parts > units) parts = units;
    if (parts <= 1 || bytes < LEAST_BYTES) {
        body(context, 0, 0, count);
        return;
    }
    /* The whole team even for few parts: libgomp ends the threads that a smaller one leaves out. */
#pragma omp parallel
    for (int64_t part = omp_get_thread_num(); part < parts; part += omp_get_num_threads()) {
        const int64_t first = units * part / parts * unit;
        const int64_t end = units * (part + 1) / parts * unit;
        body(context, (int)part, first, end < count ? end : count);
    }
}
