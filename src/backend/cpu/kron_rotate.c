/* kron_rotate of the CPU backend: a few rows at a time go through the three products while they are
 * in the first-level cache; kron.h has the algebra. The result of a row depends on nothing else.
 *
 * Backward, with t1 = x R3, t2 = t1 R2 (recomputed), g = dz:
 *
 *     dR1 = t2' g on the first axis,  g <- g R1';  dR2 = t1' g on the middle axis, g <- g R2';
 *     dR3 = x' g on the last axis,    dx = g R3'
 *
 * dR is summed in fp32 within a few rows and in fp64 over chunks of rows, which depend on the shape
 * alone; the chunks are added in order. */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/inputs.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/kron.h"
#include "backend/cpu/parallel.h"

enum {
    BUFFER_BYTES = 16 * 1024, /* of one buffer: three of them fit in the first-level cache */
    MOST_CHUNKS = 64,
    LEAST_CHUNK_ROWS = 32,
};

/* One call. Axis k here is axis order[k] of the operator: an axis of length 1 may stand anywhere in
 * the product, and as the last one it would waste whole vectors. */
typedef struct {
    const soda_call *call; /* of the run; prepare sets what is below, down to per_thread */
    const struct kron_loops *loops;
    const struct elementwise_loops *f32, *bf16;
    int x;                /* the input that is rotated, before its three factors */
    int64_t rows, width;  /* of x */
    int64_t n[3], padded; /* lengths of the axes; of the last one in the buffers */
    int order[3];
    int64_t block_rows, floats; /* rows that one buffer holds; its size */
    int64_t chunk_rows, chunks; /* backward */
    int threads, per_thread;    /* that have buffers, and how many */
    const float *R[3];          /* by axis, like order */
    float *last_factor[2];      /* [n3,padded]: of forward and of backward */
    double *sums;               /* [chunks, all dR]; backward */
    float *buffers;             /* [threads, buffers of one thread, floats] */
} kron;

static int64_t square_sum(const kron *u)
{
    return u->n[0] * u->n[0] + u->n[1] * u->n[1] + u->n[2] * u->n[2];
}

/* Sizes from the call: x is input `x`, the factors are the next three. */
static kron measure(const soda_call *call, int x, int per_thread)
{
    kron u = {.x = x, .loops = kron_loops_best(), .order = {0, 1, 2}};
    u.f32 = elementwise(SODA_F32);
    u.bf16 = elementwise(SODA_BF16);
    int64_t n[3];
    for (int k = 0; k < 3; k++) n[k] = call->in[x + 1 + k].shape.dim[0];
    for (int turn = 0; turn < 2 && n[u.order[2]] == 1; turn++) {
        const int last = u.order[2];
        u.order[2] = u.order[1];
        u.order[1] = u.order[0];
        u.order[0] = last;
    }
    for (int k = 0; k < 3; k++) u.n[k] = n[u.order[k]];
    u.rows = shape_rows(&call->in[x].shape);
    u.width = shape_columns(&call->in[x].shape);
    u.padded = round_up64(u.n[2], u.loops->width);
    const int64_t row_floats = u.n[0] * u.n[1] * u.padded;
    u.block_rows = BUFFER_BYTES / (int64_t)sizeof(float) / row_floats;
    if (u.block_rows < 1) u.block_rows = 1;
    u.floats = u.block_rows * row_floats;
    if (u.floats < u.n[2] * u.padded) u.floats = u.n[2] * u.padded; /* add_last_grad */
    u.floats = round_up64(u.floats, 16);
    u.chunk_rows = ceil_div(u.rows, MOST_CHUNKS);
    if (u.chunk_rows < LEAST_CHUNK_ROWS) u.chunk_rows = LEAST_CHUNK_ROWS;
    u.chunks = ceil_div(u.rows, u.chunk_rows);
    u.threads = parallel_threads();
    u.per_thread = per_thread;
    return u;
}

/* Scratch: last_factor, sums, buffers. The copies of the last factor end on cache lines. */
static int64_t factor_floats(const kron *u) { return round_up64(u->n[2] * u->padded, 16); }

