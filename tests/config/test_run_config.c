/* A configuration's keys reach their fields: defaults, files, --set, anchors. */
#include "run_config_case.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/files.h"

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
    assert_true(c->parallel.timeout_s == 600 && c->parallel.ring_mib == 0);
    assert_int_equal(c->parallel.check_every, 100);
    assert_int_equal(c->checkpoint.every, 100);
    assert_true(c->checkpoint.every_minutes == 0 && c->checkpoint.async);
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

static void truth_is_written_as_any_yaml_has_it(void **state)
{
    (void)state;
    static const char *const words[][2] = {
        {"true", "false"}, {"True", "False"}, {"TRUE", "FALSE"}, {"yes", "no"}, {"Yes", "No"},
        {"YES", "NO"},     {"on", "off"},     {"On", "Off"},     {"ON", "OFF"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char text[80];
        snprintf(text, sizeof text, "data: {flip: %s, buckets: %s}", words[i][0], words[i][1]);
        run_config *c = parse(text, NULL);
        assert_true(c->data.flip && !c->data.buckets);
        run_config_destroy(c);
    }
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
    "parallel: {weights: node, shard: 2, ring: 1.5, timeout: 40, check_every: 2, reduction: fast}\n"
    "checkpoint: {every: 7, every_minutes: 1.5, keep: 1, async: false, retry: 9, time_limit: "
    "3600}\n"
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
    assert_int_equal(c->parallel.weights, WEIGHTS_NODE);
    assert_int_equal(c->parallel.shard, 2);
    assert_true(c->parallel.ring_mib == 1.5 && c->parallel.timeout_s == 40);
    assert_int_equal(c->parallel.check_every, 2);
    assert_int_equal(c->parallel.reduction, REDUCE_FAST);
    assert_int_equal(c->checkpoint.every, 7);
    assert_true(c->checkpoint.every_minutes == 1.5 && c->checkpoint.retry_s == 9);
    assert_false(c->checkpoint.async);
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
    run_config *c = parse("checkpoint: {time_limit: none, every_minutes: null}\n"
                          "parallel: {timeout: null}\n"
                          "train: {clip: 0, memory_limit: auto, min_snr_gamma: ~, steps: +5.0}\n"
                          "data: {prior: null, path: }",
                          NULL);
    assert_true(c->checkpoint.time_limit_s == 0 && c->checkpoint.every_minutes == 0);
    assert_true(c->parallel.timeout_s == 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_keys_take_the_defaults_of_the_contract),
        cmocka_unit_test(truth_is_written_as_any_yaml_has_it),
        cmocka_unit_test(optimizers_take_the_defaults_of_the_contract),
        cmocka_unit_test(every_key_reaches_its_field),
        cmocka_unit_test(the_text_of_a_configuration_parses_to_the_same),
        cmocka_unit_test(every_choice_is_its_enumerator),
        cmocka_unit_test(a_renamed_key_keeps_its_meaning),
        cmocka_unit_test_setup_teardown(paths_of_the_file_start_at_its_folder, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_read_says_why, files_setup,
                                        files_teardown),
        cmocka_unit_test(sets_override_and_create),
        cmocka_unit_test(a_section_that_is_set_replaces_the_one_of_the_file),
        cmocka_unit_test(a_word_or_null_stands_for_its_value),
        cmocka_unit_test(anchors_stand_for_what_they_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
