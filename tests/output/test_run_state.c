/* The state of a run: what is saved is restored to the bit, and only into the run it belongs to. */
#include "output/run_state_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/run_config.h"
#include "core/isa.h"
#include "core/log.h"
#include "io/checkpoint.h"
#include "io/hdf5_leaks.h"

static void what_was_saved_is_restored(void **state)
{
    run saved, restored;
    const char *folder = save(&saved, *state, "saved");
    run_start(&restored);
    CHECK_OK(restore(&restored, comm_self(), folder));
    assert_true(equal(&restored, &saved));
    assert_string_equal(restored.path, files_path(folder, "step-00001500.h5"));
    assert_true(restored.state.history[HISTORY_STEP][ROWS - 1] == ROWS - 1);

    /* both go on, and save the same bytes again */
    size_t bytes[2];
    char *file[2];
    run *const runs[2] = {&saved, &restored};
    for (int i = 0; i < 2; i++) {
        run_on(runs[i], 7);
        CHECK_OK(run_state_save(&runs[i]->state, &runs[i]->params, folder, 1));
        file[i] = files_read(files_path(folder, "step-00001507.h5"), &bytes[i]);
    }
    assert_int_equal(bytes[0], bytes[1]);
    assert_memory_equal(file[0], file[1], bytes[0]);
    assert_int_equal(files_count(folder), 2); /* keep 1, and `latest` */
    for (int i = 0; i < 2; i++) {
        free(file[i]);
        run_close(runs[i]);
    }
}

static void where_nothing_is_a_run_starts_at_zero(void **state)
{
    const char *const names[] = {"empty", "absent"};
    CHECK_OK(newfile_make_folder(files_path(*state, "empty")));
    for (int i = 0; i < 2; i++) {
        run start, r;
        run_start(&start);
        run_start(&r);
        snprintf(r.path, sizeof r.path, "?");
        CHECK_OK(restore(&r, comm_self(), files_path(*state, names[i])));
        assert_true(equal(&r, &start) && r.state.step == 0 && r.state.rows == 0);
        assert_string_equal(r.path, "");
        run_close(&start);
        run_close(&r);
    }
}

/* Restores into `r`, which differs from what was saved: refused with `message`. */
static void check_refused(run *r, const char *folder, const char *message)
{
    CHECK_FAILS(restore(r, comm_self(), folder), SODA_ERR_INPUT);
    check_message_has("step-00001500.h5: ");
    check_message_has(message);
    assert_int_equal(r->state.step, 0);
    run_close(r);
}

/* `context` is the state that was saved: what this run's model and data were called two versions
 * ago. */
static soda_status identify_as(const void *context, int version, bool *known,
                               char model[SHA256_HEX], char data[SHA256_HEX])
{
    const run_state *saved = context;
    *known = version < 3;
    memcpy(model, saved->model_sha256, SHA256_HEX);
    memcpy(data, saved->data_sha256, SHA256_HEX);
    if (version == 1) data[63] = '8';
    return SODA_OK;
}

static void checkpoints_that_name_the_model_as_earlier_versions_did_pass(void **state)
{
    run saved, r;
    const char *folder = save(&saved, *state, "earlier");
    run_start(&r);
    r.state.earlier = identify_as;
    r.state.earlier_context = &saved.state;
    r.state.model_sha256[63] = r.state.data_sha256[63] = '9';
    CHECK_OK(restore(&r, comm_self(), folder));
    assert_true(equal(&r, &saved));
    run_close(&r);
    run_start(&r);
    r.state.earlier = identify_as;
    r.state.earlier_context = &saved.state;
    saved.state.model_sha256[63] = '7';
    r.state.model_sha256[63] = '9';
    check_refused(&r, folder, "the model's files changed since this checkpoint");
    run_close(&saved);
}

static void checkpoints_of_another_run_are_refused(void **state)
{
    static const char *const other_paths[] = {"b.to_q", "c.to_q"};
    run saved, r;
    const char *folder = save(&saved, *state, "another");
    run_start(&r);
    r.state.method = "soda_svd";
    check_refused(&r, folder, "adapter.method: this run has soda_svd, the checkpoint has soda_lq");
    run_start(&r);
    r.state.model_sha256[63] = '9';
    check_refused(&r, folder, "the model's files changed since this checkpoint");
    run_start(&r);
    r.state.data_sha256[63] = '9';
    check_refused(&r, folder, "pictures, captions, or the model's encoders changed since");
    run_start(&r);
    r.state.model_sha256[63] = '9';
    r.state.config = "model: /new\ntrain:\n  steps: 9\n";
    check_refused(&r, folder, "model: this run has model: /new, the checkpoint has model: not set");
    run_start(&r);
    r.state.data_sha256[63] = '9';
    r.state.config = "data:\n  path: /new\n  resolution: 32\n";
    check_refused(&r, folder, "data: this run has data.path: /new, data.resolution: 32, the");
    run_start(&r);
    r.state.data_sha256[63] = '9'; /* of random crops, which the seed decides */
    r.state.seed = 1;
    check_refused(&r, folder, "seed: this run has 1, the checkpoint has 11");
    run_start(&r);
    r.state.schedule = "cosine";
    check_refused(&r, folder,
                  "scheduler_config.json of the model: this run has cosine, the "
                  "checkpoint has linear; choose another output folder");
    run_start(&r);
    r.state.model_sha256[63] = '9'; /* that of the text encoders is in it then */
    r.state.config = "adapter:\n  text_encoder: true\n";
    check_refused(&r, folder,
                  "model: this run has adapter.text_encoder: true, the checkpoint has "
                  "adapter.text_encoder: not set");
    run_open(&r, two_paths, 1, M);
    check_refused(&r, folder, "/adapter: expected 4 tensors, found 8");
    run_open(&r, two_paths, 1, M);
    r.state.config = "adapter:\n  targets: [to_k]\n";
    check_refused(&r, folder,
                  "adapted layers: this run has adapter.targets: [to_k], the "
                  "checkpoint has adapter.targets: ");
    run_open(&r, other_paths, 2, M);
    check_refused(&r, folder,
                  "/adapter/unet.a.to_q.soda.R1: expected a tensor that this run trains");
    run_open(&r, two_paths, 2, M + 1);
    check_refused(&r, folder, "soda.delta: expected 7 rows, found 6");
    run_close(&saved);
}

