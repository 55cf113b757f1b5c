/* Weights that ranks hold between them, on GPUs: gathered in a stream of their own into a ring that
 * is too small for all of them, forwards and backwards, by networks that take turns. Whatever the
 * order in which the streams run, the results are those of weights that are always there. One rank
 * gathers from itself; tests/cusim/shard_test.sh has several. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/exec.h"
#include "support/tested.h"

enum { LAYERS = 10, SIDE = 64, ROWS = 5, RUNS = 4 };

static char names[2 * LAYERS][16];
static float values[2 * LAYERS][SIDE * SIDE];

static soda_weight weight_of(int i, soda_shape shape)
{
    snprintf(names[i], sizeof names[i], "w%d", i);
    for (int k = 0; k < SIDE * SIDE; k++) values[i][k] = (float)((k * 7 + i * 13) % 61 - 30) / 200;
    return (soda_weight){.name = names[i], .source = {SODA_F32, shape, values[i]}};
}

typedef struct {
    soda_graph *graph;
    soda_exec *exec;
} network;

/* `count` layers from `first` on, upwards or downwards. */
static void open_network(soda_residency *store, int first, int count, int way, network *n)
{
    CHECK_OK(graph_create(SODA_F32, &n->graph));
    soda_id x = graph_input(n->graph, "x", SODA_F32, SHAPE(ROWS, SIDE));
    for (int k = 0; k < count; k++) {
        const int i = first + way * k;
        const soda_weight w = weight_of(i, SHAPE(SIDE, SIDE)),
                          b = weight_of(LAYERS + i, SHAPE(SIDE));
        x = graph_linear(n->graph, x, graph_weight(n->graph, &w), graph_weight(n->graph, &b));
    }
    graph_output(n->graph, x, "y");
    CHECK_OK(exec_plan(n->graph, tested_backend(), NULL, &n->exec));
    CHECK_OK(exec_commit(n->exec, store));
}

static void close_network(network *n)
{
    exec_destroy(n->exec);
    graph_destroy(n->graph);
}

/* Runs both networks in turn without waiting, one of the runs as one who has no part in it; then
 * y: what each of them found last. */
static void run_both(soda_residency *store, float y[2][ROWS * SIDE])
{
    network n[2];
    float x[ROWS * SIDE];
    open_network(store, 0, LAYERS, 1, &n[0]);
    open_network(store, LAYERS - 3, LAYERS - 4, -1, &n[1]);
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < ROWS * SIDE; i++) x[i] = (float)((i + run * 5) % 23 - 11) / 10;
        for (int k = 0; k < 2; k++) {
            CHECK_OK(exec_write_f32(n[k].exec, "x", x, ROWS * SIDE));
            CHECK_OK(exec_run(n[k].exec));
        }
        CHECK_OK(exec_walk(n[0].exec, exec_runs(n[0].exec) + run % 2));
    }
    for (int k = 0; k < 2; k++) CHECK_OK(exec_read_f32(n[k].exec, "y", y[k], ROWS * SIDE));
    close_network(&n[0]);
    close_network(&n[1]);
}

static void gathered_weights_give_the_bits_of_resident_ones(void **state)
{
    (void)state;
    static float wanted[2][ROWS * SIDE], found[2][ROWS * SIDE];
    /* Four visits of one matrix; then all at once. */
    const size_t rings[] = {4 * SIDE * SIDE * sizeof(float), 0};
    soda_residency *store;
    CHECK_OK(resident_create(tested_backend()->device, &store));
    run_both(store, wanted);
    residency_close(store);
    for (int i = 0; i < 2; i++) {
        residency_report report;
        memset(found, 0, sizeof found);
        CHECK_OK(
            sharded_create(tested_backend(), comm_self(), &(sharded_options){1, rings[i]}, &store));
        run_both(store, found);
        store->report(store, &report);
        residency_close(store);
        assert_memory_equal(found, wanted, sizeof found);
        assert_true(report.gathered_bytes >= RUNS * (2 * LAYERS - 4) * SIDE * SIDE * sizeof(float));
        assert_false(report.timed);
        if (rings[i]) assert_int_equal(report.ring_bytes, rings[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gathered_weights_give_the_bits_of_resident_ones),
    };
    tested_backend();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
