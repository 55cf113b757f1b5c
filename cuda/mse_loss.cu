/* mse_loss.cu: the loss and its gradient, sums and factors in fp64; formulas in ref/loss.c.
 *
 * A block adds up one chunk of one image: thread t takes packs t, t + 256, ... in order, then
 * lanes and warps. One block adds the chunks of each image and then the images, in order. */
#include "cuda/gpu.cuh"
#include "cuda/launch.h"

static constexpr int THREADS = 256, PACK = 4;

/* Elements of the block's chunk of its image. */
struct chunk_place {
    int64_t image, first;
    int count;
};

static __device__ __forceinline__ chunk_place find_chunk(int64_t n)
{
    const unsigned chunks = (unsigned)ceil_div(n, MSE_CHUNK), image = blockIdx.x / chunks;
    const int64_t first = (int64_t)(blockIdx.x - image * chunks) * MSE_CHUNK;
    return {image, first, (int)min((int64_t)MSE_CHUNK, n - first)};
}

template <typename T> __global__ void __launch_bounds__(THREADS) mse_sum_kernel(mse_loss_tensors u)
{
    __shared__ double room[THREADS / WARP];
    const chunk_place at = find_chunk(u.n);
    const int64_t place = at.image * u.n + at.first;
    double sum = 0;
    for (int i = (int)threadIdx.x * PACK; i < at.count; i += THREADS * PACK) {
        float p[PACK], target[PACK];
        load_pack<PACK>((const T *)u.p + place + i, at.count - i, p);
        load_floats(u.target + place + i, at.count - i, target);
#pragma unroll
        for (int k = 0; k < PACK; k++) {
            const double error = (double)p[k] - (double)target[k];
            sum += error * error;
        }
    }
    sum = block_sum<THREADS / WARP>(sum, room);
    if (threadIdx.x == 0) u.partial[blockIdx.x] = sum;
}

/* log(1 + e^x) without overflow */
static __device__ __forceinline__ double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

/* One block: image[b] = its chunks, added in order, / n; loss = the mean of the images' terms. */
__global__ void __launch_bounds__(THREADS) mse_join_kernel(mse_loss_tensors u)
{
    __shared__ double term[THREADS];
    const int64_t chunks = ceil_div(u.n, MSE_CHUNK);
    double loss = 0;
    for (int64_t first = 0; first < u.images; first += THREADS) {
        const int64_t b = first + threadIdx.x;
        if (b < u.images) {
            double mean = 0;
            for (int64_t i = 0; i < chunks; i++) mean += u.partial[b * chunks + i];
            mean /= (double)u.n;
            u.image[b] = (float)mean;
            const double weight = (double)u.weight[b];
            term[threadIdx.x] =
                u.reference ? softplus((double)u.beta * weight * (mean - (double)u.reference[b]))
                            : weight * mean;
        }
        __syncthreads();
        for (int i = 0; threadIdx.x == 0 && i < THREADS && first + i < u.images; i++)
            loss += term[i];
        __syncthreads();
    }
    if (threadIdx.x == 0) u.loss[0] = (float)(loss / (double)u.images);
}

cudaError_t launch_mse_loss(bool is_bf16, const mse_loss_tensors *u, cudaStream_t stream)
{
    const int64_t blocks = u->images * ceil_div(u->n, MSE_CHUNK);
    const cudaError_t e = by_type(is_bf16, [&](auto zero) {
        return launch(mse_sum_kernel<decltype(zero)>, blocks, THREADS, 0, stream, *u);
    });
    return e != cudaSuccess ? e : launch(mse_join_kernel, 1, THREADS, 0, stream, *u);
}

/* dp = scale weight 2 (p - target) / (images n), scale = beta sigmoid(...) with a reference. */
template <typename T>
__global__ void __launch_bounds__(THREADS) mse_loss_grad_kernel(mse_loss_tensors u)
{
    const pack_place at = find_pack<PACK>(blockIdx.x * THREADS + threadIdx.x, (int)u.n);
    if (at.row >= u.images) return;
    const double weight = (double)u.weight[at.row], beta = (double)u.beta;
    double factor = 2 * weight / ((double)u.n * (double)u.images);
    if (u.reference)
        factor *=
            beta /
            (1 + exp(-beta * weight * ((double)u.image[at.row] - (double)u.reference[at.row])));
    const int64_t place = at.row * u.n + at.column;
    float p[PACK], target[PACK];
    load_pack<PACK>((const T *)u.p + place, at.n, p);
    load_floats(u.target + place, at.n, target);
#pragma unroll
    for (int k = 0; k < PACK; k++) p[k] = (float)factor * (p[k] - target[k]);
    store_pack<PACK>(p, at.n, (T *)u.dp + place);
}

cudaError_t launch_mse_loss_grad(bool is_bf16, const mse_loss_tensors *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        return launch_packs<PACK>(mse_loss_grad_kernel<decltype(zero)>, u->images, u->n, THREADS,
                                  stream, *u);
    });
}
