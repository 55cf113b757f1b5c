/* The checksums of the tested backend: core/checksum.h, and what ranks compare their state for: any
 * other bit, any two values that changed places. */
#include "support/check.h"

#include <string.h>

#include "core/checksum.h"
#include "support/update_case.h"

enum {
    COUNT = 40007
}; /* the blocks of a GPU go round twice, and not all threads the second time */

static uint64_t sum_of(const float *x, int64_t n)
{
    uint64_t sum = 7, *at = update_case_put(&sum, sizeof sum); /* is written over */
    float *memory;
    CHECK_OK(device->alloc(device, (size_t)n * sizeof *x + 1, (void **)&memory)); /* n may be 0 */
    CHECK_OK(device->upload(device, memory, x, (size_t)n * sizeof *x));
    CHECK_OK(update->checksum(device, memory, n, at));
    update_case_get(&sum, at, sizeof sum);
    device->release(device, memory);
    device->release(device, at);
    return sum;
}

/* {1, -2, 0}: mix(2^32 i + bits) by a program in Python, whose mix(0x9e3779b97f4a7c15) was the
 * published first number of SplitMix64 with seed 0, 0xe220a8397b1dcdaf. */
static void sums_are_those_of_splitmix64(void **state)
{
    (void)state;
    static const float few[] = {1, -2, 0};
    static const uint64_t want[] = {0, 0x2a5cf130132ea644, 0xbd02b0f97c63a1fe, 0x6d4420c99dc5947c};
    for (int64_t n = 0; n <= 3; n++) assert_true(sum_of(few, n) == want[n]);
    static float x[COUNT];
    check_fill_normal(x, COUNT, 5, 1);
    for (int64_t n = 0; n < 600; n += 1 + n / 3) assert_true(sum_of(x, n) == checksum_f32(x, n));
    assert_true(sum_of(x, COUNT) == checksum_f32(x, COUNT));
}

static void other_bits_and_other_places_have_another_sum(void **state)
{
    (void)state;
    static const int64_t places[] = {0, 1, 255, 256, 32767, 32768, COUNT - 1};
    enum { PLACES = sizeof places / sizeof *places };
    static float x[COUNT];
    check_fill_normal(x, COUNT, 6, 1);
    const uint64_t sum = sum_of(x, COUNT);
    for (int k = 0; k < PLACES; k++) {
        const float value = x[places[k]], other = x[places[(k + 1) % PLACES]];
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        bits ^= k % 2 ? 1 : 1u << 31;
        memcpy(&x[places[k]], &bits, sizeof bits);
        assert_true(sum_of(x, COUNT) != sum);
        x[places[k]] = other; /* the two change places */
        x[places[(k + 1) % PLACES]] = value;
        assert_true(sum_of(x, COUNT) != sum);
        x[places[k]] = value;
        x[places[(k + 1) % PLACES]] = other;
    }
    assert_true(sum_of(x, COUNT) == sum);
}

/* 0 and -0, NaN with another payload: bits count, not values. */
static void bits_count_and_not_values(void **state)
{
    (void)state;
    static const uint32_t words[][2] = {{0, 0x80000000}, {0x7fc00000, 0x7fc00001}};
    for (int i = 0; i < 2; i++) {
        float x[2];
        memcpy(x, words[i], sizeof x);
        assert_true(sum_of(&x[0], 1) != sum_of(&x[1], 1));
        const uint64_t nan = sum_of(&x[0], 1);
        assert_true(sum_of(&x[0], 1) == nan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_splitmix64),
        cmocka_unit_test(other_bits_and_other_places_have_another_sum),
        cmocka_unit_test(bits_count_and_not_values),
    };
    return cmocka_run_group_tests(tests, update_case_open, NULL);
}
