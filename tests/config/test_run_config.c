#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/run_config.h"
#include "support/check.h"
#include "support/files.h"

enum { MOST_SETS = 4 };

/* Parses TEXT as run.yaml, with sets up to the first NULL. */
static run_config *parse(const char *text, const char *const sets[MOST_SETS])
{
    run_config *c;
    int count = 0;
    while (sets && count < MOST_SETS && sets[count]) count++;
    CHECK_OK(run_config_parse(text, strlen(text), "run.yaml", sets, count, &c));
    return c;
}

static void absent_keys_take_the_defaults_of_the_contract(void **state)
{
    (void)state;
    run_config *c = parse("{}", NULL);
    assert_string_equal(c->file, "run.yaml");
    assert_null(c->model);
    assert_null(c->data.path);
    assert_int_equal(c->data.resolution, 512);
    assert_false(c->data.buckets);
    assert_int_equal(c->data.crop, CROP_CENTER);
    assert_false(c->data.flip);
    assert_true(c->data.caption_dropout == 0);
    assert_null(c->data.prior_path);
    assert_true(c->data.prior_weight == 1);
    assert_ptr_equal(c->adapter.method, &method_soda_svd);
    assert_int_equal(c->adapter.targets.count, 1);
    assert_string_equal(c->adapter.targets.list[0], "attn");
    assert_false(c->adapter.text_encoder);
    assert_int_equal(c->adapter.options.factors.rule, FACTORS_PAPER);
    assert_int_equal(c->adapter.options.factors.entries, 0);
    assert_true(c->adapter.options.delta_init == 0);
    assert_int_equal(c->train.steps, 1000);
    assert_int_equal(c->train.batch, 1);
    assert_int_equal(c->train.global_batch, 1);
    assert_int_equal(c->train.dtype, SODA_F32);
    assert_int_equal(c->train.loss, LOSS_MSE);
    assert_true(c->train.dco_beta == 1000);
    assert_true(c->train.min_snr_gamma == 0);
    assert_true(c->train.clip == 1);
    assert_int_equal(c->train.recompute, RECOMPUTE_AUTO);
    assert_true(c->train.memory_limit_gib == 0);
    assert_int_equal(c->train.seed, 0);
    assert_int_equal(c->parallel.reduction, REDUCE_EXACT);
    assert_int_equal(c->checkpoint.every, 100);
    assert_int_equal(c->checkpoint.keep, 3);
    assert_true(c->checkpoint.time_limit_s == RUN_TIME_AUTO);
    assert_null(c->validation.path);
    assert_int_equal(c->validation.every, 0);
    assert_int_equal(c->sample.every, 0);
    assert_int_equal(c->sample.prompts.count, 0);
    assert_int_equal(c->sample.steps, 25);
    assert_true(c->sample.guidance == 7.5);
    assert_int_equal(c->sample.seed, 0);
    assert_null(c->output);
    run_config_destroy(c);
}

static void optimizers_take_the_defaults_of_the_contract(void **state)
{
    (void)state;
    run_config *c = parse("{}", NULL);
    const stiefel_options *r = &c->train.rotation;
    const adamw_options *s = &c->train.spectrum;
    assert_int_equal(r->kind, STIEFEL_ADAM);
    assert_int_equal(r->retraction, STIEFEL_EULER);
    assert_int_equal(r->metric, STIEFEL_CANONICAL);
    assert_true(r->lr == 5e-5 && r->beta1 == 0.9 && r->beta2 == 0.999 && r->eps == 1e-5);
    assert_true(r->momentum == 0.9 && r->dampening == 0);
    assert_true(s->lr == 5e-5 && s->beta1 == 0.9 && s->beta2 == 0.999 && s->eps == 1e-8);
    assert_true(s->weight_decay == 1e-4);
    assert_int_equal(c->train.schedule.kind, LR_CONSTANT);
    assert_int_equal(c->train.schedule.warmup, 0);
    assert_int_equal(c->train.schedule.steps, 1000);
    run_config_destroy(c);
}

/* No value is a default. */
static const char all_keys[] =
    "model: m\n"
    "data: {path: d, resolution: 64, buckets: true, crop: random, flip: true,\n"
    "       caption_dropout: 0.125, prior: {path: p, weight: 0.3}}\n"
    "adapter: {method: soda_lq, targets: ['^unet\\.down', \"to_k$\"], text_encoder: true,\n"
    "          factors: {640: [10, 8, 8], 6: [1, 2, 3]}, delta_init: -0.1}\n"
    "train:\n"
    "  steps: 1e3\n"
    "  batch: 3\n"
    "  global_batch: 12\n"
    "  dtype: bf16\n"
    "  loss: dco\n"
    "  dco_beta: 2000.5\n"
    "  min_snr_gamma: 5\n"
    "  optimizer:\n"
    "    rotation: {type: sgd, lr: 1e-3, momentum: 0.7, dampening: .5, retraction: expm,\n"
    "               metric: euclidean}\n"
    "    spectrum: {type: adamw, lr: 3.0e-7, betas: [0.5, 0], eps: 1e-7, weight_decay: 0}\n"
    "  schedule: {type: linear, warmup: 1000}\n"
    "  clip: null\n"
    "  recompute: full\n"
    "  memory_limit: 1.5\n"
    "  seed: 9223372036854775807\n"
    "parallel: {weights: replicate, shard: 1, reduction: fast}\n"
    "checkpoint: {every: 7, keep: 1, time_limit: 3600}\n"
    "validation: {path: v, every: 9}\n"
    "sample: {every: 200, prompts: [1.0, \"yes\", null-like], steps: 4, guidance: 0, seed: 5}\n"
    "output: o\n";

