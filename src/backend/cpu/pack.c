#include "backend/cpu/pack.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <stdlib.h>
#include <string.h>

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

/* Where index `i` of axis `axis` lies in the layout: contributions of the axes add up. */
static int64_t axis_offset(const onednn_layout *layout, int axis, int64_t i)
{
    int64_t offset = 0, unit = 1;
    for (int k = layout->blocks - 1; k >= 0; k--) {
        if (layout->block_axis[k] == axis) {
            offset += i % layout->block[k] * unit;
            i /= layout->block[k];
        }
        unit *= layout->block[k];
    }
    return offset + i * layout->stride[axis];
}

static int64_t source_offset(const onednn_layout *layout, const pack_axes *axes,
                             const soda_shape *shape, int axis, int64_t i)
{
    const int64_t at = axes->flip[axis] ? shape->dim[axis] - 1 - i : i;
    return axis_offset(layout, axes->axis[axis], at);
}

/* The tables of pack_table: axis 0 is the row, the others together are the column. */
static void fill_tables(const onednn_layout *layout, const pack_axes *axes, const soda_shape *shape,
                        int64_t *row, int64_t *column, int64_t columns)
{
    for (int64_t r = 0; r < shape->dim[0]; r++) row[r] = source_offset(layout, axes, shape, 0, r);
    for (int64_t c = 0; c < columns; c++) {
        int64_t rest = c;
        column[c] = 0;
        for (int a = shape->rank - 1; a > 0; a--) {
            column[c] += source_offset(layout, axes, shape, a, rest % shape->dim[a]);
            rest /= shape->dim[a];
        }
    }
}

/* A layout filled from other axes is another form. */
static uint64_t form_of(const onednn_layout *layout, const pack_axes *axes)
{
    uint64_t h = onednn_form(layout);
    for (int a = 0; a < layout->rank; a++)
        h = h * 31 + 2 * (uint64_t)axes->axis[a] + (axes->flip[a] ? 1 : 0);
    return h;
}

void pack_by_table(const soda_weight *weight, size_t bytes, const int64_t *row,
                   const int64_t *column, soda_dtype to, void *form)
{
    const soda_tensor *source = &weight->source;
    const int64_t rows = source->shape.dim[0], columns = shape_count(&source->shape) / rows;
    if (bytes != (size_t)(rows * columns) * dtype_bytes(to)) memset(form, 0, bytes);
    pack_table(source->data, source->dtype, rows, columns, row, column, form, to);
}

typedef struct {
    pack_axes axes;
    onednn_layout layout;
} frozen_recipe;

static soda_status fill_frozen(const soda_weight *weight, const void *recipe, void *form)
{
    const frozen_recipe *r = recipe;
    const soda_shape *shape = &weight->source.shape;
    const int64_t rows = shape->dim[0], columns = shape_count(shape) / rows;
    int64_t *row = malloc((size_t)(rows + columns) * sizeof *row);
    if (!row) return FAIL(SODA_ERR_MEMORY, "out of memory: packing %s", weight->name);
    fill_tables(&r->layout, &r->axes, shape, row, row + rows, columns);
    pack_by_table(weight, r->layout.bytes, row, row + rows, r->layout.dtype, form);
    free(row);
    return SODA_OK;
}

soda_status pack_frozen(const soda_call *call, soda_weights *weights, int input,
                        const pack_axes *axes, const onednn_layout *layout)
{
    const frozen_recipe recipe = {*axes, *layout};
    return call_form(call, weights, input,
                     &(weights_form){.form = form_of(layout, axes),
                                     .bytes = layout->bytes,
                                     .fill = fill_frozen,
                                     .recipe = &recipe,
                                     .recipe_bytes = sizeof recipe});
}

static soda_status fill_vector(const soda_weight *weight, const void *recipe, void *form)
{
    (void)recipe;
    const int64_t n = shape_count(&weight->source.shape);
    const char *from = weight->source.data;
    for (int64_t i = 0; i < n; i += TILE)
        load_row(from + i * (int64_t)dtype_bytes(weight->source.dtype), weight->source.dtype,
                 min64(TILE, n - i), (float *)form + i);
    return SODA_OK;
}

soda_status pack_vector(const soda_call *call, soda_weights *weights, int input)
{
    const int64_t n = shape_count(&call->weight[input]->source.shape);
    return call_form(call, weights, input,
                     &(weights_form){.form = PACK_VECTOR,
                                     .bytes = (size_t)n * sizeof(float),
                                     .fill = fill_vector});
}
