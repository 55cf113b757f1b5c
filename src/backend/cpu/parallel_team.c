#include "backend/cpu/parallel_team.h"

#include <omp.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/log.h"

/* What waits until all threads have been tried. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t open;
    int opened;
} gate;

static void *wait_at(void *context)
{
    gate *g = context;
    pthread_mutex_lock(&g->lock);
    while (!g->opened) pthread_cond_wait(&g->open, &g->lock);
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* The stack that OpenMP gives a thread, if the user chose one: bytes, as OMP_STACKSIZE's "512M" or
 * "4096" (KiB) says; 0: the system's. */
static size_t chosen_stack(void)
{
    const char *text = getenv("OMP_STACKSIZE");
    char *unit;
    if (!text) return 0;
    const size_t number = strtoull(text, &unit, 10);
    while (*unit == ' ') unit++;
    switch (*unit | 0x20) {
    case 'b': return number;
    case 'm': return number << 20;
    case 'g': return number << 30;
    default: return number << 10;
    }
}

/* How many threads beside this one can be alive at a time, at most `wanted`. */
static int try_threads(int wanted)
{
    gate g = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    pthread_attr_t attributes;
    pthread_t *threads = malloc((size_t)wanted * sizeof *threads);
    if (!threads || pthread_attr_init(&attributes) != 0) {
        free(threads);
        return 0;
    }
    int count = 0;
    const size_t stack = chosen_stack();
    if (stack) pthread_attr_setstacksize(&attributes, stack);
    while (count < wanted && pthread_create(&threads[count], &attributes, wait_at, &g) == 0)
        count++;
    pthread_mutex_lock(&g.lock);
    g.opened = 1;
    pthread_cond_broadcast(&g.open);
    pthread_mutex_unlock(&g.lock);
    for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attributes);
    free(threads);
    return count;
}

int parallel_team_start(int threads)
{
    const int team = threads > 1 ? 1 + try_threads(threads - 1) : 1;
    if (team < threads)
        log_warning("using %d of %d threads: the system cannot start more (see the limits on "
                    "address space and processes, ulimit -a)",
                    team, threads);
    int started = 0;
#pragma omp parallel num_threads(team)
    {
#pragma omp atomic
        started++;
    }
    return started;
}
