/* Each family of instructions against plain C, over edge values. The kernels are PTX text of this
 * file. */
#include <cuda_runtime_api.h>
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sim.h"

typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

/* Low words are edges of 32-bit integers and of fp32, low halves of 16 bits; whole words of 64
 * bits, fp64. */
static const u64 edges[] = {0,
                            1,
                            2,
                            31,
                            32,
                            33,
                            63,
                            64,
                            255,
                            0x7fff,
                            0x8000,
                            0xffff,
                            0x00007fff00003c00,
                            0x3ff000003f800000,
                            0xbff00000bf800000,
                            0x7fffffff,
                            0x80000000,
                            0xffffffff,
                            0x7fffffffffffffff,
                            0x8000000000000000,
                            0xffffffffffffffff,
                            0x7f800000,
                            0xff800000,
                            0x7ff000007fc00000,
                            0x0000000100000001,
                            0x00800000,
                            0x007fffff,
                            0x4f000000,
                            0xcf000000,
                            0x4f7fffff,
                            0x3f000000,
                            0x40200000,
                            0xc0200000,
                            0x4b000001,
                            0x7ff8000000000000,
                            0x47efffffe0000000,
                            0x3810000000000000,
                            0x41dfffffffc00000,
                            0x7f7fffff,
                            0x33800000,
                            0x477fefff,
                            0x477ff000,
                            0x3dcccccd};
enum {
    EDGES = sizeof edges / sizeof *edges,
    CASES = EDGES * EDGES,
    LANES = (CASES + 31) / 32 * 32
};

static float f(u64 v)
{
    const u32 w = (u32)v;
    float x;
    memcpy(&x, &w, 4);
    return x;
}
static double d(u64 v)
{
    double x;
    memcpy(&x, &v, 8);
    return x;
}
static u64 uf(float x)
{
    u32 w;
    memcpy(&w, &x, 4);
    return isnan(x) ? 0x7fffffff : w;
}
static u64 ud(double x)
{
    u64 w;
    memcpy(&w, &x, 8);
    return isnan(x) ? 0x7ff8000000000000 : w;
}
static float bf(u64 v) { return f((v & 0xffff) << 16); }
static u64 to_bf(float x)
{
    const u32 w = (u32)uf(x);
    if (isnan(x)) return 0x7fff;
    const u32 low = w & 0xffff, high = w >> 16; /* nearest, ties to even */
    return high + (low > 0x8000 || (low == 0x8000 && (high & 1)));
}
static u64 clamp_f(double x, double least, double most) /* float to integer */
{
    if (isnan(x)) return 0;
    if (x <= least) return (u64)(s64)least;
    return x >= most ? (least < 0 ? (u64)(s64)most : (u64)most) : (u64)(s64)x;
}

#define REFERENCE(name, expression)                                                                \
    static u64 name(u64 a, u64 b, u64 c)                                                           \
    {                                                                                              \
        (void)a, (void)b, (void)c;                                                                 \
        return (u64)(expression);                                                                  \
    }
