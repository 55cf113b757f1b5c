/* The fp16 variant, whole and in shards: it loads, its export keeps variant and types, and the
 * bytes do not depend on how the files were cut. What a new folder cannot hold is refused. */
#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "io/safetensors.h"
#include "support/adapters.h"
#include "support/files.h"
#include "support/program.h"

#define MODEL SODA_SOURCE_DIR "/configs/quickstart/model" /* its U-Net is fp16 */
#define STEM "m/unet/diffusion_pytorch_model"

static void write_adapter(const char *path, double shift)
{
    test_adapter t;
    soda_folder *folder;
    CHECK_OK(folder_open(MODEL, &folder));
    test_adapter_open(&t, folder, &method_soda_lq, false);
    test_adapter_randomize(&t, 3, 0.2, shift);
    test_adapter_write(&t, path);
    test_adapter_close(&t);
    folder_close(folder);
}

/* The tensors of m/unet in two shards with an index, as the variant is called by diffusers. */
static void cut_into_shards(const char *at)
{
    static const char *const shards[2] = {
        "diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
        "diffusion_pytorch_model.fp16-00002-of-00002.safetensors"};
    const char *whole = files_path(at, STEM ".safetensors");
    const safetensors_pair format = {"format", "pt"};
    soda_safetensors *set;
    char name[200];
    CHECK_OK(safetensors_open(whole, &set));
    const int count = safetensors_count(set), half = count / 2;
    FILE *index = fopen(files_path(at, STEM ".safetensors.index.fp16.json"), "w");
    assert_non_null(index);
    fprintf(index, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
    for (int s = 0; s < 2; s++) {
        safetensors_tensor tensors[1000];
        const int first = s ? half : 0, end = s ? count : half;
        assert_true(count <= 1000);
        for (int i = first; i < end; i++) {
            tensors[i - first] = *safetensors_at(set, i);
            assert_int_equal(tensors[i - first].dtype, SAFETENSORS_F16);
            fprintf(index, "%s\"%s\": \"%s\"", i ? ", " : "", tensors[i - first].name, shards[s]);
        }
        snprintf(name, sizeof name, "m/unet/%s", shards[s]);
        CHECK_OK(safetensors_write(files_path(at, name), tensors, end - first, &format, 1));
    }
    fprintf(index, "}}\n");
    fclose(index);
    safetensors_close(set);
    assert_int_equal(remove(whole), 0);
}

static void shards_of_fp16_export_as_one_file_of_fp16(void **state)
{
    const char *at = *state;
    write_adapter(files_path(at, "a.safetensors"), 0.1);
    program_expect(program_run(at, "cp -r " MODEL " m && chmod -R u+w m && soda export "
                                   "a.safetensors --to diffusers --model m --out whole"),
                   0, "");
    cut_into_shards(at);
    program_expect(program_run(at,
                               "soda export a.safetensors --to diffusers --model m --out cut && "
                               "ls cut/unet"),
                   0, "config.json\ndiffusion_pytorch_model.fp16.safetensors\n");
    assert_null(strstr(program_output, "-of-"));
    assert_null(strstr(program_output, "index"));
    program_expect(program_run(at,
                               "cmp whole/unet/diffusion_pytorch_model.safetensors "
                               "cut/unet/diffusion_pytorch_model.fp16.safetensors && echo same"),
                   0, "same\n");
    program_expect(program_run(at, "soda inspect cut/unet"), 0, "MiB  F16\n");
    assert_null(strstr(program_output, "variant"));
    program_expect(
        program_run(at, "touch cut/unet/diffusion_pytorch_model.bin && soda inspect cut"), 0,
        "warning: cut/unet/diffusion_pytorch_model.fp16.safetensors: using the fp16 "
        "variant, since the full weights are in diffusion_pytorch_model.bin, a pickle");
    program_expect(program_run(at, "soda sample --model cut --prompt fox --steps 1 --out p"), 0,
                   "1 picture");
}

/* A refused export leaves nothing behind, not even its temporary folder. */
static void expect_refused(const char *at, const char *out, const char *part)
{
    program_expect(
        program_run(at, "soda export a.safetensors --to diffusers --model m --out '%s'", out), 1,
        part);
    program_expect(program_run(at, "ls"), 0, "a.safetensors\nm\n");
    assert_null(strstr(program_output, "new"));
}

static void what_a_folder_cannot_hold_is_refused(void **state)
{
    const char *at = *state;
    write_adapter(files_path(at, "a.safetensors"), 1e6);
    program_expect(program_run(at, "cp -r " MODEL " m && chmod -R u+w m"), 0, "");
    expect_refused(at, "new", "outside the range of fp16"); /* whose largest number is 65504 */
    program_expect(program_run(at, "mkdir -p m/1/2/3/4/5/6/7/8/9"), 0, "");
    expect_refused(at, "new", "m/1/2/3/4/5/6/7/8/9: expected folders at most 8 deep");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(shards_of_fp16_export_as_one_file_of_fp16, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(what_a_folder_cannot_hold_is_refused, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
