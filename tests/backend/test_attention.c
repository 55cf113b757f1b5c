/* attention and its gradient on the tested backend: every path that this machine can run, against
 * the reference, over odd shapes. */
#include "support/check.h"

#include <omp.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"
#include "support/tested.h"
#include "verify/case_layouts.h"

static void check_path(const char *path, soda_dtype dtype, const void *context)
{
    kernel_check check = tested_kernels();
    (void)context;
    kernels_attention_of(&check, dtype);
    CHECK_OK(status_prefix(status_take(&check.slot), "%s", path));
}

static void every_path_equals_the_reference(void **state)
{
    (void)state;
    tested_attention(SODA_F32, check_path, NULL);
    tested_attention(SODA_BF16, check_path, NULL);
}

static void same_bits(op_case *c, const soda_kernel *kernel, const char *label)
{
    const size_t bytes = tensor_bytes(&c->out[0]);
    char *first = malloc(bytes);
    assert_non_null(first);
    const int threads[] = {3, 1, 8, 3};
    const int before = omp_get_max_threads();
    for (int i = 0; i < (SODA_TEST_SLOW ? 2 : 4); i++) {
        omp_set_num_threads(threads[i]);
        case_run(c, kernel);
        if (i == 0)
            memcpy(first, c->out[0].data, bytes);
        else if (memcmp(first, c->out[0].data, bytes) != 0)
            fail_msg("%s: bits differ", label);
    }
    omp_set_num_threads(before);
    free(first);
}

/* The same bits with one thread, with more than there are heads, and with three, twice. */
static void check_bits(const char *path, soda_dtype dtype, const void *context)
{
    char label[96];
    const case_attention *z = context;
    op_case c = {.inputs = 0}, g = {.inputs = 0};
    snprintf(label, sizeof label, "%s, %s, [%lld,%lld], width %lld", path, dtype_name(dtype),
             (long long)z->Tq, (long long)z->Tk, (long long)z->width);
    case_attention_forward(&c, z, dtype, SODA_F32);
    same_bits(&c, &TESTED(attention), label);
    case_run(&c, &ref_attention);
    case_attention_grad(&g, &c);
    same_bits(&g, &TESTED(attention_grad), label);
    case_free(&c);
    case_free(&g);
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    for (int i = 0; i < CASE_ATTENTIONS; i++) {
        tested_attention(SODA_F32, check_bits, &case_attentions[i]);
        tested_attention(SODA_BF16, check_bits, &case_attentions[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_equals_the_reference),
        cmocka_unit_test(bits_do_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