REFERENCE(add32, (u32)(a + b))
REFERENCE(sub64, a - b)
REFERENCE(mul16, (u32)(uint16_t)a *(uint16_t)b & 0xffff)
REFERENCE(mulhi_s32, (u32)((s64)(s32)a *(s32)b >> 32))
REFERENCE(mulhi_u32, (u32)a *(u64)(u32)b >> 32)
REFERENCE(mulwide_s32, (s64)(s32)a *(s32)b)
REFERENCE(mad32, (u32)((u32)a *(u32)b + (u32)c))
REFERENCE(madwide, (u32)a *(u64)(u32)b + c)
REFERENCE(div_s32, (u32)b == 0 ? 0xffffffff : (u32)((s64)(s32)a / (s32)b))
REFERENCE(rem_u32, (u32)b == 0 ? (u32)a : (u32)a % (u32)b)
REFERENCE(div_u64, b == 0 ? ~(u64)0 : a / b)
REFERENCE(min_s32, (u32)((s32)a < (s32)b ? a : b))
REFERENCE(max_u64, a > b ? a : b)
REFERENCE(shl32, (u32)b > 31 ? 0 : (u32)(a << (u32)b))
REFERENCE(shr_s32, (u32)((s32)a >> ((u32)b > 31 ? 31 : (u32)b)))
REFERENCE(shr_u64, (u32)b > 63 ? 0 : a >> (u32)b)
REFERENCE(shr_s64, (u64)((s64)a >> ((u32)b > 63 ? 63 : (u32)b)))
REFERENCE(abs32, (s32)a < 0 ? (u32)(0 - (u32)a) : (u32)a)
REFERENCE(lop, (u32)((a & b) ^ ~c))
REFERENCE(popc, __builtin_popcount((u32)a))
REFERENCE(clz64, a ? __builtin_clzll(a) : 64)
REFERENCE(prmt5410, (u32)((a & 0xffff) | (b & 0xffff) << 16))
REFERENCE(pack, (a & 0xffff) | (b & 0xffff) << 16)
REFERENCE(unpack, a >> 32)
REFERENCE(addf, uf(f(a) + f(b)))
REFERENCE(mulf, uf(f(a) * f(b)))
REFERENCE(divf, uf(f(a) / f(b)))
REFERENCE(fmaf3, uf(fmaf(f(a), f(b), f(c))))
REFERENCE(fmad, ud(fma(d(a), d(b), d(c))))
REFERENCE(sqrtf1, uf(sqrtf(f(a))))
REFERENCE(rcpf, uf(1.0f / f(a)))
REFERENCE(ex2f, uf(exp2f(f(a))))
REFERENCE(ltu, isnan(f(a)) || isnan(f(b)) || f(a) < f(b))
REFERENCE(ne, f(a) < f(b) || f(a) > f(b))
REFERENCE(gt_and, f(a) > f(b) && (u32)c != 0)
REFERENCE(not_gt_and, !(f(a) > f(b)) && (u32)c != 0)
REFERENCE(lt_s16, (int16_t)a < (int16_t)b)
REFERENCE(cvt_bf, to_bf(f(a)))
REFERENCE(cvt_bf2, to_bf(f(a)) << 16 | to_bf(f(b)))
REFERENCE(cvt_s32, (u32)clamp_f(trunc((double)f(a)), -2147483648.0, 2147483647.0))
REFERENCE(cvt_rni, (u32)clamp_f(nearbyint((double)f(a)), -2147483648.0, 2147483647.0))
REFERENCE(cvt_u8, (u32)clamp_f(floor((double)f(a)), 0.0, 255.0))
REFERENCE(cvt_f_s32, uf((float)(s32)a))
REFERENCE(cvt_f_u64, uf((float)a))
REFERENCE(cvt_d_f, ud((double)f(a)))
REFERENCE(cvt_f_d, uf((float)d(a)))
REFERENCE(cvt_s64_s16, (s64)(int16_t)a)
REFERENCE(cvt_sat_s8, (u32)((s32)a > 127 ? 127 : (s32)a < -128 ? -128 : (s32)a))
REFERENCE(cvt_sat, uf(f(a) > 0 ? (f(a) < 1 ? f(a) : 1.0f) : 0.0f))
REFERENCE(maxbf, isnan(bf(a))     ? (isnan(bf(b)) ? 0x7fff : b & 0xffff)
                 : isnan(bf(b))   ? a & 0xffff
                 : bf(a) == bf(b) ? (a & b & 0xffff)
                 : bf(a) > bf(b)  ? a & 0xffff
                                  : b & 0xffff)
REFERENCE(mulbf, to_bf(bf(a) * bf(b)))
static u64 minf(u64 a, u64 b, u64 c)
{
    (void)c;
    if (isnan(f(a))) return uf(f(b));
    if (isnan(f(b))) return (u32)a;
    if (f(a) == f(b)) return signbit(f(a)) ? (u32)a : (u32)b;
    return f(a) < f(b) ? (u32)a : (u32)b;
}
static u64 rounded(u64 a, u64 b, int mode)
{
    const volatile float x = f(a), y = f(b);
    fesetround(mode);
    const volatile float r = x + y;
    fesetround(FE_TONEAREST);
    return uf(r);
}
REFERENCE(add_rz, rounded(a, b, FE_TOWARDZERO))
REFERENCE(add_rm, rounded(a, b, FE_DOWNWARD))
REFERENCE(add_rp, rounded(a, b, FE_UPWARD))

