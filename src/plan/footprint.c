#include "plan/footprint.h"

#include <stdlib.h>

/* Seen on Debian 12 with the bundled model: what reading models and data leaves behind (malloc
 * gives nothing back, arena.h); what Open MPI 4.1 adds to a rank; OpenBLAS and HDF5 to rank 0. */
static const size_t START_BYTES = (size_t)14 << 20, LAUNCHED_BYTES = (size_t)10 << 20;
static const size_t FILES_BYTES = (size_t)16 << 20;

int plan_layout_sharers(const plan_layout *l)
{
    return l->policy == WEIGHTS_NODE    ? l->per_node
           : l->policy == WEIGHTS_SHARD ? l->shard.ranks
                                        : 1;
}

bool plan_layout_on_nodes(const plan_layout *l)
{
    return l->policy == WEIGHTS_SHARD &&
           (l->ranks <= l->per_node || l->per_node % l->shard.ranks == 0);
}

bool plan_layout_gathers(const plan_layout *l)
{
    return l->policy == WEIGHTS_SHARD && (l->on_devices || !plan_layout_on_nodes(l));
}

/* Results of the prologue that other nodes read: they are kept from one update to the next. */
static size_t prologue_bytes(const soda_graph *graph)
{
    size_t bytes = 0;
    bool *counted = calloc((size_t)graph_value_count(graph) + 1, sizeof *counted);
    for (int n = 0; counted && n < graph_node_count(graph); n++) {
        const soda_node *node = graph_node(graph, n);
        for (int i = 0; i < SODA_MAX_INPUTS && !node->prologue; i++) {
            soda_id v = node->in[i];
            while (v != NO_VALUE && graph_value(graph, v)->view_of != NO_VALUE)
                v = graph_value(graph, v)->view_of;
            const soda_value *value = v == NO_VALUE ? NULL : graph_value(graph, v);
            if (!value || counted[v] || value->kind != VALUE_NODE) continue;
            if (!graph_node(graph, value->node)->prologue) continue;
            counted[v] = true;
            bytes += whole_lines((size_t)shape_count(&value->shape) * dtype_bytes(value->dtype));
        }
    }
    free(counted);
    return bytes;
}

static size_t all_prologues(const soda_networks *n)
{
    const step_list *const lists[] = {&n->trained, &n->frozen, &n->held};
    size_t bytes = 0;
    for (int l = 0; l < 3; l++)
        for (int i = 0; i < lists[l]->count; i++)
            bytes += prologue_bytes(lists[l]->list[i].net.graph);
    return bytes;
}

plan_footprint footprint_of(const soda_outline *o, const plan_layout *l)
{
    const size_t prologue = all_prologues(&o->networks);
    plan_footprint f = {
        .prologue = prologue,
        .activations = networks_arena_bytes(&o->networks) - prologue,
        .adapters = params_bytes(&o->params),
        .reduction = reducer_bytes(o->request->config->parallel.reduction, o->params.length + 1),
        .data = o->data_bytes,
        .pictures = o->picture_bytes,
        .files = FILES_BYTES,
        .program = o->program_bytes + START_BYTES + (l->ranks > 1 ? LAUNCHED_BYTES : 0)};
    const ledger_sums sums = ledger_report(o->model.residency);
    f.weights = sums.all / (size_t)plan_layout_sharers(l);
    if (plan_layout_gathers(l)) f.weights = shard_bytes(&sums, l->shard, &f.ring) - f.ring;
    f.total = f.weights + f.ring + f.prologue + f.activations + f.adapters + f.reduction + f.data +
              f.pictures + f.files + f.program;
    return f;
}

size_t footprint_node_bytes(const plan_footprint *f, int per_node)
{
    return (size_t)per_node * (f->total - f->files) + f->files;
}
