/* Groups of ranks, and weights that they hold between them, run by mpirun on 1, 2, 3 and 4 ranks.
 */
#include "comm_mpi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/residency.h"
#include "core/round.h"
#include "support/check.h"

static soda_comm *comm, apart; /* the same ranks, as if each had a node of its own */

/* Every divisor of the number of ranks. */
static void groups_gather_and_scatter_their_parts(void **state)
{
    (void)state;
    enum { BYTES = 1003 };
    int64_t wrong = 0;
    for (int ranks = 1; ranks <= comm->size; ranks++) {
        soda_comm *group;
        if (comm->size % ranks) continue;
        CHECK_OK(comm->split(comm, ranks, &group));
        const int first = comm->rank / ranks * ranks;
        wrong += group->size != ranks || group->rank != comm->rank - first;
        unsigned char *all = calloc((size_t)ranks, BYTES), *twice = calloc((size_t)ranks, BYTES);
        unsigned char own[BYTES], part[BYTES];
        assert_true(all && twice);
        memset(own, 1 + comm->rank, sizeof own);
        const comm_parts parts[] = {{own, BYTES, all}, {own, BYTES - 1, twice}};
        CHECK_OK(group->meet(group));
        CHECK_OK(group->gather(group, parts, 2));
        for (int i = 0; i < ranks * BYTES; i++) wrong += all[i] != 1 + first + i / BYTES;
        for (int i = 0; i < ranks * (BYTES - 1); i++)
            wrong += twice[i] != 1 + first + i / (BYTES - 1);
        for (int root = 0; root < ranks; root++) {
            for (int i = 0; i < ranks * BYTES; i++)
                all[i] = (unsigned char)(group->rank == root ? 10 * root + i / BYTES : 99);
            CHECK_OK(group->scatter(group, all, BYTES, part, root));
            for (int i = 0; i < BYTES; i++) wrong += part[i] != 10 * root + group->rank;
        }
        free(all);
        free(twice);
        group->leave(group);
    }
    assert_int_equal(wrong, 0);
}

enum { FORMS = 11, RUNS = 3 };
static int made;      /* forms, by this rank */
static bool made_bad; /* the one that cannot be made, too */

static size_t bytes_of(int i) { return i % 4 == 3 ? 40 : 1000 + 64 * (size_t)i + (size_t)i; }

static unsigned char byte_of(char name, size_t i) { return (unsigned char)(name * 7 + i * 13); }

static soda_status fill(const soda_weight *weight, const void *recipe, void *form)
{
    const size_t bytes = *(const size_t *)recipe;
    made++;
    for (size_t i = 0; i < bytes; i++) ((unsigned char *)form)[i] = byte_of(weight->name[0], i);
    made_bad = strcmp(weight->name, "Bad") == 0;
    return made_bad ? FAIL(SODA_ERR_INPUT, "Bad: unreadable") : SODA_OK;
}

/* Uses of weights "a", "b", ... forwards and backwards, each in a step of its own; every fourth is
 * a vector. */
static soda_weights *list(int count, bool bad)
{
    static const char *const names[FORMS] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"};
    soda_weights *weights;
    CHECK_OK(weights_create(&weights));
    for (int step = 0; step < 2 * count; step++) {
        const int i = step < count ? step : 2 * count - 1 - step;
        const size_t bytes = bytes_of(i);
        const soda_weight w = {.name = bad && i == count - 1 ? "Bad" : names[i],
                               .source.shape = i % 4 == 3 ? SHAPE(10) : SHAPE(16, 16)};
        const weights_form form = {1, bytes, fill, &bytes, sizeof bytes};
        CHECK_OK(weights_note(weights, &w, &form, step, 0));
    }
    CHECK_OK(weights_cut(weights, WEIGHTS_VISIT_BYTES)); /* as exec_plan does */
    return weights;
}

