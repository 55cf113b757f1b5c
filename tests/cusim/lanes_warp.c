/* What lanes of a warp tell each other, and mov between vectors and registers.
 * PTX ISA 9.0, sections 9.7.9.6 (shfl), 9.7.13. */
#include "access.h"

typedef uint32_t u32;
typedef uint64_t u64;

void sim_nothing(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    (void)w;
    (void)i;
    (void)mask;
}

/* mov.b64 d, {a, b}: rows 1 to count in i->size bits each. */
void sim_pack(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    const int bits = i->size;
    for (u32 rest = mask; rest; rest &= rest - 1) {
        const int l = __builtin_ctz(rest);
        u64 v = 0;
        for (int e = 0; e < i->count; e++)
            v |= ((u64)((u32 *)lane_row(w, i->row[1 + e]))[l] & ~(u64)0 >> (64 - bits))
                 << (e * bits);
        if (i->wide & 1)
            ((u64 *)lane_row(w, i->row[0]))[l] = v;
        else
            ((u32 *)lane_row(w, i->row[0]))[l] = (u32)v;
    }
}

/* mov.b64 {a, b}, s: rows 0 to count - 1; the source is row `count`. */
void sim_unpack(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    const int bits = i->size;
    const void *row = lane_row(w, i->row[i->count]);
    for (u32 rest = mask; rest; rest &= rest - 1) {
        const int l = __builtin_ctz(rest);
        const u64 v = i->wide >> i->count & 1 ? ((const u64 *)row)[l] : ((const u32 *)row)[l];
        for (int e = 0; e < i->count; e++)
            ((u32 *)lane_row(w, i->row[e]))[l] = (u32)(v >> (e * bits) & ~(u64)0 >> (64 - bits));
    }
}

static int source_lane(int mode, int l, int b, u32 c)
{
    const int clamp = (int)(c & 31), segment = (int)(c >> 8 & 31);
    const int most = (l & segment) | (clamp & ~segment), least = l & segment;
    const int from = mode == SHUFFLE_INDEX  ? least | (b & ~segment)
                     : mode == SHUFFLE_UP   ? l - b
                     : mode == SHUFFLE_DOWN ? l + b
                                            : l ^ b;
    const bool inside = mode == SHUFFLE_UP ? from >= most : from <= most;
    return inside ? from : -1;
}

/* Rows: result, value, lane, clamp; row 4 whether the source was in range, if any. */
void sim_shuffle(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    u32 in[SIM_LANES], *d = lane_row(w, i->row[0]);
    const u32 *b = lane_row(w, i->row[2]), *c = lane_row(w, i->row[3]);
    memcpy(in, lane_row(w, i->row[1]), sizeof in);
    for (u32 rest = mask; rest; rest &= rest - 1) {
        const int l = __builtin_ctz(rest);
        const int from = source_lane(i->flags, l, (int)(b[l] & 31), c[l]),
                  lane = from < 0 ? l : from;
        if (!(mask >> lane & 1)) {
            sim_now.lane = l;
            sim_die("shuffle: lane %d reads lane %d, which does not take part", l, lane);
        }
        d[l] = in[lane];
        if (i->row[4] != UINT32_MAX) ((u32 *)lane_row(w, i->row[4]))[l] = from >= 0;
    }
}

static u32 true_lanes(const sim_warp *w, const sim_insn *i, uint32_t mask)
{
    const u32 *p = lane_row(w, i->row[1]);
    u32 yes = 0;
    for (int l = 0; l < SIM_LANES; l++) yes |= (u32)((p[l] != 0) != (i->sign != 0)) << l;
    return yes & mask;
}

void sim_vote(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    const u32 yes = true_lanes(w, i, mask);
    const u32 r = i->flags == VOTE_BALLOT ? yes
                  : i->flags == VOTE_ANY  ? yes != 0
                  : i->flags == VOTE_ALL  ? yes == mask
                                          : yes == mask || !yes;
    u32 *d = lane_row(w, i->row[0]);
    for (int l = 0; l < SIM_LANES; l++)
        if (mask >> l & 1) d[l] = r;
}

void sim_reduce(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    const u32 *a = lane_row(w, i->row[1]);
    u32 *d = lane_row(w, i->row[0]), rest = mask & (mask - 1);
    u64 sum = a[__builtin_ctz(mask)];
    for (; rest; rest &= rest - 1)
        sum = (u32)sim_combine((sim_atomic_op)i->flags, (sim_number)i->sign, 4, sum,
                               a[__builtin_ctz(rest)]);
    for (int l = 0; l < SIM_LANES; l++)
        if (mask >> l & 1) d[l] = (u32)sum;
}

/* match.any: the lanes with the same value as this one. */
void sim_match(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    const void *a = lane_row(w, i->row[1]);
    u32 result[SIM_LANES] = {0};
    for (int l = 0; l < SIM_LANES; l++)
        for (int k = 0; k < SIM_LANES; k++) {
            const bool equal = i->wide & 2 ? ((const u64 *)a)[l] == ((const u64 *)a)[k]
                                           : ((const u32 *)a)[l] == ((const u32 *)a)[k];
            if (equal && mask >> k & 1) result[l] |= 1u << k;
        }
    for (int l = 0; l < SIM_LANES; l++)
        if (mask >> l & 1) ((u32 *)lane_row(w, i->row[0]))[l] = result[l];
}

void sim_active(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    u32 *d = lane_row(w, i->row[0]);
    for (int l = 0; l < SIM_LANES; l++)
        if (mask >> l & 1) d[l] = mask;
}

/* Orders the memory accesses of the lanes if all that exist take part. */
void sim_warp_barrier(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    (void)i;
    if (mask == w->lanes) w->warp_epoch++;
}

/* bar.red: row 0 receives the result over the block of the predicates in row 1. */
void sim_barrier_reduce(sim_warp *warps, unsigned count, const sim_insn *i)
{
    if (i->rows < 2) return;
    u32 total = 0, yes = 0;
    for (unsigned n = 0; n < count; n++) {
        yes += (u32)__builtin_popcount(true_lanes(&warps[n], i, warps[n].lanes));
        total += (u32)__builtin_popcount(warps[n].lanes);
    }
    const u32 r = i->flags == ATOMIC_AND ? yes == total : i->flags == ATOMIC_OR ? yes != 0 : yes;
    for (unsigned n = 0; n < count; n++)
        for (int l = 0; l < SIM_LANES; l++) ((u32 *)lane_row(&warps[n], i->row[0]))[l] = r;
}
