/* shapes.c: the shape rule of every operator; the table is in ops.def. */
#include "graph/graph_internal.h"

/* "linear: x [4,8] does not fit w [3,9]" */
static soda_status misfit(const char *op, const char *a_name, const soda_value *a,
                          const char *b_name, const soda_value *b)
{
    char at[80], bt[80];
    return FAIL(SODA_ERR_INPUT, "%s: %s %s does not fit %s %s%s%s", op, a_name,
                shape_text(&a->shape, at, sizeof at), b_name, shape_text(&b->shape, bt, sizeof bt),
                b->name ? " of " : "", b->name ? b->name : "");
}

static void set(soda_tensor *out, soda_dtype dtype, soda_shape shape)
{
    out->dtype = dtype;
    out->shape = shape;
}

static soda_shape with_columns(soda_shape shape, int64_t columns)
{
    shape.dim[shape.rank - 1] = columns;
    return shape;
}

static bool is_vector(const soda_value *v, int64_t n)
{
    return v->shape.rank == 1 && v->shape.dim[0] == n && is_float(v->dtype);
}

/* A matrix or bias next to x: frozen of any float type, or computed in x's type. */
static bool type_fits(const soda_value *w, const soda_value *x)
{
    return w->kind == VALUE_WEIGHT ? is_float(w->dtype) : w->dtype == x->dtype;
}

soda_status shape_linear(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    const soda_value *x = in[0], *w = in[1], *b = in[2];
    const bool t = attr->linear.transposed;
    if (w->shape.rank != 2 || x->shape.rank < 1 ||
        w->shape.dim[t ? 0 : 1] != shape_columns(&x->shape) || !type_fits(w, x))
        return misfit("linear", "x", x, "w", w);
    const int64_t outputs = w->shape.dim[t ? 1 : 0];
    if (b && (!is_vector(b, outputs) || !type_fits(b, x))) return misfit("linear", "w", w, "b", b);
    set(&out[0], x->dtype, with_columns(x->shape, outputs));
    return SODA_OK;
}

soda_status shape_linear_grad_weight(const soda_attr *attr, const soda_value *const *in,
                                     soda_tensor *out)
{
    (void)attr;
    if (shape_rows(&in[0]->shape) != shape_rows(&in[1]->shape) || in[0]->dtype != in[1]->dtype)
        return misfit("linear_grad_weight", "dy", in[0], "x", in[1]);
    set(&out[0], wide_type(in[0]->dtype),
        SHAPE(shape_columns(&in[0]->shape), shape_columns(&in[1]->shape)));
    return SODA_OK;
}

soda_status shape_conv2d(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    const soda_value *x = in[0], *w = in[1], *b = in[2];
    const conv2d_attr *a = &attr->conv2d;
    if (x->shape.rank != 4 || w->shape.rank != 4 || w->shape.dim[1] != x->shape.dim[3] ||
        !type_fits(w, x))
        return misfit("conv2d", "x", x, "w", w);
    if (b && (!is_vector(b, w->shape.dim[0]) || !type_fits(b, x)))
        return misfit("conv2d", "w", w, "b", b);
    const int64_t h = x->shape.dim[1] + a->top + a->bottom - w->shape.dim[2];
    const int64_t width = x->shape.dim[2] + a->left + a->right - w->shape.dim[3];
    if (h < 0 || width < 0 || a->stride < 1) return misfit("conv2d", "x", x, "kernel", w);
    set(&out[0], x->dtype,
        SHAPE(x->shape.dim[0], h / a->stride + 1, width / a->stride + 1, w->shape.dim[0]));
    return SODA_OK;
}

soda_status shape_conv2d_grad_x(const soda_attr *attr, const soda_value *const *in,
                                soda_tensor *out)
{
    const soda_value *dy = in[0], *w = in[1];
    const conv2d_attr *a = &attr->conv2d;
    if (dy->shape.rank != 4 || w->shape.rank != 4 || w->shape.dim[0] != dy->shape.dim[3] ||
        (a->in_h + a->top + a->bottom - w->shape.dim[2]) / a->stride + 1 != dy->shape.dim[1] ||
        (a->in_w + a->left + a->right - w->shape.dim[3]) / a->stride + 1 != dy->shape.dim[2])
        return misfit("conv2d_grad_x", "dy", dy, "w", w);
    set(&out[0], dy->dtype, SHAPE(dy->shape.dim[0], a->in_h, a->in_w, w->shape.dim[1]));
    return SODA_OK;
}

