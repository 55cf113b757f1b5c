#include "app/plan_report.h"

#include <stdio.h>

#include "core/isa.h"

static double mib(size_t bytes) { return (double)bytes / 0x1p20; }

static void print_head(const char *name, const cluster_request *r, const cluster_plan *p)
{
    const run_config *c = r->run.config;
    const cluster_subject *s = &p->subject;
    const int nodes = r->ranks / r->per_node;
    printf("%s: %s, %s, batch %lld, %lld picture%s per step, latents %lldx%lld%s\n", name,
           c->adapter.method->name, dtype_name(c->train.dtype), (long long)c->train.batch,
           (long long)c->train.global_batch, c->train.global_batch > 1 ? "s" : "", (long long)s->h,
           (long long)s->w, s->sizes > 1 ? " (the largest of several sizes)" : "");
    printf("%d rank%s on %d node%s, %d thread%s per rank\n", r->ranks, r->ranks > 1 ? "s" : "",
           nodes, nodes > 1 ? "s" : "", r->run.backend->threads,
           r->run.backend->threads > 1 ? "s" : "");
    const gpu_speed *gpu = r->given.gpu;
    if (gpu)
        printf("predicted for one %s per rank (--device), never measured on one; memory as the %s "
               "backend takes it\n",
               gpu->title, r->run.backend->name);
    else
        printf("planned for CPUs with %s (--isa): forms of weights and speed are those of this "
               "level\n",
               isa_name(isa_now()));
    printf("parameters: %lld frozen, %lld trained (%lld degrees of freedom) in %d layers\n",
           (long long)s->frozen, (long long)s->trained, (long long)s->freedom, s->layers);
}

static void print_row(const cluster_plan *p, const char *kind, const size_t bytes[WEIGHTS_POLICIES])
{
    printf("%-14s", kind);
    for (int i = 0; i < p->count; i++)
        if (p->rows[i].status == SODA_OK)
            printf(" %12.1f", mib(bytes[i]));
        else
            printf(" %12s", "-");
    printf("\n");
}

static void print_remarks(const cluster_plan *p)
{
    for (int i = 0; i < p->count; i++) {
        const advice_row *row = &p->rows[i];
        const char *name = run_weights_names[row->layout.policy];
        if (row->status != SODA_OK) printf("%s: %s\n", name, row->why);
        if (row->recomputed)
            printf("%s: %d of %d blocks recomputed in the backward pass\n", name, row->recomputed,
                   row->segments);
        if (row->status == SODA_OK && row->layout.policy == WEIGHTS_SHARD)
            printf("%s: one copy among %d ranks\n", name, row->layout.shard.ranks);
    }
}

static void print_memory(const cluster_plan *p)
{
    enum { KINDS = 13 };
    static const char *const kinds[KINDS] = {
        "weights",  "ring",  "prologue", "activations", "adapters", "reduction", "data",
        "pictures", "files", "program",  "total",       "per node", "of"};
    size_t bytes[KINDS][WEIGHTS_POLICIES];
    printf(
        "\nMiB of rank 0 (what ranks share counts in equal parts; files: of rank 0 alone)\n%-14s",
        "");
    for (int i = 0; i < p->count; i++) {
        const plan_footprint *f = &p->rows[i].memory;
        const size_t column[KINDS] = {f->weights,     f->ring,     f->prologue,
                                      f->activations, f->adapters, f->reduction,
                                      f->data,        f->pictures, f->files,
                                      f->program,     f->total,    p->rows[i].node_bytes,
                                      p->rows[i].room};
        for (int k = 0; k < KINDS; k++) bytes[k][i] = column[k];
        printf(" %12s", run_weights_names[p->rows[i].layout.policy]);
    }
    printf("\n");
    for (int k = 0; k < KINDS; k++) print_row(p, kinds[k], bytes[k]);
    print_remarks(p);
}

static void print_class(const char *prefix, soda_op op, const op_class *c)
{
    char name[64];
    if (!c->calls) return;
    snprintf(name, sizeof name, "%s%s", prefix, op_rows[op].name);
    printf("%-32s %6d %10.2f %9.5f %9.1f\n", name, c->calls, c->flops * 1e-9, c->seconds,
           c->seconds > 0 ? c->flops * 1e-9 / c->seconds : 0);
}

static void print_assumed(const gpu_speed *g)
{
    printf(
        "seconds: predicted; a node takes the longest of flops / rate, bytes / %g TB/s and %g "
        "us\n"
        "rates assumed, TFLOP/s in fp32 and bf16: products %g, %g; convolutions %g, %g; attention "
        "%g, %g; its gradient %g, %g\n",
        g->memory_tb_per_s, g->node_us, g->product[0], g->product[1], g->convolution[0],
        g->convolution[1], g->attention[0], g->attention[1], g->attention_grad[0],
        g->attention_grad[1]);
}

