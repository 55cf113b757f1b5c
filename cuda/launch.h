/* launch.h: the kernels of the .cu files as C functions. Each enqueues its work on `stream` and
 * returns the error of the launch. Pointers are the device's; tensors are packed, rows last. One
 * section per file, in alphabetical order. */
#pragma once

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* scale.cu: y [n] = factor x [n]; `bf16`: bf16, else fp32. x and y may be the same. */
cudaError_t launch_scale(bool bf16, const void *x, float factor, void *y, int64_t n,
                         cudaStream_t stream);

#ifdef __cplusplus
}
#endif
