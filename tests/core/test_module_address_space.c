/* A module of the program in little address space. The loader's own words for that depend on which
 * of its steps failed. */
#include "support/check.h"

#include "core/module.h"
#include "support/address_space.h"

/* A small one that needs no library which is not here already. */
#define MODULE SODA_TEST_MODULES "/tests/libsoda_test_build.so"

static soda_status load(void)
{
    const void *symbol;
    return module_load(MODULE, "soda_backend_plugin", &symbol);
}

static void a_module_without_room_is_refused_for_want_of_memory(void **state)
{
    (void)state;
    address_space_test(1 << 10, 4, load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_module_without_room_is_refused_for_want_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
