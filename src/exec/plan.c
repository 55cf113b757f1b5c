/* plan.c: liveness of values and their places in one arena.
 *
 * The schedule is the node list, so a value lives from the node that computes it to the last node
 * that reads it. Intervals are placed largest first at the lowest offset where they fit; this comes
 * within a few percent of the peak sum of live bytes on our networks. */
#include "exec/plan.h"
#include "core/round.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    soda_id value; /* or -1 - node for the scratch of a node */
    int first, last;
    size_t bytes, offset;
} interval;

static soda_status mark_alive(const soda_graph *g, bool *alive)
{
    bool *wanted = calloc((size_t)g->value_count + 1, sizeof *wanted);
    if (!wanted) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (soda_id v = 0; v < g->value_count; v++)
        if (g->values[v].output) wanted[graph_root(g, v)] = true;
    for (int n = g->node_count - 1; n >= 0; n--) {
        const soda_node *node = &g->nodes[n];
        for (int i = 0; i < SODA_MAX_OUTPUTS; i++)
            alive[n] |= node->out[i] != NO_VALUE && wanted[node->out[i]];
        for (int i = 0; i < SODA_MAX_INPUTS && alive[n]; i++)
            if (node->in[i] != NO_VALUE) wanted[graph_root(g, node->in[i])] = true;
    }
    free(wanted);
    return SODA_OK;
}

soda_status plan_create(const soda_graph *graph, size_t alignment, soda_plan *plan)
{
    const size_t nodes = (size_t)graph->node_count + 1, values = (size_t)graph->value_count + 1;
    *plan = (soda_plan){.alive = calloc(nodes, sizeof(bool)),
                        .elsewhere = calloc(values, sizeof(bool)),
                        .offset = malloc(values * sizeof(size_t)),
                        .scratch_offset = calloc(nodes, sizeof(size_t)),
                        .alignment = alignment};
    if (!plan->alive || !plan->elsewhere || !plan->offset || !plan->scratch_offset) {
        plan_destroy(plan);
        return FAIL(SODA_ERR_MEMORY, "out of memory");
    }
    const soda_status s = mark_alive(graph, plan->alive);
    if (s != SODA_OK) plan_destroy(plan);
    return s;
}

void plan_destroy(soda_plan *plan)
{
    free(plan->alive);
    free(plan->elsewhere);
    free(plan->offset);
    free(plan->scratch_offset);
    *plan = (soda_plan){0};
}

/* Is root v computed by the prologue and thus not in every run? */
static bool from_prologue(const soda_graph *g, soda_id v)
{
    return g->values[v].kind == VALUE_NODE && g->nodes[g->values[v].node].prologue;
}

/* first and last node of every root; last == node_count for what lives always. Results of the
 * prologue that only the prologue reads live like others, in the runs that compute them. */
static void find_lifetimes(const soda_graph *g, const soda_plan *plan, int *first, int *last)
{
    for (soda_id v = 0; v < g->value_count; v++) {
        const soda_value *value = &g->values[v];
        const bool leaf = value->kind == VALUE_INPUT || value->kind == VALUE_PARAM;
        first[v] = leaf ? -1 : g->node_count; /* others are dead until something writes them */
        last[v] = leaf ? g->node_count : -1;
    }
    for (int n = 0; n < g->node_count; n++) {
        const soda_node *node = &g->nodes[n];
        if (!plan->alive[n]) continue;
        for (int i = 0; i < SODA_MAX_OUTPUTS; i++)
            if (node->out[i] != NO_VALUE) first[node->out[i]] = last[node->out[i]] = n;
        for (int i = 0; i < SODA_MAX_INPUTS; i++) {
            if (node->in[i] == NO_VALUE) continue;
            const soda_id root = graph_root(g, node->in[i]);
            const bool kept = from_prologue(g, root) && !node->prologue;
            if (kept) first[root] = -1;
            if (last[root] < n) last[root] = kept ? g->node_count : n;
        }
    }
    for (soda_id v = 0; v < g->value_count; v++) {
        if (!g->values[v].output) continue;
        const soda_id root = graph_root(g, v);
        if (from_prologue(g, root)) first[root] = -1;
        last[root] = g->node_count;
    }
}

/* Whether another input lies where the first one does: a + a reads what it would overwrite. */
static bool reads_twice(const soda_graph *g, const soda_node *node, const soda_id *owner)
{
    const soda_id first = owner[graph_root(g, node->in[0])];
    for (int i = 1; i < SODA_MAX_INPUTS; i++)
        if (node->in[i] != NO_VALUE && owner[graph_root(g, node->in[i])] == first) return true;
    return false;
}

