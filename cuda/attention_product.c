#include "cuda/attention_product.h"

#include <stdlib.h>

#include "core/round.h"
#include "cuda/gemm.h"
#include "cuda/gpu.h"

enum { PIECE_BYTES = 16 << 20, ALIGNMENT = 256 }; /* of logits, weights and their gradients */

/* The products of a piece of a given number of rows, for all heads of an image. */
typedef struct {
    gemm *logits; /* [rows,Tk] = [rows,width] [width,Tk]: s, dp */
    gemm *mean;   /* [rows,width] = [rows,Tk] [Tk,width]: o, dq */
    gemm *sums;   /* [Tk,width] fp32 = [Tk,rows] [rows,width]: dk, dv */
} piece_products;

typedef struct {
    int rows, pitch;            /* of a piece: queries, and elements between rows of logits */
    piece_products whole, rest; /* rest: of the rows that are left at the end */
    size_t dp, p, ds, dk, dv, workspace; /* where they are in scratch; s is at 0 */
} product_state;

/* What is alike in the calls for one piece. */
typedef struct {
    const soda_call *call;
    const attention_sizes *z;
    const product_state *c;
    attention_piece piece;
    int64_t queries, keys; /* where this piece's queries and this image's keys begin: elements */
    int64_t image;
} piece_run;

static soda_status create_products(const attention_sizes *z, soda_dtype type, int rows, int pitch,
                                   bool grad, piece_products *p)
{
    const int64_t C = (int64_t)z->heads * z->width, square = (int64_t)rows * pitch;
    gemm_sizes g = {.batch = z->heads, .from = type, .m = rows, .n = z->Tk, .k = z->width};
    g.pitch_a = g.pitch_b = C;
    g.step_a = g.step_b = z->width;
    g.turned_b = true;
    g.pitch_d = pitch;
    g.step_d = square;
    g.to = SODA_F32;
    TRY(gemm_create(&g, &p->logits));

    g.n = z->width;
    g.k = z->Tk;
    g.pitch_a = pitch;
    g.step_a = square;
    g.turned_b = false;
    g.pitch_d = C;
    g.step_d = z->width;
    g.to = type;
    TRY(gemm_create(&g, &p->mean));
    if (!grad) return SODA_OK;

    g.m = z->Tk;
    g.k = rows;
    g.turned_a = true;
    g.to = SODA_F32;
    return gemm_create(&g, &p->sums);
}

static size_t workspace_of(const piece_products *p)
{
    size_t most = 0;
    const gemm *const all[] = {p->logits, p->mean, p->sums};
    for (int i = 0; i < 3; i++)
        if (all[i] && gemm_workspace(all[i]) > most) most = gemm_workspace(all[i]);
    return most;
}

/* Takes `bytes` of scratch behind what was taken before. */
static size_t take(soda_call *call, size_t bytes)
{
    const size_t at = call->scratch_bytes;
    call->scratch_bytes = round_up(at + bytes, ALIGNMENT);
    return at;
}

static void share_scratch(soda_call *call, const attention_sizes *z, bool grad, product_state *c)
{
    const soda_dtype type = call->in[0].dtype;
    const size_t cells = (size_t)z->heads * (size_t)c->rows * (size_t)c->pitch;
    const size_t sums = (size_t)z->Tk * (size_t)z->heads * (size_t)z->width * sizeof(float);
    take(call, cells * sizeof(float));
    c->p = take(call, cells * dtype_bytes(type));
    if (grad) {
        c->dp = take(call, cells * sizeof(float));
        c->ds = take(call, cells * dtype_bytes(type));
    }
    if (grad && type != SODA_F32) {
        c->dk = take(call, sums);
        c->dv = take(call, sums);
    }
    const size_t whole = workspace_of(&c->whole), rest = workspace_of(&c->rest);
    c->workspace = take(call, whole > rest ? whole : rest);
}

soda_status attention_product_prepare(soda_call *call, const attention_sizes *z, bool grad)
{
    const soda_dtype type = call->in[0].dtype;
    product_state *c = calloc(1, sizeof *c);
    if (!c) return FAIL(SODA_ERR_MEMORY, "out of memory");
    call->state = c;
    c->pitch = (int)round_up64(z->Tk, 8);
    const int64_t row = (int64_t)z->heads * c->pitch * (int64_t)(sizeof(float) + dtype_bytes(type));
    c->rows = (int)min64(z->Tq, PIECE_BYTES / (grad ? 2 * row : row) + 1);
    TRY(create_products(z, type, c->rows, c->pitch, grad, &c->whole));
    if (z->Tq % c->rows) TRY(create_products(z, type, z->Tq % c->rows, c->pitch, grad, &c->rest));
    share_scratch(call, z, grad, c);
    return SODA_OK;
}

static void destroy_products(const piece_products *p)
{
    gemm_destroy(p->logits);
    gemm_destroy(p->mean);
    gemm_destroy(p->sums);
}

void attention_product_release(soda_call *call)
{
    product_state *c = call->state;
    if (!c) return;
    destroy_products(&c->whole);
    destroy_products(&c->rest);
    free(c);
    call->state = NULL;
}

