#include "plan/gpu_speed.h"

#include <math.h>
#include <string.h>

static const gpu_speed gpus[] = {
#define GPU(name, title, ...) {#name, title, __VA_ARGS__},
#include "plan/gpus.def"
#undef GPU
};

static const char known[] = ""
#define GPU(name, ...) " " #name
#include "plan/gpus.def"
#undef GPU
    ;

soda_status gpu_speed_find(const char *name, const gpu_speed **gpu)
{
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus; i++) {
        *gpu = &gpus[i];
        if (strcmp(gpus[i].name, name) == 0) return SODA_OK;
    }
    return FAIL(SODA_ERR_USAGE, "--device: expected one of%s, found %s", known, name);
}

const gpu_speed *gpu_speed_of(const char *device)
{
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus; i++)
        if (strcasestr(device, gpus[i].name)) return &gpus[i];
    return NULL;
}

/* TFLOP/s of a node; 0: it is bound by memory. */
static double rate(const gpu_speed *gpu, soda_op op, bool bf16)
{
    switch (op) {
    case OP_linear:
    case OP_linear_grad_weight: return gpu->product[bf16];
    case OP_conv2d:
    case OP_conv2d_grad_x: return gpu->convolution[bf16];
    case OP_attention: return gpu->attention[bf16];
    case OP_attention_grad: return gpu->attention_grad[bf16];
    default: return 0;
    }
}

double gpu_speed_node(const gpu_speed *gpu, const soda_graph *graph, int node)
{
    const soda_node *n = graph_node(graph, node);
    const soda_cost cost = graph_node_cost(graph, node);
    const bool bf16 = graph_value(graph, n->in[0])->dtype == SODA_BF16;
    const double tflops = rate(gpu, n->op, bf16);
    const double arithmetic_s = tflops > 0 ? cost.flops / (tflops * 1e12) : 0;
    const double traffic_s = cost.bytes / (gpu->memory_tb_per_s * 1e12);
    return fmax(gpu->node_us * 1e-6, fmax(arithmetic_s, traffic_s));
}