/* Wrong bytes that a run finds. Odd ranks are late now and then. */
static int64_t run(soda_residency *store, const soda_weights *w, int first)
{
    int64_t wrong = 0;
    if (store->start) store->start(store, w, first);
    for (int v = first; v < w->visit_count; v++) {
        const weights_visit *visit = &w->visits[v];
        if (store->need) wrong += store->need(store, w, v) != SODA_OK;
        for (int u = visit->first_use; u < visit->first_use + visit->uses; u++) {
            const weights_entry *e = &w->entries[w->uses[u].entry];
            const unsigned char *form = store->address(store, w, u);
            wrong += (uintptr_t)form % 64 != 0;
            for (size_t i = 0; i < e->form.bytes; i++)
                wrong += form[i] != byte_of(e->weight.name[0], i);
        }
        if (store->done) store->done(store, w, v);
    }
    return wrong;
}

static soda_status split_apart(soda_comm *all, int ranks, soda_comm **group)
{
    TRY(comm->split(all, ranks, group));
    (*group)->node = comm_self();
    return SODA_OK;
}

/* Runs two networks; returns what the store tells of itself. */
static residency_report check_forms(soda_comm *all_ranks, size_t *share)
{
    soda_residency *store;
    soda_weights *weights = list(FORMS, false), *fewer = list(FORMS - 4, false);
    CHECK_OK(
        sharded_create(backend_ref(), all_ranks, &(sharded_options){comm->size, 8192}, &store));
    made = 0;
    CHECK_OK(store->fill(store, weights));
    CHECK_OK(store->fill(store, fewer)); /* a second network, of which nothing is missing */
    assert_int_equal(store->missing(store, fewer), 0);
    int64_t all = made;
    CHECK_OK(comm->sum_i64(comm, &all, 1));
    int64_t wrong = 0;
    for (int i = 0; i < RUNS; i++) wrong += run(store, weights, i) + run(store, fewer, 0);
    CHECK_OK(comm->sum_i64(comm, &wrong, 1)); /* all have read */
    residency_report report;
    store->report(store, &report);
    *share = residency_share(store, 0);
    assert_true(weights->visit_count > 3);
    residency_close(store);
    weights_destroy(weights);
    weights_destroy(fewer);
    assert_int_equal(wrong, 0);
    assert_int_equal(all, FORMS);
    assert_int_equal(report.ranks, comm->size);
    return report;
}

static void ranks_of_a_node_map_one_copy(void **state)
{
    (void)state;
    size_t share, whole = 0;
    const residency_report report = check_forms(comm, &share);
    for (int i = 0; i < FORMS; i++) whole += round_up(bytes_of(i), 64);
    assert_int_equal(report.whole_bytes, whole);
    assert_int_equal(share, whole / (size_t)comm->size);
    assert_int_equal(report.ring_bytes, 0);
    assert_int_equal(report.gathered_bytes, 0);
}

static void ranks_of_several_nodes_gather_their_parts(void **state)
{
    (void)state;
    size_t share, sliced = 0, whole = 0;
    if (comm->size == 1) skip(); /* one rank is on one node */
    const residency_report report = check_forms(&apart, &share);
    for (int i = 0; i < FORMS; i++) {
        if (i % 4 == 3)
            whole += 64;
        else
            sliced += bytes_of(i) / (size_t)comm->size + 64;
    }
    assert_int_equal(report.ring_bytes, 8192);
    assert_true(share <= sliced + whole + 8192);
    assert_true(report.gathered_bytes > 0 && report.gather_s > 0);
}

static void a_form_that_fails_fails_on_all_ranks(void **state)
{
    soda_comm *all = *state;
    soda_residency *store;
    soda_weights *weights = list(FORMS, true);
    char message[256];
    CHECK_OK(sharded_create(backend_ref(), all, &(sharded_options){comm->size, 0}, &store));
    made_bad = false;
    const soda_status s = store->fill(store, weights);
    snprintf(message, sizeof message, "%s", status_message());
    const int failed = all->failed_rank;
    int64_t maker = made_bad ? comm->rank : -1; /* which makes nothing after it */
    CHECK_OK(comm->max_i64(comm, &maker, 1));
    residency_close(store);
    weights_destroy(weights);
    assert_int_equal(s, SODA_ERR_INPUT);
    assert_int_equal(failed, maker);
    if (comm->rank == failed) assert_string_equal(message, "Bad: unreadable");
}

