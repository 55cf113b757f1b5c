#include "support/ranks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"

typedef struct {
    pthread_barrier_t barrier;
    void *data[RANKS_MOST]; /* what each rank brought to the collective that runs */
} meeting;

typedef struct {
    soda_comm comm;
    ranks_body *body;
    void *context;
    ranks_result *result;
} rank_thread;

/* Every rank reads what all brought, then writes its own: in the order of the ranks, so that fp32
 * sums are the same on all. */
static void *gather(soda_comm *comm, void *data, size_t bytes)
{
    meeting *m = comm->context;
    char *all = malloc((size_t)comm->size * bytes + 1);
    m->data[comm->rank] = data;
    pthread_barrier_wait(&m->barrier);
    for (int r = 0; all && r < comm->size; r++) memcpy(all + (size_t)r * bytes, m->data[r], bytes);
    pthread_barrier_wait(&m->barrier);
    return all;
}

static soda_status sum_i64(soda_comm *comm, int64_t *data, int64_t count)
{
    int64_t *all = gather(comm, data, (size_t)count * sizeof *data);
    if (!all) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        uint64_t sum = 0; /* may wrap, as MPI's does */
        for (int r = 0; r < comm->size; r++) sum += (uint64_t)all[r * count + i];
        data[i] = (int64_t)sum;
    }
    free(all);
    return SODA_OK;
}

static soda_status sum_f32(soda_comm *comm, float *data, int64_t count)
{
    float *all = gather(comm, data, (size_t)count * sizeof *data);
    if (!all) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        data[i] = 0;
        for (int r = 0; r < comm->size; r++) data[i] += all[r * count + i];
    }
    free(all);
    return SODA_OK;
}

static soda_status max_i64(soda_comm *comm, int64_t *data, int64_t count)
{
    int64_t *all = gather(comm, data, (size_t)count * sizeof *data);
    if (!all) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < count; i++)
        for (int r = 0; r < comm->size; r++)
            if (all[r * count + i] > data[i]) data[i] = all[r * count + i];
    free(all);
    return SODA_OK;
}

static soda_status broadcast(soda_comm *comm, void *data, size_t bytes, int root)
{
    char *all = gather(comm, data, bytes);
    if (!all) return FAIL(SODA_ERR_MEMORY, "out of memory");
    memcpy(data, all + (size_t)root * bytes, bytes);
    free(all);
    return SODA_OK;
}

static void *run(void *argument)
{
    rank_thread *t = argument;
    t->result->status = t->body(&t->comm, t->context);
    snprintf(t->result->message, sizeof t->result->message, "%s", status_message());
    return NULL;
}

void ranks_run(int size, ranks_body *body, void *context, ranks_result results[])
{
    meeting m;
    rank_thread threads[RANKS_MOST];
    pthread_t ids[RANKS_MOST];
    assert_in_range(size, 1, RANKS_MOST);
    assert_int_equal(pthread_barrier_init(&m.barrier, NULL, (unsigned)size), 0);
    for (int r = 0; r < size; r++) {
        const soda_comm comm = {.rank = r,
                                .size = size,
                                .sum_i64 = sum_i64,
                                .sum_f32 = sum_f32,
                                .max_i64 = max_i64,
                                .broadcast = broadcast,
                                .context = &m};
        threads[r] = (rank_thread){comm, body, context, &results[r]};
        threads[r].comm.node = &threads[r].comm;
        assert_int_equal(pthread_create(&ids[r], NULL, run, &threads[r]), 0);
    }
    for (int r = 0; r < size; r++) pthread_join(ids[r], NULL);
    pthread_barrier_destroy(&m.barrier);
}
