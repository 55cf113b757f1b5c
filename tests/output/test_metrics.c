/* metrics.jsonl: one JSON object a line, and after a restart no step twice. */
#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "core/log.h"
#include "output/metrics.h"
#include "support/files.h"
#include "support/own_open.h"

/* Opens NAME for a run that goes on after `step` steps, adds `more` and checks what is there. */
static void check_resumed(const char *folder, const char *before, int64_t step, const char *more,
                          const char *want)
{
    size_t bytes;
    soda_metrics *metrics;
    const char *path = files_write(folder, "metrics.jsonl", before, strlen(before));
    CHECK_OK(metrics_open(path, step, &metrics));
    metrics_close(metrics);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
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

static int syncs;
int fsync(int fd) /* in place of the C library's */
{
    syncs++;
    return (int)syscall(SYS_fsync, fd);
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
    soda_metrics *metrics;
    size_t bytes;
    soda_json json, seconds;
    double number;
    int64_t step;
    CHECK_OK(metrics_open(path, 0, &metrics)); /* there is none yet */
    CHECK_OK(metrics_flush(metrics));          /* nothing to write, as where no step is left */
    CHECK_OK(metrics_write(metrics, &row));
    CHECK_OK(metrics_write_validation(metrics, 42, 0.75));
    syncs = 0;
    CHECK_OK(metrics_flush(metrics));
    assert_int_equal(syncs, 1);            /* the lines outlive a power cut */
    char *text = files_read(path, &bytes); /* each line is written at once */
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
    metrics_close(metrics);
}

static int refusal; /* of new files */
static int before_open(const char *path, int flags)
{
    return flags & O_CREAT && access(path, F_OK) != 0 ? refusal : 0;
}

static void a_file_that_cannot_be_opened_is_named(void **state)
{
    soda_metrics *metrics;
    CHECK_FAILS(metrics_open(files_path(*state, "absent/metrics.jsonl"), 0, &metrics), SODA_ERR_IO);
    check_message_has("absent/metrics.jsonl: ");
    refusal = EACCES;
    CHECK_FAILS(metrics_open(files_path(*state, "mine.jsonl"), 0, &metrics), SODA_ERR_IO);
    refusal = 0;
    check_message_has("mine.jsonl: cannot be opened: Permission denied");
}

/* A disk, or a quota, with no room for another file: the rows wait until there is. */
static void a_full_disk_delays_the_file(void **state)
{
    static const int full[] = {ENOSPC, EDQUOT};
    for (int i = 0; i < 2; i++) {
        char name[32];
        size_t bytes;
        soda_metrics *metrics;
        snprintf(name, sizeof name, "new-%d.jsonl", i);
        const char *path = files_path(*state, name);
        refusal = full[i];
        CHECK_OK(metrics_open(path, 0, &metrics));
        CHECK_OK(metrics_write_validation(metrics, 0, 0.25));
        assert_int_not_equal(access(path, F_OK), 0);
        CHECK_FAILS(metrics_flush(metrics), SODA_ERR_IO);
        check_message_has(" lines are missing: ");
        refusal = 0;
        CHECK_OK(metrics_write_validation(metrics, 1, 0.25));
        metrics_close(metrics);
        char *text = files_read(path, &bytes);
        assert_string_equal(text, HELD("0") HELD("1"));
        free(text);
    }
}

/* A disk that is full in the middle of a line, for a while, by a limit on the size of files. */
static void a_full_disk_delays_lines(void **state)
{
    enum { LINES = 400 };
    const char *path = files_path(*state, "full.jsonl");
    soda_metrics *metrics;
    size_t bytes;
    char line[64];
    CHECK_OK(metrics_open(path, 0, &metrics));
    for (int i = 0; i < LINES; i++) {
        if (i == 100) files_limit(5000);
        if (i == 300) files_limit(RLIM_INFINITY);
        CHECK_OK(metrics_write_validation(metrics, i, 0.5));
        if (i != 299) continue;
        free(files_read(path, &bytes));
        assert_int_equal(bytes, 5000); /* some lines are missing, and one is cut */
        CHECK_FAILS(metrics_flush(metrics), SODA_ERR_IO);
        check_message_has(" lines are missing: ");
        check_message_has("full.jsonl: cannot be written: File too large");
    }
    metrics_close(metrics);
    char *text = files_read(path, &bytes), *at = text;
    for (int i = 0; i < LINES; i++) {
        snprintf(line, sizeof line, "{\"step\": %d, \"validation_loss\": 0.5}\n", i);
        assert_memory_equal(at, line, strlen(line));
        at += strlen(line);
    }
    assert_int_equal(at - text, bytes);
    free(text);
}

/* No room for the lines to keep: they are cut off later, before the next line is written. */
static void a_full_disk_at_the_start_delays_lines(void **state)
{
    static const char before[] = ROW("0") ROW("1") ROW("2");
    const char *path = files_write(*state, "start.jsonl", before, strlen(before));
    soda_metrics *metrics;
    size_t bytes;
    files_limit(10);
    CHECK_OK(metrics_open(path, 2, &metrics));
    CHECK_OK(metrics_write_validation(metrics, 2, 0.25));
    char *text = files_read(path, &bytes);
    assert_string_equal(text, before);
    free(text);
    files_limit(RLIM_INFINITY);
    CHECK_OK(metrics_flush(metrics));
    metrics_close(metrics);
    text = files_read(path, &bytes);
    assert_string_equal(text, ROW("0") ROW("1") HELD("2"));
    free(text);
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_steps_are_removed),
        cmocka_unit_test(a_run_from_the_start_keeps_nothing),
        cmocka_unit_test(broken_lines_are_removed),
        cmocka_unit_test(rows_are_json),
        cmocka_unit_test(a_file_that_cannot_be_opened_is_named),
        cmocka_unit_test(a_full_disk_delays_the_file),
        cmocka_unit_test(a_full_disk_delays_lines),
        cmocka_unit_test(a_full_disk_at_the_start_delays_lines),
    };
    return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
