/* cuBLASLt's descriptors as the simulator fills them: between cublaslt.c and cublaslt_product.c. */
#ifndef SIM_CUBLASLT_H
#define SIM_CUBLASLT_H

#include "sim.h"

#include <cublasLt.h>

typedef struct {
    int32_t type, order; /* cudaDataType, cublasLtOrder_t */
    uint64_t rows, columns;
    int64_t pitch, step; /* elements from column to column, from item to item of a batch */
    int32_t batch;
    int32_t unused;
} sim_layout;

typedef struct {
    int32_t compute, scale, pointer_mode, turned_a, turned_b, turned_c, fill;
    uint32_t epilogue;
    const void *bias;
    int64_t bias_step;
    int32_t bias_type; /* -1: as D's */
    int32_t unused;
} sim_product;

typedef struct {
    uint64_t workspace;
    uint32_t reduction, alignment[4], search, pointer_modes, epilogues; /* of A, B, C, D in bytes */
    float waves;
} sim_preference;

typedef struct {                 /* what a cublasLtMatmulAlgo_t holds */
    uint64_t problem, workspace; /* a hash of all descriptors; bytes */
    uint32_t alignment[4];
} sim_algorithm;

typedef struct { /* one product that is enqueued */
    sim_layout a, b, c, d;
    bool turned_a, turned_b, bias;
    const void *A, *B, *C, *bias_vector;
    void *D, *workspace;
    size_t workspace_bytes;
    float alpha, beta;
} sim_matmul;

size_t sim_element(int32_t type);   /* bytes; 0: a type that is not simulated */
void sim_matmul_run(void *context); /* sim_matmul */

#endif
