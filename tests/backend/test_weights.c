/* The store of packed weights hands out each form once, and keeps it. */
#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "backend/backend.h"

/* More entries than the table starts with, so that it has to grow. */
static void every_form_is_made_once_and_kept(void **state)
{
    (void)state;
    enum { NAMES = 500, FORMS = 3 };
    static char *first[NAMES][FORMS];
    soda_weights *weights;
    CHECK_OK(weights_create(&weights));
    assert_int_equal(weights_bytes(weights), 0);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < NAMES; i++) {
            for (int form = 0; form < FORMS; form++) {
                char name[32];
                void *data;
                bool fresh;
                snprintf(name, sizeof name, "unet.block.%d.weight", i);
                CHECK_OK(weights_get(weights, name, (uint64_t)form, 64, &data, &fresh));
                assert_int_equal(fresh, pass == 0);
                assert_int_equal((uintptr_t)data % 64, 0);
                if (fresh) {
                    first[i][form] = data;
                    memset(data, i % 251 + form, 64);
                }
                assert_ptr_equal(data, first[i][form]);
                assert_int_equal(((unsigned char *)data)[63], i % 251 + form);
            }
        }
    }
    assert_int_equal(weights_bytes(weights), 64 * NAMES * FORMS);
    weights_destroy(weights);
}

static void a_form_of_another_size_is_refused(void **state)
{
    (void)state;
    soda_weights *weights;
    void *data;
    bool fresh;
    CHECK_OK(weights_create(&weights));
    CHECK_OK(weights_get(weights, "unet.w", 7, 128, &data, &fresh));
    CHECK_FAILS(weights_get(weights, "unet.w", 7, 64, &data, &fresh), SODA_ERR_INTERNAL);
    check_message_has("unet.w");
    CHECK_FAILS(weights_get(weights, "vae.w", 7, SIZE_MAX, &data, &fresh), SODA_ERR_MEMORY);
    CHECK_OK(weights_get(weights, "vae.w", 7, 64, &data, &fresh));
    assert_true(fresh);
    weights_destroy(weights);
}

static void operators_carry_their_names(void **state)
{
    (void)state;
    assert_string_equal(op_rows[OP_linear].name, "linear");
    assert_string_equal(op_rows[OP_mse_loss_grad].name, "mse_loss_grad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_made_once_and_kept),
        cmocka_unit_test(a_form_of_another_size_is_refused),
        cmocka_unit_test(operators_carry_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
