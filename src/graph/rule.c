/* rule.c: the rules of all operators in one table, and what several of them share. */
#include "graph/rule.h"

const op_rule *const rule_of[OP_COUNT] = {
#define OP(name, ...) [OP_##name] = &rule_##name,
#include "graph/ops.def"
#undef OP
};

soda_id rule_append(soda_graph *graph, soda_op op, const soda_attr *attr, const soda_id *in,
                    int inputs)
{
    soda_id out[SODA_MAX_OUTPUTS];
    return graph_append(graph, op, attr, in, inputs, out) == SODA_OK ? out[0] : NO_VALUE;
}

soda_status rule_misfit(const char *op, const char *a_name, const soda_value *a, const char *b_name,
                        const soda_value *b)
{
    char at[80], bt[80];
    return FAIL(SODA_ERR_INPUT, "%s: %s %s does not fit %s %s%s%s", op, a_name,
                shape_text(&a->shape, at, sizeof at), b_name, shape_text(&b->shape, bt, sizeof bt),
                b->name ? " of " : "", b->name ? b->name : "");
}

bool rule_is_vector(const soda_value *v, int64_t n)
{
    return v->shape.rank == 1 && v->shape.dim[0] == n && is_float(v->dtype);
}

bool rule_type_fits(const soda_value *w, const soda_value *x)
{
    return w->kind == VALUE_WEIGHT ? is_float(w->dtype) : w->dtype == x->dtype;
}

void rule_set(soda_tensor *out, soda_dtype dtype, soda_shape shape)
{
    out->dtype = dtype;
    out->shape = shape;
}

soda_shape rule_with_columns(soda_shape shape, int64_t columns)
{
    shape.dim[shape.rank - 1] = columns;
    return shape;
}

double rule_count(const soda_value *v) { return v ? (double)shape_count(&v->shape) : 0; }

soda_status rule_shape_like_first(const soda_attr *attr, const soda_value *const *in,
                                  soda_tensor *out)
{
    (void)attr;
    rule_set(&out[0], in[0]->dtype, in[0]->shape);
    return SODA_OK;
}

soda_status rule_shape_like_second(const soda_attr *attr, const soda_value *const *in,
                                   soda_tensor *out)
{
    (void)attr;
    if (!shape_equal(&in[0]->shape, &in[1]->shape) || in[0]->dtype != in[1]->dtype)
        return rule_misfit("gradient", "dy", in[0], "x", in[1]);
    rule_set(&out[0], in[1]->dtype, in[1]->shape);
    return SODA_OK;
}

double rule_cost_copy(const soda_attr *attr, const soda_value *const *in,
                      const soda_value *const *out)
{
    (void)attr, (void)in, (void)out;
    return 0;
}

double rule_cost_elementwise(const soda_attr *attr, const soda_value *const *in,
                             const soda_value *const *out)
{
    (void)attr;
    return rule_count(out[0]) > rule_count(in[0]) ? rule_count(out[0]) : rule_count(in[0]);
}

/* About 20 instructions for one exp or erf: a convention, memory or exp decides the time. */
double rule_cost_activation(const soda_attr *attr, const soda_value *const *in,
                            const soda_value *const *out)
{
    (void)attr, (void)in;
    return 20 * rule_count(out[0]);
}

double rule_cost_norm(const soda_attr *attr, const soda_value *const *in,
                      const soda_value *const *out)
{
    (void)attr, (void)in;
    return 8 * rule_count(out[0]); /* mean, variance, scale and shift; memory decides its time */
}
