/* Nodes of the graph of a micro-batch, for networks of full size: counted when they are captured.
 * Nothing is executed, so forms of weights need no contents, and all lie at one address. */
#include "support/check.h"

#include <stdio.h>

#include "app/archs.h"
#include "cuda/gpu.h"
#include "model/random_weights.h"
#include "plan/outline.h"
#include "support/tested.h"

static void *form; /* of every weight */

static void *address(const soda_residency *r, const soda_weights *weights, int use)
{
    (void)r, (void)weights, (void)use;
    return form;
}

/* How many nodes a run has, with its prologue the first time. */
static size_t count_nodes(soda_exec *exec)
{
    cudaGraph_t graph;
    size_t count = 0;
    assert_int_equal(cudaStreamBeginCapture(gpu_stream(), cudaStreamCaptureModeThreadLocal), 0);
    const soda_status s = exec_run(exec);
    assert_int_equal(cudaStreamEndCapture(gpu_stream(), &graph), 0);
    CHECK_OK(s);
    assert_int_equal(cudaGraphGetNodes(graph, NULL, &count), 0);
    cudaGraphDestroy(graph);
    return count;
}

static double check_arch(const char *arch, const char *method, const char *dtype)
{
    soda_folder folder = {0};
    soda_weight_source *weights;
    run_config *config;
    soda_outline o;
    char text[256];
    const soda_backend *backend = tested_backend();
    CHECK_OK(arch_find(arch, &folder.unet));
    const int64_t side = folder.unet.sample_h ? 8 * folder.unet.sample_h : 512;
    const int n = snprintf(text, sizeof text,
                           "data: {resolution: %lld}\nadapter: {method: %s}\n"
                           "train: {dtype: %s, recompute: none}\n",
                           (long long)side, method, dtype);
    CHECK_OK(run_config_parse(text, (size_t)n, "test.yaml", NULL, 0, &config));
    CHECK_OK(random_weights_create(0.02f, 1, &weights));
    const outline_request request = {.config = config,
                                     .backend = backend,
                                     .unet = weights,
                                     .unet_folder = &folder,
                                     .sharers = 1,
                                     .machine_bytes = (size_t)80 << 30};
    CHECK_OK(outline_open(&request, &o));
    o.model.residency->address = address;
    soda_step *step = &o.networks.trained.list[0];
    CHECK_OK(step_commit(step, backend));
    int steps, prologue;
    exec_order(step->net.exec, &steps, &prologue);
    const size_t whole = count_nodes(step->net.exec), again = count_nodes(step->net.exec);
    const double ratio = (double)again / (double)(steps - prologue);
    print_message("%s %s %s: %d nodes planned, %zu captured (%.3f); with the prologue %d, %zu "
                  "(%.3f)\n",
                  arch, method, dtype, steps - prologue, again, ratio, steps, whole,
                  (double)whole / steps);
    outline_close(&o);
    random_weights_destroy(weights);
    run_config_destroy(config);
    return ratio;
}

static void a_graph_has_few_nodes_more_than_its_plan(void **state)
{
    (void)state;
    static const char *const archs[] = {"sd15", "sdxl"};
    static const char *const methods[] = {"soda_svd", "soda_lq"};
    static const char *const types[] = {"bf16", "fp32"};
    soda_device *d = tested_backend()->device;
    CHECK_OK(d->alloc(d, 1 << 20, &form));
    for (int i = 0; i < 8; i++)
        assert_true(check_arch(archs[i % 2], methods[i / 2 % 2], types[i / 4]) <= 1.3);
    d->release(d, form);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_graph_has_few_nodes_more_than_its_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
