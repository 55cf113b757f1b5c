#include <stdlib.h>
#include <string.h>

#include "graph/rule.h"

soda_status graph_create(soda_dtype compute, soda_graph **graph)
{
    *graph = calloc(1, sizeof **graph);
    if (!*graph) return FAIL(SODA_ERR_MEMORY, "out of memory");
    (*graph)->compute = compute;
    return SODA_OK;
}

void graph_destroy(soda_graph *graph)
{
    if (!graph) return;
    for (int i = 0; i < graph->value_count; i++) free(graph->values[i].name);
    free(graph->values);
    free(graph->slots);
    free(graph->nodes);
    free(graph->message);
    free(graph);
}

soda_dtype graph_compute_dtype(const soda_graph *graph) { return graph->compute; }

soda_dtype graph_wide_dtype(const soda_graph *graph) { return wide_type(graph->compute); }

soda_status graph_status(const soda_graph *graph)
{
    if (graph->status == SODA_OK) return SODA_OK;
    return FAIL(graph->status, "%s", graph->message ? graph->message : "out of memory");
}

soda_id graph_fail(soda_graph *graph, soda_status s)
{
    if (graph->status == SODA_OK) {
        graph->status = s;
        graph->message = strdup(status_message());
    }
    return NO_VALUE;
}

int graph_value_count(const soda_graph *graph) { return graph->value_count; }
int graph_node_count(const soda_graph *graph) { return graph->node_count; }
const soda_value *graph_value(const soda_graph *graph, soda_id id) { return &graph->values[id]; }
const soda_node *graph_node(const soda_graph *graph, int index) { return &graph->nodes[index]; }
void graph_next_segment(soda_graph *graph) { graph->segment++; }
int graph_segment_count(const soda_graph *graph) { return graph->segment + 1; }

/* Where `name` is, or the free slot where it belongs. FNV-1a; slot_count is a power of two, and a
 * slot is free. */
static soda_id *find_slot(const soda_graph *graph, const char *name)
{
    uint32_t hash = 2166136261u;
    for (const char *c = name; *c; c++) hash = (hash ^ (unsigned char)*c) * 16777619u;
    const uint32_t mask = (uint32_t)graph->slot_count - 1;
    for (uint32_t i = hash & mask;; i = (i + 1) & mask) {
        soda_id *slot = &graph->slots[i];
        if (*slot == NO_VALUE || strcmp(graph->values[*slot].name, name) == 0) return slot;
    }
}

/* Room for one more name: the table is at most half full. */
static bool grow_slots(soda_graph *graph)
{
    if (2 * (graph->named + 1) <= graph->slot_count) return true;
    const int count = graph->slot_count ? 2 * graph->slot_count : 256;
    soda_id *slots = malloc((size_t)count * sizeof *slots);
    if (!slots) return false;
    for (int i = 0; i < count; i++) slots[i] = NO_VALUE;
    soda_id *old = graph->slots;
    const int old_count = graph->slot_count;
    graph->slots = slots;
    graph->slot_count = count;
    for (int i = 0; i < old_count; i++)
        if (old[i] != NO_VALUE) *find_slot(graph, graph->values[old[i]].name) = old[i];
    free(old);
    return true;
}

/* Gives a value a copy of `name`, which is new; false: no memory. */
static bool set_name(soda_graph *graph, soda_id id, const char *name)
{
    if (!grow_slots(graph)) return false;
    graph->values[id].name = strdup(name);
    if (!graph->values[id].name) return false;
    *find_slot(graph, name) = id;
    graph->named++;
    return true;
}

soda_id graph_find(const soda_graph *graph, const char *name)
{
    return graph->slot_count ? *find_slot(graph, name) : NO_VALUE;
}

soda_id graph_root(const soda_graph *graph, soda_id id)
{
    while (graph->values[id].view_of != NO_VALUE) id = graph->values[id].view_of;
    return id;
}

/* Makes room for one more element of `size` bytes; NULL when memory ran out. */
static void *grown(void *array, int count, int *room, size_t size)
{
    if (count < *room) return array;
    const int wanted = *room ? 2 * *room : 256;
    void *larger = realloc(array, (size_t)wanted * size);
    if (larger) *room = wanted;
    return larger;
}

static soda_id add_value(soda_graph *graph, soda_value value, const char *name)
{
    if (graph->status != SODA_OK) return NO_VALUE;
    soda_value *values =
        grown(graph->values, graph->value_count, &graph->value_room, sizeof *values);
    if (!values) return graph_fail(graph, FAIL(SODA_ERR_MEMORY, "out of memory"));
    graph->values = values;
    const soda_id id = graph->value_count++;
    values[id] = value;
    if (name && !set_name(graph, id, name))
        return graph_fail(graph, FAIL(SODA_ERR_MEMORY, "out of memory"));
    return id;
}

static soda_id add_leaf(soda_graph *graph, soda_value_kind kind, const char *name, soda_dtype dtype,
                        soda_shape shape)
{
    if (graph->status != SODA_OK) return NO_VALUE;
    if (graph_find(graph, name) != NO_VALUE)
        return graph_fail(graph, FAIL(SODA_ERR_INTERNAL, "graph: two values called %s", name));
    return add_value(
        graph,
        (soda_value){.kind = kind, .dtype = dtype, .shape = shape, .node = -1, .view_of = NO_VALUE},
        name);
}

soda_id graph_input(soda_graph *graph, const char *name, soda_dtype dtype, soda_shape shape)
{
    return add_leaf(graph, VALUE_INPUT, name, dtype, shape);
}

soda_id graph_param(soda_graph *graph, const char *name, soda_shape shape)
{
    return add_leaf(graph, VALUE_PARAM, name, wide_type(graph->compute), shape);
}

