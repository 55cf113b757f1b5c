/* attention, reference backend.
 *
 *     o = softmax(scale q k') v, head by head              Vaswani et al., arXiv:1706.03762
 *
 * q, o [B,Tq,C], k, v [B,Tk,C]; head h is the columns h D .. (h + 1) D, D = C / heads; causal:
 * query i sees keys 0 .. i. lse [B,heads,Tq] = log sum exp of the scaled logits, so that P = exp(S
 * - lse). Backward (Dao et al., arXiv:2205.14135, appendix B.2):
 *
 *     dv = P' do;  dS = P (do v' - rowsum(do o));  dq = scale dS k;  dk = scale dS' q */
#include <math.h>

#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

typedef struct {
    int64_t Tq, Tk, C, D;
    int64_t q0, k0; /* where this image's and head's first query and first key begin */
    double scale;
    bool causal;
} head;

static head head_of(const soda_call *call, int64_t b, int64_t h)
{
    const attention_attr *a = &call->attr->attention;
    const soda_shape *q = &call->in[0].shape, *k = &call->in[1].shape;
    const int64_t Tq = q->dim[1], Tk = k->dim[1], C = q->dim[2], D = C / a->heads;
    return (head){.Tq = Tq,
                  .Tk = Tk,
                  .C = C,
                  .D = D,
                  .q0 = b * Tq * C + h * D,
                  .k0 = b * Tk * C + h * D,
                  .scale = (double)a->scale,
                  .causal = a->causal};
}

static int64_t keys_seen(const head *z, int64_t i)
{
    return z->causal && i + 1 < z->Tk ? i + 1 : z->Tk;
}

/* Row i of a times row j of b, where a has queries and b keys as rows. */
static double dot(const head *z, const soda_tensor *a, int64_t i, const soda_tensor *b, int64_t j)
{
    double sum = 0;
    for (int64_t d = 0; d < z->D; d++)
        sum += get(a, z->q0 + i * z->C + d) * get(b, z->k0 + j * z->C + d);
    return sum;
}

static soda_status attention_prepare(soda_call *call, soda_weights *weights)
{
    (void)weights;
    call->scratch_bytes = (size_t)call->in[1].shape.dim[1] * sizeof(double);
    return SODA_OK;
}

/* p [Tk] scratch. */
static void one_query(const soda_call *call, const head *z, int64_t i, int64_t lse_at, double *p)
{
    const soda_tensor *q = &call->in[0], *k = &call->in[1], *v = &call->in[2];
    const int64_t keys = keys_seen(z, i);
    double top = -HUGE_VAL, sum = 0;
    for (int64_t j = 0; j < keys; j++) {
        p[j] = z->scale * dot(z, q, i, k, j);
        top = fmax(top, p[j]);
    }
    for (int64_t j = 0; j < keys; j++) sum += exp(p[j] - top);
    const double lse = top + log(sum);
    for (int64_t d = 0; d < z->D; d++) {
        double o = 0;
        for (int64_t j = 0; j < keys; j++) o += exp(p[j] - lse) * get(v, z->k0 + j * z->C + d);
        set(&call->out[0], z->q0 + i * z->C + d, o);
    }
    set(&call->out[1], lse_at, lse);
}

static soda_status attention(const soda_call *call)
{
    const int64_t B = call->in[0].shape.dim[0], heads = call->attr->attention.heads;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t h = 0; h < heads; h++) {
            const head z = head_of(call, b, h);
            for (int64_t i = 0; i < z.Tq; i++)
                one_query(call, &z, i, (b * heads + h) * z.Tq + i, call->scratch);
        }
    }
    return SODA_OK;
}

/* dq [Tq,D], dk and dv [Tk,D] of one head. */
static soda_status attention_grad_prepare(soda_call *call, soda_weights *weights)
{
    (void)weights;
    const head z = head_of(call, 0, 0);
    call->scratch_bytes = (size_t)((z.Tq + 2 * z.Tk) * z.D) * sizeof(double);
    return SODA_OK;
}

static void one_query_grad(const soda_call *call, const head *z, int64_t i, int64_t lse_at,
                           double *dq, double *dk, double *dv)
{
    const soda_tensor *q = &call->in[0], *k = &call->in[1], *v = &call->in[2];
    const soda_tensor *o = &call->in[3], *lse = &call->in[4], *dout = &call->in[5];
    double rowsum = 0;
    for (int64_t d = 0; d < z->D; d++)
        rowsum += get(dout, z->q0 + i * z->C + d) * get(o, z->q0 + i * z->C + d);
    for (int64_t j = 0; j < keys_seen(z, i); j++) {
        const double p = exp(z->scale * dot(z, q, i, k, j) - get(lse, lse_at));
        const double ds = p * (dot(z, dout, i, v, j) - rowsum);
        for (int64_t d = 0; d < z->D; d++) {
            dq[i * z->D + d] += z->scale * ds * get(k, z->k0 + j * z->C + d);
            dk[j * z->D + d] += z->scale * ds * get(q, z->q0 + i * z->C + d);
            dv[j * z->D + d] += p * get(dout, z->q0 + i * z->C + d);
        }
    }
}

/* Rounds the sums [T,D] of one head into its columns of t. */
static void store_head(const soda_tensor *t, int64_t first, int64_t T, const head *z,
                       const double *sums)
{
    for (int64_t i = 0; i < T; i++)
        for (int64_t d = 0; d < z->D; d++) set(t, first + i * z->C + d, sums[i * z->D + d]);
}

static soda_status attention_grad(const soda_call *call)
{
    const int64_t B = call->in[0].shape.dim[0], heads = call->attr->attention.heads;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t h = 0; h < heads; h++) {
            const head z = head_of(call, b, h);
            double *dq = call->scratch, *dk = dq + z.Tq * z.D, *dv = dk + z.Tk * z.D;
            for (int64_t i = 0; i < (z.Tq + 2 * z.Tk) * z.D; i++) dq[i] = 0;
            for (int64_t i = 0; i < z.Tq; i++)
                one_query_grad(call, &z, i, (b * heads + h) * z.Tq + i, dq, dk, dv);
            store_head(&call->out[0], z.q0, z.Tq, &z, dq);
            store_head(&call->out[1], z.k0, z.Tk, &z, dk);
            store_head(&call->out[2], z.k0, z.Tk, &z, dv);
        }
    }
    return SODA_OK;
}

const soda_kernel ref_attention = {.prepare = attention_prepare, .run = attention};
const soda_kernel ref_attention_grad = {.prepare = attention_grad_prepare, .run = attention_grad};
