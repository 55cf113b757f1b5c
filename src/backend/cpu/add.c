/* add, sum_rows and scale of the CPU backend. add and scale may write over their first input. */
#include "backend/cpu/elementwise.h"
#include "backend/cpu/inputs.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "core/round.h"

enum { UNIT = 1024 }; /* elements: ranges end on whole cache lines */

static void add_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const struct elementwise_loops *loops = call->path;
    loops->add(inputs_at(&call->in[0], first), inputs_at(&call->in[1], first),
               inputs_at(&call->out[0], first), last - first);
}

/* b [N,C] to every row of image n of a [N,..,C]. */
static void add_rows_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const soda_tensor *a = &call->in[0], *b = &call->in[1];
    const int64_t C = shape_columns(&a->shape), per_image = shape_rows(&a->shape) / a->shape.dim[0];
    const struct elementwise_loops *loops = call->path;
    for (int64_t row = first; row < last; row++)
        loops->add(inputs_at(a, row * C), inputs_at(b, row / per_image * C),
                   inputs_at(&call->out[0], row * C), C);
}

static soda_status run_add(const soda_call *call)
{
    const soda_tensor *a = &call->in[0], *b = &call->in[1];
    const size_t bytes = tensor_bytes(a);
    if (shape_equal(&a->shape, &b->shape))
        parallel_for(shape_count(&a->shape), UNIT, 3 * bytes, PARALLEL_ALL, add_range, call);
    else
        parallel_for(shape_rows(&a->shape), 1, 2 * bytes, PARALLEL_ALL, add_rows_range, call);
    return SODA_OK;
}

const soda_kernel cpu_add = {.prepare = elementwise_prepare, .run = run_add};

/* scratch: one result row in fp32, then that of elementwise_sum_columns. */
static size_t row_bytes(int64_t C) { return whole_lines((size_t)C * sizeof(float)); }

static soda_status prepare_sum_rows(soda_call *call, soda_weights *weights)
{
    TRY(elementwise_prepare(call, weights));
    const soda_shape *x = &call->in[0].shape;
    const int64_t C = shape_columns(x), rows = shape_rows(x) / x->dim[0];
    call->scratch_bytes = row_bytes(C) + elementwise_sum_scratch(rows, C);
    return SODA_OK;
}

static soda_status run_sum_rows(const soda_call *call)
{
    const soda_tensor *x = &call->in[0], *y = &call->out[0];
    const int64_t N = x->shape.dim[0], C = shape_columns(&x->shape);
    const int64_t rows = shape_rows(&x->shape) / N;
    const struct elementwise_loops *loops = call->path;
    float *sum = call->scratch;
    for (int64_t n = 0; n < N; n++) {
        const elementwise_sum of = {loops, x, NULL, n * rows * C, rows, C};
        elementwise_sum_columns(&of, (char *)sum + row_bytes(C), sum);
        loops->from_f32(sum, inputs_at(y, n * C), C);
    }
    return SODA_OK;
}

const soda_kernel cpu_sum_rows = {.prepare = prepare_sum_rows, .run = run_sum_rows};

static void scale_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const struct elementwise_loops *loops = call->path;
    loops->scale(inputs_at(&call->in[0], first), call->attr->scale.factor,
                 inputs_at(&call->out[0], first), last - first);
}

static soda_status run_scale(const soda_call *call)
{
    parallel_for(shape_count(&call->in[0].shape), UNIT, 2 * tensor_bytes(&call->in[0]),
                 PARALLEL_ALL, scale_range, call);
    return SODA_OK;
}

const soda_kernel cpu_scale = {.prepare = elementwise_prepare, .run = run_scale};