static void check_all_keys(const run_config *c)
{
    assert_string_equal(c->model, "m");
    assert_string_equal(c->data.path, "d");
    assert_int_equal(c->data.resolution, 64);
    assert_true(c->data.buckets && c->data.flip && c->adapter.text_encoder);
    assert_int_equal(c->data.crop, CROP_RANDOM);
    assert_true(c->data.caption_dropout == 0.125);
    assert_string_equal(c->data.prior_path, "p");
    assert_true(c->data.prior_weight == 0.3);
    assert_ptr_equal(c->adapter.method, &method_soda_lq);
    assert_int_equal(c->adapter.targets.count, 2);
    assert_string_equal(c->adapter.targets.list[0], "^unet\\.down");
    assert_string_equal(c->adapter.targets.list[1], "to_k$");
    assert_int_equal(c->adapter.options.factors.rule, FACTORS_BALANCED);
    assert_int_equal(c->adapter.options.factors.entries, 2);
    assert_memory_equal(c->adapter.options.factors.map,
                        ((const factors_entry[]){{640, {10, 8, 8}}, {6, {1, 2, 3}}}),
                        2 * sizeof(factors_entry));
    assert_true(c->adapter.options.delta_init == -0.1);
    assert_int_equal(c->train.steps, 1000);
    assert_int_equal(c->train.batch, 3);
    assert_int_equal(c->train.global_batch, 12);
    assert_int_equal(c->train.dtype, SODA_BF16);
    assert_int_equal(c->train.loss, LOSS_DCO);
    assert_true(c->train.dco_beta == 2000.5 && c->train.min_snr_gamma == 5);
    assert_int_equal(c->train.rotation.kind, STIEFEL_SGD);
    assert_true(c->train.rotation.lr == 1e-3);
    assert_true(c->train.rotation.momentum == 0.7 && c->train.rotation.dampening == 0.5);
    assert_int_equal(c->train.rotation.retraction, STIEFEL_EXPM);
    assert_int_equal(c->train.rotation.metric, STIEFEL_EUCLIDEAN);
    const adamw_options *s = &c->train.spectrum;
    assert_true(s->lr == 3e-7 && s->beta1 == 0.5 && s->beta2 == 0 && s->eps == 1e-7);
    assert_true(s->weight_decay == 0);
    assert_int_equal(c->train.schedule.kind, LR_LINEAR);
    assert_int_equal(c->train.schedule.warmup, 1000);
    assert_true(c->train.clip == 0 && c->train.memory_limit_gib == 1.5);
    assert_int_equal(c->train.recompute, RECOMPUTE_FULL);
    assert_true(c->train.seed == INT64_MAX);
    assert_int_equal(c->parallel.reduction, REDUCE_FAST);
    assert_int_equal(c->checkpoint.every, 7);
    assert_int_equal(c->checkpoint.keep, 1);
    assert_true(c->checkpoint.time_limit_s == 3600);
    assert_string_equal(c->validation.path, "v");
    assert_int_equal(c->validation.every, 9);
    assert_int_equal(c->sample.every, 200);
    assert_int_equal(c->sample.prompts.count, 3);
    assert_string_equal(c->sample.prompts.list[0], "1.0");
    assert_string_equal(c->sample.prompts.list[1], "yes");
    assert_string_equal(c->sample.prompts.list[2], "null-like");
    assert_int_equal(c->sample.steps, 4);
    assert_true(c->sample.guidance == 0);
    assert_int_equal(c->sample.seed, 5);
    assert_string_equal(c->output, "o");
}

static void every_key_reaches_its_field(void **state)
{
    (void)state;
    run_config *c = parse(all_keys, NULL);
    check_all_keys(c);
    run_config_destroy(c);
}

static void the_text_of_a_configuration_parses_to_the_same(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}", all_keys};
    for (int i = 0; i < 2; i++) {
        char *text, *again;
        run_config *c = parse(texts[i], NULL);
        CHECK_OK(run_config_text(c, &text));
        run_config *d = parse(text, NULL);
        CHECK_OK(run_config_text(d, &again));
        assert_string_equal(text, again);
        if (i) check_all_keys(d);
        run_config_destroy(c);
        run_config_destroy(d);
        free(text);
        free(again);
    }
}