static void ranks_with_another_schedule_are_told_so(void **state)
{
    soda_comm *all = *state;
    soda_residency *store;
    soda_weights *weights = list(comm->rank == 0 ? FORMS : FORMS - 1, false);
    CHECK_OK(sharded_create(backend_ref(), all, &(sharded_options){comm->size, 0}, &store));
    const soda_status s = store->fill(store, weights);
    residency_close(store);
    weights_destroy(weights);
    assert_int_equal(s, comm->size > 1 ? SODA_ERR_INPUT : SODA_OK);
}

/* A rank alone finds out, so nothing else may be asked of the others. */
static void a_sealed_store_fails_alone(void **state)
{
    soda_comm *all = *state;
    soda_residency *store;
    soda_weights *weights = list(FORMS - 1, false), *more = list(FORMS, false);
    CHECK_OK(sharded_create(backend_ref(), all, &(sharded_options){comm->size, 0}, &store));
    CHECK_OK(store->fill(store, weights));
    store->sealed = true;
    const soda_status known = store->fill(store, weights);
    const soda_status s = comm->rank == 0 ? store->fill(store, more) : SODA_OK;
    int64_t ranks = 1;
    CHECK_OK(comm->sum_i64(comm, &ranks, 1)); /* the others' next collective is rank 0's */
    residency_close(store);
    weights_destroy(weights);
    weights_destroy(more);
    assert_int_equal(ranks, comm->size);
    assert_int_equal(known, SODA_OK);
    assert_int_equal(s, comm->rank == 0 ? SODA_ERR_INTERNAL : SODA_OK);
}

static void a_ring_that_is_too_small_is_refused(void **state)
{
    soda_comm *all = *state;
    soda_residency *store;
    soda_weights *weights = list(FORMS, false);
    char message[256];
    CHECK_OK(sharded_create(backend_ref(), all, &(sharded_options){comm->size, 1024}, &store));
    const soda_status s = store->fill(store, weights);
    snprintf(message, sizeof message, "%s", status_message());
    residency_close(store);
    weights_destroy(weights);
    assert_int_equal(s, SODA_ERR_INPUT);
    assert_non_null(strstr(message, "parallel.ring: expected at least 0.002 MiB"));
}

/* As in a backend whose build has nothing that gathers. */
static soda_status open_no_lane(soda_device *device, soda_comm *all, soda_comm *group,
                                soda_lane **lane)
{
    (void)device, (void)all, (void)group;
    *lane = NULL;
    return FAIL(SODA_ERR_UNSUPPORTED, "no lane");
}

static void memory_of_others_wants_a_lane(void **state)
{
    (void)state;
    soda_residency *store = NULL;
    soda_device other = *device_host();
    const soda_backend backend = {.device = &other, .open_lane = open_no_lane};
    other.host = false;
    CHECK_FAILS(sharded_create(&backend, comm, &(sharded_options){comm->size, 0}, &store),
                SODA_ERR_UNSUPPORTED);
    check_message_has("no lane");
    assert_null(store);
}

int main(void)
{
    if (!comm_mpi_launched()) return fprintf(stderr, "to be run by mpirun\n"), 1;
    if (comm_mpi_open(true, &comm) != SODA_OK) return fprintf(stderr, "%s\n", status_message()), 1;
    apart = *comm;
    apart.split = split_apart;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_gather_and_scatter_their_parts),
        cmocka_unit_test(ranks_of_a_node_map_one_copy),
        cmocka_unit_test(ranks_of_several_nodes_gather_their_parts),
        cmocka_unit_test_prestate(a_form_that_fails_fails_on_all_ranks, comm),
        cmocka_unit_test_prestate(a_form_that_fails_fails_on_all_ranks, &apart),
        cmocka_unit_test_prestate(ranks_with_another_schedule_are_told_so, comm),
        cmocka_unit_test_prestate(ranks_with_another_schedule_are_told_so, &apart),
        cmocka_unit_test_prestate(a_sealed_store_fails_alone, comm),
        cmocka_unit_test_prestate(a_sealed_store_fails_alone, &apart),
        cmocka_unit_test_prestate(a_ring_that_is_too_small_is_refused, comm),
        cmocka_unit_test_prestate(a_ring_that_is_too_small_is_refused, &apart),
        cmocka_unit_test(memory_of_others_wants_a_lane),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_mpi_close();
    return failed;
}
