#include "plan/whole_step.h"

#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backend/residency.h"
#include "core/log.h"
#include "model/random_weights.h"
#include "plan/some_inputs.h"

enum { RUNS = 5, MOST_RANKS = 16 };
static const size_t MOST_BYTES = (size_t)256 << 20; /* of weights and activations of a rank */

typedef struct {
    pthread_mutex_t gate; /* closed until it is known how many there are */
    pthread_barrier_t begin;
} side_by_side;

/* The network on one rank. */
typedef struct {
    training_model model;
    soda_params params;
    soda_step step;
    double
        *seconds; /* [RUNS][nodes]; NULL: not timed, since a device times one network at a time */
    double total_s[RUNS];
    int threads;
    side_by_side *all;
    pthread_t thread;
    status_slot failure;
} rank_copy;

static soda_status open_copy(const soda_outline *o, const soda_step *like,
                             soda_weight_source *weights, rank_copy *c)
{
    const outline_request *r = o->request;
    soda_residency *residency;
    step_shape shape = like->shape;
    shape.recompute = like->recomputed ? RECOMPUTE_FULL : RECOMPUTE_NONE;
    shape.image = NULL;
    TRY(resident_create(r->backend->device, &residency));
    residency->rebuilds = o->model.residency->rebuilds;
    TRY(training_model_outline(o->folder, r->config, r->backend, weights, residency, &c->model));
    TRY(training_model_draw_bases(&c->model, weights));
    TRY(params_create(c->model.layers, &r->config->adapter.options, r->backend, &c->params));
    TRY(step_open(&c->model, &c->params, &shape, &c->step));
    TRY(some_inputs_write(c->step.net.exec, c->step.net.graph));
    c->threads = r->backend->threads;
    return SODA_OK;
}

static soda_status time_copy(rank_copy *c)
{
    const size_t nodes = (size_t)graph_node_count(c->step.net.graph);
    c->seconds = malloc((RUNS * nodes + 1) * sizeof *c->seconds);
    return c->seconds ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
}

static void close_copy(rank_copy *c)
{
    step_close(&c->step);
    params_destroy(&c->params);
    training_model_close(&c->model);
    free(c->seconds);
}

/* The first run, which warms up, is written over. */
static soda_status run_once(rank_copy *c, int run)
{
    soda_exec *exec = c->step.net.exec;
    const int nodes = graph_node_count(c->step.net.graph);
    exec_params_changed(exec);
    if (!c->seconds) return exec_run(exec);
    double *seconds = c->seconds + (size_t)run * (size_t)nodes;
    TRY(exec_profile(exec, seconds, nodes)); /* starts from zero */
    const double start_s = log_seconds();
    TRY(exec_run(exec));
    c->total_s[run] = log_seconds() - start_s;
    return exec_profile(exec, seconds, nodes);
}

static void *run_copy(void *copy)
{
    rank_copy *c = copy;
    omp_set_num_threads(c->threads);
    pthread_mutex_lock(&c->all->gate);
    pthread_mutex_unlock(&c->all->gate);
    for (int run = -1; run < RUNS; run++) {
        pthread_barrier_wait(&c->all->begin);
        status_keep(&c->failure, run_once(c, run < 0 ? 0 : run));
    }
    return NULL;
}

/* Runs all copies side by side; fewer, if there are no threads for them. */
static soda_status run_all(rank_copy *copies, int count)
{
    side_by_side all = {.gate = PTHREAD_MUTEX_INITIALIZER};
    int started = 1;
    soda_status s = SODA_OK;
    pthread_mutex_lock(&all.gate);
    for (int i = 0; i < count; i++) copies[i].all = &all;
    for (; started < count; started++)
        if (pthread_create(&copies[started].thread, NULL, run_copy, &copies[started]) != 0) break;
    (void)pthread_barrier_init(&all.begin, NULL, (unsigned)started); /* fails for 0 alone */
    pthread_mutex_unlock(&all.gate);
    run_copy(&copies[0]);
    for (int i = 1; i < started; i++) pthread_join(copies[i].thread, NULL);
    for (int i = 0; i < started && s == SODA_OK; i++) s = status_take(&copies[i].failure);
    pthread_barrier_destroy(&all.begin);
    pthread_mutex_destroy(&all.gate);
    return s;
}

/* Others may use the machine now: what delays a run is not the network. */
static int fastest_run(const rank_copy *c)
{
    int best = 0;
    for (int run = 1; run < RUNS; run++)
        if (c->total_s[run] < c->total_s[best]) best = run;
    return best;
}

static soda_status measure(const soda_outline *o, const soda_step *step, int count, op_times *times)
{
    soda_weight_source *weights = NULL;
    rank_copy *copies = calloc((size_t)count, sizeof *copies);
    soda_status s = copies ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
    if (s == SODA_OK) s = random_weights_create(0.02f, 1, &weights);
    for (int i = 0; i < count && s == SODA_OK; i++) s = open_copy(o, step, weights, &copies[i]);
    if (s == SODA_OK) s = time_copy(&copies[0]);
    if (s == SODA_OK) s = run_all(copies, count);
    if (s == SODA_OK) {
        const soda_network *net = &copies[0].step.net;
        const size_t at = (size_t)fastest_run(&copies[0]) * (size_t)graph_node_count(net->graph);
        s = op_times_set(net->graph, net->exec, copies[0].seconds + at, times);
    }
    for (int i = 0; copies && i < count; i++) close_copy(&copies[i]);
    free(copies);
    random_weights_destroy(weights);
    return s;
}

soda_status whole_step_measure(const soda_outline *o, const soda_step *step, int ranks,
                               double budget_s, op_times *times)
{
    const double run_s = times->prologue_s + times->rest_s;
    const size_t bytes = exec_arena_bytes(step->net.exec) + ledger_report(o->model.residency).all;
    const bool partly = step->recomputed > 0 && step->recomputed < step->segments;
    const int cores = omp_get_num_procs() / o->request->backend->threads;
    int count = ranks < cores ? ranks : cores;
    if (count > MOST_RANKS) count = MOST_RANKS;
    if (count < 1) count = 1;
    if (o->model.text_encoder || partly || bytes > MOST_BYTES) return SODA_OK;
    if ((RUNS + 1) * run_s > budget_s) return SODA_OK;
    return measure(o, step, count, times);
}