/* Doubles of all kinds, in a range that allows them; the last three need 17 digits. */
static void numbers_survive_the_text_bit_for_bit(void **state)
{
    (void)state;
    const double numbers[] = {1e6,       1,   123456,  1e-5,        4.9406564584124654e-324,
                              -2.5e-300, 0.1, 1.0 / 3, -5.0e-5 / 7, 0x1.fffffffffffffp-1};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char set[64], *text;
        snprintf(set, sizeof set, "adapter.delta_init=%.17g", numbers[i]);
        run_config *c = parse("{}", (const char *const[MOST_SETS]){set});
        CHECK_OK(run_config_text(c, &text));
        run_config *d = parse(text, NULL);
        assert_true(c->adapter.options.delta_init == numbers[i]);
        assert_true(d->adapter.options.delta_init == numbers[i]);
        run_config_destroy(c);
        run_config_destroy(d);
        free(text);
    }
}

/* As PyYAML reads them: a float needs a point, and a sign in its exponent. */
static void numbers_are_written_for_readers_of_yaml_1_1(void **state)
{
    (void)state;
    char *text;
    run_config *c =
        parse("{train: {clip: 2, dco_beta: 1e9, optimizer: {rotation: {lr: 5e-5}}}}", NULL);
    CHECK_OK(run_config_text(c, &text));
    assert_non_null(strstr(text, "  clip: 2.0  #"));
    assert_non_null(strstr(text, "  dco_beta: 1000000000.0  #"));
    assert_non_null(strstr(text, "      lr: 5.0e-05  #"));
    assert_non_null(strstr(text, "      betas: [0.9, 0.999]  #"));
    run_config_destroy(c);
    free(text);
}

static void any_string_survives_the_text(void **state)
{
    (void)state;
    static const char *const strings[] = {
        "",
        " ",
        "a: b",
        "# no comment",
        "'",
        "\"",
        "\\",
        "\\n",
        "null",
        "true",
        "1",
        "[a]",
        "a\nb",
        "\t\r\x01\x7f",
        "\xc2\x85\xc2\xa0\xe2\x80\xa8\xe2\x80\xa9",
        "a \xe2\x80\xa8 b \xe2\x80\xa9 c",
        "\xef\xbb\xbf",
        "\xef\xbf\xbe",
        "caf\xc3\xa9 \xe7\x8c\xab \xf0\x9f\x90\x88",
        "...",
        "---",
        "- a",
        "&a",
        "*a",
        "!t",
        "%",
        "@",
    };
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        char *text, *own = strdup(strings[i]);
        run_config *c = parse("{}", NULL);
        c->sample.prompts.list = malloc(sizeof(char *));
        c->sample.prompts.list[0] = own;
        c->sample.prompts.count = 1;
        CHECK_OK(run_config_text(c, &text));
        assert_null(strstr(text, "\xef\xbb\xbf")); /* readers differ in what this is */
        run_config *d = parse(text, NULL);
        assert_int_equal(d->sample.prompts.count, 1);
        assert_string_equal(d->sample.prompts.list[0], strings[i]);
        run_config_destroy(c);
        run_config_destroy(d);
        free(text);
    }
}

static void text_that_yaml_cannot_say_is_refused(void **state)
{
    (void)state;
    char *text;
    run_config *c = parse("output: abc", NULL);
    c->output[1] = '\xe9'; /* Latin-1, as a folder's name may be */
    CHECK_FAILS(run_config_text(c, &text), SODA_ERR_INPUT);
    check_message_has("output: expected text in UTF-8, found byte 0xe9");
    assert_null(text);
    run_config_destroy(c);
}

/* A choice's words stand in the order of its enumeration. */
static void every_choice_is_its_enumerator(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        size_t field;
        unsigned want;
    } rows[] = {
        {"data.crop=center", offsetof(run_config, data.crop), CROP_CENTER},
        {"adapter.factors=balanced", offsetof(run_config, adapter.options.factors.rule),
         FACTORS_BALANCED},
        {"adapter.factors=paper", offsetof(run_config, adapter.options.factors.rule),
         FACTORS_PAPER},
        {"train.recompute=none", offsetof(run_config, train.recompute), RECOMPUTE_NONE},
        {"train.recompute=auto", offsetof(run_config, train.recompute), RECOMPUTE_AUTO},
        {"train.schedule.type=cosine", offsetof(run_config, train.schedule.kind), LR_COSINE},
        {"train.optimizer.rotation.retraction=cayley",
         offsetof(run_config, train.rotation.retraction), STIEFEL_CAYLEY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        run_config *c = parse(all_keys, (const char *const[MOST_SETS]){rows[i].set});
        assert_int_equal(*(const unsigned *)((const char *)c + rows[i].field), rows[i].want);
        run_config_destroy(c);
    }
}

