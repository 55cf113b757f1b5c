/* metrics.jsonl: one JSON object a line, and after a restart no step twice. */
#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "run/metrics.h"
#include "support/files.h"

/* Opens NAME for a run that goes on after `step` steps, adds `more` and checks what is there. */
static void check_resumed(const char *folder, const char *before, int64_t step, const char *more,
                          const char *want)
{
    size_t bytes;
    FILE *file;
    const char *path = files_write(folder, "metrics.jsonl", before, strlen(before));
    CHECK_OK(metrics_open(path, step, &file));
    fputs(more, file);
    assert_int_equal(fclose(file), 0);
    char *text = files_read(path, &bytes);
    assert_string_equal(text, want);
    free(text);
}

#define ROW(n) "{\"step\": " n ", \"loss\": 0.5}\n"
#define HELD(n) "{\"step\": " n ", \"validation_loss\": 0.25}\n"

/* A checkpoint of 3 steps has rows 0, 1 and 2; the held-out loss at step 3 is measured again. */
static void later_steps_are_removed(void **state)
{
    static const char all[] =
        HELD("0") ROW("0") ROW("1") ROW("2") HELD("3") ROW("3") ROW("4") HELD("5") ROW("5");
    check_resumed(*state, all, 3, ROW("3"), HELD("0") ROW("0") ROW("1") ROW("2") ROW("3"));
    check_resumed(*state, all, 4, "", HELD("0") ROW("0") ROW("1") ROW("2") HELD("3") ROW("3"));
    check_resumed(*state, all, 6, "", all);
    check_resumed(*state, "", 6, ROW("6"), ROW("6"));
}

/* A run that starts anew measures before its first step once more. */
static void a_run_from_the_start_keeps_nothing(void **state)
{
    check_resumed(*state, HELD("0") ROW("0") ROW("1"), 0, HELD("0"), HELD("0"));
}

/* What a dying run, a full disk or a person left: lines that are cut, empty or no JSON. */
static void broken_lines_are_removed(void **state)
{
    check_resumed(*state, ROW("0") ROW("1") "{\"step\": 2, \"lo", 8, ROW("2"),
                  ROW("0") ROW("1") ROW("2"));
    check_resumed(*state, ROW("0") "{\"step\": 1, \"loss\": 0.5}", 8, ROW("1"), ROW("0") ROW("1"));
    check_resumed(*state, "\n" ROW("0") "{}\nnull\n\"step\"\n{\"step\": \"1\"}\n" ROW("1"), 8, "",
                  ROW("0") ROW("1"));
}

static void rows_are_json(void **state)
{
    const metrics_row row = {.step = 41,
                             .loss = 1.0 / 3,
                             .lr_rotation = 5e-5,
                             .lr_spectrum = 1e-300,
                             .grad_norm = 12345.678,
                             .orthogonality = 5.5e-7,
                             .images_per_s = 2.5,
                             .data_s = 1e-5,
                             .network_s = 2,
                             .reduce_s = 3,
                             .update_s = 0.125};
    const char *path = files_path(*state, "rows.jsonl");
    FILE *file;
    size_t bytes;
    soda_json json, seconds;
    double number;
    int64_t step;
    CHECK_OK(metrics_open(path, 0, &file)); /* there is none yet */
    CHECK_OK(metrics_write(file, path, &row));
    CHECK_OK(metrics_write_validation(file, path, 42, 0.75));
    char *text = files_read(path, &bytes); /* flushed: `file` is open */
    char *second = strchr(text, '\n') + 1;
    assert_int_equal(strlen(second), strcspn(second, "\n") + 1);

    CHECK_OK(soda_json_parse(text, (size_t)(second - text), path, &json));
    CHECK_OK(soda_json_int(&json, "step", -1, &step));
    assert_int_equal(step, 41);
    CHECK_OK(soda_json_double(&json, "loss", 0, &number));
    assert_true(number > 0.333333332 && number < 0.333333334);
    CHECK_OK(soda_json_double(&json, "lr", 0, &number));
    assert_true(number == 5e-5);
    CHECK_OK(soda_json_double(&json, "lr_spectrum", 0, &number));
    assert_true(number == 1e-300);
    CHECK_OK(soda_json_double(&json, "grad_norm", 0, &number));
    assert_true(number == 12345.678);
    CHECK_OK(soda_json_double(&json, "orthogonality", 0, &number));
    assert_true(number == 5.5e-7);
    CHECK_OK(soda_json_child(&json, "seconds", &seconds));
    CHECK_OK(soda_json_double(&seconds, "update", 0, &number));
    assert_true(number == 0.125);
    soda_json_free(&json);

    CHECK_OK(soda_json_parse(second, strlen(second), path, &json));
    CHECK_OK(soda_json_int(&json, "step", -1, &step));
    CHECK_OK(soda_json_double(&json, "validation_loss", 0, &number));
    assert_true(step == 42 && number == 0.75);
    soda_json_free(&json);
    free(text);
    fclose(file);
}

static void failures_name_the_file(void **state)
{
    FILE *file;
    const metrics_row row = {0};
    CHECK_FAILS(metrics_open(files_path(*state, "absent/metrics.jsonl"), 0, &file), SODA_ERR_IO);
    check_message_has("absent/metrics.jsonl: ");
    file = fopen("/dev/full", "a");
    assert_non_null(file);
    CHECK_FAILS(metrics_write(file, "runs/x/metrics.jsonl", &row), SODA_ERR_IO);
    check_message_has("runs/x/metrics.jsonl: cannot be written: No space left");
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_steps_are_removed),
        cmocka_unit_test(a_run_from_the_start_keeps_nothing),
        cmocka_unit_test(broken_lines_are_removed),
        cmocka_unit_test(rows_are_json),
        cmocka_unit_test(failures_name_the_file),
    };
    return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
