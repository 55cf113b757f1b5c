#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "app/archs.h"
#include "app/bench.h"
#include "app/common.h"
#include "app/options.h"
#include "app/random_weights.h"
#include "app/verbs.h"
#include "core/log.h"
#include "model/unet.h"
#include "train/network.h"

enum { PROMPT_TOKENS = 77 };

typedef struct {
    const char *arch, *dtype, *backend;
    int64_t batch, latent, repeat, threads;
    bool json;
    const char *dump_text, *dump_dot;
} bench_options;

static soda_status read_options(int argc, char **argv, bench_options *o, bool *help)
{
    *o = (bench_options){
        .arch = "sd15", .dtype = "fp32", .backend = "cpu", .batch = 1, .latent = 64, .repeat = 3};
    option_row rows[] = {
        {"arch", OPTION_TEXT, &o->arch, "NAME", "sd15", "sd15, sd21, sdxl or a model folder", 0, 0},
        {"dtype", OPTION_TEXT, &o->dtype, "TYPE", "fp32", "fp32 or bf16", 0, 0},
        {"batch", OPTION_INT, &o->batch, "N", "1", "pictures at once", 1, 64},
        {"latent", OPTION_INT, &o->latent, "N", "64", "side of the latent picture", 1, 512},
        {"repeat", OPTION_INT, &o->repeat, "N", "3", "runs after the first", 1, 1000},
        {"json", OPTION_FLAG, &o->json, NULL, NULL, "one JSON object on stdout", 0, 0},
        {"dump-text", OPTION_TEXT, &o->dump_text, "FILE", NULL, "write the graph as text", 0, 0},
        {"dump-dot", OPTION_TEXT, &o->dump_dot, "FILE", NULL, "write the graph for Graphviz", 0, 0},
        {"backend", OPTION_TEXT, &o->backend, "NAME", "cpu", "cpu", 0, 0},
        {"threads", OPTION_INT, &o->threads, "N", "all cores", "threads of this process", 1, 1024},
    };
    const option_table table = {
        .verb = "bench",
        .summary = "Times the forward pass of a U-Net with random weights, by operator.",
        .synopsis = "bench [--arch NAME] [--dtype TYPE] [OPTION]...",
        .example = "soda bench --arch sd15 --dtype bf16",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows};
    TRY(options_read(&table, argc, argv, NULL, help));
    if (*help) options_print_help(&table);
    return SODA_OK;
}

static soda_status fill_inputs(soda_exec *exec, const soda_graph *graph)
{
    static float values[1 << 20];
    for (soda_id v = 0; v < graph_value_count(graph); v++) {
        const soda_value *value = graph_value(graph, v);
        if (value->kind != VALUE_INPUT || value->view_of != NO_VALUE) continue;
        const int64_t count = shape_count(&value->shape);
        if (count > (int64_t)(sizeof values / sizeof *values))
            return FAIL(SODA_ERR_UNSUPPORTED, "bench: input %s is too large", value->name);
        for (int64_t i = 0; i < count; i++) values[i] = (float)(i % 17) / 17;
        TRY(exec_write_f32(exec, value->name, values, count));
    }
    return SODA_OK;
}

static soda_status dump(const soda_graph *graph, const char *path,
                        soda_status (*write)(const soda_graph *, FILE *))
{
    if (!path) return SODA_OK;
    FILE *file = fopen(path, "w");
    if (!file) return FAIL(SODA_ERR_IO, "%s: cannot be written", path);
    soda_status s = write(graph, file);
    if (fclose(file) != 0 && s == SODA_OK) s = FAIL(SODA_ERR_IO, "%s: write failed", path);
    return s;
}

static soda_status report(const bench_options *o, const bench_profile *p, double roof, int threads,
                          size_t arena_bytes, size_t weight_bytes)
{
    if (!o->json) {
        printf("%s, %s, batch %lld, latent %lldx%lld, %d threads\n"
               "roof: the fastest %s matrix product here runs at %.0f GFLOP/s\n\n",
               o->arch, o->dtype, (long long)o->batch, (long long)o->latent, (long long)o->latent,
               threads, o->dtype, roof * 1e-9);
        bench_print(p, roof);
        printf("\nforward %.4f s (best of %lld, median %.4f s), weights %.0f MiB, activations and "
               "scratch %.0f MiB, peak memory %.0f MiB\n",
               p->best_s, (long long)o->repeat, p->median_s, (double)weight_bytes / 1048576,
               (double)arena_bytes / 1048576, (double)arena_peak_rss_bytes() / 1048576);
        return SODA_OK;
    }
    json_t *json =
        json_pack("{s:s,s:s,s:s,s:i,s:i,s:f,s:f,s:{s:f},s:f,s:f,s:I,s:I}", "arch", o->arch, "dtype",
                  o->dtype, "method", "none", "threads", threads, "ranks", 1, "forward_s",
                  p->best_s, "forward_median_s", p->median_s, "phases", "forward", p->best_s,
                  "flop_forward", p->flops_forward, "roof_gflops", roof * 1e-9, "peak_rss_bytes",
                  (json_int_t)arena_peak_rss_bytes(), "weight_bytes", (json_int_t)weight_bytes);
    if (!json) return FAIL(SODA_ERR_MEMORY, "out of memory");
    json_dumpf(json, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(json);
    return SODA_OK;
}

static soda_status bench(const bench_options *o)
{
    soda_unet_config config;
    soda_dtype dtype;
    const soda_backend *backend;
    soda_weight_source *source = NULL;
    soda_network net = {0};
    bench_profile profile;
    double roof = 0;
    soda_status s = SODA_OK;
    TRY(common_dtype(o->dtype, &dtype));
    TRY(common_backend(o->backend, o->threads, &backend));
    TRY(arch_find(o->arch, &config));
    TRY_TO(done, random_weights_create(0.02f, &source));
    TRY_TO(done, network_create(dtype, &net));
    soda_builder builder = {.graph = net.graph, .source = source};
    const unet_size size = {o->batch, o->latent, o->latent, PROMPT_TOKENS, NULL};
    unet_build(&builder, &config, size);
    TRY_TO(done, graph_status(net.graph));
    TRY_TO(done, dump(net.graph, o->dump_text, graph_dump_text));
    TRY_TO(done, dump(net.graph, o->dump_dot, graph_dump_dot));
    TRY_TO(done, bench_roof(backend, dtype, &roof));
    TRY_TO(done, network_ready(&net, backend));
    TRY_TO(done, fill_inputs(net.exec, net.graph));
    TRY_TO(done, bench_run(net.exec, net.graph, (int)o->repeat, &profile));
    TRY_TO(done, report(o, &profile, roof, backend->threads, exec_arena_bytes(net.exec),
                        weights_bytes(net.weights)));
done:
    network_close(&net);
    random_weights_destroy(source);
    return s;
}

soda_status cmd_bench(int argc, char **argv)
{
    bench_options options;
    bool help;
    TRY(read_options(argc, argv, &options, &help));
    return help ? SODA_OK : bench(&options);
}
