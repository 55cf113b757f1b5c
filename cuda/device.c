/* device.c: memory of a GPU and copies to and from it, through two pinned buffers that take turns:
 * one is filled while the other is on its way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/gpu.h"

enum { ALIGNMENT = 256, BUFFERS = 2, LEAST_CAPABILITY = 8 };
static const size_t BUFFER_BYTES = (size_t)4 << 20;
static const double GIB = 1 << 30;

typedef struct {
    soda_device base;
    char name[300];
    int index;
    cudaStream_t stream;
    void *buffer[BUFFERS];     /* pinned */
    cudaEvent_t idle[BUFFERS]; /* recorded behind the last copy that reads the buffer */
    int next;                  /* buffer */
    void *sum;
} gpu;

static gpu *open_gpu; /* NULL: none */

int gpu_index(void) { return open_gpu->index; }

cudaStream_t gpu_stream(void) { return open_gpu->stream; }

void *gpu_sum(void) { return open_gpu->sum; }

soda_status gpu_check(cudaError_t code, const char *what)
{
    if (code == cudaSuccess) return SODA_OK;
    (void)cudaGetLastError(); /* else the next call would report it again */
    return FAIL(code == cudaErrorMemoryAllocation ? SODA_ERR_MEMORY : SODA_ERR_IO, "GPU: %s: %s",
                what, cudaGetErrorString(code));
}

static soda_status alloc_gpu(soda_device *device, size_t bytes, void **memory)
{
    size_t available = 0, all = 0;
    *memory = NULL;
    const cudaError_t code = cudaMalloc(memory, bytes ? bytes : 1);
    if (code != cudaErrorMemoryAllocation) return gpu_check(code, "cudaMalloc");
    (void)cudaGetLastError();
    GPU_TRY(cudaMemGetInfo(&available, &all));
    return FAIL(SODA_ERR_MEMORY, "%s: out of memory: wanted %.2f GiB, %.2f of %.2f GiB are free",
                device->name, (double)bytes / GIB, (double)available / GIB, (double)all / GIB);
}

static void release_gpu(soda_device *device, void *memory)
{
    (void)device;
    if (memory) (void)cudaFree(memory); /* a failure is an earlier kernel's: wait says it */
}

/* The next buffer, when the copy that read it last is done. */
static soda_status take_buffer(gpu *g, int *number)
{
    *number = g->next;
    g->next = (g->next + 1) % BUFFERS;
    return gpu_wait(g->idle[*number]);
}

static soda_status upload_gpu(soda_device *device, void *to, const void *host, size_t bytes)
{
    gpu *g = (gpu *)device;
    for (size_t at = 0; at < bytes; at += BUFFER_BYTES) {
        const size_t part = bytes - at < BUFFER_BYTES ? bytes - at : BUFFER_BYTES;
        int i;
        TRY(take_buffer(g, &i));
        memcpy(g->buffer[i], (const char *)host + at, part);
        GPU_TRY(cudaMemcpyAsync((char *)to + at, g->buffer[i], part, cudaMemcpyHostToDevice,
                                g->stream));
        GPU_TRY(cudaEventRecord(g->idle[i], g->stream));
    }
    return SODA_OK;
}

/* Part i + 1 is on its way while part i is copied out of its buffer. */
static soda_status download_gpu(soda_device *device, void *host, const void *from, size_t bytes)
{
    gpu *g = (gpu *)device;
    size_t done = 0, waiting = 0;
    int i = 0, last = 0;
    for (size_t at = 0; done < bytes; at += waiting) {
        const size_t before = waiting;
        waiting = bytes - at < BUFFER_BYTES ? bytes - at : BUFFER_BYTES;
        if (waiting) {
            TRY(take_buffer(g, &i));
            GPU_TRY(cudaMemcpyAsync(g->buffer[i], (const char *)from + at, waiting,
                                    cudaMemcpyDeviceToHost, g->stream));
            GPU_TRY(cudaEventRecord(g->idle[i], g->stream));
        }
        if (before) {
            TRY(gpu_wait(g->idle[last]));
            memcpy((char *)host + done, g->buffer[last], before);
            done += before;
        }
        last = i;
    }
    return SODA_OK;
}

static soda_status clear_gpu(soda_device *device, void *to, size_t bytes)
{
    GPU_TRY(cudaMemsetAsync(to, 0, bytes, ((gpu *)device)->stream));
    return SODA_OK;
}

