/* Logic, bits, moves and selection. PTX ISA 9.0, sections 9.7.1, 9.7.8 and 9.7.9. */
#include "lanes.h"

typedef uint32_t u32;
typedef uint64_t u64;

#define WIDTH(n, R, D)                                                                             \
    LANE_OP1(mov##n, R, D, R, D, x)                                                                \
    LANE_OP2(and##n, R, D, R, D, x &y)                                                             \
    LANE_OP2(or ##n, R, D, R, D, x | y)                                                            \
    LANE_OP2(xor##n, R, D, R, D, x ^ y)                                                            \
    LANE_OP1(not ##n, R, D, R, D, ~x)                                                              \
    LANE_OP1(cnot##n, R, D, R, D, x == 0)                                                          \
    LANE_OP3(selp##n, R, D, R, D, u32, u32, z ? x : y)
WIDTH(16, u32, uint16_t)
WIDTH(32, u32, u32)
WIDTH(64, u64, u64)
LANE_OP1(mov_pred, u32, u32, u32, u32, x != 0)
LANE_OP1(not_pred, u32, u32, u32, u32, x == 0)
LANE_OP1(popc32, u32, u32, u32, u32, __builtin_popcount(x))
LANE_OP1(popc64, u32, u32, u64, u64, __builtin_popcountll(x))
LANE_OP1(clz32, u32, u32, u32, u32, x ? __builtin_clz(x | !x) : 32)
LANE_OP1(clz64, u32, u32, u64, u64, x ? __builtin_clzll(x | !x) : 64)
LANE_OP3(slct_s32, u32, u32, u32, u32, u32, int32_t, z >= 0 ? x : y)

static u64 reverse(u64 x, int bits)
{
    u64 r = 0;
    for (int b = 0; b < bits; b++) r |= (x >> b & 1) << (bits - 1 - b);
    return r;
}
LANE_OP1(brev32, u32, u32, u32, u32, reverse(x, 32))
LANE_OP1(brev64, u64, u64, u64, u64, reverse(x, 64))

/* Place of the highest bit that is not the sign; ones if there is none. */
static u32 find(u64 x, int bits, bool sign, bool shift)
{
    if (sign && x >> (bits - 1) & 1) x = ~x & (~(u64)0 >> (64 - bits));
    if (!x) return SIM_FULL;
    const u32 at = 63 - (u32)__builtin_clzll(x);
    return shift ? (u32)bits - 1 - at : at;
}
LANE_OP1(bfind_u32, u32, u32, u32, u32, find(x, 32, false, false))
LANE_OP1(bfind_s32, u32, u32, u32, u32, find(x, 32, true, false))
LANE_OP1(bfind_u64, u32, u32, u64, u64, find(x, 64, false, false))
LANE_OP1(bfind_s64, u32, u32, u64, u64, find(x, 64, true, false))
LANE_OP1(bfind_shift_u32, u32, u32, u32, u32, find(x, 32, false, true))
LANE_OP1(bfind_shift_s32, u32, u32, u32, u32, find(x, 32, true, true))
LANE_OP1(bfind_shift_u64, u32, u32, u64, u64, find(x, 64, false, true))

static u64 extract(u64 x, u32 start, u32 length, int bits, bool sign)
{
    start &= 255;
    length &= 255;
    u64 field = start < (u32)bits ? x >> start : 0;
    if (length < 64) field &= ((u64)1 << length) - 1;
    if (!sign || !length) return field;
    const u32 top = start + length - 1 < (u32)bits ? start + length - 1 : (u32)bits - 1;
    const bool negative = x >> top & 1;
    const u32 keep = start <= top ? top - start + 1 : 0;
    if (negative && keep < 64) field |= ~(u64)0 << keep;
    return field;
}

static void bfe(sim_warp *w, const sim_insn *i, uint32_t mask, int bits, bool sign)
{
    const u32 *start = lane_row(w, i->row[2]), *length = lane_row(w, i->row[3]);
    for (int l = 0; l < SIM_LANES; l++) {
        if (!(mask >> l & 1)) continue;
        if (bits == 32)
            ((u32 *)lane_row(w, i->row[0]))[l] =
                (u32)extract(((u32 *)lane_row(w, i->row[1]))[l], start[l], length[l], 32, sign);
        else
            ((u64 *)lane_row(w, i->row[0]))[l] =
                extract(((u64 *)lane_row(w, i->row[1]))[l], start[l], length[l], 64, sign);
    }
}
static void bfe_u32(sim_warp *w, const sim_insn *i, uint32_t mask) { bfe(w, i, mask, 32, false); }
static void bfe_s32(sim_warp *w, const sim_insn *i, uint32_t mask) { bfe(w, i, mask, 32, true); }
static void bfe_u64(sim_warp *w, const sim_insn *i, uint32_t mask) { bfe(w, i, mask, 64, false); }
static void bfe_s64(sim_warp *w, const sim_insn *i, uint32_t mask) { bfe(w, i, mask, 64, true); }

/* bfi d, a, b, c, n: the low n bits of a into b from bit c on. */
static u64 insert(u64 a, u64 b, u32 start, u32 length, u32 bits)
{
    start &= 255;
    length &= 255;
    if (start >= bits || !length) return b;
    const u64 field = length < 64 ? ((u64)1 << length) - 1 : ~(u64)0;
    return (b & ~(field << start)) | (a & field) << start;
}
static void bfi32(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    u32 *d = lane_row(w, i->row[0]);
    const u32 *a = lane_row(w, i->row[1]), *b = lane_row(w, i->row[2]);
    const u32 *start = lane_row(w, i->row[3]), *length = lane_row(w, i->row[4]);
    for (int l = 0; l < SIM_LANES; l++)
        if (mask >> l & 1) d[l] = (u32)insert(a[l], b[l], start[l], length[l], 32);
}
static void bfi64(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    u64 *d = lane_row(w, i->row[0]);
    const u64 *a = lane_row(w, i->row[1]), *b = lane_row(w, i->row[2]);
    const u32 *start = lane_row(w, i->row[3]), *length = lane_row(w, i->row[4]);
    for (int l = 0; l < SIM_LANES; l++)
        if (mask >> l & 1) d[l] = insert(a[l], b[l], start[l], length[l], 64);
}

/* Each nibble of z picks one of the 8 bytes of y:x; its top bit asks for the sign of the byte. */
static u32 permute(u32 x, u32 y, u32 z)
{
    const u64 bytes = (u64)y << 32 | x;
    u32 r = 0;
    for (int n = 0; n < 4; n++) {
        const u32 pick = z >> (4 * n) & 15, byte = (u32)(bytes >> (8 * (pick & 7))) & 255;
        r |= (pick & 8 ? (byte & 128 ? 255u : 0u) : byte) << (8 * n);
    }
    return r;
}
LANE_OP3(prmt, u32, u32, u32, u32, u32, u32, permute(x, y, z))

/* lop3 d, a, b, c, table: bit 4a + 2b + c of the table. */
static void lop3(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    u32 *d = lane_row(w, i->row[0]);
    const u32 *a = lane_row(w, i->row[1]), *b = lane_row(w, i->row[2]), *c = lane_row(w, i->row[3]);
    const u32 table = *(const u32 *)lane_row(w, i->row[4]);
    u32 keep[8];
    for (int n = 0; n < 8; n++) keep[n] = table >> n & 1 ? SIM_FULL : 0;
    LANE_STORE(u32, const u32 x = a[l]; const u32 y = b[l];
               const u32 z = c[l], (keep[0] & ~x & ~y & ~z) | (keep[1] & ~x & ~y & z) |
                                       (keep[2] & ~x & y & ~z) | (keep[3] & ~x & y & z) |
                                       (keep[4] & x & ~y & ~z) | (keep[5] & x & ~y & z) |
                                       (keep[6] & x & y & ~z) | (keep[7] & x & y & z))
}

/* shf d, a, b, c: b:a shifted; clamp: c up to 32, wrap: c modulo 32. */
#define PAIR ((u64)y << 32 | x)
#define CLAMP (z > 32 ? 32 : z)
LANE_OP3(shf_l_wrap, u32, u32, u32, u32, u32, u32, PAIR << (z & 31) >> 32)
LANE_OP3(shf_l_clamp, u32, u32, u32, u32, u32, u32, CLAMP == 32 ? x : PAIR << (CLAMP & 31) >> 32)
LANE_OP3(shf_r_wrap, u32, u32, u32, u32, u32, u32, PAIR >> (z & 31))
LANE_OP3(shf_r_clamp, u32, u32, u32, u32, u32, u32, PAIR >> CLAMP)

#define ROWS_LOGIC(n, d1, d2)                                                                      \
    {"and.b" #n, d2, and##n}, {"or.b" #n, d2, or ##n}, {"xor.b" #n, d2, xor##n},                   \
        {"not.b" #n, d1, not ##n},                                                                 \
    {                                                                                              \
        "cnot.b" #n, d1, cnot##n                                                                   \
    }
#define ROWS_TYPES(op, n, shape, name)                                                             \
    {op ".b" #n, shape, name##n}, {op ".u" #n, shape, name##n}, {op ".s" #n, shape, name##n},      \
    {                                                                                              \
        op ".f" #n, shape, name##n                                                                 \
    }

const sim_op sim_ops_bits[] = {ROWS_LOGIC(16, "dd", "ddd"),
                               ROWS_LOGIC(32, "dd", "ddd"),
                               ROWS_LOGIC(64, "qq", "qqq"),
                               {"and.pred", "ppp", and32},
                               {"or.pred", "ppp", or32},
                               {"xor.pred", "ppp", xor32},
                               {"not.pred", "pp", not_pred},
                               {"mov.pred", "pp", mov_pred},
                               ROWS_TYPES("mov", 16, "dd", mov),
                               ROWS_TYPES("mov", 32, "dd", mov),
                               ROWS_TYPES("mov", 64, "qq", mov),
                               ROWS_TYPES("selp", 16, "dddp", selp),
                               ROWS_TYPES("selp", 32, "dddp", selp),
                               ROWS_TYPES("selp", 64, "qqqp", selp),
                               {"slct.b32.s32", "dddd", slct_s32},
                               {"slct.u32.s32", "dddd", slct_s32},
                               {"slct.s32.s32", "dddd", slct_s32},
                               {"slct.f32.s32", "dddd", slct_s32},
                               {"popc.b32", "dd", popc32},
                               {"popc.b64", "dq", popc64},
                               {"clz.b32", "dd", clz32},
                               {"clz.b64", "dq", clz64},
                               {"brev.b32", "dd", brev32},
                               {"brev.b64", "qq", brev64},
                               {"bfind.u32", "dd", bfind_u32},
                               {"bfind.s32", "dd", bfind_s32},
                               {"bfind.u64", "dq", bfind_u64},
                               {"bfind.s64", "dq", bfind_s64},
                               {"bfind.shiftamt.u32", "dd", bfind_shift_u32},
                               {"bfind.shiftamt.s32", "dd", bfind_shift_s32},
                               {"bfind.shiftamt.u64", "dq", bfind_shift_u64},
                               {"bfe.u32", "dddd", bfe_u32},
                               {"bfe.s32", "dddd", bfe_s32},
                               {"bfe.u64", "qqdd", bfe_u64},
                               {"bfe.s64", "qqdd", bfe_s64},
                               {"bfi.b32", "ddddd", bfi32},
                               {"bfi.b64", "qqqdd", bfi64},
                               {"prmt.b32", "dddd", prmt},
                               {"lop3.b32", "ddddd", lop3},
                               {"shf.l.wrap.b32", "dddd", shf_l_wrap},
                               {"shf.l.clamp.b32", "dddd", shf_l_clamp},
                               {"shf.r.wrap.b32", "dddd", shf_r_wrap},
                               {"shf.r.clamp.b32", "dddd", shf_r_clamp},
                               {0}};
