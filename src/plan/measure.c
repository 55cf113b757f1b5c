#include "plan/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/sha256.h"
#include "model/random_weights.h"
#include "plan/one_node.h"
#include "plan/whole_step.h"
#include "train/findings.h"

enum {
    BUFFER = 32 << 20,  /* bytes that are copied and hashed */
    LATER_NETWORKS = 4, /* their nodes are mostly known: they get this part of the time */
    UPDATE_KERNELS =
        32 /* about as many a GPU runs behind its network: sums, norm, clip, optimizers */
};

static const double ASSUMED_BYTES_PER_S = 1.25e9, ASSUMED_LATENCY_S = 50e-6;

static plan_figure given_or(double given, double assumed)
{
    return given > 0 ? (plan_figure){given, "given"} : (plan_figure){assumed, "assumed"};
}

/* Ranks of a node exchange by copies into shared memory and out of it: two for each byte. */
static soda_status measure_memory(plan_figures *f)
{
    uint8_t digest[SHA256_BYTES];
    char *from = malloc(BUFFER), *to = malloc(BUFFER);
    soda_status s = from && to ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
    if (s != SODA_OK) goto done;
    memset(from, 1, BUFFER);
    memset(to, 2, BUFFER);
    double start_s = log_seconds();
    memcpy(to, from, BUFFER);
    memcpy(from, to, BUFFER);
    f->node_bytes_per_s = (plan_figure){BUFFER / (log_seconds() - start_s), "measured"};
    start_s = log_seconds();
    TRY_TO(done, sha256_memory(from, BUFFER, digest));
    f->hash_bytes_per_s = (plan_figure){BUFFER / (log_seconds() - start_s), "measured"};
done:
    free(from);
    free(to);
    return s;
}

/* The node that reads the largest weight. */
static int heaviest(const soda_graph *graph)
{
    int best = 0;
    int64_t most = 0;
    for (int n = 0; n < graph_node_count(graph); n++) {
        const soda_node *node = graph_node(graph, n);
        for (int i = 0; i < SODA_MAX_INPUTS; i++) {
            const soda_value *v = node->in[i] == NO_VALUE ? NULL : graph_value(graph, node->in[i]);
            if (!v || v->kind != VALUE_WEIGHT || shape_count(&v->shape) <= most) continue;
            most = shape_count(&v->shape);
            best = n;
        }
    }
    return best;
}

/* The faster of two: what the first waits for is often memory that this machine must find first. */
static soda_status measure_packing(const soda_outline *o, plan_figures *f)
{
    soda_weight_source *weights = NULL;
    const soda_graph *graph = outline_step(o)->net.graph;
    one_node_time time[2];
    soda_status s;
    TRY(random_weights_create(0.02f, 1, &weights));
    for (int i = 0; i < 2; i++)
        TRY_TO(done,
               one_node_measure(graph, heaviest(graph), weights, o->request->backend, &time[i]));
    const double pack_s = fmin(time[0].pack_s, time[1].pack_s);
    f->pack_bytes_per_s = (plan_figure){(double)time[0].packed_bytes / pack_s, "measured"};
done:
    random_weights_destroy(weights);
    return s;
}

/* What a rank does behind its network: its part of the reduction, the clip, the optimizers. */
static soda_status measure_update(soda_outline *o, plan_figures *f)
{
    const run_config *c = o->request->config;
    const soda_backend *backend = o->request->backend;
    const params_options options = {c->train.rotation, c->train.spectrum, c->train.clip};
    soda_exchange *exchange = NULL;
    soda_reducer reducer = {0};
    soda_findings found = {0};
    soda_status s;
    TRY(backend->connect(backend->device, comm_self(), &exchange));
    TRY_TO(done, reducer_create(c->parallel.reduction, o->params.length + 1, backend, exchange,
                                &reducer));
    TRY_TO(done, findings_create(backend->device, 1, &found));
    const update_notes notes = findings_notes(&found);
    for (int64_t t = 1; t <= 2; t++) { /* the first warms up */
        const double start_s = log_seconds();
        TRY_TO(done, findings_clear(&found));
        TRY_TO(done, reducer_add(&reducer, o->params.at.gradient, &notes));
        TRY_TO(done, reducer_finish(&reducer, 1, o->params.at.gradient));
        TRY_TO(done, params_step(&o->params, &options, t, 1, &found.at->report));
        TRY_TO(done, findings_read(&found, 1));
        f->update_s = log_seconds() - start_s;
    }
done:
    findings_destroy(&found);
    reducer_destroy(&reducer);
    exchange->close(exchange);
    return s;
}

static soda_status time_network(const soda_outline *o, const soda_step *step,
                                const measure_given *given, double budget_s, op_kinds *known,
                                op_times *times)
{
    const soda_network *net = &step->net;
    op_times_free(times);
    if (given->gpu) return op_times_predict(net->graph, net->exec, given->gpu, times);
    if (given->flops_per_s > 0)
        return op_times_given(net->graph, net->exec, given->flops_per_s, times);
    const double nodes_s = known->count ? budget_s / LATER_NETWORKS : budget_s;
    TRY(op_times_measure(net->graph, net->exec, o->request->backend, nodes_s, known, times));
    return whole_step_measure(o, step, given->per_node, budget_s, times);
}

static soda_status measure_machine(soda_outline *o, const measure_given *given, plan_figures *f)
{
    f->net_bytes_per_s = given_or(given->net_bytes_per_s, ASSUMED_BYTES_PER_S);
    f->net_latency_s = given_or(given->net_latency_s, ASSUMED_LATENCY_S);
    TRY(measure_memory(f));
    TRY(measure_packing(o, f));
    if (!given->gpu) return measure_update(o, f);
    f->node_bytes_per_s = (plan_figure){given->gpu->link_gb_per_s * 1e9, "assumed"};
    f->update_s = UPDATE_KERNELS * given->gpu->node_us * 1e-6;
    return SODA_OK;
}

soda_status measure_figures(soda_outline *o, const measure_given *given, double budget_s,
                            plan_figures *f)
{
    const step_list *frozen = &o->networks.frozen;
    if (!f->net_bytes_per_s.source) TRY(measure_machine(o, given, f));
    TRY(time_network(o, outline_step(o), given, budget_s, &f->kinds, &f->trained));
    if (!frozen->count) return SODA_OK;
    return time_network(o, &frozen->list[0], given, budget_s, &f->kinds, &f->frozen);
}

void measure_free(plan_figures *f)
{
    op_kinds_free(&f->kinds);
    op_times_free(&f->trained);
    op_times_free(&f->frozen);
}
