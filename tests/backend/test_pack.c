/* Packing of frozen weights: every type a file may hold, any address, any place. */
#include "support/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/pack.h"
#include "backend/cpu/simd.h"

/* All 65536 numbers of a 16-bit type, one byte off any alignment, 3 more to end in a short rest. */
enum { COUNT = 65536 + 3 };

static void pack_all(soda_dtype from, float *x)
{
    soda_weights *wanted;
    static char bytes[2 * COUNT + 1];
    for (int i = 0; i < COUNT; i++) {
        const uint16_t bits = (uint16_t)i;
        memcpy(bytes + 1 + 2 * i, &bits, 2);
    }
    const soda_weight weight = {.name = "all", .source = {from, SHAPE(COUNT), bytes + 1}};
    const soda_call call = {.inputs = 1, .weight = {&weight}};
    CHECK_OK(weights_create(&wanted));
    CHECK_OK(pack_vector(&call, wanted, 0));
    const weights_form *form = &wanted->entries[0].form;
    assert_int_equal(form->bytes, COUNT * sizeof *x);
    CHECK_OK(form->fill(&weight, form->recipe, x));
    weights_destroy(wanted);
}

static void check_all(soda_dtype from, float (*value)(uint16_t))
{
    const int top = (int)isa_now();
    for (int level = ISA_BASE; level <= top && level < SIMD_VARIANTS; level++) {
        static float x[COUNT];
        isa_limit((isa_level)level);
        pack_all(from, x);
        isa_limit((isa_level)top);
        for (int i = 0; i < COUNT; i++) {
            const float want = value((uint16_t)i);
            if (isnan(want))
                assert_true(isnan(x[i]));
            else
                assert_memory_equal(&x[i], &want, sizeof want); /* signs of zero count */
        }
    }
}

static float from_bf16(uint16_t bits) { return bf16_to_float(bits); }

static void every_half_becomes_its_float(void **state)
{
    (void)state;
    check_all(SODA_F16, f16_to_float);
    check_all(SODA_BF16, from_bf16);
}

/* 70 x 131 elements cross the tiles of 64 both ways; the places are a transpose with a gap. */
static void tables_say_where_elements_go(void **state)
{
    (void)state;
    enum { ROWS = 70, COLUMNS = 131, GAP = 72 };
    static float source[ROWS * COLUMNS], wide[COLUMNS * GAP];
    static uint16_t narrow[COLUMNS * GAP];
    int64_t row[ROWS], column[COLUMNS];
    check_fill_normal(source, ROWS * COLUMNS, 5, 1);
    for (int r = 0; r < ROWS; r++) row[r] = r;
    for (int c = 0; c < COLUMNS; c++) column[c] = (int64_t)c * GAP;
    pack_table(source, SODA_F32, ROWS, COLUMNS, row, column, wide, SODA_F32);
    pack_table(source, SODA_F32, ROWS, COLUMNS, row, column, narrow, SODA_BF16);
    for (int c = 0; c < COLUMNS; c++) {
        for (int r = 0; r < GAP; r++) {
            const float want = r < ROWS ? source[r * COLUMNS + c] : 0;
            assert_memory_equal(&wide[c * GAP + r], &want, sizeof want);
            assert_int_equal(narrow[c * GAP + r], bf16_from_float(want));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_becomes_its_float),
        cmocka_unit_test(tables_say_where_elements_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
