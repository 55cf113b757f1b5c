/* Who decides the number of threads, in order. */
#include "support/check.h"

#include <stdlib.h>

#include "core/thread_count.h"

static void set(const char *omp, const char *slurm, const char *pbs)
{
    const char *const names[] = {"OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK", "NCPUS"};
    const char *const values[] = {omp, slurm, pbs};
    for (int i = 0; i < 3; i++) {
        if (values[i])
            setenv(names[i], values[i], 1);
        else
            unsetenv(names[i]);
    }
}

static void the_first_that_speaks_decides(void **state)
{
    (void)state;
    set("3", "5", "14");
    assert_int_equal(thread_count(7, 2, 9), 7);
    assert_int_equal(thread_count(0, 2, 9), 3);
    set(NULL, "5", "14");
    assert_int_equal(thread_count(0, 2, 9), 5);
    set(NULL, NULL, "14");
    assert_int_equal(thread_count(0, 2, 9), 7);
    assert_int_equal(thread_count(0, 20, 9), 1);
    set(NULL, NULL, NULL);
    assert_int_equal(thread_count(0, 2, 9), 9);
    assert_int_equal(thread_count(0, 1, 0), 0);
}

static void a_list_gives_its_first_and_nonsense_nothing(void **state)
{
    (void)state;
    set("4,2", NULL, NULL);
    assert_int_equal(thread_count(0, 1, 9), 4);
    const char *const nonsense[] = {"", "0", "-2", "two", "3x", "1025", "99999999999999999999"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        set(nonsense[i], NULL, NULL);
        assert_int_equal(thread_count(0, 1, 9), 9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_that_speaks_decides),
        cmocka_unit_test(a_list_gives_its_first_and_nonsense_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
