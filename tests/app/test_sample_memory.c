/* Memory runs out at the k-th allocation of a whole `soda sample`, until the run has all it needs:
 * each time one error that says so, and no picture. ASan sees what is left.
 *
 * There are 14,600 allocations, most of them equal (words of a vocabulary): every 211th and 257th
 * is tried, two primes, so that the places differ. SODA_TEST_STEP=1 tries all: 3 minutes. */
#include "support/alloc_fault.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/common.h"
#include "app/verbs.h"
#include "core/log.h"
#include "support/check.h"
#include "support/files.h"

/* Draws one small picture of two steps with allocation k failing; the number of allocations. */
static long draw(const char *scratch, long k, bool lasts, soda_status *s)
{
    const char *out = files_path(scratch, "out"), *prompts = files_path(scratch, "prompts");
    char *argv[] = {"sample",
                    "--out",
                    (char *)out,
                    "--model",
                    SODA_TEST_DIR "/golden/tiny-sd1",
                    "--prompts",
                    (char *)prompts,
                    "--steps=2",
                    "--width=16",
                    "--height=8",
                    "--threads=2",
                    NULL};
    alloc_fault_set(k);
    alloc_fault_lasts = lasts;
    *s = cmd_sample(sizeof argv / sizeof *argv - 1, argv);
    const long count = alloc_fault_count;
    alloc_fault_set(0);
    return count;
}

static void sweep(const char *scratch, bool lasts, long step)
{
    if (getenv("SODA_TEST_STEP")) step = atol(getenv("SODA_TEST_STEP"));
    char picture[600];
    snprintf(picture, sizeof picture, "%s/out/0000.png", scratch);
    files_write(scratch, "prompts", "a cat", 5);
    for (long k = 1;; k += step) {
        soda_status s;
        const long count = draw(scratch, k, lasts, &s);
        if (s == SODA_OK) {
            assert_int_equal(access(picture, R_OK), 0);
            assert_int_equal(unlink(picture), 0);
            if (count < k) {
                assert_true(count > 10000); /* there is something to sweep over */
                return;
            }
            continue; /* soda can do without this one */
        }
        if (!strstr(status_message(), "memory"))
            fail_msg("allocation %ld: %s", k, status_message());
        if (access(picture, F_OK) == 0)
            fail_msg("allocation %ld: a picture in spite of: %s\n%s", k, status_message(),
                     status_trace());
    }
}

static void drawing_survives_every_failed_allocation(void **state) { sweep(*state, false, 31); }

static void drawing_survives_the_end_of_memory(void **state) { sweep(*state, true, 37); }

int main(void)
{
    common_set_comm(comm_self(), 0);
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drawing_survives_every_failed_allocation),
        cmocka_unit_test(drawing_survives_the_end_of_memory),
    };
    return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
