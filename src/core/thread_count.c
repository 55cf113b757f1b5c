#include "core/thread_count.h"

#include <errno.h>
#include <stdlib.h>

enum { MOST = 1024 };

/* The number that `name` begins with, up to its end or a comma; 0 if it is none from 1 to MOST. */
static int number_of(const char *name)
{
    const char *text = getenv(name);
    if (!text) return 0;
    char *end;
    errno = 0;
    const long n = strtol(text, &end, 10);
    if (end == text || (*end != '\0' && *end != ',') || errno || n < 1 || n > MOST) return 0;
    return (int)n;
}

int thread_count(int64_t option, int node_ranks, int share)
{
    if (option >= 1 && option <= MOST) return (int)option;
    static const char *const per_rank[] = {"OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"};
    for (int i = 0; i < 2; i++) {
        const int n = number_of(per_rank[i]);
        if (n) return n;
    }
    const int node = number_of("NCPUS");
    if (node) return node > node_ranks ? node / node_ranks : 1;
    return share;
}
