/* What is wrong in a configuration is refused by line and key, with what was expected. */
#include "run_config_case.h"

#include <stdio.h>
#include <stdlib.h>

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
         "adapter.factors: expected no such key, since adapter.method is svdiff, found paper"},
        {"adapter:\n  method: rotation\n  delta_init: 0",
         "run.yaml:3: adapter.delta_init: expected no such key, since adapter.method is rotation"},
        {"adapter: {method: svdiff}\ntrain: {optimizer: {rotation: {lr: 1}}}",
         "train.optimizer.rotation.lr: expected no such key, since adapter.method is svdiff"},
        {"adapter: {method: rotation}\ntrain: {optimizer: {spectrum: {lr: 1}}}",
         "train.optimizer.spectrum.lr: expected no such key, since adapter.method is rotation"},
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
        {"data: {flip: maybe}", "run.yaml:1: data.flip: expected true or false, found maybe"},
        {"data: {flip: tRUE}", "expected true or false, found tRUE"},
        {"data: {flip: 1}", "expected true or false, found 1"},
        {"data: {flip: 'true'}", "expected true or false, found \"true\""},
        {"data: {crop: left}", "data.crop: expected center | random, found left"},
        {"data: {prior: images}", "data.prior: expected a mapping of keys, found images"},
        {"data: {path: [a]}", "data.path: expected a string, found a list"},
        {"data: {path: ''}", "data.path: expected a path, found \"\""},
        {"output: \"a\\0b\"", "output: expected a string, found \"a?b\""},
        {"parallel: {weights: some}",
         "parallel.weights: expected replicate | node | shard, found some"},
        {"parallel: {shard: 0}", "parallel.shard: expected an integer in [1, 65536], found 0"},
        {"parallel: {weights: shard, ring: 0}",
         "parallel.ring: expected a number in (0, 1e6] or auto, found 0"},
        {"sample: {prompts: one}", "sample.prompts: expected a list of strings, found one"},
        {"sample:\n  prompts:\n  - a\n  - [b]",
         "run.yaml:4: sample.prompts[1]: expected a string, found a list"},
        {"sample: {prompts: [null]}", "sample.prompts[0]: expected a string, found null"},
        {"sample: {prompts: &a [*a]}", "sample.prompts[0]: expected a string, found a list"},
        {"adapter: {targets: []}", "run.yaml:1: adapter.targets: expected attn or regular"},
        {"adapter:\n  targets: ['(']", "run.yaml:2: adapter.targets: \"(\": expected attn or a"},
        {"adapter: {method: lora}", "adapter.method: expected soda_svd | soda_lq | "},
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
         "run.yaml:2: train.optimizer.rotation.betas: expected no such key, since "
         "train.optimizer.rotation.type is sgd"},
        {"train: {optimizer: {rotation: {type: sgd, eps: 1e-5}}}",
         "rotation.eps: expected no such"},
        {"train: {optimizer: {rotation: {momentum: 0.9}}}",
         "rotation.momentum: expected no such key, since train.optimizer.rotation.type is adam"},
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
        {"data: {prior: {weight: 1}}", "run.yaml:1: data.prior.weight: expected data.prior.path to "
                                       "be set as well, found nothing"},
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
        {"train: {learning_rate: 1}", "did you mean train.optimizer.rotation.lr?"},
        {"mixed_precision: fp16", "unknown key mixed_precision, did you mean train.dtype?"},
        {"steps: 5", "unknown key steps, did you mean train.steps?"},
        {"train: {lr: 1}", "unknown key train.lr, did you mean train.optimizer.rotation.lr?"},
        {"train: {optimiser: {}}", "unknown key train.optimiser, did you mean train.optimizer?"},
        {"train: {steps.x: 1}", "unknown key train.steps.x, did you mean train.steps?"},
        {"train: {\"a\\nb\": 1}", "unknown key train.a?b, did"},
        {"<<: {train: {steps: 1}}", "run.yaml:1: merge keys (<<) are not read"},
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
        {"train:\n\tsteps: 1", ": a tab; YAML is indented with spaces"},
        {"train:\n  optimizer: {rotation: &r {lr: 1}, spectrum: {<<: *r}}",
         "merge keys (<<) are not read"},
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
        cmocka_unit_test(keys_of_other_methods_are_refused),
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
