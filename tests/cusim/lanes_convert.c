/* cvt: conversions between types. PTX ISA 9.0, section 9.7.9.21.
 *
 * Integers keep their low bits or saturate (.sat); floats become integers after rounding, clamped
 * to the range, NaN as 0. A register may be wider than the type: loads look at the type's bits,
 * stores extend by its sign. */
#include "convert.h"

typedef uint32_t u32;
typedef uint64_t u64;

static const char *const names[] = {"u8",  "s8",  "u16",  "s16", "u32", "s32",   "u64",
                                    "s64", "f16", "bf16", "f32", "f64", "f16x2", "bf16x2"};

bool sim_convert_wide(int type) { return type == CVT_U64 || type == CVT_S64 || type == CVT_F64; }
static bool is_float(int type) { return type >= CVT_F16; }
static bool is_signed(int type) { return type < CVT_F16 && type % 2; }
static int int_bits(int type) { return 8 << type / 2; }

static int64_t truncated(u64 v, int type) /* the type's value, extended to 64 bits */
{
    switch (type) {
    case CVT_U8: return (uint8_t)v;
    case CVT_S8: return (int8_t)v;
    case CVT_U16: return (uint16_t)v;
    case CVT_S16: return (int16_t)v;
    case CVT_U32: return (u32)v;
    case CVT_S32: return (int32_t)v;
    default: return (int64_t)v;
    }
}

static u64 row_get(const sim_warp *w, const sim_insn *i, int n, int l)
{
    const void *row = lane_row(w, i->row[n]);
    return i->wide >> n & 1 ? ((const u64 *)row)[l] : ((const u32 *)row)[l];
}

static void row_set(const sim_warp *w, const sim_insn *i, int l, u64 v)
{
    void *row = lane_row(w, i->row[0]);
    if (i->wide & 1)
        ((u64 *)row)[l] = v;
    else
        ((u32 *)row)[l] = (u32)v;
}

static double real_get(u64 v, int type)
{
    switch (type) {
    case CVT_F16: return (double)from_f16((u32)v);
    case CVT_BF16: return (double)from_bf16((u32)v);
    case CVT_F32: return (double)as_float((u32)v);
    default: return as_double(v);
    }
}

static double integral(double v, int round)
{
    switch (round) {
    case ROUND_NEAREST: return nearbyint(v);
    case ROUND_ZERO: return trunc(v);
    case ROUND_DOWN: return floor(v);
    default: return ceil(v);
    }
}

static int64_t clamped(double v, int type)
{
    const int bits = int_bits(type);
    if (v != v) return 0;
    if (is_signed(type)) {
        const int64_t least = INT64_MIN >> (64 - bits);
        return v < (double)least ? least : v >= ldexp(1, bits - 1) ? ~least : (int64_t)v;
    }
    return v < 0 ? 0 : v >= ldexp(1, bits) ? (int64_t)(~(u64)0 >> (64 - bits)) : (int64_t)(u64)v;
}

static u64 real_put(double v, const sim_insn *i)
{
    const int round = i->flags & CVT_INTEGRAL ? ROUND_NEAREST : i->flags & CVT_ROUND;
    if (i->flags & CVT_SATURATE) v = v > 0 ? (v < 1 ? v : 1) : 0;
    if (i->size == CVT_F64) return result_bits64(v);
    const float f = sim_rounded_from_f64(v, i->count == CVT_F64 ? round : ROUND_NEAREST);
    if (i->size == CVT_F32) return result_bits(f);
    const float kept = i->flags & CVT_RELU && f < 0.0f ? 0.0f : f;
    if (i->size == CVT_F16) return to_f16(kept);
    return round == ROUND_ZERO && kept == kept ? as_bits(kept) >> 16 : to_bf16(kept);
}

static u64 int_to_real(int64_t v, const sim_insn *i)
{
    const int round = i->flags & CVT_ROUND;
    const bool sign = is_signed(i->count);
    if (i->size == CVT_F64)
        return as_bits64(sign ? sim_rounded_f64_from_s64(v, round)
                              : sim_rounded_f64_from_u64((u64)v, round));
    const float f = sign ? sim_rounded_from_s64(v, round) : sim_rounded_from_u64((u64)v, round);
    return i->size == CVT_F16 ? to_f16(f) : as_bits(f);
}

static int64_t int_saturated(int64_t v, const sim_insn *i)
{
    const int bits = int_bits(i->size);
    const bool from_u64 = i->count == CVT_U64 && v < 0; /* above INT64_MAX */
    if (is_signed(i->size)) {
        const int64_t least = INT64_MIN >> (64 - bits);
        return from_u64 || v > ~least ? ~least : v < least ? least : v;
    }
    const u64 most = ~(u64)0 >> (64 - bits);
    if (v < 0 && !from_u64) return 0;
    return (u64)v > most ? (int64_t)most : v;
}

static u64 convert(u64 raw, const sim_insn *i)
{
    if (is_float(i->count)) {
        double v = real_get(raw, i->count);
        if (i->flags & CVT_FTZ && fabs(v) < 0x1p-126) v = copysign(0.0, v);
        if (i->flags & CVT_INTEGRAL) v = integral(v, i->flags & CVT_ROUND);
        return is_float(i->size) ? real_put(v, i) : (u64)clamped(v, i->size);
    }
    int64_t v = truncated(raw, i->count);
    if (is_float(i->size)) return int_to_real(v, i);
    if (i->flags & CVT_SATURATE) v = int_saturated(v, i);
    return (u64)truncated((u64)v, i->size);
}

static void any(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    for (int l = 0; l < SIM_LANES; l++)
        if (mask >> l & 1) row_set(w, i, l, convert(row_get(w, i, 1, l), i));
}

