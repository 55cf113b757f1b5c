/* autodiff.c: walks the forward nodes backwards and appends gradient nodes, only on paths that lead
 * from the loss to a param. Segments marked for recomputation are run again just before their
 * gradients, so that their activations need not live through the whole forward pass; so is what is
 * made of weights, where the graph wants that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/rule.h"

typedef struct {
    soda_graph *graph;
    int forward_nodes, forward_values;
    bool *need;     /* by value: a param lies upstream */
    soda_id *grad;  /* by value: its gradient so far, or NO_VALUE */
    soda_id *fresh; /* by value: where to read it in the backward pass */
    const bool *recompute;
    int segment; /* the segment that `fresh` holds copies of, or -1 */
} differ;

static void mark_needed(differ *d)
{
    soda_graph *g = d->graph;
    for (soda_id v = 0; v < d->forward_values; v++) d->need[v] = g->values[v].kind == VALUE_PARAM;
    for (int n = 0; n < d->forward_nodes; n++) {
        const soda_node *node = &g->nodes[n];
        bool any = false;
        for (int i = 0; i < SODA_MAX_INPUTS; i++)
            any |= node->in[i] != NO_VALUE && d->need[graph_root(g, node->in[i])];
        if (!rule_of[node->op]->backward) any = false;
        for (int i = 0; i < SODA_MAX_OUTPUTS; i++)
            if (node->out[i] != NO_VALUE) d->need[node->out[i]] = any;
    }
}

/* Adds `gradient`, shaped like value v, to the gradient of v's root. */
static void accumulate(differ *d, soda_id v, soda_id gradient)
{
    soda_graph *g = d->graph;
    if (gradient == NO_VALUE || g->status != SODA_OK) return;
    const soda_id root = graph_root(g, v);
    gradient = graph_view(g, gradient, g->values[root].shape);
    d->grad[root] = d->grad[root] == NO_VALUE ? gradient : graph_add(g, d->grad[root], gradient);
}

static void copy_node(differ *d, int n);

/* Where the backward pass reads forward value v: a view of the fresh copy if there is one. What is
 * made of weights is made again where it is first read. */
static soda_id read_from(differ *d, soda_id v)
{
    if (v == NO_VALUE) return NO_VALUE;
    const soda_id root = graph_root(d->graph, v);
    const soda_value *value = &d->graph->values[root];
    if (d->fresh[root] == root && value->kind == VALUE_NODE && d->graph->nodes[value->node].rebuilt)
        copy_node(d, value->node);
    if (d->fresh[root] == root) return v;
    return graph_view(d->graph, d->fresh[root], d->graph->values[v].shape);
}

/* Appends a copy of forward node n; what it computes is read from the copy. */
static void copy_node(differ *d, int n)
{
    soda_graph *g = d->graph;
    const soda_node node = g->nodes[n]; /* appending moves the nodes */
    soda_id in[SODA_MAX_INPUTS], out[SODA_MAX_OUTPUTS];
    for (int i = 0; i < SODA_MAX_INPUTS; i++) in[i] = read_from(d, node.in[i]);
    if (graph_append(g, node.op, &node.attr, in, op_rows[node.op].most_inputs, out) != SODA_OK)
        return;
    for (int i = 0; i < SODA_MAX_OUTPUTS; i++)
        if (node.out[i] != NO_VALUE) d->fresh[node.out[i]] = out[i];
}

/* Appends copies of the forward nodes of `segment`. */
static void recompute_segment(differ *d, int segment)
{
    soda_graph *g = d->graph;
    d->segment = segment;
    for (int n = 0; n < d->forward_nodes && g->status == SODA_OK; n++) {
        const soda_node *node = &g->nodes[n];
        if (node->segment == segment && !node->prologue && !node->rebuilt) copy_node(d, n);
    }
}

static void differentiate_node(differ *d, int n)
{
    soda_graph *g = d->graph;
    const soda_node node = g->nodes[n]; /* appending moves the nodes */
    soda_id in[SODA_MAX_INPUTS], out[SODA_MAX_OUTPUTS], dout[SODA_MAX_OUTPUTS],
        din[SODA_MAX_INPUTS];
    bool need[SODA_MAX_INPUTS] = {false}, any_in = false, any_out = false;
    for (int i = 0; i < SODA_MAX_INPUTS; i++) {
        need[i] = node.in[i] != NO_VALUE && d->need[graph_root(g, node.in[i])];
        any_in |= need[i];
        din[i] = NO_VALUE;
    }
    for (int i = 0; i < SODA_MAX_OUTPUTS; i++) {
        dout[i] = node.out[i] == NO_VALUE ? NO_VALUE : d->grad[node.out[i]];
        any_out |= dout[i] != NO_VALUE;
    }
    if (!any_in || !any_out || !rule_of[node.op]->backward) return;
    if (d->recompute && d->recompute[node.segment] && d->segment != node.segment)
        recompute_segment(d, node.segment);
    for (int i = 0; i < SODA_MAX_INPUTS; i++) in[i] = read_from(d, node.in[i]);
    for (int i = 0; i < SODA_MAX_OUTPUTS; i++) out[i] = read_from(d, node.out[i]);
    rule_of[node.op]->backward(g, &node, in, out, dout, need, din);
    for (int i = 0; i < SODA_MAX_INPUTS; i++)
        if (need[i]) accumulate(d, node.in[i], din[i]);
}

static void name_gradients(differ *d)
{
    soda_graph *g = d->graph;
    for (soda_id v = 0; v < d->forward_values && g->status == SODA_OK; v++) {
        if (g->values[v].kind != VALUE_PARAM || g->values[v].view_of != NO_VALUE) continue;
        if (d->grad[v] == NO_VALUE) {
            graph_fail(
                g, FAIL(SODA_ERR_INTERNAL, "the loss does not depend on %s", g->values[v].name));
            return;
        }
        char *name = NULL;
        if (asprintf(&name, "grad.%s", g->values[v].name) < 0) {
            graph_fail(g, FAIL(SODA_ERR_MEMORY, "out of memory"));
            return;
        }
        graph_output(g, d->grad[v], name);
        free(name);
    }
}

soda_status graph_differentiate(soda_graph *graph, soda_id loss, const bool *recompute)
{
    if (graph->status != SODA_OK) return graph_status(graph);
    const size_t values = (size_t)graph->value_count;
    differ d = {.graph = graph,
                .forward_nodes = graph->node_count,
                .forward_values = graph->value_count,
                .need = calloc(values, sizeof(bool)),
                .grad = malloc(values * sizeof(soda_id)),
                .fresh = malloc(values * sizeof(soda_id)),
                .recompute = recompute,
                .segment = -1};
    if (!d.need || !d.grad || !d.fresh) {
        graph_fail(graph, FAIL(SODA_ERR_MEMORY, "out of memory"));
    } else {
        for (soda_id v = 0; v < d.forward_values; v++) {
            d.grad[v] = NO_VALUE;
            d.fresh[v] = v;
        }
        mark_needed(&d);
        graph->in_backward = true;
        d.grad[loss] = loss; /* only its presence matters: a loss starts with gradient one */
        for (int n = d.forward_nodes - 1; n >= 0 && graph->status == SODA_OK; n--)
            differentiate_node(&d, n);
        name_gradients(&d);
    }
    free(d.need);
    free(d.grad);
    free(d.fresh);
    return graph_status(graph);
}
