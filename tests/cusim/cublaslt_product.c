/* The product behind cublasLtMatmul: D = alpha op(A) op(B) + beta C + bias, all column-major,
 * summed in fp32 in the order of k, rounded once. */
#include "cublaslt.h"
#include "half.h"

#include <stdlib.h>
#include <string.h>

size_t sim_element(int32_t type) { return type == CUDA_R_32F ? 4 : type == CUDA_R_16BF ? 2 : 0; }

static float element(const char *p, size_t at, int32_t type)
{
    uint32_t word = 0;
    memcpy(&word, p + at * sim_element(type), sim_element(type));
    return type == CUDA_R_32F ? as_float(word) : from_bf16(word);
}

static void element_set(char *p, size_t at, int32_t type, float v)
{
    const uint32_t word = type == CUDA_R_32F ? result_bits(v) : to_bf16(v);
    memcpy(p + at * sim_element(type), &word, sim_element(type));
}

/* Where the simulator finds item n of a matrix that is read. */
static const char *reads(const void *p, const sim_layout *l, int n, const char *what)
{
    const size_t bytes = sim_element(l->type), column = (size_t)l->pitch * bytes;
    const char *first = (const char *)p + (size_t)n * (size_t)l->step * bytes;
    const char *at = sim_memory_range(first, column * (l->columns - 1) + l->rows * bytes, what);
    for (uint64_t c = 0; c < l->columns; c++)
        sim_memory_read(first + c * column, l->rows * bytes, what);
    return at;
}

/* op(X) as [outer][inner] fp32: for A inner is m, for B inner is n. */
static float *unpacked(const char *p, const sim_layout *l, bool inner_is_column)
{
    const size_t inner = inner_is_column ? l->columns : l->rows,
                 outer = inner_is_column ? l->rows : l->columns;
    float *x = sim_alloc(inner * outer * sizeof *x);
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++) {
            const size_t row = inner_is_column ? o : i, column = inner_is_column ? i : o;
            x[o * inner + i] = element(p, column * (size_t)l->pitch + row, l->type);
        }
    return x;
}

static void column_sum(float *sum, const float *a, const float *b, size_t k, size_t m, size_t n)
{
    memset(sum, 0, m * sizeof *sum);
    for (size_t p = 0; p < k; p++) {
        const float factor = b[p * n];
        const float *column = a + p * m;
        for (size_t i = 0; i < m; i++) sum[i] = fmaf(column[i], factor, sum[i]);
    }
}

static void one(const sim_matmul *q, int item)
{
    const size_t m = q->d.rows, n = q->d.columns, k = q->turned_a ? q->a.rows : q->a.columns;
    const size_t bytes = sim_element(q->d.type), step = (size_t)item * (size_t)q->d.step;
    char *D = (char *)q->D + step * bytes;
    char *to = sim_memory_range(D, ((size_t)q->d.pitch * (n - 1) + m) * bytes, "matmul D");
    const char *c = q->beta != 0.0f ? reads(q->C, &q->c, item, "matmul C") : NULL;
    const char *bias = NULL;
    if (q->bias) {
        bias = sim_memory_range(q->bias_vector, m * bytes, "matmul bias");
        sim_memory_read(q->bias_vector, m * bytes, "matmul bias");
    }
    float *a = unpacked(reads(q->A, &q->a, item, "matmul A"), &q->a, q->turned_a);
    float *b = unpacked(reads(q->B, &q->b, item, "matmul B"), &q->b, !q->turned_b);
    float *sum = sim_alloc(m * sizeof *sum);
    for (size_t j = 0; j < n; j++) {
        column_sum(sum, a, b + j, k, m, n);
        for (size_t i = 0; i < m; i++) {
            float v = q->alpha * sum[i];
            if (c) v += q->beta * element(c, j * (size_t)q->c.pitch + i, q->c.type);
            if (bias) v += element(bias, i, q->d.type);
            element_set(to, j * (size_t)q->d.pitch + i, q->d.type, v);
        }
        sim_memory_written(D + j * (size_t)q->d.pitch * bytes, m * bytes);
    }
    free(sum);
    free(b);
    free(a);
}

void sim_matmul_run(void *context)
{
    const sim_matmul *q = context;
    if (sim_option()->sample) return; /* only kernels are looked at */
    if (q->workspace_bytes)           /* nothing that matters may be there */
        memset(sim_memory_range(q->workspace, q->workspace_bytes, "matmul workspace"), 0xa5,
               q->workspace_bytes);
    for (int item = 0; item < q->d.batch; item++) one(q, item);
    const double k = (double)(q->turned_a ? q->a.rows : q->a.columns);
    sim_clock_add(&(sim_counted){
        .launches = 1, .flops = 2 * k * (double)q->d.rows * (double)q->d.columns * q->d.batch});
}
