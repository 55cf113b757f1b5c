/* What is wrong while a graph is built or differentiated is reported by the graph. */
#include "support/check.h"

#include "graph/graph.h"

static void mistakes_stay_in_the_graph(void **state)
{
    (void)state;
    soda_graph *g;
    CHECK_OK(graph_create(SODA_F32, &g));
    const soda_id a = graph_input(g, "a", SODA_F32, SHAPE(2, 3));
    const soda_id b = graph_input(g, "b", SODA_F32, SHAPE(2, 4));
    assert_int_equal(graph_add(g, a, b), NO_VALUE);
    const int nodes = graph_node_count(g);
    assert_int_equal(graph_scale(g, a, 2), NO_VALUE);
    assert_int_equal(graph_node_count(g), nodes);
    CHECK_FAILS(graph_status(g), SODA_ERR_INPUT);
    check_message_has("add: a [2,3] does not fit b [2,4] of b");
    graph_destroy(g);
}

static void unreached_params_are_an_error(void **state)
{
    (void)state;
    soda_graph *g;
    CHECK_OK(graph_create(SODA_F32, &g));
    const soda_id p = graph_input(g, "p", SODA_F32, SHAPE(1, 2));
    const soda_id loss = graph_mse_loss(g, p, p, graph_input(g, "w", SODA_F32, SHAPE(1)));
    graph_param(g, "lonely", SHAPE(2));
    CHECK_FAILS(graph_differentiate(g, loss, NULL), SODA_ERR_INTERNAL);
    check_message_has("lonely");
    graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_stay_in_the_graph),
        cmocka_unit_test(unreached_params_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
