/* layer_case.h: one SODA layer with its bases, parameters and a loss, run on any backend. */
#pragma once

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/factorize.h"
#include "adapter/soda.h"
#include "exec/exec.h"
#include "support/check.h"

enum { CASE_ROWS = 7, CASE_MOST = 42 * 42 };

/* A layer whose third singular value is closed by its delta. */
typedef struct {
    soda_layer layer;
    float w0[CASE_MOST], bias[42], basis[3][CASE_MOST];
    float param[SODA_PARAMS][CASE_MOST]; /* R1, R2, R3, delta */
    float x[CASE_ROWS * 42], target[CASE_ROWS * 42];
} layer_case;

/* A rotation of side n: Gram-Schmidt on normals, in fp64. Its determinant may be -1. */
static inline void case_rotation(float *R, int64_t n, uint32_t seed)
{
    float values[42 * 42];
    double q[42 * 42];
    check_fill_normal(values, n * n, seed, 1);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t c = 0; c < n; c++) q[i * n + c] = (double)values[i * n + c];
        for (int64_t j = 0; j <= i; j++) {
            double dot = 0;
            for (int64_t c = 0; c < n; c++) dot += q[i * n + c] * q[j * n + c];
            for (int64_t c = 0; c < n; c++)
                q[i * n + c] = j < i ? q[i * n + c] - dot * q[j * n + c] : q[i * n + c] / sqrt(dot);
        }
    }
    for (int64_t i = 0; i < n * n; i++) R[i] = (float)q[i];
}

/* n1 n2 n3 = n. Parameters: random rotations and shifts, or the ones training starts with. */
static inline void case_create(layer_case *c, soda_method method, int64_t m, const int64_t *factor,
                               bool random)
{
    static const char *const names[2][3] = {{"p.U", "p.s", "p.Vh"}, {"p.Q", "p.diagonal", ""}};
    const int64_t n = factor[0] * factor[1] * factor[2], k = m < n ? m : n;
    soda_layer *l = &c->layer;
    *l = (soda_layer){.name = "unet.p", .method = method, .m = m, .n = n};
    memcpy(l->factor, factor, sizeof l->factor);
    check_fill_normal(c->w0, m * n, 1, 0.3f);
    check_fill_normal(c->bias, m, 2, 1);
    check_fill_normal(c->x, CASE_ROWS * n, 3, 1);
    check_fill_normal(c->target, CASE_ROWS * m, 4, 1);
    l->w0 = (soda_weight){"unet.p.weight", {SODA_F32, SHAPE(m, n), c->w0}, false};
    l->bases = method == SODA_METHOD_SVD ? 3 : 2;
    for (int i = 0; i < l->bases; i++)
        l->basis[i] = (soda_weight){
            names[method][i], {SODA_F32, soda_basis_shape(l, i, NULL), c->basis[i]}, false};
    if (method == SODA_METHOD_SVD)
        CHECK_OK(factorize_svd(c->w0, m, n, c->basis[0], c->basis[1], c->basis[2]));
    else
        CHECK_OK(factorize_lq(c->w0, m, n, c->basis[0], c->basis[1]));
    for (int p = 0; p < SODA_PARAMS; p++) soda_param_init(l, p, 0, c->param[p]);
    if (!random) return;
    for (int p = 0; p < SODA_DELTA; p++) case_rotation(c->param[p], factor[p], 10 + (uint32_t)p);
    check_fill_normal(c->param[SODA_DELTA], k, 20, 0.2f);
    for (int64_t i = 0; i < k && method == SODA_METHOD_SVD; i++) {
        /* Away from the corner of relu, on either side of it. */
        const float s = c->basis[1][i];
        float *delta = &c->param[SODA_DELTA][i];
        *delta = i == 2 ? -s - 0.5f : fmaxf(*delta, 0.05f - s);
    }
}

/* The layer in a graph: y = layer(x) in `compute`, loss = mse(y, target). */
typedef struct {
    soda_graph *graph;
    soda_exec *exec;
    soda_weights *weights;
} layer_run;

