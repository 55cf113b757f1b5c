/* soda inspect opens what the other verbs open, and says what it knows where it does not. */
#include "support/check.h"

#include <string.h>

#include "io/newfile.h"
#include "io/spectra.h"
#include "support/files.h"
#include "support/program.h"

#define MODEL SODA_TEST_DIR "/golden/tiny-sd1"
#define IMAGES SODA_SOURCE_DIR "/configs/quickstart/images/train"

/* One line of the output. */
static void expect(const char *folder, const char *path, const char *part)
{
    program_expect(program_run(folder, "soda inspect %s", path), 0, part);
}

static void runs_are_checked_and_shown(void **state)
{
    const char *folder = *state;
    static const char yaml[] = "model: nowhere\ndata: {path: " IMAGES "}\ntrain: {steps: 7}\n";
    files_write(folder, "run.yaml", yaml, sizeof yaml - 1);
    expect(folder, "run.yaml", "  train.steps: 7\n");
    assert_non_null(strstr(program_output, "model: there is no folder"));
    assert_non_null(strstr(program_output, "output is missing"));
    assert_null(strstr(program_output, "train.batch"));
    files_write(folder, "wrong.yml", "train: {stepz: 7}\n", 18);
    program_expect(program_run(folder, "soda inspect wrong.yml"), 1,
                   "wrong.yml:1: unknown key train.stepz");
}

static void prompts_are_counted(void **state)
{
    const char *folder = *state;
    static const char prompts[] = "\xef\xbb\xbf"
                                  "a fox\r\n\r\na house\r\n";
    files_write(folder, "p.txt", prompts, sizeof prompts - 1);
    expect(folder, "p.txt", "3 prompts, 1 empty, longest 7 bytes");
    expect(folder, "p.txt --model " MODEL, "0 of 3 are longer than the ");
    program_expect(program_run(folder, "yes | head -c 67108865 > p.txt; soda inspect p.txt"), 1,
                   "p.txt: expected at most 67108864 bytes");
}

/* What sample and train refuse with the way out is not taken for a folder of pictures. */
static void what_is_no_model_folder_is_named(void **state)
{
    const char *folder = *state;
    CHECK_OK(newfile_make_folder(files_path(folder, "hub/snapshots/abc")));
    files_write(folder, "model.ckpt", "PK\3\4 and more", 13);
    program_expect(program_run(folder, "soda inspect hub"), 1,
                   "found a hub cache folder: give the folder inside hub/snapshots");
    program_expect(program_run(folder, "soda inspect model.ckpt"), 1,
                   "from_single_file(\"model.ckpt\")");
    program_expect(program_run(folder, "cp -r " SODA_TEST_DIR "/golden/tiny-sd1 tiny && sed -i "
                                       "s/scaled_linear/sigmoid/ tiny/scheduler/*.json && "
                                       "soda inspect tiny"),
                   1, "tiny/scheduler/scheduler_config.json: beta_schedule: expected one of");
}

static void spectra_are_summed_up(void **state)
{
    const char *folder = *state;
    const float sigma[2] = {3, 2}, angles[2][3] = {{0.5f, 0.25f, 0}, {0.75f, 0.125f, 0}};
    for (int i = 0; i < 2; i++) {
        const spectra_layer layers[2] = {{"unet.a", 2, 3, sigma, sigma, 1.5 + i, angles[i], {0}},
                                         {"unet.b", 2, 3, sigma, sigma, 2.0 + i, angles[0], {0}}};
        CHECK_OK(spectra_record(files_path(folder, "spectra.h5"), 100 * i, layers, 2, NULL));
    }
    expect(folder, "spectra.h5", "spectra of 2 layers, 2 records from step 0 to 100");
    assert_non_null(strstr(program_output, "1.75 at first, 2.75 at last"));
    assert_non_null(strstr(program_output, "0.75 rad"));
    program_expect(program_run(folder, "head -c 2000 spectra.h5 > cut.h5; soda inspect cut.h5"), 1,
                   "cut.h5");
}

static void folders_and_their_parts_are_told_apart(void **state)
{
    const char *folder = *state;
    expect(folder, MODEL, "StableDiffusionPipeline");
    expect(folder, MODEL "/unet", "one part of a model");
    expect(folder, MODEL "/tokenizer", "tokens, BOS");
    expect(folder, IMAGES, "6 pictures with captions");
    expect(folder, IMAGES "/metadata.jsonl", "6 pictures with captions");
    program_expect(program_run(folder, "head -c -12 " IMAGES "/fox.png >cut.png"), 0, "");
    expect(folder, "cut.png", "the end of the file is missing");
    expect(folder, SODA_TEST_DIR "/golden/version-0.1/step-00000002.h5", "checkpoint at step 2");
    program_expect(program_run(folder,
                               "mkdir done && cp " SODA_TEST_DIR
                               "/golden/version-0.1/adapter.safetensors done && soda inspect done"),
                   0, "soda_lq, 2 layers");
}

static void what_is_unknown_gets_the_list(void **state)
{
    const char *folder = *state;
    files_write(folder, "x.pt", "\x80\x02}q", 4);
    files_write(folder, "bytes", "\1\0\2", 3);
    files_write(folder, "c.json", "{}\n", 3);
    program_expect(program_run(folder, "soda inspect x.pt"), 1, "PyTorch file");
    program_expect(program_run(folder, "soda inspect bytes"), 1, "found another kind of file");
    assert_non_null(strstr(program_output, "adapter, spectra, safetensors, picture, run.yaml"));
    program_expect(program_run(folder, "soda inspect c.json"), 1, "found another kind of file");
    program_expect(program_run(folder, "mkdir none; soda inspect none"), 1, "inspect also knows");
    program_expect(program_run(folder, "soda inspect absent"), 1, "no such file or folder");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_are_checked_and_shown, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(prompts_are_counted, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(what_is_no_model_folder_is_named, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(spectra_are_summed_up, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(folders_and_their_parts_are_told_apart, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(what_is_unknown_gets_the_list, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
