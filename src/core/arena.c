#include "core/arena.h"

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/round.h"

enum { ALIGNMENT = 64 };
static const size_t HUGE_PAGE = (size_t)2 << 20;
static const size_t MIN_BLOCK = (size_t)32 << 20;

typedef struct block {
    struct block *next;
    char *base;
    size_t bytes, used;
} block;

struct soda_arena {
    block *blocks;
    size_t used;
};

static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;
static block *idle; /* blocks no arena owns */

/* The smallest idle block that holds `bytes` without wasting more than it uses; NULL if none. */
static block *take_idle(size_t bytes)
{
    block **best = NULL;
    pthread_mutex_lock(&idle_lock);
    for (block **b = &idle; *b; b = &(*b)->next) {
        if ((*b)->bytes < bytes || (*b)->bytes / 2 > bytes) continue;
        if (!best || (*b)->bytes < (*best)->bytes) best = b;
    }
    block *taken = best ? *best : NULL;
    if (taken) *best = taken->next;
    pthread_mutex_unlock(&idle_lock);
    return taken;
}

/* Unmaps what no arena owns. */
static void release_idle(void)
{
    pthread_mutex_lock(&idle_lock);
    while (idle) {
        block *b = idle;
        idle = b->next;
        munmap(b->base, b->bytes);
        free(b);
    }
    pthread_mutex_unlock(&idle_lock);
}

static void *map_huge(size_t bytes)
{
    /* Mapped one huge page too long, so that the block can start on a huge page boundary. */
    char *raw =
        mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) return NULL;
    char *base = (char *)round_up((uintptr_t)raw, HUGE_PAGE);
    if (base > raw) munmap(raw, (size_t)(base - raw));
    const size_t tail = (size_t)(raw + HUGE_PAGE - base);
    if (tail) munmap(base + bytes, tail);
    madvise(base, bytes, MADV_HUGEPAGE); /* a hint: without it everything works, slower */
    return base;
}

static soda_status add_block(soda_arena *arena, size_t bytes)
{
    const size_t size = round_up(bytes > MIN_BLOCK ? bytes : MIN_BLOCK, HUGE_PAGE);
    block *b = size < bytes ? NULL : take_idle(size);
    if (!b && size >= bytes && (b = malloc(sizeof *b)) != NULL) {
        b->bytes = size;
        release_idle(); /* no idle block fits: they would only add to the peak */
        if (!(b->base = map_huge(size))) {
            free(b);
            b = NULL;
        }
    }
    if (!b) {
        return FAIL(SODA_ERR_MEMORY, "out of memory: cannot allocate %.1f MiB, %.1f MiB in use",
                    (double)bytes / 1048576.0, (double)arena->used / 1048576.0);
    }
    b->used = 0;
    b->next = arena->blocks;
    arena->blocks = b;
    return SODA_OK;
}

soda_status arena_create(soda_arena **arena)
{
    *arena = calloc(1, sizeof **arena);
    return *arena ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
}

soda_status arena_alloc(soda_arena *arena, size_t bytes, void **memory)
{
    if (bytes > SIZE_MAX / 2)
        return FAIL(SODA_ERR_MEMORY, "out of memory: cannot allocate %zu bytes", bytes);
    const size_t size = round_up(bytes ? bytes : 1, ALIGNMENT);
    block *b = arena->blocks;
    while (b && b->bytes - b->used < size) b = b->next;
    if (!b) {
        TRY(add_block(arena, size));
        b = arena->blocks;
    }
    *memory = b->base + b->used;
    b->used += size;
    arena->used += size;
    return SODA_OK;
}

void arena_destroy(soda_arena *arena)
{
    if (!arena) return;
    pthread_mutex_lock(&idle_lock);
    while (arena->blocks) {
        block *b = arena->blocks;
        arena->blocks = b->next;
        b->next = idle;
        idle = b;
    }
    pthread_mutex_unlock(&idle_lock);
    free(arena);
}

void arena_tune_malloc(void)
{
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, -1);
    mallopt(M_TOP_PAD, 64 << 20);
}

void arena_drop_pages(const void *data, size_t bytes)
{
    const uintptr_t page = 4096, begin = (uintptr_t)data;
    const uintptr_t from = round_up(begin, page);
    const uintptr_t to = (begin + bytes) / page * page;
    if (to > from) madvise((void *)from, to - from, MADV_DONTNEED);
}

/* The number after `key` in a file of the system; `missing` if there is none. */
static size_t system_number(const char *path, const char *key, size_t missing)
{
    char line[256];
    size_t found = missing;
    FILE *file = fopen(path, "re");
    if (!file) return missing;
    while (fgets(line, sizeof line, file)) {
        char *end;
        if (strncmp(line, key, strlen(key)) != 0) continue;
        const unsigned long long value = strtoull(line + strlen(key), &end, 10);
        if (end != line + strlen(key)) found = (size_t)value;
        break;
    }
    fclose(file);
    return found;
}

size_t arena_peak_rss_bytes(void)
{
    return system_number("/proc/self/status", "VmHWM:", 0) * 1024; /* kB */
}

size_t arena_rss_bytes(void) { return system_number("/proc/self/status", "VmRSS:", 0) * 1024; }
