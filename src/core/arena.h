/* arena.h: memory on huge pages, given back to the process and not to the system.
 *
 * The first touch of a page is the most expensive part of using memory (a 4 KiB page costs up to 15
 * us), so blocks are mapped once with MADV_HUGEPAGE and kept on a process-wide list for the next
 * arena. Everything big lives here: activations, packed weights, scratch. Small things use malloc.
 * Not thread safe: an arena has one owner. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

typedef struct soda_arena soda_arena;

/* An empty arena; it grows by whole blocks as arena_alloc needs them. */
soda_status arena_create(soda_arena **arena);

/* `bytes` of memory aligned to 64 bytes, contents undefined; *memory is never NULL on success.
 * Valid until arena_destroy. SODA_ERR_MEMORY names the size when the system has no more. */
soda_status arena_alloc(soda_arena *arena, size_t bytes, void **memory);

/* Ends every allocation; the blocks stay with the process for the next arena. Accepts NULL. */
void arena_destroy(soda_arena *arena);

/* Sets up malloc so that what libraries allocate is not given back to the system either.
 * Call it first thing in main, before any other thread or library has started. */
void arena_tune_malloc(void);

/* Tells the system that the whole pages within `bytes` at `data`, which lie in a file mapping, are
 * not needed for now. They come back from the file when they are read again. */
void arena_drop_pages(const void *data, size_t bytes);

/* Resident set of this process, in bytes: the highest so far (VmHWM; what getrusage says includes
 * the process that started us), and now. */
size_t arena_peak_rss_bytes(void);
size_t arena_rss_bytes(void);
