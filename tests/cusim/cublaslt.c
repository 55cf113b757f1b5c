/* cuBLASLt: descriptors, heuristics and the refusals of NVIDIA's documentation ("cuBLAS", 13.0,
 * section "Using the cuBLASLt API"), for fp32 and bf16 with fp32 accumulation. The algorithm that
 * is found belongs to its problem and wants its workspace and the alignments that were promised. */
#include "cublaslt.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(sim_layout) <= sizeof(cublasLtMatrixLayoutOpaque_t), "fits");
_Static_assert(sizeof(sim_product) <= sizeof(cublasLtMatmulDescOpaque_t), "fits");
_Static_assert(sizeof(sim_preference) <= sizeof(cublasLtMatmulPreferenceOpaque_t), "fits");
_Static_assert(sizeof(sim_algorithm) <= sizeof(cublasLtMatmulAlgo_t), "fits");

enum { WORKSPACE_BYTES = 1 << 20, WORKSPACE_ALIGNMENT = 256 };

struct cublasLtContext {
    int opened;
};

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    if (!handle) return CUBLAS_STATUS_INVALID_VALUE;
    if (getenv("CUSIM_NO_DRIVER")) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (sim_fails(SIM_BLAS)) return CUBLAS_STATUS_ALLOC_FAILED;
    *handle = sim_alloc(sizeof(struct cublasLtContext));
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    default: return "CUBLAS_STATUS_INTERNAL_ERROR";
    }
}
const char *cublasLtGetStatusString(cublasStatus_t status) { return cublasLtGetStatusName(status); }

/* ---- attributes ---- */
typedef struct {
    int name;
    size_t offset, bytes;
} attribute;
#define MEMBER(name, type, member)                                                                 \
    {                                                                                              \
        name, offsetof(type, member), sizeof((type){0}.member)                                     \
    }

