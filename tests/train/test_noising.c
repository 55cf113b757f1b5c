/* Noise, timesteps and weights of training: functions of the seed and the sample's number, with the
 * distribution they should have. */
#include "support/check.h"

#include <math.h>
#include <string.h>

#include "core/philox.h"
#include "diffusion/min_snr.h"
#include "train/noising.h"

enum { STEPS = 10, COUNT = 4099 }; /* no multiple of a chunk */

static float alphas[STEPS] = {0.99f, 0.95f, 0.9f, 0.8f, 0.65f, 0.5f, 0.3f, 0.15f, 0.05f, 0.01f};
static const soda_schedule schedule = {STEPS, alphas, PREDICT_EPSILON, false, ""};
static const noising_rules rules = {&schedule, 0.25, 0, 7};

typedef struct {
    float sample[COUNT], target[COUNT], timestep, weight;
} draw;

static float mean[COUNT], std[COUNT];

static int fill(void **state)
{
    (void)state;
    check_fill_normal(mean, COUNT, 1, 3);
    check_fill_normal(std, COUNT, 2, 1);
    for (int i = 0; i < COUNT; i++) std[i] = fabsf(std[i]);
    return 0;
}

static void take(const noising_rules *r, uint64_t number, draw *d)
{
    memset(d, 0, sizeof *d);
    noising_draw(r, number, mean, std, COUNT,
                 (noising_place){d->sample, d->target, &d->timestep, &d->weight});
}

/* The correlation of two sets of numbers whose mean is zero: of independent ones it is about
 * 1 / sqrt(COUNT) = 0.016. */
static double correlation(const float *x, const float *y)
{
    double xy = 0, xx = 0, yy = 0;
    for (int i = 0; i < COUNT; i++) {
        xy += (double)x[i] * (double)y[i];
        xx += (double)x[i] * (double)x[i];
        yy += (double)y[i] * (double)y[i];
    }
    return xy / sqrt(xx * yy);
}

/* Mean 0, variance 1 and no outlier, within five standard deviations of such estimates. */
static void check_standard_normal(const float *x)
{
    double sum = 0, squares = 0, largest = 0;
    for (int i = 0; i < COUNT; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
        largest = fmax(largest, fabs((double)x[i]));
    }
    assert_true(fabs(sum / COUNT) <= 5 / sqrt(COUNT));
    assert_true(fabs(squares / COUNT - 1) <= 5 * sqrt(2.0 / COUNT));
    assert_true(largest > 3 && largest < 6);
}

static void draws_are_functions_of_seed_and_number(void **state)
{
    (void)state;
    /* the halves of a number count, and the bit that tells class images from others */
    static const uint64_t numbers[] = {0, 1, (uint64_t)1 << 32, (uint64_t)1 << 63};
    noising_rules other = rules;
    draw first, again;
    other.seed += (uint64_t)1 << 32;
    for (int i = 0; i < 4; i++) {
        take(&rules, numbers[i], &first);
        take(&rules, numbers[i], &again);
        assert_memory_equal(&first, &again, sizeof first);
        take(&other, numbers[i], &again);
        assert_true(fabs(correlation(first.target, again.target)) < 0.08);
        for (int k = 0; k < i; k++) {
            take(&rules, numbers[k], &again);
            assert_true(fabs(correlation(first.target, again.target)) < 0.08);
        }
    }
}

/* A sample is the same wherever in a batch it lies, and whatever was drawn before it. */
static void the_place_in_a_batch_does_not_matter(void **state)
{
    (void)state;
    static float sample[3][COUNT], target[3][COUNT];
    static const int order[3] = {2, 0, 1};
    float timestep[3], weight[3];
    draw alone;
    for (int i = 0; i < 3; i++) {
        const int b = order[i];
        noising_draw(&rules, 40 + (uint64_t)b, mean, std, COUNT,
                     (noising_place){sample[b], target[b], &timestep[b], &weight[b]});
    }
    for (int b = 0; b < 3; b++) {
        take(&rules, 40 + (uint64_t)b, &alone);
        assert_memory_equal(sample[b], alone.sample, sizeof alone.sample);
        assert_memory_equal(target[b], alone.target, sizeof alone.target);
        assert_true(timestep[b] == alone.timestep && weight[b] == alone.weight);
    }
}

