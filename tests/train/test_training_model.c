/* The text encoders in the graph of a step give the U-Net what sampling gives it: captions of both
 * encoders in the same order, the same layers of them, the same pooled text. */
#include "support/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "model/clip.h"
#include "pipeline/text.h"
#include "support/files.h"
#include "train/step.h"

enum { BATCH = 2, SIDE = 4 };

static const char *const captions[BATCH] = {"a red fox", "a drawing of a house, in the rain"};

typedef struct {
    soda_folder *folder;
    run_config *config;
    soda_tokens tokens;
    soda_text text;
} subject;

static void subject_open(subject *s, const char *family)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/golden/tiny-%s", SODA_TEST_DIR, family);
    CHECK_OK(folder_open(path, &s->folder));
    CHECK_OK(run_config_parse("{}", 2, "test.yaml", NULL, 0, &s->config));
    CHECK_OK(text_tokenize(s->folder, captions, BATCH, &s->tokens));
    CHECK_OK(text_states(s->folder, backend_ref(), SODA_F32, NULL, &s->tokens, &s->text));
}

static void subject_close(subject *s)
{
    text_free(&s->text);
    text_tokens_free(&s->tokens);
    run_config_destroy(s->config);
    folder_close(s->folder);
}

static void write_texts(const subject *s, bool inside, const soda_step *step)
{
    static const char *const scopes[2] = {"text_encoder.", "text_encoder_2."};
    const soda_text *t = &s->text;
    soda_exec *exec = step->net.exec;
    for (int e = 0; inside && e < s->folder->texts; e++)
        CHECK_OK(clip_write(exec, step->net.graph, scopes[e], &s->folder->text[e], s->tokens.ids[e],
                            BATCH, s->tokens.tokens));
    if (inside) return;
    CHECK_OK(
        exec_write_f32(exec, "encoder_hidden_states", t->hidden, BATCH * t->tokens * t->width));
    if (s->folder->xl)
        CHECK_OK(exec_write_f32(exec, "text_embeds", t->pooled, BATCH * t->pooled_width));
}

/* The frozen network's prediction [count], with the encoders in its graph or their states given. */
static void predict(const subject *s, bool inside, float *prediction, int64_t count)
{
    static const float timestep[BATCH] = {37, 801}, time_ids[BATCH * UNET_TIME_IDS] = {
                                                        64, 48, 3, 0, 32, 48, 32, 32, 0, 5, 32, 48};
    const step_shape shape = {.batch = BATCH, .h = SIDE, .w = SIDE, .tokens = s->tokens.tokens};
    training_model model;
    soda_params none = {0};
    soda_step step;
    s->config->adapter.text_encoder = inside;
    CHECK_OK(training_model_open(s->folder, s->config, backend_ref(), comm_self(), &model));
    CHECK_OK(step_open(&model, &none, &shape, &step));
    soda_exec *exec = step.net.exec;
    check_fill_normal(prediction, count, 1, 1);
    CHECK_OK(exec_write_f32(exec, "sample", prediction, count));
    CHECK_OK(exec_write_f32(exec, "target", prediction, count));
    CHECK_OK(exec_write_f32(exec, "timestep", timestep, BATCH));
    CHECK_OK(exec_write_f32(exec, "weight", timestep, BATCH)); /* of the loss, which is not read */
    if (s->folder->xl) CHECK_OK(exec_write_f32(exec, "time_ids", time_ids, BATCH * UNET_TIME_IDS));
    write_texts(s, inside, &step);
    CHECK_OK(exec_run(exec));
    CHECK_OK(exec_read_f32(exec, "prediction", prediction, count));
    step_close(&step);
    training_model_close(&model);
}

