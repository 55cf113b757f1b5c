/* Graphs made by capture: a launch is one piece of work that runs all of them in their order. Each
 * has a place of its own in what order.h checks. */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "cuda_runtime_api.h"

struct CUgraphExec_st {
    struct CUgraph_st *graph;
    int line[SIM_LINES]; /* of each branch but the first, which is the stream's that launches it */
};

typedef struct { /* one launch */
    struct CUgraph_st *graph;
    int line[SIM_LINES];      /* of each branch */
    uint32_t base[SIM_LINES]; /* number on the line before the branch's first piece */
} launch;

cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    if (!g) return sim_fail(cudaErrorInvalidValue);
    if (--g->references) return cudaSuccess;
    for (size_t k = 0; k < g->count; k++) free(g->work[k].context);
    free(g->work);
    free(g);
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t g,
                                 unsigned long long flags)
{
    if (!executable || !g || flags) return sim_fail(cudaErrorInvalidValue);
    *executable = sim_alloc(sizeof **executable);
    (*executable)->graph = g;
    for (int b = 1; b < g->branches; b++) (*executable)->line[b] = sim_line_new();
    g->references++;
    return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t g, cudaGraphNode_t *nodes, size_t *count)
{
    if (!g || !count || nodes) return sim_fail(cudaErrorInvalidValue); /* only the number */
    *count = g->count;
    return cudaSuccess;
}

/* What comes before a piece: what came before the launch, the launch before this one, and in the
 * graph what was captured. */
static sim_piece placed(const launch *l, const sim_piece *whole, const sim_piece *captured)
{
    sim_piece p = {whole->past, l->base[captured->line] + captured->number,
                   l->line[captured->line]};
    for (int b = 0; b < l->graph->branches; b++)
        p.past.until[l->line[b]] = l->base[b] + captured->past.until[b];
    return p;
}

static void run_graph(void *context)
{
    const launch *l = context;
    const sim_piece whole = *sim_piece_now();
    const uint64_t before = sim_count.launches;
    for (size_t k = 0; k < l->graph->count; k++) {
        const sim_work *w = &l->graph->work[k];
        const sim_piece piece = placed(l, &whole, &w->piece);
        sim_piece_run(&piece, w->run, w->context, w->what);
    }
    sim_count.graph_kernels += sim_count.launches - before;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream)
{
    if (!executable) return sim_fail(cudaErrorInvalidValue);
    cudaStream_t s = sim_stream(stream);
    if (s->capture) sim_die("graph launch: in a capture it is not simulated");
    struct CUgraph_st *g = executable->graph;
    sim_count.graph_launches++;
    sim_count.queued++;
    launch *l = sim_alloc(sizeof *l);
    *l = (launch){.graph = g};
    memcpy(l->line, executable->line, sizeof l->line);
    l->line[0] = s->line;
    for (int b = 0; b < g->branches; b++) l->base[b] = sim_line_take(l->line[b], g->pieces[b]);
    sim_past after = {{0}};
    for (int b = 0; b < g->branches; b++) after.until[l->line[b]] = l->base[b] + g->pieces[b];
    sim_enqueue(s, run_graph, l, "graph launch");
    sim_past_join(&s->past, &after);
    return cudaSuccess;
}

/* Launches that have not run yet finish first. */
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable)
{
    if (!executable) return sim_fail(cudaErrorInvalidValue);
    sim_stream_drain();
    for (int b = 1; b < executable->graph->branches; b++) sim_line_free(executable->line[b]);
    const cudaError_t error = cudaGraphDestroy(executable->graph);
    free(executable);
    return error;
}
