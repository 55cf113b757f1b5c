/* comm.h over MPI, run by mpirun on 1, 2, 3 and 4 ranks: what every rank ends with. A test calls
 * all its collectives before it asserts, so that a rank that fails leaves none of the others
 * waiting. */
#include "comm_mpi.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/exact.h"
#include "support/check.h"

static soda_comm *comm;

/* Counts below, at and above the pieces that comm_mpi.c cuts: 4 MiB. */
static const int64_t counts[] = {0, 1, 1000, (4 << 20) / 8, (4 << 20) / 8 + 3, (8 << 20) / 4 + 5};
enum { COUNTS = sizeof counts / sizeof *counts };

static void *room(int64_t count, size_t size)
{
    void *x = calloc((size_t)count + 1, size);
    assert_non_null(x);
    return x;
}

/* Element i of rank r is (r + 1)(2^30 + i): the sum needs 64 bits, and no two places have one. */
static void sums_of_integers_are_exact(void **state)
{
    (void)state;
    const int64_t ranks = (int64_t)comm->size * (comm->size + 1) / 2;
    for (int c = 0; c < COUNTS; c++) {
        int64_t *x = room(counts[c], sizeof *x), wrong = 0;
        for (int64_t i = 0; i <= counts[c]; i++) x[i] = (comm->rank + 1) * ((1 << 30) + i);
        const soda_status s = comm->sum_i64(comm, x, counts[c]);
        for (int64_t i = 0; i < counts[c]; i++) wrong += x[i] != ranks * ((1 << 30) + i);
        wrong += x[counts[c]] != (comm->rank + 1) * ((1 << 30) + counts[c]); /* beyond the end */
        free(x);
        CHECK_OK(s);
        assert_int_equal(wrong, 0);
    }
}

/* The same with numbers that fp32 adds exactly in any order: below 2^24. */
static void sums_of_floats_add_up(void **state)
{
    (void)state;
    const float ranks = (float)(comm->size * (comm->size + 1) / 2);
    for (int c = 0; c < COUNTS; c++) {
        float *x = room(counts[c], sizeof *x);
        int64_t wrong = 0;
        for (int64_t i = 0; i <= counts[c]; i++)
            x[i] = (float)(comm->rank + 1) * (float)(i % 1000) / 8;
        const soda_status s = comm->sum_f32(comm, x, counts[c]);
        for (int64_t i = 0; i < counts[c]; i++) wrong += x[i] != ranks * (float)(i % 1000) / 8;
        free(x);
        CHECK_OK(s);
        assert_int_equal(wrong, 0);
    }
}

/* Each element is largest on another rank, and negative everywhere. */
static void the_largest_is_found_on_any_rank(void **state)
{
    (void)state;
    for (int c = 0; c < COUNTS; c++) {
        int64_t *x = room(counts[c], sizeof *x), wrong = 0;
        for (int64_t i = 0; i < counts[c]; i++)
            x[i] = i % comm->size == comm->rank ? -1 - i : INT64_MIN + comm->rank;
        const soda_status s = comm->max_i64(comm, x, counts[c]);
        for (int64_t i = 0; i < counts[c]; i++) wrong += x[i] != -1 - i;
        free(x);
        CHECK_OK(s);
        assert_int_equal(wrong, 0);
    }
}

static void every_root_is_heard(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4 << 20, (8 << 20) + 7};
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++)
        for (int root = 0; root < comm->size; root++) {
            uint8_t *x = room((int64_t)sizes[c], 1);
            int64_t wrong = 0;
            for (size_t i = 0; i < sizes[c]; i++) x[i] = (uint8_t)(i * 7 + 31 * (size_t)comm->rank);
            const soda_status s = comm->broadcast(comm, x, sizes[c], root);
            for (size_t i = 0; i < sizes[c]; i++)
                wrong += x[i] != (uint8_t)(i * 7 + 31 * (size_t)root);
            free(x);
            CHECK_OK(s);
            assert_int_equal(wrong, 0);
        }
}