static void a_history_without_a_column_is_refused(void **state)
{
    double rows[1] = {0};
    checkpoint_column column = {"step", rows};
    run r;
    const char *folder = files_path(*state, "column");
    CHECK_OK(newfile_make_folder(folder));
    run_open(&r, two_paths, 0, M);
    soda_checkpoint c = {.step = 1,
                         .seed = r.state.seed,
                         .method = r.state.method,
                         .config = r.state.config,
                         .isa = "base",
                         .schedule = "",
                         .history = &column,
                         .columns = 1,
                         .rows = 1};
    memcpy(c.model_sha256, r.state.model_sha256, SHA256_HEX);
    memcpy(c.data_sha256, r.state.data_sha256, SHA256_HEX);
    CHECK_OK(checkpoint_write(folder, &c, 1));
    CHECK_FAILS(restore(&r, comm_self(), folder), SODA_ERR_INPUT);
    check_message_has("step-00000001.h5: /history/loss: expected this column, found none");
    run_close(&r);
}

/* The resolved configuration of `sets`; for free(). */
static char *config_of(const char *const *sets, int count)
{
    run_config *config;
    char *text;
    CHECK_OK(run_config_parse("model: m", 8, "run.yaml", sets, count, &config));
    CHECK_OK(run_config_text(config, &text));
    run_config_destroy(config);
    return text;
}

/* What restore says on stderr. */
static void listen(run *r, const char *folder, char *text, size_t size)
{
    FILE *log = tmpfile();
    assert_non_null(log);
    fflush(stderr);
    const int kept = dup(STDERR_FILENO);
    dup2(fileno(log), STDERR_FILENO);
    log_set_quiet(false);
    const soda_status s = restore(r, comm_self(), folder);
    log_set_quiet(true);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    CHECK_OK(s);
    rewind(log);
    text[fread(text, 1, size - 1, log)] = '\0';
    fclose(log);
}

static void a_changed_configuration_is_a_warning_that_lists_it(void **state)
{
    const char *const sets[] = {"train.steps=20", "train.clip=0.5", "output=runs/a"};
    char *before = config_of(NULL, 0), *after = config_of(sets, 3), text[2048];
    const char *folder = files_path(*state, "changed");
    run saved, r;
    CHECK_OK(newfile_make_folder(folder));
    run_start(&saved);
    saved.state.config = before;
    CHECK_OK(run_state_save(&saved.state, &saved.params, folder, 1));
    run_start(&r);
    r.state.config = before;
    listen(&r, folder, text, sizeof text);
    assert_string_equal(text, "");
    char *worded = strdup(before), *help = worded ? strstr(worded, "number of") : NULL;
    assert_non_null(help);
    help[0] = 'N'; /* as another version may word it */
    r.state.config = worded;
    listen(&r, folder, text, sizeof text);
    assert_string_equal(text, "");
    r.state.config = after;
    listen(&r, folder, text, sizeof text);
    assert_non_null(strstr(text, "soda: warning: "));
    assert_non_null(strstr(text, "step-00000000.h5 was written with another configuration; 3 keys "
                                 "changed:\n"));
    assert_non_null(strstr(text, "warning: train.steps: 1000 in the checkpoint, 20 now\n"));
    assert_non_null(strstr(text, "warning: train.clip: 1.0 in the checkpoint, 0.5 now\n"));
    assert_non_null(strstr(text, "warning: output: null in the checkpoint, \"runs/a\" now\n"));
    run_close(&saved);
    run_close(&r);
    free(worded);
    free(before);
    free(after);
}

static void another_instruction_set_is_a_warning(void **state)
{
    char text[2048], expected[200];
    const char *folder = files_path(*state, "isa");
    const isa_level before = isa_now();
    run saved, r;
    CHECK_OK(newfile_make_folder(folder));
    run_start(&saved);
    isa_limit(ISA_BASE);
    CHECK_OK(run_state_save(&saved.state, &saved.params, folder, 1));
    run_start(&r);
    listen(&r, folder, text, sizeof text);
    assert_string_equal(text, "");
    isa_limit(before);
    listen(&r, folder, text, sizeof text);
    snprintf(expected, sizeof expected, "was written with instruction set base, this run uses %s",
             isa_name(before));
    if (before == ISA_BASE)
        assert_string_equal(text, "");
    else
        assert_non_null(strstr(text, expected));
    run_close(&saved);
    run_close(&r);
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_is_restored),
        cmocka_unit_test(where_nothing_is_a_run_starts_at_zero),
        cmocka_unit_test(checkpoints_that_name_the_model_as_earlier_versions_did_pass),
        cmocka_unit_test(checkpoints_of_another_run_are_refused),
        cmocka_unit_test(a_history_without_a_column_is_refused),
        cmocka_unit_test(a_changed_configuration_is_a_warning_that_lists_it),
        cmocka_unit_test(another_instruction_set_is_a_warning),
    };
    return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
