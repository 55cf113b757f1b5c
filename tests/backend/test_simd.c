/* The copies of the CPU backend's own loops for every instruction set, against the reference; the
 * comparison in depth, operator by operator, is in tests/ops. Also: bits do not depend on threads
 * or on the run, and kernels that may work in place do. */
#include "backend/simd_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/parallel.h"
#include "backend/cpu/simd.h"

static void every_instruction_set_equals_the_reference(void **state)
{
    (void)state;
    const int top = (int)isa_now();
    for (int level = ISA_BASE; level <= top && level < SIMD_VARIANTS; level++) {
        isa_limit((isa_level)level);
        for (int s = 0; s < 2 * SUBJECTS; s++) {
            const subject *u = &subjects[s / 2];
            const soda_dtype type = s % 2 ? SODA_BF16 : SODA_F32;
            op_case c = {.inputs = 0};
            for (int i = 0; u->build(&c, i, type); i++) {
                char label[100];
                snprintf(label, sizeof label, "%s, case %d, %s, %s", u->name, i, dtype_name(type),
                         isa_name(isa_now()));
                const op_bound bound = {.terms = u->terms};
                case_compare(&c, u->cpu, u->ref, (op_bound[]){bound, bound, bound, bound}, label);
                case_free(&c);
            }
        }
    }
    isa_limit((isa_level)top);
}

static void bits_do_not_depend_on_threads_or_runs(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 8, 2};
    for (int s = 0; s < 2 * SUBJECTS; s++) {
        const subject *u = &subjects[s / 2];
        const soda_dtype type = s % 2 ? SODA_BF16 : SODA_F32;
        op_case c = {.inputs = 0};
        for (int i = 0; u->build(&c, i, type); i++) {
            void *first[SODA_MAX_OUTPUTS];
            for (int t = 0; t < 5; t += SODA_TEST_SLOW ? 2 : 1) {
                parallel_set_threads(threads[t]);
                case_run(&c, u->cpu);
                for (int k = 0; k < c.outputs; k++) {
                    const size_t bytes = tensor_bytes(&c.out[k]);
                    if (t == 0) {
                        first[k] = malloc(bytes);
                        memcpy(first[k], c.out[k].data, bytes);
                    } else if (memcmp(first[k], c.out[k].data, bytes) != 0) {
                        fail_msg("%s, case %d: other bits on %d threads", u->name, i, threads[t]);
                    }
                }
            }
            for (int k = 0; k < c.outputs; k++) free(first[k]);
            case_free(&c);
        }
    }
    parallel_set_threads(0);
}

static void check_in_place(const subject *u, soda_dtype type)
{
    op_case c = {.inputs = 0};
    for (int i = 0; u->build(&c, i, type); i++) {
        case_run(&c, u->cpu);
        const soda_tensor out = {c.out[0].dtype, c.out[0].shape, c.in[0].data};
        CHECK_OK(op_run(u->cpu, &c.attr, c.in, c.inputs, &out, 1, 0, 1));
        assert_memory_equal(out.data, c.out[0].data, tensor_bytes(&out));
        case_free(&c);
    }
}

static void operators_whose_rows_say_so_work_in_place(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        if (!(op_rows[op].flags & OP_IN_PLACE)) continue;
        int checked = 0;
        for (int s = 0; s < SUBJECTS; s++) {
            if (strcmp(subjects[s].name, op_rows[op].name) != 0) continue;
            check_in_place(&subjects[s], SODA_F32);
            check_in_place(&subjects[s], SODA_BF16);
            checked++;
        }
        if (!checked) fail_msg("%s: no case checks that it works in place", op_rows[op].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_instruction_set_equals_the_reference),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_runs),
        cmocka_unit_test(operators_whose_rows_say_so_work_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
