#include "plan/cluster_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const cluster_request *request;
    cluster_plan *plan;
    plan_figures figures;
    outline_request run;
    soda_outline outline; /* for `run`; all zero: none is open */
    size_t program_bytes; /* before anything was measured; 0: not known yet */
    int timed;           /* recomputed blocks of the network whose nodes were timed; -1: none was */
    bool timed_rebuilds; /* and whether it makes its weights again */
} making;

static size_t room_of(const cluster_request *r)
{
    const size_t each = r->node_bytes / (size_t)r->per_node;
    return (size_t)r->per_node * networks_limit(r->run.config, each, 0);
}

/* parallel.ring, or room enough that gathering can hide, as backend/sharded_ring.c has it. */
static size_t ring_of(const run_config *config)
{
    const double mib = config->parallel.ring_mib;
    return (size_t)((mib > 0 ? mib : SHARDED_RING_MIB) * 0x1p20);
}

/* parallel.shard, if it is said and divides the ranks; else the fewest ranks that hold a copy
 * together, so that it fits; all, if none do. */
static int choose_shard(const soda_outline *o, plan_layout layout, size_t room)
{
    const int64_t said = o->request->config->parallel.shard;
    if (said > 1 && layout.ranks % said == 0) return (int)said;
    for (int n = 2; n < layout.ranks; n++) {
        if (layout.ranks % n) continue;
        layout.shard.ranks = n;
        const plan_footprint f = footprint_of(o, &layout);
        if (footprint_node_bytes(&f, layout.per_node) <= room) return n;
    }
    return layout.ranks;
}

static void describe(const soda_outline *o, cluster_subject *s)
{
    const soda_step *step = outline_step(o);
    *s = (cluster_subject){.layers = layers_count(o->model.layers),
                           .frozen = o->frozen,
                           .trained = o->params.total,
                           .freedom = layers_freedom(o->model.layers),
                           .pictures = o->pictures,
                           .texts = o->texts,
                           .h = step->shape.h,
                           .w = step->shape.w,
                           .sizes = o->networks.trained.count,
                           .reduce_bytes = forecast_reduce_bytes(o),
                           .weights = ledger_report(o->model.residency)};
}

static void add_times(const op_times *t, cluster_subject *s)
{
    s->flops_forward += t->flops_forward;
    s->flops_backward += t->flops_backward;
    for (int i = 0; i < OP_COUNT; i++) {
        op_class *const to[2] = {&s->forward[i], &s->backward[i]};
        const op_class *const from[2] = {&t->forward[i], &t->backward[i]};
        for (int k = 0; k < 2; k++) {
            to[k]->calls += from[k]->calls;
            to[k]->flops += from[k]->flops;
            to[k]->seconds += from[k]->seconds;
        }
    }
}

/* Times the nodes, unless those of an equal network are known. */
static soda_status measure(making *m, soda_outline *o)
{
    const int recomputed = outline_step(o)->recomputed;
    cluster_subject *s = &m->plan->subject;
    if (m->timed == recomputed && m->timed_rebuilds == m->run.rebuilds) return SODA_OK;
    TRY(measure_figures(o, &m->request->given, m->request->budget_s, &m->figures));
    if (m->timed < 0) {
        describe(o, s);
        add_times(&m->figures.trained, s);
        add_times(&m->figures.frozen, s);
        s->kinds = m->figures.trained.kinds;
        s->measured = m->figures.trained.measured;
        s->covered = m->figures.trained.covered;
        m->plan->figures = m->figures;
        m->plan->figures.kinds = (op_kinds){0};
        m->plan->figures.trained.step_s = m->plan->figures.frozen.step_s = NULL;
    }
    m->timed = recomputed;
    m->timed_rebuilds = m->run.rebuilds;
    return SODA_OK;
}

static soda_status forecast_all(const making *m, const soda_outline *o, advice_row *row)
{
    TRY(forecast_make(o, &row->layout, &m->figures, 0, &row->time));
    for (int i = 0; i < ADVICE_SCALES; i++) {
        plan_layout layout = row->layout;
        layout.ranks = 1 << i;
        if (layout.shard.ranks > layout.ranks) layout.shard.ranks = layout.ranks;
        TRY(forecast_make(o, &layout, &m->figures, row->time.micro_batches, &row->scaling[i]));
    }
    return SODA_OK;
}

/* Whether the open outline is that of any number of sharers: the limit did not change it, and more
 * of them need less. Rows come by rising number. */
static bool is_unlimited(const soda_outline *o)
{
    const step_list *steps = &o->networks.trained;
    for (int i = 0; i < steps->count; i++)
        if (steps->list[i].recomputed && o->request->config->train.recompute == RECOMPUTE_AUTO)
            return false;
    return steps->count > 0;
}

static soda_status open_outline(making *m, int sharers, bool rebuilds)
{
    if (m->outline.request && m->run.rebuilds == rebuilds && is_unlimited(&m->outline)) {
        m->outline.model.residency->sharers = sharers;
        return SODA_OK;
    }
    outline_close(&m->outline);
    m->run = m->request->run;
    m->run.machine_bytes = m->request->node_bytes / (size_t)m->request->per_node;
    m->run.sharers = sharers;
    m->run.rebuilds = rebuilds;
    TRY(outline_open(&m->run, &m->outline));
    if (!m->program_bytes) m->program_bytes = m->outline.program_bytes;
    m->outline.program_bytes = m->program_bytes;
    return SODA_OK;
}

static soda_status fill_row(making *m, advice_row *row)
{
    soda_outline *o = &m->outline;
    const soda_status s =
        open_outline(m, plan_layout_sharers(&row->layout), row->layout.policy == WEIGHTS_SHARD);
    if (s == SODA_ERR_MEMORY) { /* this policy does not meet a limit; others may */
        row->status = s;
        snprintf(row->why, sizeof row->why, "%s", status_message());
        status_clear();
        return SODA_OK;
    }
    TRY(s);
    if (row->layout.policy == WEIGHTS_SHARD)
        row->layout.shard.ranks = choose_shard(o, row->layout, row->room);
    row->memory = footprint_of(o, &row->layout);
    row->node_bytes = footprint_node_bytes(&row->memory, m->request->per_node);
    row->recomputed = outline_step(o)->recomputed;
    row->segments = outline_step(o)->segments;
    TRY(measure(m, o));
    return forecast_all(m, o, row);
}

soda_status cluster_plan_make(const cluster_request *request, cluster_plan *plan)
{
    making m = {.request = request, .plan = plan, .timed = -1};
    soda_status s = SODA_OK;
    const bool on_devices = request->given.gpu || !request->run.backend->device->host;
    *plan = (cluster_plan){0};
    for (int p = 0; p < WEIGHTS_POLICIES; p++) {
        if (p == WEIGHTS_NODE && request->per_node == 1) continue;
        if (p == WEIGHTS_SHARD && request->ranks == 1) continue;
        advice_row *row = &plan->rows[plan->count++];
        *row = (advice_row){.layout = {request->ranks,
                                       request->per_node,
                                       (run_weights)p,
                                       {request->ranks, ring_of(request->run.config)},
                                       on_devices},
                            .room = room_of(request)};
        TRY_TO(done, fill_row(&m, row));
    }
    plan->chosen = advice_choose(plan->rows, plan->count, plan->reason, sizeof plan->reason);
done:
    outline_close(&m.outline);
    measure_free(&m.figures);
    return s;
}