soda_status shape_group_norm(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    const soda_value *x = in[0];
    const int64_t channels = shape_columns(&x->shape), groups = attr->group_norm.groups;
    if (x->shape.rank < 2 || groups < 1 || channels % groups)
        return FAIL(SODA_ERR_INPUT,
                    "group_norm: %lld channels are not a multiple of %lld groups%s%s",
                    (long long)channels, (long long)groups, in[1]->name ? " at " : "",
                    in[1]->name ? in[1]->name : "");
    if (!is_vector(in[1], channels)) return misfit("group_norm", "x", x, "gamma", in[1]);
    if (!is_vector(in[2], channels)) return misfit("group_norm", "x", x, "beta", in[2]);
    set(&out[0], x->dtype, x->shape);
    set(&out[1], wide_type(x->dtype), SHAPE(x->shape.dim[0], groups, 2));
    return SODA_OK;
}

soda_status shape_layer_norm(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    (void)attr;
    const soda_value *x = in[0];
    const int64_t channels = shape_columns(&x->shape);
    if (!is_vector(in[1], channels)) return misfit("layer_norm", "x", x, "gamma", in[1]);
    if (!is_vector(in[2], channels)) return misfit("layer_norm", "x", x, "beta", in[2]);
    set(&out[0], x->dtype, x->shape);
    set(&out[1], wide_type(x->dtype), SHAPE(shape_rows(&x->shape), 2));
    return SODA_OK;
}

soda_status shape_like_first(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    (void)attr;
    set(&out[0], in[0]->dtype, in[0]->shape);
    return SODA_OK;
}

/* Gradients dy, x -> dx: dy and x are alike. */
soda_status shape_like_second(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    (void)attr;
    if (!shape_equal(&in[0]->shape, &in[1]->shape) || in[0]->dtype != in[1]->dtype)
        return misfit("gradient", "dy", in[0], "x", in[1]);
    set(&out[0], in[1]->dtype, in[1]->shape);
    return SODA_OK;
}

soda_status shape_geglu(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    (void)attr;
    const int64_t columns = shape_columns(&in[0]->shape);
    if (columns % 2) return FAIL(SODA_ERR_INPUT, "geglu: %lld columns", (long long)columns);
    set(&out[0], in[0]->dtype, with_columns(in[0]->shape, columns / 2));
    return SODA_OK;
}

soda_status shape_geglu_grad(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    (void)attr;
    if (shape_columns(&in[1]->shape) != 2 * shape_columns(&in[0]->shape) ||
        shape_rows(&in[1]->shape) != shape_rows(&in[0]->shape))
        return misfit("geglu_grad", "dy", in[0], "x", in[1]);
    set(&out[0], in[1]->dtype, in[1]->shape);
    return SODA_OK;
}

soda_status shape_attention(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    const soda_value *q = in[0], *k = in[1], *v = in[2];
    const int64_t heads = attr->attention.heads;
    if (q->shape.rank != 3 || k->shape.rank != 3 || k->shape.dim[0] != q->shape.dim[0] ||
        k->shape.dim[2] != q->shape.dim[2] || k->dtype != q->dtype)
        return misfit("attention", "q", q, "k", k);
    if (!shape_equal(&k->shape, &v->shape) || v->dtype != k->dtype)
        return misfit("attention", "k", k, "v", v);
    if (heads < 1 || q->shape.dim[2] % heads)
        return FAIL(SODA_ERR_INPUT, "attention: %lld channels do not divide into %lld heads",
                    (long long)q->shape.dim[2], (long long)heads);
    if (attr->attention.causal && k->shape.dim[1] != q->shape.dim[1])
        return misfit("attention", "causal q", q, "k", k);
    set(&out[0], q->dtype, q->shape);
    set(&out[1], wide_type(q->dtype), SHAPE(q->shape.dim[0], heads, q->shape.dim[1]));
    return SODA_OK;
}

