/* spectral_scale, row_scale_add and their gradients on the CPU backend: what SODA does to a
 * spectrum. Both run on weights or on tokens; inputs may be frozen. */
#include <stdlib.h>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/inputs.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "core/round.h"

static size_t vector_bytes(int64_t n) { return whole_lines((size_t)n * sizeof(float)); }

typedef struct {
    soda_tensor x, y;
    const float *factor;
    const struct elementwise_loops *loops;
} scale_columns;

static void scale_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const scale_columns *u = context;
    const int64_t n = shape_columns(&u->x.shape);
    u->loops->scale_columns(inputs_at(&u->x, first * n), u->factor, inputs_at(&u->y, first * n),
                            last - first, n);
}

/* factor = relu(s + delta); inputs `s` and s + 1 of the call; buffer holds two vectors. */
static const float *shifted_spectrum(const soda_call *call, int s, float *factor)
{
    const int64_t k = shape_count(&call->in[s].shape);
    float *buffer = factor + vector_bytes(k) / sizeof(float);
    const float *sigma = inputs_f32(call, s, buffer), *delta = call->in[s + 1].data;
    for (int64_t i = 0; i < k; i++) {
        const float sum = sigma[i] + delta[i];
        factor[i] = sum < 0.0f ? 0.0f : sum;
    }
    return factor;
}

static soda_status prepare_spectral_scale(soda_call *call, soda_weights *weights)
{
    TRY(inputs_prepare_frozen(call, weights));
    if (inputs_get(call, 0).dtype != call->out[0].dtype || call->in[2].dtype != SODA_F32)
        return FAIL(SODA_ERR_UNSUPPORTED, "cpu backend: spectral_scale of mixed types");
    call->path = elementwise(call->out[0].dtype);
    call->scratch_bytes = 2 * vector_bytes(shape_columns(&call->in[0].shape));
    return SODA_OK;
}

static soda_status run_spectral_scale(const soda_call *call)
{
    const scale_columns u = {inputs_get(call, 0), call->out[0],
                             shifted_spectrum(call, 1, call->scratch), call->path};
    parallel_for(shape_rows(&u.x.shape), 1, 2 * tensor_bytes(&u.x), PARALLEL_ALL, scale_range, &u);
    return SODA_OK;
}

const soda_kernel cpu_spectral_scale = {.prepare = prepare_spectral_scale,
                                        .run = run_spectral_scale};

static soda_status prepare_spectral_scale_grad(soda_call *call, soda_weights *weights)
{
    TRY(inputs_prepare_frozen(call, weights));
    const int64_t rows = shape_rows(&call->in[0].shape), k = shape_columns(&call->in[0].shape);
    if (call->in[0].dtype != inputs_get(call, 1).dtype || call->in[0].dtype != call->out[0].dtype ||
        call->in[3].dtype != SODA_F32)
        return FAIL(SODA_ERR_UNSUPPORTED, "cpu backend: spectral_scale_grad of mixed types");
    call->path = elementwise(call->in[0].dtype);
    call->scratch_bytes = 2 * vector_bytes(k) + elementwise_sum_scratch(rows, k);
    return SODA_OK;
}

/* dx = dy relu(s + delta), ddelta_i = [s_i + delta_i > 0] sum over rows of dy_i x_i */
static soda_status run_spectral_scale_grad(const soda_call *call)
{
    const soda_tensor *dy = &call->in[0], x = inputs_get(call, 1);
    const int64_t rows = shape_rows(&dy->shape), k = shape_columns(&dy->shape);
    const scale_columns u = {*dy, call->out[0], shifted_spectrum(call, 2, call->scratch),
                             call->path};
    float *ddelta = call->out[1].data;
    const elementwise_sum of = {call->path, dy, &x, 0, rows, k};
    elementwise_sum_columns(&of, (char *)call->scratch + 2 * vector_bytes(k), ddelta);
    for (int64_t i = 0; i < k; i++)
        if (u.factor[i] <= 0.0f) ddelta[i] = 0.0f;
    parallel_for(rows, 1, 2 * tensor_bytes(dy), PARALLEL_ALL, scale_range, &u);
    return SODA_OK;
}

const soda_kernel cpu_spectral_scale_grad = {.prepare = prepare_spectral_scale_grad,
                                             .run = run_spectral_scale_grad};

/* Elements of one row that are converted at a time, on the stack. */
enum { CHUNK = 1024 };

