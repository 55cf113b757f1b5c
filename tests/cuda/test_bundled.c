/* The bundled model on the GPU: minutes in the simulator, so with tests/run.sh --all only. */
#include "run/trainer_case.h"

/* Ten steps in fp32 end within 1e-5 of what the CPU trains, all tensors as one vector. */
static void ten_steps_are_those_of_the_cpu(void **state)
{
    static const char *const sets[] = {"data.resolution=64", NULL};
    CHECK_OK(trainer_case(backend_cpu(1), *state, "want", BUNDLED, 10, sets));
    CHECK_OK(trainer_case(tested_backend(), *state, "got", BUNDLED, 10, sets));
    const double distance = adapter_distance(*state, "got", "want");
    print_message("ten steps of the bundled model: %.2e\n", distance);
    assert_true(distance > 0 && distance <= 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ten_steps_are_those_of_the_cpu)};
    return cmocka_run_group_tests(tests, trainer_setup, files_teardown);
}
