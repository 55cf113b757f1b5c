/* embedding and timestep_embedding. */
#include "support/check.h"

#include "backend/ref/kernels.h"
#include "support/op_case.h"
#include "support/tested.h"
#include "verify/case_layouts.h"

static void embedding_copies_rows(void **state)
{
    (void)state;
    const int32_t ids[] = {4, 0, 2, 4, 6, 1};
    op_case c = {.attr.cast.dtype = SODA_F64};
    double want[6 * 3];
    case_ids(&c, ids, SHAPE(2, 3));
    case_input(&c, SODA_F64, SHAPE(7, 3), 1);
    case_output(&c, SODA_F64, SHAPE(2, 3, 3));
    for (int i = 0; i < 18; i++) want[i] = case_get(&c.in[1], ids[i / 3] * 3 + i % 3);
    case_run(&c, &ref_embedding);
    case_check_values(&c, want, 18, 0);
    case_free(&c);
}

/* Row 4 is read twice: it gets both gradients. Rows 3 and 5 are not read. */
static void embedding_gradient_matches_finite_differences(void **state)
{
    (void)state;
    const int32_t ids[] = {4, 0, 2, 4, 6, 1};
    op_case c = {.attr.cast.dtype = SODA_F64}, g = {.inputs = 0};
    case_input(&g, SODA_F64, SHAPE(2, 3, 5), 1);
    case_ids(&g, ids, SHAPE(2, 3));
    case_input(&g, SODA_F64, SHAPE(7, 5), 1);
    case_output(&g, SODA_F64, SHAPE(7, 5));
    case_ids(&c, ids, SHAPE(2, 3));
    case_given(&c, &g.in[2]);
    case_output(&c, SODA_F64, SHAPE(2, 3, 5));
    case_run(&g, &ref_embedding_grad);
    case_check_gradient(&c, &ref_embedding, 1, &g.in[0], &g.out[0]);
    case_free(&c);
    case_free(&g);
}

static void embedding_refuses_an_id_outside_the_table(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        op_case c = {.attr.cast.dtype = SODA_F64};
        case_ids(&c, &(int32_t){i ? 7 : -1}, SHAPE(1));
        case_input(&c, SODA_F64, SHAPE(7, 3), 1);
        case_output(&c, SODA_F64, SHAPE(1, 3));
        CHECK_FAILS(case_execute(&c, &ref_embedding, device_host(), 1), SODA_ERR_INPUT);
        case_free(&c);
    }
}

/* sin and cos of t 10000^(-j/(half - shift)), 20 digits by mpmath; diffusers 0.42 agrees in fp32.
 */
static void timestep_embedding_has_known_values(void **state)
{
    (void)state;
    static const struct {
        timestep_embedding_attr attr;
        double want[2 * 7];
    } cases[] = {
        {{.width = 4, .cos_first = false, .shift = 0},
         {0.8414709848078965, 0.009999833334166664, 0.5403023058681398, 0.9999500004166653,
          0.8623570300010227, -0.4351654579691988, 0.5063006545599317, -0.9003505007442698}},
        {{.width = 7, .cos_first = true, .shift = 0},
         {0.5403023058681398, 0.9989229760406304, 0.9999976792064809, 0.8414709848078965,
          0.04639922346473127, 0.002154433023365604, 0.0, 0.5063006545599317, -0.27884985923455,
          -0.5283941010736063, 0.8623570300010227, 0.9603347104030301, 0.848999219051829, 0.0}},
        {{.width = 6, .cos_first = true, .shift = 1},
         {0.5403023058681398, 0.9999500004166653, 0.999999995, 0.8414709848078965,
          0.009999833334166664, 9.999999983333333e-05, 0.5063006545599317, -0.9003505007442698,
          0.9951281796694336, 0.8623570300010227, -0.4351654579691988, 0.09858958376927858}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int64_t width = cases[i].attr.width;
        op_case c = {.attr.timestep_embedding = cases[i].attr};
        case_input(&c, SODA_F64, SHAPE(2), 1);
        case_put(&c.in[0], 0, 1);
        case_put(&c.in[0], 1, 987.5);
        case_output(&c, SODA_F64, SHAPE(2, width));
        case_run(&c, &ref_timestep_embedding);
        /* 987.5 times a frequency is off by 2^-53 987.5, about 1e-13. */
        case_check_values(&c, cases[i].want, 2 * width, 3e-13);
        case_free(&c);
    }
}

static void tested_embedding_refuses_an_id_outside_the_table(void **state)
{
    (void)state;
    if (!TESTED_REFUSES_IDS) skip();
    for (int i = 0; i < 2; i++) {
        op_case c = {.attr.cast.dtype = SODA_F32};
        case_ids(&c, &(int32_t){i ? 7 : -1}, SHAPE(1));
        case_weight(&c, SODA_F32, SODA_F32, SHAPE(7, 3), 1);
        case_output(&c, SODA_F32, SHAPE(1, 3));
        CHECK_FAILS(case_execute(&c, &TESTED(embedding), tested_backend()->device, 1),
                    SODA_ERR_INPUT);
        case_free(&c);
    }
}

static void embedding_grad_matches_ref(void **state)
{
    (void)state, check_kernels(kernels_embedding_grad);
}

static void embedding_matches_ref(void **state) { (void)state, check_kernels(kernels_embedding); }

static void timestep_embedding_matches_ref(void **state)
{
    (void)state, check_kernels(kernels_timestep_embedding);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embedding_copies_rows),
        cmocka_unit_test(embedding_gradient_matches_finite_differences),
        cmocka_unit_test(embedding_grad_matches_ref),
        cmocka_unit_test(embedding_refuses_an_id_outside_the_table),
        cmocka_unit_test(timestep_embedding_has_known_values),
        cmocka_unit_test(embedding_matches_ref),
        cmocka_unit_test(tested_embedding_refuses_an_id_outside_the_table),
        cmocka_unit_test(timestep_embedding_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
