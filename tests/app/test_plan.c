/* soda plan: what it prints adds up, agrees with what bench and train say, and bad input is refused
 * with one message. */
#include "support/check.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/residency.h"
#include "support/files.h"
#include "support/program.h"

#define MODEL SODA_SOURCE_DIR "/configs/quickstart/model"
#define RUN SODA_SOURCE_DIR "/configs/quickstart/train.yaml"
enum { STEPS = 200 }; /* of that run */

static json_t *plan(const char *folder, const char *options)
{
    json_error_t error;
    const int code = program_run(folder, "soda plan %s --json%s", options,
                                 strstr(options, "--device") ? "" : " --flops 100");
    program_expect(code, 0, "\"recommended\"");
    json_t *json = json_loads(strchr(program_output, '{'), JSON_REJECT_DUPLICATES, &error);
    if (!json) fail_msg("line %d: %s in\n%s", error.line, error.text, program_output);
    return json;
}

static json_t *at(json_t *json, const char *key)
{
    json_t *found = json_object_get(json, key);
    if (!found) fail_msg("%s is missing", key);
    return found;
}

static json_t *policy(json_t *json, const char *name)
{
    size_t i;
    json_t *p, *list = at(json, "policies");
    json_array_foreach(list, i,
                       p) if (strcmp(json_string_value(at(p, "name")), name) == 0) return p;
    fail_msg("%s is not among the policies", name);
    return NULL;
}

static int64_t bytes_of(json_t *row, const char *kind)
{
    return json_integer_value(at(at(row, "memory"), kind));
}

/* The number behind `words` in the program's output. */
static double number_after(const char *words)
{
    const char *found = strstr(program_output, words);
    if (!found) fail_msg("no \"%s\" in\n%s", words, program_output);
    return strtod(found + strlen(words), NULL);
}

static void check_sums(json_t *json)
{
    static const char *const kinds[] = {"weights",   "ring", "prologue", "activations", "adapters",
                                        "reduction", "data", "pictures", "files",       "program"};
    size_t i;
    json_t *p, *list = at(json, "policies");
    const int64_t per_node = json_integer_value(at(json, "ranks_per_node"));
    json_array_foreach(list, i, p)
    {
        int64_t sum = 0;
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) sum += bytes_of(p, kinds[k]);
        assert_int_equal(sum, bytes_of(p, "total"));
        assert_int_equal(json_object_size(at(p, "memory")), sizeof kinds / sizeof *kinds + 1);
        const int64_t files = bytes_of(p, "files"); /* of one rank */
        assert_int_equal(json_integer_value(at(p, "node_bytes")), per_node * (sum - files) + files);
        json_t *step = at(p, "step");
        const double seconds =
            json_real_value(at(step, "compute_s")) + json_real_value(at(step, "wait_s")) +
            json_real_value(at(step, "reduce_s")) + json_real_value(at(step, "update_s"));
        const double rest = json_real_value(at(step, "step_s")) - seconds;
        assert_true(rest > -1e-9 && rest < 1e-9);
        assert_true(json_real_value(at(step, "run_s")) > json_real_value(at(step, "start_s")));
    }
    assert_int_equal(json_array_size(at(json, "weak_scaling")), 13);
}

static void a_run_is_planned(void **state)
{
    json_t *json = plan(*state, RUN " --ranks 4 --per-node 2");
    check_sums(json);
    json_t *replicate = policy(json, "replicate"), *node = policy(json, "node");
    const int64_t whole = bytes_of(replicate, "weights"), half = bytes_of(node, "weights");
    assert_int_equal(whole / 2, half);
    json_t *times = at(replicate, "step");
    const double steps =
        (json_real_value(at(times, "run_s")) - json_real_value(at(times, "start_s"))) /
        json_real_value(at(times, "step_s"));
    assert_in_range(llround(1000 * steps), 1000 * STEPS - 1, 1000 * STEPS + 1);
    /* 8 pictures in micro-batches of 2 on 4 ranks */
    assert_int_equal(json_integer_value(at(at(node, "step"), "micro_batches")), 1);
    json_t *parameters = at(json, "parameters");
    assert_int_equal(json_integer_value(at(parameters, "layers")), 56);
    assert_int_equal(json_integer_value(at(parameters, "trained")), 11008);
    assert_string_equal(json_string_value(at(at(at(json, "figures"), "flop_per_s"), "source")),
                        "given");
    assert_string_equal(json_string_value(at(at(at(json, "figures"), "net_latency_s"), "source")),
                        "assumed");
    assert_string_equal(json_string_value(at(json, "recommended")), "replicate");
    json_decref(json);
}