#define PREDICATE(instruction) instruction " selp.b32 %r4, 1, 0, %p1;"
static const struct {
    const char *ptx; /* of %q1 %q2 %q3, %r1 .., %h1 ..: to register 4 of a width */
    int bytes;
    u64 (*want)(u64, u64, u64);
} rows[] = {
    {"add.s32 %r4, %r1, %r2;", 4, add32},
    {"sub.s64 %q4, %q1, %q2;", 8, sub64},
    {"mul.lo.s16 %h4, %h1, %h2;", 2, mul16},
    {"mul.hi.s32 %r4, %r1, %r2;", 4, mulhi_s32},
    {"mul.hi.u32 %r4, %r1, %r2;", 4, mulhi_u32},
    {"mul.wide.s32 %q4, %r1, %r2;", 8, mulwide_s32},
    {"mad.lo.s32 %r4, %r1, %r2, %r3;", 4, mad32},
    {"mad.wide.u32 %q4, %r1, %r2, %q3;", 8, madwide},
    {"div.s32 %r4, %r1, %r2;", 4, div_s32},
    {"rem.u32 %r4, %r1, %r2;", 4, rem_u32},
    {"div.u64 %q4, %q1, %q2;", 8, div_u64},
    {"min.s32 %r4, %r1, %r2;", 4, min_s32},
    {"max.u64 %q4, %q1, %q2;", 8, max_u64},
    {"shl.b32 %r4, %r1, %r2;", 4, shl32},
    {"shr.s32 %r4, %r1, %r2;", 4, shr_s32},
    {"shr.u64 %q4, %q1, %r2;", 8, shr_u64},
    {"shr.s64 %q4, %q1, %r2;", 8, shr_s64},
    {"abs.s32 %r4, %r1;", 4, abs32},
    {"lop3.b32 %r4, %r1, %r2, %r3, 149;", 4, lop},
    {"popc.b32 %r4, %r1;", 4, popc},
    {"clz.b64 %r4, %q1;", 4, clz64},
    {"prmt.b32 %r4, %r1, %r2, 0x5410;", 4, prmt5410},
    {"mov.b32 %r4, {%h1, %h2};", 4, pack},
    {"mov.b64 {_, %r4}, %q1;", 4, unpack},
    {"add.f32 %r4, %r1, %r2;", 4, addf},
    {"mul.rn.f32 %r4, %r1, %r2;", 4, mulf},
    {"div.rn.f32 %r4, %r1, %r2;", 4, divf},
    {"fma.rn.f32 %r4, %r1, %r2, %r3;", 4, fmaf3},
    {"fma.rn.f64 %q4, %q1, %q2, %q3;", 8, fmad},
    {"sqrt.rn.f32 %r4, %r1;", 4, sqrtf1},
    {"rcp.rn.f32 %r4, %r1;", 4, rcpf},
    {"ex2.approx.f32 %r4, %r1;", 4, ex2f},
    {"min.f32 %r4, %r1, %r2;", 4, minf},
    {"add.rz.f32 %r4, %r1, %r2;", 4, add_rz},
    {"add.rm.f32 %r4, %r1, %r2;", 4, add_rm},
    {"add.rp.f32 %r4, %r1, %r2;", 4, add_rp},
    {PREDICATE("setp.ltu.f32 %p1, %r1, %r2;"), 4, ltu},
    {PREDICATE("setp.ne.f32 %p1, %r1, %r2;"), 4, ne},
    {PREDICATE("setp.ne.s32 %p2, %r3, 0; setp.gt.and.f32 %p1, %r1, %r2, %p2;"), 4, gt_and},
    {PREDICATE("setp.eq.s32 %p2, %r3, 0; setp.gt.and.f32 %p3|%p1, %r1, %r2, !%p2;"), 4, not_gt_and},
    {PREDICATE("setp.lt.s16 %p1, %h1, %h2;"), 4, lt_s16},
    {"cvt.rn.bf16.f32 %h4, %r1;", 2, cvt_bf},
    {"cvt.rn.bf16x2.f32 %r4, %r1, %r2;", 4, cvt_bf2},
    {"cvt.rzi.s32.f32 %r4, %r1;", 4, cvt_s32},
    {"cvt.rni.s32.f32 %r4, %r1;", 4, cvt_rni},
    {"cvt.rmi.u8.f32 %r4, %r1;", 4, cvt_u8},
    {"cvt.rn.f32.s32 %r4, %r1;", 4, cvt_f_s32},
    {"cvt.rn.f32.u64 %r4, %q1;", 4, cvt_f_u64},
    {"cvt.f64.f32 %q4, %r1;", 8, cvt_d_f},
    {"cvt.rn.f32.f64 %r4, %q1;", 4, cvt_f_d},
    {"cvt.s64.s16 %q4, %h1;", 8, cvt_s64_s16},
    {"cvt.sat.s8.s32 %r4, %r1;", 4, cvt_sat_s8},
    {"cvt.sat.f32.f32 %r4, %r1;", 4, cvt_sat},
    {"max.bf16 %h4, %h1, %h2;", 2, maxbf},
    {"mul.bf16 %h4, %h1, %h2;", 2, mulbf},
};

