/* What a training step costs a GPU and its host, by the simulator's count. */
#include "run/trainer_case.h"

#include "cusim/counters.h"

/* Of a run of `steps` steps. */
static sim_counters count_run(const char *folder, const char *name, const char *model, int steps,
                              const char *const *sets)
{
    const sim_counters before = sim_count;
    CHECK_OK(trainer_case(tested_backend(), folder, name, model, steps, sets));
    return (sim_counters){.launches = sim_count.launches - before.launches,
                          .copies = sim_count.copies - before.copies,
                          .waits = sim_count.waits - before.waits,
                          .downloaded_bytes = sim_count.downloaded_bytes - before.downloaded_bytes,
                          .allocations = sim_count.allocations - before.allocations};
}

/* Three steps more cost what three steps cost: everything else is done by the shorter run too. Each
 * run has its own cache, so that both do the same at their start. */
static void a_step_waits_once_and_downloads_little(void **state)
{
    enum { STEPS = 3 };
    static const char *const models[] = {TINY, TINY_XL};
    tested_backend(); /* opens the GPU */
    for (int i = 0; i < 2; i++) {
        char name[2][32];
        sim_counters run[2];
        for (int k = 0; k < 2; k++) {
            snprintf(name[k], sizeof name[k], "%d-%d", i, k);
            setenv("SODA_CACHE", files_path(*state, name[k]), 1);
            run[k] = count_run(*state, name[k], models[i], k ? 1 + STEPS : 1, NULL);
        }
        print_message("a step: %.1f waits, %.0f bytes downloaded, %.1f launches, %.1f copies\n",
                      (double)(run[1].waits - run[0].waits) / STEPS,
                      (double)(run[1].downloaded_bytes - run[0].downloaded_bytes) / STEPS,
                      (double)(run[1].launches - run[0].launches) / STEPS,
                      (double)(run[1].copies - run[0].copies) / STEPS);
        assert_int_equal(run[1].waits - run[0].waits, STEPS);
        assert_true(run[1].downloaded_bytes - run[0].downloaded_bytes <= STEPS * 64 << 10);
        assert_int_equal(run[1].allocations, run[0].allocations);
        assert_true(run[1].launches > run[0].launches);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_waits_once_and_downloads_little),
    };
    return cmocka_run_group_tests(tests, trainer_setup, files_teardown);
}