static void the_example_of_the_contract_is_read(void **state)
{
    (void)state;
    const char *path = SODA_SOURCE_DIR "/tests/fuzz/corpus/run_config/interface";
    run_config *c;
    CHECK_OK(run_config_read(path, NULL, 0, &c));
    assert_string_equal(c->file, path);
    assert_string_equal(c->model, SODA_SOURCE_DIR "/tests/fuzz/corpus/run_config/../models/sd15");
    assert_string_equal(c->data.prior_path,
                        SODA_SOURCE_DIR "/tests/fuzz/corpus/run_config/class_images");
    assert_int_equal(c->train.global_batch, 4);
    assert_string_equal(c->sample.prompts.list[0], "...");
    run_config_destroy(c);
}

static void paths_of_the_file_start_at_its_folder(void **state)
{
    static const char text[] = "{model: ../m, data: {path: /abs, prior: {path: p}}, output: o,"
                               " validation: {path: v}, sample: {prompts: [x]}}";
    const char *path = files_write(*state, "run.yaml", text, strlen(text));
    const char *const sets[] = {"output=mine/o", "data.prior={path: q}"};
    run_config *c;
    CHECK_OK(run_config_read(path, sets, 2, &c));
    assert_string_equal(c->model, files_path(*state, "../m"));
    assert_string_equal(c->data.path, "/abs");
    assert_string_equal(c->data.prior_path, "q");
    assert_string_equal(c->validation.path, files_path(*state, "v"));
    assert_string_equal(c->output, "mine/o");
    assert_string_equal(c->sample.prompts.list[0], "x");
    run_config_destroy(c);
}

static void a_renamed_key_keeps_its_meaning(void **state)
{
    static const char old[] = "train: {checkpointing: full}";
    static const char both[] = "train: {checkpointing: full, recompute: none}";
    run_config *c;
    (void)state;
    CHECK_OK(run_config_parse(old, strlen(old), "run.yaml", NULL, 0, &c));
    assert_int_equal(c->train.recompute, RECOMPUTE_FULL);
    run_config_destroy(c);
    CHECK_FAILS(run_config_parse(both, strlen(both), "run.yaml", NULL, 0, &c), SODA_ERR_INPUT);
    check_message_has("train.recompute");
}

static void a_file_that_cannot_be_read_says_why(void **state)
{
    run_config *c;
    CHECK_FAILS(run_config_read(files_path(*state, "none.yaml"), NULL, 0, &c), SODA_ERR_IO);
    check_message_has("none.yaml: cannot open: No such file");
    assert_null(c);
    CHECK_FAILS(run_config_read(*state, NULL, 0, &c), SODA_ERR_INPUT);
    check_message_has("not a regular file");

    static char large[(1 << 20) + 1];
    memset(large, '#', sizeof large);
    const char *path = files_write(*state, "large.yaml", large, sizeof large);
    CHECK_FAILS(run_config_read(path, NULL, 0, &c), SODA_ERR_INPUT);
    check_message_has("large.yaml: expected at most 1048576 bytes, found 1048577");
}

static void sets_override_and_create(void **state)
{
    (void)state;
    run_config *c = parse("train: {steps: 5, batch: bad}\nsample: {prompts: [a]}",
                          (const char *const[MOST_SETS]){"train.steps=6", "train.batch=2",
                                                         "train.steps=7", "sample.prompts=[b, c]"});
    assert_int_equal(c->train.steps, 7);
    assert_int_equal(c->train.schedule.steps, 7);
    assert_int_equal(c->train.global_batch, 2);
    assert_int_equal(c->sample.prompts.count, 2);
    assert_string_equal(c->sample.prompts.list[1], "c");
    run_config_destroy(c);
}

static void a_section_that_is_set_replaces_the_one_of_the_file(void **state)
{
    (void)state;
    static const char text[] = "data: {prior: {path: p, weight: 2}}\n"
                               "train: {optimizer: {rotation: {lr: 1, betas: [0.1, 0.2]}}}";
    run_config *c =
        parse(text, (const char *const[MOST_SETS]){
                        "train.optimizer.rotation={type: sgd, momentum: 0}", "data.prior="});
    assert_int_equal(c->train.rotation.kind, STIEFEL_SGD);
    assert_true(c->train.rotation.lr == 5e-5 && c->train.rotation.momentum == 0);
    assert_null(c->data.prior_path);
    assert_true(c->data.prior_weight == 1);
    run_config_destroy(c);
}

static void a_word_or_null_stands_for_its_value(void **state)
{
    (void)state;
    run_config *c = parse("checkpoint: {time_limit: none}\nparallel:\n"
                          "train: {clip: 0, memory_limit: auto, min_snr_gamma: ~, steps: +5.0}\n"
                          "data: {prior: null, path: }",
                          NULL);
    assert_true(c->checkpoint.time_limit_s == 0);
    assert_true(c->train.clip == 0 && c->train.memory_limit_gib == 0);
    assert_true(c->train.min_snr_gamma == 0);
    assert_int_equal(c->train.steps, 5);
    assert_null(c->data.path);
    run_config_destroy(c);
}

static void anchors_stand_for_what_they_name(void **state)
{
    (void)state;
    run_config *c = parse("train: {optimizer: {rotation: {betas: &b [0.5, 0.6]},\n"
                          "                    spectrum: {betas: *b}}}",
                          NULL);
    assert_true(c->train.rotation.beta2 == 0.6 && c->train.spectrum.beta2 == 0.6);
    run_config_destroy(c);
}

