/* The stand-in for cuBLASLt: products against plain C, and what NVIDIA's documentation says is
 * refused. */
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { M = 5, N = 7, K = 11, BATCH = 2, PITCH = 13, STEP = PITCH * PITCH, ALL = BATCH * STEP };
enum { WORKSPACE = 1 << 20 };

typedef struct { /* a problem; zero is A [M,K] B [K,N] in fp32 */
    bool turned_a, turned_b, bias;
    cudaDataType from, to;
    float alpha, beta;
    uint32_t alignment; /* promised; 0: the element's */
    uint64_t workspace_limit;
    int64_t pitch;
} sizes;

typedef struct {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulHeuristicResult_t best;
    void *A, *B, *D, *bias, *workspace;
    cublasStatus_t heuristic;
    int found;
} run;

static size_t bytes_of(cudaDataType type) { return type == CUDA_R_32F ? 4 : 2; }

static float value(int i) { return (float)(i * 37 % 23 - 11) / 4; } /* exact in bf16 */

static void *upload(cudaDataType type, int first)
{
    float f[ALL];
    uint16_t h[ALL];
    for (int i = 0; i < ALL; i++) {
        f[i] = value(i + first);
        uint32_t bits;
        memcpy(&bits, &f[i], 4);
        h[i] = (uint16_t)(bits >> 16);
    }
    void *p;
    const size_t bytes = ALL * bytes_of(type);
    assert_int_equal(cudaMalloc(&p, bytes), cudaSuccess);
    assert_int_equal(
        cudaMemcpy(p, type == CUDA_R_32F ? (void *)f : h, bytes, cudaMemcpyHostToDevice),
        cudaSuccess);
    return p;
}

static cublasLtMatrixLayout_t lay_out(cudaDataType type, int rows, int columns, int64_t pitch)
{
    cublasLtMatrixLayout_t l;
    const int32_t batch = BATCH;
    const int64_t step = STEP;
    assert_int_equal(cublasLtMatrixLayoutCreate(&l, type, (uint64_t)rows, (uint64_t)columns, pitch),
                     0);
    assert_int_equal(cublasLtMatrixLayoutSetAttribute(l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch,
                                                      sizeof batch),
                     0);
    assert_int_equal(cublasLtMatrixLayoutSetAttribute(
                         l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step),
                     0);
    return l;
}

static void describe(run *r, const sizes *z)
{
    const cublasOperation_t turned = CUBLAS_OP_T;
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    assert_int_equal(cublasLtMatmulDescCreate(&r->product, CUBLAS_COMPUTE_32F, CUDA_R_32F), 0);
    if (z->turned_a)
        cublasLtMatmulDescSetAttribute(r->product, CUBLASLT_MATMUL_DESC_TRANSA, &turned,
                                       sizeof turned);
    if (z->turned_b)
        cublasLtMatmulDescSetAttribute(r->product, CUBLASLT_MATMUL_DESC_TRANSB, &turned,
                                       sizeof turned);
    if (!z->bias) return;
    cublasLtMatmulDescSetAttribute(r->product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                   sizeof epilogue);
    cublasLtMatmulDescSetAttribute(r->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &r->bias,
                                   sizeof r->bias);
}

static void prefer(cublasLtMatmulPreference_t wish, const sizes *z)
{
    const uint32_t from = z->alignment ? z->alignment : (uint32_t)bytes_of(z->from);
    const uint32_t to = z->alignment ? z->alignment : (uint32_t)bytes_of(z->to);
    cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &z->workspace_limit, 8);
    cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &from,
                                         4);
    cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &from,
                                         4);
    cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &to, 4);
    cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &to, 4);
}

static run start(const sizes *z)
{
    run r = {0};
    const int64_t pitch = z->pitch ? z->pitch : PITCH;
    cublasLtMatmulPreference_t wish;
    r.A = upload(z->from, 0);
    r.B = upload(z->from, 1000);
    r.D = upload(z->to, 2000);
    r.bias = upload(z->to, 3000);
    assert_int_equal(cudaMalloc(&r.workspace, WORKSPACE), cudaSuccess);
    assert_int_equal(cublasLtCreate(&r.handle), 0);
    describe(&r, z);
    r.a = lay_out(z->from, z->turned_a ? K : M, z->turned_a ? M : K, pitch);
    r.b = lay_out(z->from, z->turned_b ? N : K, z->turned_b ? K : N, PITCH);
    r.d = lay_out(z->to, M, N, PITCH);
    assert_int_equal(cublasLtMatmulPreferenceCreate(&wish), 0);
    prefer(wish, z);
    r.heuristic = cublasLtMatmulAlgoGetHeuristic(r.handle, r.product, r.a, r.b, r.d, r.d, wish, 1,
                                                 &r.best, &r.found);
    cublasLtMatmulPreferenceDestroy(wish);
    return r;
}

static void finish(run *r)
{
    cublasLtMatmulDescDestroy(r->product);
    cublasLtMatrixLayoutDestroy(r->a);
    cublasLtMatrixLayoutDestroy(r->b);
    cublasLtMatrixLayoutDestroy(r->d);
    cublasLtDestroy(r->handle);
    void *all[] = {r->A, r->B, r->D, r->bias, r->workspace};
    for (int i = 0; i < 5; i++) assert_int_equal(cudaFree(all[i]), cudaSuccess);
}

static cublasStatus_t multiply(run *r, const sizes *z)
{
    return cublasLtMatmul(r->handle, r->product, &z->alpha, r->A, r->a, r->B, r->b, &z->beta, r->D,
                          r->d, r->D, r->d, &r->best.algo, r->workspace, r->best.workspaceSize,
                          NULL);
}

