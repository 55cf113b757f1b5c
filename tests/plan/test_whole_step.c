/* Times of a network that runs whole: they replace every node's, add up to what a step takes, and
 * nothing is run that would take too long or has no random weights. */
#include "support/check.h"

#include <math.h>
#include <string.h>

#include "core/log.h"
#include "model/random_weights.h"
#include "plan/whole_step.h"

static const double SPEED = 1e9; /* flop/s that the nodes are said to have */

typedef struct {
    run_config *config;
    soda_folder *folder;
    soda_weight_source *weights;
    outline_request request;
    soda_outline outline;
    op_times times;
} subject;

static void open_subject(subject *s, const char *text)
{
    *s = (subject){0};
    CHECK_OK(run_config_parse(text, strlen(text), "text", NULL, 0, &s->config));
    CHECK_OK(folder_open(SODA_TEST_DIR "/golden/tiny-sd1", &s->folder));
    CHECK_OK(random_weights_create(0.02f, 1, &s->weights));
    s->request = (outline_request){.config = s->config,
                                   .backend = backend_cpu(1),
                                   .unet = s->weights,
                                   .unet_folder = s->folder,
                                   .sharers = 1,
                                   .machine_bytes = (size_t)1 << 30};
    CHECK_OK(outline_open(&s->request, &s->outline));
    const soda_network *net = &outline_step(&s->outline)->net;
    CHECK_OK(op_times_given(net->graph, net->exec, SPEED, &s->times));
}

static void close_subject(subject *s)
{
    op_times_free(&s->times);
    outline_close(&s->outline);
    random_weights_destroy(s->weights);
    folder_close(s->folder);
    run_config_destroy(s->config);
}

static double total_s(const op_times *t) { return t->prologue_s + t->rest_s; }

static const char small[] = "data: {resolution: 64}\n";

static void replaces_the_time_of_every_node(void **state)
{
    (void)state;
    subject s;
    open_subject(&s, small);
    const double flops = s.times.flops_forward + s.times.flops_backward;
    const int calls = s.times.forward[OP_linear].calls;
    double sum_s = 0;
    for (int ranks = 1; ranks <= 2; ranks++) {
        for (int i = 0; i < s.times.steps; i++) s.times.step_s[i] = -1;
        const double start_s = log_seconds();
        CHECK_OK(whole_step_measure(&s.outline, outline_step(&s.outline), ranks, 1e9, &s.times));
        const double all_s = log_seconds() - start_s;
        for (int i = 0; i < s.times.steps; i++) assert_true(s.times.step_s[i] >= 0);
        assert_true(total_s(&s.times) < all_s); /* one of its runs */
    }
    for (int i = 0; i < s.times.steps; i++) sum_s += s.times.step_s[i];
    assert_true(fabs(sum_s - total_s(&s.times)) < 1e-9);
    assert_true(s.times.flops_forward + s.times.flops_backward == flops);
    assert_int_equal(s.times.forward[OP_linear].calls, calls);
    close_subject(&s);
}

static void leaves_long_runs_alone(void **state)
{
    (void)state;
    subject s;
    open_subject(&s, small);
    const double before_s = total_s(&s.times);
    CHECK_OK(whole_step_measure(&s.outline, outline_step(&s.outline), 1, 5.9 * before_s, &s.times));
    assert_true(total_s(&s.times) == before_s);
    CHECK_OK(whole_step_measure(&s.outline, outline_step(&s.outline), 1, 6.1 * before_s, &s.times));
    assert_true(total_s(&s.times) != before_s);
    close_subject(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces_the_time_of_every_node),
        cmocka_unit_test(leaves_long_runs_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
