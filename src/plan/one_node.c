#include "plan/one_node.h"

#include <stdio.h>
#include <stdlib.h>

#include "backend/residency.h"
#include "core/log.h"
#include "exec/exec.h"
#include "plan/some_inputs.h"

static const double LONG_S = 0.1; /* from here on one run will do */

typedef struct {
    const soda_graph *from;
    soda_weight_source *source;
    soda_graph *graph;
    soda_id made[SODA_MAX_INPUTS]; /* for input i of the node */
} copying;

static soda_id root_of(const soda_graph *g, soda_id id)
{
    while (graph_value(g, id)->view_of != NO_VALUE) id = graph_value(g, id)->view_of;
    return id;
}

/* A leaf like value `id`, for input `index`. */
static soda_status copy_leaf(copying *c, soda_id id, int index)
{
    char name[32];
    soda_weight w;
    const soda_value *value = graph_value(c->from, id);
    const soda_value *root = graph_value(c->from, root_of(c->from, id));
    snprintf(name, sizeof name, "input %d", index);
    if (root->kind != VALUE_WEIGHT) {
        c->made[index] = graph_input(c->graph, name, value->dtype, value->shape);
        return graph_status(c->graph);
    }
    TRY(c->source->find(c->source, name, &root->shape, &w));
    c->made[index] = graph_weight(c->graph, &w);
    if (value != root) c->made[index] = graph_view(c->graph, c->made[index], value->shape);
    return graph_status(c->graph);
}

static soda_status copy_node(copying *c, const soda_node *node)
{
    soda_id out[SODA_MAX_OUTPUTS];
    int inputs = 0;
    for (int i = 0; i < SODA_MAX_INPUTS; i++) {
        c->made[i] = NO_VALUE;
        if (node->in[i] == NO_VALUE) continue;
        inputs = i + 1;
        for (int k = 0; k < i; k++)
            if (node->in[k] == node->in[i]) c->made[i] = c->made[k];
        if (c->made[i] == NO_VALUE) TRY(copy_leaf(c, node->in[i], i));
    }
    TRY(graph_append(c->graph, node->op, &node->attr, c->made, inputs, out));
    for (int i = 0; i < op_rows[node->op].outputs; i++) {
        char name[32];
        snprintf(name, sizeof name, "output %d", i);
        graph_output(c->graph, out[i], name);
    }
    return graph_status(c->graph);
}

static soda_status run(soda_exec *exec, soda_device *device, double *seconds)
{
    exec_params_changed(exec); /* a node of the prologue runs then only */
    const double start_s = log_seconds();
    TRY(exec_run(exec));
    TRY(device->wait(device));
    *seconds = log_seconds() - start_s;
    return SODA_OK;
}

static soda_status time_graph(const soda_graph *graph, const soda_backend *backend,
                              one_node_time *time)
{
    soda_exec *exec = NULL;
    soda_residency *residency = NULL;
    double again_s;
    soda_status s;
    TRY_TO(done, exec_plan(graph, backend, NULL, &exec));
    TRY_TO(done, resident_create(backend->device, &residency));
    const double start_s = log_seconds();
    TRY_TO(done, exec_commit(exec, residency));
    *time = (one_node_time){.pack_s = log_seconds() - start_s, .packed_bytes = residency->bytes};
    TRY_TO(done, some_inputs_write(exec, graph));
    TRY_TO(done, run(exec, backend->device, &time->run_s));
    if (time->run_s >= LONG_S) goto done;
    TRY_TO(done, run(exec, backend->device, &again_s));
    if (again_s < time->run_s) time->run_s = again_s;
done:
    exec_destroy(exec);
    residency_close(residency);
    return s;
}

soda_status one_node_measure(const soda_graph *graph, int node, soda_weight_source *weights,
                             const soda_backend *backend, one_node_time *time)
{
    copying c = {.from = graph, .source = weights};
    soda_status s;
    TRY(graph_create(graph_compute_dtype(graph), &c.graph));
    TRY_TO(done, copy_node(&c, graph_node(graph, node)));
    TRY_TO(done, time_graph(c.graph, backend, time));
done:
    graph_destroy(c.graph);
    return s;
}
