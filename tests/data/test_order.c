/* The order of samples: every picture once an epoch, buckets kept apart, nothing but the seed and
 * the sample's number behind it. */
#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#include "data/order.h"

enum { MOST = 4096 };

/* Samples [0, count) of a run, micro-batch after micro-batch. */
static void draw(const order_options *options, order_sample *samples, int64_t count)
{
    soda_order *order;
    const int64_t micros = options->global_batch / options->batch;
    CHECK_OK(order_create(options, &order));
    for (int64_t at = 0; at < count; at += options->batch)
        order_samples(order, at / options->batch / micros, at / options->batch % micros,
                      samples + at);
    order_destroy(order);
}

static int times_seen(const order_sample *samples, int64_t count, int64_t image)
{
    int times = 0;
    for (int64_t i = 0; i < count; i++) times += samples[i].image == image;
    return times;
}

/* Batches of 1, 3 and 4 do not divide 10 alike: an epoch ends within a micro-batch too. */
static void every_picture_comes_once_an_epoch(void **state)
{
    (void)state;
    static order_sample samples[MOST];
    for (int64_t batch = 1; batch <= 4; batch++) {
        const order_options o = {
            .seed = 3, .count = 10, .batch = batch, .global_batch = 2 * batch, .variants = 1};
        draw(&o, samples, 20 * batch);
        for (int64_t epoch = 0; epoch < 2 * batch; epoch++)
            for (int64_t image = 0; image < 10; image++)
                assert_int_equal(times_seen(samples + 10 * epoch, 10, image), 1);
        for (int64_t i = 0; i < 20 * batch; i++) {
            assert_int_equal(samples[i].number, i);
            assert_int_equal(samples[i].variant, 0);
            assert_false(samples[i].drop_caption);
        }
    }
}

static void epochs_and_seeds_differ(void **state)
{
    (void)state;
    order_sample a[200], b[200];
    order_options o = {.count = 100, .batch = 1, .global_batch = 1, .variants = 1};
    draw(&o, a, 200);
    int same = 0;
    for (int i = 0; i < 100; i++) same += a[i].image == a[100 + i].image;
    assert_in_range(same, 0, 6); /* 1 expected; 7 or more has a chance of 1e-4 */
    o.seed = (uint64_t)1 << 40;
    draw(&o, b, 200);
    same = 0;
    for (int i = 0; i < 200; i++) same += a[i].image == b[i].image;
    assert_in_range(same, 0, 10);
}

/* Where a picture lies in an epoch is uniform: 4 pictures, 24 orders, 2400 epochs. */
static void all_orders_are_equally_likely(void **state)
{
    (void)state;
    static order_sample samples[9600];
    const order_options o = {.seed = 8, .count = 4, .batch = 1, .global_batch = 1, .variants = 1};
    int times[256] = {0};
    draw(&o, samples, 9600);
    for (int e = 0; e < 2400; e++) {
        int code = 0;
        for (int i = 0; i < 4; i++) code = code * 4 + (int)samples[4 * e + i].image;
        times[code]++;
    }
    double chi2 = 0;
    int orders = 0;
    for (int i = 0; i < 256; i++) {
        if (!times[i]) continue;
        orders++;
        chi2 += (times[i] - 100.0) * (times[i] - 100.0) / 100;
    }
    assert_int_equal(orders, 24);
    assert_true(chi2 < 49.7); /* 23 degrees of freedom: 1 in 1000 */
}

