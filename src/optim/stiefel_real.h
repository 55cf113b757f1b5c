/* stiefel_real.h: the steps of stiefel.h, included once per type after matrix_real.h.
 *
 * Expects also MATRIX (stiefel_f32 or stiefel_f64), NAME(cross), which sets C = A'B, and
 * NAME(drift), which returns ||X'X - I||_F. St(n,m) extends SO(n) by V, the momentum that leaves
 * the column space, with gV = G - X(X'G):
 *
 *     SGD    V <- mu V - (3a-2)/2 lr (V Y_old) - (1 - damp) gV ; Y, X as SO(n)
 *            C = X(V'V) ; X <- X + lr V(X'X) ; V <- V - lr C ; X <- polar(X)
 *     Adam   pV <- beta2 pV + (1 - beta2) gV.gV ; Y, p, X as SO(n)
 *            V <- beta1 V - (3a-2)/2 lr (V Y_new) - (1 - beta1) gV
 *            W = V / (sqrt(pV / (1 - beta2^t)) + eps) ; W <- W - X(X'X)^-1 X'W
 *            C = X(W'V) ; X <- X + lr W(X'X) ; V <- V - lr C ; X <- polar(X)
 */

/* Scratch of one thread; every matrix has rows of ld and max(n, m) rows. */
typedef struct {
    int64_t ld;
    REAL *X, *G, *V, *W, *tall;          /* [n,ld] */
    REAL *M, *xi, *E, *A, *B, *C, *Ynow; /* [m,ld] */
    double *wide;                        /* for cross */
} NAME(space);

static void NAME(load)(REAL *padded, const REAL *x, int rows, int columns, int64_t ld)
{
    for (int i = 0; i < rows; i++) {
        memcpy(padded + i * ld, x + (int64_t)i * columns, (size_t)columns * sizeof *x);
        memset(padded + i * ld + columns, 0, (size_t)(ld - columns) * sizeof *x);
    }
}

static void NAME(store)(REAL *x, const REAL *padded, int rows, int columns, int64_t ld)
{
    for (int i = 0; i < rows; i++)
        memcpy(x + (int64_t)i * columns, padded + i * ld, (size_t)columns * sizeof *x);
}

/* Y, p and the generator xi from M = X'G. Written in pairs (i,j), (j,i), so that Y and xi are skew
 * to the bit whatever the compiler contracts. */
static void NAME(generator)(const stiefel_rule *r, const MATRIX *x, NAME(space) * s)
{
    const REAL c = (REAL)r->c, keep = (REAL)r->keep, take = (REAL)r->take, rate = (REAL)r->rate;
    const REAL beta2 = (REAL)r->beta2, rest2 = (REAL)r->rest2, eps = (REAL)r->eps;
    const REAL correction2 = (REAL)r->correction2;

    memset(s->xi, 0, (size_t)(x->m * s->ld) * sizeof(REAL));
    for (int i = 0; i < x->m; i++) {
        for (int j = i + 1; j < x->m; j++) {
            const int64_t upper = (int64_t)i * x->m + j, lower = (int64_t)j * x->m + i;
            const REAL g = c * (s->M[i * s->ld + j] - s->M[j * s->ld + i]);
            const REAL y = keep * x->Y[upper] - take * g;
            REAL xi = rate * y;
            if (r->adam) {
                const REAL p = beta2 * x->p[upper] + rest2 * (g * g);
                x->p[upper] = x->p[lower] = p;
                xi /= SQRT(p / correction2) + eps;
            }
            x->Y[upper] = y;
            x->Y[lower] = -y;
            s->xi[i * s->ld + j] = xi;
            s->xi[j * s->ld + i] = -xi;
        }
    }
}

