#include "verify/steps.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"
#include "train/random_step.h"
#include "verify/small_unet.h"

/* What steps left: values and the last gradient, tensor after tensor; devices leave gaps between
 * them. */
typedef struct {
    int64_t length;
    float *value, *gradient, *start; /* [length] each, in one block from value on */
} trained;

static void pack(const soda_params *p, const float *from, float *to)
{
    for (int i = 0; i < p->count; i++) {
        const params_tensor *t = &p->tensors[i];
        memcpy(to, from + t->offset, (size_t)t->count * sizeof *to);
        to += t->count;
    }
}

static soda_status keep(soda_params *p, trained *t)
{
    TRY(params_fetch(p));
    pack(p, p->host.value, t->value);
    pack(p, p->host.gradient, t->gradient);
    return SODA_OK;
}

static soda_status start(soda_params *p, trained *t)
{
    t->length = p->total;
    t->value = malloc(3 * (size_t)t->length * sizeof *t->value);
    if (!t->value) return FAIL(SODA_ERR_MEMORY, "out of memory");
    t->gradient = t->value + t->length;
    t->start = t->gradient + t->length;
    TRY(params_fetch(p));
    pack(p, p->host.value, t->start);
    return SODA_OK;
}

static soda_status take_steps(random_step *step, soda_comm *comm, trained *t)
{
    random_step_times unused;
    TRY(random_step_commit(step));
    TRY(comm_agree(comm, start(&step->params, t)));
    for (int i = 0; i < STEPS; i++) TRY(comm_agree(comm, random_step_run(step, &unused)));
    return comm_agree(comm, keep(&step->params, t));
}

static soda_status train(const random_step_options *options, const soda_backend *backend,
                         soda_comm *comm, trained *t)
{
    random_step step;
    soda_status s = random_step_plan(options, backend, comm, &step);
    if (s == SODA_OK) s = take_steps(&step, comm, t);
    random_step_close(&step);
    return s;
}

static double distance(const float *a, const float *b, int64_t n)
{
    double difference = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += pow((double)a[i] - (double)b[i], 2);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(difference / size);
}

static soda_status check_again(const trained *first, const trained *second)
{
    const size_t bytes = 2 * (size_t)first->length * sizeof *first->value;
    return memcmp(first->value, second->value, bytes) == 0
               ? SODA_OK
               : FAIL(SODA_ERR_NUMERIC, "%d steps have other bits the second time", STEPS);
}

/* On every rank; a rank that differs would be found late in training. Collective. */
static soda_status check_ranks(const trained *t, soda_comm *comm)
{
    uint8_t digest[SHA256_BYTES] = {0};
    soda_sha256 *hash = NULL;
    soda_status s = sha256_create(&hash);
    if (s == SODA_OK) s = sha256_update(hash, t->value, 2 * (size_t)t->length * sizeof *t->value);
    if (s == SODA_OK) s = sha256_finish(hash, digest);
    sha256_destroy(hash);
    TRY(comm_agree(comm, s));
    return comm_agree_same(comm, digest, sizeof digest, "parameters after the steps");
}

static soda_status check_host(const trained *got, const trained *want, double bound,
                              steps_result *result)
{
    const int64_t n = want->length;
    result->distance = distance(got->value, want->value, n);
    result->gradient = distance(got->gradient, want->gradient, n);
    if (!(distance(got->value, got->start, n) > 0))
        return FAIL(SODA_ERR_NUMERIC, "%d steps moved no parameter", STEPS);
    if (result->distance <= bound && result->gradient <= 10 * bound) return SODA_OK;
    return FAIL(SODA_ERR_NUMERIC,
                "%d steps: parameters %.2e from those of cpu, %.2e allowed; gradients %.2e, %.2e "
                "allowed",
                STEPS, result->distance, bound, result->gradient, 10 * bound);
}

soda_status steps_compare(const soda_backend *backend, soda_comm *comm,
                          const steps_options *options, steps_result *result)
{
    soda_unet_config unet;
    trained got = {0}, again = {0}, want = {0};
    const random_step_options step = {.unet = &unet,
                                      .dtype = options->dtype,
                                      .method = method_find(METHOD_DEFAULT),
                                      .batch = 1,
                                      .side = options->side,
                                      .tokens = 7,
                                      .weights = 0.1f,
                                      .vectors = 0.5f,
                                      .lr = 1e-3};
    soda_status s = SODA_OK;
    *result = (steps_result){0};
    TRY(comm_agree(comm, small_unet(&unet)));
    TRY_TO(done, train(&step, backend, comm, &got));
    TRY_TO(done, train(&step, backend, comm, &again));
    TRY_TO(done, train(&step, backend_cpu(backend->threads), comm, &want));
    TRY_TO(done, comm_agree(comm, check_again(&got, &again)));
    TRY_TO(done, check_ranks(&got, comm));
    s = comm_agree(comm, check_host(&got, &want, options->bound, result));
done:
    free(got.value);
    free(again.value);
    free(want.value);
    return s;
}
