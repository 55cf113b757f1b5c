#include "app/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "model/random_weights.h"

static void add_classes(const soda_graph *graph, const double *seconds, const gpu_speed *gpu,
                        bench_profile *p)
{
    memset(p->op, 0, sizeof p->op);
    memset(p->gradient, 0, sizeof p->gradient);
    p->flops = p->flops_forward = p->forward_s = p->backward_s = 0;
    for (int n = 0; n < graph_node_count(graph); n++) {
        const soda_node *node = graph_node(graph, n);
        const soda_cost cost = graph_node_cost(graph, n);
        bench_class *c = node->backward ? &p->gradient[node->op] : &p->op[node->op];
        if (seconds[n] == 0) continue; /* dead: no output depends on it */
        c->calls++;
        c->seconds += seconds[n];
        c->flops += cost.flops;
        c->bytes += cost.bytes;
        if (gpu) c->predicted_s += gpu_speed_node(gpu, graph, n);
        p->flops += cost.flops;
        *(node->backward ? &p->backward_s : &p->forward_s) += seconds[n];
        if (!node->backward) p->flops_forward += cost.flops;
    }
}

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Since the start. */
static residency_report gathered(const random_step *step)
{
    residency_report report = {0};
    const soda_residency *r = step->step.net.residency;
    if (r->report) r->report(r, &report);
    return report;
}

static soda_status run_once(random_step *step, bench_profile *p)
{
    random_step_times times;
    TRY(random_step_run(step, &times));
    p->best_s = times.all_s;
    p->reduce_s = times.reduce_s;
    p->update_s = times.update_s;
    return SODA_OK;
}

soda_status bench_run(random_step *step, int repeat, const gpu_speed *gpu, bench_profile *profile)
{
    const soda_graph *graph = step->step.net.graph;
    soda_exec *exec = step->step.net.exec;
    const int nodes = graph_node_count(graph);
    double *seconds = malloc((size_t)nodes * sizeof *seconds);
    double *runs = malloc((size_t)repeat * sizeof *runs);
    bench_profile now = {0};
    soda_status s = SODA_OK;
    residency_report before = {0};
    *profile = (bench_profile){.best_s = 1e30};
    if (!seconds || !runs) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto done;
    }
    TRY_TO(done, run_once(step, &now));
    before = gathered(step);
    for (int i = 0; i < repeat; i++) {
        TRY_TO(done, exec_profile(exec, seconds, nodes)); /* starts from zero */
        TRY_TO(done, run_once(step, &now));
        runs[i] = now.best_s;
        TRY_TO(done, exec_profile(exec, seconds, nodes));
        if (now.best_s >= profile->best_s) continue;
        add_classes(graph, seconds, gpu, &now);
        *profile = now;
    }
    qsort(runs, (size_t)repeat, sizeof *runs, rising);
    profile->median_s = runs[repeat / 2];
    profile->residency = gathered(step);
    profile->residency.gathered_bytes =
        (profile->residency.gathered_bytes - before.gathered_bytes) / (size_t)repeat;
    profile->residency.gather_s = (profile->residency.gather_s - before.gather_s) / repeat;
    profile->residency.wait_s = (profile->residency.wait_s - before.wait_s) / repeat;
done:
    free(seconds);
    free(runs);
    return s;
}

enum { PRODUCTS = 10 };

/* *seconds, on the device, of the best of PRODUCTS n x n x n products, or of fewer if the host has
 * waited for longer than *wait_s, which counts down. */
static soda_status time_product(const soda_backend *backend, soda_dtype dtype, int64_t n,
                                double *wait_s, double *seconds)
{
    soda_device *d = backend->device;
    soda_network net = {0};
    soda_weight_source *source = NULL;
    soda_weight w;
    soda_status s = SODA_OK;
    TRY_TO(done, random_weights_create(1, 1, &source));
    TRY_TO(done, network_create(dtype, &net));
    TRY_TO(done, source->find(source, "w", &SHAPE(n, n), &w));
    const soda_id x = graph_input(net.graph, "x", dtype, SHAPE(n, n));
    graph_output(net.graph, graph_linear(net.graph, x, graph_weight(net.graph, &w), NO_VALUE), "y");
    TRY_TO(done, network_ready(&net, backend, NULL));
    *seconds = 1e30;
    for (int i = 0; i<PRODUCTS && * wait_s> 0; i++) {
        const double start_s = log_seconds();
        double elapsed_s = 0;
        TRY_TO(done, d->mark(d, 0));
        TRY_TO(done, exec_run(net.exec));
        TRY_TO(done, d->mark(d, 1));
        TRY_TO(done, d->elapsed(d, 0, 1, &elapsed_s));
        if (elapsed_s < *seconds) *seconds = elapsed_s;
        *wait_s -= log_seconds() - start_s;
    }
done:
    network_close(&net);
    random_weights_destroy(source);
    return s;
}

/* A CPU is as fast as it gets at these sizes; a GPU wants large ones, which a simulated one would
 * take minutes for. */
static const int64_t host_sides[] = {768, 1152, 1536, 0},
                     device_sides[] = {256, 512, 1024, 2048, 4096, 8192, 0};

soda_status bench_roof(const soda_backend *backend, soda_dtype dtype, double *flops_per_s)
{
    const bool host = backend->device->host;
    double wait_s = host ? (double)INFINITY : 1;
    *flops_per_s = 0;
    for (const int64_t *n = host ? host_sides : device_sides; *n && wait_s > 0; n++) {
        double seconds = 0;
        TRY(time_product(backend, dtype, *n, &wait_s, &seconds));
        const double rate = 2.0 * (double)*n * (double)*n * (double)*n / seconds;
        if (rate > *flops_per_s) *flops_per_s = rate;
    }
    return SODA_OK;
}

static void print_class(const char *prefix, soda_op op, const bench_class *c, double total_s,
                        double roof)
{
    char name[64];
    if (!c->calls) return;
    snprintf(name, sizeof name, "%s%s", prefix, op_rows[op].name);
    printf("%-30s %6d %9.4f %6.1f %10.2f %9.3f %9.1f %6.1f\n", name, c->calls, c->seconds,
           100 * c->seconds / total_s, c->flops * 1e-9, c->bytes * 1e-9,
           c->flops * 1e-9 / c->seconds, 100 * c->flops / c->seconds / roof);
}

void bench_print(const bench_profile *p, double roof)
{
    double total_s = 0;
    for (int i = 0; i < OP_COUNT; i++) total_s += p->op[i].seconds + p->gradient[i].seconds;
    printf("%-30s %6s %9s %6s %10s %9s %9s %6s\n", "operator", "calls", "seconds", "time%", "GFLOP",
           "GB", "GFLOP/s", "roof%");
    for (int i = 0; i < OP_COUNT; i++) print_class("", (soda_op)i, &p->op[i], total_s, roof);
    for (int i = 0; i < OP_COUNT; i++)
        print_class("backward: ", (soda_op)i, &p->gradient[i], total_s, roof);
    printf("%-30s %6s %9.4f %6.1f %10.2f %9s %9.1f %6.1f\n", "all", "", total_s, 100.0,
           p->flops * 1e-9, "", p->flops * 1e-9 / total_s, 100 * p->flops / total_s / roof);
}
