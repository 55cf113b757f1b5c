/* Bounds, initialisation and races, exactly: a cell of shadow memory remembers who wrote its bytes
 * last and who has read them since, and when.
 *
 * Time is the phase: it grows with each launch, each block and each barrier, and blocks run one
 * after the other. So a phase before the launch's first is long ago, one before the block's first
 * belongs to another block of this launch, one before the current is separated by a barrier, and
 * within the current one only __syncwarp (warp_epoch) orders the lanes of one warp. */
#include "shadow.h"

#include "order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim_cell {
    uint32_t write_phase;
    uint16_t writer, write_epoch; /* thread, with ATOMIC */
    uint32_t read_phase;
    uint16_t reader, read_epoch; /* thread, or what follows */
};

enum {
    THREAD = 0x3ff,
    ATOMIC = 0x8000,  /* of a writer */
    FOREIGN = 0x8000, /* of a reader: another block has read too */
    SEVERAL = 0x4000, /* threads of the warp of THREAD */
    WARPS = 0x2000    /* several warps */
};

static uint32_t phase, launch_first, block_first;
static sim_cell *shared_cells;
static uint8_t *shared_init; /* of each byte: not in an array, not written, written */
static int shared_grain;
enum { NOWHERE, UNWRITTEN, WRITTEN };

typedef struct { /* where an access goes, for the checks and for messages */
    sim_cell *cells;
    int grain;
    uint32_t first;           /* earlier phases cannot conflict */
    const sim_memory *memory; /* NULL: shared */
} target;

static void place(char *text, size_t size, const target *t, size_t offset)
{
    if (t->memory) {
        snprintf(text, size, "global memory, offset %zu of allocation #%u of %zu bytes", offset,
                 t->memory->id, t->memory->size);
        return;
    }
    const sim_kernel *k = sim_now.kernel;
    for (int a = 0; a < k->shared_count; a++)
        if (offset >= k->shared[a].offset &&
            offset < k->shared[a].offset + k->shared[a].size + SIM_GAP) {
            snprintf(text, size, "shared memory, offset %zu of %s of %u bytes",
                     offset - k->shared[a].offset, k->shared[a].name, k->shared[a].size);
            return;
        }
    snprintf(text, size, "dynamic shared memory, offset %zu of %u bytes",
             offset - sim_now.dynamic_offset, sim_now.dynamic_bytes);
}

static _Noreturn void race(const target *t, size_t cell, bool write, bool other_write,
                           uint32_t when, unsigned who)
{
    char where[400], other[64];
    place(where, sizeof where, t, cell << t->grain);
    if (when < block_first || (!other_write && who & FOREIGN))
        snprintf(other, sizeof other, "another block");
    else if (!other_write && who & (SEVERAL | WARPS))
        snprintf(other, sizeof other, "several threads of this block");
    else
        snprintf(other, sizeof other, "thread %u of this block", who & THREAD);
    sim_die("data race on %s: %s by this thread, %s by %s, with nothing that orders them", where,
            write ? "write" : "read", other_write ? "write" : "read", other);
}

/* Whether a thread of this launch that did something at (when, epoch) is ordered before `thread`
 * now. */
static bool ordered(uint32_t when, unsigned who, unsigned epoch, unsigned thread, bool one)
{
    if (when < block_first) return false;
    if (when < phase) return true;
    if (one && (who & THREAD) == thread) return true;
    return (who & THREAD) / SIM_LANES == thread / SIM_LANES &&
           (uint16_t)sim_now.warp->warp_epoch > epoch;
}

static void note_read(sim_cell *c, const target *t, unsigned thread)
{
    const uint16_t epoch = (uint16_t)sim_now.warp->warp_epoch;
    const bool foreign =
        c->read_phase >= t->first && (c->read_phase < block_first || c->reader & FOREIGN);
    if (c->read_phase != phase) {
        c->reader = (uint16_t)thread;
    } else if ((c->reader & THREAD) / SIM_LANES != thread / SIM_LANES) {
        c->reader |= WARPS;
    } else if ((c->reader & THREAD) != thread) {
        c->reader |= SEVERAL;
    }
    if (foreign) c->reader |= FOREIGN;
    c->read_phase = phase;
    c->read_epoch = epoch;
}

