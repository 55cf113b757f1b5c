/* A gather of several parts of which one cannot begin, run by mpirun on 1, 2, 3 and 4 ranks. */
#include "comm_mpi.h"

#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "support/check.h"

enum { PARTS = 5, BYTES = 1000, FAILS = 3 };

static soda_comm *comm;
static int calls;

/* In place of MPI's: call number FAILS fails, on all ranks. */
int MPI_Iallgather(const void *from, int count, MPI_Datatype type, void *to, int counts,
                   MPI_Datatype types, MPI_Comm group, MPI_Request *request)
{
    if (++calls == FAILS) return MPI_ERR_OTHER;
    return PMPI_Iallgather(from, count, type, to, counts, types, group, request);
}

/* Their memory may be freed when gather returns: those before the failure are complete, those after
 * it have not begun. */
static void gathers_that_have_begun_end_before_a_failure_is_returned(void **state)
{
    (void)state;
    static unsigned char own[PARTS][BYTES], all[PARTS][4 * BYTES];
    comm_parts parts[PARTS];
    int64_t wrong = 0;
    for (int k = 0; k < PARTS; k++) {
        memset(own[k], 1 + 10 * k + comm->rank, BYTES);
        parts[k] = (comm_parts){own[k], BYTES, all[k]};
    }
    const soda_status s = comm->gather(comm, parts, PARTS);
    for (int k = 0; k < PARTS; k++)
        for (int i = 0; i < comm->size * BYTES; i++)
            wrong += all[k][i] != (k < FAILS - 1 ? 1 + 10 * k + i / BYTES : 0);
    assert_int_equal(s, SODA_ERR_IO);
    assert_int_equal(calls, FAILS);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    if (!comm_mpi_launched()) return fprintf(stderr, "to be run by mpirun\n"), 1;
    if (comm_mpi_open(false, &comm) != SODA_OK) return fprintf(stderr, "%s\n", status_message()), 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gathers_that_have_begun_end_before_a_failure_is_returned),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_mpi_close();
    return failed;
}
