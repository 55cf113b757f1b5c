/* exchange [crossed|late|watched]: run by exchange_test.sh on several ranks, each with a simulated
 * GPU: exact sums between GPUs, in rounds of different sizes. crossed: rank 1 asks for a sum of
 * another size than the others. late: rank 1 takes its sums after the others have theirs. watched:
 * by a watchdog that waits for three seconds. Exit code 1 and one line for a failure, which ends
 * the rank at once: others may be gone. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "comm/watchdog.h"
#include "comm_mpi.h"
#include "cuda/backend.h"

enum { ROUNDS = 4, MOST = 3000 };

typedef struct {
    const soda_backend *backend;
    soda_exchange *exchange;
    soda_comm *comm;
    int64_t *integers; /* on the GPU */
    float *floats;
} subject;

static const int64_t HIGH = (int64_t)1 << 60; /* lost in fp64 sums of small numbers */

static int64_t integer(int rank, int64_t i) { return (rank % 2 ? -1 : 1) * HIGH + rank * 7 + i; }

/* What all ranks together have: fp32 holds small whole numbers exactly. */
static soda_status check(const subject *t, const int64_t *integers, const float *floats, int64_t n)
{
    const int size = t->comm->size;
    for (int64_t i = 0; i < n; i++) {
        int64_t sum = 0;
        float whole = 0;
        for (int r = 0; r < size; r++) sum += integer(r, i);
        for (int r = 0; r < size; r++) whole += (float)(r + i % 100);
        if (integers[i] != sum)
            return FAIL(SODA_ERR_NUMERIC, "element %lld: expected %lld, found %lld", (long long)i,
                        (long long)sum, (long long)integers[i]);
        if (floats[i] != whole)
            return FAIL(SODA_ERR_NUMERIC, "element %lld: expected %g, found %g", (long long)i,
                        (double)whole, (double)floats[i]);
    }
    return SODA_OK;
}

static soda_status run_round(const subject *t, int64_t n, int64_t more, bool late)
{
    static int64_t integers[MOST];
    static float floats[MOST];
    soda_device *d = t->backend->device;
    for (int64_t i = 0; i < MOST; i++) {
        integers[i] = integer(t->comm->rank, i);
        floats[i] = (float)(t->comm->rank + i % 100);
    }
    TRY(d->upload(d, t->integers, integers, sizeof integers));
    TRY(d->upload(d, t->floats, floats, sizeof floats));
    TRY(t->exchange->sum_i64(t->exchange, t->integers, n + more));
    TRY(t->exchange->sum_f32(t->exchange, t->floats, n));
    if (late && t->comm->rank == 1) TRY(t->comm->meet(t->comm));
    TRY(d->download(d, integers, t->integers, sizeof integers));
    TRY(d->download(d, floats, t->floats, sizeof floats));
    if (late && t->comm->rank != 1) TRY(t->comm->meet(t->comm));
    return check(t, integers, floats, n);
}

static soda_status run(const char *how)
{
    subject t = {0};
    watchdog *dog;
    const bool crossed = strcmp(how, "crossed") == 0, late = strcmp(how, "late") == 0;
    TRY(comm_mpi_open(false, &t.comm));
    TRY(comm_agree(t.comm, cuda_open(t.comm->node->rank, &t.backend)));
    soda_device *d = t.backend->device;
    TRY(t.backend->connect(d, t.comm, &t.exchange));
    TRY(d->alloc(d, MOST * sizeof *t.integers, (void **)&t.integers));
    TRY(d->alloc(d, MOST * sizeof *t.floats, (void **)&t.floats));
    watchdog_start(t.comm->rank, strcmp(how, "watched") == 0 ? 3 : 0, &dog);
    watchdog_join(dog, t.comm);
    for (int round = 0; round < ROUNDS; round++) {
        const bool other = t.comm->rank == 1 && round == 2;
        TRY(run_round(&t, 1 + 900 * round, crossed && other, late));
    }
    watchdog_stop(dog);
    t.exchange->close(t.exchange);
    d->release(d, t.integers);
    d->release(d, t.floats);
    t.backend->close(t.backend);
    comm_mpi_close();
    return SODA_OK;
}

int main(int argc, char **argv)
{
    const soda_status s = run(argc > 1 ? argv[1] : "");
    if (s == SODA_OK) return 0;
    fprintf(stderr, "failed: %s\n", status_message());
    fflush(stderr);
    _exit(1); /* not MPI_Finalize, which waits for all */
}
