/* clock.c: marks of time on the GPU's stream, by CUDA events. */
#include <stdlib.h>
#include <string.h>

#include "cuda/gpu.h"

static cudaEvent_t *marks; /* by number; NULL: not marked yet */
static int room;

static soda_status find(int number, cudaEvent_t **mark)
{
    if (number >= room) {
        const int more = 2 * (number + 1);
        cudaEvent_t *list = realloc(marks, (size_t)more * sizeof *list);
        if (!list) return FAIL(SODA_ERR_MEMORY, "out of memory");
        memset(list + room, 0, (size_t)(more - room) * sizeof *list);
        marks = list;
        room = more;
    }
    *mark = &marks[number];
    if (!**mark) GPU_TRY(cudaEventCreate(*mark));
    return SODA_OK;
}

soda_status gpu_mark(soda_device *device, int number)
{
    cudaEvent_t *mark;
    (void)device;
    TRY(find(number, &mark));
    GPU_TRY(cudaEventRecord(*mark, gpu_stream()));
    return SODA_OK;
}

soda_status gpu_elapsed(soda_device *device, int from, int to, double *seconds)
{
    float ms = 0;
    (void)device;
    TRY(gpu_wait(marks[from]));
    TRY(gpu_wait(marks[to]));
    GPU_TRY(cudaEventElapsedTime(&ms, marks[from], marks[to]));
    *seconds = 1e-3 * (double)ms;
    return SODA_OK;
}

void gpu_forget_marks(void)
{
    for (int i = 0; i < room; i++)
        if (marks[i]) (void)cudaEventDestroy(marks[i]);
    free(marks);
    marks = NULL;
    room = 0;
}
