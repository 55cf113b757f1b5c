/* ld, st, atom, red: addresses of all lanes, their checks, then the data. PTX ISA 9.0,
 * section 9.7.9. */
#include "access.h"

#include "half.h"

typedef uint32_t u32;
typedef uint64_t u64;

void sim_addresses(const sim_warp *w, const sim_insn *i, uint64_t *a)
{
    if (i->address < 0) {
        for (int l = 0; l < SIM_LANES; l++) a[l] = (u64)i->offset;
    } else if (i->address_wide) {
        const u64 *row = lane_row(w, (u32)i->address);
        LANE_LOOP a[l] = row[l] + (u64)i->offset;
    } else {
        const u32 *row = lane_row(w, (u32)i->address);
        LANE_LOOP a[l] = (u32)(row[l] + (u32)i->offset);
    }
}

static uint8_t *shared_at(u64 a, size_t bytes, const sim_touch *how)
{
    if (a + bytes > sim_now.shared_end + (size_t)SIM_GAP || a + bytes > SIM_SHARED)
        sim_die("shared memory: offset %llu of %u bytes", (unsigned long long)a,
                sim_now.shared_end);
    if (sim_option_check) sim_shadow_shared((u32)a, how);
    return sim_now.shared + a;
}

static uint8_t *at(const sim_insn *i, u64 a, size_t bytes, const sim_touch *how)
{
    if (a % how->n) sim_die("misaligned %zu-byte access at %#llx", how->n, (unsigned long long)a);
    if (i->space == SPACE_SHARED) return shared_at(a, bytes, how);
    uint8_t *p = (uint8_t *)(uintptr_t)a;
    if (sim_in_arena(p)) {
        if (sim_option_check) sim_shadow_global((char *)p, how);
        return p + sim_alias;
    }
    const u64 in_window = a - (u64)(uintptr_t)sim_now.shared,
              in_local = a - (u64)(uintptr_t)sim_now.local;
    if (i->space == SPACE_GENERIC && in_window < SIM_SHARED)
        return shared_at(in_window, bytes, how);
    const size_t thread = sim_now.warp->index * SIM_LANES + (unsigned)sim_now.lane;
    const size_t own = thread * sim_now.kernel->local_bytes;
    if (i->space != SPACE_GLOBAL && in_local >= own &&
        in_local + how->n <= own + sim_now.kernel->local_bytes)
        return p;
    sim_die("access to %#llx, which is neither device nor shared memory nor this thread's own",
            (unsigned long long)a);
}

/* Whether the lanes' accesses of n bytes lie one after the other. */
static bool adjacent(const u64 *a, size_t n)
{
    u64 wrong = 0;
    LANE_LOOP wrong |= a[l] ^ (a[0] + (u64)l * n);
    return !wrong;
}

static bool same(const u64 *a)
{
    u64 wrong = 0;
    LANE_LOOP wrong |= a[l] ^ a[0];
    return !wrong;
}

void sim_access(const sim_warp *w, const sim_insn *i, uint32_t mask, size_t n, uint8_t **p)
{
    u64 a[SIM_LANES];
    sim_addresses(w, i, a);
    if (sim_option_stat && i->space != SPACE_LOCAL)
        sim_stat_access((sim_insn *)i, a, mask, n, i->space == SPACE_SHARED);
    sim_touch how = {.n = n, .step = n, .count = SIM_LANES, .write = i->write, .atomic = i->atomic};
    const bool row = mask == SIM_FULL && i->space != SPACE_LOCAL;
    if (row && adjacent(a, n)) {
        sim_now.lane = 0;
        uint8_t *first = at(i, a[0], n * SIM_LANES, &how);
        for (int l = 0; l < SIM_LANES; l++) p[l] = first + (size_t)l * n;
    } else if (row && !i->write && same(a)) {
        how.step = 0;
        how.count = 2; /* a second lane shows that there are several */
        sim_now.lane = 0;
        uint8_t *first = at(i, a[0], n, &how);
        for (int l = 0; l < SIM_LANES; l++) p[l] = first;
    } else {
        how.count = 1;
        for (u32 rest = mask; rest; rest &= rest - 1) {
            sim_now.lane = __builtin_ctz(rest);
            p[sim_now.lane] = at(i, a[sim_now.lane], n, &how);
        }
    }
    sim_now.lane = -1;
}

static u64 get(const uint8_t *p, const sim_insn *i)
{
    u64 v = 0;
    memcpy(&v, p, i->size);
    if (i->sign && i->size < 8) {
        const int up = 64 - 8 * i->size;
        v = (u64)((int64_t)(v << up) >> up);
    }
    return v;
}

void sim_load(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    uint8_t *p[SIM_LANES];
    sim_access(w, i, mask, (size_t)i->size * i->count, p);
    for (int e = 0; e < i->count; e++) {
        void *row = lane_row(w, i->row[e]);
        const size_t at_byte = (size_t)e * i->size;
        const bool wide = i->wide >> e & 1;
        for (int l = 0; l < SIM_LANES; l++) {
            if (!(mask >> l & 1)) continue;
            if (i->size == 4 && !wide)
                memcpy((u32 *)row + l, p[l] + at_byte, 4);
            else if (wide)
                ((u64 *)row)[l] = get(p[l] + at_byte, i);
            else
                ((u32 *)row)[l] = (u32)get(p[l] + at_byte, i);
        }
    }
}

void sim_store(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    uint8_t *p[SIM_LANES];
    sim_access(w, i, mask, (size_t)i->size * i->count, p);
    for (int e = 0; e < i->count; e++) {
        const uint8_t *row = lane_row(w, i->row[e]);
        const size_t at_byte = (size_t)e * i->size, word = i->wide >> e & 1 ? 8 : 4;
        for (int l = 0; l < SIM_LANES; l++) {
            if (!(mask >> l & 1)) continue;
            if (i->size == 4)
                memcpy(p[l] + at_byte, row + (size_t)l * word, 4);
            else
                memcpy(p[l] + at_byte, row + (size_t)l * word, i->size);
        }
    }
}

/* Kernel parameters: the same for all lanes, unless indexed. */
void sim_load_param(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    u64 a[SIM_LANES];
    sim_addresses(w, i, a);
    for (int e = 0; e < i->count; e++) {
        void *row = lane_row(w, i->row[e]);
        for (int l = 0; l < SIM_LANES; l++) {
            if (!(mask >> l & 1)) continue;
            const u64 from = a[l] + (u64)e * i->size;
            if (from + i->size > sim_now.kernel->param_bytes)
                sim_die("parameter at offset %llu", (unsigned long long)from);
            const u64 v = get(sim_now.params + from, i);
            if (i->wide >> e & 1)
                ((u64 *)row)[l] = v;
            else
                ((u32 *)row)[l] = (u32)v;
        }
    }
}

/* cvta: generic addresses of shared memory are its window's; all others are the same. */
void sim_to_generic(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    u64 *d = lane_row(w, i->row[0]);
    const u64 *a = lane_row(w, i->row[1]);
    const u64 base = i->space == SPACE_SHARED ? (u64)(uintptr_t)sim_now.shared : 0;
    LANE_STORE(u64, const u64 x = a[l], x + base)
}
void sim_from_generic(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    u64 *d = lane_row(w, i->row[0]);
    const u64 *a = lane_row(w, i->row[1]);
    const u64 base = i->space == SPACE_SHARED ? (u64)(uintptr_t)sim_now.shared : 0;
    LANE_STORE(u64, const u64 x = a[l], x - base)
}
