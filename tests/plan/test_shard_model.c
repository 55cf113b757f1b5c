/* What sharded weights take, and how long ranks wait for them, against numbers by hand. */
#include "support/check.h"

#include "plan/shard_model.h"

static void each_rank_keeps_its_part_and_the_ring(void **state)
{
    (void)state;
    const ledger_sums sums = {.all = 1064, .small = 64, .largest = 500};
    size_t ring;
    /* 1000 bytes in 4 parts of 250, each rounded up to whole lines */
    assert_int_equal(shard_bytes(&sums, (shard_layout){4, 600}, &ring), 64 + 256 + 600);
    assert_int_equal(ring, 600);
    assert_int_equal(shard_bytes(&sums, (shard_layout){4, 100}, &ring), 64 + 256 + 500);
    assert_int_equal(ring, 500); /* the largest form has to fit */
    assert_int_equal(shard_bytes(&sums, (shard_layout){4, 5000}, &ring), 64 + 256 + 1000);
    assert_int_equal(ring, 1000); /* all of them do */
}

/* Two visits of 8 MB and two steps each, at 1 s a step. */
static shard_walk walk(double bytes_per_s, double latency_s, size_t ring_bytes, soda_shape shape)
{
    static const double step_s[4] = {1, 1, 1, 1};
    weights_entry entries[2] = {
        {{"a", {SODA_F32, shape, NULL}, false}, {.form = 1, .bytes = 8000000}},
        {{"b", {SODA_F32, shape, NULL}, false}, {.form = 1, .bytes = 8000000}}};
    weights_use uses[3] = {
        {0, 0, 0, 0, 0}, {1, 0, 0, 0, 0}, {2, 0, 1, 0, 0}}; /* the first is used twice */
    weights_visit visits[2] = {{0, 1, 0, 2, 0, 0}, {2, 3, 2, 1, 0, 0}};
    const soda_weights weights = {.entries = entries,
                                  .uses = uses,
                                  .visits = visits,
                                  .entry_count = 2,
                                  .use_count = 3,
                                  .visit_count = 2};
    const shard_case c = {.weights = &weights,
                          .step_s = step_s,
                          .steps = 4,
                          .bytes_per_s = bytes_per_s,
                          .latency_s = latency_s};
    shard_walk w;
    CHECK_OK(shard_walk_visits(&c, (shard_layout){2, ring_bytes}, &w));
    return w;
}

static const soda_shape matrix = {.rank = 2, .dim = {2, 3}};

static void near(double got, double want)
{
    if (got < want - 1e-9 || got > want + 1e-9) fail_msg("got %.9f, wanted %.9f", got, want);
}

static void gathers_hide_behind_steps(void **state)
{
    (void)state;
    /* Half of each visit's 8 MB at 4 MB/s: 1 s, while the visit before takes 2 s. */
    const shard_walk w = walk(4e6, 0, 16000000, matrix);
    near(w.bytes, 8e6);
    near(w.gather_s, 2);
    near(w.wait_s, 0);
}

static void a_ring_without_room_ahead_hides_nothing(void **state)
{
    (void)state;
    const shard_walk w = walk(4e6, 0, 8000000, matrix);
    near(w.gather_s, 2);
    near(w.wait_s, 2);
}

static void a_slow_network_sets_the_pace(void **state)
{
    (void)state;
    /* 3.5 + 0.5 s for each visit of 2 s: 8 s of gathering in each pass, 4 s of steps */
    const shard_walk w = walk(4e6 / 3.5, 0.5, 16000000, matrix);
    near(w.gather_s, 8);
    near(w.wait_s, 4);
}

/* Of four visits of 1 MB, two go round in 3 MB, and two are kept whole for half a MB each: one of
 * each stretch of two that computes least. */
static void a_part_of_the_ring_keeps_forms(void **state)
{
    (void)state;
    static const double step_s[4] = {1, 1, 1, 1};
    weights_entry entries[4];
    weights_use uses[4];
    weights_visit visits[4];
    static const double flops[4] = {0, 9, 11, 14};
    for (int i = 0; i < 4; i++) {
        entries[i] = (weights_entry){{"w", {SODA_F32, matrix, NULL}, false}, {.bytes = 1000000}};
        uses[i] = (weights_use){.step = i, .entry = i, .flops = flops[i]};
        visits[i] = (weights_visit){.first_step = i, .last_step = i, .first_use = i, .uses = 1};
    }
    const soda_weights weights = {.entries = entries,
                                  .uses = uses,
                                  .visits = visits,
                                  .entry_count = 4,
                                  .use_count = 4,
                                  .visit_count = 4};
    const shard_case c = {
        .weights = &weights, .step_s = step_s, .steps = 4, .bytes_per_s = 1e6, .latency_s = 0.1};
    shard_walk w;
    CHECK_OK(shard_walk_visits(&c, (shard_layout){2, 3000000}, &w));
    near(w.bytes, 1e6); /* half of two */
    near(w.gather_s, 1.2);
}

static void vectors_stay(void **state)
{
    (void)state;
    const shard_walk w = walk(1, 1, 8000000, SHAPE(6));
    near(w.bytes, 0);
    near(w.gather_s, 0);
    near(w.wait_s, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rank_keeps_its_part_and_the_ring),
        cmocka_unit_test(gathers_hide_behind_steps),
        cmocka_unit_test(a_ring_without_room_ahead_hides_nothing),
        cmocka_unit_test(a_slow_network_sets_the_pace),
        cmocka_unit_test(a_part_of_the_ring_keeps_forms),
        cmocka_unit_test(vectors_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
