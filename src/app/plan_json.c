/* plan_json.c: the plan as one JSON object; bytes, seconds and flops without prefixes. */
#include <jansson.h>

#include "app/common.h"
#include "app/plan_report.h"
#include "core/isa.h"

static json_t *figure(const plan_figure *f)
{
    return json_pack("{s:f,s:s}", "value", f->value, "source", f->source);
}

static json_t *figures(const cluster_request *r, const cluster_plan *p)
{
    const plan_figures *f = &p->figures;
    const char *source = r->given.gpu               ? "predicted"
                         : r->given.flops_per_s > 0 ? "given"
                                                    : "measured";
    const double seconds = f->trained.prologue_s + f->trained.rest_s;
    const double flops = f->trained.flops_forward + f->trained.flops_backward;
    const plan_figure speed = {seconds > 0 ? flops / seconds : 0, source};
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "flop_per_s", figure(&speed), "net_bytes_per_s",
                     figure(&f->net_bytes_per_s), "net_latency_s", figure(&f->net_latency_s),
                     "node_bytes_per_s", figure(&f->node_bytes_per_s), "pack_bytes_per_s",
                     figure(&f->pack_bytes_per_s), "hash_bytes_per_s",
                     figure(&f->hash_bytes_per_s));
}

static json_t *memory(const plan_footprint *f)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "weights",
                     (json_int_t)f->weights, "ring", (json_int_t)f->ring, "prologue",
                     (json_int_t)f->prologue, "activations", (json_int_t)f->activations, "adapters",
                     (json_int_t)f->adapters, "reduction", (json_int_t)f->reduction, "data",
                     (json_int_t)f->data, "pictures", (json_int_t)f->pictures, "files",
                     (json_int_t)f->files, "program", (json_int_t)f->program, "total",
                     (json_int_t)f->total);
}

static json_t *forecast(const plan_forecast *t)
{
    return json_pack("{s:I,s:I,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "micro_batches",
                     (json_int_t)t->micro_batches, "pictures", (json_int_t)t->pictures, "flop",
                     t->flops, "gather_bytes", t->gather_bytes, "reduce_bytes", t->reduce_bytes,
                     "compute_s", t->compute_s, "wait_s", t->wait_s, "gather_s", t->gather_s,
                     "reduce_s", t->reduce_s, "update_s", t->update_s, "step_s", t->step_s,
                     "start_s", t->start_s, "run_s", t->run_s);
}

static json_t *policy(const advice_row *row)
{
    json_t *json = json_pack("{s:s,s:b,s:i,s:I,s:I,s:i,s:i}", "name",
                             run_weights_names[row->layout.policy], "fits", advice_fits(row),
                             "sharers", plan_layout_sharers(&row->layout), "node_bytes",
                             (json_int_t)row->node_bytes, "node_room_bytes", (json_int_t)row->room,
                             "blocks_recomputed", row->recomputed, "blocks", row->segments);
    if (!json) return NULL;
    if (row->status != SODA_OK) {
        json_object_set_new(json, "error", json_string(row->why));
        return json;
    }
    json_object_set_new(json, "memory", memory(&row->memory));
    json_object_set_new(json, "step", forecast(&row->time));
    return json;
}

static json_t *operators(const op_class *list)
{
    json_t *json = json_object();
    for (int i = 0; i < OP_COUNT; i++)
        if (list[i].calls)
            json_object_set_new(json, op_rows[i].name,
                                json_pack("{s:i,s:f,s:f}", "calls", list[i].calls, "flop",
                                          list[i].flops, "seconds", list[i].seconds));
    return json;
}

static json_t *subject(const char *name, const cluster_request *r, const cluster_plan *p)
{
    const run_config *c = r->run.config;
    const cluster_subject *s = &p->subject;
    return json_pack(
        "{s:s,s:s,s:s,s:s,s:s?,s:s,s:i,s:i,s:i,s:I,s:I,s:I,s:I,s:{s:I,s:I,s:I,s:i},s:{s:f,s:f,s:o,"
        "s:o}}",
        "name", name, "method", c->adapter.method->name, "dtype", dtype_name(c->train.dtype),
        "backend", r->run.backend->name, "device", r->given.gpu ? r->given.gpu->name : NULL, "isa",
        isa_name(isa_now()), "ranks", r->ranks, "ranks_per_node", r->per_node, "threads",
        r->run.backend->threads, "batch", (json_int_t)c->train.batch, "global_batch",
        (json_int_t)c->train.global_batch, "latent_h", (json_int_t)s->h, "latent_w",
        (json_int_t)s->w, "parameters", "frozen", (json_int_t)s->frozen, "trained",
        (json_int_t)s->trained, "freedom", (json_int_t)s->freedom, "layers", s->layers,
        "micro_batch", "flop_forward", s->flops_forward, "flop_backward", s->flops_backward,
        "forward", operators(s->forward), "backward", operators(s->backward));
}

static json_t *scaling(const cluster_plan *p)
{
    json_t *list = json_array();
    const advice_row *row = &p->rows[p->chosen < 0 ? 0 : p->chosen];
    for (int i = 0; i < ADVICE_SCALES && row->status == SODA_OK; i++) {
        json_t *item = forecast(&row->scaling[i]);
        json_object_set_new(item, "ranks", json_integer(1 << i));
        json_array_append_new(list, item);
    }
    return list;
}

soda_status plan_print_json(const char *name, const cluster_request *r, const cluster_plan *p)
{
    json_t *json = subject(name, r, p), *policies = json_array();
    for (int i = 0; i < p->count; i++) json_array_append_new(policies, policy(&p->rows[i]));
    const char *chosen = p->chosen < 0 ? NULL : run_weights_names[p->rows[p->chosen].layout.policy];
    json_t *more =
        json_pack("{s:o,s:o,s:o,s:s?,s:s}", "policies", policies, "figures", figures(r, p),
                  "weak_scaling", scaling(p), "recommended", chosen, "reason", p->reason);
    const bool whole = json && more && json_object_update(json, more) == 0;
    json_decref(more);
    return common_print_json(json, whole);
}
