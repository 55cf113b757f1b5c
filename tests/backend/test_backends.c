/* Both backends are complete: a graph that was built can be run on either. */
#include "support/check.h"

#include "backend/backend.h"

static void every_operator_has_a_kernel_on_every_backend(void **state)
{
    (void)state;
    const soda_backend *const backends[] = {backend_ref(), backend_cpu(0)};
    for (int b = 0; b < 2; b++) {
        for (int op = 0; op < OP_COUNT; op++) {
            const soda_kernel *kernel = backends[b]->kernel[op];
            if (!kernel || !kernel->run)
                fail_msg("backend %s has no kernel %s", backends[b]->name, op_rows[op].name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_has_a_kernel_on_every_backend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
