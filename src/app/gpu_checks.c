#include "app/gpu_checks.h"

#include <stdio.h>
#include <string.h>

#include "app/archs.h"
#include "app/selftest.h"
#include "core/log.h"
#include "verify/kernels.h"
#include "verify/libraries.h"
#include "verify/small_unet.h"
#include "verify/steps.h"

/* Takes the current message where `s` is a failure. */
static void add_check(gpu_results *r, const char *name, soda_status s, double error, double allowed)
{
    gpu_check *c = &r->check[r->checks++];
    *c = (gpu_check){.name = name, .failed = s != SODA_OK, .allowed = allowed};
    if (!c->failed) c->error = error;
    if (c->failed) {
        snprintf(c->message, sizeof c->message, "%s", status_message());
        log_info("FAILED: %s: %s", name, c->message);
    }
    status_clear();
}

static void note_kernel(void *context, const kernel_result *result)
{
    gpu_kernel *k = &((gpu_results *)context)->kernel[result->op];
    k->cases++;
    if (result->worst > k->worst) k->worst = result->worst;
    if (result->status == SODA_OK) return;
    if (!k->failed++) {
        snprintf(k->message, sizeof k->message, "%s", status_message());
        log_info("FAILED: %s", k->message);
    }
    status_clear();
}

enum { QUICK_ELEMENTS = 250 };

static void check_kernels(gpu_results *r)
{
    kernel_check check = {.backend = r->backend,
                          .most = r->quick ? QUICK_ELEMENTS : 0,
                          .brief = r->quick,
                          .note = note_kernel,
                          .context = r};
    log_info("kernels: each against the reference in fp64");
#define KERNELS(name) kernels_##name(&check);
#include "verify/kernels.def"
#undef KERNELS
    for (int i = 0; i < OP_COUNT; i++)
        if (!r->kernel[i].cases)
            note_kernel(r, &(kernel_result){
                               .op = (soda_op)i,
                               .status = FAIL(SODA_ERR_INTERNAL, "%s: no case", op_rows[i].name)});
}

static void check_unet(gpu_results *r, const selftest_type *type)
{
    float prediction[SELFTEST_VALUES];
    double error = 0;
    soda_status s = selftest_predict(r->backend, type->dtype, prediction);
    if (s == SODA_OK) error = selftest_error(prediction);
    if (s == SODA_OK && !(error <= type->bound))
        s = FAIL(SODA_ERR_NUMERIC, "error %.2e, allowed %.2e", error, type->bound);
    add_check(r, type->what, s, error, type->bound);
}

static void check_libraries(gpu_results *r)
{
    libraries_sum sum = {0};
    double worst = 0;
    log_info("libraries: factorisations, and sums over ranks");
    if (r->backend->factorize) {
        const soda_status s = libraries_factorize(r->backend->factorize, &worst);
        add_check(r, "SVD and QR", s, worst, 1);
    }
    const soda_status s = libraries_sums(r->backend, r->comm, r->quick, &sum);
    add_check(r, "sums over ranks", s, 0, 0);
    const double ranks = r->comm->size;
    if (s == SODA_OK && ranks > 1 && sum.seconds > 0)
        r->sum_gb_per_s = 2 * (ranks - 1) / ranks * (double)sum.bytes / sum.seconds * 1e-9;
}

static void check_steps(gpu_results *r, soda_dtype dtype, const char *name, double allowed)
{
    steps_result result;
    const steps_options options = {dtype, r->quick ? 6 : 12, allowed};
    const soda_status s = steps_compare(r->backend, r->comm, &options, &result);
    add_check(r, name, s, result.distance, allowed);
}

static soda_status measure(gpu_results *r, gpu_rate *rate, soda_dtype dtype, random_step *step)
{
    soda_unet_config unet;
    random_step_options options = {.unet = &unet,
                                   .dtype = dtype,
                                   .method = method_find(METHOD_DEFAULT),
                                   .batch = 1,
                                   .side = r->quick ? 8 : 64,
                                   .tokens = r->quick ? 7 : 77,
                                   .weights = 0.02f,
                                   .vectors = 1,
                                   .lr = 5e-5};
    TRY(comm_agree(r->comm, r->quick ? small_unet(&unet) : arch_find(rate->arch, &unet)));
    TRY(random_step_plan(&options, r->backend, r->comm, step));
    TRY(comm_agree(r->comm, r->quick ? SODA_OK : bench_roof(r->backend, dtype, &rate->roof)));
    TRY(random_step_commit(step));
    return bench_run(step, r->quick ? 1 : 5, r->card, &rate->profile);
}

static void measure_rates(gpu_results *r)
{
    static const soda_dtype types[GPU_RATES] = {SODA_BF16, SODA_F32};
    if (!r->quick && r->backend->device->simulated) {
        r->rates_skipped = "a simulated GPU would take hours, and its rates say nothing";
        log_info("SKIPPED: rates: %s", r->rates_skipped);
        return;
    }
    log_info("rates: a training step by operator");
    for (int i = 0; i < (r->quick ? 1 : GPU_RATES); i++) {
        gpu_rate *rate = &r->rate[r->rates];
        random_step step = {0};
        *rate = (gpu_rate){.arch = r->quick ? "small" : "sd15", .dtype = dtype_name(types[i])};
        const soda_status s = comm_agree(r->comm, measure(r, rate, types[i], &step));
        random_step_close(&step);
        add_check(r, i ? "rates, fp32" : "rates, bf16", s, 0, 0);
        if (s == SODA_OK) r->rates++;
    }
}

void gpu_checks_run(const soda_backend *backend, soda_comm *comm, bool quick, gpu_results *results)
{
    const double start_s = log_seconds();
    *results = (gpu_results){.backend = backend,
                             .comm = comm,
                             .quick = quick,
                             .card = gpu_speed_of(backend->device->name)};
    check_kernels(results);
    for (int i = 0; i < SELFTEST_TYPES; i++) check_unet(results, &selftest_types[i]);
    check_libraries(results);
    log_info("steps: three, twice, and on the CPU");
    check_steps(results, SODA_F32, "steps, fp32", 1e-5);
    if (!quick) check_steps(results, SODA_BF16, "steps, bf16", 1e-2);
    measure_rates(results);
    results->seconds = log_seconds() - start_s;
}

void gpu_checks_count(const gpu_results *results, int *checks, int *failed, const char **first)
{
    *checks = results->checks;
    *failed = 0;
    *first = "";
    for (int i = 0; i < OP_COUNT; i++) {
        const gpu_kernel *k = &results->kernel[i];
        *checks += k->cases;
        *failed += k->failed;
        if (k->failed && !**first) *first = k->message;
    }
    for (int i = 0; i < results->checks; i++) {
        *failed += results->check[i].failed;
        if (results->check[i].failed && !**first) *first = results->check[i].message;
    }
}
