#include "app/gpu_report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/common.h"
#include "backend/build_id.h"

/* What one rank tells the others. */
typedef struct {
    char host[64], device[300], message[400];
    int checks, failed;
} rank_line;

static rank_line own_line(const gpu_results *r)
{
    rank_line line = {.checks = 0};
    const char *first;
    gpu_checks_count(r, &line.checks, &line.failed, &first);
    gethostname(line.host, sizeof line.host - 1);
    snprintf(line.device, sizeof line.device, "%s", r->backend->description);
    snprintf(line.message, sizeof line.message, "%s", first);
    return line;
}

static void print_rate(const gpu_rate *rate, const gpu_speed *card)
{
    const bench_profile *p = &rate->profile;
    printf("\ntraining step of %s, %s: %.3f ms\n", rate->arch, rate->dtype, 1e3 * p->best_s);
    printf("%-32s %6s %10s %9s %9s %9s\n", "operator", "calls", "ms", "TFLOP/s", "GB/s",
           card ? "roof%" : "");
    for (int i = 0; i < 2 * OP_COUNT; i++) {
        const bench_class *c = i < OP_COUNT ? &p->op[i] : &p->gradient[i - OP_COUNT];
        char name[64], roof[16] = "";
        if (!c->calls) continue;
        snprintf(name, sizeof name, "%s%s",
                 i < OP_COUNT ? "" : "backward: ", op_rows[i % OP_COUNT].name);
        if (card) snprintf(roof, sizeof roof, "%.1f", 100 * c->predicted_s / c->seconds);
        printf("%-32s %6d %10.3f %9.3f %9.1f %9s\n", name, c->calls, 1e3 * c->seconds,
               1e-12 * c->flops / c->seconds, 1e-9 * c->bytes / c->seconds, roof);
    }
}

static void print_text(const gpu_results *r, const rank_line *lines)
{
    printf("%-32s %6s %7s %7s\n", "kernel", "cases", "failed", "worst");
    for (int i = 0; i < OP_COUNT; i++)
        printf("%-32s %6d %7d %7.3f %s\n", op_rows[i].name, r->kernel[i].cases, r->kernel[i].failed,
               r->kernel[i].worst, r->kernel[i].message);
    printf("worst: the largest error, as a part of what is allowed\n\n");
    for (int i = 0; i < r->checks; i++) {
        const gpu_check *c = &r->check[i];
        printf("%-32s %s", c->name, c->failed ? "FAILED" : "ok");
        if (!c->failed && c->allowed > 0)
            printf("  error %.2e, allowed %.2e", c->error, c->allowed);
        printf("%s%s\n", c->failed ? "  " : "", c->message);
    }
    if (r->sum_gb_per_s > 0) printf("sum over ranks: %.2f GB/s\n", r->sum_gb_per_s);
    for (int i = 0; i < r->rates; i++) print_rate(&r->rate[i], r->card);
    if (r->rates_skipped) printf("SKIPPED: rates: %s\n", r->rates_skipped);
    if (r->card && r->rates)
        printf("roof%%: the time that is predicted for a node (src/plan/gpus.def, %s), of what it "
               "took\n",
               r->card->title);
    printf("\n");
    for (int i = 0; i < r->comm->size; i++)
        printf("rank %d: %s, %s: %d checks, %d failed\n", i, lines[i].host, lines[i].device,
               lines[i].checks, lines[i].failed);
    printf("%.1f seconds\n", r->seconds);
}

