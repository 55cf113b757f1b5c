/* kron_rotate, reference backend: x (R1 x R2 x R3), one factor at a time.
 *
 * A row of x is an array [n1,n2,n3], index (i1 n2 + i2) n3 + i3. With R3 on the last axis, then R2
 * on the middle one, then R1 on the first:
 *
 *     t1 = x R3;  t2 = t1 R2;  z = t2 R1
 *     dR1 = t2' dz;  g2 = dz R1';  dR2 = t1' g2;  g1 = g2 R2';  dR3 = x' g1;  dx = g1 R3'
 *
 * attr.transposed puts R_k' for R_k, and then the gradients of the factors are the transposes. */
#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

/* A row seen from one of its axes: [left,n,right], and the factor of that axis. */
typedef struct {
    int64_t left, n, right;
    const soda_tensor *R; /* [n,n] */
    bool transposed;
} axis;

static void axes_of(const soda_tensor factor[3], bool transposed, axis axes[3])
{
    const int64_t n1 = factor[0].shape.dim[0], n2 = factor[1].shape.dim[0];
    const int64_t n3 = factor[2].shape.dim[0];
    axes[0] = (axis){1, n1, n2 * n3, &factor[0], transposed};
    axes[1] = (axis){n1, n2, n3, &factor[1], transposed};
    axes[2] = (axis){n1 * n2, n3, 1, &factor[2], transposed};
}

/* y[l,j,r] = sum over i of x[l,i,r] R[i,j], or of R'[i,j] if `transposed`. */
static void rotate(const axis *a, bool transposed, const double *x, double *y)
{
    for (int64_t l = 0; l < a->left; l++) {
        for (int64_t j = 0; j < a->n; j++) {
            for (int64_t r = 0; r < a->right; r++) {
                double sum = 0;
                for (int64_t i = 0; i < a->n; i++)
                    sum += x[(l * a->n + i) * a->right + r] *
                           get(a->R, transposed ? j * a->n + i : i * a->n + j);
                y[(l * a->n + j) * a->right + r] = sum;
            }
        }
    }
}

/* dR[i,j] += sum over l, r of x[l,i,r] g[l,j,r], transposed if the factor was. */
static void add_factor_grad(const axis *a, const double *x, const double *g, double *dR)
{
    for (int64_t i = 0; i < a->n; i++) {
        for (int64_t j = 0; j < a->n; j++) {
            double sum = 0;
            for (int64_t l = 0; l < a->left; l++)
                for (int64_t r = 0; r < a->right; r++)
                    sum += x[(l * a->n + i) * a->right + r] * g[(l * a->n + j) * a->right + r];
            dR[a->transposed ? j * a->n + i : i * a->n + j] += sum;
        }
    }
}

static void load_row(const soda_tensor *t, int64_t row, int64_t n, double *x)
{
    for (int64_t i = 0; i < n; i++) x[i] = get(t, row * n + i);
}

static void store_row(const soda_tensor *t, int64_t row, int64_t n, const double *x)
{
    for (int64_t i = 0; i < n; i++) set(t, row * n + i, x[i]);
}

static soda_status kron_rotate_prepare(soda_call *call, soda_weights *weights)
{
    (void)weights;
    call->scratch_bytes = 2 * (size_t)shape_columns(&call->in[0].shape) * sizeof(double);
    return SODA_OK;
}

static soda_status kron_rotate(const soda_call *call)
{
    const soda_tensor *x = &call->in[0];
    const int64_t rows = shape_rows(&x->shape), n = shape_columns(&x->shape);
    double *u = call->scratch, *v = u + n;
    axis axes[3];
    axes_of(&call->in[1], call->attr->kron_rotate.transposed, axes);
    for (int64_t row = 0; row < rows; row++) {
        load_row(x, row, n, u);
        rotate(&axes[2], axes[2].transposed, u, v);
        rotate(&axes[1], axes[1].transposed, v, u);
        rotate(&axes[0], axes[0].transposed, u, v);
        store_row(&call->out[0], row, n, v);
    }
    return SODA_OK;
}

/* x, t1, t2, g and its successor [n] each, then the sums dR1, dR2, dR3. */
static soda_status kron_rotate_grad_prepare(soda_call *call, soda_weights *weights)
{
    (void)weights;
    int64_t count = 5 * shape_columns(&call->in[0].shape);
    for (int k = 0; k < 3; k++) count += shape_count(&call->in[2 + k].shape);
    call->scratch_bytes = (size_t)count * sizeof(double);
    return SODA_OK;
}

static soda_status kron_rotate_grad(const soda_call *call)
{
    const soda_tensor *dz = &call->in[0], *x = &call->in[1];
    const int64_t rows = shape_rows(&x->shape), n = shape_columns(&x->shape);
    double *input[3], *g = (double *)call->scratch + 3 * n, *next = g + n, *dR[3];
    axis axes[3];
    axes_of(&call->in[2], call->attr->kron_rotate.transposed, axes);
    for (int k = 0; k < 3; k++) input[k] = (double *)call->scratch + k * n;
    dR[0] = next + n;
    dR[1] = dR[0] + axes[0].n * axes[0].n;
    dR[2] = dR[1] + axes[1].n * axes[1].n;
    for (int k = 0; k < 3; k++)
        for (int64_t i = 0; i < axes[k].n * axes[k].n; i++) dR[k][i] = 0;

    for (int64_t row = 0; row < rows; row++) {
        load_row(x, row, n, input[2]);
        rotate(&axes[2], axes[2].transposed, input[2], input[1]);
        rotate(&axes[1], axes[1].transposed, input[1], input[0]);
        load_row(dz, row, n, g);
        for (int k = 0; k < 3; k++) {
            add_factor_grad(&axes[k], input[k], g, dR[k]);
            rotate(&axes[k], !axes[k].transposed, g, next);
            double *swap = g;
            g = next;
            next = swap;
        }
        store_row(&call->out[0], row, n, g);
    }
    for (int k = 0; k < 3; k++)
        for (int64_t i = 0; i < axes[k].n * axes[k].n; i++) set(&call->out[1 + k], i, dR[k][i]);
    return SODA_OK;
}

const soda_kernel ref_kron_rotate = {.prepare = kron_rotate_prepare, .run = kron_rotate};
const soda_kernel ref_kron_rotate_grad = {.prepare = kron_rotate_grad_prepare,
                                          .run = kron_rotate_grad};
