/* attention and its gradient, CPU backend: chooses a path in prepare, runs its phases.
 *
 *     o = softmax(scale q k') v, head by head            Vaswani et al., arXiv:1706.03762
 *
 * Never a tq x tk matrix: key blocks with a running maximum and sum, Milakov & Gimelshein,
 * arXiv:1805.02867; the gradient recomputes the probabilities from lse, Dao et al.,
 * arXiv:2205.14135. */
#include <omp.h>
#include <stdlib.h>

#include "backend/cpu/attention_internal.h"
#include "backend/cpu/kernels.h"
#include "core/round.h"

typedef struct {
    attention_job job;
    const attention_pass *pass;
    size_t shared_bytes, own_bytes;
} attention_state;

static const attention_path *forced;

void attention_force(const attention_path *path) { forced = path; }

const attention_path *const *attention_paths(void)
{
    static const attention_path *const paths[] = {
#if defined(__x86_64__)
        &attention_amx,
        &attention_bf16,
        &attention_avx512,
        &attention_avx2,
#endif
        &attention_portable,
        NULL,
    };
    return paths;
}

bool attention_usable(const attention_path *path, soda_dtype dtype)
{
    return isa_allows(path->level) && (dtype == SODA_BF16 || !path->bf16_only);
}

static const attention_path *choose(soda_dtype dtype)
{
    if (forced && attention_usable(forced, dtype)) return forced;
    const attention_path *const *p = attention_paths();
    while (!attention_usable(*p, dtype)) p++;
    return *p;
}

static soda_status prepare(soda_call *call, bool gradient)
{
    attention_state *state = malloc(sizeof *state);
    if (!state) return FAIL(SODA_ERR_MEMORY, "out of memory");
    const soda_tensor *q = &call->in[0], *k = &call->in[1];
    const attention_attr *attr = &call->attr->attention;
    state->job = (attention_job){.batch = q->shape.dim[0],
                                 .tq = q->shape.dim[1],
                                 .tk = k->shape.dim[1],
                                 .width = q->shape.dim[2],
                                 .heads = attr->heads,
                                 .d = q->shape.dim[2] / attr->heads,
                                 .causal = attr->causal,
                                 .scale = attr->scale,
                                 .dtype = q->dtype,
                                 .threads = omp_get_max_threads()};
    const attention_path *path = choose(q->dtype);
    state->job.steps = path->steps;
    state->pass = gradient ? &path->gradient : &path->forward;
    state->shared_bytes = whole_lines(state->pass->shared_bytes(&state->job));
    state->own_bytes = whole_lines(state->pass->own_bytes(&state->job));
    call->scratch_bytes = state->shared_bytes + state->own_bytes * (size_t)state->job.threads;
    call->state = state;
    return SODA_OK;
}

static void run_phases(const attention_state *state, const attention_job *call_job, char *scratch)
{
#pragma omp parallel num_threads(call_job->threads)
    {
        attention_job job = *call_job;
        job.shared = scratch;
        job.own = scratch + state->shared_bytes + state->own_bytes * (size_t)omp_get_thread_num();
        for (int phase = 0; phase < ATTENTION_MAX_PHASES; phase++) {
            const int64_t tasks = state->pass->tasks(&job, phase);
            /* Who takes a task does not change its bits; dynamic, as causal tasks differ. */
#pragma omp for schedule(dynamic)
            for (int64_t task = 0; task < tasks; task++) state->pass->run(&job, phase, task);
        }
    }
}

static soda_status prepare_forward(soda_call *call, soda_weights *weights)
{
    (void)weights;
    return prepare(call, false);
}

static soda_status prepare_gradient(soda_call *call, soda_weights *weights)
{
    (void)weights;
    return prepare(call, true);
}

static soda_status run_forward(const soda_call *call)
{
    const attention_state *state = call->state;
    attention_job job = state->job;
    job.q = call->in[0].data;
    job.k = call->in[1].data;
    job.v = call->in[2].data;
    job.out[0] = call->out[0].data;
    job.lse_out = call->out[1].data;
    run_phases(state, &job, call->scratch);
    return SODA_OK;
}

static soda_status run_gradient(const soda_call *call)
{
    const attention_state *state = call->state;
    attention_job job = state->job;
    job.q = call->in[0].data;
    job.k = call->in[1].data;
    job.v = call->in[2].data;
    job.o = call->in[3].data;
    job.lse = call->in[4].data;
    job.dout = call->in[5].data;
    for (int i = 0; i < 3; i++) job.out[i] = call->out[i].data;
    run_phases(state, &job, call->scratch);
    return SODA_OK;
}

static void release(soda_call *call)
{
    free(call->state);
    call->state = NULL;
}

const soda_kernel cpu_attention = {prepare_forward, run_forward, release};
const soda_kernel cpu_attention_grad = {prepare_gradient, run_gradient, release};
