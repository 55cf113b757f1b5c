/* group_norm of the CPU backend.
 *
 *     y = gamma (x - mean) / sqrt(var + eps) + beta, then silu if attr.silu
 *
 * x, y [N,H,W,C]; mean and var over H, W and the channels of one group. First pass: per block of
 * rows and per channel, fp32 sums of x - pivot and of its square, where the pivot is the channel's
 * value in the first row; blocks, channels and groups are joined in fp64, in order. Second pass:
 * y = (x - mean) a + beta with a = gamma / std. The blocks depend on the shape alone, so the result
 * does not depend on the number of threads.
 *
 * Backward, with z = (x - mean) a + beta, d = dy silu'(z) or dy, n values in a group, and sums over
 * the group:
 *
 *     dx = a d - rstd/n sum(gamma d) - (x - mean) rstd^3/n sum(gamma d (x - mean)) */
#include <math.h>

#include "backend/cpu/inputs.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/norm.h"
#include "backend/cpu/parallel.h"
#include "core/round.h"

/* One call; the arrays are in scratch. */
typedef struct {
    const soda_call *call;
    const soda_tensor *x;
    const struct norm_loops *loops;
    int64_t N, rows, C, groups; /* rows of one image */
    int64_t block_rows, blocks; /* of one image */
    const float *gamma, *beta;
    float *pivot, *mean, *a;       /* [N,C] */
    float *plain, *cross;          /* [N,C]; backward */
    float *first_sum, *second_sum; /* [N,blocks,C]: the two sums of each block */
} norm;

static norm measure(const soda_call *call, const soda_tensor *x)
{
    norm u = {.call = call, .x = x, .loops = call->path};
    u.N = x->shape.dim[0];
    u.C = shape_columns(&x->shape);
    u.rows = shape_rows(&x->shape) / u.N;
    u.groups = call->attr->group_norm.groups;
    u.block_rows = u.rows / 64 < 16 ? 16 : u.rows / 64 > 256 ? 256 : u.rows / 64;
    u.blocks = ceil_div(u.rows, u.block_rows);
    return u;
}

/* Input `x` of the call; gamma and beta are inputs `gamma` and gamma + 1. */
static soda_status prepare(soda_call *call, soda_weights *weights, int x)
{
    TRY(inputs_prepare_frozen(call, weights));
    call->path = norm_loops_of(call->in[x].dtype);
    const norm u = measure(call, &call->in[x]);
    call->scratch_bytes =
        (size_t)(5 * u.N * u.C + 2 * u.N * u.blocks * u.C + 2 * u.C) * sizeof(float);
    return SODA_OK;
}

static norm start(const soda_call *call, int x, int gamma)
{
    norm u = measure(call, &call->in[x]);
    const int64_t images = u.N * u.C, blocks = u.N * u.blocks * u.C;
    u.pivot = call->scratch;
    u.mean = u.pivot + images;
    u.a = u.mean + images;
    u.plain = u.a + images;
    u.cross = u.plain + images;
    u.first_sum = u.cross + images;
    u.second_sum = u.first_sum + blocks;
    float *buffer = u.second_sum + blocks;
    u.gamma = inputs_f32(call, gamma, buffer);
    u.beta = inputs_f32(call, gamma + 1, buffer + u.C);
    return u;
}

/* Block `index` of all images: its image, its first element and its number of rows. */
typedef struct {
    int64_t image, at, rows;
} block;

static block find_block(const norm *u, int64_t index)
{
    const int64_t row = index % u->blocks * u->block_rows;
    const int64_t left = u->rows - row, image = index / u->blocks;
    return (block){image, (image * u->rows + row) * u->C,
                   left < u->block_rows ? left : u->block_rows};
}

/* The sums of channel c of image n over all blocks. */
static void join_blocks(const norm *u, int64_t n, int64_t c, double *first, double *second)
{
    *first = *second = 0;
    for (int64_t b = 0; b < u->blocks; b++) {
        *first += (double)u->first_sum[(n * u->blocks + b) * u->C + c];
        *second += (double)u->second_sum[(n * u->blocks + b) * u->C + c];
    }
}

static void moments_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const norm *u = context;
    for (int64_t i = first; i < last; i++) {
        const block b = find_block(u, i);
        u->loops->moments(inputs_at(u->x, b.at), u->pivot + b.image * u->C, b.rows, u->C,
                          u->first_sum + i * u->C, u->second_sum + i * u->C);
    }
}

/* mean and variance of one group from those of its channels (Chan, Golub & LeVeque 1979). */
static void join_moments(const norm *u, int64_t n, int64_t group)
{
    const int64_t width = u->C / u->groups, c0 = group * width, at = n * u->C;
    double mean = 0, spread = 0;
    for (int64_t c = c0; c < c0 + width; c++) {
        double sum, square;
        join_blocks(u, n, c, &sum, &square);
        const double shift = sum / (double)u->rows;
        const double channel = (double)u->pivot[at + c] + shift, delta = channel - mean;
        const double share = 1.0 / (double)(c - c0 + 1); /* of this channel among those joined */
        mean += delta * share;
        spread += square - sum * shift + delta * delta * (1.0 - share) * (double)u->rows;
    }
    /* Rounding can leave spread below zero; fmax would also swallow NaN. */
    const double variance = (spread < 0 ? 0 : spread) / (double)(u->rows * width);
    const double rstd = 1.0 / sqrt(variance + (double)u->call->attr->group_norm.eps);
    float *stats = (float *)u->call->out[1].data + 2 * (n * u->groups + group);
    stats[0] = (float)mean;
    stats[1] = (float)rstd;
    for (int64_t c = c0; c < c0 + width; c++) {
        u->mean[at + c] = stats[0];
        u->a[at + c] = (float)((double)u->gamma[c] * rstd);
    }
}