static cublasStatus_t set(void *object, const attribute *list, int name, const void *value,
                          size_t bytes)
{
    if (!object || !value) return CUBLAS_STATUS_INVALID_VALUE;
    for (; list->bytes; list++)
        if (list->name == name) {
            if (bytes != list->bytes) return CUBLAS_STATUS_INVALID_VALUE;
            memcpy((char *)object + list->offset, value, bytes);
            return CUBLAS_STATUS_SUCCESS;
        }
    sim_die("cuBLASLt: attribute %d is not simulated", name);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t pitch)
{
    if (!layout) return CUBLAS_STATUS_INVALID_VALUE;
    *layout = sim_alloc(sizeof **layout);
    *(sim_layout *)*layout = (sim_layout){.type = (int32_t)type,
                                          .order = CUBLASLT_ORDER_COL,
                                          .rows = rows,
                                          .columns = columns,
                                          .pitch = pitch,
                                          .batch = 1};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    free(layout);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t name,
                                                const void *value, size_t bytes)
{
    static const attribute list[] = {
        MEMBER(CUBLASLT_MATRIX_LAYOUT_TYPE, sim_layout, type),
        MEMBER(CUBLASLT_MATRIX_LAYOUT_ORDER, sim_layout, order),
        MEMBER(CUBLASLT_MATRIX_LAYOUT_ROWS, sim_layout, rows),
        MEMBER(CUBLASLT_MATRIX_LAYOUT_COLS, sim_layout, columns),
        MEMBER(CUBLASLT_MATRIX_LAYOUT_LD, sim_layout, pitch),
        MEMBER(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, sim_layout, batch),
        MEMBER(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, sim_layout, step),
        {0}};
    return set(layout, list, (int)name, value, bytes);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *product, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    if (!product) return CUBLAS_STATUS_INVALID_VALUE;
    *product = sim_alloc(sizeof **product);
    *(sim_product *)*product = (sim_product){.compute = (int32_t)compute,
                                             .scale = (int32_t)scale,
                                             .epilogue = CUBLASLT_EPILOGUE_DEFAULT,
                                             .bias_type = -1};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product)
{
    free(product);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                              cublasLtMatmulDescAttributes_t name,
                                              const void *value, size_t bytes)
{
    static const attribute list[] = {
        MEMBER(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, sim_product, compute),
        MEMBER(CUBLASLT_MATMUL_DESC_SCALE_TYPE, sim_product, scale),
        MEMBER(CUBLASLT_MATMUL_DESC_POINTER_MODE, sim_product, pointer_mode),
        MEMBER(CUBLASLT_MATMUL_DESC_TRANSA, sim_product, turned_a),
        MEMBER(CUBLASLT_MATMUL_DESC_TRANSB, sim_product, turned_b),
        MEMBER(CUBLASLT_MATMUL_DESC_TRANSC, sim_product, turned_c),
        MEMBER(CUBLASLT_MATMUL_DESC_EPILOGUE, sim_product, epilogue),
        MEMBER(CUBLASLT_MATMUL_DESC_BIAS_POINTER, sim_product, bias),
        MEMBER(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, sim_product, bias_step),
        MEMBER(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, sim_product, bias_type),
        {0}};
    return set(product, list, (int)name, value, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    if (!preference) return CUBLAS_STATUS_INVALID_VALUE;
    *preference = sim_alloc(sizeof **preference);
    *(sim_preference *)*preference = (sim_preference){.reduction = CUBLASLT_REDUCTION_SCHEME_MASK,
                                                      .alignment = {256, 256, 256, 256}};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    free(preference);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t name,
                                                    const void *value, size_t bytes)
{
    static const attribute list[] = {
        MEMBER(CUBLASLT_MATMUL_PREF_SEARCH_MODE, sim_preference, search),
        MEMBER(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, sim_preference, workspace),
        MEMBER(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, sim_preference, reduction),
        MEMBER(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, sim_preference, alignment[0]),
        MEMBER(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, sim_preference, alignment[1]),
        MEMBER(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, sim_preference, alignment[2]),
        MEMBER(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, sim_preference, alignment[3]),
        MEMBER(CUBLASLT_MATMUL_PREF_MAX_WAVES_COUNT, sim_preference, waves),
        {0}};
    return set(preference, list, (int)name, value, bytes);
}

/* ---- problems ---- */
typedef struct {
    const sim_product *p;
    const sim_layout *a, *b, *c, *d;
} problem;

static bool same_form(const sim_layout *x, const sim_layout *y)
{
    return x->type == y->type && x->rows == y->rows && x->columns == y->columns &&
           x->batch == y->batch;
}

static cublasStatus_t check_shapes(const problem *q)
{
    const bool ta = q->p->turned_a != CUBLAS_OP_N, tb = q->p->turned_b != CUBLAS_OP_N;
    const uint64_t m = ta ? q->a->columns : q->a->rows, k = ta ? q->a->rows : q->a->columns;
    const uint64_t n = tb ? q->b->rows : q->b->columns, kb = tb ? q->b->columns : q->b->rows;
    const sim_layout *all[] = {q->a, q->b, q->c, q->d};
    if (!m || !n || !k || k != kb || q->d->rows != m || q->d->columns != n)
        return CUBLAS_STATUS_INVALID_VALUE;
    for (int l = 0; l < 4; l++) {
        const bool step = all[l]->batch > 1 && l == 3 && !all[l]->step;
        if (all[l]->pitch < (int64_t)all[l]->rows || all[l]->batch != q->d->batch || step)
            return CUBLAS_STATUS_INVALID_VALUE;
    }
    return q->d->batch >= 1 && same_form(q->c, q->d) ? CUBLAS_STATUS_SUCCESS
                                                     : CUBLAS_STATUS_INVALID_VALUE;
}

static cublasStatus_t check_problem(const problem *q)
{
    const sim_product *p = q->p;
    if (!p || !q->a || !q->b || !q->c || !q->d) return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t status = check_shapes(q);
    if (status) return status;
    if (p->compute != CUBLAS_COMPUTE_32F || p->scale != CUDA_R_32F || p->pointer_mode ||
        p->turned_c || p->fill || p->bias_step)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (p->turned_a > CUBLAS_OP_T || p->turned_b > CUBLAS_OP_T) return CUBLAS_STATUS_NOT_SUPPORTED;
    const int32_t from = q->a->type, to = q->d->type;
    const bool types =
        from == q->b->type && ((from == CUDA_R_32F && to == CUDA_R_32F) ||
                               (from == CUDA_R_16BF && (to == from || to == CUDA_R_32F)));
    const sim_layout *all[] = {q->a, q->b, q->c, q->d};
    for (int l = 0; l < 4; l++)
        if (all[l]->order != CUBLASLT_ORDER_COL) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!types || (p->bias_type >= 0 && p->bias_type != to)) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (p->epilogue != CUBLASLT_EPILOGUE_DEFAULT && p->epilogue != CUBLASLT_EPILOGUE_BIAS)
        sim_die("cuBLASLt: epilogue %u is not simulated", p->epilogue);
    if (p->epilogue == CUBLASLT_EPILOGUE_BIAS && !p->bias) return CUBLAS_STATUS_INVALID_VALUE;
    return CUBLAS_STATUS_SUCCESS;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t count) /* FNV-1a */
{
    for (size_t b = 0; b < count; b++) hash = (hash ^ ((const uint8_t *)bytes)[b]) * 1099511628211u;
    return hash;
}