static const char head[] =
    ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry %s(\n.param .u64 a, .param "
    ".u64 b, .param .u64 c, "
    ".param .u64 o\n)\n{\n.reg .b64 %%q<9>;\n.reg .b64 %%x<9>;\n.reg .b32 %%r<9>;\n.reg .b16 "
    "%%h<9>;\n"
    ".reg .pred %%p<4>;\nmov.u32 %%r8, %%ctaid.x;\nshl.b32 %%r8, %%r8, 5;\nmov.u32 %%r7, %%tid.x;\n"
    "add.s32 %%r8, %%r8, %%r7;\nmul.wide.u32 %%x0, %%r8, 8;\n";

static void launch(const char *name, unsigned blocks, void *a, void *b, void *c, void *o)
{
    sim_kernel *k = sim_kernel_find(name);
    void *params[4] = {a, b, c, o};
    assert_non_null(k);
    sim_kernel_ready(k);
    sim_launch(k, (sim_dim){blocks, 1, 1}, (sim_dim){32, 1, 1}, 0, (uint8_t *)params);
}

static void *upload(const void *from, size_t bytes)
{
    void *p;
    assert_int_equal(cudaMalloc(&p, bytes), cudaSuccess);
    assert_int_equal(cudaMemcpy(p, from, bytes, cudaMemcpyHostToDevice), cudaSuccess);
    return p;
}

static size_t write_kernel(char *text, size_t size, const char *name, const char *ptx, int bytes)
{
    size_t n = (size_t)snprintf(text, size, head, name);
    for (int operand = 1; operand <= 3; operand++)
        n += (size_t)snprintf(text + n, size - n,
                              "ld.param.u64 %%x%d, [%c];\nadd.s64 %%x%d, %%x%d, "
                              "%%x0;\nld.global.u64 %%q%d, [%%x%d];\n"
                              "ld.global.u32 %%r%d, [%%x%d];\nld.global.u16 %%h%d, [%%x%d];\n",
                              operand, "abc"[operand - 1], operand, operand, operand, operand,
                              operand, operand, operand, operand);
    n += (size_t)snprintf(text + n, size - n, "%s\n", ptx);
    if (bytes < 8)
        n += (size_t)snprintf(text + n, size - n, "cvt.u64.u%d %%q4, %%%c4;\n", bytes * 8,
                              bytes == 4 ? 'r' : 'h');
    n += (size_t)snprintf(text + n, size - n,
                          "ld.param.u64 %%x4, [o];\nadd.s64 %%x4, %%x4, %%x0;\nst.global.u64 "
                          "[%%x4], %%q4;\nret;\n}\n");
    return n;
}

static u64 a[LANES], b[LANES], c[LANES], got[LANES];

static void instructions_match_plain_c(void **state)
{
    (void)state;
    for (int i = 0; i < LANES; i++) {
        a[i] = edges[i % EDGES];
        b[i] = edges[i / EDGES % EDGES];
        c[i] = edges[(i * 7 + 3) % EDGES];
    }
    void *pa = upload(a, sizeof a), *pb = upload(b, sizeof b), *pc = upload(c, sizeof c),
         *po = upload(a, sizeof a);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        char name[32], text[4096];
        snprintf(name, sizeof name, "row%zu", r);
        const size_t n = write_kernel(text, sizeof text, name, rows[r].ptx, rows[r].bytes);
        sim_parse_module(text, n);
        launch(name, LANES / 32, pa, pb, pc, po);
        assert_int_equal(cudaMemcpy(got, po, sizeof got, cudaMemcpyDeviceToHost), cudaSuccess);
        for (int i = 0; i < LANES; i++) {
            const u64 want = rows[r].want(a[i], b[i], c[i]);
            if (got[i] != want)
                fail_msg("%s a %llx b %llx c %llx: expected %llx, found %llx", rows[r].ptx,
                         (unsigned long long)a[i], (unsigned long long)b[i],
                         (unsigned long long)c[i], (unsigned long long)want,
                         (unsigned long long)got[i]);
        }
    }
}