static void touch_slow(const target *t, size_t index, unsigned thread, bool write, bool atomic)
{
    sim_cell *c = &t->cells[index];
    if (c->write_phase >= t->first && !(atomic && c->writer & ATOMIC) &&
        !ordered(c->write_phase, c->writer, c->write_epoch, thread, true))
        race(t, index, write, true, c->write_phase, c->writer);
    if (!write) {
        note_read(c, t, thread);
        return;
    }
    if (c->read_phase >= t->first) {
        const bool many = c->reader & (SEVERAL | WARPS);
        const bool warps = c->reader & WARPS && c->read_phase == phase;
        if (c->reader & FOREIGN || warps ||
            !ordered(c->read_phase, c->reader, c->read_epoch, thread, !many))
            race(t, index, true, false, c->read_phase, c->reader);
    }
    *c = (sim_cell){.write_phase = phase,
                    .writer = (uint16_t)(thread | (atomic ? ATOMIC : 0)),
                    .write_epoch = (uint16_t)sim_now.warp->warp_epoch};
}

static inline void touch(const target *t, size_t index, unsigned thread, const sim_touch *how)
{
    sim_cell *c = &t->cells[index];
    const uint16_t epoch = (uint16_t)sim_now.warp->warp_epoch;
    if (c->write_phase >= t->first || c->read_phase >= t->first) {
        touch_slow(t, index, thread, how->write, how->atomic);
    } else if (how->write) {
        c->write_phase = phase;
        c->writer = (uint16_t)(thread | (how->atomic ? ATOMIC : 0));
        c->write_epoch = epoch;
    } else {
        c->read_phase = phase;
        c->reader = (uint16_t)thread;
        c->read_epoch = epoch;
    }
}

static void touch_lanes(const target *t, size_t offset, const sim_touch *how)
{
    const unsigned thread = sim_now.warp->index * SIM_LANES + (unsigned)sim_now.lane;
    const int first_lane = sim_now.lane;
    for (int l = 0; l < how->count; l++) {
        const size_t at = offset + (size_t)l * how->step;
        const size_t first = at >> t->grain, last = (at + how->n - 1) >> t->grain;
        sim_now.lane = first_lane + l;
        for (size_t cell = first; cell <= last; cell++) touch(t, cell, thread + (unsigned)l, how);
    }
    sim_now.lane = first_lane;
}

/* Cells of half the size, each with the history of the one it came from. */
static sim_cell *refine(sim_cell *cells, size_t count, int steps)
{
    const size_t parts = (size_t)1 << steps;
    sim_cell *fine = sim_alloc(count * parts * sizeof *fine);
    for (size_t c = 0; c < count * parts; c++) fine[c] = cells[c >> steps];
    free(cells);
    return fine;
}

static int grain_of(size_t n) { return n >= 4 ? 2 : n >= 2 ? 1 : 0; }

void sim_shadow_launch(void)
{
    launch_first = ++phase;
    if (!sim_option()->check) return;
    if (!shared_init) shared_init = sim_alloc(SIM_SHARED);
    if (shared_grain != 2 || !shared_cells) {
        free(shared_cells);
        shared_cells = sim_alloc(SIM_SHARED / 4 * sizeof *shared_cells);
        shared_grain = 2;
    }
    memset(shared_init, NOWHERE, SIM_SHARED);
}

void sim_shadow_block(void)
{
    block_first = ++phase;
    memset(sim_now.shared, 0xff, sim_now.shared_end);
    if (!sim_option()->check) return;
    const sim_kernel *k = sim_now.kernel;
    for (int a = 0; a < k->shared_count; a++)
        memset(shared_init + k->shared[a].offset, UNWRITTEN, k->shared[a].size);
    memset(shared_init + sim_now.dynamic_offset, UNWRITTEN, sim_now.dynamic_bytes);
}

