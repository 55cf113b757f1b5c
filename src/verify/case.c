#include "verify/case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ref/value.h"
#include "core/philox.h"

enum { UNSET = 0xff };

const op_types op_type_list[OP_TYPES] = {
    {SODA_F32, SODA_F32, true},  {SODA_F32, SODA_F16, true},    {SODA_F32, SODA_BF16, true},
    {SODA_BF16, SODA_F32, true}, {SODA_BF16, SODA_F16, true},   {SODA_BF16, SODA_BF16, true},
    {SODA_F32, SODA_F32, false}, {SODA_BF16, SODA_BF16, false},
};

const op_types op_matrix_types[OP_MATRIX_TYPES] = {
    {SODA_F32, SODA_F32, false}, {SODA_BF16, SODA_BF16, false}, {SODA_F32, SODA_F32, true},
    {SODA_F32, SODA_F16, true},  {SODA_F32, SODA_BF16, true},
};

/* A tensor for which there was no memory has no data; case_execute says so. */
double case_get(const soda_tensor *t, int64_t i) { return t->data ? get(t, i) : 0; }

double case_largest_scale(const soda_tensor *stats)
{
    double largest = 0;
    for (int64_t i = 1; i < shape_count(&stats->shape); i += 2)
        largest = fmax(largest, case_get(stats, i));
    return largest;
}

/* Round to nearest even by the spacing of fp16 numbers around `value` (2^-24 below 2^-14). */
static uint16_t f16_from_double(double value)
{
    int exponent;
    frexp(value, &exponent);
    if (exponent < -13 || value == 0) exponent = -13;
    const double spacing = ldexp(1, exponent - 11), size = nearbyint(fabs(value) / spacing);
    const uint16_t sign = signbit(value) ? 0x8000 : 0;
    if (size * spacing >= 65536) return sign | 0x7c00;
    /* A fraction that rounded up to 2048 carries into the exponent, as it should. */
    return (uint16_t)(sign | (((exponent + 13) << 10) + (int)size));
}

void case_put(const soda_tensor *t, int64_t i, double value)
{
    if (!t->data) return;
    char *p = (char *)t->data + (size_t)i * dtype_bytes(t->dtype);
    double aligned;
    const soda_tensor one = {.dtype = t->dtype, .data = &aligned};
    const uint16_t half = f16_from_double(value);
    if (t->dtype == SODA_F16)
        memcpy(&aligned, &half, sizeof half);
    else
        set(&one, 0, value);
    memcpy(p, &aligned, dtype_bytes(t->dtype));
}

/* `offset` bytes past a multiple of 64; NULL: no memory. */
static void *allocate(size_t bytes, size_t offset)
{
    char *base = NULL;
    if (posix_memalign((void **)&base, 64, 64 + bytes) != 0) return NULL;
    memset(base, UNSET, 64 + bytes);
    return base + offset;
}

/* allocate's offset is below 64, so the block begins at the multiple of 64 below. */
void case_drop(const soda_tensor *t)
{
    if (t->data) free((char *)((uintptr_t)t->data & ~(uintptr_t)63));
}

soda_tensor case_tensor(op_case *c, soda_dtype dtype, soda_shape shape, size_t offset)
{
    soda_tensor t = {.dtype = dtype, .shape = shape};
    t.data = allocate(tensor_bytes(&t), offset);
    c->no_memory |= !t.data;
    return t;
}

static void fill(op_case *c, const soda_tensor *t, soda_dtype exact, uint32_t seed, double scale)
{
    const int64_t count = shape_count(&t->shape);
    float *normal = malloc((size_t)count * sizeof *normal);
    c->no_memory |= !normal;
    if (!normal) return;
    philox_normal((philox_key){{seed, 0x7e57u}}, (philox_counter){{0}}, normal, count);
    for (int64_t i = 0; i < count; i++) {
        double value = scale * (double)normal[i];
        if (exact == SODA_BF16) {
            value = (double)bf16_to_float(bf16_from_double(value));
            /* Below fp16's smallest normal number bf16 values need not be fp16 values. */
            if (fabs(value) < 0x1p-14) value = 0;
        }
        case_put(t, i, value);
    }
    free(normal);
}

void case_input(op_case *c, soda_dtype dtype, soda_shape shape, double scale)
{
    c->in[c->inputs] = case_tensor(c, dtype, shape, 0);
    fill(c, &c->in[c->inputs], dtype, (uint32_t)(100 + c->inputs), scale);
    c->inputs++;
}

void case_weight(op_case *c, soda_dtype dtype, soda_dtype exact, soda_shape shape, double scale)
{
    c->in[c->inputs] = case_tensor(c, dtype, shape, 1);
    fill(c, &c->in[c->inputs], exact, (uint32_t)(100 + c->inputs), scale);
    c->frozen |= 1u << c->inputs;
    c->inputs++;
}

void case_either(op_case *c, const op_types *type, soda_shape shape, double scale)
{
    if (type->frozen)
        case_weight(c, type->w, type->x, shape, scale);
    else
        case_input(c, type->w, shape, scale);
}

void case_absent(op_case *c) { c->in[c->inputs++] = (soda_tensor){.data = NULL}; }

static void give(op_case *c, const soda_tensor *tensor, size_t offset)
{
    soda_tensor *t = &c->in[c->inputs++];
    *t = case_tensor(c, tensor->dtype, tensor->shape, offset);
    if (t->data && tensor->data) memcpy(t->data, tensor->data, tensor_bytes(t));
}

void case_given(op_case *c, const soda_tensor *tensor) { give(c, tensor, 0); }

void case_given_weight(op_case *c, const soda_tensor *tensor)
{
    c->frozen |= 1u << c->inputs;
    give(c, tensor, 1);
}

void case_output(op_case *c, soda_dtype dtype, soda_shape shape)
{
    c->out[c->outputs++] = case_tensor(c, dtype, shape, 0);
}

void case_free(op_case *c)
{
    for (int i = 0; i < c->inputs; i++) case_drop(&c->in[i]);
    for (int i = 0; i < c->outputs; i++) case_drop(&c->out[i]);
    *c = (op_case){.inputs = 0};
}
