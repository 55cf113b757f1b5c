#include <stdio.h>
#include <string.h>

#include "app/archs.h"
#include "app/common.h"
#include "app/plan_report.h"
#include "app/verbs.h"
#include "core/memory_limit.h"
#include "model/random_weights.h"

typedef struct {
    const char *yaml, *arch, *device;
    option_list sets;
    int64_t ranks, per_node;
    double gflops, net_gb_per_s, net_latency_us, node_gib; /* 0: not given */
    double measure_s;
    bool json;
} plan_options;

static soda_status check_options(const plan_options *o)
{
    if (o->ranks % o->per_node)
        return FAIL(SODA_ERR_USAGE, "--per-node: expected a divisor of the %lld ranks, found %lld",
                    (long long)o->ranks, (long long)o->per_node);
    if (!o->arch == !o->yaml)
        return FAIL(SODA_ERR_USAGE, "plan: expected RUN.yaml or --arch NAME, found %s",
                    o->arch ? "both" : "neither");
    if (o->device && o->gflops > 0)
        return FAIL(SODA_ERR_USAGE, "plan: expected --device or --flops, found both");
    return SODA_OK;
}

static soda_status read_options(int argc, char **argv, plan_options *o, bool *help)
{
    *o = (plan_options){.ranks = 1, .per_node = 1, .measure_s = 4};
    const option_row rows[] = {
        {"arch", OPTION_TEXT, &o->arch, "NAME", NULL,
         "sd15, sd21, sdxl or a model folder, in place of RUN.yaml: its U-Net with default "
         "settings",
         0, 0},
        {"set", OPTION_LIST, &o->sets, "KEY=VALUE", NULL,
         "override a key, e.g. train.dtype=bf16; may be repeated", 0, 0},
        {"ranks", OPTION_INT, &o->ranks, "N", "1", "ranks of the run", 1, 1048576},
        {"per-node", OPTION_INT, &o->per_node, "N", "1", "ranks per node", 1, 1024},
        {"node-memory", OPTION_FLOAT, &o->node_gib, "GIB",
         "that of this machine or job; with --device, of its GPUs", "memory of a node", 0.01, 1e6},
        {"flops", OPTION_FLOAT, &o->gflops, "GFLOPS", "measured here",
         "GFLOP/s that a rank sustains over a step", 0.001, 1e9},
        {"device", OPTION_TEXT, &o->device, "GPU", "this machine's CPU",
         "a100, h100 or h200: predict the step on such a GPU per rank, from flops and bytes", 0, 0},
        {"net-bandwidth", OPTION_FLOAT, &o->net_gb_per_s, "GB/S", "1.25 is assumed",
         "bandwidth between nodes in GB/s", 1e-6, 1e6},
        {"net-latency", OPTION_FLOAT, &o->net_latency_us, "US", "50 is assumed",
         "latency between nodes in microseconds", 1e-3, 1e9},
        {"measure", OPTION_FLOAT, &o->measure_s, "SECONDS", "4",
         "about how long to time operators; longer is more accurate", 0.01, 3600},
        {"json", OPTION_FLAG, &o->json, NULL, NULL, "print one JSON object instead of tables", 0,
         0},
    };
    option_table table = {
        .verb = "plan",
        .summary = "Says what a training run will need on a cluster: parameters, memory per rank, "
                   "traffic and\ntime per step, time to start and of the run, weak scaling, and "
                   "the recommended value of\nparallel.weights. Reads the configuration and the "
                   "headers of files only.",
        .synopsis = "plan {RUN.yaml | --arch NAME} [--ranks N] [--per-node N] [OPTION]...",
        .example = "soda plan run.yaml --ranks 8 --per-node 2",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .operands = 1,
        .operands_optional = true};
    TRY(common_options(&table, argc, argv, &o->yaml, help));
    return *help ? SODA_OK : check_options(o);
}

/* The configuration of an architecture: defaults, for pictures of the size that it was made for. */
static soda_status arch_config(const plan_options *o, const soda_unet_config *unet,
                               run_config **config)
{
    char text[128], name[300];
    const long long side = unet->sample_h ? 8 * unet->sample_h : 512;
    const int bytes = snprintf(text, sizeof text, "data: {resolution: %lld}\n", side);
    snprintf(name, sizeof name, "--arch %s", o->arch);
    TRY(run_config_parse(text, (size_t)bytes, name, o->sets.value, o->sets.count, config));
    if ((*config)->adapter.text_encoder)
        return FAIL(SODA_ERR_USAGE,
                    "--set adapter.text_encoder: expected false with --arch, which has no text "
                    "encoders: plan a RUN.yaml");
    return SODA_OK;
}

static soda_status plan(const plan_options *o, const run_config *config, const soda_folder *folder,
                        soda_weight_source *weights)
{
    cluster_request r = {.ranks = (int)o->ranks,
                         .per_node = (int)o->per_node,
                         .node_bytes = o->node_gib > 0 ? (size_t)(o->node_gib * 0x1p30)
                                                       : memory_limit_bytes("", 1),
                         .given = {.per_node = (int)o->per_node,
                                   .flops_per_s = o->gflops * 1e9,
                                   .net_bytes_per_s = o->net_gb_per_s * 1e9,
                                   .net_latency_s = o->net_latency_us * 1e-6},
                         .budget_s = o->measure_s};
    cluster_plan p;
    int group;
    if (config->parallel.shard > 1) TRY(run_config_group(config, o->ranks, &group)); /* 1: advise */
    if (o->device) {
        TRY(gpu_speed_find(o->device, &r.given.gpu));
        if (o->node_gib == 0)
            r.node_bytes = (size_t)(r.given.gpu->memory_gib * (double)o->per_node * 0x1p30);
    }
    TRY(common_backend_among(r.per_node, &r.run.backend));
    r.run.config = config;
    r.run.unet = weights;
    r.run.unet_folder = folder;
    TRY(cluster_plan_make(&r, &p));
    const char *name = o->arch ? o->arch : o->yaml;
    if (o->json) return plan_print_json(name, &r, &p);
    plan_print(name, &r, &p);
    return SODA_OK;
}

static soda_status plan_arch(const plan_options *o)
{
    soda_folder folder = {0}; /* the configuration of the U-Net alone */
    soda_weight_source *weights = NULL;
    run_config *config = NULL;
    soda_status s;
    TRY(arch_find(o->arch, &folder.unet));
    TRY_TO(done, arch_config(o, &folder.unet, &config));
    TRY_TO(done, random_weights_create(0.02f, 1, &weights));
    TRY_TO(done, plan(o, config, &folder, weights));
done:
    random_weights_destroy(weights);
    run_config_destroy(config);
    return s;
}

static soda_status plan_run(const plan_options *o)
{
    run_config *config = NULL;
    TRY(run_config_read(o->yaml, o->sets.value, o->sets.count, &config));
    const soda_status s = plan(o, config, NULL, NULL);
    run_config_destroy(config);
    return s;
}

soda_status cmd_plan(int argc, char **argv)
{
    plan_options o;
    bool help;
    TRY(read_options(argc, argv, &o, &help));
    if (help) return SODA_OK;
    return o.arch ? plan_arch(&o) : plan_run(&o);
}