typedef struct {
    const char *text, *message;
} bad;

static void check_bad(const bad *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        run_config *c;
        CHECK_FAILS(run_config_parse(rows[i].text, strlen(rows[i].text), "run.yaml", NULL, 0, &c),
                    SODA_ERR_INPUT);
        check_message_has(rows[i].message);
        assert_null(c);
    }
}

/* Each method has its keys; those of the file that a --set of the method makes useless are left
 * out. */
static void keys_of_other_methods_are_refused(void **state)
{
    (void)state;
    static const bad rows[] = {
        {"adapter: {method: svdiff, factors: paper}",
         "adapter.factors: expected no such key, as adapter.method is svdiff, found paper"},
        {"adapter:\n  method: rotation\n  delta_init: 0",
         "run.yaml:3: adapter.delta_init: expected no such key, as adapter.method is rotation"},
        {"adapter: {method: svdiff}\ntrain: {optimizer: {rotation: {lr: 1}}}",
         "train.optimizer.rotation.lr: expected no such key, as adapter.method is svdiff"},
        {"adapter: {method: rotation}\ntrain: {optimizer: {spectrum: {lr: 1}}}",
         "train.optimizer.spectrum.lr: expected no such key, as adapter.method is rotation"},
    };
    check_bad(rows, sizeof rows / sizeof *rows);
    static const char whole[] = "adapter: {factors: balanced, delta_init: 1}\n"
                                "train: {optimizer: {rotation: {lr: 1}, spectrum: {lr: 1}}}";
    static const char *const methods[] = {"soda_svd", "soda_lq", "svdiff", "rotation"};
    for (int i = 0; i < 4; i++) {
        char set[64], *text;
        snprintf(set, sizeof set, "adapter.method=%s", methods[i]);
        run_config *c = parse(whole, (const char *const[MOST_SETS]){set});
        assert_string_equal(c->adapter.method->name, methods[i]);
        CHECK_OK(run_config_text(c, &text));
        assert_int_equal(strstr(text, "factors:") != NULL, i != 2);
        assert_int_equal(strstr(text, "rotation:") != NULL, i != 2);
        assert_int_equal(strstr(text, "delta_init:") != NULL, i != 3);
        assert_int_equal(strstr(text, "spectrum:") != NULL, i != 3);
        run_config_destroy(parse(text, NULL));
        free(text);
        run_config_destroy(c);
    }
}

static void values_of_the_wrong_kind_or_size_are_refused(void **state)
{
    (void)state;
    static const bad rows[] = {
        {"train:\n  steps: many",
         "run.yaml:2: train.steps: expected an integer in [1, 1000000000], found many"},
        {"train: {steps: '5'}", "in [1, 1000000000], found \"5\""},
        {"train: {steps: 1.5}", "found 1.5"},
        {"train: {steps: 0}", "found 0"},
        {"train: {steps: -3}", "found -3"},
        {"train: {steps: 010}", "found 010"},
        {"train: {steps: 0x10}", "found 0x10"},
        {"train: {steps: 1_000}", "found 1_000"},
        {"train: {steps: 1e}", "found 1e"},
        {"train: {steps: .}", "found ."},
        {"train: {steps: 99999999999999999999}", "found 99999999999999999999"},
        {"train: {steps: }", "run.yaml:1: train.steps: expected an integer in [1, 1000000000], "
                             "found nothing"},
        {"train: {steps: [5]}", "found a list"},
        {"train: {steps: {a: 5}}", "found a mapping"},
        {"train: {seed: -1}", "train.seed: expected an integer in [0, 9223372036854775807]"},
        {"train: {seed: 9223372036854775808}", "found 9223372036854775808"},
        {"train: {seed: 1e17}", "found 1e17"},
        {"train: {batch: null}", "train.batch: expected an integer in [1, 4096], found null"},
        {"train: {global_batch: 65537}", "in [1, 65536] or null, found 65537"},
        {"train: {clip: -1}", "train.clip: expected a number in [0, 1e9] or null, found -1"},
        {"train: {clip: .inf}", "found .inf"},
        {"train: {clip: .nan}", "found .nan"},
        {"train: {clip: nan}", "found nan"},
        {"train: {clip: inf}", "found inf"},
        {"train: {clip: 1e400}", "found 1e400"},
        {"train: {min_snr_gamma: 0}",
         "train.min_snr_gamma: expected a number in (0, 1e6] or null, found 0"},
        {"train: {memory_limit: 0}", "expected a number in (0, 1e6] or auto, found 0"},
        {"train: {memory_limit: 8GiB}", "found 8GiB"},
        {"checkpoint: {time_limit: never}",
         "checkpoint.time_limit: expected a number in (0, 1e9] or auto or null, found never"},
        {"checkpoint: {time_limit: 1:00:00}", "found 1:00:00"},
        {"data: {caption_dropout: 1.1}", "data.caption_dropout: expected a number in [0, 1]"},
        {"data: {flip: yes}", "run.yaml:1: data.flip: expected true or false, found yes"},
        {"data: {flip: on}", "expected true or false, found on"},
        {"data: {flip: 1}", "expected true or false, found 1"},
        {"data: {flip: 'true'}", "expected true or false, found \"true\""},
        {"data: {crop: left}", "data.crop: expected center | random, found left"},
        {"data: {prior: images}", "data.prior: expected a mapping of keys, found images"},
        {"data: {path: [a]}", "data.path: expected a string, found a list"},
        {"data: {path: ''}", "data.path: expected a path, found \"\""},
        {"output: \"a\\0b\"", "output: expected a string, found \"a?b\""},
        {"parallel: {weights: shard}", "parallel.weights: expected replicate, found shard"},
        {"parallel: {shard: 2}", "parallel.shard: expected 1, found 2"},
        {"sample: {prompts: one}", "sample.prompts: expected a list of strings, found one"},
        {"sample:\n  prompts:\n  - a\n  - [b]",
         "run.yaml:4: sample.prompts[1]: expected a string, found a list"},
        {"sample: {prompts: [null]}", "sample.prompts[0]: expected a string, found null"},
        {"sample: {prompts: &a [*a]}", "sample.prompts[0]: expected a string, found a list"},
        {"adapter: {targets: []}", "run.yaml:1: adapter.targets: expected attn or regular"},
        {"adapter:\n  targets: ['(']", "run.yaml:2: adapter.targets: \"(\": expected attn or a"},
        {"adapter: {method: lora}",
         "adapter.method: expected soda_svd | soda_lq | svdiff | rotation, found lora"},
    };
    check_bad(rows, sizeof rows / sizeof *rows);
}

