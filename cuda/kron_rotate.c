/* kron_rotate and its gradient on the CUDA backend. */
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/operands.h"

/* Sizes: x is input `x` of the call, the factors are the next three. */
static kron_tensors sizes_of(const soda_call *call, int x)
{
    kron_tensors u = {.rows = shape_rows(&call->in[x].shape),
                      .transposed = call->attr->kron_rotate.transposed};
    for (int k = 0; k < 3; k++) u.n[k] = (int)call->in[x + 1 + k].shape.dim[0];
    return u;
}

/* The most shared memory that a block of the open GPU can have. */
static soda_status most_shared(int *bytes)
{
    int device;
    GPU_TRY(cudaGetDevice(&device));
    GPU_TRY(cudaDeviceGetAttribute(bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    return SODA_OK;
}

/* Whether a block holds a row and the sums of the factors' gradients. */
static soda_status check_sizes(const kron_tensors *u, bool grad)
{
    int most = 0;
    for (int k = 0; k < 3; k++)
        if (u->n[k] > KRON_MOST_SIDE)
            return FAIL(
                SODA_ERR_UNSUPPORTED,
                "cuda backend: rotations with factors up to %d x %d, found %d: choose others "
                "with adapter.factors",
                KRON_MOST_SIDE, KRON_MOST_SIDE, u->n[k]);
    TRY(most_shared(&most));
    const size_t wanted = kron_rotate_shared(u, grad);
    if (wanted <= (size_t)most) return SODA_OK;
    return FAIL(SODA_ERR_UNSUPPORTED,
                "cuda backend: rotations of rows of %d x %d x %d want %zu bytes of shared memory, "
                "this GPU has %d",
                u->n[0], u->n[1], u->n[2], wanted, most);
}

static soda_status prepare_kron_rotate(soda_call *call, soda_weights *weights)
{
    const kron_tensors u = sizes_of(call, 0);
    TRY(check_sizes(&u, false));
    return operands_prepare(call, weights, "xfff", "x");
}

static soda_status run_kron_rotate(const soda_call *call)
{
    kron_tensors u = sizes_of(call, 0);
    u.x = operand(call, 0);
    for (int k = 0; k < 3; k++) u.R[k] = operand(call, 1 + k);
    u.y = call->out[0].data;
    GPU_TRY(launch_kron_rotate(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_kron_rotate = {.prepare = prepare_kron_rotate, .run = run_kron_rotate};

static soda_status prepare_kron_rotate_grad(soda_call *call, soda_weights *weights)
{
    const kron_tensors u = sizes_of(call, 1);
    TRY(check_sizes(&u, true));
    call->scratch_bytes = kron_rotate_scratch(&u);
    return operands_prepare(call, weights, "xxfff", "xfff");
}

static soda_status run_kron_rotate_grad(const soda_call *call)
{
    kron_tensors u = sizes_of(call, 1);
    u.dz = operand(call, 0);
    u.x = operand(call, 1);
    for (int k = 0; k < 3; k++) u.R[k] = operand(call, 2 + k);
    u.y = call->out[0].data;
    for (int k = 0; k < 3; k++) u.dR[k] = call->out[1 + k].data;
    u.partial = call->scratch;
    GPU_TRY(launch_kron_rotate_grad(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_kron_rotate_grad = {.prepare = prepare_kron_rotate_grad,
                                           .run = run_kron_rotate_grad};