/* x0 = factor (mean + std e): where a_t is 1 the sample is x0, and what is not the mean is e. */
static void latents_are_drawn_from_the_posterior(void **state)
{
    (void)state;
    static float ones[STEPS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const soda_schedule clean = {STEPS, ones, PREDICT_EPSILON, false, ""};
    const noising_rules r = {&clean, 0.25, 0, 7};
    float e[COUNT], drawn[COUNT];
    draw d;
    take(&r, 3, &d);
    philox_normal(philox_seed(r.seed), philox_at(3, PHILOX_POSTERIOR), drawn, COUNT);
    for (int i = 0; i < COUNT; i++)
        e[i] = std[i] > 0.01f ? (4 * d.sample[i] - mean[i]) / std[i] : drawn[i];
    check_standard_normal(d.target);
    check_standard_normal(e);
    check_max_diff(e, drawn, COUNT, 1e-3); /* rounding of a mean of 15, over a width of 0.01 */
    assert_true(fabs(correlation(e, d.target)) < 0.08);
}

/* sample = sqrt(a) x0 + sqrt(1 - a) noise; the target is the noise, or v. Here x0 is known: a
 * posterior without width. Few roundings of numbers of at most 15: 1e-5. */
static void samples_and_targets_are_the_schedules(void **state)
{
    (void)state;
    static const float narrow[COUNT];
    soda_schedule v = schedule;
    noising_rules other = rules;
    float sample[COUNT], target[COUNT], noise[COUNT], timestep, weight;
    v.prediction = PREDICT_V;
    other.schedule = &v;
    for (uint64_t number = 0; number < 8; number++) {
        noising_draw(&rules, number, mean, narrow, COUNT,
                     (noising_place){sample, noise, &timestep, &weight});
        noising_draw(&other, number, mean, narrow, COUNT,
                     (noising_place){sample, target, &timestep, &weight});
        const double a = (double)alphas[(int)timestep];
        for (int i = 0; i < COUNT; i++) {
            const double x0 = 0.25 * (double)mean[i], n = (double)noise[i];
            assert_true(fabs((double)sample[i] - (sqrt(a) * x0 + sqrt(1 - a) * n)) <= 1e-5);
            assert_true(fabs((double)target[i] - (sqrt(a) * n - sqrt(1 - a) * x0)) <= 1e-5);
        }
    }
}

/* 5000 draws of 10 timesteps: 500 each, give or take 21. */
static void timesteps_are_uniform(void **state)
{
    (void)state;
    int seen[STEPS] = {0};
    float sample, target, timestep, weight;
    for (uint64_t number = 0; number < 5000; number++) {
        noising_draw(&rules, number, mean, std, 1,
                     (noising_place){&sample, &target, &timestep, &weight});
        assert_true(timestep >= 0 && timestep < STEPS && timestep == floorf(timestep));
        seen[(int)timestep]++;
    }
    for (int t = 0; t < STEPS; t++) assert_in_range(seen[t], 500 - 5 * 21, 500 + 5 * 21);
}

static void weights_are_those_of_min_snr(void **state)
{
    (void)state;
    noising_rules capped = rules;
    draw d;
    capped.min_snr_gamma = 2;
    bool below = false, above = false;
    for (uint64_t number = 0; number < 40; number++) {
        take(&rules, number, &d);
        assert_true(d.weight == 1);
        const float timestep = d.timestep;
        take(&capped, number, &d);
        assert_true(d.timestep == timestep); /* the noise is that of a run without weights */
        assert_true(d.weight == (float)min_snr_weight(&schedule, (int)timestep, 2));
        below |= d.weight < 1;
        above |= d.weight == 1;
    }
    assert_true(below && above);
}

/* The held-out loss has the same noise at every step of a run, and never that of training. */
static void held_out_noise_is_apart_from_training(void **state)
{
    (void)state;
    float sample[COUNT], noise[COUNT], again[COUNT];
    draw d;
    for (uint64_t number = 0; number < 4; number++) {
        const int t = (int)number + 3;
        noising_held_out(&rules, number, t, mean, COUNT, sample, noise);
        noising_held_out(&rules, number, t + 1, mean, COUNT, sample, again);
        assert_memory_equal(noise, again, sizeof noise); /* of the number, not of the timestep */
        noising_held_out(&rules, number, t, mean, COUNT, sample, noise);
        check_standard_normal(noise);
        const double a = (double)alphas[t];
        for (int i = 0; i < COUNT; i++) {
            const double want = sqrt(a) * 0.25 * (double)mean[i] + sqrt(1 - a) * (double)noise[i];
            assert_true(fabs((double)sample[i] - want) <= 1e-5);
        }
        for (uint64_t k = 0; k < 4; k++) {
            take(&rules, k, &d);
            assert_true(fabs(correlation(noise, d.target)) < 0.08);
            noising_held_out(&rules, k + 4, t, mean, COUNT, sample, again);
            assert_true(fabs(correlation(noise, again)) < 0.08);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_are_functions_of_seed_and_number),
        cmocka_unit_test(the_place_in_a_batch_does_not_matter),
        cmocka_unit_test(latents_are_drawn_from_the_posterior),
        cmocka_unit_test(samples_and_targets_are_the_schedules),
        cmocka_unit_test(timesteps_are_uniform),
        cmocka_unit_test(weights_are_those_of_min_snr),
        cmocka_unit_test(held_out_noise_is_apart_from_training),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
