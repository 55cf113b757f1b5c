#include "cuda/gemm.h"

#include <cublasLt.h>
#include <stdlib.h>

#include "cuda/gpu.h"

enum { WORKSPACE_BYTES = 32 << 20, ALIGNMENT = 256 };

/* In cuBLASLt's column-major words D' [n,m] = B' A': its first operand is our b, its second our a.
 */
struct gemm {
    cublasLtMatmulDesc_t what;
    cublasLtMatrixLayout_t b, a, d;
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace;
    bool bias;
};

static soda_status check(cublasStatus_t code, const char *what)
{
    if (code == CUBLAS_STATUS_SUCCESS) return SODA_OK;
    return FAIL(SODA_ERR_INTERNAL, "cuBLASLt: %s: %s", what, cublasLtGetStatusString(code));
}

/* One handle for the process: it owns no memory of the GPU. */
static soda_status get_handle(cublasLtHandle_t *handle)
{
    static cublasLtHandle_t only;
    if (!only) TRY(check(cublasLtCreate(&only), "opening the library"));
    *handle = only;
    return SODA_OK;
}

static soda_status set(cublasLtMatmulDesc_t what, cublasLtMatmulDescAttributes_t name,
                       const void *value, size_t bytes)
{
    return check(cublasLtMatmulDescSetAttribute(what, name, value, bytes), "describing a product");
}

static soda_status describe(const gemm_sizes *z, cublasLtMatmulDesc_t what)
{
    const cublasOperation_t b = z->turned_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t a = z->turned_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const uintptr_t aligned = ALIGNMENT; /* not read: the choice depends on its alignment alone */
    TRY(set(what, CUBLASLT_MATMUL_DESC_TRANSA, &b, sizeof b));
    TRY(set(what, CUBLASLT_MATMUL_DESC_TRANSB, &a, sizeof a));
    if (!z->bias) return SODA_OK;
    TRY(set(what, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
    return set(what, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &aligned, sizeof aligned);
}

/* A matrix that is stored as [rows, columns], row-major. */
static soda_status lay_out(soda_dtype dtype, int64_t rows, int64_t columns, int64_t pitch,
                           int64_t batch, int64_t step, cublasLtMatrixLayout_t *layout)
{
    const cudaDataType_t type = dtype == SODA_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    const int32_t count = (int32_t)batch;
    TRY(check(cublasLtMatrixLayoutCreate(layout, type, (uint64_t)columns, (uint64_t)rows, pitch),
              "describing a matrix"));
    if (batch <= 1) return SODA_OK;
    TRY(check(cublasLtMatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                               sizeof count),
              "describing a batch"));
    return check(cublasLtMatrixLayoutSetAttribute(
                     *layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step),
                 "describing a batch");
}

static soda_status lay_out_all(const gemm_sizes *z, gemm *g)
{
    const int64_t n = z->batch;
    TRY(lay_out(z->from, z->turned_b ? z->n : z->k, z->turned_b ? z->k : z->n, z->pitch_b, n,
                z->step_b, &g->b));
    TRY(lay_out(z->from, z->turned_a ? z->k : z->m, z->turned_a ? z->m : z->k, z->pitch_a, n,
                z->step_a, &g->a));
    return lay_out(z->to, z->m, z->n, z->pitch_d, n, z->step_d, &g->d);
}

/* The alignment that every row and item has if the first one's is ALIGNMENT: the largest power of
 * two that divides them all. */
static uint32_t alignment_of(soda_dtype dtype, int64_t pitch, int64_t step)
{
    const size_t all = ((size_t)(pitch | step) * dtype_bytes(dtype)) | ALIGNMENT;
    return (uint32_t)(all & (~all + 1));
}

static soda_status prefer(const gemm_sizes *z, cublasLtMatmulPreference_t wish)
{
    const uint64_t workspace = WORKSPACE_BYTES;
    const uint32_t b = alignment_of(z->from, z->pitch_b, z->step_b);
    const uint32_t a = alignment_of(z->from, z->pitch_a, z->step_a);
    const uint32_t d = alignment_of(z->to, z->pitch_d, z->step_d);
    const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE; /* or none */
    const struct {
        cublasLtMatmulPreferenceAttributes_t name;
        const void *value;
        size_t bytes;
    } list[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace},
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction, sizeof reduction},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &b, sizeof b},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &a, sizeof a},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &d, sizeof d},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &d, sizeof d},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        TRY(check(
            cublasLtMatmulPreferenceSetAttribute(wish, list[i].name, list[i].value, list[i].bytes),
            "saying which algorithms will do"));
    return SODA_OK;
}