static soda_status wait_gpu(soda_device *device)
{
    (void)device;
    return gpu_wait(NULL);
}

void gpu_close(soda_device *device)
{
    gpu *g = (gpu *)device;
    if (!g) return;
    if (g->stream) (void)cudaStreamSynchronize(g->stream);
    for (int i = 0; i < BUFFERS; i++) {
        if (g->idle[i]) (void)cudaEventDestroy(g->idle[i]);
        if (g->buffer[i]) (void)cudaFreeHost(g->buffer[i]);
    }
    if (g->sum) (void)cudaFree(g->sum);
    if (g->stream) (void)cudaStreamDestroy(g->stream);
    (void)cudaGetLastError();
    open_gpu = NULL;
    free(g);
}

/* cudaGetDeviceCount says cudaErrorInsufficientDriver where there is no driver at all, too. */
static soda_status refuse_driver(void)
{
    int version = 0;
    (void)cudaDriverGetVersion(&version);
    (void)cudaGetLastError();
    if (version == 0)
        return FAIL(SODA_ERR_UNSUPPORTED,
                    "no NVIDIA driver on this machine (nvidia-smi would show it)");
    return FAIL(SODA_ERR_UNSUPPORTED,
                "the NVIDIA driver is too old: expected one for CUDA %d.%d, found one for CUDA "
                "%d.%d",
                CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10, version / 1000,
                version % 1000 / 10);
}

soda_status gpu_count(int *count)
{
    *count = 0;
    const cudaError_t code = cudaGetDeviceCount(count);
    (void)cudaGetLastError();
    if (code == cudaErrorInsufficientDriver) return refuse_driver();
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    if (code == cudaErrorNoDevice || (code == cudaSuccess && *count == 0))
        return FAIL(SODA_ERR_UNSUPPORTED, "no GPU: CUDA_VISIBLE_DEVICES is %s%s%s",
                    visible ? "\"" : "", visible ? visible : "not set", visible ? "\"" : "");
    return gpu_check(code, "cudaGetDeviceCount");
}

/* Whether CUDA has a GPU of this number that the kernels can run on. */
static soda_status check_gpu(int index, struct cudaDeviceProp *properties)
{
    int count;
    TRY(gpu_count(&count));
    if (index >= count)
        return FAIL(SODA_ERR_UNSUPPORTED, "GPU number %d wanted, but this node shows %d", index,
                    count);
    GPU_TRY(cudaGetDeviceProperties(properties, index));
    if (properties->major < LEAST_CAPABILITY)
        return FAIL(SODA_ERR_UNSUPPORTED,
                    "%s: compute capability %d.%d, expected %d.0 or newer (A100 and later)",
                    properties->name, properties->major, properties->minor, LEAST_CAPABILITY);
    return SODA_OK;
}

static soda_status make_stream(gpu *g, int index)
{
    GPU_TRY(cudaSetDevice(index));
    GPU_TRY(cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking));
    GPU_TRY(cudaMalloc(&g->sum, GPU_SUM * sizeof(double)));
    for (int i = 0; i < BUFFERS; i++) {
        GPU_TRY(cudaHostAlloc(&g->buffer[i], BUFFER_BYTES, cudaHostAllocDefault));
        GPU_TRY(cudaEventCreateWithFlags(&g->idle[i], cudaEventDisableTiming));
    }
    return SODA_OK;
}

soda_status gpu_open(int index, soda_device **device)
{
    struct cudaDeviceProp properties;
    *device = NULL;
    if (open_gpu) return FAIL(SODA_ERR_INTERNAL, "%s is still open", open_gpu->name);
    TRY(check_gpu(index, &properties));
    gpu *g = calloc(1, sizeof *g);
    if (!g) return FAIL(SODA_ERR_MEMORY, "out of memory");
    g->index = index;
    snprintf(g->name, sizeof g->name, "cuda:%d %s", index, properties.name);
    g->base = (soda_device){.name = g->name,
                            .alignment = ALIGNMENT,
                            .alloc = alloc_gpu,
                            .release = release_gpu,
                            .upload = upload_gpu,
                            .download = download_gpu,
                            .clear = clear_gpu,
                            .wait = wait_gpu};
    const soda_status s = make_stream(g, index);
    if (s != SODA_OK) {
        gpu_close(&g->base);
        return s;
    }
    open_gpu = g;
    *device = &g->base;
    return SODA_OK;
}
