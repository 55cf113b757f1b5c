#include "plan/op_times.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "model/random_weights.h"
#include "plan/one_node.h"

typedef struct {
    bool present, weight;
    soda_dtype dtype;
    soda_shape shape;
} operand;

/* Nodes that differ in nothing but their values. */
typedef struct op_kind {
    soda_op op;
    soda_attr attr;
    operand in[SODA_MAX_INPUTS];
    double timed_s; /* of one; 0: not timed */
    /* in the network at hand: */
    int node; /* one of them */
    int count;
    double guess_s; /* of one, before it is timed */
    double seconds; /* of one */
    bool first;     /* of its operator: timed before all others */
} op_kind;

typedef struct {
    const soda_graph *graph;
    const soda_backend *backend;
    soda_weight_source *weights;
    op_kinds *known;
    int *kind_of; /* [steps] */
} timing;

void op_kinds_free(op_kinds *kinds)
{
    free(kinds->list);
    *kinds = (op_kinds){0};
}

static double guess(const soda_graph *graph, int node)
{
    const soda_cost cost = graph_node_cost(graph, node); /* a slow core: only ratios matter */
    return cost.flops / 50e9 + cost.bytes / 5e9;
}

static bool is_weight(const soda_graph *g, soda_id id)
{
    while (graph_value(g, id)->view_of != NO_VALUE) id = graph_value(g, id)->view_of;
    return graph_value(g, id)->kind == VALUE_WEIGHT;
}

static op_kind describe(const soda_graph *g, int n)
{
    const soda_node *node = graph_node(g, n);
    op_kind kind = {.op = node->op, .attr = node->attr, .node = n, .guess_s = guess(g, n)};
    for (int i = 0; i < SODA_MAX_INPUTS; i++) {
        if (node->in[i] == NO_VALUE) continue;
        const soda_value *v = graph_value(g, node->in[i]);
        kind.in[i] = (operand){true, is_weight(g, node->in[i]), v->dtype, v->shape};
    }
    return kind;
}

static bool same(const op_kind *a, const op_kind *b)
{
    if (a->op != b->op) return false;
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): other padding costs time only */
    if (memcmp(&a->attr, &b->attr, sizeof a->attr) != 0) return false;
    for (int i = 0; i < SODA_MAX_INPUTS; i++) {
        const operand *x = &a->in[i], *y = &b->in[i];
        if (x->present != y->present) return false;
        if (x->present &&
            (x->weight != y->weight || x->dtype != y->dtype || !shape_equal(&x->shape, &y->shape)))
            return false;
    }
    return true;
}

static soda_status add_kind(op_kinds *known, const op_kind *kind)
{
    if (known->count == known->room) {
        const int room = known->room ? 2 * known->room : 256;
        op_kind *grown = realloc(known->list, (size_t)room * sizeof *grown);
        if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory");
        known->list = grown;
        known->room = room;
    }
    known->list[known->count++] = *kind;
    return SODA_OK;
}

static double total_guess(const op_kind *kind) { return kind->guess_s * kind->count; }

/* The longest kind of each operator is its first. */
static void mark_first(op_kinds *known)
{
    int best[OP_COUNT];
    for (int i = 0; i < OP_COUNT; i++) best[i] = -1;
    for (int k = 0; k < known->count; k++) {
        const op_kind *kind = &known->list[k];
        int *b = &best[kind->op];
        if (kind->count && (*b < 0 || total_guess(kind) > total_guess(&known->list[*b]))) *b = k;
    }
    for (int i = 0; i < OP_COUNT; i++)
        if (best[i] >= 0) known->list[best[i]].first = true;
}

static soda_status find_kinds(timing *t, const int *order, int steps)
{
    op_kinds *known = t->known;
    for (int k = 0; k < known->count; k++) {
        known->list[k].count = 0;
        known->list[k].first = false;
    }
    for (int step = 0; step < steps; step++) {
        const op_kind kind = describe(t->graph, order[step]);
        int k = 0;
        while (k < known->count && !same(&known->list[k], &kind)) k++;
        if (k == known->count) TRY(add_kind(known, &kind));
        if (known->list[k].count++ == 0) known->list[k].node = kind.node;
        t->kind_of[step] = k;
    }
    mark_first(known);
    return SODA_OK;
}

/* The kind to be timed next; NULL if all are. */
static op_kind *next_kind(const op_kinds *known)
{
    op_kind *best = NULL;
    for (int k = 0; k < known->count; k++) {
        op_kind *a = &known->list[k];
        if (a->timed_s > 0 || a->count == 0) continue;
        if (!best || a->first > best->first ||
            (a->first == best->first && total_guess(a) > total_guess(best)))
            best = a;
    }
    return best;
}

