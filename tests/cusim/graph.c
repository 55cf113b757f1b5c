/* Graphs made by capture: a launch is one piece of work that runs all of them in their order. */
#include "stream.h"

#include <stdlib.h>

#include "cuda_runtime_api.h"

struct CUgraphExec_st {
    struct CUgraph_st *graph;
};

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
    g->references++;
    return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t g, cudaGraphNode_t *nodes, size_t *count)
{
    if (!g || !count || nodes) return sim_fail(cudaErrorInvalidValue); /* only the number */
    *count = g->count;
    return cudaSuccess;
}

static void run_graph(void *context)
{
    const struct CUgraph_st *g = *(struct CUgraph_st *const *)context;
    for (size_t k = 0; k < g->count; k++) g->work[k].run(g->work[k].context);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t s)
{
    if (!executable) return sim_fail(cudaErrorInvalidValue);
    struct CUgraph_st **context = sim_alloc(sizeof(struct CUgraph_st *));
    *context = executable->graph;
    sim_enqueue(s, run_graph, context, "graph launch");
    return cudaSuccess;
}

/* Launches that have not run yet finish first. */
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable)
{
    if (!executable) return sim_fail(cudaErrorInvalidValue);
    sim_stream_drain();
    const cudaError_t error = cudaGraphDestroy(executable->graph);
    free(executable);
    return error;
}
