/* traffic.c: prints how kernels of cuda/ use memory in the steps of model_step.h and in what
 * traffic_extra.h adds, at their true sizes: for each kernel the worst ratio of sectors of 32 bytes
 * moved to those that the bytes would need side by side, the worst instruction on shared memory
 * (passes over the banks to the least), the largest block and its shared memory, and where the two
 * worst were.
 *
 * Every kind of node runs once, on memory that nobody has written, with CUSIM_SAMPLE blocks of each
 * launch: what it computes means nothing, what it touches is what it touches in a run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/model_step.h"
#include "cuda/node_call.h"
#include "cuda/traffic_extra.h"
#include "cusim/sim.h"
#include "support/tested.h"

enum { MOST_KINDS = 2000 };

typedef struct { /* of one kernel */
    double sectors, conflicts;
    char at[2][NODE_CALL_LABEL]; /* where */
} worst;

static soda_status run(const soda_kernel *kernel, soda_call *call, void *context)
{
    soda_device *d = tested_backend()->device;
    (void)context;
    TRY(kernel->run(call));
    return d->wait(d);
}

/* ---- what kernels did ---- */
static void clear_counts(void)
{
    for (int k = 0; k < sim_kernel_count(); k++) {
        sim_kernel *kernel = sim_kernel_at(k);
        kernel->launches = 0;
        for (int n = 0; n < kernel->count; n++) {
            sim_insn *i = &kernel->code[n];
            i->runs = 0;
            i->traffic = i->source = (sim_traffic){0};
        }
    }
}

static void keep(double ratio, const char *label, double *most, char *at)
{
    if (ratio <= *most) return;
    *most = ratio;
    snprintf(at, NODE_CALL_LABEL, "%s", label);
}

static void note(const char *label, worst *kernels)
{
    for (int n = 0; n < sim_kernel_count(); n++) {
        const sim_kernel *k = sim_kernel_at(n);
        if (!k->launches) continue;
        const sim_traffic t = sim_stat_sectors(k);
        worst *w = &kernels[n];
        if (t.needed) keep((double)t.moved / (double)t.needed, label, &w->sectors, w->at[0]);
        keep(sim_stat_conflicts(k), label, &w->conflicts, w->at[1]);
    }
}

enum { WIDE = 640 };

/* Matrix products are the library's. Convolutions of wide inputs walk the same lines for longer. */
static bool is_looked_at(const soda_graph *graph, const soda_node *node)
{
    const soda_shape *x = &graph_value(graph, node->in[0])->shape;
    if (node->op == OP_conv2d || node->op == OP_conv2d_grad_x) return x->dim[3] <= WIDE;
    return node->op != OP_linear && node->op != OP_linear_grad_weight;
}

static bool is_new(const char *label)
{
    static char *seen[MOST_KINDS];
    static int count;
    for (int i = 0; i < count; i++)
        if (strcmp(seen[i], label) == 0) return false;
    if (count == MOST_KINDS) sim_die("more than %d kinds of nodes", MOST_KINDS);
    seen[count++] = strdup(label);
    return true;
}

static soda_status run_node(const soda_graph *graph, const soda_node *node, worst *kernels)
{
    char label[NODE_CALL_LABEL];
    node_call_describe(graph, node, label);
    if (!is_looked_at(graph, node) || !is_new(label)) return SODA_OK;
    clear_counts();
    TRY(status_prefix(node_call_make(graph, node, run, NULL), "%s", label));
    note(label, kernels);
    return SODA_OK;
}

static soda_status run_model(const model_step_name *name, worst *kernels)
{
    model_step m;
    int steps, prologue;
    soda_status s = model_step_open(name, tested_backend(), &m);
    const int *order = s == SODA_OK ? exec_order(m.step.net.exec, &steps, &prologue) : NULL;
    for (int i = 0; s == SODA_OK && i < steps; i++)
        s = run_node(m.step.net.graph, graph_node(m.step.net.graph, order[i]), kernels);
    model_step_close(&m);
    return s;
}

static soda_status run_extra_nodes(soda_dtype dtype, worst *kernels)
{
    soda_graph *graph = NULL;
    soda_status s = traffic_extra_nodes(dtype, &graph);
    for (int i = 0; s == SODA_OK && i < graph_node_count(graph); i++)
        s = run_node(graph, graph_node(graph, i), kernels);
    graph_destroy(graph);
    return s;
}

static soda_status run_updates(worst *kernels)
{
    for (int i = 0; i < TRAFFIC_UPDATES; i++) {
        clear_counts();
        TRY(status_prefix(traffic_extra_update(tested_backend(), i), "%s", traffic_updates[i]));
        note(traffic_updates[i], kernels);
    }
    return SODA_OK;
}

static soda_status run_all(worst *kernels)
{
    for (int i = 0; i < MODEL_STEPS; i++) TRY(run_model(&model_steps[i], kernels));
    TRY(run_extra_nodes(SODA_BF16, kernels));
    TRY(run_extra_nodes(SODA_F32, kernels));
    return run_updates(kernels);
}

int main(void)
{
    worst *kernels = sim_alloc((size_t)sim_kernel_count() * sizeof *kernels);
    if (run_all(kernels) != SODA_OK) {
        fprintf(stderr, "traffic: %s\n", status_message());
        return 1;
    }
    for (int k = 0; k < sim_kernel_count(); k++) {
        const worst *w = &kernels[k];
        const sim_kernel *kernel = sim_kernel_at(k);
        if (!w->at[0][0]) continue;
        printf("%.2f %.2f %u %zu %s | %s | %s\n", w->sectors, w->conflicts, kernel->block_threads,
               kernel->block_shared, kernel->name, w->at[0], w->at[1]);
    }
    free(kernels);
    return 0;
}
