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

soda_status elementwise_prepare(soda_call *call, soda_weights *weights)
{
    call->path = elementwise_loops_for(call->in[0].dtype);
    return inputs_prepare_plain(call, weights);
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
    const elementwise_sum *of;
    float *partial; /* [blocks,n] */
    float *y;
} column_sum;

static void sum_blocks(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const elementwise_sum *u = ((const column_sum *)context)->of;
    float *partial = ((const column_sum *)context)->partial;
    const int64_t size = block_rows(u->rows);
    for (int64_t block = first; block < last; block++) {
        const int64_t row = block * size, at = u->offset + row * u->n;
        const int64_t stride = shape_columns(&u->a->shape);
        const int64_t rows = u->rows - row < size ? u->rows - row : size;
        float *sum = partial + block * u->n;
        if (u->b)
            u->loops->dot_columns(inputs_at(u->a, row * stride), stride, inputs_at(u->b, at), rows,
                                  u->n, sum);
        else
            u->loops->sum_columns(inputs_at(u->a, at), rows, u->n, sum);
    }
}

static void add_blocks(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const column_sum *u = context;
    enum { STRIP = 16 };
    const int64_t blocks = block_count(u->of->rows);
    for (int64_t i = first; i < last; i += STRIP) {
        const int64_t width = last - i < STRIP ? last - i : STRIP;
        double sum[STRIP] = {0};
        for (int64_t block = 0; block < blocks; block++)
            for (int64_t k = 0; k < width; k++)
                sum[k] += (double)u->partial[block * u->of->n + i + k];
        for (int64_t k = 0; k < width; k++) u->y[i + k] = (float)sum[k];
    }
}

void elementwise_sum_columns(const elementwise_sum *sum, void *scratch, float *y)
{
    const column_sum u = {sum, scratch, y};
    const int64_t rows = sum->rows, n = sum->n;
    const size_t bytes = (size_t)(rows * n) * dtype_bytes(sum->a->dtype) * (sum->b ? 2 : 1);
    parallel_for(block_count(rows), 1, bytes, PARALLEL_ALL, sum_blocks, &u);
    parallel_for(n, 16, elementwise_sum_scratch(rows, n), PARALLEL_ALL, add_blocks, &u);
}
