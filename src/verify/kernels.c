#include "verify/kernels.h"

#include <math.h>
#include <string.h>

enum { UNSET = 0xff };

static soda_status run(op_case *c, const kernel_pair *pair, int runs)
{
    for (int i = 0; i < c->outputs; i++)
        if (c->out[i].data) memset(c->out[i].data, UNSET, tensor_bytes(&c->out[i]));
    return case_execute(c, pair->kernel, pair->device, runs);
}

/* Runs the reference, which computes on the host. */
static soda_status run_reference(const op_case *c, const kernel_pair *pair, const soda_tensor *out)
{
    op_case other = *c;
    memcpy(other.out, out, sizeof other.out);
    return case_execute(&other, pair->ref, device_host(), 1);
}

static soda_status compare(const op_case *c, int k, const soda_tensor *want, op_bound bound,
                           double *worst)
{
    const soda_tensor *got = &c->out[k];
    const bool bf16 = c->in[0].dtype == SODA_BF16;
    const double rounding = got->dtype == SODA_BF16 ? 0x1p-8 : 0x1p-24;
    const double along = 4 * sqrt(bound.terms) * 0x1p-24 + (bf16 ? bound.inner * 0x1p-8 : 0);
    double largest = bound.size;
    for (int64_t i = 0; i < shape_count(&want->shape); i++)
        largest = fmax(largest, fabs(case_get(want, i)));
    for (int64_t i = 0; i < shape_count(&want->shape); i++) {
        const double a = case_get(got, i), b = case_get(want, i);
        const double allowed = rounding * fabs(b) + along * largest;
        if (!(fabs(a - b) <= allowed))
            return FAIL(SODA_ERR_NUMERIC,
                        "output %d, element %lld: %.9g, wanted %.9g, off by %.3g > %.3g", k,
                        (long long)i, a, b, fabs(a - b), allowed);
        if (allowed > 0) *worst = fmax(*worst, fabs(a - b) / allowed);
    }
    return SODA_OK;
}

/* A NaN in input i must reach whatever it reaches in the reference, or a run that has gone wrong
 * would look sound. */
static soda_status check_nan(op_case *c, const kernel_pair *pair, int i, const soda_tensor *want)
{
    const int64_t place = shape_count(&c->in[i].shape) / 2;
    const double before = case_get(&c->in[i], place);
    case_put(&c->in[i], place, (double)NAN);
    TRY(run_reference(c, pair, want));
    TRY(run(c, pair, 1));
    case_put(&c->in[i], place, before);
    for (int k = 0; k < c->outputs; k++)
        for (int64_t j = 0; j < shape_count(&want[k].shape); j++)
            if (isnan(case_get(&want[k], j)) && !isnan(case_get(&c->out[k], j)))
                return FAIL(SODA_ERR_NUMERIC,
                            "NaN in input %d became %g in output %d, element %lld", i,
                            case_get(&c->out[k], j), k, (long long)j);
    return SODA_OK;
}

static bool takes_nan(const op_case *c, int i)
{
    const soda_dtype dtype = c->in[i].dtype;
    return c->in[i].data && !(c->frozen >> i & 1) && (dtype == SODA_F32 || dtype == SODA_BF16);
}

static void copy(const soda_tensor *from, const soda_tensor *to)
{
    if (from->data && to->data) memcpy(to->data, from->data, tensor_bytes(to));
}

static bool equal(const soda_tensor *a, const soda_tensor *b)
{
    return a->data && b->data && memcmp(a->data, b->data, tensor_bytes(a)) == 0;
}

/* want [outputs] in fp64, first [outputs] as the kernel's */
static soda_status compare_all(const kernel_pair *pair, op_case *c, const op_bound *bound,
                               const soda_tensor *want, const soda_tensor *first, double *worst)
{
    TRY(run_reference(c, pair, want));
    TRY(run(c, pair, 1));
    for (int k = 0; k < c->outputs; k++) {
        TRY(compare(c, k, &want[k], bound[k], worst));
        copy(&c->out[k], &first[k]);
    }
    TRY(run(c, pair, 2));
    for (int k = 0; k < c->outputs; k++)
        if (!equal(&first[k], &c->out[k]))
            return FAIL(SODA_ERR_NUMERIC, "output %d has other bits the second time", k);
    for (int i = 0; i < c->inputs; i++) {
        if (!takes_nan(c, i)) continue;
        TRY(check_nan(c, pair, i, want));
        if (pair->brief) break;
    }
    for (int k = 0; k < c->outputs; k++) copy(&first[k], &c->out[k]);
    return SODA_OK;
}

soda_status kernels_compare_pair(const kernel_pair *pair, op_case *c, const op_bound *bound,
                                 const char *label, double *worst)
{
    soda_tensor want[SODA_MAX_OUTPUTS] = {0}, first[SODA_MAX_OUTPUTS] = {0};
    for (int k = 0; k < c->outputs; k++) {
        want[k] = case_tensor(c, SODA_F64, c->out[k].shape, 0);
        first[k] = case_tensor(c, c->out[k].dtype, c->out[k].shape, 0);
    }
    *worst = 0;
    soda_status s = c->no_memory ? FAIL(SODA_ERR_MEMORY, "out of memory")
                                 : compare_all(pair, c, bound, want, first, worst);
    for (int k = 0; k < c->outputs; k++) {
        case_drop(&want[k]);
        case_drop(&first[k]);
    }
    return status_prefix(s, "%s", label);
}

static void report(kernel_check *check, const kernel_result *result)
{
    if (check->note)
        check->note(check->context, result);
    else
        status_keep(&check->slot, result->status);
}

static int64_t elements(const op_case *c)
{
    int64_t count = 0;
    for (int i = 0; i < c->inputs; i++)
        if (c->in[i].shape.rank) count += shape_count(&c->in[i].shape);
    for (int i = 0; i < c->outputs; i++) count += shape_count(&c->out[i].shape);
    return count;
}

bool kernels_compare(kernel_check *check, soda_op op, op_case *c, const op_bound *bound,
                     const char *label)
{
    const kernel_pair pair = {.kernel = check->backend->kernel[op],
                              .ref = backend_ref()->kernel[op],
                              .device = check->backend->device,
                              .brief = check->brief};
    kernel_result result = {.op = op, .label = label};
    if (status_kept(&check->slot) || (check->most && elements(c) > check->most)) return false;
    result.status = kernels_compare_pair(&pair, c, bound, label, &result.worst);
    status_prefix(result.status, "%s", op_rows[op].name);
    report(check, &result);
    return result.status == SODA_OK;
}

void kernels_reference(kernel_check *check, soda_op op, op_case *c)
{
    kernel_result result = {.op = op, .label = "reference"};
    result.status = case_execute(c, backend_ref()->kernel[op], device_host(), 1);
    if (result.status != SODA_OK) report(check, &result);
}

void kernels_expect(kernel_check *check, soda_op op, bool holds, const char *label)
{
    kernel_result result = {.op = op, .label = label};
    if (holds) return;
    result.status = FAIL(SODA_ERR_NUMERIC, "%s: %s", op_rows[op].name, label);
    report(check, &result);
}