/* ---- those that are frequent ---- */
LANE_OP1(u64_u32, u64, u64, u32, u32, x)
LANE_OP1(s64_s32, u64, u64, u32, int32_t, (int64_t)x)
LANE_OP1(u32_u64, u32, u32, u64, u64, x)
LANE_OP1(low16, u32, uint16_t, u32, u32, x)
LANE_OP1(u32_u32, u32, u32, u32, u32, x)
LANE_OP1(s32_s16, u32, u32, u32, int16_t, (int32_t)x)
LANE_OP1(f32_s32, u32, u32, u32, int32_t, as_bits((float)x))
LANE_OP1(f32_u32, u32, u32, u32, u32, as_bits((float)x))
LANE_OP1(bf16_f32, u32, u32, u32, u32, to_bf16(as_float(x)))
LANE_OP1(f32_bf16, u32, u32, u32, u32, result_bits(from_bf16(x)))
LANE_OP1(f32_f16, u32, u32, u32, u32, result_bits(from_f16(x)))
LANE_OP2(bf16x2_f32, u32, u32, u32, u32, to_bf16(as_float(x)) << 16 | to_bf16(as_float(y)))
LANE_OP2(f16x2_f32, u32, u32, u32, u32, to_f16(as_float(x)) << 16 | to_f16(as_float(y)))
#define RELU(x) ((x) >> 31 && ((x)&0x7fffffffu) <= 0x7f800000u ? 0 : (x))
LANE_OP2(bf16x2_relu, u32, u32, u32, u32,
         to_bf16(as_float(RELU(x))) << 16 | to_bf16(as_float(RELU(y))))
LANE_OP1(f64_f32, u64, u64, u32, u32, result_bits64((double)as_float(x)))
LANE_OP1(f32_f64, u32, u32, u64, u64, result_bits((float)as_double(x)))

static const struct {
    uint8_t to, from, flags;
    sim_handler *run;
} frequent[] = {{CVT_U64, CVT_U32, 0, u64_u32},
                {CVT_S64, CVT_S32, 0, s64_s32},
                {CVT_U32, CVT_U64, 0, u32_u64},
                {CVT_U16, CVT_U32, 0, low16},
                {CVT_S64, CVT_U32, 0, u64_u32},
                {CVT_U32, CVT_U16, 0, low16},
                {CVT_S32, CVT_U16, 0, low16},
                {CVT_S32, CVT_S16, 0, s32_s16},
                {CVT_U32, CVT_S32, 0, u32_u32},
                {CVT_F32, CVT_S32, 0, f32_s32},
                {CVT_F32, CVT_U32, 0, f32_u32},
                {CVT_BF16, CVT_F32, 0, bf16_f32},
                {CVT_F32, CVT_BF16, 0, f32_bf16},
                {CVT_F32, CVT_F16, 0, f32_f16},
                {CVT_BF16X2, CVT_F32, 0, bf16x2_f32},
                {CVT_F16X2, CVT_F32, 0, f16x2_f32},
                {CVT_F64, CVT_F32, 0, f64_f32},
                {CVT_F32, CVT_F64, 0, f32_f64},
                {CVT_BF16X2, CVT_F32, CVT_RELU, bf16x2_relu}};

static bool modifier(sim_insn *i, const char *word)
{
    static const struct {
        const char *name;
        int flags;
    } known[] = {{"rn", ROUND_NEAREST},
                 {"rz", ROUND_ZERO},
                 {"rm", ROUND_DOWN},
                 {"rp", ROUND_UP},
                 {"rni", ROUND_NEAREST | CVT_INTEGRAL},
                 {"rzi", ROUND_ZERO | CVT_INTEGRAL},
                 {"rmi", ROUND_DOWN | CVT_INTEGRAL},
                 {"rpi", ROUND_UP | CVT_INTEGRAL},
                 {"sat", CVT_SATURATE},
                 {"ftz", CVT_FTZ},
                 {"relu", CVT_RELU}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        if (strcmp(word, known[k].name) == 0) {
            i->flags |= (uint8_t)known[k].flags;
            return true;
        }
    return false;
}

static int type_of(const char *word)
{
    for (int t = 0; t <= CVT_BF16X2; t++)
        if (strcmp(word, names[t]) == 0) return t;
    return -1;
}

bool sim_convert_decode(sim_insn *i, char **words, int count)
{
    if (count < 3) return false;
    const int to = type_of(words[count - 2]), from = type_of(words[count - 1]);
    if (to < 0 || from < 0) return false;
    for (int n = 1; n < count - 2; n++)
        if (!modifier(i, words[n])) return false;
    i->size = (uint8_t)to;
    i->count = (uint8_t)from;
    i->run = any;
    for (size_t k = 0; k < sizeof frequent / sizeof *frequent; k++) {
        const bool narrow =
            !((i->wide & 1) && !sim_convert_wide(to)) && !(i->wide & 2 && !sim_convert_wide(from));
        if (frequent[k].to == to && frequent[k].from == from && frequent[k].flags == i->flags &&
            narrow)
            i->run = frequent[k].run;
    }
    const bool nearest = (i->flags & CVT_ROUND) == ROUND_NEAREST;
    const bool pair = to == CVT_F16X2 || to == CVT_BF16X2;
    if (i->run != any) return true;
    if (pair || from == CVT_F16X2 || from == CVT_BF16X2) return false;
    if (to == CVT_F16 && !nearest && !(i->flags & CVT_INTEGRAL)) return false;
    return !(to == CVT_BF16 && from != CVT_F32 && from != CVT_BF16);
}
