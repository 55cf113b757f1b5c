/* The state of a run on several ranks: all are given it, and all refuse together. */
#include "output/run_state_case.h"

#include "core/log.h"
#include "support/ranks.h"

typedef struct {
    run rank[RANKS_MOST];
    const char *folder;
} rank_runs;

static soda_status restore_rank(soda_comm *comm, void *context)
{
    rank_runs *all = context;
    return restore(&all->rank[comm->rank], comm, all->folder);
}

static void all_ranks_get_the_state(void **state)
{
    run saved;
    rank_runs all = {.folder = save(&saved, *state, "ranks")};
    ranks_result results[RANKS_MOST];
    for (int size = 1; size <= 3; size++) {
        for (int i = 0; i < size; i++) run_start(&all.rank[i]);
        ranks_run(size, restore_rank, &all, results);
        for (int i = 0; i < size; i++) {
            if (results[i].status != SODA_OK) fail_msg("rank %d: %s", i, results[i].message);
            assert_true(equal(&all.rank[i], &saved));
            run_close(&all.rank[i]);
        }
    }
    run_close(&saved);
}

static void all_ranks_start_at_zero(void **state)
{
    run start;
    rank_runs all = {.folder = *state};
    ranks_result results[RANKS_MOST];
    run_start(&start);
    for (int i = 0; i < 3; i++) run_start(&all.rank[i]);
    ranks_run(3, restore_rank, &all, results);
    for (int i = 0; i < 3; i++) {
        if (results[i].status != SODA_OK) fail_msg("rank %d: %s", i, results[i].message);
        assert_true(equal(&all.rank[i], &start));
        run_close(&all.rank[i]);
    }
    run_close(&start);
}

static void all_ranks_refuse(void **state)
{
    run saved;
    rank_runs all = {.folder = save(&saved, *state, "refused")};
    ranks_result results[RANKS_MOST];
    for (int i = 0; i < 3; i++) {
        run_start(&all.rank[i]);
        all.rank[i].state.seed = 12;
    }
    ranks_run(3, restore_rank, &all, results);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(results[i].status, SODA_ERR_INPUT);
        assert_int_equal(all.rank[i].state.step, 0);
        run_close(&all.rank[i]);
    }
    assert_non_null(strstr(results[0].message, "train.seed: this run has 12"));
    assert_string_equal(results[2].message, "rank 0 of 3 failed");
    run_close(&saved);
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_ranks_get_the_state),
        cmocka_unit_test(all_ranks_start_at_zero),
        cmocka_unit_test(all_ranks_refuse),
    };
    return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