soda_id graph_weight(soda_graph *graph, const soda_weight *weight)
{
    if (graph->status != SODA_OK) return NO_VALUE;
    const soda_id known = graph_find(graph, weight->name);
    if (known != NO_VALUE && graph->values[known].kind == VALUE_WEIGHT) return known;
    const soda_id id =
        add_leaf(graph, VALUE_WEIGHT, weight->name, weight->source.dtype, weight->source.shape);
    if (id != NO_VALUE) graph->values[id].weight = *weight;
    return id;
}

void graph_output(soda_graph *graph, soda_id value, const char *name)
{
    if (graph->status != SODA_OK) return;
    soda_value *v = &graph->values[value];
    if (v->name || graph_find(graph, name) != NO_VALUE) {
        graph_fail(graph, FAIL(SODA_ERR_INTERNAL, "graph: output %s: name in use", name));
        return;
    }
    v->output = true;
    if (!set_name(graph, value, name)) graph_fail(graph, FAIL(SODA_ERR_MEMORY, "out of memory"));
}

soda_id graph_view(soda_graph *graph, soda_id x, soda_shape shape)
{
    if (graph->status != SODA_OK) return NO_VALUE;
    const soda_value v = graph->values[x];
    if (shape_equal(&v.shape, &shape)) return x;
    if (shape_count(&v.shape) != shape_count(&shape)) {
        char a[64], b[64];
        return graph_fail(graph,
                          FAIL(SODA_ERR_INTERNAL, "view: %s is not as large as %s",
                               shape_text(&shape, a, sizeof a), shape_text(&v.shape, b, sizeof b)));
    }
    return add_value(
        graph,
        (soda_value){
            .kind = v.kind, .dtype = v.dtype, .shape = shape, .node = v.node, .view_of = x},
        NULL);
}

void graph_rebuild_weights(soda_graph *graph) { graph->rebuilds = true; }

/* Nothing that it reads changes between runs, unless params do. */
static bool only_weights_and_params(const soda_graph *graph, const soda_id *in, int inputs)
{
    for (int i = 0; i < inputs; i++) {
        if (in[i] == NO_VALUE) continue;
        const soda_value *v = &graph->values[graph_root(graph, in[i])];
        if (v->kind == VALUE_INPUT) return false;
        const soda_node *from = v->kind == VALUE_NODE ? &graph->nodes[v->node] : NULL;
        if (from && !from->prologue && !from->rebuilt) return false;
    }
    return true;
}

/* A matrix from a file, or what was made of one. */
static bool reads_matrix(const soda_graph *graph, const soda_id *in, int inputs)
{
    for (int i = 0; i < inputs; i++) {
        if (in[i] == NO_VALUE) continue;
        const soda_value *v = &graph->values[graph_root(graph, in[i])];
        if (v->kind == VALUE_WEIGHT && v->shape.rank > 1) return true;
        if (v->kind == VALUE_NODE && graph->nodes[v->node].rebuilt) return true;
    }
    return false;
}

static soda_status check_inputs(const soda_graph *graph, const op_row *row, const soda_id *in,
                                int inputs, const soda_value **value)
{
    if (inputs < row->least_inputs || inputs > row->most_inputs)
        return FAIL(SODA_ERR_INTERNAL, "%s: %d inputs", row->name, inputs);
    for (int i = 0; i < inputs; i++) {
        if (in[i] == NO_VALUE && i < row->least_inputs)
            return FAIL(SODA_ERR_INTERNAL, "%s: input %d is missing", row->name, i);
        if (in[i] != NO_VALUE) value[i] = &graph->values[in[i]];
    }
    return SODA_OK;
}

soda_status graph_append(soda_graph *graph, soda_op op, const soda_attr *attr, const soda_id *in,
                         int inputs, soda_id *out)
{
    const op_row *row = &op_rows[op];
    for (int i = 0; i < row->outputs; i++) out[i] = NO_VALUE;
    if (graph->status != SODA_OK) return graph->status;

    const soda_value *value[SODA_MAX_INPUTS] = {NULL};
    soda_tensor result[SODA_MAX_OUTPUTS] = {{0}};
    soda_status s = check_inputs(graph, row, in, inputs, value);
    if (s == SODA_OK) s = rule_of[op]->shape(attr, value, result);
    soda_node *nodes = grown(graph->nodes, graph->node_count, &graph->node_room, sizeof *nodes);
    if (nodes)
        graph->nodes = nodes;
    else if (s == SODA_OK)
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
    if (s != SODA_OK) {
        graph_fail(graph, s);
        return s;
    }
    const bool constant = only_weights_and_params(graph, in, inputs);
    const bool rebuilt = constant && graph->rebuilds && reads_matrix(graph, in, inputs);
    soda_node node = {.op = op,
                      .segment = graph->segment,
                      .backward = graph->in_backward,
                      .prologue = constant && !rebuilt,
                      .rebuilt = rebuilt};
    if (attr) node.attr = *attr;
    for (int i = 0; i < SODA_MAX_INPUTS; i++) node.in[i] = i < inputs ? in[i] : NO_VALUE;
    for (int i = 0; i < SODA_MAX_OUTPUTS; i++) {
        node.out[i] = NO_VALUE;
        if (i >= row->outputs) continue;
        node.out[i] = out[i] = add_value(graph,
                                         (soda_value){.kind = VALUE_NODE,
                                                      .dtype = result[i].dtype,
                                                      .shape = result[i].shape,
                                                      .node = graph->node_count,
                                                      .view_of = NO_VALUE},
                                         NULL);
    }
    if (graph->status != SODA_OK) return graph->status;
    graph->nodes[graph->node_count++] = node;
    return SODA_OK;
}