/* X <- X step(xi) */
static void NAME(retract)(stiefel_retraction retraction, const MATRIX *x, NAME(space) * s)
{
    const int64_t ld = s->ld, tall = x->n * ld, square = x->m * ld;
    if (retraction == STIEFEL_EULER) {
        NAME(product)(s->tall, s->X, ld, 1, s->xi, ld, x->n, x->m);
        NAME(add_scaled)(s->X, 1, s->tall, tall);
        return;
    }
    if (retraction == STIEFEL_CAYLEY) {
        NAME(set_identity)(s->A, x->m, ld);
        NAME(set_identity)(s->E, x->m, ld);
        NAME(add_scaled)(s->A, (REAL)-0.5, s->xi, square);
        NAME(add_scaled)(s->E, (REAL)0.5, s->xi, square);
        NAME(solve)(s->A, s->E, x->m, ld);
    } else {
        NAME(exponential)(s->E, s->xi, s->A, s->B, x->m, ld);
    }
    NAME(product)(s->tall, s->X, ld, 1, s->E, ld, x->n, x->m);
    memcpy(s->X, s->tall, (size_t)tall * sizeof(REAL));
}

/* X <- X (X'X)^(-1/2) */
static void NAME(polar)(const MATRIX *x, NAME(space) * s)
{
    NAME(cross)(s->A, s->X, s->X, x->n, x->m, s->ld, s->wide);
    NAME(inverse_root)(s->E, s->A, s->B, s->C, x->m, s->ld);
    NAME(product)(s->tall, s->X, s->ld, 1, s->E, s->ld, x->n, x->m);
    memcpy(s->X, s->tall, (size_t)(x->n * s->ld) * sizeof(REAL));
}

/* s->V <- keep V - (3a-2)/2 lr (V Y) - take gV, with gV = G - X M in s->G already. */
static void NAME(push_leaving)(const stiefel_rule *r, const MATRIX *x, NAME(space) * s)
{
    const REAL keep = (REAL)r->keep, turn = (REAL)r->turn, take = (REAL)r->take;
    NAME(load)(s->Ynow, x->Y, x->m, x->m, s->ld);
    NAME(product)(s->tall, s->V, s->ld, 1, s->Ynow, s->ld, x->n, x->m);
    for (int64_t i = 0; i < x->n * s->ld; i++)
        s->V[i] = keep * s->V[i] - turn * s->tall[i] - take * s->G[i];
}

/* X <- X + lr W(X'X), V <- V - lr X(W'V); W is V itself for SGD. */
static void NAME(leave)(const stiefel_rule *r, const MATRIX *x, NAME(space) * s, const REAL *W)
{
    const int64_t ld = s->ld, tall = x->n * ld;
    NAME(cross)(s->A, W, s->V, x->n, x->m, ld, s->wide);
    NAME(cross)(s->B, s->X, s->X, x->n, x->m, ld, s->wide);
    NAME(product)(s->tall, W, ld, 1, s->B, ld, x->n, x->m);
    NAME(product)(s->G, s->X, ld, 1, s->A, ld, x->n, x->m); /* gV is used up */
    NAME(add_scaled)(s->X, (REAL)r->lr, s->tall, tall);
    NAME(add_scaled)(s->V, (REAL)-r->lr, s->G, tall);
    NAME(store)(x->V, s->V, x->n, x->m, ld);
}

/* s->W <- V / (sqrt(pV / (1 - beta2^t)) + eps), then without its part in the columns of X. */
static void NAME(scale_leaving)(const stiefel_rule *r, const MATRIX *x, NAME(space) * s)
{
    const int64_t ld = s->ld;
    const REAL correction2 = (REAL)r->correction2, eps = (REAL)r->eps;
    memset(s->W, 0, (size_t)(x->n * ld) * sizeof(REAL));
    for (int i = 0; i < x->n; i++)
        for (int j = 0; j < x->m; j++)
            s->W[i * ld + j] =
                s->V[i * ld + j] / (SQRT(x->pV[(int64_t)i * x->m + j] / correction2) + eps);
    NAME(cross)(s->A, s->X, s->X, x->n, x->m, ld, s->wide);
    NAME(cross)(s->B, s->X, s->W, x->n, x->m, ld, s->wide);
    NAME(solve)(s->A, s->B, x->m, ld);
    NAME(product)(s->tall, s->X, ld, 1, s->B, ld, x->n, x->m);
    NAME(add_scaled)(s->W, -1, s->tall, x->n * ld);
}