/* owner[v]: the root whose memory v's root uses: itself, or the input that its node overwrites. */
static void find_owners(const soda_graph *g, const soda_plan *plan, int *last, soda_id *owner)
{
    for (soda_id v = 0; v < g->value_count; v++) owner[v] = v;
    for (int n = 0; n < g->node_count; n++) {
        const soda_node *node = &g->nodes[n];
        if (!plan->alive[n] || node->prologue || !(op_rows[node->op].flags & OP_IN_PLACE)) continue;
        const soda_id in = owner[graph_root(g, node->in[0])], out = node->out[0];
        if (plan->elsewhere[out]) continue;
        if (g->values[in].kind != VALUE_NODE || last[in] != n) continue;
        if (reads_twice(g, node, owner)) continue;
        owner[out] = in;
        last[in] = last[out];
    }
}

static int larger_first(const void *a, const void *b)
{
    const interval *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

/* The lowest offset at which `it` overlaps none of the `count` placed intervals that live with it.
 * `placed` is by rising offset, and so it is afterwards, with `it`. */
static void place(interval *it, interval **placed, int count)
{
    size_t at = 0;
    for (int i = 0; i < count && placed[i]->offset < at + it->bytes; i++) {
        const interval *other = placed[i];
        const size_t end = other->offset + other->bytes;
        if (other->first <= it->last && it->first <= other->last && end > at) at = end;
    }
    it->offset = at;
    int to = count;
    while (to > 0 && placed[to - 1]->offset > at) to--;
    memmove(placed + to + 1, placed + to, (size_t)(count - to) * sizeof *placed);
    placed[to] = it;
}

static size_t value_bytes(const soda_value *v)
{
    return (size_t)shape_count(&v->shape) * dtype_bytes(v->dtype);
}

static int collect(const soda_graph *g, const soda_plan *plan, const size_t *scratch_bytes,
                   const int *first, const int *last, const soda_id *owner, interval *list)
{
    int count = 0;
    const size_t to = plan->alignment;
    for (soda_id v = 0; v < g->value_count; v++) {
        const soda_value *value = &g->values[v];
        if (value->kind == VALUE_WEIGHT || value->view_of != NO_VALUE || owner[v] != v) continue;
        if (first[v] > last[v] || plan->elsewhere[v]) continue;
        list[count++] = (interval){v, first[v], last[v], round_up(value_bytes(value), to), 0};
    }
    for (int n = 0; n < g->node_count; n++) {
        if (!plan->alive[n] || !scratch_bytes[n]) continue;
        list[count++] = (interval){-1 - n, n, n, round_up(scratch_bytes[n], to), 0};
    }
    return count;
}

soda_status plan_memory(const soda_graph *graph, const size_t *scratch_bytes, soda_plan *plan)
{
    const size_t values = (size_t)graph->value_count + 1;
    const size_t most = values + (size_t)graph->node_count;
    int *first = malloc(values * sizeof *first), *last = malloc(values * sizeof *last);
    soda_id *owner = malloc(values * sizeof *owner);
    interval *list = malloc(most * sizeof *list), **placed = malloc(most * sizeof(interval *));
    soda_status s = SODA_OK;
    if (!first || !last || !owner || !list || !placed) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto done;
    }
    find_lifetimes(graph, plan, first, last);
    find_owners(graph, plan, last, owner);
    const int count = collect(graph, plan, scratch_bytes, first, last, owner, list);
    qsort(list, (size_t)count, sizeof *list, larger_first);
    for (soda_id v = 0; v < graph->value_count; v++) plan->offset[v] = SIZE_MAX;
    plan->bytes = 0;
    for (int i = 0; i < count; i++) {
        place(&list[i], placed, i);
        if (list[i].offset + list[i].bytes > plan->bytes)
            plan->bytes = list[i].offset + list[i].bytes;
        if (list[i].value >= 0)
            plan->offset[list[i].value] = list[i].offset;
        else
            plan->scratch_offset[-1 - list[i].value] = list[i].offset;
    }
    for (soda_id v = 0; v < graph->value_count; v++)
        plan->offset[v] = plan->offset[owner[graph_root(graph, v)]];
done:
    free(first);
    free(last);
    free(owner);
    free(list);
    free(placed);
    return s;
}
