/* docs/configuration.md is what `soda train --keys` prints. */
#include "support/check.h"
#include "support/files.h"
#include "support/program.h"

static void the_page_of_keys_is_up_to_date(void **state)
{
    program_expect(program_run(*state, "soda train --keys >keys && diff " SODA_SOURCE_DIR
                                       "/docs/configuration.md keys && echo equal"),
                   0, "equal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_page_of_keys_is_up_to_date, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
