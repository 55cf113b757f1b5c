#include "cuda/recording.h"

#include <stdlib.h>
#include <string.h>

#include "cuda/gpu.h"

typedef struct {
    const char *start;
    size_t bytes;
} block;

struct device_recording {
    cudaGraphExec_t executable;
    const char **blocks; /* starts of those that the works name */
    int64_t count;
    const char *released; /* one of them that is gone, or NULL */
    device_recording *next;
};

static block *blocks; /* all that the device gave out */
static size_t block_count, block_room;
static device_recording *recordings;

soda_status recording_allocated(void *memory, size_t bytes)
{
    if (block_count == block_room) {
        const size_t room = 2 * block_room + 64;
        block *grown = realloc(blocks, room * sizeof *grown);
        if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory");
        blocks = grown;
        block_room = room;
    }
    blocks[block_count++] = (block){memory, bytes};
    return SODA_OK;
}

void recording_released(const void *memory)
{
    size_t i = block_count;
    while (i > 0 && blocks[i - 1].start != memory) i--; /* mostly one of the last */
    if (i > 0) blocks[i - 1] = blocks[--block_count];
    if (block_count == 0) {
        free(blocks);
        blocks = NULL;
        block_room = 0;
    }
    for (device_recording *r = recordings; r; r = r->next)
        for (int64_t k = 0; k < r->count; k++)
            if (r->blocks[k] == memory) r->released = memory;
}

static const char *start_of(const char *memory)
{
    for (size_t i = 0; i < block_count; i++)
        if (memory >= blocks[i].start && memory < blocks[i].start + blocks[i].bytes)
            return blocks[i].start;
    return NULL;
}

/* Names the block of `memory`, once. */
static soda_status name_block(device_recording *r, const void *memory)
{
    const char *start = start_of(memory);
    if (!start) return FAIL(SODA_ERR_INTERNAL, "recording: %p is no memory of the GPU", memory);
    for (int64_t k = 0; k < r->count; k++)
        if (r->blocks[k] == start) return SODA_OK;
    const char **grown = realloc(r->blocks, (size_t)(r->count + 1) * sizeof *grown);
    if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory");
    r->blocks = grown;
    r->blocks[r->count++] = start;
    return SODA_OK;
}

static soda_status capture(const device_work *works, int count, cudaGraph_t *graph)
{
    soda_status s = SODA_OK;
    GPU_TRY(cudaStreamBeginCapture(gpu_stream(), cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < count && s == SODA_OK; i++) s = works[i].queue(works[i].context);
    const cudaError_t code = cudaStreamEndCapture(gpu_stream(), graph);
    if (s == SODA_OK) return gpu_check(code, "recording");
    (void)cudaGetLastError();
    return s;
}

soda_status recording_make(soda_device *device, const device_work *works, int count,
                           device_recording **recording)
{
    cudaGraph_t graph = NULL;
    soda_status s = SODA_OK;
    *recording = NULL;
    device_recording *r = calloc(1, sizeof *r);
    if (!r) return FAIL(SODA_ERR_MEMORY, "out of memory");
    r->next = recordings;
    recordings = r;
    for (int i = 0; i < count; i++)
        for (int64_t k = 0; k < works[i].memory_count; k++)
            if (works[i].memory[k]) TRY_TO(done, name_block(r, works[i].memory[k]));
    TRY_TO(done, capture(works, count, &graph));
    TRY_TO(done, gpu_check(cudaGraphInstantiate(&r->executable, graph, 0), "cudaGraphInstantiate"));
done:
    if (graph) (void)cudaGraphDestroy(graph);
    if (s != SODA_OK)
        recording_forget(device, r);
    else
        *recording = r;
    return s;
}

soda_status recording_replay(soda_device *device, device_recording *r)
{
    (void)device;
    if (r->released)
        return FAIL(SODA_ERR_INTERNAL,
                    "recorded work uses memory at %p, which was released since it was recorded: "
                    "it has to be recorded again",
                    (const void *)r->released);
    GPU_TRY(cudaGraphLaunch(r->executable, gpu_stream()));
    return SODA_OK;
}

void recording_forget(soda_device *device, device_recording *r)
{
    device_recording **at = &recordings;
    (void)device;
    if (!r) return;
    while (*at != r) at = &(*at)->next;
    *at = r->next;
    if (r->executable) (void)cudaGraphExecDestroy(r->executable);
    free(r->blocks);
    free(r);
}