static void check_product(const sizes *z)
{
    run r = start(z);
    assert_int_equal(r.heuristic, 0);
    assert_int_equal(r.found, 1);
    assert_int_equal(multiply(&r, z), 0);
    unsigned char got[ALL * 4];
    assert_int_equal(cudaMemcpy(got, r.D, ALL * bytes_of(z->to), cudaMemcpyDeviceToHost),
                     cudaSuccess);
    for (int b = 0; b < BATCH; b++)
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++) {
                double want = 0;
                for (int k = 0; k < K; k++) {
                    const int at = b * STEP + (z->turned_a ? i * PITCH + k : k * PITCH + i);
                    const int bt = b * STEP + (z->turned_b ? k * PITCH + j : j * PITCH + k);
                    want += (double)value(at) * (double)value(bt + 1000);
                }
                const int d = b * STEP + j * PITCH + i;
                want = (double)z->alpha * want + (double)z->beta * (double)value(d + 2000);
                if (z->bias) want += (double)value(i + 3000);
                uint32_t bits = 0;
                memcpy(&bits, got + (size_t)d * bytes_of(z->to), bytes_of(z->to));
                float f;
                if (z->to != CUDA_R_32F) bits <<= 16;
                memcpy(&f, &bits, 4);
                /* sums of multiples of 1/16 below 2^10 are exact in fp32; bf16 keeps 8 bits */
                assert_true(fabs((double)f - want) <=
                            (z->to == CUDA_R_32F ? 0 : fabs(want) * 0x1p-8));
            }
    finish(&r);
}

static void products_match_plain_c(void **state)
{
    (void)state;
    for (int form = 0; form < 16; form++) {
        sizes z = {.turned_a = form & 1,
                   .turned_b = form & 2,
                   .bias = form & 4,
                   .alpha = 2,
                   .beta = form & 8 ? 1 : 0,
                   .workspace_limit = WORKSPACE,
                   .from = CUDA_R_32F,
                   .to = CUDA_R_32F};
        check_product(&z);
        z.from = CUDA_R_16BF;
        check_product(&z);
        z.to = CUDA_R_16BF;
        check_product(&z);
    }
}

static const sizes plain = {
    .alpha = 1, .from = CUDA_R_32F, .to = CUDA_R_32F, .workspace_limit = WORKSPACE};

static void a_heuristic_refuses_what_is_wrong(void **state)
{
    (void)state;
    sizes z = plain;
    z.pitch = M - 1;
    run r = start(&z);
    assert_int_equal(r.heuristic, CUBLAS_STATUS_INVALID_VALUE); /* columns overlap */
    finish(&r);
    z = plain;
    z.to = CUDA_R_16BF;
    r = start(&z);
    assert_int_equal(r.heuristic, CUBLAS_STATUS_NOT_SUPPORTED); /* fp32 to bf16 */
    finish(&r);
    z = plain;
    z.alignment = 2;
    r = start(&z);
    assert_int_equal(r.heuristic, CUBLAS_STATUS_NOT_SUPPORTED); /* below an element */
    finish(&r);
}

static void a_call_refuses_what_is_wrong(void **state)
{
    (void)state;
    sizes z = plain;
    z.alignment = 256;
    run r = start(&z);
    const size_t wanted = r.best.workspaceSize;
    assert_int_equal(multiply(&r, &z), 0);
    r.A = (char *)r.A + 4; /* less aligned than promised */
    assert_int_equal(multiply(&r, &z), CUBLAS_STATUS_INVALID_VALUE);
    r.A = (char *)r.A - 4;
    r.best.workspaceSize = wanted - 1;
    assert_int_equal(multiply(&r, &z), CUBLAS_STATUS_INVALID_VALUE);
    r.best.workspaceSize = wanted;
    r.workspace = (char *)r.workspace + 16;
    assert_int_equal(multiply(&r, &z), CUBLAS_STATUS_INVALID_VALUE);
    r.workspace = (char *)r.workspace - 16;
    void *kept = r.B;
    r.B = r.D; /* D overlaps B */
    assert_int_equal(multiply(&r, &z), CUBLAS_STATUS_INVALID_VALUE);
    r.B = kept;
    assert_int_equal(cublasLtMatmul(r.handle, r.product, NULL, r.A, r.a, r.B, r.b, &z.beta, r.D,
                                    r.d, r.D, r.d, &r.best.algo, r.workspace, wanted, NULL),
                     CUBLAS_STATUS_INVALID_VALUE);
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    cublasLtMatmulDescSetAttribute(r.product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                   sizeof epilogue);
    assert_int_equal(multiply(&r, &z), CUBLAS_STATUS_INVALID_VALUE); /* no bias */
    cublasLtMatmulDescSetAttribute(r.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &r.bias,
                                   sizeof r.bias);
    assert_int_equal(multiply(&r, &z),
                     CUBLAS_STATUS_NOT_SUPPORTED); /* another problem's algorithm */
    finish(&r);
}

static void beta_0_does_not_read_c(void **state)
{
    (void)state;
    sizes z = plain;
    run r = start(&z);
    assert_int_equal(cudaMemset(r.D, 0xff, ALL * 4), cudaSuccess); /* NaN */
    assert_int_equal(multiply(&r, &z), 0);
    float d[ALL];
    assert_int_equal(cudaMemcpy(d, r.D, sizeof d, cudaMemcpyDeviceToHost), cudaSuccess);
    assert_false(isnan(d[0]));
    assert_true(isnan(d[M])); /* between the columns nothing is written */
    finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_match_plain_c),
        cmocka_unit_test(a_heuristic_refuses_what_is_wrong),
        cmocka_unit_test(a_call_refuses_what_is_wrong),
        cmocka_unit_test(beta_0_does_not_read_c),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
