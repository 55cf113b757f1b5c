/* tensor.h: shapes, types and plain tensors. Row-major, dense; pictures are [N,H,W,C]. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SODA_MAX_RANK = 4 };

/* F64 exists for the reference backend (finite differences), F16 for the files we read. */
typedef enum { SODA_F32, SODA_BF16, SODA_F16, SODA_F64, SODA_I32 } soda_dtype;

typedef struct {
    int rank;
    int64_t dim[SODA_MAX_RANK];
} soda_shape;

typedef struct {
    soda_dtype dtype;
    soda_shape shape;
    void *data;
} soda_tensor;

size_t dtype_bytes(soda_dtype dtype);
const char *dtype_name(soda_dtype dtype);

/* SHAPE(2, 4, 8) is [2,4,8]. */
#define SHAPE(...)                                                                                 \
    ((soda_shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),               \
                  .dim = {__VA_ARGS__}})

int64_t shape_count(const soda_shape *shape);
bool shape_equal(const soda_shape *a, const soda_shape *b);

/* The last dimension, and the product of all others: a tensor seen as rows of channels. */
int64_t shape_columns(const soda_shape *shape);
int64_t shape_rows(const soda_shape *shape);

/* Writes "[2,4,8]" to `text`, cut to `size`; returns text. */
char *dims_text(const int64_t *dim, int rank, char *text, size_t size);
char *shape_text(const soda_shape *shape, char *text, size_t size);

size_t tensor_bytes(const soda_tensor *tensor);

/* bf16 <-> fp32, round to nearest even, NaN kept. */
static inline float bf16_to_float(uint16_t h)
{
    const union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)h << 16};
    return v.f;
}

static inline uint16_t bf16_from_float(float f)
{
    const union {
        float f;
        uint32_t u;
    } v = {.f = f};
    if ((v.u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((v.u >> 16) | 0x40u);
    return (uint16_t)((v.u + 0x7fffu + ((v.u >> 16) & 1u)) >> 16);
}

/* fp16 -> fp32, exact, subnormals included. */
float f16_to_float(uint16_t h);
