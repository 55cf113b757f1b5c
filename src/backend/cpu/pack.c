#include "backend/cpu/pack.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/product_copy.h"
#include "core/isa.h"
#include "core/round.h"

enum { TILE = 64 }; /* a tile of rows and columns stays in the first-level cache on both sides */

#if defined(__x86_64__)
/* n is a multiple of 8. Every CPU with AVX2 has F16C. */
__attribute__((target("avx,f16c"))) static void widen_f16_fast(const uint16_t *half, int64_t n,
                                                               float *x)
{
    for (int64_t i = 0; i < n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(half + i))));
}
#else
static void widen_f16_fast(const uint16_t *half, int64_t n, float *x)
{
    for (int64_t i = 0; i < n; i++) x[i] = f16_to_float(half[i]);
}
#endif

static void widen_f16(const uint16_t *half, int64_t n, float *x)
{
    const int64_t fast = isa_allows(ISA_AVX2) ? n / 8 * 8 : 0;
    widen_f16_fast(half, fast, x);
    for (int64_t i = fast; i < n; i++) x[i] = f16_to_float(half[i]);
}

/* `n` elements, from any address, as fp32. */
static void load_row(const char *source, soda_dtype from, int64_t n, float *x)
{
    uint16_t half[TILE];
    if (from == SODA_F32) {
        memcpy(x, source, (size_t)n * sizeof *x);
        return;
    }
    memcpy(half, source, (size_t)n * sizeof *half);
    if (from == SODA_BF16)
        for (int64_t i = 0; i < n; i++) x[i] = bf16_to_float(half[i]);
    else
        widen_f16(half, n, x);
}

void pack_table(const void *source, soda_dtype from, int64_t rows, int64_t columns,
                const int64_t *row, const int64_t *column, void *dst, soda_dtype to)
{
    const int64_t width = (int64_t)dtype_bytes(from);
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t r0 = 0; r0 < rows; r0 += TILE) {
        for (int64_t c0 = 0; c0 < columns; c0 += TILE) {
            const int64_t n = min64(TILE, columns - c0);
            for (int64_t r = r0; r < min64(rows, r0 + TILE); r++) {
                float x[TILE];
                /* NOLINTBEGIN(clang-analyzer-core.uninitialized.ArraySubscript): filled for columns
                 */
                load_row((const char *)source + (r * columns + c0) * width, from, n, x);
                if (to == SODA_F32) {
                    float *y = (float *)dst + row[r];
                    for (int64_t i = 0; i < n; i++) y[column[c0 + i]] = x[i];
                } else {
                    uint16_t *y = (uint16_t *)dst + row[r];
                    for (int64_t i = 0; i < n; i++) y[column[c0 + i]] = bf16_from_float(x[i]);
                }
                /* NOLINTEND(clang-analyzer-core.uninitialized.ArraySubscript) */
            }
        }
    }
}

void pack_by_table(const soda_weight *weight, size_t bytes, const int64_t *row,
                   const int64_t *column, soda_dtype to, void *form)
{
    const soda_tensor *source = &weight->source;
    const int64_t rows = source->shape.dim[0], columns = shape_count(&source->shape) / rows;
    if (bytes != (size_t)(rows * columns) * dtype_bytes(to)) memset(form, 0, bytes);
    pack_table(source->data, source->dtype, rows, columns, row, column, form, to);
}

soda_status pack_fill_vector(const soda_weight *weight, const void *recipe, void *form)
{
    (void)recipe;
    const int64_t n = shape_count(&weight->source.shape);
    const char *from = weight->source.data;
    for (int64_t i = 0; i < n; i += TILE)
        load_row(from + i * (int64_t)dtype_bytes(weight->source.dtype), weight->source.dtype,
                 min64(TILE, n - i), (float *)form + i);
    return SODA_OK;
}

/* Columns [first,end) of the weight, seen as a matrix [O, I taps], of one panel: a transposition.
 */
static void fill_panel(const soda_weight *weight, const pack_panels_recipe *r, int64_t panel,
                       int64_t first, int64_t end, void *form)
{
    const soda_tensor *source = &weight->source;
    const int64_t O = source->shape.dim[0], columns = shape_count(&source->shape) / O;
    const int64_t row = panel * r->width, rows = min64(r->width, O - row);
    const int64_t at = panel * pack_panel_elements(&source->shape, r->width) + first * r->width;
    const char *from =
        (const char *)source->data + (row * columns + first) * (int64_t)dtype_bytes(source->dtype);
    float words[TILE * PACK_CHUNK];
    float *to = r->to == SODA_F32 ? (float *)form + at : words;
    const product_copier copier = product_copier_for(source->dtype, false);
    product_turn(&copier, from, columns, end - first, rows, to, r->width);
    for (int64_t c = 0; c < end - first && rows < r->width; c++)
        memset(to + c * r->width + rows, 0, (size_t)(r->width - rows) * sizeof *to);
    if (r->to == SODA_BF16)
        elementwise(SODA_BF16)->from_f32(words, (uint16_t *)form + at, (end - first) * r->width);
}

/* Behind the last channel of each panel. */
static void clear_padding(const soda_shape *shape, const pack_panels_recipe *r, void *form)
{
    const int64_t columns = shape_count(shape) / shape->dim[0],
                  all = pack_panel_elements(shape, r->width);
    const size_t bytes = (size_t)(all - columns * r->width) * dtype_bytes(r->to);
    for (int64_t p = 0; bytes && p < ceil_div(shape->dim[0], r->width); p++)
        memset((char *)form + (size_t)(p * all + columns * r->width) * dtype_bytes(r->to), 0,
               bytes);
}

static soda_status fill_by_table(const soda_weight *weight, const pack_panels_recipe *r, void *form)
{
    const soda_shape *shape = &weight->source.shape;
    const int64_t O = shape->dim[0], columns = shape_count(shape) / O;
    int64_t *row = malloc((size_t)(O + columns) * sizeof *row);
    if (!row) return FAIL(SODA_ERR_MEMORY, "out of memory: packing %s", weight->name);
    for (int64_t o = 0; o < O; o++)
        row[o] = o / r->width * pack_panel_elements(shape, r->width) + o % r->width;
    for (int64_t c = 0; c < columns; c++) row[O + c] = c * r->width;
    pack_by_table(weight, r->bytes, row, row + O, r->to, form);
    free(row);
    return SODA_OK;
}

/* By transposing squares in registers. */
soda_status pack_fill_panels(const soda_weight *weight, const void *recipe, void *form)
{
    const pack_panels_recipe *r = recipe;
    const soda_shape *shape = &weight->source.shape;
    const int64_t columns = shape_count(shape) / shape->dim[0];
    const int64_t panels = ceil_div(shape->dim[0], r->width);
    if (weight->source.dtype == SODA_F16 || r->width > PACK_CHUNK)
        return fill_by_table(weight, r, form);
    clear_padding(shape, r, form);
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t panel = 0; panel < panels; panel++)
        for (int64_t first = 0; first < columns; first += TILE)
            fill_panel(weight, r, panel, first, min64(columns, first + TILE), form);
    return SODA_OK;
}
