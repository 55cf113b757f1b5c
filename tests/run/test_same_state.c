/* Ranks whose state differs are named, with the first tensor; where all is well nobody notices. */
#include "output/run_state_case.h"

#include "run/same_state.h"
#include "support/ranks.h"

typedef struct {
    run rank[RANKS_MOST];
    int broken; /* the rank that could not read its sums, from 1; 0: none */
} rank_runs;

static soda_status check_rank(soda_comm *comm, void *context)
{
    rank_runs *all = context;
    soda_params *params = &all->rank[comm->rank].params;
    params_sums sums = {0};
    const soda_status own = comm->rank + 1 == all->broken ? FAIL(SODA_ERR_IO, "the GPU is lost")
                                                          : params_sum(params, &sums);
    return same_state_check(comm, params, own, &sums, 7);
}

static void start_all(rank_runs *all, int size)
{
    all->broken = 0;
    for (int i = 0; i < size; i++) {
        run_start(&all->rank[i]);
        run_on(&all->rank[i], 5);
    }
}

static void close_all(rank_runs *all, int size)
{
    for (int i = 0; i < size; i++) run_close(&all->rank[i]);
}

static void equal_ranks_pass(void **state)
{
    (void)state;
    rank_runs all;
    ranks_result results[RANKS_MOST];
    for (int size = 1; size <= 4; size++) {
        start_all(&all, size);
        ranks_run(size, check_rank, &all, results);
        for (int i = 0; i < size; i++) assert_int_equal(results[i].status, SODA_OK);
        close_all(&all, size);
    }
}

/* One bit of one value on rank `wrong` of `size`: that rank and `named` must have the message. */
static void check_one_bit(int size, int wrong, int named, int array, int tensor)
{
    static const char *const what[] = {": adapter: value 2 ", ": first moment: value 2 ",
                                       ": second moment: value 2 "};
    rank_runs all;
    ranks_result results[RANKS_MOST];
    start_all(&all, size);
    soda_params *p = &all.rank[wrong].params;
    float *const arrays[] = {p->host.value, p->host.first, p->host.second};
    uint32_t bits;
    float *at = arrays[array] + p->tensors[tensor].offset + 2;
    memcpy(&bits, at, sizeof bits);
    bits ^= 1;
    memcpy(at, &bits, sizeof bits);
    ranks_run(size, check_rank, &all, results);
    for (int i = 0; i < size; i++) {
        assert_int_equal(results[i].status, SODA_ERR_INPUT);
        if (i != named) continue;
        assert_non_null(strstr(results[i].message, p->tensors[tensor].name));
        assert_non_null(strstr(results[i].message, what[array]));
        assert_non_null(strstr(results[i].message, "after step 7 "));
    }
    close_all(&all, size);
}

static void one_bit_is_found(void **state)
{
    (void)state;
    for (int array = 0; array < 3; array++) {
        check_one_bit(2, 1, 1, array, 0);
        check_one_bit(2, 0, 1, array, 1); /* of two, none is more right: rank 0 counts */
        check_one_bit(3, 0, 0, array, 2); /* of three, two are */
        check_one_bit(4, 2, 2, array, 1);
    }
}

/* Where all arrays differ, the adapter is named. */
static void the_first_array_is_named(void **state)
{
    (void)state;
    rank_runs all;
    ranks_result results[RANKS_MOST];
    start_all(&all, 3);
    const soda_params *p = &all.rank[2].params;
    p->host.value[1] += 1;
    p->host.first[0] += 1;
    p->host.second[0] += 1;
    ranks_run(3, check_rank, &all, results);
    assert_non_null(strstr(results[2].message, ": adapter: value 1 "));
    close_all(&all, 3);
}

/* A rank without sums is what all end with, and not a difference. */
static void a_rank_without_sums_ends_all(void **state)
{
    (void)state;
    rank_runs all;
    ranks_result results[RANKS_MOST];
    start_all(&all, 3);
    all.broken = 2;
    ranks_run(3, check_rank, &all, results);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(results[i].status, SODA_ERR_IO);
        assert_non_null(
            strstr(results[i].message, i == 1 ? "the GPU is lost" : "rank 1 of 3 failed"));
    }
    close_all(&all, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_ranks_pass),
        cmocka_unit_test(one_bit_is_found),
        cmocka_unit_test(the_first_array_is_named),
        cmocka_unit_test(a_rank_without_sums_ends_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
