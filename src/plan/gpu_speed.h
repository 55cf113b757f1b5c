/* gpu_speed.h: how long a node would take on a GPU: a prediction from flops and bytes. */
#pragma once

#include "graph/graph.h"

typedef struct {
    const char *name, *title;
    double memory_gib;
    double product[2], convolution[2], attention[2], attention_grad[2]; /* TFLOP/s: fp32, bf16 */
    double memory_tb_per_s;
    double node_us; /* the least that a node takes */
    double link_gb_per_s;
} gpu_speed;

/* SODA_ERR_USAGE names the GPUs that are known. */
soda_status gpu_speed_find(const char *name, const gpu_speed **gpu);

/* The GPU of that name in the name of a device, "NVIDIA H100 80GB HBM3"; NULL: none is known. */
const gpu_speed *gpu_speed_of(const char *device);

/* Seconds of one node: the longest of its arithmetic, its memory traffic (the roofline of Williams,
 * Waterman and Patterson, 2009) and the least that any node takes. */
double gpu_speed_node(const gpu_speed *gpu, const soda_graph *graph, int node);
