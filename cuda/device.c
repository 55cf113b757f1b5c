/* device.c: memory of a GPU and copies to and from it, through pinned buffers.
 *
 * Uploads are written one behind the other into a buffer, until it is full; the other one is used
 * again once its copies are done. So the host waits when it is that far ahead of the GPU, not for
 * every copy. Downloads alternate between two more: one is read while the other is on its way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/gpu.h"
#include "cuda/recording.h"

enum { ALIGNMENT = 256, BUFFERS = 2, LEAST_CAPABILITY = 8 };
/* More than the inputs of a micro-batch: SDXL with 8 pictures has 9 MiB of them. */
static const size_t BUFFER_BYTES = (size_t)16 << 20, PAGE_BYTES = 4096;
static const double GIB = 1 << 30;

typedef struct {
    char *memory;
    cudaEvent_t done; /* recorded behind the last copy */
} pinned;

typedef struct {
    soda_device base;
    char name[300], model[280];
    int index;
    cudaStream_t stream;
    pinned up[BUFFERS], down[BUFFERS];
    int filling;   /* of up */
    size_t filled; /* bytes of it */
    void *sum;
} gpu;

static gpu *open_gpu; /* NULL: none */

/* tests/cusim defines it, which stands in for CUDA's libraries. */
extern const char cusim_stands_in __attribute__((weak));

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

static soda_status keep_account(void **memory, size_t bytes)
{
    const soda_status s = recording_allocated(*memory, bytes);
    if (s == SODA_OK) return SODA_OK;
    (void)cudaFree(*memory);
    *memory = NULL;
    return s;
}

static soda_status alloc_gpu(soda_device *device, size_t bytes, void **memory)
{
    size_t available = 0, all = 0;
    *memory = NULL;
    const cudaError_t code = cudaMalloc(memory, bytes ? bytes : 1);
    if (code == cudaSuccess) return keep_account(memory, bytes ? bytes : 1);
    if (code != cudaErrorMemoryAllocation) return gpu_check(code, "cudaMalloc");
    (void)cudaGetLastError();
    GPU_TRY(cudaMemGetInfo(&available, &all));
    return FAIL(SODA_ERR_MEMORY, "%s: out of memory: wanted %.2f GiB, %.2f of %.2f GiB are free",
                device->name, (double)bytes / GIB, (double)available / GIB, (double)all / GIB);
}

static void release_gpu(soda_device *device, void *memory)
{
    (void)device;
    if (!memory) return;
    recording_released(memory);
    (void)cudaFree(memory); /* a failure is an earlier kernel's: wait says it */
}

/* NCCL has one rank per GPU. */
static void count_gpu(soda_device *device, int ranks, size_t *all, size_t *used)
{
    size_t available = 0;
    (void)device, (void)ranks;
    *all = 0;
    (void)cudaMemGetInfo(&available, all); /* a failure leaves zeros, and no room */
    (void)cudaGetLastError();
    *used = *all - available;
}

/* Turns to the other buffer, when its copies are done. */
static soda_status turn(gpu *g)
{
    GPU_TRY(cudaEventRecord(g->up[g->filling].done, g->stream));
    g->filling = (g->filling + 1) % BUFFERS;
    g->filled = 0;
    return gpu_wait(g->up[g->filling].done);
}

static soda_status upload_gpu(soda_device *device, void *to, const void *host, size_t bytes)
{
    gpu *g = (gpu *)device;
    for (size_t at = 0, part; at < bytes; at += part) {
        if (g->filled == BUFFER_BYTES) TRY(turn(g));
        const size_t room = BUFFER_BYTES - g->filled;
        char *from = g->up[g->filling].memory + g->filled;
        part = bytes - at < room ? bytes - at : room;
        memcpy(from, (const char *)host + at, part);
        GPU_TRY(cudaMemcpyAsync((char *)to + at, from, part, cudaMemcpyHostToDevice, g->stream));
        g->filled += round_up(part, PAGE_BYTES);
    }
    return SODA_OK;
}

/* Part i + 1 is on its way while part i is copied out of its buffer. */
static soda_status download_gpu(soda_device *device, void *host, const void *from, size_t bytes)
{
    gpu *g = (gpu *)device;
    size_t done = 0, waiting = 0;
    for (size_t at = 0, i = 0; done < bytes; at += waiting, i++) {
        const size_t before = waiting;
        const pinned *next = &g->down[i % BUFFERS], *last = &g->down[(i + 1) % BUFFERS];
        waiting = bytes - at < BUFFER_BYTES ? bytes - at : BUFFER_BYTES;
        if (waiting) {
            GPU_TRY(cudaMemcpyAsync(next->memory, (const char *)from + at, waiting,
                                    cudaMemcpyDeviceToHost, g->stream));
            GPU_TRY(cudaEventRecord(next->done, g->stream));
        }
        if (before) {
            TRY(gpu_wait(last->done));
            memcpy((char *)host + done, last->memory, before);
            done += before;
        }
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

static void close_pinned(pinned *p)
{
    if (p->done) (void)cudaEventDestroy(p->done);
    if (p->memory) (void)cudaFreeHost(p->memory);
}

void gpu_close(soda_device *device)
{
    gpu *g = (gpu *)device;
    if (!g) return;
    if (g->stream) (void)cudaStreamSynchronize(g->stream);
    gpu_forget_marks();
    for (int i = 0; i < BUFFERS; i++) {
        close_pinned(&g->up[i]);
        close_pinned(&g->down[i]);
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

static soda_status open_pinned(pinned *p)
{
    GPU_TRY(cudaHostAlloc((void **)&p->memory, BUFFER_BYTES, cudaHostAllocDefault));
    GPU_TRY(cudaEventCreateWithFlags(&p->done, cudaEventDisableTiming));
    return SODA_OK;
}

static soda_status make_stream(gpu *g, int index)
{
    GPU_TRY(cudaSetDevice(index));
    GPU_TRY(cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking));
    GPU_TRY(cudaMalloc(&g->sum, GPU_SUM * sizeof(double)));
    for (int i = 0; i < BUFFERS; i++) {
        TRY(open_pinned(&g->up[i]));
        TRY(open_pinned(&g->down[i]));
    }
    return SODA_OK;
}

/* Kernels one by one, for who looks for a fault: SODA_CUDA_GRAPHS=0. */
static void set_recording(soda_device *device)
{
    const char *wanted = getenv("SODA_CUDA_GRAPHS");
    if (wanted && strcmp(wanted, "0") == 0) return;
    device->record = recording_make;
    device->replay = recording_replay;
    device->forget = recording_forget;
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
    snprintf(g->model, sizeof g->model, "%s", properties.name);
    g->base = (soda_device){.name = g->name,
                            .model = g->model,
                            .simulated = &cusim_stands_in != NULL,
                            .alignment = ALIGNMENT,
                            .alloc = alloc_gpu,
                            .release = release_gpu,
                            .memory = count_gpu,
                            .upload = upload_gpu,
                            .download = download_gpu,
                            .clear = clear_gpu,
                            .wait = wait_gpu,
                            .mark = gpu_mark,
                            .elapsed = gpu_elapsed};
    set_recording(&g->base);
    const soda_status s = make_stream(g, index);
    if (s != SODA_OK) {
        gpu_close(&g->base);
        return s;
    }
    open_gpu = g;
    *device = &g->base;
    return SODA_OK;
}