static void an_architecture_is_planned(void **state)
{
    json_t *json = plan(*state, "--arch sd15 --isa base --ranks 2 --net-bandwidth 0.1");
    check_sums(json);
    json_t *parameters = at(json, "parameters");
    assert_int_equal(json_integer_value(at(parameters, "frozen")), 859520964);
    assert_int_equal(json_integer_value(at(parameters, "trained")), 149080);
    assert_string_equal(json_string_value(at(json, "isa")), "base");
    json_t *replicate = policy(json, "replicate"), *shard = policy(json, "shard");
    const double reduced = json_real_value(at(at(replicate, "step"), "reduce_bytes"));
    assert_true(reduced > 149080 * 32 && reduced < 1.01 * 149080 * 32);
    /* U, Vh and what is not adapted, without the adapted weights: about 3.6 GiB, of which 1/2 */
    assert_true(bytes_of(shard, "weights") < 0.51 * (double)bytes_of(replicate, "weights"));
    assert_int_equal(bytes_of(shard, "ring"), SHARDED_RING_MIB << 20);
    assert_true(json_real_value(at(at(shard, "step"), "gather_bytes")) > 1e9);
    json_decref(json);
}

static void ranks_of_a_node_gather_nothing_but_on_devices(void **state)
{
    static const struct {
        const char *options;
        bool gathers;
    } cases[] = {{RUN " --ranks 4 --per-node 4 --set parallel.shard=2", false},
                 {RUN " --ranks 4 --per-node 2 --set parallel.shard=2", false},
                 {RUN " --ranks 6 --per-node 3 --set parallel.shard=2 --net-bandwidth 0.01", true},
                 {RUN " --ranks 2 --per-node 2 --device h100", true}};
    for (int i = 0; i < 4; i++) {
        json_t *json = plan(*state, cases[i].options), *shard = policy(json, "shard");
        check_sums(json);
        assert_true(bytes_of(shard, "weights") <
                    0.51 * (double)bytes_of(policy(json, "replicate"), "weights"));
        assert_int_equal(bytes_of(shard, "ring") > 0, cases[i].gathers);
        assert_int_equal(json_real_value(at(at(shard, "step"), "gather_s")) > 0, cases[i].gathers);
        if (i == 2) assert_true(json_real_value(at(at(shard, "step"), "wait_s")) > 1);
        json_decref(json);
    }
}

static void less_memory_asks_for_another_policy(void **state)
{
    char options[256];
    json_t *json = plan(*state, RUN " --ranks 2 --per-node 2 --set train.recompute=none");
    const int64_t all = json_integer_value(at(policy(json, "replicate"), "node_bytes"));
    const int64_t one = json_integer_value(at(policy(json, "node"), "node_bytes"));
    json_decref(json);
    snprintf(options, sizeof options,
             RUN " --ranks 2 --per-node 2 --set train.recompute=none --node-memory %.6f",
             (double)(all + one) / 2 / 0.9 / 0x1p30);
    json = plan(*state, options);
    assert_false(json_is_true(at(policy(json, "replicate"), "fits")));
    assert_string_equal(json_string_value(at(json, "recommended")), "node");
    json_decref(json);
    json = plan(*state, RUN " --set train.recompute=none --node-memory 0.02");
    assert_true(json_is_null(at(json, "recommended")));
    json_decref(json);
}

/* The same numbers as the verbs that make these networks. */
static void it_agrees_with_bench(void **state)
{
    json_t *json = plan(*state, "--arch " MODEL);
    const int64_t weights = bytes_of(policy(json, "replicate"), "weights");
    assert_int_equal(json_integer_value(at(json, "latent_h")), 16);
    json_decref(json);
    program_expect(program_run(*state, "soda bench --arch " MODEL
                                       " --method soda_svd --latent 16 --repeat 1 --json"),
                   0, "weight_bytes");
    assert_true(number_after("\"weight_bytes\": ") == (double)weights);
}

static void it_agrees_with_train(void **state)
{
    static const char sets[] = "--set validation.pictures=0 --set output=o";
    char options[256];
    snprintf(options, sizeof options, RUN " %s", sets);
    json_t *json = plan(*state, options);
    json_t *row = policy(json, "replicate");
    const double weights = (double)bytes_of(row, "weights") / 0x1p20;
    const double activations =
        (double)(bytes_of(row, "activations") + bytes_of(row, "prologue")) / 0x1p20;
    json_decref(json);
    program_expect(
        program_run(*state, "SODA_CACHE=c soda train " RUN " --set train.steps=1 %s", sets), 0,
        "memory of each rank");
    const double trained = number_after("weights "), arena = number_after("activations ");
    assert_true(trained - weights < 0.51 && weights - trained < 0.51); /* whole MiB */
    assert_true(arena - activations < 0.51 && activations - arena < 0.51);
}

