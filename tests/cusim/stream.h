/* Streams, events and graphs: between stream.c, graph.c and runtime.c. */
#ifndef SIM_STREAM_H
#define SIM_STREAM_H

#include "order.h"

typedef struct { /* one piece of work */
    void (*run)(void *context);
    bool (*ready)(const void *context); /* NULL: at once */
    void *context;                      /* freed after the run, or with the graph */
    const char *what;
    sim_piece piece; /* in a graph: lines are its branches, and numbers count from its start */
} sim_work;

struct CUevent_st {
    uint64_t recorded, done; /* how often; 0: never recorded */
    double time_s;
    cudaStream_t stream; /* of the last record */
    struct CUgraph_st *capture;
    sim_past past; /* of who waits for the last record */
};

struct CUstream_st {
    sim_work *queue;
    size_t first, count; /* work that waits is [first, count) */
    bool nonblocking;
    int line;
    sim_past past;
    struct CUgraph_st *capture; /* NULL: runs */
    int branch;                 /* of the capture; 0: where it began */
    sim_past captured;          /* past within the capture */
};

struct CUgraph_st { /* work in the order in which it was captured, which respects all dependences */
    sim_work *work;
    size_t count;
    int branches;
    uint32_t pieces[SIM_LINES]; /* of each branch */
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
