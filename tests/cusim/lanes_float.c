/* fp32 and fp64 arithmetic, rounded to nearest even as on a GPU. PTX ISA 9.0, section 9.7.3.
 *
 * .approx instructions are computed by libm or rounded correctly: a GPU may differ in the last
 * bits. */
#include "lanes.h"

typedef uint32_t u32;
typedef uint64_t u64;

#define X as_float(x)
#define Y as_float(y)
#define Z as_float(z)
#define FLOAT1(name, value) LANE_OP1(name, u32, u32, u32, u32, result_bits(value))
#define FLOAT2(name, value) LANE_OP2(name, u32, u32, u32, u32, result_bits(value))

/* .ftz: subnormal operands and results become zeros of the same sign. */
static inline u32 flush(u32 bits) { return bits & 0x7f800000u ? bits : bits & 0x80000000u; }
#define FLOAT1_FTZ(name, value)                                                                    \
    FLOAT1(name, value)                                                                            \
    static inline u32 name##_flushed(u32 x) { return flush(result_bits(value)); }                  \
    LANE_OP1(name##_ftz, u32, u32, u32, u32, name##_flushed(flush(x)))
#define FLOAT2_FTZ(name, value)                                                                    \
    FLOAT2(name, value)                                                                            \
    static inline u32 name##_flushed(u32 x, u32 y) { return flush(result_bits(value)); }           \
    LANE_OP2(name##_ftz, u32, u32, u32, u32, name##_flushed(flush(x), flush(y)))

FLOAT2_FTZ(add, X + Y)
FLOAT2_FTZ(sub, X - Y)
FLOAT2_FTZ(mul, X *Y)
FLOAT2_FTZ(div, X / Y)
LANE_OP3(fma32, u32, u32, u32, u32, u32, u32, result_bits(fmaf(X, Y, Z)))
LANE_OP3(fma32_ftz, u32, u32, u32, u32, u32, u32,
         flush(result_bits(fmaf(as_float(flush(x)), as_float(flush(y)), as_float(flush(z))))))
FLOAT1_FTZ(rcp, 1.0f / X)
FLOAT1_FTZ(root, sqrtf(X))
FLOAT1_FTZ(rsqrt, (float)(1.0 / sqrt((double)X)))
FLOAT1_FTZ(ex2, exp2f(X))
FLOAT1_FTZ(lg2, log2f(X))
FLOAT1_FTZ(sine, sinf(X))
FLOAT1_FTZ(cosine, cosf(X))
FLOAT1_FTZ(tangent, tanhf(X))

static inline float saturate(float v) { return v > 0.0f ? (v < 1.0f ? v : 1.0f) : 0.0f; }
FLOAT2(add_sat, saturate(X + Y))
FLOAT2(mul_sat, saturate(X *Y))
LANE_OP3(fma_sat, u32, u32, u32, u32, u32, u32, as_bits(saturate(fmaf(X, Y, Z))))

/* The operand that is a number wins; -0 is below +0. */
static inline u32 least(u32 x, u32 y)
{
    if (X != X) return result_bits(Y);
    if (Y != Y) return x;
    return X == Y ? x | y : X < Y ? x : y;
}
static inline u32 greatest(u32 x, u32 y)
{
    if (X != X) return result_bits(Y);
    if (Y != Y) return x;
    return X == Y ? x & y : X > Y ? x : y;
}
LANE_OP2(min32, u32, u32, u32, u32, least(x, y))
LANE_OP2(max32, u32, u32, u32, u32, greatest(x, y))
LANE_OP2(min32_nan, u32, u32, u32, u32, X != X || Y != Y ? 0x7fffffffu : least(x, y))
LANE_OP2(max32_nan, u32, u32, u32, u32, X != X || Y != Y ? 0x7fffffffu : greatest(x, y))
LANE_OP1(neg32, u32, u32, u32, u32, x ^ 0x80000000u)
LANE_OP1(abs32, u32, u32, u32, u32, x & 0x7fffffffu)
LANE_OP2(copysign32, u32, u32, u32, u32, (y & 0x7fffffffu) | (x & 0x80000000u))

#define XD as_double(x)
#define YD as_double(y)
#define DOUBLE1(name, value) LANE_OP1(name, u64, u64, u64, u64, result_bits64(value))
#define DOUBLE2(name, value) LANE_OP2(name, u64, u64, u64, u64, result_bits64(value))
DOUBLE2(add64, XD + YD)
DOUBLE2(sub64, XD - YD)
DOUBLE2(mul64, XD *YD)
DOUBLE2(div64, XD / YD)
LANE_OP3(fma64, u64, u64, u64, u64, u64, u64, result_bits64(fma(XD, YD, as_double(z))))
DOUBLE1(rcp64, 1.0 / XD)
DOUBLE1(root64, sqrt(XD))
DOUBLE1(rsqrt64, 1.0 / sqrt(XD))
/* rcp.approx.ftz.f64 and rsqrt.approx.ftz.f64 give the upper half of the result. */
LANE_OP1(rcp64_upper, u64, u64, u64, u64, result_bits64(1.0 / XD) & 0xffffffff00000000u)
LANE_OP1(rsqrt64_upper, u64, u64, u64, u64, result_bits64(1.0 / sqrt(XD)) & 0xffffffff00000000u)
LANE_OP1(neg64, u64, u64, u64, u64, x ^ (u64)1 << 63)
LANE_OP1(abs64, u64, u64, u64, u64, x & ~((u64)1 << 63))
LANE_OP2(copysign64, u64, u64, u64, u64, (y & ~((u64)1 << 63)) | (x & (u64)1 << 63))

static inline u64 least64(u64 x, u64 y)
{
    if (XD != XD) return result_bits64(YD);
    if (YD != YD) return x;
    return XD == YD ? x | y : XD < YD ? x : y;
}
static inline u64 greatest64(u64 x, u64 y)
{
    if (XD != XD) return result_bits64(YD);
    if (YD != YD) return x;
    return XD == YD ? x & y : XD > YD ? x : y;
}
LANE_OP2(min64, u64, u64, u64, u64, least64(x, y))
LANE_OP2(max64, u64, u64, u64, u64, greatest64(x, y))

/* testp.op p, a */
static inline bool exponent_full(u32 x) { return (x & 0x7f800000u) == 0x7f800000u; }
LANE_OP1(test_finite, u32, u32, u32, u32, !exponent_full(x))
LANE_OP1(test_infinite, u32, u32, u32, u32, (x & 0x7fffffffu) == 0x7f800000u)
LANE_OP1(test_number, u32, u32, u32, u32, !(X != X))
LANE_OP1(test_nan, u32, u32, u32, u32, X != X)

#define ROWS_FTZ(op, shape, name)                                                                  \
    {op ".f32", shape, name}, { op ".ftz.f32", shape, name##_ftz }
const sim_op sim_ops_float[] = {ROWS_FTZ("add", "ddd", add),
                                ROWS_FTZ("sub", "ddd", sub),
                                ROWS_FTZ("mul", "ddd", mul),
                                ROWS_FTZ("div", "ddd", div),
                                ROWS_FTZ("fma", "dddd", fma32),
                                {"mad.f32", "dddd", fma32},
                                ROWS_FTZ("rcp", "dd", rcp),
                                ROWS_FTZ("sqrt", "dd", root),
                                ROWS_FTZ("rsqrt", "dd", rsqrt),
                                ROWS_FTZ("ex2", "dd", ex2),
                                ROWS_FTZ("lg2", "dd", lg2),
                                ROWS_FTZ("sin", "dd", sine),
                                ROWS_FTZ("cos", "dd", cosine),
                                {"tanh.f32", "dd", tangent},
                                {"tanh.ftz.f32", "dd", tangent_ftz},
                                {"add.sat.f32", "ddd", add_sat},
                                {"mul.sat.f32", "ddd", mul_sat},
                                {"fma.sat.f32", "dddd", fma_sat},
                                {"min.f32", "ddd", min32},
                                {"max.f32", "ddd", max32},
                                {"min.NaN.f32", "ddd", min32_nan},
                                {"max.NaN.f32", "ddd", max32_nan},
                                {"neg.f32", "dd", neg32},
                                {"abs.f32", "dd", abs32},
                                {"copysign.f32", "ddd", copysign32},
                                {"add.f64", "qqq", add64},
                                {"sub.f64", "qqq", sub64},
                                {"mul.f64", "qqq", mul64},
                                {"div.f64", "qqq", div64},
                                {"fma.f64", "qqqq", fma64},
                                {"mad.f64", "qqqq", fma64},
                                {"rcp.f64", "qq", rcp64},
                                {"rcp.ftz.f64", "qq", rcp64_upper},
                                {"sqrt.f64", "qq", root64},
                                {"rsqrt.f64", "qq", rsqrt64},
                                {"rsqrt.ftz.f64", "qq", rsqrt64_upper},
                                {"neg.f64", "qq", neg64},
                                {"abs.f64", "qq", abs64},
                                {"copysign.f64", "qqq", copysign64},
                                {"min.f64", "qqq", min64},
                                {"max.f64", "qqq", max64},
                                {"testp.finite.f32", "pd", test_finite},
                                {"testp.infinite.f32", "pd", test_infinite},
                                {"testp.number.f32", "pd", test_number},
                                {"testp.notanumber.f32", "pd", test_nan},
                                {0}};
