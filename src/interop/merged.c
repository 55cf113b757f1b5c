#include "interop/merged.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/bases.h"
#include "adapter/lapack.h"
#include "adapter/merge.h"
#include "core/log.h"
#include "interop/adapter_fit.h"

struct merged_weights {
    soda_weight_source source; /* first: the pointer handed out is to it */
    soda_weight_source *inner;
    soda_weight *weights; /* sorted by name; they own their data */
    int count;
};

/* One adapter's part in one layer. */
typedef struct {
    const soda_layer *layer;
    method_values values;
    double weight;
    int order; /* of its adapter: sums do not depend on how names sort */
} piece;

/* What merged_create builds up, and frees. */
typedef struct {
    const adapter_uses *uses;
    adapter_fit *fits; /* by adapter */
    soda_bases **bases;
    piece *pieces;
    int count, room;
    int *first; /* by merged weight: its first piece; one more at the end */
    merged_form form;
} job;

static int by_name(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    const int order = strcmp(x->layer->w0.name, y->layer->w0.name);
    return order ? order : x->order - y->order;
}

static soda_status add_piece(job *j, int use, const soda_layer *layer, const adapter_layer *l)
{
    if (j->count == j->room) {
        const int room = j->room ? 2 * j->room : 64;
        piece *grown = realloc(j->pieces, (size_t)room * sizeof *grown);
        if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory");
        j->pieces = grown;
        j->room = room;
    }
    piece *p = &j->pieces[j->count++];
    *p = (piece){
        .layer = layer, .values = l->value, .weight = j->uses->list[use].weight, .order = use};
    return SODA_OK;
}

/* The layers of one adapter in the component, with bases. */
static soda_status add_adapter(job *j, int use, const soda_folder *folder,
                               folder_component component, soda_weight_source *source)
{
    const soda_adapter *a = j->uses->list[use].adapter;
    const char *name = folder_component_name(component);
    soda_layers *layers = a->bases;
    if (!layers) {
        TRY(adapter_fit_create(a, &j->fits[use]));
        TRY(adapter_fit_component(&j->fits[use], folder, component, source, 1, 1, 1, NULL));
        layers = j->fits[use].layers;
        TRY(bases_load(layers, comm_self(), NULL, &j->bases[use]));
    }
    for (int i = 0; i < layers_count(layers); i++) {
        const soda_layer *layer = layers_at(layers, i);
        const size_t length = strlen(name);
        if (strncmp(layer->name, name, length) != 0 || layer->name[length] != '.') continue;
        const adapter_layer *l = adapter_find(a, layer->name);
        if (!l) return FAIL(SODA_ERR_INTERNAL, "%s: %s has no values", a->file, layer->name);
        TRY(add_piece(j, use, layer, l));
    }
    return SODA_OK;
}

/* |x| rounded to nearest even, as the bits of a format with `bits` of mantissa and exponents from
 * `least` up (fp16: 10 and -14; bf16: 7 and -126), subnormals included. Straight from fp64: a stop
 * at fp32 would round twice. */
static uint32_t half_bits(double x, int bits, int least)
{
    int exponent;
    if (x == 0) return 0;
    frexp(x, &exponent); /* x in [2^(exponent-1), 2^exponent) */
    exponent = exponent - 1 < least ? least : exponent - 1;
    const double mantissa = nearbyint(ldexp(x, bits - exponent));
    return ((uint32_t)(exponent - least) << bits) + (uint32_t)mantissa;
}

/* values[count] in the type of `to`; SODA_ERR_NUMERIC names the weight. */
static soda_status store(const double *values, int64_t count, const soda_weight *to)
{
    uint16_t *half = to->source.data;
    float *whole = to->source.data;
    const bool fp16 = to->source.dtype == SODA_F16;
    for (int64_t i = 0; i < count; i++) {
        const double x = values[i], size = fabs(x);
        const uint16_t sign = signbit(x) ? 0x8000u : 0;
        if (!isfinite((float)x) || (fp16 && size >= 65520)) /* halfway from the largest fp16 */
            return FAIL(SODA_ERR_NUMERIC,
                        "%s: element %lld of the merged weight is %g, outside the range of %s",
                        to->name, (long long)i, x, dtype_name(to->source.dtype));
        if (to->source.dtype == SODA_F32)
            whole[i] = (float)x;
        else
            half[i] = sign | (uint16_t)(fp16 ? half_bits(size, 10, -14) : half_bits(size, 7, -126));
    }
    return SODA_OK;
}

