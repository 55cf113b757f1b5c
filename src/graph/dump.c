/* dump.c: the graph for people: one node per line, or a picture by Graphviz. */
#include <errno.h>
#include <string.h>

#include "graph/graph_internal.h"

static void write_value(const soda_graph *g, soda_id id, FILE *file)
{
    char text[80];
    const soda_value *v = &g->values[id];
    fprintf(file, "%%%d", id);
    if (v->name) fprintf(file, " %s", v->name);
    fprintf(file, " %s%s", dtype_name(v->dtype), shape_text(&v->shape, text, sizeof text));
}

static soda_status written(FILE *file)
{
    return ferror(file) ? FAIL(SODA_ERR_IO, "cannot write: %s", strerror(errno)) : SODA_OK;
}

soda_status graph_dump_text(const soda_graph *graph, FILE *file)
{
    for (int n = 0; n < graph->node_count; n++) {
        const soda_node *node = &graph->nodes[n];
        const soda_cost cost = graph_node_cost(graph, n);
        for (int i = 0; i < SODA_MAX_OUTPUTS && node->out[i] != NO_VALUE; i++) {
            if (i) fprintf(file, ", ");
            write_value(graph, node->out[i], file);
        }
        fprintf(file, " = %s(", op_rows[node->op].name);
        for (int i = 0, listed = 0; i < SODA_MAX_INPUTS; i++) {
            if (node->in[i] == NO_VALUE) continue;
            if (listed++) fprintf(file, ", ");
            write_value(graph, node->in[i], file);
        }
        fprintf(file, ")  # segment %d, %.3g GFLOP, %.3g MB%s%s\n", node->segment,
                cost.flops * 1e-9, cost.bytes * 1e-6, node->prologue ? ", prologue" : "",
                node->backward ? ", backward" : "");
    }
    return written(file);
}

soda_status graph_dump_dot(const soda_graph *graph, FILE *file)
{
    fprintf(file, "digraph soda {\n  node [shape=box, fontname=monospace];\n");
    for (int n = 0; n < graph->node_count; n++) {
        const soda_node *node = &graph->nodes[n];
        char text[80];
        const soda_shape *shape = &graph->values[node->out[0]].shape;
        fprintf(file, "  n%d [label=\"%s\\n%s\"%s];\n", n, op_rows[node->op].name,
                shape_text(shape, text, sizeof text), node->backward ? ", style=dashed" : "");
        for (int i = 0; i < SODA_MAX_INPUTS; i++) {
            if (node->in[i] == NO_VALUE) continue;
            const soda_value *v = &graph->values[graph_root(graph, node->in[i])];
            if (v->kind == VALUE_NODE)
                fprintf(file, "  n%d -> n%d;\n", v->node, n);
            else if (v->kind != VALUE_WEIGHT)
                fprintf(file, "  \"%s\" -> n%d;\n", v->name, n);
        }
    }
    fprintf(file, "}\n");
    return written(file);
}