soda_status shape_attention_grad(const soda_attr *attr, const soda_value *const *in,
                                 soda_tensor *out)
{
    soda_tensor forward[2];
    TRY(shape_attention(attr, in, forward));
    if (!shape_equal(&in[5]->shape, &in[0]->shape) || in[5]->dtype != in[0]->dtype)
        return misfit("attention_grad", "do", in[5], "q", in[0]);
    for (int i = 0; i < 3; i++) set(&out[i], in[i]->dtype, in[i]->shape);
    return SODA_OK;
}

soda_status shape_add(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    (void)attr;
    const soda_value *a = in[0], *b = in[1];
    const bool by_channel = b->shape.rank == 2 && a->shape.rank >= 2 &&
                            b->shape.dim[0] == a->shape.dim[0] &&
                            b->shape.dim[1] == shape_columns(&a->shape);
    if ((!shape_equal(&a->shape, &b->shape) && !by_channel) || a->dtype != b->dtype)
        return misfit("add", "a", a, "b", b);
    set(&out[0], a->dtype, a->shape);
    return SODA_OK;
}

soda_status shape_sum_rows(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    (void)attr;
    set(&out[0], in[0]->dtype, SHAPE(in[0]->shape.dim[0], shape_columns(&in[0]->shape)));
    return SODA_OK;
}

soda_status shape_concat(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    (void)attr;
    const soda_value *a = in[0], *b = in[1];
    const soda_shape joined =
        with_columns(a->shape, shape_columns(&a->shape) + shape_columns(&b->shape));
    const soda_shape other = with_columns(b->shape, shape_columns(&joined));
    if (!shape_equal(&joined, &other) || a->dtype != b->dtype)
        return misfit("concat", "a", a, "b", b);
    set(&out[0], a->dtype, joined);
    return SODA_OK;
}

soda_status shape_slice(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    const slice_attr *a = &attr->slice;
    const int64_t columns = shape_columns(&in[0]->shape);
    if (a->start < 0 || a->length < 1 || a->start > columns - a->length)
        return FAIL(SODA_ERR_INTERNAL, "slice: [%lld,+%lld) of %lld columns", (long long)a->start,
                    (long long)a->length, (long long)columns);
    set(&out[0], in[0]->dtype, with_columns(in[0]->shape, a->length));
    return SODA_OK;
}

soda_status shape_upsample(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    const soda_shape *x = &in[0]->shape;
    if (x->rank != 4 || attr->upsample.h < 1 || attr->upsample.w < 1)
        return FAIL(SODA_ERR_INTERNAL, "upsample: a picture is wanted");
    set(&out[0], in[0]->dtype, SHAPE(x->dim[0], attr->upsample.h, attr->upsample.w, x->dim[3]));
    return SODA_OK;
}

soda_status shape_embedding(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    const soda_value *ids = in[0], *table = in[1];
    if (ids->dtype != SODA_I32 || table->shape.rank != 2 || ids->shape.rank >= SODA_MAX_RANK)
        return misfit("embedding", "ids", ids, "table", table);
    soda_shape shape = ids->shape;
    shape.dim[shape.rank++] = table->shape.dim[1];
    set(&out[0], attr->cast.dtype, shape);
    return SODA_OK;
}

soda_status shape_embedding_grad(const soda_attr *attr, const soda_value *const *in,
                                 soda_tensor *out)
{
    (void)attr;
    const soda_value *dy = in[0], *ids = in[1], *table = in[2];
    if (ids->dtype != SODA_I32 || table->shape.rank != 2 ||
        shape_rows(&dy->shape) != shape_count(&ids->shape) ||
        shape_columns(&dy->shape) != table->shape.dim[1])
        return misfit("embedding_grad", "dy", dy, "table", table);
    set(&out[0], dy->dtype, table->shape);
    return SODA_OK;
}

soda_status shape_timestep_embedding(const soda_attr *attr, const soda_value *const *in,
                                     soda_tensor *out)
{
    if (in[0]->shape.rank != 1)
        return FAIL(SODA_ERR_INTERNAL, "timestep_embedding: a vector is wanted");
    set(&out[0], wide_type(in[0]->dtype),
        SHAPE(in[0]->shape.dim[0], attr->timestep_embedding.width));
    return SODA_OK;
}

soda_status shape_cast(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    set(&out[0], attr->cast.dtype, in[0]->shape);
    return SODA_OK;
}

