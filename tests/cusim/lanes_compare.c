/* setp: comparisons, alone or combined with a predicate, with one or two results. PTX
 * ISA 9.0, 9.7.6. */
#include "half.h"

typedef uint32_t u32;
typedef uint64_t u64;

enum {
    COMBINE_NONE,
    COMBINE_AND,
    COMBINE_OR,
    COMBINE_XOR
}; /* i->flags & 3; bit 2: negated; bit 3: second result */

/* Combines `r` with the predicate of row 3 and stores it in row 0, its complement's in row 4. */
static void finish(sim_warp *w, const sim_insn *i, uint32_t mask, u32 *r)
{
    u32 *p = lane_row(w, i->row[0]), other[SIM_LANES];
    for (int l = 0; l < SIM_LANES; l++) other[l] = !r[l];
    if (i->flags & 3) {
        const u32 *c = lane_row(w, i->row[3]);
        for (int l = 0; l < SIM_LANES; l++) {
            const u32 z = (c[l] != 0) ^ (i->flags >> 2 & 1);
            const u32 how = i->flags & 3;
            r[l] = how == COMBINE_AND ? r[l] & z : how == COMBINE_OR ? r[l] | z : r[l] ^ z;
            other[l] = how == COMBINE_AND  ? other[l] & z
                       : how == COMBINE_OR ? other[l] | z
                                           : other[l] ^ z;
        }
    }
    LANE_LOOP p[l] = mask >> l & 1 ? r[l] : p[l];
    if (!(i->flags & 8)) return;
    u32 *q = lane_row(w, i->row[4]);
    LANE_LOOP q[l] = mask >> l & 1 ? other[l] : q[l];
}

#define COMPARE(name, R, load, expression)                                                         \
    static void name(sim_warp *w, const sim_insn *i, uint32_t mask)                                \
    {                                                                                              \
        u32 r[SIM_LANES];                                                                          \
        const R *a = lane_row(w, i->row[1]), *b = lane_row(w, i->row[2]);                          \
        LANE_LOOP                                                                                  \
        {                                                                                          \
            load;                                                                                  \
            r[l] = (expression);                                                                   \
        }                                                                                          \
        if (i->flags) {                                                                            \
            finish(w, i, mask, r);                                                                 \
            return;                                                                                \
        }                                                                                          \
        u32 *p = lane_row(w, i->row[0]);                                                           \
        LANE_LOOP p[l] = mask >> l & 1 ? r[l] : p[l];                                              \
    }

