/* The memory plan never lets two live values overlap, recomputation included.
 *
 * A pretend backend fills every output with one tag, a hash of operator and input tags, and checks
 * that its inputs still hold a single tag. If the plan reused memory too early, the tags at the
 * outputs differ from those computed by walking the graph. */
#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#include "exec/exec.h"
#include "exec/plan.h"
#include "exec/tags.h"

static soda_status pretend_prepare(soda_call *call, soda_weights *weights)
{
    (void)weights;
    call->scratch_bytes = tensor_bytes(&call->out[0]) / 2 + 4; /* odd sizes between the values */
    return SODA_OK;
}

static soda_backend pretend_backend(void)
{
    static const soda_kernel kernel = {pretend_prepare, tags_run, NULL};
    soda_backend backend = {.name = "pretend", .device = device_host()};
    for (int i = 0; i < OP_COUNT; i++) backend.kernel[i] = &kernel;
    return backend;
}

/* The tag that every value must carry, from the graph alone; free it. */
static uint32_t *expected_tags(const soda_graph *g)
{
    uint32_t *tags = calloc((size_t)graph_value_count(g), sizeof *tags);
    assert_non_null(tags);
    for (soda_id id = 0; id < graph_value_count(g); id++) { /* inputs come before what uses them */
        const soda_value *v = graph_value(g, id);
        if (v->view_of != NO_VALUE)
            tags[id] = tags[v->view_of];
        else if (v->kind != VALUE_NODE)
            tags[id] = 1000u + (uint32_t)id;
        if (v->view_of != NO_VALUE || v->kind != VALUE_NODE) continue;
        const soda_node *node = graph_node(g, v->node);
        uint32_t tag = 1;
        for (int i = 0; i < SODA_MAX_INPUTS; i++)
            if (node->in[i] != NO_VALUE) tag = mix(tag, tags[node->in[i]]);
        for (int i = 0; i < SODA_MAX_OUTPUTS; i++)
            if (node->out[i] == id) tags[id] = mix(tag, (uint32_t)i);
    }
    return tags;
}

/* A small network with skips, in-place candidates, views, params, and results of the prologue of
 * which the last of each block is read by other nodes. Its frozen weight lies in `frozen`. */
static soda_id build(soda_graph *g, int blocks)
{
    static uint32_t frozen[64];
    const soda_weight w = {.name = "w", .source = {SODA_F32, SHAPE(8, 8), frozen}};
    soda_id x = graph_input(g, "x", SODA_F32, SHAPE(2, 3, 5, 8));
    soda_id target = graph_input(g, "target", SODA_F32, SHAPE(2, 3, 5, 8));
    soda_id weight = graph_input(g, "weight", SODA_F32, SHAPE(2));
    soda_id skip[8], first = x;
    for (int i = 0; i < blocks; i++) {
        char name[3][32];
        soda_id factor[3];
        graph_next_segment(g);
        for (int k = 0; k < 3; k++) {
            snprintf(name[k], sizeof name[k], "b%d.R%d", i, k + 1);
            factor[k] = graph_param(g, name[k], SHAPE(2, 2));
        }
        soda_id h = graph_kron_rotate(g, x, factor, false);
        h = graph_activation(g, h, ACT_SILU);
        h = graph_scale(g, h, 2);
        const soda_id turned = graph_kron_rotate(g, graph_weight(g, &w), factor, true);
        h = graph_linear(g, h, graph_scale(g, graph_scale(g, turned, 2), 3), NO_VALUE);
        const soda_id tokens = graph_view(g, h, SHAPE(2, 15, 8));
        const soda_id o = graph_attention(g, tokens, tokens, tokens, 2, false);
        h = graph_add(g, graph_view(g, o, SHAPE(2, 3, 5, 8)), x);
        skip[i] = h;
        x = graph_add(g, h, i > 1 ? skip[i - 2] : first);
    }
    const soda_id loss = graph_mse_loss(g, x, target, weight);
    graph_output(g, loss, "loss");
    return loss;
}