static void join_moments_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const norm *u = context;
    for (int64_t i = first; i < last; i++) join_moments(u, i / u->groups, i % u->groups);
}

static void affine_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const norm *u = context;
    const bool silu = u->call->attr->group_norm.silu;
    for (int64_t i = first; i < last; i++) {
        const block b = find_block(u, i);
        u->loops->affine[silu](inputs_at(u->x, b.at), u->mean + b.image * u->C,
                               u->a + b.image * u->C, u->beta, b.rows, u->C,
                               inputs_at(&u->call->out[0], b.at));
    }
}

static soda_status prepare_group_norm(soda_call *call, soda_weights *weights)
{
    return prepare(call, weights, 0);
}

static soda_status run_group_norm(const soda_call *call)
{
    const norm u = start(call, 0, 1);
    const size_t bytes = tensor_bytes(u.x);
    for (int64_t n = 0; n < u.N; n++)
        TRY(inputs_convert(inputs_at(u.x, n * u.rows * u.C), u.x->dtype, u.C, u.pivot + n * u.C));
    parallel_for(u.N * u.blocks, 1, bytes, PARALLEL_ALL, moments_range, &u);
    parallel_for(u.N * u.groups, 1, (size_t)(u.N * u.blocks * u.C) * 8, PARALLEL_ALL,
                 join_moments_range, &u);
    parallel_for(u.N * u.blocks, 1, 2 * bytes, PARALLEL_ALL, affine_range, &u);
    return SODA_OK;
}

const soda_kernel cpu_group_norm = {.prepare = prepare_group_norm, .run = run_group_norm};

static void grad_sums_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const norm *u = context;
    const bool silu = u->call->attr->group_norm.silu;
    for (int64_t i = first; i < last; i++) {
        const block b = find_block(u, i);
        u->loops->grad_sums[silu](inputs_at(&u->call->in[0], b.at), inputs_at(u->x, b.at),
                                  u->mean + b.image * u->C, u->a + b.image * u->C, u->beta, b.rows,
                                  u->C, u->first_sum + i * u->C, u->second_sum + i * u->C,
                                  inputs_at(&u->call->out[0], b.at));
    }
}

static void join_grad_sums_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const norm *u = context;
    const float *stats = u->call->in[4].data;
    const int64_t width = u->C / u->groups;
    for (int64_t i = first; i < last; i++) {
        const int64_t n = i / u->groups, c0 = i % u->groups * width;
        const double rstd = (double)stats[2 * i + 1], count = (double)(u->rows * width);
        double plain = 0, cross = 0;
        for (int64_t c = c0; c < c0 + width; c++) {
            double channel_plain, channel_cross;
            join_blocks(u, n, c, &channel_plain, &channel_cross);
            plain += (double)u->gamma[c] * channel_plain;
            cross += (double)u->gamma[c] * channel_cross;
        }
        for (int64_t c = c0; c < c0 + width; c++) {
            u->plain[n * u->C + c] = (float)(rstd / count * plain);
            u->cross[n * u->C + c] = (float)(rstd * rstd * rstd / count * cross);
        }
    }
}

static void grad_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const norm *u = context;
    /* In fp32 the sums left dy silu'(z) in dx. */
    const bool silu = u->call->attr->group_norm.silu, kept = silu && u->x->dtype == SODA_F32;
    const soda_tensor *dy = kept ? &u->call->out[0] : &u->call->in[0];
    for (int64_t i = first; i < last; i++) {
        const block b = find_block(u, i);
        const int64_t at = b.image * u->C;
        u->loops->grad[silu && !kept](inputs_at(dy, b.at), inputs_at(u->x, b.at), u->mean + at,
                                      u->a + at, u->beta, u->plain + at, u->cross + at, b.rows,
                                      u->C, inputs_at(&u->call->out[0], b.at));
    }
}

static soda_status prepare_group_norm_grad(soda_call *call, soda_weights *weights)
{
    return prepare(call, weights, 1);
}

static soda_status run_group_norm_grad(const soda_call *call)
{
    const norm u = start(call, 1, 2);
    const size_t bytes = tensor_bytes(u.x);
    const float *stats = call->in[4].data;
    for (int64_t i = 0; i < u.N * u.C; i++) {
        const float *group = stats + 2 * (i / (u.C / u.groups));
        u.mean[i] = group[0];
        u.a[i] = u.gamma[i % u.C] * group[1];
    }
    parallel_for(u.N * u.blocks, 1, 2 * bytes, PARALLEL_ALL, grad_sums_range, &u);
    parallel_for(u.N * u.groups, 1, (size_t)(u.N * u.blocks * u.C) * 8, PARALLEL_ALL,
                 join_grad_sums_range, &u);
    parallel_for(u.N * u.blocks, 1, 3 * bytes, PARALLEL_ALL, grad_range, &u);
    return SODA_OK;
}

const soda_kernel cpu_group_norm_grad = {.prepare = prepare_group_norm_grad,
                                         .run = run_group_norm_grad};
