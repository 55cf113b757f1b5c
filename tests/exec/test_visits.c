/* Forms of frozen weights are there from the first to the last step of their visit, and whoever has
 * no run of his own walks through the visits with the others. */
#include "support/check.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "exec/exec.h"
#include "exec/tags.h"

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
    return tags_run(&read);
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
    soda_backend backend = {.name = "pretend", .device = device_host()};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_there_during_their_visits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
