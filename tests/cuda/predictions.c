/* predictions.c: prints, as tables in Markdown, what training steps of published models should take
 * on GPUs: predictions from the flops and bytes of the nodes of their graphs and from the rates of
 * src/plan/gpus.def. No GPU ran any of it.
 *
 * Which kernels a node launches, with how many threads and how much shared memory, is what the
 * simulator captures; nothing is executed. Nodes that launch the same kernels are one row. Then a
 * line for each kernel of cuda/, from which predictions.sh computes occupancy:
 *
 *     kernel THREADS SHARED-BYTES LAUNCHED NAME   of its largest block; LAUNCHED 0: its launch
 * bound
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/gpu.h"
#include "cuda/model_step.h"
#include "cuda/node_call.h"
#include "cusim/sim.h"
#include "cusim/stream.h"
#include "plan/gpu_speed.h"
#include "support/tested.h"

enum { GPUS = 3, STEPS = 6, MOST_KINDS = 2000, MOST_ROWS = 200, ROW_NAME = 1000 };
static const char *const gpu_names[GPUS] = {"a100", "h100", "h200"};
static const gpu_speed *gpus[GPUS];

static const model_step_name steps[STEPS] = {
    {"sd15", "soda_svd", SODA_BF16, 1, 64},  {"sd15", "soda_svd", SODA_BF16, 8, 64},
    {"sdxl", "soda_svd", SODA_BF16, 1, 128}, {"sdxl", "soda_svd", SODA_BF16, 4, 128},
    {"sdxl", "soda_lq", SODA_BF16, 1, 128},  {"sd15", "soda_svd", SODA_F32, 1, 64},
};

typedef struct {
    char name[ROW_NAME]; /* of the kernels */
    int nodes;
    double flops, bytes, ms[GPUS];
} total;

typedef struct {
    total all, rows[MOST_ROWS];
    int count;
} table;

typedef struct { /* of one kernel: its largest block */
    unsigned threads;
    size_t shared;
} block;
static block *blocks;

/* ---- what a node launches ---- */
static void note_block(const sim_launched *l)
{
    int k = 0;
    while (sim_kernel_at(k) != l->kernel) k++;
    const unsigned threads = l->block.x * l->block.y * l->block.z;
    const size_t shared = l->shared + l->kernel->shared_used;
    if (threads > blocks[k].threads) blocks[k].threads = threads;
    if (shared > blocks[k].shared) blocks[k].shared = shared;
}

static bool is_kernel(const char *name)
{
    for (int k = 0; k < sim_kernel_count(); k++)
        if (sim_kernel_at(k)->name == name) return true;
    return false;
}

/* Appends what is new. */
static void add_name(char list[ROW_NAME], const char *name)
{
    char quoted[ROW_NAME];
    snprintf(quoted, sizeof quoted, "`%s`", name);
    if (strstr(list, quoted)) return;
    const size_t length = strlen(list);
    if (length + strlen(quoted) + 3 > ROW_NAME) sim_die("%s: too many kernels for one row", list);
    snprintf(list + length, ROW_NAME - length, "%s%s", length ? ", " : "", quoted);
}

static soda_status capture(const soda_kernel *kernel, soda_call *call, void *context)
{
    cudaGraph_t graph;
    GPU_TRY(cudaStreamBeginCapture(gpu_stream(), cudaStreamCaptureModeThreadLocal));
    const soda_status s = kernel->run(call);
    GPU_TRY(cudaStreamEndCapture(gpu_stream(), &graph));
    for (size_t i = 0; i < graph->count; i++) {
        const sim_work *w = &graph->work[i];
        if (is_kernel(w->what)) note_block(w->context);
        add_name(context, w->what);
    }
    GPU_TRY(cudaGraphDestroy(graph));
    return s;
}

/* The kernels of a node, in *names, which lives on; nodes with the same operands launch the same.
 */
static soda_status launched(const soda_graph *graph, const soda_node *node, const char **names)
{
    static struct {
        char label[NODE_CALL_LABEL + 100], names[ROW_NAME];
    } * known[MOST_KINDS];
    static int count;
    char label[NODE_CALL_LABEL + 100];
    node_call_describe(graph, node, label);
    const soda_shape *out = &graph_value(graph, node->out[0])->shape;
    for (int d = 0; d < out->rank; d++)
        snprintf(label + strlen(label), sizeof label - strlen(label), " %lld",
                 (long long)out->dim[d]);
    int k = 0;
    while (k < count && strcmp(known[k]->label, label) != 0) k++;
    if (k == count) {
        if (count == MOST_KINDS) sim_die("more than %d kinds of nodes", MOST_KINDS);
        known[count] = sim_alloc(sizeof **known);
        snprintf(known[count]->label, sizeof label, "%s", label);
        TRY(status_prefix(node_call_make(graph, node, capture, known[count]->names), "%s", label));
        count++;
    }
    *names = known[k]->names;
    return SODA_OK;
}

