/* cp.async: data arrives when its group is waited for, never before, so that a missing wait is
 * seen. Until then what it will overwrite is as it was. PTX ISA 9.0, section 9.7.9.25. */
#include "access.h"

#include <stdlib.h>

typedef struct {
    uint32_t group, bytes, from_bytes; /* the rest is filled with zeros */
    uint32_t to;
    uint64_t from;
    const sim_insn *insn;
} copy;

struct sim_async { /* of one warp */
    struct {
        copy *copies;
        size_t count;
        uint32_t groups;
    } lane[SIM_LANES];
};

void sim_async_reset(sim_warp *w)
{
    for (int l = 0; w->async && l < SIM_LANES; l++)
        w->async->lane[l].count = w->async->lane[l].groups = 0;
}

void sim_async_release(sim_warp *w)
{
    for (int l = 0; w->async && l < SIM_LANES; l++) free(w->async->lane[l].copies);
    free(w->async);
    w->async = NULL;
}

/* Row 0: source (64 bit); row 1: bytes to read, if fewer; i->address: destination; i->size: bytes.
 */
void sim_async_copy(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    if (!w->async) w->async = sim_alloc(sizeof *w->async);
    uint64_t to[SIM_LANES], source[SIM_LANES];
    uint32_t reads = 0;
    sim_addresses(w, i, to);
    const uint64_t *from = lane_row(w, i->row[0]);
    for (uint32_t rest = mask; rest; rest &= rest - 1) {
        const int l = __builtin_ctz(rest);
        const uint32_t bytes = i->rows > 1 ? ((uint32_t *)lane_row(w, i->row[1]))[l] : i->size;
        sim_now.lane = l;
        if (to[l] % i->size || from[l] % i->size)
            sim_die("misaligned copy of %u bytes from %#llx to shared offset %llu", i->size,
                    (unsigned long long)from[l], (unsigned long long)to[l]);
        if (bytes > i->size) sim_die("cp.async: %u source bytes for a copy of %u", bytes, i->size);
        copy **c = &w->async->lane[l].copies;
        const size_t n = w->async->lane[l].count++;
        *c = sim_push(*c, n, sizeof **c);
        (*c)[n] = (copy){w->async->lane[l].groups,      i->size, bytes, (uint32_t)to[l],
                         from[l] + (uint64_t)i->target, i};
        source[l] = (*c)[n].from;
        reads |= (uint32_t)(bytes > 0) << l;
    }
    if (sim_option_stat) sim_stat_copy((sim_insn *)i, source, reads, to, mask);
    sim_now.lane = -1;
}

void sim_async_commit(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    (void)i;
    if (!w->async) w->async = sim_alloc(sizeof *w->async);
    for (int l = 0; l < SIM_LANES; l++)
        if (mask >> l & 1) w->async->lane[l].groups++;
}

static void arrive(const copy *c)
{
    const sim_insn *waiting = sim_now.insn;
    sim_now.insn = c->insn;
    const char *from = (char *)(uintptr_t)c->from;
    const sim_touch read = {.n = c->from_bytes, .step = c->from_bytes, .count = 1};
    const sim_touch write = {.n = c->bytes, .step = c->bytes, .count = 1, .write = true};
    if (c->from_bytes && !sim_in_arena(from))
        sim_die("cp.async from %p, which is not device memory", (const void *)from);
    if (c->to + c->bytes > SIM_SHARED) sim_die("cp.async to shared offset %u", c->to);
    if (sim_option_check && c->from_bytes) sim_shadow_global(from, &read);
    if (sim_option_check) sim_shadow_shared(c->to, &write);
    if (c->from_bytes) memcpy(sim_now.shared + c->to, from + sim_alias, c->from_bytes);
    memset(sim_now.shared + c->to + c->from_bytes, 0, c->bytes - c->from_bytes);
    sim_now.insn = waiting;
}

/* All but the newest i->count groups arrive; i->flags: all copies, committed or not. */
void sim_async_wait(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    if (!w->async) return;
    for (uint32_t rest = mask; rest; rest &= rest - 1) {
        const int l = sim_now.lane = __builtin_ctz(rest);
        copy *c = w->async->lane[l].copies;
        const uint32_t groups = w->async->lane[l].groups;
        const uint32_t until = groups > i->count ? groups - i->count : 0;
        size_t kept = 0;
        for (size_t n = 0; n < w->async->lane[l].count; n++) {
            if (i->flags || c[n].group < until)
                arrive(&c[n]);
            else
                c[kept++] = c[n];
        }
        w->async->lane[l].count = kept;
    }
    sim_now.lane = -1;
}
