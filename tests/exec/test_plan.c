/* The memory plan never lets two live values overlap, recomputation included.
 *
 * A pretend backend fills every output with one tag, a hash of operator and input tags, and checks
 * that its inputs still hold a single tag. If the plan reused memory too early, the tags at the
 * outputs differ from those computed by walking the graph. */
#include "support/check.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "exec/exec.h"
#include "exec/plan.h"

static uint32_t mix(uint32_t a, uint32_t b)
{
    return (a ^ b) * 0x9e3779b1u + (a << 7) + 0x7f4a7c15u;
}

static uint32_t read_tag(const soda_tensor *t)
{
    const uint32_t *word = t->data;
    const int64_t n = (int64_t)tensor_bytes(t) / 4;
    for (int64_t i = 1; i < n; i++) assert_int_equal(word[i], word[0]);
    return word[0];
}

static void fill_tag(const soda_tensor *t, uint32_t tag)
{
    uint32_t *word = t->data;
    for (int64_t i = 0; i < (int64_t)tensor_bytes(t) / 4; i++) word[i] = tag;
}

static soda_status pretend_prepare(soda_call *call, soda_weights *weights)
{
    (void)weights;
    call->scratch_bytes = tensor_bytes(&call->out[0]) / 2 + 4; /* odd sizes between the values */
    return SODA_OK;
}

static soda_status pretend_run(const soda_call *call)
{
    uint32_t tag = 1;
    for (int i = 0; i < call->inputs; i++)
        if (call->in[i].data) tag = mix(tag, read_tag(&call->in[i]));
    memset(call->scratch, 0xab, call->scratch_bytes);
    for (int i = 0; i < call->outputs; i++) fill_tag(&call->out[i], mix(tag, (uint32_t)i));
    return SODA_OK;
}