static soda_status choose(const gemm_sizes *z, gemm *g)
{
    cublasLtHandle_t handle;
    cublasLtMatmulPreference_t wish;
    cublasLtMatmulHeuristicResult_t found = {.state = CUBLAS_STATUS_NOT_SUPPORTED};
    int count = 0;
    TRY(get_handle(&handle));
    TRY(check(cublasLtMatmulPreferenceCreate(&wish), "choosing an algorithm"));
    soda_status s = SODA_OK;
    TRY_TO(done, prefer(z, wish));
    const cublasStatus_t code = cublasLtMatmulAlgoGetHeuristic(handle, g->what, g->b, g->a, g->d,
                                                               g->d, wish, 1, &found, &count);
    if (code == CUBLAS_STATUS_NOT_SUPPORTED || (code == CUBLAS_STATUS_SUCCESS && !count))
        s = FAIL(SODA_ERR_UNSUPPORTED,
                 "cuBLASLt has no algorithm for %s [%lld,%lld] [%lld,%lld], batch %lld",
                 dtype_name(z->from), (long long)z->m, (long long)z->k, (long long)z->k,
                 (long long)z->n, (long long)(z->batch ? z->batch : 1));
    else
        TRY_TO(done, check(code, "choosing an algorithm"));
    g->algorithm = found.algo;
    g->workspace = found.workspaceSize;
done:
    cublasLtMatmulPreferenceDestroy(wish);
    return s;
}

soda_status gemm_create(const gemm_sizes *sizes, gemm **product)
{
    soda_status s = SODA_OK;
    *product = NULL;
    gemm *g = calloc(1, sizeof *g);
    if (!g) return FAIL(SODA_ERR_MEMORY, "out of memory");
    g->bias = sizes->bias;
    TRY_TO(failed, check(cublasLtMatmulDescCreate(&g->what, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                         "describing a product"));
    TRY_TO(failed, describe(sizes, g->what));
    TRY_TO(failed, lay_out_all(sizes, g));
    TRY_TO(failed, choose(sizes, g));
    *product = g;
    return SODA_OK;
failed:
    gemm_destroy(g);
    return s;
}

void gemm_destroy(gemm *g)
{
    if (!g) return;
    if (g->what) cublasLtMatmulDescDestroy(g->what);
    if (g->b) cublasLtMatrixLayoutDestroy(g->b);
    if (g->a) cublasLtMatrixLayoutDestroy(g->a);
    if (g->d) cublasLtMatrixLayoutDestroy(g->d);
    free(g);
}

size_t gemm_workspace(const gemm *g) { return g->workspace; }

soda_status gemm_run(const gemm *g, const gemm_operands *o)
{
    const float beta = o->add ? 1.0f : 0.0f;
    cublasLtHandle_t handle;
    TRY(get_handle(&handle));
    if (g->bias) TRY(set(g->what, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &o->bias, sizeof o->bias));
    return check(cublasLtMatmul(handle, g->what, &o->alpha, o->b, g->b, o->a, g->a, &beta, o->d,
                                g->d, o->d, g->d, &g->algorithm, o->workspace, g->workspace,
                                gpu_stream()),
                 "starting a product");
}
