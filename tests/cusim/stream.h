/* Streams, events and graphs: between stream.c, graph.c and runtime.c. */
#ifndef SIM_STREAM_H
#define SIM_STREAM_H

#include "sim.h"

typedef struct { /* one piece of work */
    void (*run)(void *context);
    bool (*ready)(const void *context); /* NULL: at once */
    void *context;                      /* freed after the run, or with the graph */
    const char *what;
} sim_work;

struct CUevent_st {
    uint64_t recorded, done; /* how often; 0: never recorded */
    double time_s;
    cudaStream_t stream; /* of the last record */
    struct CUgraph_st *capture;
    bool destroyed;
};

struct CUstream_st {
    sim_work *queue;
    size_t first, count; /* work that waits is [first, count) */
    bool nonblocking;
    struct CUgraph_st *capture; /* NULL: runs */
    bool origin;                /* of the capture */
};

struct CUgraph_st { /* work in the order in which it was captured, which respects all dependences */
    sim_work *work;
    size_t count;
    bool broken;
    int references; /* the graph's own and those of its executables */
};

cudaStream_t sim_stream(cudaStream_t s); /* the default stream for 0 */
bool sim_stream_known(cudaStream_t s);
void sim_stream_run(cudaStream_t s);     /* all that waits in it */
void sim_stream_advance(cudaStream_t s); /* up to the first piece that is not ready */

/* As sim_enqueue, for a piece that cannot run before `ready` says so: the stream waits for it. */
void sim_enqueue_when(cudaStream_t stream, bool (*ready)(const void *), void (*run)(void *),
                      void *context, const char *what);

#endif
