/* Every method as graph nodes (docs/method.md), by every route that it has. */
#include "adapter/layer_case.h"

/* delta = 0, R = I: the frozen layer. LQ to the bit in fp64; SVD up to the rounding of its bases to
 * fp32: an entry of W0 is off by sum |u s v| 3 * 2^-24 <= ||s|| 1.8e-7 (see test_factorize), ||s||
 * is 0.3 sqrt(m n) < 11, and y sums n such errors times normals: 11 * 1.8e-7 * sqrt(42) = 1.3e-5.
 */
static void starts_as_the_frozen_layer(void **state)
{
    (void)state;
    static layer_case c;
    double want[CASE_MOST], got[CASE_MOST];
    for (int which = 0; which < case_count(); which++) {
        const soda_method *method = case_method(which);
        const int64_t m = case_shapes[case_shape(which)].m;
        case_create(&c, method, m, case_shapes[case_shape(which)].factor, false);
        layer_run frozen;
        run_create(&frozen, &c, -1, SODA_F64, backend_ref());
        run_read(&frozen, "y", want, CASE_ROWS * m);
        for (int route = 0; route < ROUTE_COUNT; route++) {
            if (!case_has_route(method, route)) continue;
            layer_run r;
            run_create(&r, &c, route, SODA_F64, backend_ref());
            run_read(&r, "y", got, CASE_ROWS * m);
            for (int i = 0; i < CASE_ROWS * m; i++)
                assert_true(fabs(got[i] - want[i]) <= (case_is_svd(method) ? 1.3e-5 : 1e-14));
            run_destroy(&r);
        }
        run_destroy(&frozen);
    }
}

/* Which tensor shifts the spectrum; the last one if there is one. */
static int delta_of(const soda_method *method) { return method_tensors(method) - 1; }

/* In fp64 the routes differ by the order of sums of at most 42 terms: 1e-13 relative. */
static void routes_agree(void **state)
{
    (void)state;
    static layer_case c;
    double first[CASE_MOST], other[CASE_MOST];
    for (int which = 0; which < case_count(); which++) {
        const soda_method *method = case_method(which);
        const int64_t m = case_shapes[case_shape(which)].m;
        case_create(&c, method, m, case_shapes[case_shape(which)].factor, true);
        layer_run weight;
        run_create(&weight, &c, case_first_route(method), SODA_F64, backend_ref());
        for (int route = 1; route < ROUTE_COUNT; route++) {
            if (!case_has_route(method, route)) continue;
            layer_run r;
            run_create(&r, &c, route, SODA_F64, backend_ref());
            run_read(&weight, "y", first, CASE_ROWS * m);
            run_read(&r, "y", other, CASE_ROWS * m);
            assert_true(relative_l2(other, first, CASE_ROWS * m) <= 1e-13);
            for (int p = 0; p <= method_tensors(method); p++) {
                const int64_t count = run_gradient(&weight, &c.layer, p, first);
                run_gradient(&r, &c.layer, p, other);
                assert_true(relative_l2(other, first, count) <= 1e-13);
            }
            run_destroy(&r);
        }
        run_destroy(&weight);
    }
}

static double loss_with(const layer_run *r, soda_id param, const double *values, size_t bytes)
{
    double loss;
    CHECK_OK(exec_write(r->exec, param, values, bytes));
    CHECK_OK(exec_run(r->exec));
    CHECK_OK(exec_read(r->exec, graph_find(r->graph, "loss"), &loss, sizeof loss));
    return loss;
}

/* Central differences with h = 1e-5: h^2 f'''/6 and 1e-16 / h, both near 1e-11 of a loss of size 1.
 * Every entry of delta and of the factors, and of x. */
static void gradients_match(const layer_case *c, int route)
{
    const soda_method *method = c->layer.method;
    layer_run r;
    char name[64];
    double values[CASE_MOST], gradient[CASE_MOST];
    run_create(&r, c, route, SODA_F64, backend_ref());
    for (int p = 0; p <= method_tensors(method); p++) {
        snprintf(name, sizeof name, "x");
        if (p < method_tensors(method)) method_tensor_name(&c->layer, p, name, sizeof name);
        const soda_id id = graph_find(r.graph, name);
        const int64_t count = run_gradient(&r, &c->layer, p, gradient);
        run_read(&r, name, values, count);
        const size_t bytes = (size_t)count * sizeof *values;
        for (int64_t i = 0; i < count; i++) {
            const double was = values[i], h = 1e-5;
            values[i] = was + h;
            const double up = loss_with(&r, id, values, bytes);
            values[i] = was - h;
            const double slope = (up - loss_with(&r, id, values, bytes)) / (2 * h);
            values[i] = was;
            if (fabs(slope - gradient[i]) > 1e-8)
                fail_msg("%s[%lld]: %.10g, by differences %.10g", name, (long long)i, gradient[i],
                         slope);
        }
        loss_with(&r, id, values, bytes);
        if (p == delta_of(method) && case_is_svd(method))
            assert_true(gradient[2] == 0 && gradient[1] != 0); /* closed: exactly 0 */
    }
    run_destroy(&r);
}

