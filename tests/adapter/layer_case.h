/* layer_case.h: one SODA layer with its bases, parameters and a loss, run on any backend. */
#pragma once

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/factorize.h"
#include "adapter/method.h"
#include "exec/exec.h"
#include "support/check.h"

enum { CASE_ROWS = 7, CASE_MOST = 42 * 42 };

/* A layer whose third singular value is closed by its delta. */
typedef struct {
    soda_layer layer;
    float w0[CASE_MOST], bias[42], basis[3][CASE_MOST];
    float param[METHOD_TENSORS][CASE_MOST]; /* of the method's tensors */
    const float *value[METHOD_TENSORS];     /* the same, as methods want them */
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

/* Whether the method shifts singular values, through relu. */
static inline bool case_is_svd(const soda_method *method)
{
    return method->bases == &factorize_kind_svd && method_has(method, METHOD_SPECTRUM);
}

/* n1 n2 n3 = n. Parameters: random rotations and shifts, or the ones training starts with. */
static inline void case_create(layer_case *c, const soda_method *method, int64_t m,
                               const int64_t *factor, bool random)
{
    const int64_t n = factor[0] * factor[1] * factor[2];
    soda_layer *l = &c->layer;
    *l = (soda_layer){.name = "unet.p", .method = method, .m = m, .n = n};
    memcpy(l->factor, factor, sizeof l->factor);
    check_fill_normal(c->w0, m * n, 1, 0.3f);
    check_fill_normal(c->bias, m, 2, 1);
    check_fill_normal(c->x, CASE_ROWS * n, 3, 1);
    check_fill_normal(c->target, CASE_ROWS * m, 4, 1);
    l->w0 = (soda_weight){"unet.p.weight", {SODA_F32, SHAPE(m, n), c->w0}, false};
    float *bases[METHOD_BASES];
    for (int i = 0; i < METHOD_BASES; i++) bases[i] = c->basis[i];
    for (int i = 0; i < method_bases(method); i++)
        l->basis[i] = (soda_weight){
            method->bases->leaf[i], {SODA_F32, method->bases->shape(m, n, i), c->basis[i]}, false};
    if (method->bases) CHECK_OK(method->bases->compute(c->w0, m, n, bases));
    for (int p = 0; p < method_tensors(method); p++) {
        const soda_shape shape = method_tensor_shape(l, p);
        method->tensors[p]->start(&(method_options){0}, &shape, c->param[p]);
        c->value[p] = c->param[p];
        if (!random) continue;
        if (method->tensors[p]->class == METHOD_ROTATION) {
            case_rotation(c->param[p], shape.dim[0], 10 + (uint32_t)p);
            continue;
        }
        check_fill_normal(c->param[p], shape.dim[0], 20, 0.2f);
        for (int64_t i = 0; i < shape.dim[0] && case_is_svd(method); i++) {
            /* Away from the corner of relu, on either side of it. */
            const float s = c->basis[1][i];
            float *delta = &c->param[p][i];
            *delta = i == 2 ? -s - 0.5f : fmaxf(*delta, 0.05f - s);
        }
    }
}

/* The layer in a graph: y = layer(x) in `compute`, loss = mse(y, target). */
typedef struct {
    soda_graph *graph;
    soda_exec *exec;
    soda_residency *residency;
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
                                : method_append(r->graph, l, (route_kind)route, x, w, b);
    graph_output(r->graph, y, "y");
    const soda_id target = graph_input(r->graph, "target", wide, SHAPE(1, CASE_ROWS, l->m));
    const soda_id weight = graph_input(r->graph, "weight", wide, SHAPE(1));
    const soda_id loss = graph_mse_loss(r->graph, y, target, weight);
    graph_output(r->graph, loss, "loss");
    CHECK_OK(graph_differentiate(r->graph, loss, NULL));
    CHECK_OK(resident_create(backend->device, &r->residency));
    CHECK_OK(exec_plan(r->graph, backend, NULL, &r->exec));
    CHECK_OK(exec_commit(r->exec, r->residency));
    char name[64];
    const float one = 1;
    CHECK_OK(exec_write_f32(r->exec, "x", c->x, CASE_ROWS * l->n));
    CHECK_OK(exec_write_f32(r->exec, "target", c->target, CASE_ROWS * l->m));
    CHECK_OK(exec_write_f32(r->exec, "weight", &one, 1));
    for (int p = 0; p < method_tensors(l->method) && route >= 0; p++) {
        const soda_shape shape = method_tensor_shape(l, p);
        CHECK_OK(exec_write_f32(r->exec, method_tensor_name(l, p, name, sizeof name), c->param[p],
                                shape_count(&shape)));
    }
    CHECK_OK(exec_run(r->exec));
}

static inline void run_destroy(layer_run *r)
{
    exec_destroy(r->exec);
    residency_close(r->residency);
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

/* "grad.unet.p.soda.R1" and so on; p == their number: "grad.x". Returns the count. */
static inline int64_t run_gradient(const layer_run *r, const soda_layer *l, int p, double *values)
{
    char param[64] = "x", name[80];
    soda_shape shape = SHAPE(CASE_ROWS, l->n);
    if (p < method_tensors(l->method)) {
        method_tensor_name(l, p, param, sizeof param);
        shape = method_tensor_shape(l, p);
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

/* Every method on every shape: how many that is, and the method and shape of one of them. */
static inline int case_count(void)
{
    int methods = 0;
    while (method_at(methods)) methods++;
    return methods * CASE_SHAPES;
}

static inline const soda_method *case_method(int which) { return method_at(which / CASE_SHAPES); }
static inline int case_shape(int which) { return which % CASE_SHAPES; }

static inline bool case_has_route(const soda_method *method, int route)
{
    return (method->routes & 1u << route) != 0;
}

static inline route_kind case_first_route(const soda_method *method)
{
    int route = 0;
    while (!case_has_route(method, route)) route++;
    return (route_kind)route;
}