/* Numbers dealt out round-robin, summed exactly: the bits that one rank alone gets. */
static void exact_sums_have_the_bits_of_one_rank(void **state)
{
    (void)state;
    enum { N = 501 };
    int64_t alone[EXACT_LIMBS] = {0}, dealt[EXACT_LIMBS] = {0}, where;
    float x[N], want = 0, got = 1;
    soda_status s = SODA_OK;
    check_fill_normal(x, N, 9, 1e3f);
    for (int i = 0; i < N; i++) {
        if (i % 3 == 0) x[i] *= 1e-9f;
        if (s == SODA_OK) s = exact_add(alone, &x[i], 1, &where);
        if (s == SODA_OK && i % comm->size == comm->rank) s = exact_add(dealt, &x[i], 1, &where);
    }
    const soda_status summed = comm->sum_i64(comm, dealt, EXACT_LIMBS);
    exact_round(alone, &want, 1);
    exact_round(dealt, &got, 1);
    CHECK_OK(s);
    CHECK_OK(summed);
    assert_memory_equal(&got, &want, sizeof got);
}

/* Whether all ranks return `want` when rank r comes with plan[r]: who failed keeps its message, the
 * others are told of rank `first`. */
static bool agree(const soda_status plan[4], soda_status want, int first)
{
    char told[64] = "";
    status_clear();
    soda_status own = plan[comm->rank];
    if (own != SODA_OK) own = FAIL(own, "trouble on rank %d", comm->rank);
    const soda_status s = comm_agree(comm, own);
    if (own != SODA_OK)
        snprintf(told, sizeof told, "trouble on rank %d", comm->rank);
    else if (want != SODA_OK)
        snprintf(told, sizeof told, "rank %d of %d %s", first, comm->size,
                 want == SODA_STOPPED ? "stopped" : "failed");
    if (s == want && strcmp(status_message(), told) == 0) return true;
    printf("status %d, wanted %d; \"%s\", wanted \"%s\"\n", (int)s, (int)want, status_message(),
           told);
    return false;
}

static void a_rank_that_failed_is_known_to_all(void **state)
{
    (void)state;
    const soda_status none[4] = {SODA_OK};
    bool right = agree(none, SODA_OK, 0);
    for (int r = 0; r < comm->size; r++)
        for (int code = SODA_ERR_INPUT; code <= SODA_STOPPED; code++) {
            soda_status plan[4] = {SODA_OK};
            plan[r] = (soda_status)code;
            right &= agree(plan, plan[r], r);
        }
    right &= agree(none, SODA_OK, 0); /* and nothing is left of it */
    assert_true(right);
}

static void of_several_failures_the_worst_is_agreed_on(void **state)
{
    (void)state;
    if (comm->size < 2) return;
    const int last = comm->size - 1;
    soda_status same[4] = {SODA_ERR_IO}, other[4] = {SODA_ERR_INPUT}, stopped[4] = {SODA_STOPPED};
    same[last] = SODA_ERR_IO;
    other[last] = SODA_ERR_MEMORY;
    stopped[last] = SODA_ERR_INPUT; /* a stop is no failure */
    bool right = agree(same, SODA_ERR_IO, 0);
    right &= agree(other, SODA_ERR_MEMORY, last);
    right &= agree(stopped, SODA_ERR_INPUT, last);
    assert_true(right);
}

int main(void)
{
    if (!comm_mpi_launched()) return fprintf(stderr, "to be run by mpirun\n"), 1;
    if (comm_mpi_open(false, &comm) != SODA_OK) return fprintf(stderr, "%s\n", status_message()), 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_integers_are_exact),
        cmocka_unit_test(sums_of_floats_add_up),
        cmocka_unit_test(the_largest_is_found_on_any_rank),
        cmocka_unit_test(every_root_is_heard),
        cmocka_unit_test(exact_sums_have_the_bits_of_one_rank),
        cmocka_unit_test(a_rank_that_failed_is_known_to_all),
        cmocka_unit_test(of_several_failures_the_worst_is_agreed_on),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_mpi_close();
    return failed;
}
