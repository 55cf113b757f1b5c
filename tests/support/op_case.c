#include "support/op_case.h"

#include <math.h>
#include <string.h>

#include "support/check.h"
#include "support/tested.h"

enum { UNSET = 0xff };

void case_run(op_case *c, const soda_kernel *kernel)
{
    for (int i = 0; i < c->outputs; i++) memset(c->out[i].data, UNSET, tensor_bytes(&c->out[i]));
    CHECK_OK(case_execute(c, kernel, tested_device(kernel), 1));
}

void case_check_values(const op_case *c, const double *want, int64_t count, double bound)
{
    assert_int_equal(shape_count(&c->out[0].shape), count);
    for (int64_t i = 0; i < count; i++) {
        const double got = case_get(&c->out[0], i);
        if (fabs(got - want[i]) <= bound) continue;
        fail_msg("element %lld: %.17g, wanted %.17g", (long long)i, got, want[i]);
    }
}

/* sum of dy out[0], in the order of the elements. */
static double objective(op_case *c, const soda_kernel *kernel, const soda_tensor *dy)
{
    CHECK_OK(case_execute(c, kernel, tested_device(kernel), 1));
    double sum = 0;
    for (int64_t i = 0; i < shape_count(&c->out[0].shape); i++)
        sum += case_get(dy, i) * case_get(&c->out[0], i);
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
        largest = fmax(largest, fabs(case_get(gradient, i)));
    assert_true(largest > 0);
    for (int64_t i = 0; i < shape_count(&x->shape); i++) {
        const double value = case_get(x, i);
        case_put(x, i, value + h);
        const double above = objective(c, kernel, dy);
        case_put(x, i, value - h);
        const double below = objective(c, kernel, dy);
        case_put(x, i, value);
        const double slope = (above - below) / (2 * h), got = case_get(gradient, i);
        if (fabs(got - slope) <= 1e-7 * largest) continue;
        fail_msg("gradient in input %d, element %lld: %.12g, difference quotient %.12g", wrt,
                 (long long)i, got, slope);
    }
}

void case_compare(op_case *c, const soda_kernel *kernel, const soda_kernel *ref,
                  const op_bound *bound, const char *label)
{
    const kernel_pair pair = {kernel, ref, tested_device(kernel), SODA_TEST_SLOW};
    double worst;
    CHECK_OK(kernels_compare_pair(&pair, c, bound, label, &worst));
}

/* Where the reference takes all the time: no large cases. */
kernel_check tested_kernels(void)
{
    return (kernel_check){
        .backend = tested_backend(), .most = SODA_TEST_SLOW ? 200000 : 0, .brief = SODA_TEST_SLOW};
}

void check_kernels(void (*family)(kernel_check *))
{
    kernel_check check = tested_kernels();
    family(&check);
    CHECK_OK(status_take(&check.slot));
}
