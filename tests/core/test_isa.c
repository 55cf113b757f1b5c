/* Levels of instruction sets: what is chosen, and what is refused. */
#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#include "core/isa.h"

static void every_level_of_this_cpu_can_be_chosen(void **state)
{
    (void)state;
    for (int level = 0; level <= (int)isa_best(); level++) {
        CHECK_OK(isa_choose(isa_name((isa_level)level)));
        assert_int_equal(isa_now(), level);
        for (int other = 0; other < ISA_LEVELS; other++)
            assert_int_equal(isa_allows((isa_level)other), other <= level);
    }
}

static void the_option_goes_before_the_environment_before_the_cpu(void **state)
{
    (void)state;
    unsetenv("SODA_ISA");
    CHECK_OK(isa_choose(NULL));
    assert_int_equal(isa_now(), isa_best());
    setenv("SODA_ISA", "", 1);
    CHECK_OK(isa_choose(NULL));
    assert_int_equal(isa_now(), isa_best());
    setenv("SODA_ISA", "base", 1);
    CHECK_OK(isa_choose(NULL));
    assert_int_equal(isa_now(), ISA_BASE);
    CHECK_OK(isa_choose(isa_name(isa_best())));
    assert_int_equal(isa_now(), isa_best());
}

/* An unknown name, one that is only a part or has more, and a level that this CPU lacks. */
static void other_names_are_refused_with_those_of_this_cpu(void **state)
{
    (void)state;
    const char *bad[] = {"sse", "", "AVX2", "avx", "avx2 ", NULL};
    if (isa_best() < ISA_AMX) bad[5] = isa_name((isa_level)(isa_best() + 1));
    for (int i = 0; i < 6 && bad[i]; i++) {
        CHECK_OK(isa_choose("base"));
        CHECK_FAILS(isa_choose(bad[i]), SODA_ERR_USAGE);
        check_message_has("--isa: expected an instruction set of this CPU (base");
        check_message_has(isa_name(isa_best()));
        assert_int_equal(isa_now(), ISA_BASE); /* the choice before stays */
    }
    setenv("SODA_ISA", "sse", 1);
    CHECK_FAILS(isa_choose(NULL), SODA_ERR_USAGE);
    check_message_has("SODA_ISA: expected");
    check_message_has("found 'sse'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_of_this_cpu_can_be_chosen),
        cmocka_unit_test(the_option_goes_before_the_environment_before_the_cpu),
        cmocka_unit_test(other_names_are_refused_with_those_of_this_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