/* Every second leaf and output lives outside the arena, each in 512 floats of `outside`. */
static exec_bindings bind_some(const soda_graph *g, void *outside, exec_binding *list)
{
    exec_bindings bound = {list, 0};
    int met = 0;
    for (soda_id v = 0; v < graph_value_count(g); v++) {
        const soda_value *value = graph_value(g, v);
        const bool leaf = value->kind == VALUE_INPUT || value->kind == VALUE_PARAM;
        if (value->view_of != NO_VALUE || !(leaf || value->output) || met++ % 2) continue;
        list[bound.count] = (exec_binding){v, (char *)outside + 2048 * (size_t)bound.count};
        bound.count++;
    }
    return bound;
}

static uint32_t all_outputs; /* a hash of their tags, of the last plan that was checked */

static size_t check_plan(const bool *recompute, bool rebuilds, int blocks)
{
    const soda_backend backend = pretend_backend();
    soda_graph *g;
    soda_exec *exec;
    soda_residency *residency;
    CHECK_OK(graph_create(SODA_F32, &g));
    if (rebuilds) graph_rebuild_weights(g);
    const soda_id loss = build(g, blocks);
    CHECK_OK(graph_differentiate(g, loss, recompute));
    CHECK_OK(resident_create(device_host(), &residency));
    exec_binding list[64];
    void *outside = aligned_alloc(64, sizeof list / sizeof *list * 2048);
    assert_non_null(outside);
    const exec_bindings bound = bind_some(g, outside, list);
    assert_in_range(bound.count, 10, 63);
    CHECK_OK(exec_plan(g, &backend, &bound, &exec));
    CHECK_OK(exec_commit(exec, residency));
    uint32_t data[512];
    for (soda_id v = 0; v < graph_value_count(g); v++) {
        const soda_value *value = graph_value(g, v);
        if (value->kind == VALUE_WEIGHT) fill_tag(&value->weight.source, 1000u + (uint32_t)v);
        if (value->view_of != NO_VALUE ||
            (value->kind != VALUE_INPUT && value->kind != VALUE_PARAM))
            continue;
        const soda_tensor t = {value->dtype, value->shape, data};
        fill_tag(&t, 1000u + (uint32_t)v);
        CHECK_OK(exec_write(exec, v, data, tensor_bytes(&t)));
    }
    uint32_t *tags = expected_tags(g);
    int outputs = 0;
    all_outputs = 1;
    for (int run = 0; run < 2; run++) { /* the second run meets what the first left behind */
        CHECK_OK(exec_run(exec));
        for (soda_id v = 0; v < graph_value_count(g); v++) {
            const soda_value *value = graph_value(g, v);
            if (!value->output) continue;
            const soda_tensor t = {value->dtype, value->shape, data};
            CHECK_OK(exec_read(exec, v, data, tensor_bytes(&t)));
            assert_int_equal(read_tag(&t), tags[v]);
            all_outputs = mix(all_outputs, tags[v]);
            outputs++;
        }
    }
    assert_int_equal(outputs, 2 * (1 + 3 * blocks));
    free(tags);
    const size_t bytes = exec_arena_bytes(exec);
    exec_destroy(exec);
    free(outside);
    residency_close(residency);
    graph_destroy(g);
    return bytes;
}

static void live_values_never_overlap(void **state)
{
    (void)state;
    const size_t kept = check_plan(NULL, false, 6);
    const uint32_t outputs = all_outputs;
    const bool all[7] = {true, true, true, true, true, true, true};
    const size_t recomputed = check_plan(all, false, 6);
    assert_true(recomputed < kept); /* otherwise recomputation would be of no use */
    const bool some[7] = {false, true, false, false, true, false, false};
    check_plan(some, false, 6);
    assert_int_equal(all_outputs, outputs);
    const bool *const ways[] = {NULL, all, some};
    for (int i = 0; i < 3; i++) { /* what is made of weights made again where it is read */
        const size_t rebuilt = check_plan(ways[i], true, 6);
        assert_int_equal(all_outputs, outputs);
        if (i == 0) assert_true(rebuilt < kept);
    }
}

/* Bytes of `layers` layers with a weight each of which something is made first, and their number of
 * nodes in the prologue. */