static uint64_t hash_of(const problem *q)
{
    sim_product p = *q->p;
    p.bias = NULL;
    uint64_t hash = mix(14695981039346656037u, &p, sizeof p);
    hash = mix(mix(hash, q->a, sizeof *q->a), q->b, sizeof *q->b);
    return mix(mix(hash, q->c, sizeof *q->c), q->d, sizeof *q->d);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *found)
{
    const problem q = {(sim_product *)product, (sim_layout *)a, (sim_layout *)b, (sim_layout *)c,
                       (sim_layout *)d};
    const sim_preference *wish = (sim_preference *)preference;
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!wish || !results || !found || wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
    *found = 0;
    if (sim_fails(SIM_BLAS)) return CUBLAS_STATUS_INTERNAL_ERROR;
    const cublasStatus_t status = check_problem(&q);
    if (status) return status;
    const sim_layout *all[] = {q.a, q.b, q.c, q.d};
    for (int l = 0; l < 4; l++)
        if (wish->alignment[l] < sim_element(all[l]->type)) return CUBLAS_STATUS_NOT_SUPPORTED;
    sim_algorithm algorithm = {.problem = hash_of(&q),
                               .workspace =
                                   wish->workspace < WORKSPACE_BYTES ? 0 : WORKSPACE_BYTES};
    memcpy(algorithm.alignment, wish->alignment, sizeof algorithm.alignment);
    memset(&results[0], 0, sizeof results[0]);
    memcpy(&results[0].algo, &algorithm, sizeof algorithm);
    results[0].workspaceSize = algorithm.workspace;
    results[0].wavesCount = 1.0f;
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

static bool overlap(const void *x, const sim_layout *lx, const void *y, const sim_layout *ly)
{
    const size_t nx = sim_element(lx->type) * ((size_t)lx->pitch * (lx->columns - 1) + lx->rows +
                                               (size_t)lx->step * (size_t)(lx->batch - 1));
    const size_t ny = sim_element(ly->type) * ((size_t)ly->pitch * (ly->columns - 1) + ly->rows +
                                               (size_t)ly->step * (size_t)(ly->batch - 1));
    return (const char *)x < (const char *)y + ny && (const char *)y < (const char *)x + nx;
}

static cublasStatus_t check_call(const problem *q, const sim_algorithm *algorithm,
                                 const sim_matmul *m)
{
    const cublasStatus_t status = check_problem(q);
    if (status) return status;
    const uintptr_t pointers[] = {(uintptr_t)m->A, (uintptr_t)m->B, (uintptr_t)m->C,
                                  (uintptr_t)m->D};
    if (algorithm->problem != hash_of(q)) return CUBLAS_STATUS_NOT_SUPPORTED; /* another's */
    for (int l = 0; l < 4; l++)
        if (!pointers[l] || pointers[l] % algorithm->alignment[l])
            return CUBLAS_STATUS_INVALID_VALUE;
    if (algorithm->workspace > m->workspace_bytes || (algorithm->workspace && !m->workspace) ||
        (uintptr_t)m->workspace % WORKSPACE_ALIGNMENT)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (m->C == m->D && q->c->pitch != q->d->pitch) return CUBLAS_STATUS_INVALID_VALUE;
    if (overlap(m->D, q->d, m->A, q->a) || overlap(m->D, q->d, m->B, q->b))
        return CUBLAS_STATUS_INVALID_VALUE;
    return m->C != m->D && overlap(m->D, q->d, m->C, q->c) ? CUBLAS_STATUS_INVALID_VALUE
                                                           : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                              const void *alpha, const void *A, cublasLtMatrixLayout_t a,
                              const void *B, cublasLtMatrixLayout_t b, const void *beta,
                              const void *C, cublasLtMatrixLayout_t c, void *D,
                              cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    const problem q = {(sim_product *)product, (sim_layout *)a, (sim_layout *)b, (sim_layout *)c,
                       (sim_layout *)d};
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (sim_lost() || sim_fails(SIM_BLAS)) return CUBLAS_STATUS_EXECUTION_FAILED;
    if (!alpha || !beta || !product || !a || !b || !c || !d) return CUBLAS_STATUS_INVALID_VALUE;
    if (!algo) sim_die("cublasLtMatmul without an algorithm: its choice is not simulated");
    sim_algorithm algorithm;
    memcpy(&algorithm, algo, sizeof algorithm);
    sim_matmul *m = sim_alloc(sizeof *m);
    *m = (sim_matmul){.a = *q.a,
                      .b = *q.b,
                      .c = *q.c,
                      .d = *q.d,
                      .turned_a = q.p->turned_a,
                      .turned_b = q.p->turned_b,
                      .bias = q.p->epilogue == CUBLASLT_EPILOGUE_BIAS,
                      .bias_vector = q.p->bias,
                      .A = A,
                      .B = B,
                      .C = C,
                      .D = D,
                      .workspace = workspace,
                      .workspace_bytes = workspace_bytes};
    memcpy(&m->alpha, alpha, sizeof m->alpha);
    memcpy(&m->beta, beta, sizeof m->beta);
    const cublasStatus_t status = check_call(&q, &algorithm, m);
    if (status) {
        free(m);
        return status;
    }
    sim_enqueue(stream, sim_matmul_run, m, "cublasLtMatmul");
    return CUBLAS_STATUS_SUCCESS;
}