static void print_operators(const cluster_request *r, const cluster_plan *p)
{
    const cluster_subject *s = &p->subject;
    const bool given = r->given.flops_per_s > 0;
    printf("\n%-32s %6s %10s %9s %9s\n", "one micro-batch", "calls", "GFLOP", "seconds", "GFLOP/s");
    for (int i = 0; i < OP_COUNT; i++) print_class("", (soda_op)i, &s->forward[i]);
    for (int i = 0; i < OP_COUNT; i++) print_class("backward: ", (soda_op)i, &s->backward[i]);
    printf("%-32s %6s %10.2f forward, %.2f backward\n", "all", "", s->flops_forward * 1e-9,
           s->flops_backward * 1e-9);
    if (r->given.gpu)
        print_assumed(r->given.gpu);
    else if (given)
        printf("seconds: given (--flops %g GFLOP/s)\n", r->given.flops_per_s * 1e-9);
    else
        printf("seconds: measured here, on %d of %d kinds of nodes, which take %.0f %% of them\n",
               s->measured, s->kinds, 100 * s->covered);
}

static void print_figure(const char *name, const plan_figure *f, double unit, const char *unit_name)
{
    printf("%-32s %10.3g %s (%s)\n", name, f->value / unit, unit_name, f->source);
}

static void print_figures(const cluster_plan *p)
{
    const plan_figures *f = &p->figures;
    printf("\n");
    print_figure("network between nodes", &f->net_bytes_per_s, 1e9, "GB/s");
    print_figure("latency between nodes", &f->net_latency_s, 1e-6, "us");
    print_figure("memory between ranks of a node", &f->node_bytes_per_s, 1e9, "GB/s");
    print_figure("packing of weights", &f->pack_bytes_per_s, 1e9, "GB/s");
    print_figure("hashing of files", &f->hash_bytes_per_s, 1e9, "GB/s");
}

static void print_times(const cluster_request *r, const cluster_plan *p)
{
    printf("\n%-10s %5s %9s %9s %9s %9s %9s %10s %10s %9s %8s\n", "policy", "micro", "step s",
           "compute", "wait", "reduce", "update", "gather MB", "reduce MB", "start s", "run h");
    for (int i = 0; i < p->count; i++) {
        const advice_row *row = &p->rows[i];
        const plan_forecast *t = &row->time;
        if (row->status != SODA_OK) continue;
        printf("%-10s %5lld %9.4f %9.4f %9.4f %9.4f %9.4f %10.2f %10.2f %9.1f %8.3g\n",
               run_weights_names[row->layout.policy], (long long)t->micro_batches, t->step_s,
               t->compute_s, t->wait_s, t->reduce_s, t->update_s, t->gather_bytes * 1e-6,
               t->reduce_bytes * 1e-6, t->start_s, t->run_s / 3600);
    }
    printf(
        "micro: micro-batches of the busiest rank in a step; MB: received by each rank per step\n"
        "start: until the first step, with files in the page cache, and factorisations, latents "
        "and text states in soda's cache\n"
        "run: start and %lld steps, without pictures and held-out losses on the way\n",
        (long long)r->run.config->train.steps);
    if (p->subject.pictures)
        printf("the first start also encodes %lld pictures and %lld texts and factorises %d "
               "layers, shared by all ranks\n",
               (long long)p->subject.pictures, (long long)p->subject.texts, p->subject.layers);
}

static void print_scaling(const cluster_plan *p)
{
    const advice_row *row = &p->rows[p->chosen < 0 ? 0 : p->chosen];
    if (row->status != SODA_OK) return;
    printf(
        "\nweak scaling, %s, %lld micro-batches on each rank\n%8s %8s %10s %9s %9s %9s %12s %7s\n",
        run_weights_names[row->layout.policy], (long long)row->time.micro_batches, "ranks", "nodes",
        "pictures", "step s", "wait", "reduce", "pictures/s", "%");
    for (int i = 0; i < ADVICE_SCALES; i++) {
        const plan_forecast *t = &row->scaling[i];
        printf("%8d %8lld %10lld %9.4f %9.4f %9.4f %12.4g %7.1f\n", 1 << i,
               (long long)ceil_div(1 << i, row->layout.per_node), (long long)t->pictures, t->step_s,
               t->wait_s, t->reduce_s, (double)t->pictures / t->step_s,
               100 * row->scaling[0].step_s / t->step_s);
    }
}

void plan_print(const char *name, const cluster_request *request, const cluster_plan *plan)
{
    print_head(name, request, plan);
    print_memory(plan);
    print_operators(request, plan);
    print_figures(plan);
    print_times(request, plan);
    print_scaling(plan);
    if (plan->chosen < 0)
        printf("\nrecommended: none; %s\n", plan->reason);
    else
        printf("\nrecommended: parallel.weights: %s (%s)\n",
               run_weights_names[plan->rows[plan->chosen].layout.policy], plan->reason);
}
