#include "support/op_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ref/value.h"
#include "support/check.h"

enum { UNSET = 0xff };

const op_types op_type_list[OP_TYPES] = {
    {SODA_F32, SODA_F32, true},  {SODA_F32, SODA_F16, true},    {SODA_F32, SODA_BF16, true},
    {SODA_BF16, SODA_F32, true}, {SODA_BF16, SODA_F16, true},   {SODA_BF16, SODA_BF16, true},
    {SODA_F32, SODA_F32, false}, {SODA_BF16, SODA_BF16, false},
};

double case_get(const soda_tensor *t, int64_t i) { return get(t, i); }

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

/* `offset` bytes past a multiple of 64. */
static void *allocate(size_t bytes, size_t offset)
{
    char *base = NULL;
    assert_int_equal(posix_memalign((void **)&base, 64, 64 + bytes), 0);
    memset(base, UNSET, 64 + bytes);
    return base + offset;
}

/* allocate's offset is below 64, so the block begins at the multiple of 64 below. */
static void release(const soda_tensor *t)
{
    if (t->data) free((char *)((uintptr_t)t->data & ~(uintptr_t)63));
}

static soda_tensor make(soda_dtype dtype, soda_shape shape, size_t offset)
{
    soda_tensor t = {.dtype = dtype, .shape = shape};
    t.data = allocate(tensor_bytes(&t), offset);
    return t;
}

static void fill(const soda_tensor *t, soda_dtype exact, uint32_t seed, double scale)
{
    const int64_t count = shape_count(&t->shape);
    float *normal = malloc((size_t)count * sizeof *normal);
    assert_non_null(normal);
    check_fill_normal(normal, count, seed, 1);
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
    c->in[c->inputs] = make(dtype, shape, 0);
    fill(&c->in[c->inputs], dtype, (uint32_t)(100 + c->inputs), scale);
    c->inputs++;
}

void case_weight(op_case *c, soda_dtype dtype, soda_dtype exact, soda_shape shape, double scale)
{
    c->in[c->inputs] = make(dtype, shape, 1);
    fill(&c->in[c->inputs], exact, (uint32_t)(100 + c->inputs), scale);
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
    *t = make(tensor->dtype, tensor->shape, offset);
    memcpy(t->data, tensor->data, tensor_bytes(t));
}

void case_given(op_case *c, const soda_tensor *tensor) { give(c, tensor, 0); }

void case_given_weight(op_case *c, const soda_tensor *tensor)
{
    c->frozen |= 1u << c->inputs;
    give(c, tensor, 1);
}

void case_output(op_case *c, soda_dtype dtype, soda_shape shape)
{
    c->out[c->outputs++] = make(dtype, shape, 0);
}

void case_free(op_case *c)
{
    for (int i = 0; i < c->inputs; i++) release(&c->in[i]);
    for (int i = 0; i < c->outputs; i++) release(&c->out[i]);
    *c = (op_case){.inputs = 0};
}

static void run(op_case *c, const soda_kernel *kernel, int runs)
{
    for (int i = 0; i < c->outputs; i++) memset(c->out[i].data, UNSET, tensor_bytes(&c->out[i]));
    CHECK_OK(op_run(kernel, &c->attr, c->in, c->inputs, c->out, c->outputs, c->frozen, runs));
}

void case_run(op_case *c, const soda_kernel *kernel) { run(c, kernel, 1); }

void case_check_values(const op_case *c, const double *want, int64_t count, double bound)
{
    assert_int_equal(shape_count(&c->out[0].shape), count);
    for (int64_t i = 0; i < count; i++) {
        const double got = get(&c->out[0], i);
        if (fabs(got - want[i]) <= bound) continue;
        fail_msg("element %lld: %.17g, wanted %.17g", (long long)i, got, want[i]);
    }
}

/* sum of dy out[0], in the order of the elements. */
static double objective(op_case *c, const soda_kernel *kernel, const soda_tensor *dy)
{
    CHECK_OK(op_run(kernel, &c->attr, c->in, c->inputs, c->out, c->outputs, c->frozen, 1));
    double sum = 0;
    for (int64_t i = 0; i < shape_count(&c->out[0].shape); i++)
        sum += get(dy, i) * get(&c->out[0], i);
    return sum;
}

