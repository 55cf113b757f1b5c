/* Every backward rule, composed into one network, against central differences in fp64. */
#include "support/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec/exec.h"

enum { N = 2, H = 3, W = 4, C = 6, K = 6 };

typedef struct {
    soda_graph *graph;
    soda_exec *exec;
    soda_residency *residency;
} bench;

static float weight_data[4096];
static char weight_names[16][16];
static int weight_count;

/* A frozen weight, a window of one buffer of normals. */
static soda_id frozen(soda_graph *g, soda_shape shape)
{
    snprintf(weight_names[weight_count], sizeof weight_names[0], "w%d", weight_count);
    const soda_weight w = {
        weight_names[weight_count], {SODA_F32, shape, weight_data + 37 * weight_count}, false};
    weight_count++;
    return graph_weight(g, &w);
}

static soda_id attend(soda_graph *g, soda_id h, soda_id context)
{
    const soda_id tokens = graph_view(g, h, SHAPE(N, H * W, C));
    const soda_id normed =
        graph_layer_norm(g, tokens, frozen(g, SHAPE(C)), frozen(g, SHAPE(C)), 1e-5f);
    const soda_id q = graph_linear(g, normed, frozen(g, SHAPE(C, C)), frozen(g, SHAPE(C)));
    const soda_id o = graph_attention(g, q, context, context, 2, false);
    const soda_id causal = graph_attention(g, o, q, normed, 3, true);
    return graph_view(g, graph_add(g, causal, tokens), SHAPE(N, H, W, C));
}

/* Params enter in five places: activation-side, weight-side, factored spectrum, LQ rows, LQ
 * columns. */
static soda_id build(soda_graph *g)
{
    const soda_id x = graph_input(g, "x", SODA_F64, SHAPE(N, H, W, C));
    const soda_id temb = graph_input(g, "temb", SODA_F64, SHAPE(N, C));
    const soda_id context_in = graph_input(g, "context", SODA_F64, SHAPE(N, 5, C));
    const soda_id target = graph_input(g, "target", SODA_F64, SHAPE(N, H, W, C));
    const soda_id weight = graph_input(g, "weight", SODA_F64, SHAPE(N));
    const soda_id r[3] = {graph_param(g, "R1", SHAPE(1, 1)), graph_param(g, "R2", SHAPE(2, 2)),
                          graph_param(g, "R3", SHAPE(3, 3))};
    const soda_id delta = graph_param(g, "delta", SHAPE(K));

    graph_next_segment(g);
    soda_id h = graph_kron_rotate(g, x, r, false);
    h = graph_conv2d(g, h, frozen(g, SHAPE(C, C, 3, 3)), frozen(g, SHAPE(C)),
                     (conv2d_attr){.stride = 2, .bottom = 1, .right = 1, .top = 1, .left = 1});
    h = graph_upsample(g, h, H, W);
    const soda_id time = graph_linear(g, graph_spectral_scale(g, temb, frozen(g, SHAPE(C)), delta),
                                      frozen(g, SHAPE(C, C)), NO_VALUE);
    h = graph_add(g, h, graph_activation(g, time, ACT_SILU));
    h = graph_group_norm(g, h, frozen(g, SHAPE(C)), frozen(g, SHAPE(C)),
                         (group_norm_attr){.groups = 2, .eps = 1e-5f, .silu = true});
    h = graph_add(g, h, x);
    graph_next_segment(g);
    const soda_id w0 = graph_cast(g, frozen(g, SHAPE(C, C)), SODA_F64);
    const soda_id ws = graph_row_scale_add(g, w0, frozen(g, SHAPE(K, C)), delta);
    const soda_id w = graph_kron_rotate(g, ws, r, true);
    const soda_id context = graph_linear(g, context_in, w, NO_VALUE);
    h = attend(g, h, context);
    graph_next_segment(g);
    const soda_id tokens = graph_linear(g, h, frozen(g, SHAPE(K, C)), NO_VALUE);
    h = graph_column_scale_add(g, h, tokens, delta);
    h = graph_concat(g, h, graph_activation(g, x, ACT_GELU));
    h = graph_geglu(g, h);
    h = graph_linear_transposed(g, graph_scale(g, h, 0.5f), w, NO_VALUE);
    h = graph_activation(g, h, ACT_QUICK_GELU);
    h = graph_cast(g, graph_cast(g, h, SODA_F64), SODA_F64);
    const soda_id loss = graph_mse_loss(g, h, target, weight);
    graph_output(g, loss, "loss");
    return loss;
}