/* The reference rounds once an operator, and does the same on both ways: the same bits. */
static void encoders_in_the_graph_are_those_of_sampling(void **state)
{
    (void)state;
    static const char *const families[] = {"sd1", "sd2", "sdxl"};
    for (int i = 0; i < 3; i++) {
        subject s;
        subject_open(&s, families[i]);
        const int64_t count = BATCH * SIDE * SIDE * s.folder->unet.in_channels;
        float *inside = malloc((size_t)count * sizeof *inside),
              *given = malloc((size_t)count * sizeof *given);
        assert_true(inside && given);
        predict(&s, true, inside, count);
        predict(&s, false, given, count);
        assert_memory_equal(inside, given, (size_t)count * sizeof *inside);
        free(inside);
        free(given);
        subject_close(&s);
    }
}

/* With the encoders their layers are found, under the names that adapters use; SDXL's first encoder
 * is read before its last layer, which is therefore none of them. */
static void layers_are_those_that_are_read(void **state)
{
    (void)state;
    subject s;
    training_model t;
    subject_open(&s, "sdxl");
    for (int inside = 0; inside < 2; inside++) {
        s.config->adapter.text_encoder = inside;
        CHECK_OK(training_model_open(s.folder, s.config, backend_ref(), comm_self(), &t));
        assert_non_null(
            layers_find(t.layers, "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"));
        const char *const read[] = {
            "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
            "text_encoder_2.text_model.encoder.layers.2.self_attn.out_proj"};
        for (int i = 0; i < 2; i++)
            assert_int_equal(layers_find(t.layers, read[i]) != NULL, inside);
        assert_null(
            layers_find(t.layers, "text_encoder.text_model.encoder.layers.1.self_attn.q_proj"));
        training_model_close(&t);
    }
    subject_close(&s);
}

static void without_targets_there_is_nothing_to_train(void **state)
{
    (void)state;
    static const char *const sets[] = {"adapter.targets=[nowhere]"};
    soda_folder *folder;
    run_config *config;
    training_model t;
    CHECK_OK(folder_open(SODA_TEST_DIR "/golden/tiny-sd1", &folder));
    CHECK_OK(run_config_parse("{}", 2, "test.yaml", sets, 1, &config));
    CHECK_FAILS(training_model_open(folder, config, backend_ref(), comm_self(), &t),
                SODA_ERR_INPUT);
    check_message_has("test.yaml: adapter.targets: no linear layer of ");
    check_message_has("matches; their names end in time_embedding.linear_1, ");
    check_message_has(", attn2.to_out.0, ff.net.0.proj, ff.net.2; text encoders only with");
    training_model_close(&t); /* zeroed by the failure */
    run_config_destroy(config);
    folder_close(folder);
}

/* A warning goes to stderr: read it back from a file. */
static void a_target_without_layers_is_named(void **state)
{
    static const char *const sets[] = {"adapter.targets=[attn, nowhere, ff]"};
    const char *log = files_path(*state, "log");
    soda_folder *folder;
    run_config *config;
    training_model t;
    size_t bytes;
    CHECK_OK(folder_open(SODA_TEST_DIR "/golden/tiny-sd1", &folder));
    CHECK_OK(run_config_parse("{}", 2, "test.yaml", sets, 1, &config));
    fflush(stderr);
    const int kept = dup(2);
    assert_non_null(freopen(log, "w", stderr));
    log_set_quiet(false);
    CHECK_OK(training_model_open(folder, config, backend_ref(), comm_self(), &t));
    log_set_quiet(true);
    fflush(stderr);
    dup2(kept, 2);
    close(kept);
    char *text = files_read(log, &bytes);
    assert_non_null(strstr(text, "adapter.targets[1]: \"nowhere\" matches no linear layer of "));
    assert_null(strstr(text, "adapter.targets[0]"));
    assert_null(strstr(text, "adapter.targets[2]"));
    free(text);
    training_model_close(&t);
    run_config_destroy(config);
    folder_close(folder);
}

static int setup(void **state)
{
    const int result = files_setup(state);
    setenv("SODA_CACHE", *state, 1);
    return result;
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoders_in_the_graph_are_those_of_sampling),
        cmocka_unit_test(layers_are_those_that_are_read),
        cmocka_unit_test(without_targets_there_is_nothing_to_train),
        cmocka_unit_test(a_target_without_layers_is_named),
    };
    return cmocka_run_group_tests(tests, setup, files_teardown);
}
