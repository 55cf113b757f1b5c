/* The recommended policy is the simplest that fits; and the time of a
 * reduction, by hand. */
#include "support/check.h"

#include <string.h>

#include "plan/advice.h"

static const size_t GIB = (size_t)1 << 30;

static advice_row row(run_weights policy, size_t gib)
{
    return (advice_row){.layout = {4, 2, policy, {4, GIB}, false},
                        .node_bytes = gib * GIB,
                        .room = 10 * GIB,
                        .time = {.step_s = 2, .wait_s = 1}};
}

static void expect(const advice_row *rows, int count, int want, const char *part)
{
    char reason[512];
    assert_int_equal(advice_choose(rows, count, reason, sizeof reason), want);
    if (!strstr(reason, part)) fail_msg("wanted \"%s\" in: %s", part, reason);
}

static void the_simplest_that_fits_is_chosen(void **state)
{
    (void)state;
    advice_row rows[3] = {row(WEIGHTS_REPLICATE, 10), row(WEIGHTS_NODE, 6), row(WEIGHTS_SHARD, 4)};
    expect(rows, 3, 0, "10.0 of 10.0 GiB");
    rows[0].node_bytes++;
    expect(rows, 3, 1, "replicate would need 10.0 GiB per node, node needs 6.0");
    rows[1].node_bytes = 11 * GIB;
    expect(rows, 3, 2, "traffic cannot hide: ranks wait 1.0 of 2.0 s");
    rows[2].time.wait_s = 0.1; /* a twentieth */
    expect(rows, 3, 2, "hides");
    rows[1].status = SODA_ERR_MEMORY;
    expect(rows, 3, 2, "node does not meet train.memory_limit");
}

static void without_one_that_fits_none_is_chosen(void **state)
{
    (void)state;
    advice_row rows[2] = {row(WEIGHTS_REPLICATE, 12), row(WEIGHTS_SHARD, 11)};
    expect(rows, 2, -1,
           "shard needs the least with 11.0 GiB per node, of which 10.0 GiB may be used; "
           "plan fewer ranks per node");
    rows[1].status = rows[0].status = SODA_ERR_MEMORY;
    strcpy(rows[0].why, "of 3 GiB");
    expect(rows, 2, -1, "train.memory_limit: of 3 GiB");
}

static void near(double got, double want)
{
    if (got < want - 1e-12 || got > want + 1e-12) fail_msg("got %.12f, wanted %.12f", got, want);
}

static void a_reduction_takes_its_bytes_and_rounds(void **state)
{
    (void)state;
    near(forecast_reduce_s(100, 1, 50, 0.25), 0);
    near(forecast_reduce_s(100, 2, 50, 0.25), 2 + 0.5);
    near(forecast_reduce_s(100, 4, 50, 0.25), 3 + 1);
    near(forecast_reduce_s(100, 5, 50, 0.25), 3.2 + 1.5); /* three rounds */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_simplest_that_fits_is_chosen),
        cmocka_unit_test(without_one_that_fits_none_is_chosen),
        cmocka_unit_test(a_reduction_takes_its_bytes_and_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
