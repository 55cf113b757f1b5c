/* LAPACK in little address space: OpenBLAS, as it starts and in a first call, waits for ever where
 * it finds none for its buffers. */
#include "support/check.h"

#include "adapter/lapack.h"
#include "support/address_space.h"

static soda_status call(void)
{
    double a[4] = {3, 0, 0, 2}, s[2] = {0};
    const lapack_routines *lapack;
    TRY(lapack_enter(&lapack));
    const int info = lapack->svd('N', 2, 2, a, s, NULL, NULL);
    lapack_leave();
    if (info == LAPACK_NO_MEMORY) return FAIL(SODA_ERR_MEMORY, "out of memory");
    if (info || s[0] < 2.9 || s[0] > 3.1) return FAIL(SODA_ERR_NUMERIC, "info %d", info);
    return SODA_OK;
}

static void lapack_without_room_is_refused_for_want_of_memory(void **state)
{
    (void)state;
    address_space_test(512 << 10, 2 << 10, call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lapack_without_room_is_refused_for_want_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