soda_status shape_kron_rotate(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    (void)attr;
    int64_t width = 1;
    for (int i = 1; i <= 3; i++) {
        const soda_shape *r = &in[i]->shape;
        if (r->rank != 2 || r->dim[0] != r->dim[1])
            return misfit("kron_rotate", "x", in[0], "R", in[i]);
        width *= r->dim[0];
    }
    if (width != shape_columns(&in[0]->shape))
        return misfit("kron_rotate", "x", in[0], "R3", in[3]);
    set(&out[0], in[0]->kind == VALUE_WEIGHT ? wide_type(in[1]->dtype) : in[0]->dtype,
        in[0]->shape);
    return SODA_OK;
}

soda_status shape_kron_rotate_grad(const soda_attr *attr, const soda_value *const *in,
                                   soda_tensor *out)
{
    TRY(shape_kron_rotate(attr, in + 1, out));
    if (!shape_equal(&in[0]->shape, &in[1]->shape))
        return misfit("kron_rotate_grad", "dz", in[0], "x", in[1]);
    for (int i = 1; i <= 3; i++) set(&out[i], wide_type(in[i + 1]->dtype), in[i + 1]->shape);
    return SODA_OK;
}

soda_status shape_spectral_scale(const soda_attr *attr, const soda_value *const *in,
                                 soda_tensor *out)
{
    (void)attr;
    const int64_t columns = shape_columns(&in[0]->shape);
    if (!is_vector(in[1], columns)) return misfit("spectral_scale", "x", in[0], "s", in[1]);
    if (!is_vector(in[2], columns)) return misfit("spectral_scale", "x", in[0], "delta", in[2]);
    set(&out[0], in[0]->kind == VALUE_WEIGHT ? wide_type(in[2]->dtype) : in[0]->dtype,
        in[0]->shape);
    return SODA_OK;
}

soda_status shape_spectral_scale_grad(const soda_attr *attr, const soda_value *const *in,
                                      soda_tensor *out)
{
    TRY(shape_spectral_scale(attr, in + 1, out));
    if (!shape_equal(&in[0]->shape, &in[1]->shape))
        return misfit("spectral_scale_grad", "dy", in[0], "x", in[1]);
    set(&out[1], wide_type(in[3]->dtype), in[3]->shape);
    return SODA_OK;
}

soda_status shape_row_scale_add(const soda_attr *attr, const soda_value *const *in,
                                soda_tensor *out)
{
    (void)attr;
    const soda_value *w = in[0], *q = in[1];
    if (w->shape.rank != 2 || q->shape.rank != 2 || w->shape.dim[1] != q->shape.dim[1] ||
        q->shape.dim[0] > w->shape.dim[0])
        return misfit("row_scale_add", "w", w, "q", q);
    if (!is_vector(in[2], q->shape.dim[0])) return misfit("row_scale_add", "q", q, "delta", in[2]);
    set(&out[0], w->kind == VALUE_WEIGHT ? wide_type(in[2]->dtype) : w->dtype, w->shape);
    return SODA_OK;
}

soda_status shape_row_scale_add_grad(const soda_attr *attr, const soda_value *const *in,
                                     soda_tensor *out)
{
    (void)attr;
    const soda_value *dy = in[0], *q = in[1];
    if (dy->shape.rank != 2 || q->shape.rank != 2 || dy->shape.dim[1] != q->shape.dim[1])
        return misfit("row_scale_add_grad", "dy", dy, "q", q);
    set(&out[0], wide_type(dy->dtype), SHAPE(q->shape.dim[0]));
    return SODA_OK;
}

soda_status shape_mse_loss(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    (void)attr;
    const soda_value *p = in[0], *target = in[1], *weight = in[2];
    if (!shape_equal(&p->shape, &target->shape))
        return misfit("mse_loss", "p", p, "target", target);
    if (!is_vector(weight, p->shape.dim[0])) return misfit("mse_loss", "p", p, "weight", weight);
    if (in[3] && !is_vector(in[3], p->shape.dim[0]))
        return misfit("mse_loss", "p", p, "reference", in[3]);
    set(&out[0], wide_type(p->dtype), SHAPE(1));
    set(&out[1], wide_type(p->dtype), SHAPE(p->shape.dim[0]));
    return SODA_OK;
}