static void gradients_match_central_differences(void **state)
{
    (void)state;
    static layer_case c;
    for (int which = 0; which < case_count(); which++) {
        const soda_method *method = case_method(which);
        case_create(&c, method, case_shapes[case_shape(which)].m,
                    case_shapes[case_shape(which)].factor, true);
        for (int route = 0; route < ROUTE_COUNT; route++)
            if (case_has_route(method, route)) gradients_match(&c, route);
    }
}

/* The CPU backend in fp32 against the reference in fp64: sums of up to 42 terms, three GEMMs deep:
 * 3 * 42 * 2^-24 = 7.5e-6 relative, if all roundings add up. In bf16 (2^-9 a rounding): h, y and dy
 * are rounded on the way, and U, Vh or W: five roundings, 1e-2, twice that for gradients. */
static void cpu_follows_reference(void **state)
{
    (void)state;
    static layer_case c;
    double want[CASE_MOST], got[CASE_MOST];
    for (int which = 0; which < case_count(); which++) {
        const soda_method *method = case_method(which);
        const int64_t m = case_shapes[case_shape(which)].m;
        case_create(&c, method, m, case_shapes[case_shape(which)].factor, true);
        for (int route = 0; route < 2 * ROUTE_COUNT; route++) {
            if (!case_has_route(method, route / 2)) continue;
            const bool bf16 = route % 2;
            layer_run ref, cpu;
            run_create(&ref, &c, route / 2, SODA_F64, backend_ref());
            run_create(&cpu, &c, route / 2, bf16 ? SODA_BF16 : SODA_F32, backend_cpu(2));
            run_read(&ref, "y", want, CASE_ROWS * m);
            run_read(&cpu, "y", got, CASE_ROWS * m);
            assert_true(relative_l2(got, want, CASE_ROWS * m) <= (bf16 ? 1e-2 : 7.5e-6));
            for (int p = 0; p <= method_tensors(method); p++) {
                const int64_t count = run_gradient(&ref, &c.layer, p, want);
                run_gradient(&cpu, &c.layer, p, got);
                assert_true(relative_l2(got, want, count) <= (bf16 ? 2e-2 : 7.5e-6));
                if (p == delta_of(method) && case_is_svd(method)) assert_true(got[2] == 0);
            }
            run_destroy(&ref);
            run_destroy(&cpu);
        }
    }
}

/* All four tensors of a layer named as docs/formats.md says, with their shapes. */
static void tensors_have_their_names(void **state)
{
    (void)state;
    const char *const want[] = {"unet.p.soda.R1", "unet.p.soda.R2", "unet.p.soda.R3",
                                "unet.p.soda.delta"};
    const int counts[] = {4, 9, 25, 11};
    static layer_case c;
    char name[64];
    case_create(&c, &method_soda_lq, 11, (const int64_t[]){2, 3, 5}, false);
    assert_int_equal(method_tensors(c.layer.method), 4);
    for (int p = 0; p < 4; p++) {
        assert_string_equal(method_tensor_name(&c.layer, p, name, sizeof name), want[p]);
        const soda_shape shape = method_tensor_shape(&c.layer, p);
        assert_int_equal(shape_count(&shape), counts[p]);
    }
    float delta[11];
    const method_options options = {.delta_init = 1e-3};
    c.layer.method->tensors[3]->start(&options, &SHAPE(11), delta);
    for (int i = 0; i < 11; i++) assert_true(delta[i] == 1e-3f);
}

/* Every method: its row is found by its name, and every route that it does not have is refused. */
static void methods_say_what_they_cannot(void **state)
{
    (void)state;
    static layer_case c;
    char text[128];
    for (int i = 0; method_at(i); i++) {
        const soda_method *method = method_at(i);
        assert_ptr_equal(method_find(method->name), method);
        assert_non_null(strstr(method_list(text, sizeof text), method->name));
        assert_in_range(method_tensors(method), 1, METHOD_TENSORS);
        assert_in_range(method_bases(method), 0, METHOD_BASES);
        assert_true(method->routes > 0 && method->routes < 1u << ROUTE_COUNT);
        case_create(&c, method, 11, (const int64_t[]){2, 3, 5}, false);
        for (int route = 0; route < ROUTE_COUNT; route++) {
            soda_graph *g;
            if (case_has_route(method, route)) continue;
            CHECK_OK(graph_create(SODA_F32, &g));
            const soda_id x = graph_input(g, "x", SODA_F32, SHAPE(3, 30));
            const soda_id w = graph_weight(g, &c.layer.w0);
            assert_int_equal(method_append(g, &c.layer, (route_kind)route, x, w, NO_VALUE),
                             NO_VALUE);
            CHECK_FAILS(graph_status(g), SODA_ERR_INTERNAL);
            check_message_has(route_name((route_kind)route));
            graph_destroy(g);
        }
    }
    assert_null(method_find("none"));
    assert_true(strncmp(method_choices + METHOD_JOINT, METHOD_DEFAULT, strlen(METHOD_DEFAULT)) ==
                0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_as_the_frozen_layer),
        cmocka_unit_test(routes_agree),
        cmocka_unit_test(gradients_match_central_differences),
        cmocka_unit_test(cpu_follows_reference),
        cmocka_unit_test(tensors_have_their_names),
        cmocka_unit_test(methods_say_what_they_cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