/* A [16,16] and B [16,8] in bf16 go through shared memory, ldmatrix, ldmatrix.trans and mma. */
static const char product[] =
    "mov.u32 %r1, sh;\nmul.lo.s32 %r2, %r7, 16;\nadd.s32 %r2, %r2, %r1;\nld.param.u64 %x1, [a];\n"
    "mul.wide.u32 %x2, %r7, 16;\nadd.s64 %x1, %x1, %x2;\nld.global.v2.u64 {%q1, %q2}, [%x1];\n"
    "st.shared.v2.u64 [%r2], {%q1, %q2};\nsetp.gt.u32 %p1, %r7, 15;\n@%p1 bra SKIP;\nld.param.u64 "
    "%x3, [b];\n"
    "add.s64 %x3, %x3, %x2;\nld.global.v2.u64 {%q3, %q4}, [%x3];\nst.shared.v2.u64 [%r2+512], "
    "{%q3, %q4};\n"
    "SKIP:\nbar.sync 0;\nand.b32 %r3, %r7, 15;\nshr.u32 %r4, %r7, 4;\nmad.lo.s32 %r5, %r3, 32, "
    "%r1;\n"
    "mad.lo.s32 %r5, %r4, 16, %r5;\nmad.lo.s32 %r6, %r3, 16, %r1;\n"
    "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%m0, %m1, %m2, %m3}, [%r5];\n"
    "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%m4, %m5}, [%r6+512];\n"
    "mov.f32 %d0, 0f00000000;\nmma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%d1, %d2, %d3, "
    "%d4}, "
    "{%m0, %m1, %m2, %m3}, {%m4, %m5}, {%d0, %d0, %d0, %d0};\n"
    "shr.u32 %r3, %r7, 2;\nand.b32 %r4, %r7, 3;\nshl.b32 %r3, %r3, 5;\nmad.lo.s32 %r3, %r4, 8, "
    "%r3;\n"
    "ld.param.u64 %x4, [o];\ncvt.u64.u32 %x5, %r3;\nadd.s64 %x4, %x4, %x5;\n"
    "st.global.v2.f32 [%x4], {%d1, %d2};\nst.global.v2.f32 [%x4+256], {%d3, %d4};\nret;\n}\n";

static void matrices_multiply(void **state)
{
    (void)state;
    enum { M = 16, N = 8, K = 16 };
    uint16_t A[M * K], B[K * N];
    float want[M * N] = {0}, C[M * N];
    for (int i = 0; i < M * K; i++) A[i] = (uint16_t)to_bf((float)(i * 37 % 29 - 14));
    for (int i = 0; i < K * N; i++) B[i] = (uint16_t)to_bf((float)(i * 23 % 31 - 15) / 8);
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++)
            for (int k = 0; k < K; k++)
                want[m * N + n] += bf(A[m * K + k]) * bf(B[k * N + n]); /* exact */
    char text[8192];
    size_t n = (size_t)snprintf(text, sizeof text, head, "product");
    n += (size_t)snprintf(
        text + n, sizeof text - n,
        ".reg .b32 %%m<6>;\n.reg .f32 %%d<5>;\n.shared .align 16 .b8 sh[768];\n%s", product);
    sim_parse_module(text, n);
    void *pa = upload(A, sizeof A), *pb = upload(B, sizeof B), *po = upload(want, sizeof want);
    assert_int_equal(cudaMemset(po, 0xff, sizeof C), cudaSuccess);
    launch("product", 1, pa, pb, pa, po);
    assert_int_equal(cudaMemcpy(C, po, sizeof C, cudaMemcpyDeviceToHost), cudaSuccess);
    for (int i = 0; i < M * N; i++)
        if (C[i] != want[i])
            fail_msg("element %d: expected %g, found %g", i, (double)want[i], (double)C[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(instructions_match_plain_c),
                                       cmocka_unit_test(matrices_multiply)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