static size_t sums_bytes(const kron *u)
{
    return whole_lines((size_t)(u->chunks * square_sum(u)) * sizeof(double));
}

static size_t scratch_bytes(const kron *u, bool backward)
{
    return (size_t)(2 * factor_floats(u) + u->threads * u->per_thread * u->floats) * sizeof(float) +
           (backward ? sums_bytes(u) : 0);
}

/* to [n,padded] = R or its transpose, with zeros on the right. */
static void pad_factor(const float *R, int64_t n, int64_t padded, bool transposed, float *to)
{
    memset(to, 0, (size_t)(n * padded) * sizeof *to);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            to[i * padded + j] = transposed ? R[j * n + i] : R[i * n + j];
}

static kron start(const soda_call *call, bool backward)
{
    kron u = *(const kron *)call->state;
    const bool transposed = call->attr->kron_rotate.transposed;
    u.call = call;
    for (int k = 0; k < 3; k++) u.R[k] = inputs_get(call, u.x + 1 + u.order[k]).data;
    u.last_factor[0] = call->scratch;
    u.last_factor[1] = u.last_factor[0] + factor_floats(&u);
    char *next = (char *)(u.last_factor[1] + factor_floats(&u));
    u.sums = (double *)(void *)next;
    if (backward) next += sums_bytes(&u);
    u.buffers = (float *)(void *)next;
    for (int back = 0; back <= (int)backward; back++)
        pad_factor(u.R[2], u.n[2], u.padded, transposed != (back == 1), u.last_factor[back]);
    return u;
}

/* One axis of `rows` rows: y = x times the factor, or times its transpose if `back`. */
static void rotate_last(const kron *u, bool back, int64_t rows, const float *x, float *y)
{
    u->loops->product(&(struct kron_product){.batch = 1,
                                             .M = rows * u->n[0] * u->n[1],
                                             .N = u->padded,
                                             .K = u->n[2],
                                             .a = x,
                                             .b = u->last_factor[back],
                                             .c = y,
                                             .a_row = u->padded,
                                             .a_k = 1,
                                             .b_k = u->padded,
                                             .c_row = u->padded});
}

static void rotate_axis(const kron *u, int axis, bool back, int64_t batch, int64_t width,
                        const float *x, float *y)
{
    const int64_t n = u->n[axis];
    const bool transposed = u->call->attr->kron_rotate.transposed != back;
    u->loops->product(&(struct kron_product){.batch = batch,
                                             .M = n,
                                             .N = width,
                                             .K = n,
                                             .a = u->R[axis],
                                             .b = x,
                                             .c = y,
                                             .a_row = transposed ? n : 1,
                                             .a_k = transposed ? 1 : n,
                                             .b_batch = n * width,
                                             .b_k = width,
                                             .c_batch = n * width,
                                             .c_row = width});
}

static void rotate_middle(const kron *u, bool back, int64_t rows, const float *x, float *y)
{
    rotate_axis(u, 1, back, rows * u->n[0], u->padded, x, y);
}

static void rotate_first(const kron *u, bool back, int64_t rows, const float *x, float *y)
{
    rotate_axis(u, 0, back, rows, u->n[1] * u->padded, x, y);
}

/* Whether a tensor's rows are already what a buffer would hold. */
static bool needs_no_buffer(const kron *u, const soda_tensor *t)
{
    return t->dtype == SODA_F32 && u->padded == u->n[2];
}

static const struct elementwise_loops *loops_for(const kron *u, const soda_tensor *t)
{
    return t->dtype == SODA_BF16 ? u->bf16 : u->f32;
}

/* Rows of `t` from `row` on, padded, as fp32: in place, or in `buffer`. The padding is zero if
 * `clear`, which only sums over lanes (kron_dots) need. */