/* route -1: the frozen layer, without gradients. x is a param, so that dx is computed. */
static inline void run_create(layer_run *r, const layer_case *c, int route, soda_dtype compute,
                              const soda_backend *backend)
{
    const soda_layer *l = &c->layer;
    const soda_dtype wide = compute == SODA_F64 ? SODA_F64 : SODA_F32;
    CHECK_OK(graph_create(compute, &r->graph));
    soda_id x = graph_param(r->graph, "x", SHAPE(1, CASE_ROWS, l->n));
    if (compute != wide) x = graph_cast(r->graph, x, compute);
    const soda_weight bias = {"unet.p.bias", {SODA_F32, SHAPE(l->m), (void *)c->bias}, false};
    const soda_id w = graph_weight(r->graph, &l->w0), b = graph_weight(r->graph, &bias);
    const soda_id y = route < 0 ? graph_linear(r->graph, x, w, b)
                                : soda_append(r->graph, l, (route_kind)route, x, w, b);
    graph_output(r->graph, y, "y");
    const soda_id target = graph_input(r->graph, "target", wide, SHAPE(1, CASE_ROWS, l->m));
    const soda_id weight = graph_input(r->graph, "weight", wide, SHAPE(1));
    const soda_id loss = graph_mse_loss(r->graph, y, target, weight);
    graph_output(r->graph, loss, "loss");
    CHECK_OK(graph_differentiate(r->graph, loss, NULL));
    CHECK_OK(weights_create(&r->weights));
    CHECK_OK(exec_create(r->graph, backend, r->weights, NULL, &r->exec));
    char name[64];
    const float one = 1;
    CHECK_OK(exec_write_f32(r->exec, "x", c->x, CASE_ROWS * l->n));
    CHECK_OK(exec_write_f32(r->exec, "target", c->target, CASE_ROWS * l->m));
    CHECK_OK(exec_write_f32(r->exec, "weight", &one, 1));
    for (int p = 0; p < SODA_PARAMS && route >= 0; p++) {
        const soda_shape shape = soda_param_shape(l, p);
        CHECK_OK(exec_write_f32(r->exec, soda_param_name(l, p, name, sizeof name), c->param[p],
                                shape_count(&shape)));
    }
    CHECK_OK(exec_run(r->exec));
}

static inline void run_destroy(layer_run *r)
{
    exec_destroy(r->exec);
    weights_destroy(r->weights);
    graph_destroy(r->graph);
}

/* A value by name, in fp64 on an fp64 graph. */
static inline void run_read(const layer_run *r, const char *name, double *values, int64_t count)
{
    const soda_id id = graph_find(r->graph, name);
    assert_int_not_equal(id, NO_VALUE);
    if (graph_value(r->graph, id)->dtype == SODA_F64) {
        CHECK_OK(exec_read(r->exec, id, values, (size_t)count * sizeof *values));
        return;
    }
    float narrow[CASE_MOST];
    CHECK_OK(exec_read_f32(r->exec, name, narrow, count));
    for (int64_t i = 0; i < count; i++) values[i] = (double)narrow[i];
}

/* "grad.unet.p.soda.R1" and so on; p == SODA_PARAMS: "grad.x". Returns the count. */
static inline int64_t run_gradient(const layer_run *r, const soda_layer *l, int p, double *values)
{
    char param[64] = "x", name[80];
    soda_shape shape = SHAPE(CASE_ROWS, l->n);
    if (p < SODA_PARAMS) {
        soda_param_name(l, p, param, sizeof param);
        shape = soda_param_shape(l, p);
    }
    snprintf(name, sizeof name, "grad.%s", param);
    run_read(r, name, values, shape_count(&shape));
    return shape_count(&shape);
}

static inline double relative_l2(const double *a, const double *b, int64_t n)
{
    double error = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return norm > 0 ? sqrt(error / norm) : sqrt(error);
}

/* The layers every claim is tried on: m < n, m = n, m > n; unequal factors, one of them 1. */
static const struct {
    int64_t m, factor[3];
} case_shapes[] = {{11, {2, 3, 5}}, {30, {5, 2, 3}}, {41, {3, 5, 2}}, {13, {1, 7, 3}}};
enum { CASE_SHAPES = 4 };

/* Routes of a method: LQ has no factored one. */
static inline int case_routes(soda_method method)
{
    return method == SODA_METHOD_SVD ? ROUTE_COUNT : ROUTE_FACTORED;
}
