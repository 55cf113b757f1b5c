/* folder_check: what is no model folder is named as what it is, with the way out; and weights in
 * fp64 load as fp32. */
#include "support/check.h"
#include "support/files.h"

#include <string.h>

#include "io/newfile.h"
#include "io/safetensors.h"
#include "model/folder_check.h"
#include "model/weight_files.h"

static void put_tensor(const char *folder, const char *name, const char *tensor)
{
    static const float value = 1;
    const safetensors_tensor t = {
        .name = tensor, .dtype = SAFETENSORS_F32, .rank = 1, .dim = {1}, .data = &value};
    CHECK_OK(safetensors_write(files_path(folder, name), &t, 1, NULL, 0));
}

static void check_refused(const char *path, const char *message)
{
    assert_int_not_equal(folder_check(path), SODA_OK);
    check_message_has(message);
    check_message_has(path);
}

static void files_are_named_as_what_they_are(void **state)
{
    const char *at = *state;
    put_tensor(at, "whole.safetensors", "model.diffusion_model.out.0.weight");
    check_refused(files_path(at, "whole.safetensors"),
                  "found a single-file checkpoint: convert it once in Python: "
                  "diffusers.StableDiffusionPipeline.from_single_file(");
    put_tensor(at, "xl.safetensors", "conditioner.embedders.1.model.logit_scale");
    check_refused(files_path(at, "xl.safetensors"), "a safetensors file that is not a whole model");
    files_put(at, "m.ckpt", "PK\3\4");
    check_refused(files_path(at, "m.ckpt"), "a PyTorch file (.bin, .ckpt, .pt): convert it once");
    files_put(at, "pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    check_refused(files_path(at, "pointer"), "found a Git LFS pointer");
    files_put(at, "page", "<html>");
    check_refused(files_path(at, "page"), "found an HTML page");
    files_put(at, "empty", "");
    check_refused(files_path(at, "empty"), "found an empty file");
    check_refused(files_path(at, "none"), "cannot open: No such file");
    assert_int_not_equal(folder_check("someone/model"), SODA_OK);
    check_message_has("soda downloads nothing");
}

static void folders_are_named_as_what_they_are(void **state)
{
    const char *at = *state;
    check_refused(at, "model_index.json: cannot open");
    files_put(at, "m.ckpt", "");
    check_refused(at, "found m.ckpt: if it is a single-file checkpoint, convert it once in Python");
    CHECK_OK(newfile_make_folder(files_path(at, "unet")));
    check_refused(at, "is the download complete?");
    CHECK_OK(newfile_make_folder(files_path(at, "hub")));
    CHECK_OK(newfile_make_folder(files_path(at, "hub/snapshots")));
    check_refused(files_path(at, "hub"), "give the folder inside");
    files_put(at, "model_index.json", "{}");
    CHECK_OK(folder_check(at));
}

static void weights_in_fp64_load_as_fp32(void **state)
{
    static const double values[] = {1.0 / 3, -2, 1e-3};
    const safetensors_tensor t = {
        .name = "w", .dtype = SAFETENSORS_F64, .rank = 1, .dim = {3}, .data = values};
    const char *path = files_path(*state, "w.safetensors");
    soda_safetensors *set;
    soda_weight_source *source;
    soda_weight weight, again;
    const soda_shape shape = SHAPE(3);
    CHECK_OK(safetensors_write(path, &t, 1, NULL, 0));
    CHECK_OK(safetensors_open(path, &set));
    CHECK_OK(weight_files_create(set, "unet.", &source));
    CHECK_OK(source->find(source, "w", &shape, &weight));
    CHECK_OK(source->find(source, "w", &shape, &again));
    assert_ptr_equal(weight.source.data, again.source.data);
    assert_int_equal(weight.source.dtype, SODA_F32);
    assert_false(weight.mapped);
    for (int i = 0; i < 3; i++)
        assert_true(((const float *)weight.source.data)[i] == (float)values[i]);
    weight_files_destroy(source);
    safetensors_close(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_named_as_what_they_are, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(folders_are_named_as_what_they_are, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(weights_in_fp64_load_as_fp32, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
