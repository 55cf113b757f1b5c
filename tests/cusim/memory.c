/* Device and pinned memory.
 *
 * One range of addresses that is never handed out twice, so that a stale pointer is known for ever.
 * Each allocation ends at a page that no one may touch. All of it is a file in memory: at the
 * address handed out device memory cannot be touched at all, and pinned memory not while a copy
 * uses it; sim_alias higher the simulator reads and writes. */
#include "order.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, ALIGN = 256 };

ptrdiff_t sim_alias;
char *sim_arena;
static int arena_file = -1;
static size_t arena_used;
static sim_memory **all; /* by address */
static size_t all_count;
static size_t device_used;

static void describe(char *text, size_t size, const char *p)
{
    const bool alias = sim_in_arena(p - sim_alias);
    const char *device = alias ? p - sim_alias : p;
    const sim_memory *m = sim_memory_find(device);
    if (!m)
        snprintf(text, size, "invalid address %p", (const void *)p);
    else if (m->freed)
        snprintf(text, size, "use of freed allocation #%u of %zu bytes", m->id, m->size);
    else if (m->device && !alias && !sim_now.kernel && device >= m->base &&
             device < m->base + m->size)
        snprintf(text, size,
                 "host code touched device memory: offset %td of allocation #%u of %zu bytes",
                 device - m->base, m->id, m->size);
    else
        snprintf(text, size, "out of bounds: offset %td of allocation #%u of %zu bytes",
                 device - m->base, m->id, m->size);
}