static const float *load(const kron *u, const soda_tensor *t, int64_t row, int64_t rows, bool clear,
                         float *buffer)
{
    const int64_t at = row * u->width, n = u->n[2], lines = rows * u->width / n;
    if (needs_no_buffer(u, t)) return inputs_at(t, at);
    if (u->padded == n) {
        loops_for(u, t)->to_f32(inputs_at(t, at), buffer, lines * n);
        return buffer;
    }
    loops_for(u, t)->spread_lines(inputs_at(t, at), lines, n, u->padded, buffer);
    for (int64_t i = 0; clear && i < lines; i++)
        for (int64_t k = n; k < u->padded; k++) buffer[i * u->padded + k] = 0.0f;
    return buffer;
}

static void store(const kron *u, const soda_tensor *t, int64_t row, int64_t rows, const float *x)
{
    const int64_t at = row * u->width, n = u->n[2], lines = rows * u->width / n;
    if (u->padded == n) {
        loops_for(u, t)->from_f32(x, inputs_at(t, at), lines * n);
        return;
    }
    loops_for(u, t)->join_lines(x, lines, n, u->padded, inputs_at(t, at));
}

static float *buffer_of(const kron *u, int thread, int index)
{
    return u->buffers + (thread * u->per_thread + index) * u->floats;
}

static void forward_range(const void *context, int thread, int64_t first, int64_t last)
{
    const kron *u = context;
    const soda_tensor x = inputs_get(u->call, 0), *y = &u->call->out[0];
    float *even = buffer_of(u, thread, 0), *odd = buffer_of(u, thread, 1);
    for (int64_t row = first; row < last; row += u->block_rows) {
        const int64_t rows = last - row < u->block_rows ? last - row : u->block_rows;
        rotate_last(u, false, rows, load(u, &x, row, rows, false, even), odd);
        rotate_middle(u, false, rows, odd, even);
        if (needs_no_buffer(u, y)) {
            rotate_first(u, false, rows, even, inputs_at(y, row * u->width));
        } else {
            rotate_first(u, false, rows, even, odd);
            store(u, y, row, rows, odd);
        }
    }
}

enum { FORWARD_BUFFERS = 2, BACKWARD_BUFFERS = 5 };

static soda_status check_types(const soda_call *call, int x)
{
    for (int i = x; i <= x + 3; i++)
        if (inputs_get(call, i).dtype != (i > x ? SODA_F32 : call->out[0].dtype))
            return FAIL(SODA_ERR_UNSUPPORTED, "cpu backend: kron_rotate of mixed types");
    return SODA_OK;
}

static soda_status prepare(soda_call *call, soda_weights *weights, int x, int per_thread)
{
    TRY(inputs_prepare_frozen(call, weights));
    TRY(check_types(call, x));
    kron *u = call->state = malloc(sizeof *u);
    if (!u) return FAIL(SODA_ERR_MEMORY, "out of memory");
    *u = measure(call, x, per_thread);
    call->scratch_bytes = scratch_bytes(u, per_thread == BACKWARD_BUFFERS);
    return SODA_OK;
}

static void release(soda_call *call) { free(call->state); }

static soda_status prepare_kron_rotate(soda_call *call, soda_weights *weights)
{
    return prepare(call, weights, 0, FORWARD_BUFFERS);
}

static soda_status run_kron_rotate(const soda_call *call)
{
    const kron u = start(call, false);
    parallel_for(u.rows, u.block_rows, 2 * tensor_bytes(&call->out[0]), u.threads, forward_range,
                 &u);
    return SODA_OK;
}

const soda_kernel cpu_kron_rotate = {
    .prepare = prepare_kron_rotate, .run = run_kron_rotate, .release = release};

/* sum [n,n] += the gradient of the last factor from `rows` rows; `product` is a buffer. */
static void add_last_grad(const kron *u, int64_t rows, const float *x, const float *g,
                          float *product, double *sum)
{
    const int64_t n = u->n[2];
    u->loops->product(&(struct kron_product){.batch = 1,
                                             .M = n,
                                             .N = u->padded,
                                             .K = rows * u->n[0] * u->n[1],
                                             .a = x,
                                             .b = g,
                                             .c = product,
                                             .a_row = 1,
                                             .a_k = u->padded,
                                             .b_k = u->padded,
                                             .c_row = u->padded});
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) sum[i * n + j] += (double)product[i * u->padded + j];
}

