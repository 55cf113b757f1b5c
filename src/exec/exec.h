/* exec.h: plans memory for a graph, prepares its nodes on a backend, and runs it. */
#pragma once

#include "backend/backend.h"
#include "backend/residency.h"
#include "graph/graph.h"

typedef struct soda_exec soda_exec;

/* A leaf or an output whose memory is the caller's: on the backend's device, aligned as the device
 * wants it, as large as the value, and there as long as the exec. Values that share memory in the
 * graph cannot be bound to different memory. */
typedef struct {
    soda_id value;
    void *memory;
} exec_binding;

typedef struct {
    const exec_binding *list; /* not needed after the call */
    int count;
} exec_bindings;

/* Prepares the nodes of `graph` (which must outlive the result) and plans memory for all values but
 * those that are `bound` (NULL: none). Nothing large is allocated yet: how many bytes there will be
 * is known now. */
soda_status exec_plan(const soda_graph *graph, const soda_backend *backend,
                      const exec_bindings *bound, soda_exec **exec);

/* Makes what was planned, on the backend's device: forms of weights that `residency` (which must
 * outlive the exec) does not have yet, and the arena. Once; a run allocates nothing. */
soda_status exec_commit(soda_exec *exec, soda_residency *residency);
void exec_destroy(soda_exec *exec);

/* Copies an input or param from `data`, or an output to `data`, both on the host: the type and the
 * bytes of the value. */
soda_status exec_write(soda_exec *exec, soda_id value, const void *data, size_t bytes);
soda_status exec_read(const soda_exec *exec, soda_id value, void *data, size_t bytes);

/* The same by name, as fp32, whatever the value's type; `count` elements. */
soda_status exec_write_f32(soda_exec *exec, const char *name, const float *data, int64_t count);
soda_status exec_read_f32(const soda_exec *exec, const char *name, float *data, int64_t count);

/* Says that params were written to memory they are bound to. */
void exec_params_changed(soda_exec *exec);

/* Queues all nodes on the device. Nodes that depend only on weights and params run again only after
 * a param was written. On a device that records, the second run with these nodes and the second run
 * without them are recorded, and all later ones are replayed. */
soda_status exec_run(soda_exec *exec);

/* Work that belongs behind each run, and is recorded with it. Before the first run. */
void exec_append(soda_exec *exec, device_work work);

/* How often exec_run was called, or exec_walk in its place. */
int64_t exec_runs(const soda_exec *exec);

/* Until there were `runs` runs: takes part in what ranks that share weights do in them together,
 * and runs no node but those that the next run would find done. For a rank that has no work of its
 * own in these runs, or that failed before them. */
soda_status exec_walk(soda_exec *exec, int64_t runs);

/* Bytes of activations and scratch that the plan needs, without those of bound values. */
size_t exec_arena_bytes(const soda_exec *exec);

/* The nodes that an output depends on, in the order in which they run: *steps of them, of which the
 * first *prologue depend only on weights and params. */
const int *exec_order(const soda_exec *exec, int *steps, int *prologue);

/* The forms of frozen weights that the nodes want. */
soda_weights *exec_weights(const soda_exec *exec);

/* Seconds spent in each node since the last call of exec_profile; timing is on once called. */
soda_status exec_profile(soda_exec *exec, double *seconds, int nodes);
