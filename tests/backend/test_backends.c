/* All backends are complete: a graph that was built can be run on any. */
#include "support/check.h"

#include "backend/backend.h"

static void check_kernels(const soda_backend *backend)
{
    for (int op = 0; op < OP_COUNT; op++) {
        const soda_kernel *kernel = backend->kernel[op];
        if (!kernel || !kernel->run)
            fail_msg("backend %s has no kernel %s", backend->name, op_rows[op].name);
    }
}

/* Of those of backends.def that can be opened here, and of the reference. */
static void every_operator_has_a_kernel_on_every_backend(void **state)
{
    (void)state;
    static backend_opener *const openers[] = {
#define BACKEND(name) backend_open_##name,
#include "backend/backends.def"
#undef BACKEND
    };
    int opened = 0;
    check_kernels(backend_ref());
    for (size_t i = 0; i < sizeof openers / sizeof *openers; i++) {
        const soda_backend *backend;
        const soda_status s = openers[i](1, comm_self(), &backend);
        if (s == SODA_ERR_UNSUPPORTED) continue; /* as cuda where there is no GPU */
        CHECK_OK(s);
        check_kernels(backend);
        if (backend->close) backend->close(backend);
        opened++;
    }
    assert_true(opened >= 1); /* cpu */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_has_a_kernel_on_every_backend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
