/* What a training step costs a GPU and its host, by the simulator's count. */
#include "run/trainer_case.h"

#include "backend/recorded.h"
#include "cusim/counters.h"
#include "train/noising.h"

/* Of a run of `steps` steps. */
static sim_counters count_run(const char *folder, const char *name, const char *model, int steps)
{
    const sim_counters before = sim_count;
    CHECK_OK(trainer_case(tested_backend(), folder, name, model, steps, NULL));
    const uint64_t graphs = sim_count.graph_kernels - before.graph_kernels;
    return (sim_counters){.launches = sim_count.launches - before.launches - graphs,
                          .graph_kernels = graphs,
                          .copies = sim_count.copies - before.copies,
                          .waits = sim_count.waits - before.waits,
                          .downloaded_bytes = sim_count.downloaded_bytes - before.downloaded_bytes,
                          .allocations = sim_count.allocations - before.allocations,
                          .graph_launches = sim_count.graph_launches - before.graph_launches};
}

/* What a third step takes: everything else is done by the shorter run too, recordings
 * included. Each run has its own cache, so that both do the same at their start. A step has two
 * micro-batches, each one launch of a graph; so is the update, but for one kernel that rounds the
 * sums behind the exchange. No model has another loop around its steps: SDXL if all is to run. */
static void a_step_waits_once_and_launches_graphs(void **state)
{
    enum { FIRST = 2, STEPS = 1, MICRO_BATCHES = 2 };
    static const char *const models[] = {TINY, TINY_XL};
    tested_backend(); /* opens the GPU */
    for (int i = 0; i < (tested_all() ? 2 : 1); i++) {
        char name[2][32];
        sim_counters run[2];
        for (int k = 0; k < 2; k++) {
            snprintf(name[k], sizeof name[k], "%d-%d", i, k);
            setenv("SODA_CACHE", files_path(*state, name[k]), 1);
            run[k] = count_run(*state, name[k], models[i], k ? FIRST + STEPS : FIRST);
        }
        print_message("a step: %.1f waits, %.0f bytes downloaded, %.1f graphs and %.1f kernels "
                      "launched, %.1f copies\n",
                      (double)(run[1].waits - run[0].waits) / STEPS,
                      (double)(run[1].downloaded_bytes - run[0].downloaded_bytes) / STEPS,
                      (double)(run[1].graph_launches - run[0].graph_launches) / STEPS,
                      (double)(run[1].launches - run[0].launches) / STEPS,
                      (double)(run[1].copies - run[0].copies) / STEPS);
        assert_int_equal(run[1].waits - run[0].waits, STEPS);
        assert_true(run[1].downloaded_bytes - run[0].downloaded_bytes <= STEPS * 64 << 10);
        assert_int_equal(run[1].allocations, run[0].allocations);
        assert_int_equal(run[1].graph_launches - run[0].graph_launches,
                         STEPS * (MICRO_BATCHES + 1));
        assert_int_equal(run[1].launches - run[0].launches, STEPS);
    }
}

/* What changes from step to step (inputs, timesteps, noise, learning rates, the numbers of AdamW
 * and of rotations) would keep its value in a recording if it were an argument of a kernel. */
static void recorded_runs_end_in_the_bytes_of_plain_ones(void **state)
{
    static const char *const models[] = {TINY, TINY_XL};
    static const char *const methods[] = {"adapter.method=soda_svd", "adapter.method=soda_lq"};
    soda_device *d = tested_backend()->device;
    const soda_device as_it_is = *d;
    setenv("SODA_CACHE", files_path(*state, "cache"), 1);
    for (int i = 0; i < 4; i += tested_all() ? 1 : 3) { /* a step of these takes seconds */
        const char *const sets[] = {methods[i / 2], "train.schedule.type=cosine",
                                    "train.schedule.warmup=2", NULL};
        char name[2][32];
        for (int plain = 0; plain < 2; plain++) {
            snprintf(name[plain], sizeof name[plain], "%s-%d", plain ? "plain" : "recorded", i);
            if (plain) d->record = NULL;
            const uint64_t before = sim_count.graph_launches;
            CHECK_OK(trainer_case(tested_backend(), *state, name[plain], models[i % 2], 3, sets));
            assert_true((sim_count.graph_launches > before) == !plain);
            d->record = as_it_is.record;
        }
        check_same_state(*state, name[0], name[1]);
    }
}