static soda_backend pretend_backend(void)
{
    static const soda_kernel kernel = {pretend_prepare, pretend_run, NULL};
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

static size_t check_plan(const bool *recompute, int blocks)
{
    const soda_backend backend = pretend_backend();
    soda_graph *g;
    soda_exec *exec;
    soda_residency *residency;
    CHECK_OK(graph_create(SODA_F32, &g));
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
    for (int run = 0; run < 2; run++) { /* the second run meets what the first left behind */
        CHECK_OK(exec_run(exec));
        for (soda_id v = 0; v < graph_value_count(g); v++) {
            const soda_value *value = graph_value(g, v);
            if (!value->output) continue;
            const soda_tensor t = {value->dtype, value->shape, data};
            CHECK_OK(exec_read(exec, v, data, tensor_bytes(&t)));
            assert_int_equal(read_tag(&t), tags[v]);
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
    const size_t kept = check_plan(NULL, 6);
    const bool all[7] = {true, true, true, true, true, true, true};
    const size_t recomputed = check_plan(all, 6);
    assert_true(recomputed < kept); /* otherwise recomputation would be of no use */
    const bool some[7] = {false, true, false, false, true, false, false};
    check_plan(some, 6);
}

/* Bytes of a chain of `length` nodes on weights alone, whose end an input is multiplied with. */
static size_t chain_bytes(int length)
{
    const soda_weight w = {.name = "w", .source = {SODA_F32, SHAPE(512, 64), NULL}};
    soda_graph *g;
    soda_plan plan;
    CHECK_OK(graph_create(SODA_F32, &g));
    soda_id end = graph_weight(g, &w);
    for (int i = 0; i < length; i++) end = graph_activation(g, end, ACT_SILU);
    const soda_id x = graph_input(g, "x", SODA_F32, SHAPE(1, 64));
    graph_output(g, graph_linear(g, x, end, NO_VALUE), "y");
    size_t *scratch_bytes = calloc((size_t)graph_node_count(g), sizeof *scratch_bytes);
    CHECK_OK(plan_create(g, &plan));
    CHECK_OK(plan_memory(g, scratch_bytes, &plan));
    const size_t bytes = plan.bytes;
    plan_destroy(&plan);
    free(scratch_bytes);
    graph_destroy(g);
    return bytes;
}

/* A store whose forms are there during their visits only, as where memory does not hold them all;
 * prologue and other visits may alternate between runs, but not within one. */
typedef struct {
    soda_residency base;
    uint32_t *memory[64];
    int open, needs, starts;
} passing;

static soda_status fill_tags(const soda_weight *weight, const void *recipe, void *form)
{
    (void)recipe;
    memcpy(form, weight->source.data, tensor_bytes(&weight->source));
    return SODA_OK;
}

static soda_status fill_passing(soda_residency *base, soda_weights *weights)
{
    passing *p = (passing *)base;
    assert_in_range(weights->entry_count, 1, 64);
    for (int i = 0; i < weights->entry_count; i++)
        p->memory[i] = calloc(1, weights->entries[i].form.bytes);
    return SODA_OK;
}

static void *address_passing(const soda_residency *base, const soda_weights *weights, int use)
{
    return ((const passing *)base)->memory[weights->uses[use].entry];
}

static void start_passing(soda_residency *base, const soda_weights *w, int visit)
{
    passing *p = (passing *)base;
    assert_in_range(visit, 0, w->visit_count - 1);
    assert_int_equal(p->open, -1);
    p->starts++;
}

static soda_status need_passing(soda_residency *base, const soda_weights *w, int visit)
{
    passing *p = (passing *)base;
    const weights_visit *v = &w->visits[visit];
    assert_int_equal(p->open, -1);
    p->open = visit;
    p->needs++;
    for (int u = v->first_use; u < v->first_use + v->uses; u++) {
        const weights_entry *e = &w->entries[w->uses[u].entry];
        CHECK_OK(e->form.fill(&e->weight, e->form.recipe, p->memory[w->uses[u].entry]));
    }
    return SODA_OK;
}

static void done_passing(soda_residency *base, const soda_weights *w, int visit)
{
    passing *p = (passing *)base;
    assert_int_equal(p->open, visit);
    p->open = -1;
    for (int i = 0; i < w->entry_count; i++) memset(p->memory[i], 0xee, w->entries[i].form.bytes);
}

static soda_status wanting_prepare(soda_call *call, soda_weights *weights)
{
    for (int i = 0; i < call->inputs; i++)
        if (call->weight[i])
            TRY(call_form(call, weights, i,
                          &(weights_form){
                              .form = 1, .bytes = tensor_bytes(&call->in[i]), .fill = fill_tags}));
    return SODA_OK;
}

static int left = INT_MAX; /* runs of nodes until one fails */

static soda_status wanting_run(const soda_call *call)
{
    soda_call read = *call;
    if (left-- == 0) return FAIL(SODA_ERR_NUMERIC, "no more");
    for (int i = 0; i < call->inputs; i++)
        if (call->weight[i]) read.in[i].data = call->form[i];
    return pretend_run(&read);
}

/* Two runs were done. Whoever walks or fails asks for all visits too: other ranks do. */
static void check_walks(soda_exec *exec, passing *p)
{
    assert_int_equal(exec_runs(exec), 2);
    exec_params_changed(exec);
    left = 1;                     /* the prologue has one node */
    CHECK_OK(exec_walk(exec, 4)); /* with the prologue, and without */
    assert_int_equal(left, 0);
    assert_int_equal(p->needs, 5 + 3 + 2);
    assert_int_equal(exec_runs(exec), 4);
    CHECK_OK(exec_walk(exec, 4));
    assert_int_equal(p->needs, 10);
    left = 1;
    CHECK_FAILS(exec_run(exec), SODA_ERR_NUMERIC);
    assert_int_equal(left, -1);
    assert_int_equal(p->needs, 12);
    assert_int_equal(p->open, -1);
    assert_int_equal(p->starts, 5);
    left = INT_MAX;
}

/* Three weights of 20 MiB: one in the prologue, two after it. */
static void forms_are_there_during_their_visits(void **state)
{
    (void)state;
    static const soda_kernel kernel = {wanting_prepare, wanting_run, NULL};
    enum { SIDE = 2290 };
    soda_backend backend = pretend_backend();
    for (int i = 0; i < OP_COUNT; i++) backend.kernel[i] = &kernel;
    passing p = {.base = {.fill = fill_passing,
                          .address = address_passing,
                          .start = start_passing,
                          .need = need_passing,
                          .done = done_passing},
                 .open = -1};
    soda_graph *g;
    soda_exec *exec;
    soda_id w[3];
    CHECK_OK(graph_create(SODA_F32, &g));
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"w0", "w1", "w2"};
        soda_weight weight = {.name = names[i], .source = {SODA_F32, SHAPE(SIDE, SIDE), NULL}};
        weight.source.data = malloc(tensor_bytes(&weight.source));
        fill_tag(&weight.source, 1000u + (uint32_t)i);
        w[i] = graph_weight(g, &weight);
    }
    soda_id x = graph_input(g, "x", SODA_F32, SHAPE(1, SIDE));
    const soda_id turned = graph_scale(g, w[1], 2);
    x = graph_linear(g, x, w[0], NO_VALUE);
    x = graph_linear(g, x, turned, NO_VALUE);
    x = graph_linear(g, graph_linear(g, x, w[2], NO_VALUE), w[2], NO_VALUE);
    graph_output(g, x, "y");
    CHECK_OK(exec_plan(g, &backend, NULL, &exec));
    CHECK_OK(exec_commit(exec, &p.base));
    static uint32_t data[SIDE], first[SIDE], again[SIDE];
    for (int i = 0; i < SIDE; i++) data[i] = 7;
    CHECK_OK(exec_write(exec, graph_find(g, "x"), data, sizeof data));
    CHECK_OK(exec_run(exec));
    CHECK_OK(exec_read(exec, graph_find(g, "y"), first, sizeof first));
    assert_int_equal(p.needs, 3);
    CHECK_OK(exec_run(exec)); /* without the prologue, whose weight is not asked for */
    CHECK_OK(exec_read(exec, graph_find(g, "y"), again, sizeof again));
    assert_int_equal(p.needs, 5);
    assert_int_equal(p.open, -1);
    assert_memory_equal(first, again, sizeof first);
    uint32_t want = mix(mix(mix(1, 7), 1000), 0);
    want = mix(mix(mix(1, want), mix(mix(1, 1001), 0)), 0);
    for (int i = 0; i < 2; i++) want = mix(mix(mix(1, want), 1002), 0);
    assert_int_equal(first[0], want);
    check_walks(exec, &p);
    exec_destroy(exec);
    for (int i = 0; i < 3; i++) {
        free(graph_value(g, w[i])->weight.source.data);
        free(p.memory[i]);
    }
    graph_destroy(g);
}

static void only_the_end_of_a_prologue_stays(void **state)
{
    (void)state;
    assert_int_equal(chain_bytes(9), chain_bytes(3)); /* two at a time, and the one that stays */
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
        cmocka_unit_test(forms_are_there_during_their_visits),
        cmocka_unit_test(only_the_end_of_a_prologue_stays),
        cmocka_unit_test(dumps_name_every_operator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