void case_check_gradient(op_case *c, const soda_kernel *kernel, int wrt, const soda_tensor *dy,
                         const soda_tensor *gradient)
{
    const soda_tensor *x = &c->in[wrt];
    const double h = 0x1p-15;
    assert_true(shape_equal(&x->shape, &gradient->shape));
    assert_true(shape_equal(&c->out[0].shape, &dy->shape));
    double largest = 0;
    for (int64_t i = 0; i < shape_count(&x->shape); i++)
        largest = fmax(largest, fabs(get(gradient, i)));
    assert_true(largest > 0);
    for (int64_t i = 0; i < shape_count(&x->shape); i++) {
        const double value = get(x, i);
        set(x, i, value + h);
        const double above = objective(c, kernel, dy);
        set(x, i, value - h);
        const double below = objective(c, kernel, dy);
        set(x, i, value);
        const double slope = (above - below) / (2 * h), got = get(gradient, i);
        if (fabs(got - slope) <= 1e-7 * largest) continue;
        fail_msg("gradient in input %d, element %lld: %.12g, difference quotient %.12g", wrt,
                 (long long)i, got, slope);
    }
}

static void compare(const soda_tensor *got, const soda_tensor *want, op_bound bound, bool bf16,
                    const char *label, int k)
{
    const double rounding = got->dtype == SODA_BF16 ? 0x1p-8 : 0x1p-24;
    const double along = 4 * sqrt(bound.terms) * 0x1p-24 + (bf16 ? bound.inner * 0x1p-8 : 0);
    double largest = bound.size;
    for (int64_t i = 0; i < shape_count(&want->shape); i++)
        largest = fmax(largest, fabs(get(want, i)));
    for (int64_t i = 0; i < shape_count(&want->shape); i++) {
        const double a = get(got, i), b = get(want, i);
        const double allowed = rounding * fabs(b) + along * largest;
        if (fabs(a - b) <= allowed) continue;
        fail_msg("%s: output %d, element %lld: %.9g, wanted %.9g, off by %.3g > %.3g", label, k,
                 (long long)i, a, b, fabs(a - b), allowed);
    }
}

/* A NaN in input i must reach whatever it reaches in the reference, or a run that has gone wrong
 * would look sound. */
static void check_nan(op_case *c, const soda_kernel *kernel, const soda_kernel *ref, int i,
                      const soda_tensor *want, const char *label)
{
    const int64_t place = shape_count(&c->in[i].shape) / 2;
    const double before = get(&c->in[i], place);
    set(&c->in[i], place, (double)NAN);
    CHECK_OK(op_run(ref, &c->attr, c->in, c->inputs, want, c->outputs, c->frozen, 1));
    run(c, kernel, 1);
    for (int k = 0; k < c->outputs; k++)
        for (int64_t j = 0; j < shape_count(&want[k].shape); j++)
            if (isnan(get(&want[k], j)) && !isnan(get(&c->out[k], j)))
                fail_msg("%s: NaN in input %d became %g in output %d, element %lld", label, i,
                         get(&c->out[k], j), k, (long long)j);
    set(&c->in[i], place, before);
}

static bool takes_nan(const op_case *c, int i)
{
    const soda_dtype dtype = c->in[i].dtype;
    return c->in[i].data && !(c->frozen >> i & 1) && (dtype == SODA_F32 || dtype == SODA_BF16);
}

void case_compare(op_case *c, const soda_kernel *kernel, const soda_kernel *ref,
                  const op_bound *bound, const char *label)
{
    soda_tensor want[SODA_MAX_OUTPUTS], first[SODA_MAX_OUTPUTS];
    for (int k = 0; k < c->outputs; k++) want[k] = make(SODA_F64, c->out[k].shape, 0);
    CHECK_OK(op_run(ref, &c->attr, c->in, c->inputs, want, c->outputs, c->frozen, 1));
    run(c, kernel, 1);
    for (int k = 0; k < c->outputs; k++) {
        compare(&c->out[k], &want[k], bound[k], c->in[0].dtype == SODA_BF16, label, k);
        first[k] = make(c->out[k].dtype, c->out[k].shape, 0);
        memcpy(first[k].data, c->out[k].data, tensor_bytes(&first[k]));
    }
    run(c, kernel, 2);
    for (int k = 0; k < c->outputs; k++) {
        if (memcmp(first[k].data, c->out[k].data, tensor_bytes(&first[k])) != 0)
            fail_msg("%s: output %d has other bits the second time", label, k);
    }
    for (int i = 0; i < c->inputs; i++) {
        if (!takes_nan(c, i)) continue;
        check_nan(c, kernel, ref, i, want, label);
        if (SODA_TEST_SLOW) break; /* the reference takes the time */
    }
    for (int k = 0; k < c->outputs; k++) {
        memcpy(c->out[k].data, first[k].data, tensor_bytes(&first[k]));
        release(&first[k]);
        release(&want[k]);
    }
}