void sim_shadow_barrier(void) { phase++; }

static const char *verb(const sim_touch *how)
{
    return how->atomic ? "atomic" : how->write ? "write" : "read";
}

static int lane_of(size_t byte, const sim_touch *how)
{
    return how->step ? sim_now.lane + (int)(byte / how->step) : sim_now.lane;
}

void sim_shadow_shared(uint32_t offset, const sim_touch *how)
{
    const size_t bytes = how->step ? how->step * (size_t)how->count : how->n;
    char where[400];
    const int grain = grain_of(how->n);
    if (grain < shared_grain) {
        shared_cells =
            refine(shared_cells, (size_t)SIM_SHARED >> shared_grain, shared_grain - grain);
        shared_grain = grain;
    }
    const target t = {shared_cells, shared_grain, block_first, NULL};
    for (size_t b = 0; b < bytes; b++) {
        const uint8_t state = shared_init[offset + b];
        if (state == WRITTEN || (state == UNWRITTEN && how->write && !how->atomic)) continue;
        sim_now.lane = lane_of(b, how);
        place(where, sizeof where, &t, offset + b);
        if (state == NOWHERE)
            sim_die("%s of %zu bytes out of bounds of %s", verb(how), how->n, where);
        sim_die("%s of uninitialised %s", verb(how), where);
    }
    if (how->write) memset(shared_init + offset, WRITTEN, bytes);
    touch_lanes(&t, offset, how);
}

static void check_range(const sim_memory *m, const char *address, const sim_touch *how)
{
    if (!m)
        sim_die("%s of %zu bytes at %p, which is in no allocation", verb(how), how->n,
                (const void *)address);
    if (m->freed)
        sim_die("%s: use of freed allocation #%u of %zu bytes", verb(how), m->id, m->size);
    if (!m->device) sim_die("%s of pinned host memory, allocation #%u", verb(how), m->id);
    for (int l = 0; l < (how->step ? how->count : 1); l++) {
        const ptrdiff_t offset = address + (size_t)l * how->step - m->base;
        if (offset >= 0 && (size_t)offset + how->n <= m->size) continue;
        sim_now.lane += l;
        sim_die("%s of %zu bytes out of bounds: offset %td of allocation #%u of %zu bytes",
                verb(how), how->n, offset, m->id, m->size);
    }
}

void sim_shadow_global(const char *address, const sim_touch *how)
{
    static sim_memory *last;
    const size_t bytes = how->step ? how->step * (size_t)how->count : how->n;
    sim_memory *m = last;
    if (!m || m->freed || address < m->base || address + bytes > m->base + m->size) {
        last = m = sim_memory_find(address);
        check_range(m, address, how);
    }
    const size_t offset = (size_t)(address - m->base);
    const int grain = grain_of(how->n);
    if (!m->init) m->init = sim_alloc(m->size);
    if (!m->cells) {
        m->grain = grain;
        m->cells = sim_alloc(((m->size >> grain) + 1) * sizeof *m->cells);
    } else if (grain < m->grain) {
        m->cells = refine(m->cells, (m->size >> m->grain) + 1, m->grain - grain);
        m->grain = grain;
    }
    const target t = {m->cells, m->grain, launch_first, m};
    if (sim_order_on) sim_order_touch(m, offset, bytes, how->write);
    if (how->write && !how->atomic) {
        memset(m->init + offset, 1, bytes);
    } else {
        const uint8_t *hole = memchr(m->init + offset, 0, bytes);
        if (hole) {
            char where[400];
            sim_now.lane = lane_of((size_t)(hole - m->init) - offset, how);
            place(where, sizeof where, &t, (size_t)(hole - m->init));
            sim_die("%s of uninitialised %s", verb(how), where);
        }
    }
    touch_lanes(&t, offset, how);
}