/* ---- steps ---- */
static void add_node(total *t, const soda_graph *graph, int node)
{
    const soda_cost cost = graph_node_cost(graph, node);
    t->nodes++;
    t->flops += cost.flops;
    t->bytes += cost.bytes;
    for (int g = 0; g < GPUS; g++) t->ms[g] += 1e3 * gpu_speed_node(gpus[g], graph, node);
}

static soda_status add_to_row(table *t, const soda_graph *graph, int node)
{
    const char *names;
    int r = 0;
    TRY(launched(graph, graph_node(graph, node), &names));
    while (r < t->count && strcmp(t->rows[r].name, names) != 0) r++;
    if (r == MOST_ROWS) sim_die("more than %d rows", MOST_ROWS);
    if (r == t->count) snprintf(t->rows[t->count++].name, ROW_NAME, "%s", names);
    add_node(&t->rows[r], graph, node);
    return SODA_OK;
}

/* All nodes of a step, those of the prologue too, as at batch 1 and one micro-batch per step. */
static soda_status count(const model_step_name *name, table *t)
{
    model_step m;
    int nodes = 0, prologue;
    soda_status s = model_step_open(name, tested_backend(), &m);
    const int *order = s == SODA_OK ? exec_order(m.step.net.exec, &nodes, &prologue) : NULL;
    for (int i = 0; s == SODA_OK && i < nodes; i++) {
        add_node(&t->all, m.step.net.graph, order[i]);
        if (name->batch == 1) s = add_to_row(t, m.step.net.graph, order[i]);
    }
    model_step_close(&m);
    return s;
}

/* ---- printing ---- */
static void print_total(const total *t)
{
    printf(" %d | %.3g | %.3g |", t->nodes, t->flops * 1e-12, t->bytes * 1e-9);
    for (int g = 0; g < GPUS; g++) printf(" %.3g |", t->ms[g]);
    printf("\n");
}

static void print_head(const char *what)
{
    printf("| %s | nodes | TFLOP | GB |", what);
    for (int g = 0; g < GPUS; g++) printf(" %s, ms |", gpus[g]->title);
    printf("\n|---|---|---|---|---|---|---|\n");
}

/* The longest on an H100 first. */
static int by_time(const void *a, const void *b)
{
    const total *x = a, *y = b;
    if (x->ms[1] != y->ms[1]) return x->ms[1] < y->ms[1] ? 1 : -1;
    return strcmp(x->name, y->name);
}

static void print_rows(const model_step_name *m, table *t)
{
    printf("\n### %s, %s, %s, batch 1\n\n", m->arch, m->method, dtype_name(m->dtype));
    print_head("what nodes launch");
    qsort(t->rows, (size_t)t->count, sizeof *t->rows, by_time);
    for (int r = 0; r < t->count; r++) {
        printf("| %s |", t->rows[r].name[0] ? t->rows[r].name : "nothing");
        print_total(&t->rows[r]);
    }
    printf("| all |");
    print_total(&t->all);
}

static void print_steps(const table *tables)
{
    print_head("step");
    for (int i = 0; i < STEPS; i++) {
        const model_step_name *m = &steps[i];
        printf("| %s, %s, %s, latents %lldx%lld, batch %lld |", m->arch, m->method,
               dtype_name(m->dtype), (long long)m->latent, (long long)m->latent,
               (long long)m->batch);
        print_total(&tables[i].all);
    }
}

static void print_blocks(void)
{
    for (int k = 0; k < sim_kernel_count(); k++) {
        sim_kernel *kernel = sim_kernel_at(k);
        const block *b = &blocks[k];
        sim_kernel_ready(kernel);
        printf("kernel %u %zu %d %s\n", b->threads ? b->threads : (unsigned)kernel->max_threads,
               b->threads ? b->shared : (size_t)kernel->shared_used, b->threads > 0, kernel->name);
    }
}

static soda_status run(table *tables)
{
    for (int g = 0; g < GPUS; g++) TRY(gpu_speed_find(gpu_names[g], &gpus[g]));
    for (int i = 0; i < STEPS; i++) TRY(count(&steps[i], &tables[i]));
    print_steps(tables);
    for (int i = 0; i < STEPS; i++)
        if (steps[i].batch == 1) print_rows(&steps[i], &tables[i]);
    print_blocks();
    return SODA_OK;
}

int main(void)
{
    static table tables[STEPS];
    blocks = sim_alloc((size_t)sim_kernel_count() * sizeof *blocks);
    const soda_status s = run(tables);
    if (s != SODA_OK) fprintf(stderr, "predictions: %s\n", status_message());
    free(blocks);
    return s != SODA_OK;
}
