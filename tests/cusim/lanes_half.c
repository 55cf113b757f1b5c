/* bf16 and fp16 arithmetic, alone and in pairs. PTX ISA 9.0, sections 9.7.4 and 9.7.5.
 *
 * The exact result is rounded once: it is formed in fp64, with its last bit set where that was not
 * exact (round to odd), so that rounding it again is harmless (Boldo & Melquiond 2008). */
#include "half.h"

typedef uint32_t u32;

static float to_odd(double v, double error)
{
    if (error != 0.0 && isfinite(v)) {
        uint64_t bits = as_bits64(v);
        const bool away = (error > 0) != (v > 0);
        if (!(bits & 1)) bits = v == 0.0 ? bits : away ? bits - 1 : bits | 1;
        v = as_double(bits);
    }
    /* fp64 to fp32, to odd as well */
    const float f = (float)v;
    if ((double)f == v || !isfinite(f)) return f;
    const u32 bits = as_bits(f);
    if (bits & 1) return f;
    const double over = fabs((double)f) - fabs(v);
    return as_float(over > 0 ? bits - 1 : bits | 1);
}

/* x y + z; x y is exact in fp64 */
static float fused(float x, float y, float z)
{
    const double p = (double)x * (double)y, c = (double)z, s = p + c;
    const double bb = s - p, error = (p - (s - bb)) + (c - bb); /* Knuth's two-sum */
    return to_odd(s, isfinite(s) ? error : 0.0);
}

#define FORMAT(name, from, to)                                                                     \
    static u32 name##_fma(u32 x, u32 y, u32 z) { return to(fused(from(x), from(y), from(z))); }    \
    static u32 name##_add(u32 x, u32 y) { return to(fused(from(x), 1.0f, from(y))); }              \
    static u32 name##_sub(u32 x, u32 y) { return to(fused(from(x), 1.0f, -from(y))); }             \
    static u32 name##_mul(u32 x, u32 y) { return to(from(x) * from(y)); }                          \
    static u32 name##_min(u32 x, u32 y)                                                            \
    {                                                                                              \
        const float a = from(x), b = from(y);                                                      \
        return a != a ? (b != b ? 0x7fff : y) : b != b ? x : a == b ? (x | y) : a < b ? x : y;     \
    }                                                                                              \
    static u32 name##_max(u32 x, u32 y)                                                            \
    {                                                                                              \
        const float a = from(x), b = from(y);                                                      \
        return a != a ? (b != b ? 0x7fff : y) : b != b ? x : a == b ? (x & y) : a > b ? x : y;     \
    }                                                                                              \
    OPERATIONS(name)

#define PAIR1(f) (f(x & 0xffff) | f(x >> 16) << 16)
#define PAIR2(f) (f(x & 0xffff, y & 0xffff) | f(x >> 16, y >> 16) << 16)
#define PAIR3(f) (f(x & 0xffff, y & 0xffff, z & 0xffff) | f(x >> 16, y >> 16, z >> 16) << 16)
#define BOTH2(name, op)                                                                            \
    LANE_OP2(name##_##op##1, u32, u32, u32, u32, name##_##op(x, y))                                \
    LANE_OP2(name##_##op##2, u32, u32, u32, u32, PAIR2(name##_##op))
#define OPERATIONS(name)                                                                           \
    BOTH2(name, add)                                                                               \
    BOTH2(name, sub)                                                                               \
    BOTH2(name, mul)                                                                               \
    BOTH2(name, min)                                                                               \
    BOTH2(name, max)                                                                               \
    LANE_OP3(name##_fma1, u32, u32, u32, u32, u32, u32, name##_fma(x, y, z))                       \
    LANE_OP3(name##_fma2, u32, u32, u32, u32, u32, u32, PAIR3(name##_fma))

FORMAT(bf, from_bf16, to_bf16)
FORMAT(hf, from_f16, to_f16)
LANE_OP1(neg1, u32, u32, u32, u32, x ^ 0x8000)
LANE_OP1(neg2, u32, u32, u32, u32, x ^ 0x80008000u)
LANE_OP1(abs1, u32, u32, u32, u32, x & 0x7fff)
LANE_OP1(abs2, u32, u32, u32, u32, x & 0x7fff7fffu)

#define ROWS_BOTH(op, type, shape, name)                                                           \
    {op "." type, shape, name##1}, { op "." type "x2", shape, name##2 }
#define ROWS_FORMAT(type, name)                                                                    \
    ROWS_BOTH("add", type, "ddd", name##_add), ROWS_BOTH("sub", type, "ddd", name##_sub),          \
        ROWS_BOTH("mul", type, "ddd", name##_mul), ROWS_BOTH("min", type, "ddd", name##_min),      \
        ROWS_BOTH("max", type, "ddd", name##_max), ROWS_BOTH("fma", type, "dddd", name##_fma),     \
        ROWS_BOTH("neg", type, "dd", neg), ROWS_BOTH("abs", type, "dd", abs)

const sim_op sim_ops_half[] = {ROWS_FORMAT("bf16", bf), ROWS_FORMAT("f16", hf), {0}};
