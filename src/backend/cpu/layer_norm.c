/* layer_norm of the CPU backend: y = gamma (x - mean) / sqrt(var + eps) + beta over each row. A row
 * fits in the first cache, so mean and variance take a pass each. */
#include "backend/cpu/inputs.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/norm.h"
#include "backend/cpu/parallel.h"

typedef struct {
    const soda_call *call;
    const float *gamma, *beta;
} norm;

/* scratch: gamma and beta as fp32, if they are computed in bf16. */
static soda_status prepare(soda_call *call, soda_weights *weights)
{
    TRY(inputs_prepare_frozen(call, weights));
    call->path = norm_loops_of(call->out[0].dtype);
    call->scratch_bytes = 2 * (size_t)shape_columns(&call->in[0].shape) * sizeof(float);
    return SODA_OK;
}

static void forward_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const norm *u = context;
    const soda_tensor *x = &u->call->in[0];
    const int64_t C = shape_columns(&x->shape);
    const struct norm_loops *loops = u->call->path;
    loops->layer_norm(inputs_at(x, first * C), u->gamma, u->beta, u->call->attr->layer_norm.eps,
                      last - first, C, inputs_at(&u->call->out[0], first * C),
                      (float *)u->call->out[1].data + 2 * first);
}

static soda_status run_layer_norm(const soda_call *call)
{
    float *buffer = call->scratch;
    const int64_t C = shape_columns(&call->in[0].shape);
    const norm u = {call, inputs_f32(call, 1, buffer), inputs_f32(call, 2, buffer + C)};
    parallel_for(shape_rows(&call->in[0].shape), 1, 2 * tensor_bytes(&call->in[0]), PARALLEL_ALL,
                 forward_range, &u);
    return SODA_OK;
}

const soda_kernel cpu_layer_norm = {.prepare = prepare, .run = run_layer_norm};

static void backward_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const norm *u = context;
    const soda_tensor *dy = &u->call->in[0], *x = &u->call->in[1];
    const int64_t C = shape_columns(&x->shape);
    const struct norm_loops *loops = u->call->path;
    loops->layer_norm_grad(inputs_at(dy, first * C), inputs_at(x, first * C), u->gamma,
                           (float *)u->call->in[3].data + 2 * first, last - first, C,
                           inputs_at(&u->call->out[0], first * C));
}

static soda_status run_layer_norm_grad(const soda_call *call)
{
    const norm u = {call, inputs_f32(call, 2, call->scratch), NULL};
    parallel_for(shape_rows(&call->in[1].shape), 1, 3 * tensor_bytes(&call->in[1]), PARALLEL_ALL,
                 backward_range, &u);
    return SODA_OK;
}

const soda_kernel cpu_layer_norm_grad = {.prepare = prepare, .run = run_layer_norm_grad};