/* Elsewhere every access counts as a write. */
static bool wrote(const void *context)
{
#ifdef __x86_64__
    return ((const ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2;
#else
    return context != NULL;
#endif
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    if (sim_pinned_fault(info->si_addr, wrote(context))) return;
    char text[200];
    describe(text, sizeof text, info->si_addr);
    sim_die("%s", text);
}

static void catch_faults(void)
{
    static char stack[65536];
    const stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternative, NULL);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

static void open_arena(void)
{
    if (sim_arena) return;
    arena_file = memfd_create("cusim", MFD_CLOEXEC);
    const int flags = MAP_NORESERVE;
    char *at = arena_file < 0 || ftruncate(arena_file, (off_t)SIM_ARENA)
                   ? MAP_FAILED
                   : mmap(NULL, SIM_ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    char *alias = at == (char *)MAP_FAILED
                      ? MAP_FAILED
                      : mmap(NULL, SIM_ARENA, PROT_NONE, MAP_SHARED | flags, arena_file, 0);
    if (alias == (char *)MAP_FAILED) sim_die("no range of %zu bytes of addresses", SIM_ARENA);
    sim_arena = at;
    sim_alias = alias - at;
    catch_faults();
}

size_t sim_memory_total_bytes(void)
{
    const char *limit = getenv("CUSIM_MEMORY"); /* in bytes */
    return limit ? strtoull(limit, NULL, 0) : (size_t)80 << 30;
}

size_t sim_memory_free_bytes(void)
{
    const size_t total = sim_memory_total_bytes();
    return device_used < total ? total - device_used : 0;
}

/* How much of an allocation is filled with NaN at first: a larger one, whose rest reads as zeros,
 * may be more than this machine has, as for a graph that is captured and never launched. */
static const size_t POISONED = (size_t)256 << 20;

void *sim_memory_new(size_t bytes, bool device)
{
    open_arena();
    const size_t body = (bytes + PAGE - 1) / PAGE * PAGE, mapped = body ? body : PAGE;
    if (device && mapped > sim_memory_free_bytes()) return NULL;
    if (arena_used + mapped + 2 * (size_t)PAGE > SIM_ARENA)
        sim_die("the range of addresses is used up");
    char *map = sim_arena + arena_used + PAGE;
    if (mprotect(map + sim_alias, mapped, PROT_READ | PROT_WRITE)) return NULL;
    if (device)
        device_used += mapped;
    else if (mmap(map, mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, arena_file,
                  map - sim_arena) == MAP_FAILED)
        return NULL;
    memset(map + sim_alias, 0xff, mapped < POISONED ? mapped : POISONED);
    sim_memory *m = sim_alloc(sizeof *m);
    const size_t span = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    *m = (sim_memory){.base = map + mapped - (span ? span : ALIGN),
                      .size = bytes,
                      .mapped = mapped,
                      .map = map,
                      .device = device,
                      .id = (unsigned)all_count + 1,
                      .grain = 2};
    arena_used += mapped + 2 * (size_t)PAGE;
    all = sim_push(all, all_count, sizeof *all);
    all[all_count++] = m;
    return m->base;
}

/* Writes that no check saw, because they were made with checks off or by host code. */
static void check_edges(const sim_memory *m)
{
    const unsigned char *from = (unsigned char *)m->map + sim_alias;
    const size_t start = (size_t)(m->base - m->map);
    for (size_t i = 0; i < m->mapped; i++)
        if ((i < start || i >= start + m->size) && from[i] != 0xff)
            sim_die("allocation #%u of %zu bytes: byte at offset %td was overwritten", m->id,
                    m->size, (ptrdiff_t)i - (ptrdiff_t)start);
}

cudaError_t sim_memory_free(void *base, bool device)
{
    if (!base) return cudaSuccess;
    sim_memory *m = sim_memory_find(base);
    if (!m || m->base != (char *)base || m->device != device || m->freed)
        return cudaErrorInvalidValue;
    check_edges(m);
    mprotect(m->map + sim_alias, m->mapped, PROT_NONE);
    fallocate(arena_file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, m->map - sim_arena,
              (off_t)m->mapped);
    if (device)
        device_used -= m->mapped;
    else
        (void)mmap(m->map, m->mapped, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    free(m->init);
    free(m->cells);
    free(m->sectors);
    m->init = NULL;
    m->cells = NULL;
    m->sectors = NULL;
    m->freed = true;
    return cudaSuccess;
}

sim_memory *sim_memory_find(const void *address)
{
    const char *p = address;
    if (!sim_arena || !sim_in_arena(p)) return NULL;
    size_t low = 0,
           high = all_count; /* the last allocation whose guard page begins at or below p */
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (all[middle]->map - PAGE <= p)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low) return NULL;
    sim_memory *m = all[low - 1];
    return p < m->map + m->mapped + PAGE ? m : NULL;
}

void *sim_memory_static(size_t bytes)
{
    char *base = sim_memory_new(bytes, true);
    if (!base) sim_die("no memory for a variable of %zu bytes", bytes);
    memset(base + sim_alias, 0, bytes);
    sim_memory_written(base, bytes);
    return base;
}

char *sim_memory_range(const void *p, size_t n, const char *what)
{
    const sim_memory *m = sim_memory_find(p);
    if (!m) sim_die("%s: %p is in no allocation", what, p);
    const ptrdiff_t offset = (const char *)p - m->base;
    if (m->freed) sim_die("%s: use of freed allocation #%u of %zu bytes", what, m->id, m->size);
    if (offset < 0 || (size_t)offset > m->size || n > m->size - (size_t)offset)
        sim_die("%s: bytes [%td, %td) are outside allocation #%u of %zu bytes", what, offset,
                offset + (ptrdiff_t)n, m->id, m->size);
    return m->base + offset + sim_alias;
}

/* With checks: the allocation that a copy or a library touches, after the check of order. */
static sim_memory *touched(const void *p, size_t n, bool write)
{
    sim_memory *m = sim_option()->check && n ? sim_memory_find(p) : NULL;
    if (m && sim_order_on) sim_order_touch(m, (size_t)((const char *)p - m->base), n, write);
    return m && m->device ? m : NULL;
}

void sim_memory_written(const void *p, size_t n)
{
    sim_memory *m = touched(p, n, true);
    if (!m) return;
    if (!m->init) m->init = sim_alloc(m->size);
    memset(m->init + ((const char *)p - m->base), 1, n);
}

void sim_memory_read(const void *p, size_t n, const char *what)
{
    const sim_memory *m = touched(p, n, false);
    if (!m) return;
    const size_t offset = (size_t)((const char *)p - m->base);
    const uint8_t *hole = m->init ? memchr(m->init + offset, 0, n) : NULL;
    if (!m->init || hole)
        sim_die("%s: reads uninitialised memory, offset %zu of allocation #%u of %zu bytes", what,
                hole ? (size_t)(hole - m->init) : offset, m->id, m->size);
}