/* Kinds that were not timed take as long as those of their operator that were, by their guesses. */
static void fill_gaps(op_kinds *known)
{
    double timed_s[OP_COUNT] = {0}, guessed_s[OP_COUNT] = {0};
    for (int k = 0; k < known->count; k++) {
        const op_kind *kind = &known->list[k];
        if (kind->timed_s == 0) continue;
        timed_s[kind->op] += kind->timed_s * kind->count;
        guessed_s[kind->op] += total_guess(kind);
    }
    for (int k = 0; k < known->count; k++) {
        op_kind *kind = &known->list[k];
        const double all_s = guessed_s[kind->op];
        const double scaled_s = all_s > 0 ? kind->guess_s * timed_s[kind->op] / all_s : 0;
        kind->seconds = kind->timed_s > 0 ? kind->timed_s : scaled_s;
    }
}

static soda_status time_kinds(timing *t, double budget_s)
{
    const double end_s = log_seconds() + budget_s;
    for (op_kind *k; (k = next_kind(t->known)) && (k->first || log_seconds() < end_s);) {
        one_node_time time;
        TRY(one_node_measure(t->graph, k->node, t->weights, t->backend, &time));
        k->timed_s = time.run_s > 1e-9 ? time.run_s : 1e-9;
    }
    fill_gaps(t->known);
    return SODA_OK;
}

/* Sums, from step_s. */
static void add_up(const soda_graph *graph, const int *order, op_times *t)
{
    for (int step = 0; step < t->steps; step++) {
        const soda_node *node = graph_node(graph, order[step]);
        const double flops = graph_node_cost(graph, order[step]).flops;
        op_class *c = node->backward ? &t->backward[node->op] : &t->forward[node->op];
        c->calls++;
        c->flops += flops;
        c->seconds += t->step_s[step];
        *(node->backward ? &t->flops_backward : &t->flops_forward) += flops;
        *(step < t->prologue ? &t->prologue_s : &t->rest_s) += t->step_s[step];
    }
}

static soda_status start(const soda_exec *exec, op_times *t, const int **order)
{
    *t = (op_times){0};
    *order = exec_order(exec, &t->steps, &t->prologue);
    t->step_s = calloc((size_t)t->steps + 1, sizeof *t->step_s);
    return t->step_s ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
}

/* Takes the seconds over from the kinds. */
static void apply(const timing *m, op_times *t)
{
    double timed_s = 0, all_s = 0;
    for (int step = 0; step < t->steps; step++) {
        const op_kind *kind = &m->known->list[m->kind_of[step]];
        t->step_s[step] = kind->seconds;
        all_s += kind->seconds;
        if (kind->timed_s > 0) timed_s += kind->seconds;
    }
    for (int k = 0; k < m->known->count; k++) {
        const op_kind *kind = &m->known->list[k];
        t->kinds += kind->count > 0;
        t->measured += kind->count > 0 && kind->timed_s > 0;
    }
    t->covered = all_s > 0 ? timed_s / all_s : 1;
}

soda_status op_times_measure(const soda_graph *graph, const soda_exec *exec,
                             const soda_backend *backend, double budget_s, op_kinds *known,
                             op_times *t)
{
    const int *order;
    TRY(start(exec, t, &order));
    timing m = {.graph = graph, .backend = backend, .known = known};
    m.kind_of = calloc((size_t)t->steps + 1, sizeof *m.kind_of);
    soda_status s = m.kind_of ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
    if (s != SODA_OK) goto done;
    TRY_TO(done, find_kinds(&m, order, t->steps));
    TRY_TO(done, random_weights_create(0.02f, 1, &m.weights));
    TRY_TO(done, time_kinds(&m, budget_s));
    apply(&m, t);
    add_up(graph, order, t);
done:
    random_weights_destroy(m.weights);
    free(m.kind_of);
    if (s != SODA_OK) op_times_free(t);
    return s;
}

soda_status op_times_given(const soda_graph *graph, const soda_exec *exec, double flops_per_s,
                           op_times *t)
{
    const int *order;
    TRY(start(exec, t, &order));
    for (int step = 0; step < t->steps; step++)
        t->step_s[step] = graph_node_cost(graph, order[step]).flops / flops_per_s;
    add_up(graph, order, t);
    return SODA_OK;
}

soda_status op_times_predict(const soda_graph *graph, const soda_exec *exec, const gpu_speed *gpu,
                             op_times *t)
{
    const int *order;
    TRY(start(exec, t, &order));
    for (int step = 0; step < t->steps; step++)
        t->step_s[step] = gpu_speed_node(gpu, graph, order[step]);
    add_up(graph, order, t);
    return SODA_OK;
}

soda_status op_times_set(const soda_graph *graph, const soda_exec *exec, const double *seconds,
                         op_times *t)
{
    int steps, prologue;
    const int *order = exec_order(exec, &steps, &prologue);
    if (steps != t->steps || prologue != t->prologue)
        return FAIL(SODA_ERR_INTERNAL, "times of %d nodes for a network of %d", steps, t->steps);
    memset(t->forward, 0, sizeof t->forward);
    memset(t->backward, 0, sizeof t->backward);
    t->prologue_s = t->rest_s = t->flops_forward = t->flops_backward = 0;
    for (int step = 0; step < steps; step++) t->step_s[step] = seconds[order[step]];
    add_up(graph, order, t);
    t->covered = 1;
    return SODA_OK;
}

void op_times_free(op_times *t)
{
    free(t->step_s);
    *t = (op_times){0};
}