/* NULL where there is no memory, as json_pack. */
static json_t *rate_json(const gpu_rate *rate, const gpu_speed *card)
{
    const bench_profile *p = &rate->profile;
    json_t *list = json_array();
    for (int i = 0; i < 2 * OP_COUNT; i++) {
        const bench_class *c = i < OP_COUNT ? &p->op[i] : &p->gradient[i - OP_COUNT];
        if (!c->calls) continue;
        json_t *row =
            json_pack("{s:s,s:b,s:i,s:f,s:f,s:f}", "op", op_rows[i % OP_COUNT].name, "backward",
                      i >= OP_COUNT, "calls", c->calls, "seconds", c->seconds, "tflop_per_s",
                      1e-12 * c->flops / c->seconds, "gb_per_s", 1e-9 * c->bytes / c->seconds);
        if (card && row) json_object_set_new(row, "predicted_s", json_real(c->predicted_s));
        json_array_append_new(list, row);
    }
    return json_pack("{s:s,s:s,s:f,s:f,s:f,s:f,s:o}", "arch", rate->arch, "dtype", rate->dtype,
                     "step_s", p->best_s, "reduce_s", p->reduce_s, "update_s", p->update_s,
                     "product_gflop_per_s", 1e-9 * rate->roof, "operators", list);
}

static json_t *kernels_json(const gpu_results *r)
{
    json_t *list = json_array();
    for (int i = 0; i < OP_COUNT; i++)
        json_array_append_new(list,
                              json_pack("{s:s,s:i,s:i,s:f,s:s}", "op", op_rows[i].name, "cases",
                                        r->kernel[i].cases, "failed", r->kernel[i].failed, "worst",
                                        r->kernel[i].worst, "failure", r->kernel[i].message));
    return list;
}

static json_t *checks_json(const gpu_results *r)
{
    json_t *list = json_array();
    for (int i = 0; i < r->checks; i++) {
        const gpu_check *c = &r->check[i];
        json_array_append_new(list, json_pack("{s:s,s:b,s:f,s:f,s:s}", "name", c->name, "failed",
                                              c->failed, "error", c->error, "allowed", c->allowed,
                                              "failure", c->message));
    }
    return list;
}

static json_t *ranks_json(const rank_line *lines, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:i,s:s,s:s,s:i,s:i,s:s}", "rank", i, "host",
                                              lines[i].host, "device", lines[i].device, "checks",
                                              lines[i].checks, "failed", lines[i].failed, "failure",
                                              lines[i].message));
    return list;
}

static soda_status print_json(const gpu_results *r, const rank_line *lines)
{
    json_t *rates = json_array();
    for (int i = 0; i < r->rates; i++)
        json_array_append_new(rates, rate_json(&r->rate[i], r->card));
    json_t *json = json_pack(
        "{s:s,s:s,s:b,s:b,s:s?,s:o,s:o,s:o,s:o,s:s?,s:f,s:f}", "soda", SODA_VERSION, "build",
        PLUGIN_BUILD, "quick", r->quick, "simulated", r->backend->device->simulated, "card",
        r->card ? r->card->name : NULL, "ranks", ranks_json(lines, r->comm->size), "kernels",
        kernels_json(r), "checks", checks_json(r), "rates", rates, "rates_skipped",
        r->rates_skipped, "sum_gb_per_s", r->sum_gb_per_s, "seconds", r->seconds);
    return common_print_json(json, json != NULL);
}

static soda_status outcome(const rank_line *own)
{
    if (own->failed == 0) return SODA_OK;
    return FAIL(SODA_ERR_NUMERIC, "selftest: %d of %d checks failed; the first: %s", own->failed,
                own->checks, own->message);
}

soda_status gpu_report(const gpu_results *results, bool json)
{
    soda_comm *comm = results->comm;
    const rank_line own = own_line(results);
    rank_line *lines = calloc((size_t)comm->size, sizeof *lines);
    soda_status s = comm_agree(comm, lines ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory"));
    if (s == SODA_OK) s = comm->gather(comm, &(comm_parts){&own, sizeof own, lines}, 1);
    if (s == SODA_OK && lines && comm->rank == 0) {
        if (json)
            s = print_json(results, lines);
        else
            print_text(results, lines);
    }
    free(lines);
    if (s == SODA_OK) s = outcome(&own);
    return comm_agree(comm, s);
}
