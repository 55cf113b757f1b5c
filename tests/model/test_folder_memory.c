/* The k-th allocation fails while a model folder is opened, a graph built and made ready, for
 * k = 1, 2, ... until it works: each failure says so, and leaves nothing behind. */
#include "support/alloc_fault.h"
#include "support/check.h"

#include "exec/exec.h"
#include "model/clip.h"
#include "model/folder.h"

static soda_status build(const soda_folder *folder, const folder_weights *weights,
                         soda_residency *store)
{
    soda_status s = SODA_OK;
    soda_graph *graph = NULL;
    soda_exec *exec = NULL;
    const int32_t ids[] = {638, 7, 639};
    TRY_TO(done, graph_create(SODA_F32, &graph));
    soda_builder b = {.graph = graph, .source = weights->source};
    TRY_TO(done, clip_build(&b, &folder->text[0], 1, 3, CLIP_LAST | CLIP_POOLED));
    TRY_TO(done, exec_plan(graph, backend_ref(), NULL, &exec));
    TRY_TO(done, exec_commit(exec, store));
    TRY_TO(done, clip_write(exec, graph, NULL, &folder->text[0], ids, 1, 3));
done:
    exec_destroy(exec);
    graph_destroy(graph);
    return s;
}

static soda_status load(void)
{
    soda_status s = SODA_OK;
    soda_folder *folder = NULL;
    folder_weights weights = {0};
    soda_residency *store = NULL;
    TRY_TO(done, folder_open(SODA_TEST_DIR "/golden/tiny-sd1", &folder));
    TRY_TO(done, folder_weights_open(folder, FOLDER_TEXT_ENCODER, &weights));
    TRY_TO(done, resident_create(device_host(), &store));
    TRY_TO(done, build(folder, &weights, store));
done:
    residency_close(store);
    folder_weights_close(&weights);
    folder_close(folder);
    return s;
}

static void loading_survives_every_failed_allocation(void **state)
{
    (void)state;
    int survived = 0; /* the arena's block is mapped at the second try */
    for (long k = 1;; k++) {
        alloc_fault_set(k);
        const soda_status s = load();
        const long count = alloc_fault_count;
        alloc_fault_set(0);
        if (count < k) {
            check_status(s, SODA_OK, __FILE__, __LINE__);
            assert_true(k > 300); /* there is something to sweep over */
            assert_true(survived <= 1);
            return;
        }
        if (s == SODA_OK && ++survived) continue;
        check_status(s, SODA_ERR_MEMORY, __FILE__, __LINE__);
        check_message_has("memory");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
