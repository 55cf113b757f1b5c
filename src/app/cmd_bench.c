#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "app/archs.h"
#include "app/bench.h"
#include "app/common.h"
#include "app/verbs.h"
#include "core/arena.h"

enum { PROMPT_TOKENS = 77 };

typedef struct {
    const char *arch, *dtype, *method, *weights;
    int64_t batch, latent, repeat, ring;
    run_weights policy; /* of that name */
    bool json;
    const char *dump_text, *dump_dot;
} bench_options;

static soda_status read_options(int argc, char **argv, bench_options *o, bool *help)
{
    *o = (bench_options){.arch = "sd15",
                         .dtype = "fp32",
                         .method = "none",
                         .weights = "replicate",
                         .batch = 1,
                         .latent = 64,
                         .repeat = 3};
    char names[128], training[192];
    snprintf(training, sizeof training, "none: forward pass only; %s: whole training step",
             method_list(names, sizeof names));
    const option_row rows[] = {
        {"arch", OPTION_TEXT, &o->arch, "NAME", "sd15", "sd15, sd21, sdxl or a model folder", 0, 0},
        {"dtype", OPTION_TEXT, &o->dtype, "TYPE", "fp32",
         "type of weights and activations: fp32 or bf16", 0, 0},
        {"method", OPTION_TEXT, &o->method, "NAME", "none", training, 0, 0},
        {"weights", OPTION_TEXT, &o->weights, "POLICY", "replicate",
         "under mpirun: replicate, node, or shard over all ranks, as parallel.weights", 0, 0},
        {"ring", OPTION_INT, &o->ring, "MIB", "auto", "with shard: as parallel.ring", 1, 1000000},
        {"batch", OPTION_INT, &o->batch, "N", "1", "batch size", 1, 16},
        {"latent", OPTION_INT, &o->latent, "N", "64", "height and width of the latents", 1, 512},
        {"repeat", OPTION_INT, &o->repeat, "N", "3", "timed runs, after one that is not timed", 1,
         1000},
        {"json", OPTION_FLAG, &o->json, NULL, NULL, "print one JSON object instead of a table", 0,
         0},
        {"dump-text", OPTION_TEXT, &o->dump_text, "FILE", NULL, "write the graph as text", 0, 0},
        {"dump-dot", OPTION_TEXT, &o->dump_dot, "FILE", NULL, "write the graph for Graphviz", 0, 0},
    };
    option_table table = {.verb = "bench",
                          .summary = "Times the forward pass or the training step of a U-Net with "
                                     "random weights, by operator.",
                          .synopsis =
                              "bench [--arch NAME] [--dtype TYPE] [--method NAME] [OPTION]...",
                          .example = "soda bench --arch sd15 --dtype bf16 --method " METHOD_DEFAULT,
                          .rows = rows,
                          .row_count = sizeof rows / sizeof *rows};
    TRY(common_options(&table, argc, argv, NULL, help));
    for (int i = 0; i < WEIGHTS_POLICIES; i++) {
        o->policy = (run_weights)i;
        if (strcmp(o->weights, run_weights_names[i]) == 0) return SODA_OK;
    }
    return FAIL(SODA_ERR_USAGE, "--weights: expected replicate, node or shard, found '%s'",
                o->weights);
}

/* Errors are for cmd_bench, once ranks can agree on them. */
bool cmd_bench_gathers(int argc, char **argv)
{
    bench_options o;
    bool help = false;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) return false;
    const bool gathers =
        read_options(argc, argv, &o, &help) == SODA_OK && !help && o.policy == WEIGHTS_SHARD;
    status_clear();
    return gathers;
}

