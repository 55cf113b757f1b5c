#include "plan/forecast.h"

double forecast_reduce_s(double bytes, int ranks, double bytes_per_s, double latency_s)
{
    int rounds = 0;
    while ((1 << rounds) < ranks) rounds++;
    return 2.0 * (ranks - 1) / ranks * bytes / bytes_per_s + 2 * rounds * latency_s;
}

double forecast_reduce_bytes(const soda_outline *o)
{
    return (double)reducer_bytes(o->request->config->parallel.reduction, o->params.length + 1);
}

/* Figures of the slowest link between ranks, which are on one node or not. */
static double bandwidth(const plan_figures *f, bool one_node)
{
    return one_node ? f->node_bytes_per_s.value : f->net_bytes_per_s.value;
}

static double latency(const plan_figures *f, bool one_node)
{
    return one_node ? 0 : f->net_latency_s.value;
}

/* Adds `passes` passes over a network. */
static soda_status add_walk(const op_times *t, const soda_exec *exec, const plan_layout *l,
                            const plan_figures *f, bool prologue, int64_t passes,
                            plan_forecast *forecast)
{
    shard_walk walk;
    const int n = l->shard.ranks;
    const bool one_node = plan_layout_on_nodes(l);
    const int at_once = one_node ? 1 : l->per_node; /* they share a cable */
    const shard_case c = {.weights = exec_weights(exec),
                          .step_s = t->step_s,
                          .first = prologue ? 0 : t->prologue,
                          .steps = t->steps,
                          .bytes_per_s = bandwidth(f, one_node) / at_once,
                          .latency_s = latency(f, one_node)};
    if (!plan_layout_gathers(l) || n < 2 || passes == 0) return SODA_OK;
    TRY(shard_walk_visits(&c, l->shard, &walk));
    forecast->gather_bytes += (double)passes * walk.bytes;
    forecast->gather_s += (double)passes * walk.gather_s;
    forecast->wait_s += (double)passes * walk.wait_s;
    return SODA_OK;
}

static soda_status add_walks(const soda_outline *o, const plan_layout *l, const plan_figures *f,
                             plan_forecast *forecast)
{
    const int64_t m = forecast->micro_batches;
    const soda_exec *trained = outline_step(o)->net.exec;
    TRY(add_walk(&f->trained, trained, l, f, true, 1, forecast));
    TRY(add_walk(&f->trained, trained, l, f, false, m - 1, forecast));
    if (!o->networks.frozen.count) return SODA_OK;
    return add_walk(&f->frozen, o->networks.frozen.list[0].net.exec, l, f, true, m, forecast);
}

static double flops_of(const op_times *t) { return t->flops_forward + t->flops_backward; }

/* The ranks of a node read and check the model once between them; then each packs its part. */
static void add_start(const soda_outline *o, const plan_layout *l, const plan_figures *f,
                      plan_forecast *forecast)
{
    const ledger_sums sums = ledger_report(o->model.residency);
    const double share = plan_layout_sharers(l);
    const double readers = l->ranks < l->per_node ? l->ranks : l->per_node;
    forecast->hash_s = (double)o->file_bytes / readers / f->hash_bytes_per_s.value;
    forecast->pack_s = (double)sums.all / share / f->pack_bytes_per_s.value;
    forecast->start_s = forecast->hash_s + forecast->pack_s;
}

soda_status forecast_make(const soda_outline *o, const plan_layout *l, const plan_figures *f,
                          int64_t micro_batches, plan_forecast *forecast)
{
    const run_config *c = o->request->config;
    const int64_t sets = o->prior ? 2 : 1; /* as many class pictures again */
    const int64_t dealt = sets * c->train.global_batch / c->train.batch;
    const bool one_node = l->ranks <= l->per_node;
    const int64_t m = micro_batches ? micro_batches : ceil_div(dealt, l->ranks);
    *forecast = (plan_forecast){
        .micro_batches = m,
        .pictures = micro_batches ? m * l->ranks * c->train.batch / sets : c->train.global_batch,
        .flops = (double)m * (flops_of(&f->trained) + flops_of(&f->frozen)),
        .compute_s = f->trained.prologue_s + f->frozen.prologue_s +
                     (double)m * (f->trained.rest_s + f->frozen.rest_s),
        .reduce_bytes = forecast_reduce_bytes(o) * 2 * (l->ranks - 1) / l->ranks,
        .reduce_s = forecast_reduce_s(forecast_reduce_bytes(o), l->ranks, bandwidth(f, one_node),
                                      latency(f, one_node)),
        .update_s = f->update_s};
    TRY(add_walks(o, l, f, forecast));
    forecast->step_s =
        forecast->compute_s + forecast->wait_s + forecast->reduce_s + forecast->update_s;
    add_start(o, l, f, forecast);
    forecast->run_s = forecast->start_s + (double)c->train.steps * forecast->step_s;
    return SODA_OK;
}
