/* simd_math.h against libm in double, on every instruction set of this CPU. */
#include "support/check.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "backend/cpu/simd.h"

typedef void (*math_loop)(const float *x, float *y, int64_t n);
enum { FUNCTIONS = 6 };

struct math_loops {
    math_loop function[FUNCTIONS];
    math_loop round_to_bf16;
};

#define SIMD_BODY "backend/simd_math_loops.h"
#define SIMD_F32_ONLY
#include "backend/cpu/simd_variants.h"
SIMD_SELECT_F32(math_loops)

static double exact_cdf(double x) { return 0.5 * erfc(-x * sqrt(0.5)); }
static double exact_reciprocal(double x) { return 1 / x; }
static double exact_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double exact_rest(double x) { return 1 / (1 + exp(x)); }

/* What simd_math.h promises on [from,to]: |error| <= absolute + ulps units in the last place. */
typedef struct {
    const char *name;
    double (*exact)(double);
    double from, to, absolute, ulps;
} promise;

static const promise promises[FUNCTIONS] = {
    {"exp", exp, -87.3, 88.3, 0, 2},
    {"erf", erf, -7, 7, 2e-7, 0},
    {"normal_cdf", exact_cdf, -12, 12, 1e-7, 0.5},
    {"reciprocal", exact_reciprocal, 0x1p-3, 0x1p3, 0, 2},
    {"sigmoid", exact_sigmoid, -79, 100, 0, 5},   /* exp, sum and reciprocal: 2 + 1/2 + 2 */
    {"sigmoid_rest", exact_rest, -100, 87, 0, 7}, /* and a product of e and s: 2 + 5 */
};

/* The spacing of fp32 numbers at `value`. */
static double ulp(double value)
{
    int exponent;
    frexp(value, &exponent);
    return ldexp(1, (exponent > -125 ? exponent : -125) - 24);
}

enum { POINTS = 1 << 20, BLOCK = 1 << 10 };

static void check_promise(const promise *p, math_loop loop)
{
    float x[BLOCK], y[BLOCK];
    double worst = 0;
    for (int i = 0; i < POINTS; i += BLOCK) {
        for (int k = 0; k < BLOCK; k++)
            x[k] = (float)(p->from + (p->to - p->from) * (i + k) / (POINTS - 1));
        loop(x, y, BLOCK - i / BLOCK % 2); /* an odd length as well: the tail of a loop */
        for (int k = 0; k < BLOCK - i / BLOCK % 2; k++) {
            const double want = p->exact((double)x[k]), error = fabs((double)y[k] - want);
            const double allowed = p->absolute + p->ulps * ulp(want);
            if (!(error <= allowed))
                fail_msg("%s(%.9g) on %s: %.9g, wanted %.9g, off by %.3g > %.3g", p->name,
                         (double)x[k], isa_name(isa_now()), (double)y[k], want, error, allowed);
            worst = fmax(worst, error / allowed);
        }
    }
    print_message("%s on %s: %.2f of what is promised\n", p->name, isa_name(isa_now()), worst);
}

static void functions_keep_their_promises(void **state)
{
    (void)state;
    const int top = (int)isa_now();
    for (int level = ISA_BASE; level <= top && level < SIMD_VARIANTS; level++) {
        isa_limit((isa_level)level);
        for (int f = 0; f < FUNCTIONS; f++)
            check_promise(&promises[f], math_loops_now()->function[f]);
    }
    isa_limit((isa_level)top);
}

static void nan_stays_nan_and_limits_are_reached(void **state)
{
    (void)state;
    const int top = (int)isa_now();
    /* f(-inf), f(inf); 88.3 is where exp stops growing */
    const double limits[FUNCTIONS][2] = {
        {0, exp(88.3)}, {-1, 1}, {0, 1}, {(double)NAN, (double)NAN}, {0, 1}, {1, 0}};
    for (int level = ISA_BASE; level <= top && level < SIMD_VARIANTS; level++) {
        isa_limit((isa_level)level);
        for (int f = 0; f < FUNCTIONS; f++) {
            float x[37], y[37];
            for (int i = 0; i < 37; i++)
                x[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? -INFINITY : INFINITY;
            math_loops_now()->function[f](x, y, 37);
            for (int i = 0; i < 37; i++) {
                if (i % 3 == 0) {
                    assert_true(isnan(y[i]));
                } else if (!isnan(limits[f][i % 3 - 1])) {
                    const double want = limits[f][i % 3 - 1];
                    assert_true(fabs((double)y[i] - want) <= 1e-30 + 1e-4 * want * (f == 0));
                }
            }
        }
    }
    isa_limit((isa_level)top);
}

static void bf16_rounds_like_the_scalar_function(void **state)
{
    (void)state;
    const int top = (int)isa_now();
    for (int level = ISA_BASE; level <= top && level < SIMD_VARIANTS; level++) {
        isa_limit((isa_level)level);
        for (uint32_t high = 0; high < 0x10000; high += 3) {
            /* below, at and above the middle between two neighbours */
            static const uint32_t low[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
            float x[6], y[6];
            for (int i = 0; i < 6; i++) {
                const uint32_t bits = high << 16 | low[i];
                memcpy(&x[i], &bits, sizeof bits);
            }
            math_loops_now()->round_to_bf16(x, y, 6);
            for (int i = 0; i < 6; i++) {
                const float want = bf16_to_float(bf16_from_float(x[i]));
                assert_memory_equal(&y[i], &want, sizeof want);
            }
        }
    }
    isa_limit((isa_level)top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_keep_their_promises),
        cmocka_unit_test(nan_stays_nan_and_limits_are_reached),
        cmocka_unit_test(bf16_rounds_like_the_scalar_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