static void open_bench(bench *b, const bool *recompute)
{
    weight_count = 0;
    check_fill_normal(weight_data, 4096, 3, 0.5f);
    CHECK_OK(graph_create(SODA_F64, &b->graph));
    const soda_id loss = build(b->graph);
    CHECK_OK(graph_differentiate(b->graph, loss, recompute));
    CHECK_OK(resident_create(device_host(), &b->residency));
    CHECK_OK(exec_plan(b->graph, backend_ref(), NULL, &b->exec));
    CHECK_OK(exec_commit(b->exec, b->residency));
    float data[N * H * W * C];
    for (soda_id v = 0; v < graph_value_count(b->graph); v++) {
        const soda_value *value = graph_value(b->graph, v);
        if (value->kind != VALUE_INPUT && value->kind != VALUE_PARAM) continue;
        const int64_t count = shape_count(&value->shape);
        check_fill_normal(data, count, 100u + (uint32_t)v, 1);
        CHECK_OK(exec_write_f32(b->exec, value->name, data, count));
    }
}

static void close_bench(bench *b)
{
    exec_destroy(b->exec);
    residency_close(b->residency);
    graph_destroy(b->graph);
}

static double loss_of(bench *b)
{
    double loss;
    CHECK_OK(exec_run(b->exec));
    CHECK_OK(exec_read(b->exec, graph_find(b->graph, "loss"), &loss, sizeof loss));
    return loss;
}

static void read_gradient(bench *b, const char *param, double *g, size_t bytes)
{
    char name[32];
    snprintf(name, sizeof name, "grad.%s", param);
    CHECK_OK(exec_read(b->exec, graph_find(b->graph, name), g, bytes));
}

static const char *const params[] = {"R1", "R2", "R3", "delta"};

static void gradients_match_central_differences(void **state)
{
    (void)state;
    bench b;
    open_bench(&b, NULL);
    for (int p = 0; p < 4; p++) {
        const soda_id id = graph_find(b.graph, params[p]);
        const int count = (int)shape_count(&graph_value(b.graph, id)->shape);
        double x[16], g[16];
        const size_t bytes = (size_t)count * sizeof *x;
        CHECK_OK(exec_read(b.exec, id, x, bytes));
        loss_of(&b);
        read_gradient(&b, params[p], g, bytes);
        for (int i = 0; i < count; i++) {
            const double h = 1e-5, was = x[i]; /* error h^2 f''' / 6 plus rounding 1e-16 / h */
            x[i] = was + h;
            CHECK_OK(exec_write(b.exec, id, x, bytes));
            const double up = loss_of(&b);
            x[i] = was - h;
            CHECK_OK(exec_write(b.exec, id, x, bytes));
            const double down = loss_of(&b);
            x[i] = was;
            CHECK_OK(exec_write(b.exec, id, x, bytes));
            const double want = (up - down) / (2 * h);
            if (!(fabs(g[i] - want) <= 1e-7 * (1 + fabs(want))))
                fail_msg("%s[%d]: %.12g, by differences %.12g", params[p], i, g[i], want);
        }
    }
    close_bench(&b);
}

static void recomputation_changes_no_bit(void **state)
{
    (void)state;
    const bool recompute[4] = {true, true, true, true};
    bench kept, again;
    open_bench(&kept, NULL);
    open_bench(&again, recompute);
    assert_true(loss_of(&kept) == loss_of(&again));
    for (int p = 0; p < 4; p++) {
        double a[16] = {0}, b[16] = {0};
        const soda_shape *shape =
            &graph_value(kept.graph, graph_find(kept.graph, params[p]))->shape;
        const size_t bytes = (size_t)shape_count(shape) * sizeof *a;
        read_gradient(&kept, params[p], a, bytes);
        read_gradient(&again, params[p], b, bytes);
        assert_memory_equal(a, b, sizeof a);
    }
    close_bench(&kept);
    close_bench(&again);
}

/* A weight is turned in fp32 and used in bf16: its gradient is not rounded on the way back. */
static void gradients_of_weights_are_not_rounded(void **state)
{
    (void)state;
    soda_graph *g;
    weight_count = 0;
    CHECK_OK(graph_create(SODA_BF16, &g));
    const soda_id x = graph_input(g, "x", SODA_BF16, SHAPE(5, C));
    const soda_id target = graph_input(g, "target", SODA_F32, SHAPE(5, C));
    const soda_id r[3] = {graph_param(g, "R1", SHAPE(1, 1)), graph_param(g, "R2", SHAPE(2, 2)),
                          graph_param(g, "R3", SHAPE(3, 3))};
    const soda_id w = graph_kron_rotate(g, frozen(g, SHAPE(C, C)), r, true);
    const soda_id y = graph_linear(g, x, graph_cast(g, w, SODA_BF16), NO_VALUE);
    const soda_id loss = graph_mse_loss(g, y, target, graph_input(g, "weight", SODA_F32, SHAPE(5)));
    CHECK_OK(graph_differentiate(g, loss, NULL));
    int products = 0;
    for (int n = 0; n < graph_node_count(g); n++) {
        const soda_node *node = graph_node(g, n);
        products += node->op == OP_linear_grad_weight;
        assert_false(node->backward && node->op == OP_cast);
    }
    assert_int_equal(products, 1);
    graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_match_central_differences),
        cmocka_unit_test(recomputation_changes_no_bit),
        cmocka_unit_test(gradients_of_weights_are_not_rounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
