/* The k-th allocation fails, for k = 1, 2, ... until the call succeeds: each failure says so, and
 * leaves nothing behind (the sanitizers of the debug build watch for leaks). libyaml's own
 * allocations are not among them. */
#include <string.h>

#include "config/run_config.h"
#include "support/alloc_fault.h"
#include "support/check.h"
#include "support/files.h"

static void reading_survives_every_failed_allocation(void **state)
{
    static const char text[] = "{model: m, data: {path: d}, adapter: {targets: [attn, x], factors: "
                               "{6: [1, 2, 3]}}, sample: {prompts: [a, b]}}";
    const char *const sets[] = {"train.steps=5", "output=o"};
    const char *path = files_write(*state, "run.yaml", text, strlen(text));
    for (long k = 1;; k++) {
        run_config *config;
        alloc_fault_set(k);
        const soda_status s = run_config_read(path, sets, 2, &config);
        const long count = alloc_fault_count;
        alloc_fault_set(0);
        if (count < k) {
            check_status(s, SODA_OK, __FILE__, __LINE__);
            assert_int_equal(config->sample.prompts.count, 2);
            run_config_destroy(config);
            assert_true(k > 15);
            return;
        }
        check_status(s, SODA_ERR_MEMORY, __FILE__, __LINE__);
        check_message_has("out of memory");
        assert_null(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reading_survives_every_failed_allocation, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
