/* Integer arithmetic. PTX ISA 9.0, section 9.7.1: results wrap around. */
#include "lanes.h"

typedef int16_t s16;
typedef uint16_t u16;
typedef int32_t s32;
typedef uint32_t u32;
typedef int64_t s64;
typedef uint64_t u64;
__extension__ typedef __int128 s128;
__extension__ typedef unsigned __int128 u128;

/* Shifts, and what has a signed and an unsigned form, for one width. */
#define WIDTH(n, R, S, U)                                                                          \
    LANE_OP2(add##n, R, U, R, U, x + y)                                                            \
    LANE_OP2(sub##n, R, U, R, U, x - y)                                                            \
    LANE_OP1(neg##n, R, U, R, U, 0 - x)                                                            \
    LANE_OP1(abs##n, R, U, R, S, x < 0 ? 0 - (U)x : (U)x)                                          \
    LANE_OP2(min_s##n, R, U, R, S, x < y ? x : y)                                                  \
    LANE_OP2(min_u##n, R, U, R, U, x < y ? x : y)                                                  \
    LANE_OP2(max_s##n, R, U, R, S, x > y ? x : y)                                                  \
    LANE_OP2(max_u##n, R, U, R, U, x > y ? x : y)                                                  \
    LANE_SHIFT(shl##n, R, U, U, y > n - 1 ? 0 : (U)(x << (y & (n - 1))))                           \
    LANE_SHIFT(shr_u##n, R, U, U, y > n - 1 ? 0 : (U)(x >> (y & (n - 1))))                         \
    LANE_SHIFT(shr_s##n, R, U, S, x >> (y > n - 1 ? n - 1 : y))
WIDTH(16, u32, s16, u16)
WIDTH(32, u32, s32, u32)
WIDTH(64, u64, s64, u64)

LANE_OP2(mul16, u32, u16, u32, u16, (u32)x *y)
LANE_OP2(mul32, u32, u32, u32, u32, x *y)
LANE_OP2(mul64, u64, u64, u64, u64, x *y)
LANE_OP2(mul_hi_s16, u32, u16, u32, s16, (s32)x *y >> 16)
LANE_OP2(mul_hi_u16, u32, u16, u32, u16, (u32)x *y >> 16)
LANE_OP2(mul_hi_s32, u32, u32, u32, s32, (s64)x *y >> 32)
LANE_OP2(mul_hi_u32, u32, u32, u32, u32, (u64)x *y >> 32)
LANE_OP2(mul_hi_s64, u64, u64, u64, s64, (s128)x *y >> 64)
LANE_OP2(mul_hi_u64, u64, u64, u64, u64, (u128)x *y >> 64)
LANE_OP2(mul_wide_s16, u32, u32, u32, s16, (s32)x *y)
LANE_OP2(mul_wide_u16, u32, u32, u32, u16, (u32)x *y)
LANE_OP2(mul_wide_s32, u64, u64, u32, s32, (s64)x *y)
LANE_OP2(mul_wide_u32, u64, u64, u32, u32, (u64)x *y)
LANE_OP3(mad16, u32, u16, u32, u16, u32, u16, (u32)x *y + z)
LANE_OP3(mad32, u32, u32, u32, u32, u32, u32, x *y + z)
LANE_OP3(mad64, u64, u64, u64, u64, u64, u64, x *y + z)
LANE_OP3(mad_hi_s32, u32, u32, u32, s32, u32, u32, (u32)((s64)x *y >> 32) + z)
LANE_OP3(mad_hi_u32, u32, u32, u32, u32, u32, u32, (u32)((u64)x *y >> 32) + z)
LANE_OP3(mad_hi_u64, u64, u64, u64, u64, u64, u64, (u64)((u128)x *y >> 64) + z)
LANE_OP3(mad_wide_s16, u32, u32, u32, s16, u32, u32, (u32)((s32)x *y) + z)
LANE_OP3(mad_wide_u16, u32, u32, u32, u16, u32, u32, (u32)x *y + z)
LANE_OP3(mad_wide_s32, u64, u64, u32, s32, u64, u64, (u64)((s64)x *y) + z)
LANE_OP3(mad_wide_u32, u64, u64, u32, u32, u64, u64, (u64)x *y + z)
LANE_OP3(sad_s32, u32, u32, u32, s32, u32, u32, z + (x > y ? (u32)x - (u32)y : (u32)y - (u32)x))
LANE_OP3(sad_u32, u32, u32, u32, u32, u32, u32, z + (x > y ? x - y : y - x))

/* Division by zero is unspecified on a GPU: here all bits are one. The smallest by -1 wraps. */
#define DIVIDE(n, R, S, U)                                                                         \
    LANE_OP2(div_u##n, R, U, R, U, y ? (U)(x / (y ? y : 1)) : (U) ~(U)0)                           \
    LANE_OP2(rem_u##n, R, U, R, U, y ? (U)(x % (y ? y : 1)) : x)                                   \
    LANE_OP2(div_s##n, R, U, R, S,                                                                 \
             y == 0    ? (U) ~(U)0                                                                 \
             : y == -1 ? (U)(0 - (U)x)                                                             \
                       : (U)(x / (y == 0 || y == -1 ? 1 : y)))                                     \
    LANE_OP2(rem_s##n, R, U, R, S,                                                                 \
             y == 0    ? (U)x                                                                      \
             : y == -1 ? 0                                                                         \
                       : (U)(x % (y == 0 || y == -1 ? 1 : y)))
DIVIDE(16, u32, s16, u16)
DIVIDE(32, u32, s32, u32)
DIVIDE(64, u64, s64, u64)

#define ROWS_SU(op, shape, n, name)                                                                \
    {op ".s" #n, shape, name##_s##n}, { op ".u" #n, shape, name##_u##n }
#define ROWS_SAME(op, shape, n, name)                                                              \
    {op ".s" #n, shape, name##n}, { op ".u" #n, shape, name##n }
#define ROWS_WIDTH(n, d1, d2, d3, s)                                                               \
    ROWS_SAME("add", d2, n, add), ROWS_SAME("sub", d2, n, sub), ROWS_SAME("mul.lo", d2, n, mul),   \
        ROWS_SAME("mad.lo", d3, n, mad), ROWS_SU("min", d2, n, min), ROWS_SU("max", d2, n, max),   \
        ROWS_SU("div", d2, n, div), ROWS_SU("rem", d2, n, rem), {"neg.s" #n, d1, neg##n},          \
        {"abs.s" #n, d1, abs##n}, {"shl.b" #n, s, shl##n}, ROWS_SU("shr", s, n, shr),              \
        {"shr.b" #n, s, shr_u##n}, ROWS_SU("mul.hi", d2, n, mul_hi)

const sim_op sim_ops_int[] = {ROWS_WIDTH(16, "dd", "ddd", "dddd", "ddd"),
                              ROWS_WIDTH(32, "dd", "ddd", "dddd", "ddd"),
                              ROWS_WIDTH(64, "qq", "qqq", "qqqq", "qqd"),
                              ROWS_SU("mul.wide", "ddd", 16, mul_wide),
                              ROWS_SU("mul.wide", "qdd", 32, mul_wide),
                              ROWS_SU("mad.wide", "dddd", 16, mad_wide),
                              ROWS_SU("mad.wide", "qddq", 32, mad_wide),
                              ROWS_SU("mad.hi", "dddd", 32, mad_hi),
                              {"mad.hi.u64", "qqqq", mad_hi_u64},
                              ROWS_SU("sad", "dddd", 32, sad),
                              {0}};