static void optimizers_and_factors_are_refused_in_part(void **state)
{
    (void)state;
    static const bad rows[] = {
        {"train: {optimizer: {rotation: {betas: 0.9}}}",
         "expected a list of two numbers in [0, 1)"},
        {"train: {optimizer: {rotation: {betas: [0.9]}}}", "found a list"},
        {"train: {optimizer: {rotation: {betas: [0.9, 1]}}}",
         "train.optimizer.rotation.betas: expected two numbers in [0, 1), found 1"},
        {"train: {optimizer: {rotation: {type: adamw}}}", "expected adam | sgd, found adamw"},
        {"train: {optimizer: {spectrum: {type: sgd}}}",
         "train.optimizer.spectrum.type: expected adamw, found sgd"},
        {"train: {optimizer: {rotation: {type: sgd,\n betas: [0.9, 0.999]}}}",
         "run.yaml:2: train.optimizer.rotation.betas: expected no such key, as "
         "train.optimizer.rotation.type is sgd"},
        {"train: {optimizer: {rotation: {type: sgd, eps: 1e-5}}}",
         "rotation.eps: expected no such"},
        {"train: {optimizer: {rotation: {momentum: 0.9}}}",
         "rotation.momentum: expected no such key, as train.optimizer.rotation.type is adam"},
        {"train: {optimizer: {rotation: {dampening: 0}}}", "rotation.dampening: expected no such"},
        {"adapter: {factors: best}", "adapter.factors: expected paper | balanced, found best"},
        {"adapter:\n  factors:\n    640: [8, 8, 10]\n    320: [8, 8, 8]",
         "run.yaml:4: adapter.factors: factors for width 320: expected three whole numbers whose "
         "product is 320, such as"},
        {"adapter: {factors: {640: [8, 80]}}",
         "adapter.factors: expected a width and its three factors, as 640: [8, 8, 10], found a "},
        {"adapter: {factors: {640: [8, 8, x]}}", "as 640: [8, 8, 10], found x"},
        {"adapter: {factors: {wide: [8, 8, 10]}}", "as 640: [8, 8, 10], found wide"},
        {"adapter: {factors: {6: [1, 2, 3], 6: [1, 1, 6]}}",
         "adapter.factors: expected every width once, found 6"},
        {"adapter: {factors: {0: [1, 1, 1]}}", "expected a width from 1 to 1048576, found 0"},
    };
    check_bad(rows, sizeof rows / sizeof *rows);
}

static void keys_that_do_not_fit_each_other_are_refused(void **state)
{
    (void)state;
    static const bad rows[] = {
        {"train:\n  batch: 3\n  global_batch: 4",
         "run.yaml:3: train.global_batch: expected a multiple of train.batch, which is 3, found 4"},
        {"train:\n  steps: 10\n  schedule:\n    warmup: 11",
         "run.yaml:4: train.schedule.warmup: expected at most train.steps, which is 10, found 11"},
        {"data: {prior: {weight: 1}}",
         "run.yaml:1: data.prior.weight: expected data.prior.path beside it, found nothing"},
    };
    check_bad(rows, sizeof rows / sizeof *rows);
}