/* Makes merged weight `index` from its pieces. */
static soda_status merge_one(const job *j, int index, soda_weight *merged)
{
    const soda_layer *layer = j->pieces[j->first[index]].layer;
    const int64_t count = layer->m * layer->n;
    const soda_dtype dtype = j->form == MERGED_AS_FILE ? layer->w0.source.dtype
                             : j->form == MERGED_BF16  ? SODA_BF16
                                                       : SODA_F32;
    soda_status s = SODA_OK;
    double *sum = calloc((size_t)count, sizeof *sum);
    float *w0 = malloc((size_t)count * sizeof *w0);
    *merged =
        (soda_weight){.name = layer->w0.name, .source = {dtype, layer->w0.source.shape, NULL}};
    merged->source.data = malloc((size_t)count * dtype_bytes(dtype));
    if (!sum || !w0 || !merged->source.data) {
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory", layer->w0.name);
        goto done;
    }
    if (j->form != MERGED_DIFFERENCE) {
        TRY_TO(done, merge_read_weight(&layer->w0, w0));
        for (int64_t i = 0; i < count; i++) sum[i] = (double)w0[i];
    }
    for (int p = j->first[index]; p < j->first[index + 1]; p++)
        TRY_TO(done, merge_add_residual(j->pieces[p].layer, j->pieces[p].values,
                                        j->pieces[p].weight, sum));
    TRY_TO(done, store(sum, count, merged));
done:
    free(sum);
    free(w0);
    return s;
}

static soda_status merge_all(const job *j, merged_weights *merged)
{
    int64_t done = 0;
    status_slot slot = {0};
    log_progress progress;
    if (merged->count > 0) lapack_prepare();
    log_progress_start(&progress, "merging adapters", 0, merged->count);
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < merged->count; i++) {
        status_keep(&slot, merge_one(j, i, &merged->weights[i]));
#pragma omp critical(merged)
        log_progress_update(&progress, ++done, "");
    }
    return status_take(&slot);
}

/* Sorts the pieces; *count weights will come of them. */
static soda_status group(job *j, int *count)
{
    j->first = malloc(((size_t)j->count + 1) * sizeof *j->first);
    if (!j->first) return FAIL(SODA_ERR_MEMORY, "out of memory");
    if (j->count) qsort(j->pieces, (size_t)j->count, sizeof *j->pieces, by_name);
    for (int p = 0; p < j->count; p++)
        if (!p || strcmp(j->pieces[p].layer->w0.name, j->pieces[p - 1].layer->w0.name) != 0)
            j->first[(*count)++] = p;
    j->first[*count] = j->count;
    return SODA_OK;
}

static soda_status source_find(soda_weight_source *source, const char *name,
                               const soda_shape *expected, soda_weight *weight)
{
    const merged_weights *a = (const merged_weights *)source;
    TRY(a->inner->find(a->inner, name, expected, weight));
    const soda_weight *merged = merged_find(a, weight->name);
    if (merged) *weight = *merged;
    return SODA_OK;
}

static bool source_has(soda_weight_source *source, const char *name)
{
    const merged_weights *a = (const merged_weights *)source;
    return a->inner->has(a->inner, name);
}

static void job_free(job *j)
{
    for (int i = 0; i < j->uses->count; i++) {
        if (j->fits) adapter_fit_destroy(&j->fits[i]);
        if (j->bases) bases_destroy(j->bases[i]);
    }
    free(j->fits);
    free(j->bases);
    free(j->pieces);
    free(j->first);
}

soda_status merged_create(const soda_folder *folder, folder_component component,
                          soda_weight_source *source, const adapter_uses *uses, merged_form form,
                          merged_weights **merged)
{
    soda_status s = SODA_OK;
    job j = {.uses = uses, .form = form};
    merged_weights *a = calloc(1, sizeof *a);
    *merged = NULL;
    j.fits = calloc((size_t)uses->count + 1, sizeof *j.fits);
    j.bases = calloc((size_t)uses->count + 1, sizeof(soda_bases *));
    if (!a || !j.fits || !j.bases) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto done;
    }
    a->source = (soda_weight_source){.find = source_find, .has = source_has};
    a->inner = source;
    for (int i = 0; i < uses->count; i++)
        if (uses->list[i].weight != 0 && adapter_touches(uses->list[i].adapter, component))
            TRY_TO(done, add_adapter(&j, i, folder, component, source));
    TRY_TO(done, group(&j, &a->count));
    a->weights = calloc((size_t)a->count + 1, sizeof *a->weights);
    if (!a->weights) {
        a->count = 0;
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto done;
    }
    TRY_TO(done, merge_all(&j, a));
    *merged = a;
    a = NULL;
done:
    job_free(&j);
    merged_destroy(a);
    return s;
}

void merged_destroy(merged_weights *merged)
{
    if (!merged) return;
    for (int i = 0; i < merged->count && merged->weights; i++) free(merged->weights[i].source.data);
    free(merged->weights);
    free(merged);
}

soda_weight_source *merged_source(merged_weights *merged) { return &merged->source; }
int merged_count(const merged_weights *merged) { return merged->count; }

const soda_weight *merged_at(const merged_weights *merged, int index)
{
    return &merged->weights[index];
}

const soda_weight *merged_find(const merged_weights *merged, const char *name)
{
    int low = 0, high = merged->count;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        const int order = strcmp(merged->weights[middle].name, name);
        if (order == 0) return &merged->weights[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