static void add_axis_grad(const kron *u, int axis, int64_t batch, int64_t width, const float *t,
                          const float *g, double *sum)
{
    const int64_t n = u->n[axis];
    u->loops->dots(&(struct kron_dots){
        .batch = batch, .n = n, .width = width, .stride = n * width, .a = t, .b = g, .c = sum});
}

/* One block of rows; sum[k] of this chunk. */
static void backward_block(const kron *u, int thread, int64_t row, int64_t rows, double *sum[3])
{
    const soda_call *call = u->call;
    const soda_tensor x_tensor = inputs_get(call, 1), *dx = &call->out[0];
    float *t1 = buffer_of(u, thread, 1), *t2 = buffer_of(u, thread, 2);
    float *even = buffer_of(u, thread, 3), *odd = buffer_of(u, thread, 4);
    const float *x = load(u, &x_tensor, row, rows, false, buffer_of(u, thread, 0));
    rotate_last(u, false, rows, x, t1);
    rotate_middle(u, false, rows, t1, t2);
    const float *g = load(u, &call->in[0], row, rows, true, even);
    add_axis_grad(u, 0, rows, u->n[1] * u->padded, t2, g, sum[0]);
    rotate_first(u, true, rows, g, odd);
    add_axis_grad(u, 1, rows * u->n[0], u->padded, t1, odd, sum[1]);
    rotate_middle(u, true, rows, odd, even);
    add_last_grad(u, rows, x, even, odd, sum[2]);
    if (needs_no_buffer(u, dx)) {
        rotate_last(u, true, rows, even, inputs_at(dx, row * u->width));
    } else {
        rotate_last(u, true, rows, even, odd);
        store(u, dx, row, rows, odd);
    }
}

static void chunk_range(const void *context, int thread, int64_t first, int64_t last)
{
    const kron *u = context;
    for (int64_t chunk = first; chunk < last; chunk++) {
        double *sum[3] = {u->sums + chunk * square_sum(u)};
        sum[1] = sum[0] + u->n[0] * u->n[0];
        sum[2] = sum[1] + u->n[1] * u->n[1];
        memset(sum[0], 0, (size_t)square_sum(u) * sizeof(double));
        const int64_t begin = chunk * u->chunk_rows, left = u->rows - begin;
        const int64_t end = begin + (left < u->chunk_rows ? left : u->chunk_rows);
        for (int64_t row = begin; row < end; row += u->block_rows)
            backward_block(u, thread, row, end - row < u->block_rows ? end - row : u->block_rows,
                           sum);
    }
}

/* The chunks, added in order. The gradient of a transposed factor is the transpose. */
static void add_chunks(const kron *u)
{
    const double *chunk = u->sums;
    for (int k = 0; k < 3; k++) {
        const int64_t n = u->n[k];
        float *dR = u->call->out[1 + u->order[k]].data;
        for (int64_t i = 0; i < n * n; i++) {
            double sum = 0;
            for (int64_t c = 0; c < u->chunks; c++) sum += chunk[c * square_sum(u) + i];
            dR[u->call->attr->kron_rotate.transposed ? i % n * n + i / n : i] = (float)sum;
        }
        chunk += n * n;
    }
}

static soda_status prepare_kron_rotate_grad(soda_call *call, soda_weights *weights)
{
    return prepare(call, weights, 1, BACKWARD_BUFFERS);
}

static soda_status run_kron_rotate_grad(const soda_call *call)
{
    const kron u = start(call, true);
    parallel_for(u.chunks, 1, 4 * tensor_bytes(&call->out[0]), u.threads, chunk_range, &u);
    add_chunks(&u);
    return SODA_OK;
}

const soda_kernel cpu_kron_rotate_grad = {
    .prepare = prepare_kron_rotate_grad, .run = run_kron_rotate_grad, .release = release};
