#include "backend/device.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/log.h"
#include "core/memory_limit.h"
#include "core/round.h"

enum { ALIGNMENT = 64 };
static const size_t HUGE = (size_t)2 << 20; /* from here on huge pages are worth their size */

/* Stands before every allocation. */
typedef union {
    soda_arena *arena; /* NULL: from malloc */
    char room[ALIGNMENT];
} header;

static soda_status alloc_host(soda_device *device, size_t bytes, void **memory)
{
    (void)device;
    *memory = NULL;
    void *start = NULL;
    soda_arena *arena = NULL;
    if (bytes > SIZE_MAX / 2)
        return FAIL(SODA_ERR_MEMORY, "out of memory: cannot allocate %zu bytes", bytes);
    const size_t whole = sizeof(header) + round_up(bytes, ALIGNMENT);
    if (whole < HUGE) {
        start = aligned_alloc(ALIGNMENT, whole);
        if (!start) return FAIL(SODA_ERR_MEMORY, "out of memory: cannot allocate %zu bytes", bytes);
    } else {
        TRY(arena_create(&arena));
        const soda_status s = arena_alloc(arena, whole, &start);
        if (s != SODA_OK) {
            arena_destroy(arena);
            return s;
        }
    }
    ((header *)start)->arena = arena;
    *memory = (header *)start + 1;
    return SODA_OK;
}

static void release_host(soda_device *device, void *memory)
{
    (void)device;
    if (!memory) return;
    header *start = (header *)memory - 1;
    if (start->arena)
        arena_destroy(start->arena);
    else
        free(start);
}

static void count_host(soda_device *device, int ranks, size_t *all, size_t *used)
{
    (void)device;
    *all = memory_limit_bytes("", ranks);
    *used = arena_rss_bytes();
}

static soda_status copy_host(soda_device *device, void *to, const void *from, size_t bytes)
{
    (void)device;
    memcpy(to, from, bytes);
    return SODA_OK;
}

static soda_status clear_host(soda_device *device, void *to, size_t bytes)
{
    (void)device;
    memset(to, 0, bytes);
    return SODA_OK;
}

static soda_status wait_host(soda_device *device)
{
    (void)device;
    return SODA_OK;
}

/* Seconds of log_seconds, by number; kept until the process ends. */
static double *marks;
static int mark_room;

static soda_status mark_host(soda_device *device, int number)
{
    (void)device;
    if (number >= mark_room) {
        double *more = realloc(marks, 2 * ((size_t)number + 1) * sizeof *more);
        if (!more) return FAIL(SODA_ERR_MEMORY, "out of memory");
        marks = more;
        mark_room = 2 * (number + 1);
    }
    marks[number] = log_seconds();
    return SODA_OK;
}

static soda_status elapsed_host(soda_device *device, int from, int to, double *seconds)
{
    (void)device;
    *seconds = marks[to] - marks[from];
    return SODA_OK;
}

soda_device *device_host(void)
{
    static soda_device host = {.name = "cpu",
                               .model = "cpu",
                               .host = true,
                               .alignment = ALIGNMENT,
                               .alloc = alloc_host,
                               .release = release_host,
                               .memory = count_host,
                               .upload = copy_host,
                               .download = copy_host,
                               .clear = clear_host,
                               .wait = wait_host,
                               .mark = mark_host,
                               .elapsed = elapsed_host};
    return &host;
}
