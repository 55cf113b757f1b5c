/* What nvcc's host code calls: registration of the embedded PTX, kernels and variables; launches.
 *
 * Layout of a fat binary as in objects of nvcc 13.0 with --no-compress: a header of magic, version,
 * header bytes (u16 at 6) and bytes of all entries (u64 at 8), then entries of kind (u16; 1: PTX),
 * header bytes (u32 at 4), bytes (u64 at 8), bytes when compressed (u32 at 16), architecture (u32
 * at 28). */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#include "cuda_runtime_api.h"

typedef struct {
    int magic, version;
    const unsigned char *data;
    void *file;
} wrapper;

typedef struct {
    const void *host;
    sim_kernel *kernel;
} stub;

static stub *stubs;
static size_t stub_count;

void **__cudaRegisterFatBinary(void *fat);
void __cudaRegisterFatBinaryEnd(void **handle);
void __cudaUnregisterFatBinary(void **handle);
void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name,
                            int threads, uint3 *tid, uint3 *bid, dim3 *block, dim3 *grid,
                            int *warp);
void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int external,
                       size_t size, int constant, int global);
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared,
                                     struct CUstream_st *stream);
cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream);
cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *host);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments,
                               size_t shared, cudaStream_t stream);

static const void *read_u(const unsigned char *from, void *to, size_t bytes)
{
    return memcpy(to, from, bytes);
}

/* The PTX of CUSIM_ARCH, or of the lowest architecture. */
void **__cudaRegisterFatBinary(void *fat)
{
    sim_option();
    const unsigned char *data = ((wrapper *)fat)->data, *chosen = NULL;
    const char *wanted = getenv("CUSIM_ARCH");
    uint16_t header, kind;
    uint64_t bytes, size;
    uint32_t entry_header, compressed, arch, lowest = UINT32_MAX;
    read_u(data + 6, &header, 2);
    read_u(data + 8, &bytes, 8);
    for (const unsigned char *e = data + header; e < data + header + bytes;
         e += entry_header + size) {
        read_u(e, &kind, 2);
        read_u(e + 4, &entry_header, 4);
        read_u(e + 8, &size, 8);
        read_u(e + 28, &arch, 4);
        if (kind != 1 || (wanted ? (uint32_t)atoi(wanted) != arch : arch >= lowest)) continue;
        lowest = arch;
        chosen = e;
    }
    if (!chosen)
        sim_die("an object has no PTX%s%s: compile with code=compute_NN", wanted ? " for " : "",
                wanted ? wanted : "");
    read_u(chosen + 4, &entry_header, 4);
    read_u(chosen + 8, &size, 8);
    read_u(chosen + 16, &compressed, 4);
    if (compressed) sim_die("an object's PTX is compressed: compile with --no-compress");
    sim_parse_module((const char *)chosen + entry_header, size);
    return fat;
}

void __cudaRegisterFatBinaryEnd(void **handle) { (void)handle; }
void __cudaUnregisterFatBinary(void **handle) { (void)handle; }

void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name,
                            int threads, uint3 *tid, uint3 *bid, dim3 *block, dim3 *grid, int *warp)
{
    (void)handle, (void)device, (void)threads, (void)tid, (void)bid, (void)block, (void)grid,
        (void)warp;
    sim_kernel *k = sim_kernel_find(name);
    if (!k) sim_die("no PTX for kernel %s", name);
    stubs = sim_push(stubs, stub_count, sizeof *stubs);
    stubs[stub_count++] = (stub){host, k};
}

/* Variables are written by their initialisers alone: host code copies nothing to a symbol. */
void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int external,
                       size_t size, int constant, int global)
{
    (void)handle, (void)host, (void)device, (void)name, (void)external, (void)size, (void)constant,
        (void)global;
}

static sim_kernel *kernel_of(const void *host)
{
    for (size_t k = 0; k < stub_count; k++)
        if (stubs[k].host == host) return stubs[k].kernel;
    return NULL;
}

/* ---- launches ---- */
typedef struct {
    dim3 grid, block;
    size_t shared;
    void *stream;
} configuration;
static configuration pushed[8];
static int depth;

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared,
                                     struct CUstream_st *stream)
{
    if (depth == 8) sim_die("launches nested too deep");
    pushed[depth++] = (configuration){grid, block, shared, stream};
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream)
{
    if (!depth) sim_die("a launch without configuration");
    const configuration *c = &pushed[--depth];
    *grid = c->grid;
    *block = c->block;
    *shared = c->shared;
    *(void **)stream = c->stream;
    return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *host)
{
    *kernel = (cudaKernel_t)kernel_of(host);
    return *kernel ? cudaSuccess : sim_fail(cudaErrorInvalidDeviceFunction);
}

/* Limits of CUDA C++ Programming Guide, "Technical Specifications per Compute Capability". */
static cudaError_t check_limits(const sim_kernel *k, dim3 g, dim3 b, size_t shared)
{
    const uint64_t threads = (uint64_t)b.x * b.y * b.z;
    if (!threads || threads > 1024 || b.z > 64) return cudaErrorInvalidConfiguration;
    if (!g.x || !g.y || !g.z || g.x > 0x7fffffff || g.y > 65535 || g.z > 65535)
        return cudaErrorInvalidConfiguration;
    if (k->max_threads && threads > (uint64_t)k->max_threads) return cudaErrorInvalidConfiguration;
    if (shared + k->shared_used > k->dynamic_limit || k->shared_used > 48 * 1024)
        return cudaErrorInvalidValue;
    return cudaSuccess;
}

static void run_launch(void *context)
{
    const sim_launched *l = context;
    sim_launch(l->kernel, l->grid, l->block, l->shared, l->params);
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments,
                               size_t shared, cudaStream_t stream)
{
    sim_kernel *k = (sim_kernel *)kernel;
    if (sim_lost()) return sim_fail(cudaErrorLaunchFailure);
    sim_kernel_ready(k);
    const cudaError_t error = check_limits(k, grid, block, shared);
    if (error) return sim_fail(error);
    if (sim_fails(SIM_LAUNCH)) return sim_fail(cudaErrorLaunchOutOfResources);
    (void)sim_fails(SIM_KERNEL);
    sim_count.queued++;
    sim_launched *l = sim_alloc(sizeof *l + k->param_bytes);
    l->kernel = k;
    l->grid = (sim_dim){grid.x, grid.y, grid.z};
    l->block = (sim_dim){block.x, block.y, block.z};
    l->shared = shared;
    for (int p = 0; p < k->param_count; p++)
        memcpy(l->params + k->params[p].offset, arguments[p], k->params[p].size);
    sim_enqueue(stream, run_launch, l, k->name);
    return cudaSuccess;
}

cudaError_t cudaLaunchKernel(const void *host, dim3 grid, dim3 block, void **arguments,
                             size_t shared, cudaStream_t stream)
{
    cudaKernel_t kernel;
    const cudaError_t error = __cudaGetKernel(&kernel, host);
    return error ? error : __cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
}

cudaError_t cudaFuncSetAttribute(const void *host, enum cudaFuncAttribute attribute, int value)
{
    sim_kernel *k = kernel_of(host);
    if (!k) return sim_fail(cudaErrorInvalidDeviceFunction);
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
    int most;
    cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || value > most)
        return sim_fail(cudaErrorInvalidValue);
    sim_kernel_ready(k);
    if (value + (int)k->shared_used > most) return sim_fail(cudaErrorInvalidValue);
    if ((size_t)value + k->shared_used > k->dynamic_limit)
        k->dynamic_limit = (size_t)value + k->shared_used;
    return cudaSuccess;
}