static void unknown_keys_get_the_nearest_known_one(void **state)
{
    (void)state;
    static const bad rows[] = {
        {"train:\n  batch: 1\n  stpes: 5",
         "run.yaml:3: unknown key train.stpes, did you mean train.steps?"},
        {"modle: m", "run.yaml:1: unknown key modle, did you mean model?"},
        {"trian: {steps: 1}", "unknown key trian, did you mean train?"},
        {"steps: 5", "unknown key steps, did you mean train.steps?"},
        {"train: {lr: 1}", "unknown key train.lr, did you mean train.optimizer.rotation.lr?"},
        {"train: {optimiser: {}}", "unknown key train.optimiser, did you mean train.optimizer?"},
        {"train: {steps.x: 1}", "unknown key train.steps.x, did you mean train.steps?"},
        {"train: {\"a\\nb\": 1}", "unknown key train.a?b, did"},
        {"<<: {train: {steps: 1}}", "unknown key <<, did you mean"},
        {"train: &t {optimizer: *t}", "unknown key train.optimizer.optimizer, did you mean"},
        {"\"\": 1", "unknown key , did you mean"},
    };
    check_bad(rows, sizeof rows / sizeof *rows);
}

static void repeated_keys_are_refused(void **state)
{
    (void)state;
    static const bad rows[] = {
        {"model: a\noutput: b\nmodel: a",
         "run.yaml:3: model: expected the key once, found it on line 1 too"},
        {"train: {steps: 1}\ntrain: {batch: 1}", "run.yaml:2: train: expected the key once"},
        {"train: {batch: 1}\ntrain.batch: 1",
         "run.yaml:2: train.batch: expected the key once, found it on line 1 too"},
    };
    check_bad(rows, sizeof rows / sizeof *rows);
}

static void what_is_no_single_mapping_is_refused(void **state)
{
    (void)state;
    static const bad rows[] = {
        {"", "run.yaml:1: expected a mapping of keys, found nothing"},
        {"# a comment", "run.yaml:1: expected a mapping of keys, found nothing"},
        {"null", "run.yaml:1: expected a mapping of keys, found null"},
        {"\n- a", "run.yaml:2: expected a mapping of keys, found a list"},
        {"train", "run.yaml:1: expected a mapping of keys, found train"},
        {"train: [steps]", "run.yaml:1: train: expected a mapping of keys, found a list"},
        {"? [a]\n: b", "run.yaml:1: expected the name of a key, found a list"},
        {"model: a\n---\nmodel: b", "run.yaml:2: expected one YAML document, found a second"},
        {"model: a\n\ttrain: b", "run.yaml:2: not valid YAML: found a tab character that violates"},
        {"train:\n\tsteps: 1", "run.yaml:2: not valid YAML: "},
        {"model: [a\noutput: b", "run.yaml:2: not valid YAML: did not find expected ',' or ']' "
                                 "while parsing a flow sequence"},
        {"model: *m", "run.yaml:1: not valid YAML: found undefined alias"},
        {"model: !path a", "run.yaml:1: expected no tags, found !path"},
        {"model: a\ntrain: !!map {}", "run.yaml:2: expected no tags, found tag:yaml.org,2002:map"},
        {"model: a\noutput: \xff", "run.yaml:2: not valid YAML: invalid leading UTF-8 octet"},
        {"model: a\noutput: \xc3(", "run.yaml:2: not valid YAML: invalid trailing UTF-8 octet"},
        {"a: [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]",
         "run.yaml:1: expected at most 16 levels of nesting, found more"},
    };
    check_bad(rows, sizeof rows / sizeof *rows);
    run_config *c;
    CHECK_FAILS(run_config_parse("model: a\nb\0c", 12, "run.yaml", NULL, 0, &c), SODA_ERR_INPUT);
    check_message_has("run.yaml:2: not valid YAML: control characters are not allowed");
}

/* What could take all memory or time: long strings named many times, long lists, depth. */
static void sizes_are_bounded(void **state)
{
    (void)state;
    enum { MANY = 1 << 19 };
    static char text[2 * MANY + 64];
    run_config *c;

    int used = snprintf(text, sizeof text, "sample: {prompts: [");
    for (int i = 0; i < 1025; i++) used += snprintf(text + used, 8, "a, ");
    snprintf(text + used, 8, "]}");
    CHECK_FAILS(run_config_parse(text, strlen(text), "run.yaml", NULL, 0, &c), SODA_ERR_INPUT);
    check_message_has("run.yaml:1: sample.prompts: expected at most 1024 strings, found 1025");

    snprintf(text, sizeof text, "output: %04097d", 7);
    CHECK_FAILS(run_config_parse(text, strlen(text), "run.yaml", NULL, 0, &c), SODA_ERR_INPUT);
    check_message_has("run.yaml:1: output: expected at most 4096 bytes, found 4097");

    used = snprintf(text, sizeof text, "adapter: {factors: {");
    for (int i = 1; i <= 65; i++) used += snprintf(text + used, 32, "%d: [1, 1, %d], ", i, i);
    snprintf(text + used, 8, "}}");
    CHECK_FAILS(run_config_parse(text, strlen(text), "run.yaml", NULL, 0, &c), SODA_ERR_INPUT);
    check_message_has("adapter.factors: expected at most 64 widths, found 65");

    memset(text, '[', MANY);
    CHECK_FAILS(run_config_parse(text, MANY, "run.yaml", NULL, 0, &c), SODA_ERR_INPUT);
    check_message_has("expected at most 16 levels of nesting");
    for (int i = 0; i < MANY; i++) memcpy(text + 2 * i, "- ", 2);
    CHECK_FAILS(run_config_parse(text, 2 * MANY, "run.yaml", NULL, 0, &c), SODA_ERR_INPUT);
    check_message_has("expected at most 16 levels of nesting");
}

