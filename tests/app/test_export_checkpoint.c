/* A checkpoint in the place of an adapter, through the program. */
#include "export_case.h"

#include "io/checkpoint.h"
#include "io/newfile.h"

/* Writes run/checkpoints/step-00000007.h5 with the values of `t`. */
static void write_checkpoint(const char *at, const test_adapter *t)
{
    const soda_params *values = &t->params;
    double steps[] = {6, 7}, loss[] = {0.5, 0.25};
    checkpoint_column history[] = {{"step", steps}, {"loss", loss}};
    checkpoint_tensor *tensors = calloc((size_t)values->count, sizeof *tensors);
    soda_checkpoint c = {.step = 7,
                         .seed = 3,
                         .method = t->method->name,
                         .isa = "base",
                         .schedule = "",
                         .config = "model: " MODEL("sd1") "\nadapter: {method: soda_svd}\n",
                         .tensors = tensors,
                         .count = values->count,
                         .history = history,
                         .columns = 2,
                         .rows = 2};
    assert_non_null(tensors);
    CHECK_OK(adapter_base_hash(t->folder, true, MODEL_HASH, c.model_sha256));
    memset(c.data_sha256, 'd', SHA256_HEX - 1);
    for (int i = 0; i < values->count; i++) {
        const params_tensor *from = &values->tensors[i];
        tensors[i] = (checkpoint_tensor){.name = from->name,
                                         .rank = from->shape.rank,
                                         .dim = {from->shape.dim[0], from->shape.dim[1]},
                                         .value = values->host.value + from->offset,
                                         .first = values->host.first + from->offset,
                                         .second = values->host.second + from->offset};
    }
    CHECK_OK(newfile_make_folder(files_path(at, "run/checkpoints")));
    CHECK_OK(checkpoint_write(files_path(at, "run/checkpoints"), &c, 1));
    free(tensors);
}

/* A checkpoint, or a run's folder, stands for its adapter and knows its model. */
static void checkpoints_are_adapters(void **state)
{
    static const char step[] = "run/checkpoints/step-00000007.h5";
    const char *at = *state;
    soda_folder *folder;
    test_adapter t;
    CHECK_OK(folder_open(MODEL("sd1"), &folder));
    test_adapter_open(&t, folder, &method_soda_svd, true);
    test_adapter_randomize(&t, 5, 0.2, 0.05);
    test_adapter_write(&t, files_path(at, "a"));
    write_checkpoint(at, &t);
    test_adapter_close(&t);
    folder_close(folder);

    program_expect(program_run(at, "soda export run --to adapter --out b && cmp a b"), 0, "to b");
    program_expect(program_run(at, "soda export %s --to diff --out d", step), 0, "to d");
    program_expect(
        program_run(at, "soda export a --to diff --out e --model %s && cmp d e", MODEL("sd1")), 0,
        "to e");
    program_expect(program_run(at,
                               "soda sample --model %s --adapter run:1 --adapter %s:-1 " SAMPLE
                               " l && soda sample --model %s " SAMPLE " p",
                               MODEL("sd1"), step, MODEL("sd1")),
                   0, "1 picture");
    assert_true(distance(at, "l", "p") <= 1e-4); /* cancels up to the rounding of W */
    program_expect(program_run(at, "soda export run --to adapter --out f"), 0,
                   "to f, from run/checkpoints/step-00000007.h5");
    program_expect(program_run(at, "soda inspect run"), 0, "checkpoint at step 7, seed 3");
    assert_non_null(strstr(program_output, "data sha256: dddd"));
    assert_non_null(strstr(program_output, "  adapter: {method: soda_svd}"));
    assert_non_null(strstr(program_output, "step 7"));
    assert_non_null(strstr(program_output, "loss 0.25"));
    assert_non_null(strstr(program_output, "soda_svd, 64 layers"));
    program_expect(
        program_run(at, "truncate -s 3000 %s && soda export run --to adapter --out b --overwrite",
                    step),
        1, "step-00000007.h5");
    program_expect(program_run(at, "soda sample --model %s --adapter %s " SAMPLE " l --overwrite",
                               MODEL("sd1"), step),
                   1, "step-00000007.h5");
    program_expect(program_run(at, "mkdir -p new/checkpoints; soda inspect new"), 1,
                   "new: no checkpoint and no adapter.safetensors");
    write_adapter(files_path(at, "new/adapter.safetensors"), MODEL("sd1"), &method_soda_lq, false,
                  8);
    program_expect(program_run(at, "soda inspect new"), 0, "soda_lq, 56 layers");
    program_expect(program_run(at,
                               "soda sample --model %s --adapter new --prompt a --steps 1 "
                               "--out drawn",
                               MODEL("sd1")),
                   0, "1 picture");
    program_expect(program_run(at, "soda export new --to adapter --out c"), 0,
                   "to c, from new/adapter.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(checkpoints_are_adapters, setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
