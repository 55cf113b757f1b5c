/* A training run on the tested backend: the same bytes each time and after an interruption, and
 * close to what another backend trains. */
#include "trainer_case.h"

/* Three steps, and once more in two parts: a process that went on after two steps. Where steps are
 * fast, once more whole too. */
static void steps_have_the_same_bytes_again_and_resumed(void **state)
{
    const soda_backend *b = tested_backend();
    CHECK_OK(trainer_case(b, *state, "once", TINY, 3, NULL));
    if (tested_all()) {
        CHECK_OK(trainer_case(b, *state, "again", TINY, 3, NULL));
        check_same_state(*state, "once", "again");
    }
    CHECK_OK(trainer_case(b, *state, "parts", TINY, 2, NULL));
    assert_true(adapter_distance(*state, "parts", "once") > 0);
    CHECK_OK(trainer_case(b, *state, "parts", TINY, 3, NULL));
    check_same_state(*state, "once", "parts");
}

#ifdef TEST_CUDA
static const soda_backend *other_backend(void) { return backend_cpu(1); }
#else
static const soda_backend *other_backend(void) { return backend_ref(); }
#endif

/* Ten steps of fp32 end within 1e-5 of what another backend trains; in a simulator the three steps
 * of the run `once` do, unless all is to be run. */
static void steps_are_those_of_another_backend(void **state)
{
    const int steps = tested_all() ? 10 : 3;
    CHECK_OK(trainer_case(other_backend(), *state, "want", TINY, steps, NULL));
    if (steps > 3) CHECK_OK(trainer_case(tested_backend(), *state, "once", TINY, steps, NULL));
    const double distance = adapter_distance(*state, "once", "want");
    print_message("%d steps: %.2e\n", steps, distance);
    assert_true(distance > 0 && distance <= 1e-5);
}

/* A run begun on one backend goes on with another. */
static void a_checkpoint_resumes_on_another_backend(void **state)
{
    CHECK_OK(trainer_case(other_backend(), *state, "there", TINY, 2, NULL));
    CHECK_OK(trainer_case(tested_backend(), *state, "there", TINY, 3, NULL));
    CHECK_OK(trainer_case(tested_backend(), *state, "back", TINY, 2, NULL));
    CHECK_OK(trainer_case(other_backend(), *state, "back", TINY, 3, NULL));
    const double distance = adapter_distance(*state, "there", "back");
    assert_true(distance > 0 && distance <= 1e-5);
}

/* Two steps with class images, and two with DCO, are those of another backend. */
static void other_losses_are_those_of_another_backend(void **state)
{
    static const char *const sets[2][3] = {
        {"data.prior={path: " SODA_SOURCE_DIR "/configs/quickstart/images/train, weight: 0.5}"},
        {"train.loss=dco", "train.dco_beta=10"}};
    static const char *const names[2][2] = {{"prior", "prior want"}, {"dco", "dco want"}};
    for (int i = 0; i < 2; i++) {
        CHECK_OK(trainer_case(tested_backend(), *state, names[i][0], TINY, 2, sets[i]));
        CHECK_OK(trainer_case(other_backend(), *state, names[i][1], TINY, 2, sets[i]));
        const double distance = adapter_distance(*state, names[i][0], names[i][1]);
        print_message("%s: %.2e\n", names[i][0], distance);
        assert_true(distance > 0 && distance <= 1e-5);
    }
    assert_true(adapter_distance(*state, "prior", "dco") > 0);
}

/* A weight that is not a number ends the run with the picture's name, and leaves no adapter. */
static void a_step_that_is_not_finite_names_loss_and_picture(void **state)
{
    const char *folder = *state, *model = files_path(folder, "poisoned");
    static const uint32_t nan = 0x7fc00000;
    char command[2200], path[1024];
    snprintf(command, sizeof command, "cp -r '%s' '%s'", TINY, model);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/unet/diffusion_pytorch_model.safetensors", model);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -4000, SEEK_END), 0);
    assert_int_equal(fwrite(&nan, sizeof nan, 1, file), 1);
    fclose(file);
    CHECK_FAILS(trainer_case(tested_backend(), folder, "nan", model, 3, NULL), SODA_ERR_NUMERIC);
    check_message_has("step 0: the loss is ");
    check_message_has(".png); this step is discarded");
    snprintf(path, sizeof path, "%s/nan/adapter.safetensors", folder);
    assert_null(fopen(path, "rb"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_have_the_same_bytes_again_and_resumed),
        cmocka_unit_test(steps_are_those_of_another_backend),
        cmocka_unit_test(a_checkpoint_resumes_on_another_backend),
        cmocka_unit_test(other_losses_are_those_of_another_backend),
        cmocka_unit_test(a_step_that_is_not_finite_names_loss_and_picture),
    };
    return cmocka_run_group_tests(tests, trainer_setup, files_teardown);
}