/* State: inputs are fp32 or bf16, each for itself. */
typedef struct {
    const struct elementwise_loops *f32, *bf16;
} row_loops;

static soda_status prepare_rows(soda_call *call, soda_weights *weights)
{
    TRY(inputs_prepare_frozen(call, weights));
    row_loops *loops = malloc(sizeof *loops);
    if (!loops) return FAIL(SODA_ERR_MEMORY, "out of memory");
    *loops = (row_loops){elementwise(SODA_F32), elementwise(SODA_BF16)};
    call->state = loops;
    return SODA_OK;
}

static void release_rows(soda_call *call) { free(call->state); }

typedef struct {
    soda_tensor w, q; /* of the gradient: dy and q */
    const float *delta;
    soda_tensor y;
    const row_loops *loops;
} row_scale;

/* Elements [at, at + n) of a tensor as fp32: in place, or in `buffer`. */
static const float *chunk(const row_scale *u, const soda_tensor *tensor, int64_t at, int64_t n,
                          float *buffer)
{
    if (tensor->dtype == SODA_F32) return inputs_at(tensor, at);
    u->loops->bf16->to_f32(inputs_at(tensor, at), buffer, n);
    return buffer;
}

/* y = w + diag(delta) q on the rows that q has, w elsewhere. */
static void row_scale_add_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const row_scale *u = context;
    const int64_t k = u->q.shape.dim[0], n = u->w.shape.dim[1];
    const struct elementwise_loops *f32 = u->loops->f32;
    const struct elementwise_loops *to_y = u->y.dtype == SODA_F32 ? f32 : u->loops->bf16;
    float w_buffer[CHUNK], q_buffer[CHUNK], sum[CHUNK];
    for (int64_t row = first; row < last; row++)
        for (int64_t i = 0; i < n; i += CHUNK) {
            const int64_t width = n - i < CHUNK ? n - i : CHUNK;
            const float *w = chunk(u, &u->w, row * n + i, width, w_buffer), *y = w;
            if (row < k) {
                f32->scale(chunk(u, &u->q, row * n + i, width, q_buffer), u->delta[row], sum,
                           width);
                f32->add(w, sum, sum, width);
                y = sum;
            }
            to_y->from_f32(y, inputs_at(&u->y, row * n + i), width);
        }
}

static soda_status prepare_row_scale_add(soda_call *call, soda_weights *weights)
{
    if (call->in[2].dtype != SODA_F32)
        return FAIL(SODA_ERR_UNSUPPORTED, "cpu backend: row_scale_add with delta of type %s",
                    dtype_name(call->in[2].dtype));
    return prepare_rows(call, weights);
}

static soda_status run_row_scale_add(const soda_call *call)
{
    const row_scale u = {inputs_get(call, 0), inputs_get(call, 1), call->in[2].data, call->out[0],
                         call->state};
    parallel_for(u.w.shape.dim[0], 1, 3 * tensor_bytes(&u.w), PARALLEL_ALL, row_scale_add_range,
                 &u);
    return SODA_OK;
}

const soda_kernel cpu_row_scale_add = {
    .prepare = prepare_row_scale_add, .run = run_row_scale_add, .release = release_rows};

/* ddelta_i = <row i of dy, row i of q> */
static void row_dot_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const row_scale *u = context;
    const int64_t n = u->w.shape.dim[1];
    float w_buffer[CHUNK], q_buffer[CHUNK];
    for (int64_t row = first; row < last; row++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i += CHUNK) {
            const int64_t width = n - i < CHUNK ? n - i : CHUNK;
            sum += u->loops->f32->dot(chunk(u, &u->w, row * n + i, width, w_buffer),
                                      chunk(u, &u->q, row * n + i, width, q_buffer), width);
        }
        ((float *)u->y.data)[row] = (float)sum;
    }
}

static soda_status run_row_scale_add_grad(const soda_call *call)
{
    const row_scale u = {inputs_get(call, 0), inputs_get(call, 1), NULL, call->out[0], call->state};
    parallel_for(u.q.shape.dim[0], 1, 2 * tensor_bytes(&u.q), PARALLEL_ALL, row_dot_range, &u);
    return SODA_OK;
}

const soda_kernel cpu_row_scale_add_grad = {
    .prepare = prepare_rows, .run = run_row_scale_add_grad, .release = release_rows};
