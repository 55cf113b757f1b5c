/* The CUDA runtime's memory and errors. Prototypes and error codes: NVIDIA, CUDA Runtime
 * API 13.0. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_runtime_api.h"

static cudaError_t last_error;

cudaError_t sim_fail(cudaError_t error)
{
    if (error != cudaSuccess) last_error = error;
    return error;
}

cudaError_t cudaGetLastError(void)
{
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}
cudaError_t cudaPeekAtLastError(void) { return last_error; }

typedef struct {
    cudaError_t code;
    const char *name, *text;
} error_text;
static const error_text errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection",
     "invalid copy direction for memcpy"},
    {cudaErrorInvalidSymbol, "cudaErrorInvalidSymbol", "invalid device symbol"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources",
     "too many resources requested for launch"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalState, "cudaErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined",
     "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge",
     "operation would result in a merge of separate capture sequences"}};

static const error_text *error_find(cudaError_t code)
{
    static const error_text unknown = {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"};
    for (size_t k = 0; k < sizeof errors / sizeof *errors; k++)
        if (errors[k].code == code) return &errors[k];
    return &unknown;
}
const char *cudaGetErrorName(cudaError_t code) { return error_find(code)->name; }
const char *cudaGetErrorString(cudaError_t code) { return error_find(code)->text; }

/* ---- memory ---- */
cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    *available = sim_memory_free_bytes();
    *total = sim_memory_total_bytes();
    return cudaSuccess;
}

static cudaError_t allocate(void **p, size_t bytes, bool of_device)
{
    if (!p) return sim_fail(cudaErrorInvalidValue);
    *p = NULL;
    if (sim_lost()) return sim_fail(cudaErrorLaunchFailure);
    if (sim_fails(SIM_ALLOC)) return sim_fail(cudaErrorMemoryAllocation);
    *p = bytes ? sim_memory_new(bytes, of_device) : NULL;
    sim_count.allocations++;
    return bytes && !*p ? sim_fail(cudaErrorMemoryAllocation) : cudaSuccess;
}
cudaError_t cudaMalloc(void **p, size_t bytes) { return allocate(p, bytes, true); }
cudaError_t cudaMallocHost(void **p, size_t bytes) { return allocate(p, bytes, false); }
cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned flags)
{
    return flags & ~(unsigned)cudaHostAllocPortable ? sim_fail(cudaErrorInvalidValue)
                                                    : allocate(p, bytes, false);
}
cudaError_t cudaFree(void *p) /* waits for the device, as cudaFreeHost does */
{
    sim_wait_all();
    return sim_fail(sim_memory_free(p, true));
}
cudaError_t cudaFreeHost(void *p)
{
    sim_wait_all();
    return sim_fail(sim_memory_free(p, false));
}

typedef struct {
    void *to;
    const void *from;
    size_t bytes;
    char staged[]; /* of pageable host memory, which was read by the call */
} copy;

static bool on_device(const void *p)
{
    const sim_memory *m = sim_memory_find(p);
    return m && m->device;
}
static bool pinned(const void *p)
{
    const sim_memory *m = sim_memory_find(p);
    return m && !m->device;
}

static void run_copy(void *context)
{
    const copy *c = context;
    void *to = c->to;
    const void *from = c->from ? c->from : c->staged;
    if (sim_memory_find(to)) to = sim_memory_range(to, c->bytes, "copy to");
    if (c->from) from = sim_memory_range(from, c->bytes, "copy from");
    if (c->from) sim_memory_read(c->from, c->bytes, "copy");
    memmove(to, from, c->bytes);
    sim_memory_written(c->to, c->bytes);
    sim_count.copies++;
    sim_count.copied_bytes += c->bytes;
    sim_clock_add(&(sim_counted){.bytes = (double)c->bytes});
    if (on_device(c->from) && !on_device(c->to)) sim_count.downloaded_bytes += c->bytes;
}

static bool direction(const void *to, const void *from, enum cudaMemcpyKind kind)
{
    const bool t = on_device(to), f = on_device(from);
    switch (kind) {
    case cudaMemcpyHostToDevice: return t && !f;
    case cudaMemcpyDeviceToHost: return !t && f;
    case cudaMemcpyDeviceToDevice: return t && f;
    case cudaMemcpyHostToHost: return !t && !f;
    default: return kind == cudaMemcpyDefault;
    }
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t s)
{
    if (!bytes) return cudaSuccess;
    if (sim_lost()) return sim_fail(cudaErrorLaunchFailure);
    if (sim_fails(SIM_COPY)) return sim_fail(cudaErrorUnknown);
    if (!direction(to, from, kind)) return sim_fail(cudaErrorInvalidValue);
    if (sim_memory_find(to)) sim_memory_range(to, bytes, "copy to");
    if (sim_memory_find(from)) sim_memory_range(from, bytes, "copy from");
    const bool staged = !on_device(from) && !pinned(from);
    copy *c = sim_alloc(sizeof *c + (staged ? bytes : 0));
    *c = (copy){to, staged ? NULL : from, bytes};
    if (staged) memcpy(c->staged, from, bytes);
    sim_enqueue(s, run_copy, c, "copy");
    sim_enqueued_uses(s, from, bytes, false);
    sim_enqueued_uses(s, to, bytes, true);
    /* a copy to pageable memory has arrived when the call returns */
    if (!on_device(to) && !pinned(to)) return cudaStreamSynchronize(s);
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, NULL);
    return error ? error : cudaStreamSynchronize(NULL);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, enum cudaMemcpyKind kind, cudaStream_t s)
{
    if (width > to_pitch || width > from_pitch) return sim_fail(cudaErrorInvalidValue);
    for (size_t row = 0; row < height; row++) {
        const cudaError_t error = cudaMemcpyAsync(
            (char *)to + row * to_pitch, (const char *)from + row * from_pitch, width, kind, s);
        if (error) return error;
    }
    return cudaSuccess;
}

typedef struct {
    void *to;
    int value;
    size_t bytes;
} fill;

static void run_fill(void *context)
{
    const fill *f = context;
    memset(sim_memory_range(f->to, f->bytes, "memset"), f->value, f->bytes);
    sim_memory_written(f->to, f->bytes);
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t s)
{
    if (!bytes) return cudaSuccess;
    if (sim_lost()) return sim_fail(cudaErrorLaunchFailure);
    if (sim_fails(SIM_COPY)) return sim_fail(cudaErrorUnknown);
    if (!on_device(to)) return sim_fail(cudaErrorInvalidValue);
    sim_memory_range(to, bytes, "memset");
    fill *f = sim_alloc(sizeof *f);
    *f = (fill){to, value, bytes};
    sim_enqueue(s, run_fill, f, "memset");
    return cudaSuccess;
}
cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    return cudaMemsetAsync(to, value, bytes, NULL);
}
