#include "backend/cpu/elementwise.h"

#include "backend/cpu/inputs.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/simd.h"

#define SIMD_BODY "backend/cpu/elementwise_loops.h"
#include "backend/cpu/simd_variants.h"
SIMD_SELECT(elementwise_loops)

const struct elementwise_loops *elementwise(soda_dtype dtype)
{
    return elementwise_loops_for(dtype);
}

/* At most 64 blocks, but no shorter than 16 rows: a function of the shape alone. */
static int64_t block_rows(int64_t rows) { return rows > 1024 ? (rows + 63) / 64 : 16; }

static int64_t block_count(int64_t rows)
{
    return (rows + block_rows(rows) - 1) / block_rows(rows);
}

size_t elementwise_sum_scratch(int64_t rows, int64_t n)
{
    return (size_t)(block_count(rows) * n) * sizeof(float);
}

typedef struct {
    const soda_tensor *a, *b;
    int64_t offset, rows, n;
    float *partial; /* [blocks,n] */
    float *y;
} column_sum;

static void sum_blocks(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const column_sum *u = context;
    const struct elementwise_loops *loops = elementwise(u->a->dtype);
    const int64_t size = block_rows(u->rows);
    for (int64_t block = first; block < last; block++) {
        const int64_t row = block * size, at = u->offset + row * u->n;
        const int64_t stride = shape_columns(&u->a->shape);
        const int64_t rows = u->rows - row < size ? u->rows - row : size;
        float *sum = u->partial + block * u->n;
        if (u->b)
            loops->dot_columns(inputs_at(u->a, row * stride), stride, inputs_at(u->b, at), rows,
                               u->n, sum);
        else
            loops->sum_columns(inputs_at(u->a, at), rows, u->n, sum);
    }
}

static void add_blocks(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const column_sum *u = context;
    enum { STRIP = 16 };
    const int64_t blocks = block_count(u->rows);
    for (int64_t i = first; i < last; i += STRIP) {
        const int64_t width = last - i < STRIP ? last - i : STRIP;
        double sum[STRIP] = {0};
        for (int64_t block = 0; block < blocks; block++)
            for (int64_t k = 0; k < width; k++) sum[k] += (double)u->partial[block * u->n + i + k];
        for (int64_t k = 0; k < width; k++) u->y[i + k] = (float)sum[k];
    }
}

void elementwise_sum_columns(const soda_tensor *a, const soda_tensor *b, int64_t offset,
                             int64_t rows, int64_t n, void *scratch, float *y)
{
    const column_sum u = {a, b, offset, rows, n, scratch, y};
    const size_t bytes = (size_t)(rows * n) * dtype_bytes(a->dtype) * (b ? 2 : 1);
    parallel_for(block_count(rows), 1, bytes, PARALLEL_ALL, sum_blocks, &u);
    parallel_for(n, 16, elementwise_sum_scratch(rows, n), PARALLEL_ALL, add_blocks, &u);
}
