/* Memory that ranks share, and weights in it, run by mpirun on 1, 2, 3 and 4 ranks. */
#include "comm_mpi.h"

#include <stdio.h>
#include <string.h>

#include "backend/residency.h"
#include "comm/node_memory.h"
#include "support/check.h"

static soda_comm *comm;

/* Each rank writes its row; after an agreement all ranks see all rows. */
static void what_one_rank_writes_all_ranks_read(void **state)
{
    (void)state;
    enum { ROW = 10007 };
    const size_t bytes = (size_t)comm->size * ROW;
    int64_t wrong = 0;
    void *memory = NULL;
    const soda_status opened = node_memory_open(comm, bytes, &memory);
    unsigned char *rows = memory;
    if (opened == SODA_OK) memset(rows + (size_t)comm->rank * ROW, 1 + comm->rank, ROW);
    const soda_status written = comm_agree(comm, opened);
    for (size_t i = 0; written == SODA_OK && i < bytes; i++) wrong += rows[i] != 1 + i / ROW;
    const soda_status s = opened == SODA_OK ? node_memory_protect(memory, bytes) : opened;
    comm_agree(comm, s);
    node_memory_close(memory, bytes);
    CHECK_OK(opened);
    CHECK_OK(s);
    assert_int_equal((uintptr_t)memory % 64, 0);
    assert_int_equal(wrong, 0);
}

static void what_no_node_has_is_an_error_on_all_ranks(void **state)
{
    (void)state;
    void *memory = &memory;
    const soda_status s = node_memory_open(comm, SIZE_MAX / 2, &memory);
    assert_int_equal(s, SODA_ERR_MEMORY);
    assert_null(memory);
}

static int made; /* forms, by this rank */

static soda_status fill(const soda_weight *weight, const void *recipe, void *form)
{
    (void)recipe;
    made++;
    memset(form, weight->name[0], 640);
    return strcmp(weight->name, "bad") == 0 ? FAIL(SODA_ERR_INPUT, "bad: unreadable") : SODA_OK;
}

/* A list of `count` weights, "a", "b", ..., the last one maybe called "bad". */
static soda_weights *list(int count, bool bad)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    soda_weights *weights;
    CHECK_OK(weights_create(&weights));
    for (int i = 0; i < count; i++) {
        const soda_weight w = {.name = bad && i == count - 1 ? "bad" : names[i]};
        CHECK_OK(weights_note(weights, &w, &(weights_form){1, 640, fill, NULL, 0}, i, 0));
    }
    return weights;
}

static void ranks_make_each_form_once_between_them(void **state)
{
    (void)state;
    soda_residency *store;
    soda_weights *weights = list(8, false);
    int64_t wrong = 0;
    CHECK_OK(resident_create_shared(device_host(), comm, &store));
    made = 0;
    const soda_status s = store->fill(store, weights);
    const soda_status again = store->fill(store, weights);
    int64_t all = made;
    const soda_status summed = comm->sum_i64(comm, &all, 1);
    for (int u = 0; s == SODA_OK && u < 8; u++) {
        const char *form = store->address(store, weights, u);
        wrong += form[0] != 'a' + u || form[639] != 'a' + u;
    }
    comm_agree(comm, SODA_OK); /* all have read */
    const size_t bytes = store->bytes, share = residency_share(store, 0);
    residency_close(store);
    weights_destroy(weights);
    CHECK_OK(s);
    CHECK_OK(again);
    CHECK_OK(summed);
    assert_int_equal(wrong, 0);
    assert_int_equal(all, 8);
    assert_in_range(made, 8 / comm->size, 8 / comm->size + 1);
    assert_int_equal(bytes, 8 * 640);
    assert_int_equal(share, 8 * 640 / comm->size);
}

/* The last rank makes "bad". */
static void a_form_that_fails_fails_on_all_ranks(void **state)
{
    (void)state;
    soda_residency *store;
    soda_weights *weights = list(8, true);
    CHECK_OK(resident_create_shared(device_host(), comm, &store));
    const soda_status s = store->fill(store, weights);
    char message[128];
    snprintf(message, sizeof message, "%s", status_message());
    residency_close(store);
    weights_destroy(weights);
    assert_int_equal(s, SODA_ERR_INPUT);
    if (comm->rank == comm->size - 1) assert_string_equal(message, "bad: unreadable");
}

static void ranks_with_other_weights_are_told_so(void **state)
{
    (void)state;
    soda_residency *store;
    soda_weights *weights = list(comm->rank == 0 ? 8 : 7, false);
    if (comm->size > 1) {
        CHECK_OK(resident_create_shared(device_host(), comm, &store));
        const soda_status s = store->fill(store, weights);
        residency_close(store);
        assert_int_equal(s, SODA_ERR_INPUT);
    }
    weights_destroy(weights);
}

static void memory_that_is_not_the_hosts_is_refused(void **state)
{
    (void)state;
    soda_residency *store = NULL;
    soda_device other = *device_host();
    other.host = false;
    CHECK_FAILS(resident_create_shared(&other, comm, &store), SODA_ERR_UNSUPPORTED);
    assert_null(store);
}

int main(void)
{
    if (!comm_mpi_launched()) return fprintf(stderr, "to be run by mpirun\n"), 1;
    if (comm_mpi_open(false, &comm) != SODA_OK) return fprintf(stderr, "%s\n", status_message()), 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_rank_writes_all_ranks_read),
        cmocka_unit_test(what_no_node_has_is_an_error_on_all_ranks),
        cmocka_unit_test(ranks_make_each_form_once_between_them),
        cmocka_unit_test(a_form_that_fails_fails_on_all_ranks),
        cmocka_unit_test(ranks_with_other_weights_are_told_so),
        cmocka_unit_test(memory_that_is_not_the_hosts_is_refused),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_mpi_close();
    return failed;
}
