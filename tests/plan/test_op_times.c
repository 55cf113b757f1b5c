/* Times of nodes: by a given speed they are its flops, and measured they cover every node. */
#include "support/check.h"

#include "model/random_weights.h"
#include "plan/op_times.h"

enum { ROWS = 7, IN = 48, OUT = 80 };

typedef struct {
    soda_weight_source *source;
    soda_graph *graph;
    soda_exec *exec;
} network;

/* Two equal products, one of another size, and a node that no output depends on. */
static void open_network(network *n)
{
    static const char *const names[3] = {"a", "b", "c"};
    soda_weight w;
    CHECK_OK(random_weights_create(1, 1, &n->source));
    CHECK_OK(graph_create(SODA_F32, &n->graph));
    const soda_id x = graph_input(n->graph, "x", SODA_F32, SHAPE(ROWS, IN));
    const soda_id z = graph_input(n->graph, "z", SODA_F32, SHAPE(2 * ROWS, IN));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(n->source->find(n->source, names[i], &SHAPE(OUT, IN), &w));
        graph_output(n->graph,
                     graph_linear(n->graph, i < 2 ? x : z, graph_weight(n->graph, &w), NO_VALUE),
                     i == 0   ? "y0"
                     : i == 1 ? "y1"
                              : "y2");
    }
    graph_scale(n->graph, x, 2);
    CHECK_OK(graph_status(n->graph));
    CHECK_OK(exec_plan(n->graph, backend_cpu(1), NULL, &n->exec));
}

static void close_network(network *n)
{
    exec_destroy(n->exec);
    graph_destroy(n->graph);
    random_weights_destroy(n->source);
}

static void a_given_speed_is_a_time_for_each_flop(void **state)
{
    (void)state;
    network n;
    op_times t;
    open_network(&n);
    CHECK_OK(op_times_given(n.graph, n.exec, 1000, &t));
    assert_int_equal(t.steps, 3);
    assert_int_equal(t.prologue, 0);
    assert_true(t.flops_forward == 2.0 * IN * OUT * (ROWS + ROWS + 2 * ROWS));
    assert_true(t.flops_backward == 0);
    assert_true(t.step_s[0] == 2.0 * IN * OUT * ROWS / 1000);
    assert_true(t.step_s[2] == 2 * t.step_s[0]);
    assert_int_equal(t.forward[OP_linear].calls, 3);
    assert_int_equal(t.forward[OP_scale].calls, 0);
    op_times_free(&t);
    close_network(&n);
}

static void each_kind_is_timed_once(void **state)
{
    (void)state;
    network n;
    op_times t, again;
    op_kinds known = {0};
    open_network(&n);
    CHECK_OK(op_times_measure(n.graph, n.exec, backend_cpu(1), 10, &known, &t));
    assert_int_equal(t.kinds, 2);
    assert_int_equal(t.measured, 2);
    assert_true(t.covered == 1);
    assert_true(t.step_s[0] > 0 && t.step_s[0] == t.step_s[1] && t.step_s[2] > 0);
    CHECK_OK(op_times_measure(n.graph, n.exec, backend_cpu(1), 10, &known, &again));
    assert_true(again.step_s[0] == t.step_s[0] && again.step_s[2] == t.step_s[2]);
    op_times_free(&t);
    op_times_free(&again);
    op_kinds_free(&known);
    close_network(&n);
}

static void without_time_the_longest_kind_stands_for_its_operator(void **state)
{
    (void)state;
    network n;
    op_times t;
    op_kinds known = {0};
    open_network(&n);
    CHECK_OK(op_times_measure(n.graph, n.exec, backend_cpu(1), 0, &known, &t));
    assert_int_equal(t.kinds, 2);
    assert_int_equal(t.measured, 1);
    assert_true(t.covered > 0.3 && t.covered < 0.8); /* about a half */
    assert_true(t.step_s[0] > 0 && t.step_s[2] > 0);
    op_times_free(&t);
    op_kinds_free(&known);
    close_network(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_given_speed_is_a_time_for_each_flop),
        cmocka_unit_test(each_kind_is_timed_once),
        cmocka_unit_test(without_time_the_longest_kind_stands_for_its_operator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