static void NAME(one_step)(const stiefel_rule *r, const MATRIX *x, NAME(space) * s)
{
    const int64_t ld = s->ld;
    const bool tall = x->n > x->m, adam = r->adam;
    NAME(load)(s->X, x->X, x->n, x->m, ld);
    NAME(load)(s->G, x->G, x->n, x->m, ld);
    NAME(cross)(s->M, s->X, s->G, x->n, x->m, ld, s->wide);
    if (tall) {
        NAME(load)(s->V, x->V, x->n, x->m, ld);
        NAME(product)(s->tall, s->X, ld, 1, s->M, ld, x->n, x->m);
        NAME(add_scaled)(s->G, -1, s->tall, x->n * ld);
        if (!adam) NAME(push_leaving)(r, x, s);
    }
    for (int64_t i = 0; tall && adam && i < (int64_t)x->n * x->m; i++) {
        const REAL g = s->G[i / x->m * ld + i % x->m];
        x->pV[i] = (REAL)r->beta2 * x->pV[i] + (REAL)r->rest2 * (g * g);
    }
    NAME(generator)(r, x, s);
    NAME(retract)(r->retraction, x, s);
    if (tall && adam) {
        NAME(push_leaving)(r, x, s);
        NAME(scale_leaving)(r, x, s);
        NAME(leave)(r, x, s, s->W);
    } else if (tall) {
        NAME(leave)(r, x, s, s->V);
    }
    NAME(polar)(x, s);
    NAME(store)(x->X, s->X, x->n, x->m, ld);
}

/* The scratch at `memory` cut into matrices for x. */
static NAME(space) NAME(cut)(char *memory, const MATRIX *x)
{
    NAME(space) s = {.ld = round_up64(x->m, LANES)};
    const size_t step = padded_bytes(x->n, x->m);
    REAL **const each[] = {&s.X,  &s.G, &s.V, &s.W, &s.tall, &s.M,
                           &s.xi, &s.E, &s.A, &s.B, &s.C,    &s.Ynow};
    _Static_assert(sizeof each / sizeof *each == SPACE_MATRICES, "see stiefel_work_create");
    for (size_t i = 0; i < SPACE_MATRICES; i++) *each[i] = (REAL *)(void *)(memory + i * step);
    s.wide = (double *)(void *)(memory + SPACE_MATRICES * step);
    return s;
}

static soda_status NAME(apply)(const stiefel_rule *rule, const MATRIX *matrices, int64_t count,
                               stiefel_work *work, double *drift)
{
    for (int64_t i = 0; i < count; i++) {
        const MATRIX *x = &matrices[i];
        if (x->n < x->m || x->m < 1 || x->n > work->n_max || x->m > work->m_max)
            return FAIL(SODA_ERR_INTERNAL, "stiefel: a %d x %d matrix; scratch is for %d x %d",
                        x->n, x->m, work->n_max, work->m_max);
        for (int64_t e = 0; e < (int64_t)x->n * x->m; e++)
            if (!isfinite(x->G[e]))
                return FAIL(SODA_ERR_NUMERIC, "the gradient of rotation %lld is not finite",
                            (long long)i);
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(work->threads)
    for (int64_t i = 0; i < count; i++) {
        NAME(space)
        s = NAME(cut)(work->memory + (size_t)omp_get_thread_num() * work->stride, &matrices[i]);
        NAME(one_step)(rule, &matrices[i], &s);
        if (drift) drift[i] = NAME(drift)(s.X, matrices[i].n, matrices[i].m, s.ld, s.wide);
    }
    return SODA_OK;
}