/* A value is cut between characters, and a key is too. */
static void long_values_are_cut_in_messages(void **state)
{
    (void)state;
    char text[1024];
    run_config *c;
    for (int odd = 0; odd < 2; odd++) {
        int used = snprintf(text, sizeof text, "train: {steps: %s", odd ? "x" : "");
        for (int i = 0; i < 200; i++) used += snprintf(text + used, 3, "\xc3\xa9");
        snprintf(text + used, 2, "}");
        CHECK_FAILS(run_config_parse(text, strlen(text), "run.yaml", NULL, 0, &c), SODA_ERR_INPUT);
        const char *message = status_message();
        assert_string_equal(message + strlen(message) - 5, "\xc3\xa9...");
    }

    snprintf(text, sizeof text, "train: {%0900d: 1}", 7);
    CHECK_FAILS(run_config_parse(text, strlen(text), "run.yaml", NULL, 0, &c), SODA_ERR_INPUT);
    assert_true(strlen(status_message()) < 300);
}

static void a_bad_set_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *set, *message;
        soda_status status;
    } rows[] = {
        {"train.steps=many", "--set train.steps: expected an integer in", SODA_ERR_INPUT},
        {"train.steps", "--set train.steps: expected KEY=VALUE, found no '='", SODA_ERR_USAGE},
        {"=5", "--set =5: expected KEY=VALUE, found no key", SODA_ERR_USAGE},
        {"train.stpes=5", "--set train.stpes: unknown key train.stpes, did you mean train.steps?",
         SODA_ERR_INPUT},
        {"train={stpes: 5}", "--set train: unknown key train.stpes, did you mean train.steps?",
         SODA_ERR_INPUT},
        {"train={steps: many}", "--set train: train.steps: expected an integer", SODA_ERR_INPUT},
        {"train=5", "--set train: expected a mapping of keys, found 5", SODA_ERR_INPUT},
        {"train.steps=[", "--set train.steps: not valid YAML: ", SODA_ERR_INPUT},
        {"train.steps=", "--set train.steps: expected an integer in [1, 1000000000], found nothing",
         SODA_ERR_INPUT},
        {"train.schedule.warmup=99",
         "--set train.schedule.warmup: expected at most train.steps, which is 5, found 99",
         SODA_ERR_INPUT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        run_config *c;
        CHECK_FAILS(run_config_parse("train: {steps: 5}", 17, "run.yaml", &rows[i].set, 1, &c),
                    rows[i].status);
        check_message_has(rows[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_keys_take_the_defaults_of_the_contract),
        cmocka_unit_test(optimizers_take_the_defaults_of_the_contract),
        cmocka_unit_test(every_key_reaches_its_field),
        cmocka_unit_test(the_text_of_a_configuration_parses_to_the_same),
        cmocka_unit_test(numbers_survive_the_text_bit_for_bit),
        cmocka_unit_test(numbers_are_written_for_readers_of_yaml_1_1),
        cmocka_unit_test(any_string_survives_the_text),
        cmocka_unit_test(text_that_yaml_cannot_say_is_refused),
        cmocka_unit_test(every_choice_is_its_enumerator),
        cmocka_unit_test(the_example_of_the_contract_is_read),
        cmocka_unit_test(a_renamed_key_keeps_its_meaning),
        cmocka_unit_test_setup_teardown(paths_of_the_file_start_at_its_folder, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_read_says_why, files_setup,
                                        files_teardown),
        cmocka_unit_test(sets_override_and_create),
        cmocka_unit_test(keys_of_other_methods_are_refused),
        cmocka_unit_test(a_section_that_is_set_replaces_the_one_of_the_file),
        cmocka_unit_test(a_word_or_null_stands_for_its_value),
        cmocka_unit_test(anchors_stand_for_what_they_name),
        cmocka_unit_test(values_of_the_wrong_kind_or_size_are_refused),
        cmocka_unit_test(optimizers_and_factors_are_refused_in_part),
        cmocka_unit_test(keys_that_do_not_fit_each_other_are_refused),
        cmocka_unit_test(unknown_keys_get_the_nearest_known_one),
        cmocka_unit_test(repeated_keys_are_refused),
        cmocka_unit_test(what_is_no_single_mapping_is_refused),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(long_values_are_cut_in_messages),
        cmocka_unit_test(a_bad_set_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