static size_t layers_bytes(int layers, bool rebuilds, int *prologue)
{
    soda_graph *g;
    soda_exec *exec;
    const soda_backend backend = pretend_backend();
    CHECK_OK(graph_create(SODA_F32, &g));
    if (rebuilds) graph_rebuild_weights(g);
    soda_id y = graph_input(g, "x", SODA_F32, SHAPE(1, 64));
    const soda_id scale = graph_param(g, "scale", SHAPE(64));
    const soda_id half = graph_scale(g, scale, 0.5f); /* of no weight: stays in the prologue */
    for (int i = 0; i < layers; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        const soda_weight w = {.name = name, .source = {SODA_F32, SHAPE(64, 64), NULL}};
        const soda_id weight = graph_weight(g, &w);
        y = graph_linear(g, y, graph_row_scale_add(g, weight, weight, half), NO_VALUE);
    }
    graph_output(g, y, "y");
    CHECK_OK(graph_status(g));
    CHECK_OK(exec_plan(g, &backend, NULL, &exec));
    const size_t bytes = exec_arena_bytes(exec);
    int steps;
    exec_order(exec, &steps, prologue);
    exec_destroy(exec);
    graph_destroy(g);
    return bytes;
}

static void rebuilt_weights_are_not_kept(void **state)
{
    (void)state;
    int prologue[2];
    const size_t matrix = 64 * 64 * sizeof(float);
    assert_true(layers_bytes(9, false, &prologue[0]) > 9 * matrix);
    const size_t rebuilt = layers_bytes(9, true, &prologue[1]);
    assert_true(rebuilt < 3 * matrix); /* one, and scratch of half of its size */
    assert_int_equal(rebuilt, layers_bytes(3, true, &prologue[1]));
    assert_int_equal(prologue[0], 10);
    assert_int_equal(prologue[1], 1);
}

/* Bytes of a chain of `length` nodes on weights alone, whose end an input is multiplied with. */
static size_t chain_bytes(int length, size_t alignment)
{
    const soda_weight w = {.name = "w", .source = {SODA_F32, SHAPE(512, 63), NULL}};
    soda_graph *g;
    soda_plan plan;
    CHECK_OK(graph_create(SODA_F32, &g));
    soda_id end = graph_weight(g, &w);
    for (int i = 0; i < length; i++) end = graph_activation(g, end, ACT_SILU);
    const soda_id x = graph_input(g, "x", SODA_F32, SHAPE(1, 63));
    graph_output(g, graph_linear(g, x, end, NO_VALUE), "y");
    size_t *scratch_bytes = calloc((size_t)graph_node_count(g), sizeof *scratch_bytes);
    CHECK_OK(plan_create(g, alignment, &plan));
    CHECK_OK(plan_memory(g, scratch_bytes, &plan));
    const size_t bytes = plan.bytes;
    for (soda_id v = 0; v < graph_value_count(g); v++)
        assert_true(plan.offset[v] == SIZE_MAX || plan.offset[v] % alignment == 0);
    plan_destroy(&plan);
    free(scratch_bytes);
    graph_destroy(g);
    return bytes;
}

static void only_the_end_of_a_prologue_stays(void **state)
{
    (void)state;
    assert_int_equal(chain_bytes(9, 64), chain_bytes(3, 64)); /* two at a time, and what stays */
    assert_int_equal(chain_bytes(9, 256), chain_bytes(3, 256));
}

static void dumps_name_every_operator(void **state)
{
    (void)state;
    soda_graph *g;
    CHECK_OK(graph_create(SODA_F32, &g));
    build(g, 1);
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    CHECK_OK(graph_dump_text(g, file));
    CHECK_OK(graph_dump_dot(g, file));
    fclose(file);
    assert_non_null(strstr(text, "= attention(%"));
    assert_non_null(strstr(text, " = mse_loss("));
    assert_non_null(strstr(text, "loss fp32[1], "));
    assert_non_null(strstr(text, "digraph soda {"));
    free(text);
    graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_values_never_overlap),
        cmocka_unit_test(rebuilt_weights_are_not_kept),
        cmocka_unit_test(only_the_end_of_a_prologue_stays),
        cmocka_unit_test(dumps_name_every_operator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
