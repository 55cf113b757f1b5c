/* activation, activation_grad, geglu and geglu_grad of the CPU backend: see simd_math.h for the
 * accuracy of the functions. gelu is x Phi(x), the erf form; quick_gelu is x sigmoid(1.702 x). */
#include "backend/cpu/inputs.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/simd.h"

enum { ACTIVATIONS = ACT_RELU + 1 };

struct activation_loops {
    void (*forward[ACTIVATIONS])(const void *x, void *y, int64_t n);
    void (*backward[ACTIVATIONS])(const void *dy, const void *x, void *dx, int64_t n);
    void (*geglu)(const void *x, void *y, int64_t rows, int64_t n);
    void (*geglu_grad)(const void *dy, const void *x, void *dx, int64_t rows, int64_t n);
};

#define SIMD_BODY "backend/cpu/activation_loops.h"
#include "backend/cpu/simd_variants.h"
SIMD_SELECT(activation_loops)

enum { UNIT = 1024 }; /* elements: ranges end on whole cache lines */

static soda_status prepare(soda_call *call, soda_weights *weights)
{
    call->path = activation_loops_for(call->in[0].dtype);
    return inputs_prepare_plain(call, weights);
}

static void forward_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const struct activation_loops *loops = call->path;
    loops->forward[call->attr->activation.kind](inputs_at(&call->in[0], first),
                                                inputs_at(&call->out[0], first), last - first);
}

static soda_status run_activation(const soda_call *call)
{
    parallel_for(shape_count(&call->out[0].shape), UNIT, 2 * tensor_bytes(&call->out[0]),
                 PARALLEL_ALL, forward_range, call);
    return SODA_OK;
}

const soda_kernel cpu_activation = {.prepare = prepare, .run = run_activation};

static void backward_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const struct activation_loops *loops = call->path;
    loops->backward[call->attr->activation.kind](inputs_at(&call->in[0], first),
                                                 inputs_at(&call->in[1], first),
                                                 inputs_at(&call->out[0], first), last - first);
}

static soda_status run_activation_grad(const soda_call *call)
{
    parallel_for(shape_count(&call->out[0].shape), UNIT, 3 * tensor_bytes(&call->out[0]),
                 PARALLEL_ALL, backward_range, call);
    return SODA_OK;
}

const soda_kernel cpu_activation_grad = {.prepare = prepare, .run = run_activation_grad};

static void geglu_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const soda_tensor *x = &call->in[0], *y = &call->out[0];
    const int64_t n = shape_columns(&y->shape);
    const struct activation_loops *loops = call->path;
    loops->geglu(inputs_at(x, first * 2 * n), inputs_at(y, first * n), last - first, n);
}

static soda_status run_geglu(const soda_call *call)
{
    parallel_for(shape_rows(&call->in[0].shape), 1, 2 * tensor_bytes(&call->in[0]), PARALLEL_ALL,
                 geglu_range, call);
    return SODA_OK;
}

const soda_kernel cpu_geglu = {.prepare = prepare, .run = run_geglu};

static void geglu_grad_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const soda_tensor *dy = &call->in[0], *x = &call->in[1], *dx = &call->out[0];
    const int64_t n = shape_columns(&dy->shape);
    const struct activation_loops *loops = call->path;
    loops->geglu_grad(inputs_at(dy, first * n), inputs_at(x, first * 2 * n),
                      inputs_at(dx, first * 2 * n), last - first, n);
}

static soda_status run_geglu_grad(const soda_call *call)
{
    parallel_for(shape_rows(&call->in[0].shape), 1, 3 * tensor_bytes(&call->in[1]), PARALLEL_ALL,
                 geglu_grad_range, call);
    return SODA_OK;
}

const soda_kernel cpu_geglu_grad = {.prepare = prepare, .run = run_geglu_grad};