#define INTEGER(type, R, T)                                                                        \
    COMPARE(eq_##type, R, const T x = (T)a[l]; const T y = (T)b[l], x == y)                        \
    COMPARE(ne_##type, R, const T x = (T)a[l]; const T y = (T)b[l], x != y)                        \
    COMPARE(lt_##type, R, const T x = (T)a[l]; const T y = (T)b[l], x < y)                         \
    COMPARE(le_##type, R, const T x = (T)a[l]; const T y = (T)b[l], x <= y)                        \
    COMPARE(gt_##type, R, const T x = (T)a[l]; const T y = (T)b[l], x > y)                         \
    COMPARE(ge_##type, R, const T x = (T)a[l]; const T y = (T)b[l], x >= y)
INTEGER(s16, u32, int16_t)
INTEGER(u16, u32, uint16_t)
INTEGER(s32, u32, int32_t)
INTEGER(u32, u32, u32)
INTEGER(s64, u64, int64_t)
INTEGER(u64, u64, u64)

#define REAL(type, R, T, from)                                                                     \
    COMPARE(eq_##type, R, const T x = from(a[l]); const T y = from(b[l]), x == y)                  \
    COMPARE(ne_##type, R, const T x = from(a[l]); const T y = from(b[l]), (x < y) | (x > y))       \
    COMPARE(lt_##type, R, const T x = from(a[l]); const T y = from(b[l]), x < y)                   \
    COMPARE(le_##type, R, const T x = from(a[l]); const T y = from(b[l]), x <= y)                  \
    COMPARE(gt_##type, R, const T x = from(a[l]); const T y = from(b[l]), x > y)                   \
    COMPARE(ge_##type, R, const T x = from(a[l]); const T y = from(b[l]), x >= y)                  \
    COMPARE(equ_##type, R, const T x = from(a[l]); const T y = from(b[l]), !((x < y) | (x > y)))   \
    COMPARE(neu_##type, R, const T x = from(a[l]); const T y = from(b[l]), !(x == y))              \
    COMPARE(ltu_##type, R, const T x = from(a[l]); const T y = from(b[l]), !(x >= y))              \
    COMPARE(leu_##type, R, const T x = from(a[l]); const T y = from(b[l]), !(x > y))               \
    COMPARE(gtu_##type, R, const T x = from(a[l]); const T y = from(b[l]), !(x <= y))              \
    COMPARE(geu_##type, R, const T x = from(a[l]); const T y = from(b[l]), !(x < y))               \
    COMPARE(num_##type, R, const T x = from(a[l]); const T y = from(b[l]), (x == x) & (y == y))    \
    COMPARE(nan_##type, R, const T x = from(a[l]); const T y = from(b[l]), (x != x) | (y != y))
REAL(f32, u32, float, as_float)
REAL(f64, u64, double, as_double)
REAL(bf16, u32, float, from_bf16)
REAL(f16, u32, float, from_f16)

/* The signature has the two compared; decode.c adds the rest. */
#define ROWS_EQUAL(type, shape, name)                                                              \
    {"setp.eq." type, shape, eq_##name}, { "setp.ne." type, shape, ne_##name }
#define ROWS_INTEGER(type, shape, name)                                                            \
    ROWS_EQUAL(type, shape, name), {"setp.lt." type, shape, lt_##name},                            \
        {"setp.le." type, shape, le_##name}, {"setp.gt." type, shape, gt_##name},                  \
    {                                                                                              \
        "setp.ge." type, shape, ge_##name                                                          \
    }
#define ROWS_UNSIGNED(type, shape, name)                                                           \
    ROWS_INTEGER(type, shape, name), {"setp.lo." type, shape, lt_##name},                          \
        {"setp.ls." type, shape, le_##name}, {"setp.hi." type, shape, gt_##name},                  \
    {                                                                                              \
        "setp.hs." type, shape, ge_##name                                                          \
    }
#define ROWS_REAL(type, shape, name)                                                               \
    ROWS_INTEGER(type, shape, name), {"setp.equ." type, shape, equ_##name},                        \
        {"setp.neu." type, shape, neu_##name}, {"setp.ltu." type, shape, ltu_##name},              \
        {"setp.leu." type, shape, leu_##name}, {"setp.gtu." type, shape, gtu_##name},              \
        {"setp.geu." type, shape, geu_##name}, {"setp.num." type, shape, num_##name},              \
    {                                                                                              \
        "setp.nan." type, shape, nan_##name                                                        \
    }

const sim_op sim_ops_compare[] = {
    ROWS_INTEGER("s16", "pdd", s16),  ROWS_UNSIGNED("u16", "pdd", u16),
    ROWS_EQUAL("b16", "pdd", u16),    ROWS_INTEGER("s32", "pdd", s32),
    ROWS_UNSIGNED("u32", "pdd", u32), ROWS_EQUAL("b32", "pdd", u32),
    ROWS_INTEGER("s64", "pqq", s64),  ROWS_UNSIGNED("u64", "pqq", u64),
    ROWS_EQUAL("b64", "pqq", u64),    ROWS_REAL("f32", "pdd", f32),
    ROWS_REAL("f64", "pqq", f64),     ROWS_REAL("bf16", "pdd", bf16),
    ROWS_REAL("f16", "pdd", f16),     {0}};