static void tables_say_where_figures_are_from(void **state)
{
    program_expect(program_run(*state, "soda plan " RUN " --ranks 2 --measure 0.1"), 0,
                   "seconds: measured here");
    program_expect(0, 0, "latency between nodes                    50 us (assumed)");
    program_expect(0, 0, "planned for CPUs with");
    program_expect(0, 0, "recommended: parallel.weights: replicate");
    program_expect(program_run(*state, "soda plan " RUN " --flops 50 --net-latency 3"), 0,
                   "3 us (given)");
}

/* The time of one micro-batch is that of its operators, and lies between all flops at the best rate
 * and a few times that. */
static void a_step_on_a_gpu_is_predicted(void **state)
{
    json_error_t error;
    const int code = program_run(*state, "soda plan --arch sd15 --json --device h100 --measure "
                                         "0.01 --set train.dtype=bf16");
    program_expect(code, 0, "\"recommended\"");
    json_t *json = json_loads(strchr(program_output, '{'), JSON_REJECT_DUPLICATES, &error);
    assert_non_null(json);
    check_sums(json);
    assert_string_equal(json_string_value(at(json, "device")), "h100");
    assert_string_equal(json_string_value(at(at(at(json, "figures"), "flop_per_s"), "source")),
                        "predicted");
    json_t *row = policy(json, "replicate"), *step = at(row, "step"), *class;
    const double best = json_real_value(at(step, "flop")) / 450e12;
    const double compute = json_real_value(at(step, "compute_s"));
    assert_true(compute > best && compute < 4 * best);
    double sum = 0;
    const char *name;
    json_object_foreach(at(at(json, "micro_batch"), "forward"), name, class) sum +=
        json_real_value(at(class, "seconds"));
    json_object_foreach(at(at(json, "micro_batch"), "backward"), name, class) sum +=
        json_real_value(at(class, "seconds"));
    assert_true(fabs(sum - compute) < 1e-9);
    /* 90 % of 80 GiB */
    assert_true(fabs((double)json_integer_value(at(row, "node_room_bytes")) - 72 * 0x1p30) < 8);
    json_decref(json);
    program_expect(program_run(*state, "soda plan " RUN " --device a100 --measure 0.01"), 0,
                   "predicted for one A100 80GB SXM per rank (--device), never measured on one");
}

/* Six pictures and their mirror images, and 19 held-out ones. */
static void what_the_first_start_encodes_is_counted(void **state)
{
    program_expect(program_run(*state, "soda plan " RUN " --measure 0.01 --set data.flip=true"), 0,
                   "the first start also encodes 31 pictures");
}

static void bad_input_is_refused(void **state)
{
    program_expect(program_run(*state, "soda plan"), 2, "expected RUN.yaml or --arch");
    program_expect(program_run(*state, "soda plan " RUN " --arch sd15"), 2, "found both");
    program_expect(program_run(*state, "soda plan " RUN " --ranks 0"), 2,
                   "--ranks: expected an integer from 1");
    program_expect(program_run(*state, "soda plan " RUN " --ranks 6 --per-node 4"), 2,
                   "--per-node: expected a divisor of the 6 ranks, found 4");
    program_expect(program_run(*state, "soda plan --arch sd16"), 2,
                   "--arch: expected sd15, sd21, sdxl or a model folder, found 'sd16'");
    program_expect(program_run(*state, "soda plan --arch sd15 --set adapter.text_encoder=true"), 2,
                   "has no text encoders");
    program_expect(program_run(*state, "soda plan " RUN " --device v100"), 2,
                   "--device: expected one of a100 h100 h200, found v100");
    program_expect(program_run(*state, "soda plan " RUN " --device a100 --flops 5"), 2,
                   "expected --device or --flops, found both");
    program_expect(program_run(*state, "soda plan none.yaml"), 1, "none.yaml");
    /* What a run on these ranks would refuse. */
    program_expect(program_run(*state, "soda plan " RUN " --ranks 4 --set parallel.weights=shard "
                                       "--set parallel.shard=3"),
                   1, "parallel.shard: expected a divisor of the number of ranks, 4, found 3");
    program_expect(program_run(*state, "soda plan " RUN " --ranks 2 --set parallel.weights=shard "
                                       "--set parallel.shard=2 --set parallel.ring=0.001"),
                   1, "MiB, which one operator of this model needs, found 0.001");
}

static void missing_weights_are_named(void **state)
{
    program_expect(program_run(*state, "cp -r " MODEL " m && rm -f m/unet/*.safetensors && "
                                       "soda plan " RUN " --set model=m"),
                   1, "m/unet: expected diffusion_pytorch_model.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_is_planned, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(an_architecture_is_planned, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(ranks_of_a_node_gather_nothing_but_on_devices, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(less_memory_asks_for_another_policy, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(it_agrees_with_bench, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(it_agrees_with_train, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(tables_say_where_figures_are_from, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_step_on_a_gpu_is_predicted, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(what_the_first_start_encodes_is_counted, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(bad_input_is_refused, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(missing_weights_are_named, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