/* Element `index` of a tensor. */
static void *at(const soda_tensor *t, int64_t index)
{
    return (char *)t->data + index * (int64_t)dtype_bytes(t->dtype);
}

static void *scratch(const piece_run *r, size_t offset)
{
    return (char *)r->call->scratch + offset;
}

static const piece_products *products_of(const piece_run *r)
{
    return r->piece.rows == r->c->rows ? &r->c->whole : &r->c->rest;
}

static soda_status multiply(const piece_run *r, const gemm *product, const void *a, const void *b,
                            void *d, float alpha, bool add)
{
    return gemm_run(product, &(gemm_operands){.a = a,
                                              .b = b,
                                              .d = d,
                                              .alpha = alpha,
                                              .add = add,
                                              .workspace = scratch(r, r->c->workspace)});
}

static soda_status run_piece(const piece_run *r)
{
    const soda_tensor *in = r->call->in, *out = r->call->out;
    const piece_products *g = products_of(r);
    float *lse = at(&out[1], r->image * r->z->heads * r->z->Tq);
    void *s = scratch(r, 0), *p = scratch(r, r->c->p);
    TRY(multiply(r, g->logits, at(&in[0], r->queries), at(&in[1], r->keys), s, r->z->scale, false));
    GPU_TRY(launch_attention_softmax(&r->piece, in[0].dtype == SODA_BF16, s, p, lse, gpu_stream()));
    return multiply(r, g->mean, p, at(&in[2], r->keys), at(&out[0], r->queries), 1, false);
}

/* Where the sums over pieces are: in the result itself if it is fp32. */
static float *sums_of(const piece_run *r, int output, size_t offset)
{
    const soda_tensor *t = &r->call->out[output];
    return t->dtype == SODA_F32 ? at(t, r->keys) : scratch(r, offset);
}

static soda_status run_piece_grad(const piece_run *r)
{
    const soda_tensor *in = r->call->in, *out = r->call->out;
    const piece_products *g = products_of(r);
    const bool add = r->piece.first > 0;
    const float scale = r->z->scale;
    const void *q = at(&in[0], r->queries), *k = at(&in[1], r->keys),
               *dout = at(&in[5], r->queries);
    float *s = scratch(r, 0), *dp = scratch(r, r->c->dp);
    const attention_rows_tensors t = {.s = s,
                                      .dp = dp,
                                      .lse = at(&in[4], r->image * r->z->heads * r->z->Tq),
                                      .o = at(&in[3], r->image * r->z->Tq * in[0].shape.dim[2]),
                                      .dout = at(&in[5], r->image * r->z->Tq * in[0].shape.dim[2]),
                                      .p = scratch(r, r->c->p),
                                      .ds = scratch(r, r->c->ds)};
    TRY(multiply(r, g->logits, q, k, s, scale, false));
    TRY(multiply(r, g->logits, dout, at(&in[2], r->keys), dp, 1, false));
    GPU_TRY(launch_attention_softmax_grad(&r->piece, in[0].dtype == SODA_BF16, &t, gpu_stream()));
    TRY(multiply(r, g->mean, t.ds, k, at(&out[0], r->queries), scale, false));
    TRY(multiply(r, g->sums, t.ds, q, sums_of(r, 1, r->c->dk), scale, add));
    return multiply(r, g->sums, t.p, dout, sums_of(r, 2, r->c->dv), 1, add);
}

/* The pieces of image `image`, in order. */
static soda_status run_image(const soda_call *call, const attention_sizes *z, int64_t image,
                             soda_status (*run)(const piece_run *), piece_run *r)
{
    const product_state *c = call->state;
    const int64_t C = (int64_t)z->heads * z->width;
    *r = (piece_run){.call = call, .z = z, .c = c, .image = image, .keys = image * z->Tk * C};
    for (int first = 0; first < z->Tq; first += c->rows) {
        r->queries = (image * z->Tq + first) * C;
        r->piece = (attention_piece){.Tq = z->Tq,
                                     .Tk = z->Tk,
                                     .heads = z->heads,
                                     .width = z->width,
                                     .first = first,
                                     .rows = (int)min64(c->rows, z->Tq - first),
                                     .ld = c->pitch,
                                     .causal = z->causal};
        TRY(run(r));
    }
    return SODA_OK;
}

soda_status attention_product_run(const soda_call *call, const attention_sizes *z)
{
    piece_run r;
    for (int64_t image = 0; image < z->B; image++) TRY(run_image(call, z, image, run_piece, &r));
    return SODA_OK;
}

soda_status attention_product_run_grad(const soda_call *call, const attention_sizes *z)
{
    const int64_t count = (int64_t)z->Tk * z->heads * z->width;
    piece_run r;
    for (int64_t image = 0; image < z->B; image++) {
        TRY(run_image(call, z, image, run_piece_grad, &r));
        if (call->in[0].dtype == SODA_F32) continue;
        GPU_TRY(launch_attention_round(scratch(&r, r.c->dk), at(&call->out[1], r.keys), count,
                                       gpu_stream()));
        GPU_TRY(launch_attention_round(scratch(&r, r.c->dv), at(&call->out[2], r.keys), count,
                                       gpu_stream()));
    }
    return SODA_OK;
}