/* Whoever computes a micro-batch, in whatever order: the samples are those of one rank in a row. */
static void ranks_and_resumption_change_nothing(void **state)
{
    (void)state;
    static order_sample all[MOST];
    static const int64_t bucket[] = {4, 4, 0, 2, 2, 2, 4, 4, 4, 9, 4, 4, 2};
    const order_options o = {.seed = 5,
                             .count = 13,
                             .bucket = bucket,
                             .batch = 2,
                             .global_batch = 6,
                             .variants = 16,
                             .caption_dropout = 0.3};
    enum { STEPS = 60 };
    draw(&o, all, (int64_t)STEPS * 6);
    for (int ranks = 1; ranks <= 4; ranks++)
        for (int rank = 0; rank < ranks; rank++) {
            order_sample got[2];
            soda_order *order;
            CHECK_OK(order_create(&o, &order));
            for (int64_t step = STEPS - 1; step >= 0; step -= 1 + rank)
                for (int64_t micro = rank; micro < 3; micro += ranks) {
                    order_samples(order, step, micro, got);
                    for (int i = 0; i < 2; i++) {
                        const order_sample *want = &all[step * 6 + micro * 2 + i];
                        assert_int_equal(got[i].number, want->number);
                        assert_int_equal(got[i].image, want->image);
                        assert_int_equal(got[i].variant, want->variant);
                        assert_int_equal(got[i].drop_caption, want->drop_caption);
                    }
                }
            order_destroy(order);
        }
}

/* Buckets of 6, 1, 4 and 2 pictures in micro-batches of 3. After 3 epochs, every stream ends with a
 * whole micro-batch, and every picture was seen three times. */
static void micro_batches_hold_one_bucket(void **state)
{
    (void)state;
    static const int64_t bucket[] = {7, 7, 7, 12, 3, 3, 3, 3, 7, 7, 5, 5, 7};
    const order_options o = {
        .seed = 2, .count = 13, .bucket = bucket, .batch = 3, .global_batch = 3, .variants = 1};
    static order_sample samples[MOST];
    bool mixed = false;
    draw(&o, samples, 13 * 3 * 4);
    for (int i = 0; i < 13 * 3 * 4; i++)
        assert_int_equal(bucket[samples[i].image], bucket[samples[i / 3 * 3].image]);
    for (int block = 0; block < 4; block++)
        for (int64_t image = 0; image < 13; image++)
            assert_int_equal(times_seen(samples + (ptrdiff_t)block * 39, 39, image), 3);
    for (int i = 3; i + 3 < 39; i += 3) /* buckets do not come one after the other */
        mixed |= bucket[samples[i].image] < bucket[samples[i - 3].image];
    assert_true(mixed);
}

static void a_set_smaller_than_a_batch_wraps(void **state)
{
    (void)state;
    order_sample samples[35];
    const order_options o = {.seed = 2, .count = 2, .batch = 7, .global_batch = 7, .variants = 1};
    draw(&o, samples, 35);
    for (int i = 0; i + 1 < 34; i += 2) assert_true(samples[i].image + samples[i + 1].image == 1);
    const order_options one = {
        .seed = 2, .count = 1, .batch = 5, .global_batch = 35, .variants = 1};
    draw(&one, samples, 35);
    for (int i = 0; i < 35; i++) assert_int_equal(samples[i].image, 0);
}

/* 4000 draws: 5 sigma are 0.04 of a share of one half, 0.02 of one sixteenth. */
static void variants_and_dropped_captions_have_their_share(void **state)
{
    (void)state;
    static order_sample samples[4000];
    int variant[16] = {0}, dropped = 0, together = 0;
    const order_options o = {.seed = 1,
                             .count = 9,
                             .batch = 1,
                             .global_batch = 1,
                             .variants = 16,
                             .caption_dropout = 0.5};
    draw(&o, samples, 4000);
    for (int i = 0; i < 4000; i++) {
        variant[samples[i].variant]++;
        dropped += samples[i].drop_caption;
        together += samples[i].drop_caption && samples[i].variant < 8;
    }
    for (int v = 0; v < 16; v++) assert_in_range(variant[v], 250 - 80, 250 + 80);
    assert_in_range(dropped, 2000 - 160, 2000 + 160);
    assert_in_range(together, 1000 - 140, 1000 + 140); /* one does not follow the other */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_picture_comes_once_an_epoch),
        cmocka_unit_test(epochs_and_seeds_differ),
        cmocka_unit_test(all_orders_are_equally_likely),
        cmocka_unit_test(ranks_and_resumption_change_nothing),
        cmocka_unit_test(micro_batches_hold_one_bucket),
        cmocka_unit_test(a_set_smaller_than_a_batch_wraps),
        cmocka_unit_test(variants_and_dropped_captions_have_their_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