static soda_status dump(const soda_graph *graph, const char *path,
                        soda_status (*write)(const soda_graph *, FILE *))
{
    if (!path) return SODA_OK;
    FILE *file = fopen(path, "w");
    if (!file) return FAIL(SODA_ERR_IO, "%s: cannot create: %s", path, strerror(errno));
    soda_status s = status_prefix(write(graph, file), "%s", path);
    if (fclose(file) != 0 && s == SODA_OK)
        s = FAIL(SODA_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    return s;
}

typedef struct {
    const soda_backend *backend;
    soda_unet_config unet;
    random_step step;
    bench_profile profile;
    double roof;
    bool trains;
} bench_state;

/* Why ranks that share weights gathered none of them; NULL: they did. */
static const char *why_none_gathered(const residency_report *r)
{
    return r->gathered_bytes > 0 ? NULL : "one copy per node, mapped";
}

/* Where the host waits for none of it, its seconds are not known. */
static bool tells_gathering(const bench_options *o, const residency_report *r)
{
    return o->policy != WEIGHTS_REPLICATE && (r->timed || why_none_gathered(r));
}

static void report_gathering(const bench_options *o, const residency_report *r)
{
    const char *why = why_none_gathered(r);
    if (!tells_gathering(o, r)) return;
    printf("weights gathered per run: %.0f MiB in %.4f s, of which the rank waited %.4f s%s%s\n",
           (double)r->gathered_bytes / 1048576, r->gather_s, r->wait_s, why ? ": " : "",
           why ? why : "");
}

static void report_text(const bench_options *o, const bench_state *b)
{
    const bench_profile *p = &b->profile;
    printf("%s, %s, %s, batch %lld, latent %lldx%lld, %d rank%s with %d thread%s\n"
           "times of %s; peak: its fastest %s matrix product runs at %.0f GFLOP/s\n\n",
           o->arch, o->dtype, b->trains ? o->method : "forward pass", (long long)o->batch,
           (long long)o->latent, (long long)o->latent, common_comm()->size,
           common_comm()->size == 1 ? "" : "s", b->backend->threads,
           b->backend->threads == 1 ? "" : "s", b->backend->device->name, o->dtype, b->roof * 1e-9);
    bench_print(p, b->roof);
    if (b->trains)
        printf("\n%s, %lld trainable parameters: forward %.4f s, backward %.4f s, reduce %.4f s "
               "(exact), clip and update %.4f s\n",
               o->method, (long long)b->step.params.total, p->forward_s, p->backward_s, p->reduce_s,
               p->update_s);
    printf("\n%s %.4f s (best of %lld, median %.4f s), weights %.0f MiB, activations and "
           "scratch %.0f MiB, peak memory %.0f MiB\n",
           b->trains ? "step" : "forward", p->best_s, (long long)o->repeat, p->median_s,
           (double)residency_share(b->step.model.residency, 0) / 1048576,
           (double)exec_arena_bytes(b->step.step.net.exec) / 1048576,
           (double)residency_peak_bytes(b->step.model.residency) / 1048576);
    report_gathering(o, &p->residency);
}

/* What gathering weights took, per run, on this rank. */
static bool add_gathering(const bench_options *o, const residency_report *r, json_t *json)
{
    const char *why = why_none_gathered(r);
    if (!tells_gathering(o, r)) return true;
    json_t *gathers = json_pack("{s:I,s:f,s:f,s:s*}", "bytes", (json_int_t)r->gathered_bytes,
                                "gather_s", r->gather_s, "wait_s", r->wait_s, "why_none", why);
    return gathers && json_object_set_new(json, "residency", gathers) == 0;
}

static soda_status report_json(const bench_options *o, const bench_state *b)
{
    const bench_profile *p = &b->profile;
    json_t *json =
        json_pack("{s:s,s:s,s:s,s:i,s:i,s:f,s:f,s:I,s:I,s:s}", "arch", o->arch, "dtype", o->dtype,
                  "method", o->method, "threads", b->backend->threads, "ranks", common_comm()->size,
                  "flop_forward", p->flops_forward, "roof_gflops", b->roof * 1e-9, "peak_rss_bytes",
                  (json_int_t)arena_peak_rss_bytes(), "weight_bytes",
                  (json_int_t)residency_share(b->step.model.residency, 0), "device",
                  b->backend->device->name);
    json_t *more = b->trains
                       ? json_pack("{s:f,s:f,s:f,s:{s:f,s:f,s:f,s:f},s:f,s:I}", "forward_s",
                                   p->forward_s, "step_s", p->best_s, "step_median_s", p->median_s,
                                   "phases", "forward", p->forward_s, "backward", p->backward_s,
                                   "reduce", p->reduce_s, "update", p->update_s, "flop_step",
                                   p->flops, "trainable", (json_int_t)b->step.params.total)
                       : json_pack("{s:f,s:f,s:{s:f}}", "forward_s", p->best_s, "forward_median_s",
                                   p->median_s, "phases", "forward", p->best_s);
    const bool whole = json && more && json_object_update(json, more) == 0 &&
                       add_gathering(o, &p->residency, json);
    json_decref(more);
    return common_print_json(json, whole);
}

/* Local. */
static soda_status open_options(const bench_options *o, bench_state *b, random_step_options *step)
{
    *step = (random_step_options){.unet = &b->unet,
                                  .batch = o->batch,
                                  .side = o->latent,
                                  .tokens = PROMPT_TOKENS,
                                  .weights = 0.02f,
                                  .vectors = 1,
                                  .lr = 5e-5,
                                  .policy = o->policy,
                                  .ring_bytes = (size_t)o->ring << 20};
    if (o->dump_text) TRY(common_check_new(o->dump_text));
    if (o->dump_dot) TRY(common_check_new(o->dump_dot));
    TRY(common_dtype(o->dtype, &step->dtype));
    TRY(common_method(o->method, &step->method));
    b->trains = step->method != NULL;
    return arch_find(o->arch, &b->unet);
}

/* What a rank does by itself once the step is planned. */
static soda_status prepare(const bench_options *o, bench_state *b)
{
    const soda_graph *graph = b->step.step.net.graph;
    if (common_comm()->rank == 0) {
        TRY(dump(graph, o->dump_text, graph_dump_text));
        TRY(dump(graph, o->dump_dot, graph_dump_dot));
    }
    return bench_roof(b->backend, b->step.model.dtype, &b->roof);
}

/* Collective: under mpirun all ranks run the same step, and the reduction is between them. */
static soda_status bench(const bench_options *o, bench_state *b)
{
    soda_comm *comm = common_comm();
    random_step_options options;
    TRY(common_backend(&b->backend));
    TRY(comm_agree(comm, open_options(o, b, &options)));
    TRY(random_step_plan(&options, b->backend, comm, &b->step));
    TRY(comm_agree(comm, prepare(o, b)));
    TRY(random_step_commit(&b->step));
    TRY(bench_run(&b->step, (int)o->repeat, NULL, &b->profile));
    if (comm->rank != 0) return SODA_OK;
    if (o->json) return report_json(o, b);
    report_text(o, b);
    return SODA_OK;
}

soda_status cmd_bench(int argc, char **argv)
{
    bench_options options;
    bool help;
    TRY(comm_agree(common_comm(), read_options(argc, argv, &options, &help)));
    if (help) return SODA_OK;
    bench_state state = {0};
    const soda_status s = bench(&options, &state);
    random_step_close(&state.step);
    return s;
}