/* Of a run: draws of a picture's noise, and how many of them found the GPU with work that was
 * queued since the host waited for it, or since the first draw. */
static struct {
    uint64_t waits, queued, draws, behind_work;
    soda_status (*download)(soda_device *device, void *host, const void *from, size_t bytes);
} drawing;

static void note_wait(void)
{
    drawing.waits = sim_count.waits;
    drawing.queued = sim_count.queued;
}

static soda_status note_download(soda_device *device, void *host, const void *from, size_t bytes)
{
    const soda_status s = drawing.download(device, host, from, bytes);
    note_wait();
    return s;
}

/* The linker puts these around noising_draw. */
void __real_noising_draw(const noising_rules *rules, uint64_t number, const float *mean,
                         const float *std, int64_t count, noising_place to);
void __wrap_noising_draw(const noising_rules *rules, uint64_t number, const float *mean,
                         const float *std, int64_t count, noising_place to);
void __wrap_noising_draw(const noising_rules *rules, uint64_t number, const float *mean,
                         const float *std, int64_t count, noising_place to)
{
    if (!drawing.draws++) note_wait();
    drawing.behind_work += sim_count.waits == drawing.waits && sim_count.queued > drawing.queued;
    __real_noising_draw(rules, number, mean, std, count, to);
}

/* A step has two micro-batches: the second is drawn behind the launch of the first, the next step's
 * first behind the launch of the update; only the run's first finds a GPU that has nothing to do.
 */
static void noise_is_drawn_while_the_gpu_works(void **state)
{
    enum { STEPS = 3, MICRO_BATCHES = 2 };
    soda_device *d = tested_backend()->device;
    drawing.draws = drawing.behind_work = 0;
    drawing.download = d->download;
    d->download = note_download;
    setenv("SODA_CACHE", files_path(*state, "cache"), 1);
    CHECK_OK(trainer_case(tested_backend(), *state, "drawn", TINY, STEPS, NULL));
    d->download = drawing.download;
    print_message("%llu of %llu draws behind work of the GPU\n",
                  (unsigned long long)drawing.behind_work, (unsigned long long)drawing.draws);
    assert_int_equal(drawing.draws, STEPS * MICRO_BATCHES);
    assert_int_equal(drawing.behind_work, drawing.draws - 1);
}

typedef struct {
    soda_device *device;
    const soda_update *update;
    float *x;
} doubling;

static soda_status double_one(void *context)
{
    const doubling *b = context;
    return b->update->scale(b->device, 2, b->x, b->x, 1);
}

/* As when the arrays of params lie elsewhere: a network that was recorded must not write to the old
 * ones. */
static void a_recording_of_memory_that_is_gone_is_refused(void **state)
{
    (void)state;
    soda_device *d = tested_backend()->device;
    const soda_update *update = tested_backend()->update;
    recorded_work recorded = {0};
    for (int again = 0; again < 2; again++) {
        float *x, *bystander, got;
        const float one = 1;
        CHECK_OK(d->alloc(d, 1 << 10, (void **)&x));
        CHECK_OK(d->alloc(d, 1 << 10, (void **)&bystander));
        CHECK_OK(d->upload(d, x + 3, &one, sizeof one));
        doubling body = {d, update, x + 3};
        void *const memory[] = {NULL, x + 3};
        const device_work work = {double_one, &body, memory, 2};
        for (int i = 0; i < 3; i++) CHECK_OK(recorded_queue(&recorded, d, &work, 1));
        d->release(d, bystander);
        CHECK_OK(recorded_queue(&recorded, d, &work, 1));
        CHECK_OK(d->download(d, &got, x + 3, sizeof got));
        assert_true(got == 16);
        d->release(d, x);
        CHECK_FAILS(recorded_queue(&recorded, d, &work, 1), SODA_ERR_INTERNAL);
        check_message_has("was released since it was recorded");
        recorded_forget(&recorded, d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recording_of_memory_that_is_gone_is_refused),
        cmocka_unit_test(recorded_runs_end_in_the_bytes_of_plain_ones),
        cmocka_unit_test(noise_is_drawn_while_the_gpu_works),
        cmocka_unit_test(a_step_waits_once_and_launches_graphs),
    };
    return cmocka_run_group_tests(tests, trainer_setup, files_teardown);
}
