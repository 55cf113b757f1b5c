/* Every row of ops.def and the rules that belong to it. */
#include "support/check.h"

#include "graph/rule.h"

static void every_row_is_complete(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        const op_row *row = &op_rows[op];
        if (row->least_inputs < 1 || row->least_inputs > row->most_inputs ||
            row->most_inputs > SODA_MAX_INPUTS)
            fail_msg("%s: %d to %d inputs", row->name, row->least_inputs, row->most_inputs);
        if (row->outputs < 1 || row->outputs > SODA_MAX_OUTPUTS)
            fail_msg("%s: %d outputs", row->name, row->outputs);
        if (row->flags & ~(unsigned)(OP_IN_PLACE | OP_CONVERTS))
            fail_msg("%s: flags %x", row->name, row->flags);
        if (!rule_of[op]->shape || !rule_of[op]->cost)
            fail_msg("%s: no rule for shape or cost", row->name);
    }
}

/* A result may only take the place of an input of its type and shape. Rows that every input can
 * be: deltas are vectors. */
static void what_may_overwrite_its_input_has_its_shape(void **state)
{
    (void)state;
    const soda_value x = {.kind = VALUE_NODE, .dtype = SODA_BF16, .shape = SHAPE(5)};
    const soda_value *const in[SODA_MAX_INPUTS] = {&x, &x, &x, &x, &x, &x};
    const soda_attr attr = {{0}};
    int seen = 0;
    for (int op = 0; op < OP_COUNT; op++) {
        if (!(op_rows[op].flags & OP_IN_PLACE)) continue;
        soda_tensor out[SODA_MAX_OUTPUTS];
        CHECK_OK(rule_of[op]->shape(&attr, in, out));
        if (!shape_equal(&out[0].shape, &x.shape) || out[0].dtype != x.dtype)
            fail_msg("%s: its result does not fit into its input", op_rows[op].name);
        seen++;
    }
    assert_int_not_equal(seen, 0);
}

static void what_converts_has_one_input_and_one_output(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++)
        if ((op_rows[op].flags & OP_CONVERTS) &&
            (op_rows[op].most_inputs != 1 || op_rows[op].outputs != 1))
            fail_msg("%s: %d inputs, %d outputs", op_rows[op].name, op_rows[op].most_inputs,
                     op_rows[op].outputs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete),
        cmocka_unit_test(what_may_overwrite_its_input_has_its_shape),
        cmocka_unit_test(what_converts_has_one_input_and_one_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
