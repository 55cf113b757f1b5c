/* Arithmetic that rounds towards zero, down or up (.rz .rm .rp), by the processor's rounding mode.
 * Compiled with -frounding-math. PTX ISA 9.0, section 9.7.3. */
#include "convert.h"

#include <fenv.h>

typedef uint32_t u32;
typedef uint64_t u64;

static const int modes[] = {[ROUND_NEAREST] = FE_TONEAREST,
                            [ROUND_ZERO] = FE_TOWARDZERO,
                            [ROUND_DOWN] = FE_DOWNWARD,
                            [ROUND_UP] = FE_UPWARD};

/* volatile: the value is computed between the two changes of mode */
#define ROUNDED(name, result, argument, expression)                                                \
    result name(argument v, cvt_round r)                                                           \
    {                                                                                              \
        if (r == ROUND_NEAREST) return (expression);                                               \
        fesetround(modes[r]);                                                                      \
        const volatile argument kept = v;                                                          \
        v = kept;                                                                                  \
        const volatile result done = (expression);                                                 \
        fesetround(FE_TONEAREST);                                                                  \
        return done;                                                                               \
    }
ROUNDED(sim_rounded_from_s64, float, int64_t, (float)v)
ROUNDED(sim_rounded_from_u64, float, uint64_t, (float)v)
ROUNDED(sim_rounded_from_f64, float, double, (float)v)
ROUNDED(sim_rounded_f64_from_s64, double, int64_t, (double)v)
ROUNDED(sim_rounded_f64_from_u64, double, uint64_t, (double)v)

#define ARITHMETIC(name, T, R, mode, from, to, expression)                                         \
    static void name(sim_warp *w, const sim_insn *i, uint32_t mask)                                \
    {                                                                                              \
        R *d = lane_row(w, i->row[0]);                                                             \
        const R *a = lane_row(w, i->row[1]), *b = lane_row(w, i->row[2]);                          \
        const R *c = lane_row(w, i->row[i->rows > 3 ? 3 : 2]);                                     \
        fesetround(mode);                                                                          \
        for (int l = 0; l < SIM_LANES; l++) {                                                      \
            const volatile T x = from(a[l]), y = from(b[l]), z = from(c[l]);                       \
            const volatile T r = (expression);                                                     \
            (void)z;                                                                               \
            if (mask >> l & 1) d[l] = to(r);                                                       \
        }                                                                                          \
        fesetround(FE_TONEAREST);                                                                  \
    }
#define MODES(op, T, R, from, to, expression)                                                      \
    ARITHMETIC(op##_rz, T, R, FE_TOWARDZERO, from, to, expression)                                 \
    ARITHMETIC(op##_rm, T, R, FE_DOWNWARD, from, to, expression)                                   \
    ARITHMETIC(op##_rp, T, R, FE_UPWARD, from, to, expression)
MODES(add32, float, u32, as_float, result_bits, x + y)
MODES(sub32, float, u32, as_float, result_bits, x - y)
MODES(mul32, float, u32, as_float, result_bits, x *y)
MODES(div32, float, u32, as_float, result_bits, x / y)
MODES(fma32, float, u32, as_float, result_bits, fmaf(x, y, z))
MODES(add64, double, u64, as_double, result_bits64, x + y)
MODES(sub64, double, u64, as_double, result_bits64, x - y)
MODES(mul64, double, u64, as_double, result_bits64, x *y)
MODES(fma64, double, u64, as_double, result_bits64, fma(x, y, z))

#define ROWS_MODES(op, type, shape, name)                                                          \
    {op ".rz." type, shape, name##_rz}, {op ".rm." type, shape, name##_rm},                        \
    {                                                                                              \
        op ".rp." type, shape, name##_rp                                                           \
    }

const sim_op sim_ops_rounded[] = {
    ROWS_MODES("add", "f32", "ddd", add32),  ROWS_MODES("sub", "f32", "ddd", sub32),
    ROWS_MODES("mul", "f32", "ddd", mul32),  ROWS_MODES("div", "f32", "ddd", div32),
    ROWS_MODES("fma", "f32", "dddd", fma32), ROWS_MODES("add", "f64", "qqq", add64),
    ROWS_MODES("sub", "f64", "qqq", sub64),  ROWS_MODES("mul", "f64", "qqq", mul64),
    ROWS_MODES("fma", "f64", "qqqq", fma64), {0}};
