/* traffic.c: prints how kernels of cuda/ use memory in the steps of model_step.h, at their true
 * sizes: for each kernel the worst ratio of sectors of 32 bytes moved to those that the bytes would
 * need side by side, the worst instruction on shared memory (passes over the banks to the least),
 * the largest block and its shared memory, and where the two worst were.
 *
 * Every kind of node runs once, on memory that nobody has written, with CUSIM_SAMPLE blocks of each
 * launch: what it computes means nothing, what it touches is what it touches in a run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/gpu.h"
#include "cuda/model_step.h"
#include "cusim/sim.h"
#include "support/tested.h"

enum { MOST_KINDS = 2000, LABEL = 200 };

typedef struct { /* of one kernel */
    double sectors, conflicts;
    char at[2][LABEL]; /* where */
} worst;

/* ---- one node ---- */
static bool is_weight(const soda_graph *graph, soda_id id)
{
    while (graph_value(graph, id)->view_of != NO_VALUE) id = graph_value(graph, id)->view_of;
    return graph_value(graph, id)->kind == VALUE_WEIGHT;
}

static void describe(const soda_graph *graph, const soda_node *node, char *label)
{
    int length = snprintf(label, LABEL, "%s", op_rows[node->op].name);
    for (int i = 0; i < op_rows[node->op].most_inputs; i++) {
        if (node->in[i] == NO_VALUE) continue;
        const soda_value *v = graph_value(graph, node->in[i]);
        length += snprintf(label + length, LABEL - (size_t)length, " %s", dtype_name(v->dtype));
        for (int d = 0; d < v->shape.rank; d++)
            length += snprintf(label + length, LABEL - (size_t)length, "%c%lld", d ? 'x' : ' ',
                               (long long)v->shape.dim[d]);
    }
}

static soda_status take(soda_device *d, soda_tensor *t)
{
    return d->alloc(d, tensor_bytes(t), &t->data);
}

static void fill_call(const soda_graph *graph, const soda_node *node, soda_weight *weight,
                      soda_call *call)
{
    static const char *const names[SODA_MAX_INPUTS] = {"0", "1", "2", "3", "4", "5"};
    *call = (soda_call){.attr = &node->attr,
                        .inputs = op_rows[node->op].most_inputs,
                        .outputs = op_rows[node->op].outputs};
    for (int i = 0; i < call->inputs; i++) {
        if (node->in[i] == NO_VALUE) continue;
        const soda_value *v = graph_value(graph, node->in[i]);
        call->in[i] = (soda_tensor){.dtype = v->dtype, .shape = v->shape};
        if (!is_weight(graph, node->in[i])) continue;
        weight[i] = (soda_weight){.name = names[i], .source = call->in[i]};
        call->weight[i] = &weight[i];
    }
    for (int i = 0; i < call->outputs; i++) {
        const soda_value *v = graph_value(graph, node->out[i]);
        call->out[i] = (soda_tensor){.dtype = v->dtype, .shape = v->shape};
    }
}

static soda_status run_call(const soda_kernel *kernel, soda_call *call, soda_weights *weights)
{
    soda_device *d = tested_backend()->device;
    if (kernel->prepare) TRY(kernel->prepare(call, weights));
    for (int i = 0; i < weights->use_count; i++)
        TRY(d->alloc(d, weights->entries[weights->uses[i].entry].form.bytes,
                     &call->form[weights->uses[i].input]));
    for (int i = 0; i < call->inputs; i++)
        if (call->in[i].shape.rank && !call->weight[i]) TRY(take(d, &call->in[i]));
    for (int i = 0; i < call->outputs; i++) TRY(take(d, &call->out[i]));
    if (call->scratch_bytes) TRY(d->alloc(d, call->scratch_bytes, &call->scratch));
    TRY(kernel->run(call));
    return d->wait(d);
}

static soda_status run_node(const soda_graph *graph, const soda_node *node)
{
    const soda_kernel *kernel = tested_backend()->kernel[node->op];
    soda_device *d = tested_backend()->device;
    soda_weight weight[SODA_MAX_INPUTS];
    soda_weights *weights;
    soda_call call;
    fill_call(graph, node, weight, &call);
    TRY(weights_create(&weights));
    const soda_status s = run_call(kernel, &call, weights);
    if (kernel->release) kernel->release(&call);
    for (int i = 0; i < call.inputs; i++) {
        d->release(d, call.in[i].data);
        d->release(d, call.form[i]);
    }
    for (int i = 0; i < call.outputs; i++) d->release(d, call.out[i].data);
    d->release(d, call.scratch);
    weights_destroy(weights);
    return s;
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
    snprintf(at, LABEL, "%s", label);
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

static soda_status run_model(const model_step_name *name, worst *kernels)
{
    model_step m;
    int steps, prologue;
    soda_status s = model_step_open(name, tested_backend(), &m);
    const int *order = s == SODA_OK ? exec_order(m.step.net.exec, &steps, &prologue) : NULL;
    for (int i = 0; s == SODA_OK && i < steps; i++) {
        const soda_node *node = graph_node(m.step.net.graph, order[i]);
        char label[LABEL];
        describe(m.step.net.graph, node, label);
        if (!is_looked_at(m.step.net.graph, node) || !is_new(label)) continue;
        clear_counts();
        s = status_prefix(run_node(m.step.net.graph, node), "%s", label);
        note(label, kernels);
    }
    model_step_close(&m);
    return s;
}

int main(void)
{
    worst *kernels = sim_alloc((size_t)sim_kernel_count() * sizeof *kernels);
    for (int i = 0; i < MODEL_STEPS; i++) {
        if (run_model(&model_steps[i], kernels) == SODA_OK) continue;
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
