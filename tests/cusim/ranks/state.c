/* state: run by mpirun on two ranks, each with a simulated GPU: what it costs to compare their
 * state, and that a GPU whose memory has another bit is named. A test calls all its collectives
 * before it asserts. */
#include "run/trainer_case.h"

#include "comm_mpi.h"
#include "cuda/backend.h"
#include "cusim/counters.h"

static soda_comm *comm;
static const soda_backend *backend;
static char folder[1024]; /* of rank 0, for all */
static const char *const sets[] = {"parallel.check_every=1", NULL};

static int open_ranks(void **state)
{
    CHECK_OK(comm_mpi_open(false, &comm));
    CHECK_OK(cuda_open(comm->node->rank, &backend));
    if (trainer_setup(state)) return 1;
    snprintf(folder, sizeof folder, "%s", (const char *)*state);
    CHECK_OK(comm->broadcast(comm, folder, sizeof folder, 0));
    setenv("SODA_CACHE", folder, 1);
    return 0;
}

static int close_ranks(void **state)
{
    CHECK_OK(comm->meet(comm)); /* nobody reads rank 0's folder any more */
    backend->close(backend);
    comm_mpi_close();
    return files_teardown(state);
}

/* ---- a GPU that forgets a bit ---- */
static int sums; /* that this rank has made */

/* Before its second sum, that of the first moments, rank 1's memory changes in one bit. */
static soda_status forget_and_sum(soda_device *d, const float *x, int64_t n, uint64_t *sum)
{
    if (comm->rank == 1 && sums++ == 1) {
        uint32_t bits;
        float *at = (float *)(uintptr_t)x + 1;
        TRY(d->download(d, &bits, at, sizeof bits));
        bits ^= 1;
        TRY(d->upload(d, at, &bits, sizeof bits));
    }
    return backend->update->checksum(d, x, n, sum);
}

static void a_gpu_with_another_bit_is_named(void **state)
{
    (void)state;
    char path[1100];
    soda_backend mine = *backend;
    soda_update update = *backend->update;
    update.checksum = forget_and_sum;
    mine.update = &update;
    const soda_status s = trainer_case_of(comm, &mine, folder, "bit", TINY, 1, sets);
    assert_int_equal(s, SODA_ERR_INPUT);
    check_message_has(comm->rank == 1 ? "after step 1 this rank has another state"
                                      : "rank 1 of 2 failed");
    if (comm->rank == 1) check_message_has(": first moment: value 1 is ");
    snprintf(path, sizeof path, "%s/bit/adapter.safetensors", folder);
    assert_null(fopen(path, "rb"));
}

/* ---- what a comparison costs ---- */
static sim_counters count_run(const char *name, int steps, soda_status *s)
{
    const sim_counters before = sim_count;
    const soda_status found = trainer_case_of(comm, backend, folder, name, TINY, steps, sets);
    if (*s == SODA_OK) *s = found;
    return (sim_counters){.waits = sim_count.waits - before.waits,
                          .downloaded_bytes = sim_count.downloaded_bytes - before.downloaded_bytes};
}

/* What a second step adds: only the last step of a run saves its state, and encoded pictures are in
 * the cache. */
static void a_step_that_compares_waits_once(void **state)
{
    (void)state;
    soda_status s = SODA_OK;
    const sim_counters one = count_run("one", 1, &s), two = count_run("two", 2, &s);
    CHECK_OK(s);
    print_message("rank %d, a step that compares: %.0f waits, %.0f bytes downloaded\n", comm->rank,
                  (double)(two.waits - one.waits),
                  (double)(two.downloaded_bytes - one.downloaded_bytes));
    assert_int_equal(two.waits - one.waits, 1);
    assert_true(two.downloaded_bytes - one.downloaded_bytes <= 64 << 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gpu_with_another_bit_is_named), /* fills the cache */
        cmocka_unit_test(a_step_that_compares_waits_once),
    };
    return cmocka_run_group_tests(tests, open_ranks, close_ranks);
}
