/* collective.c: an LD_PRELOAD library: on rank SODA_TEST_FAIL_RANK the SODA_TEST_FAIL_CALL-th
 * all-reduce fails without being made. */
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

int MPI_Allreduce(const void *send, void *receive, int count, MPI_Datatype type, MPI_Op op,
                  MPI_Comm comm)
{
    static int calls;
    const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *wanted = getenv("SODA_TEST_FAIL_RANK"),
               *call = getenv("SODA_TEST_FAIL_CALL");
    if (rank && wanted && call && strcmp(rank, wanted) == 0 && ++calls == atoi(call))
        return MPI_ERR_OTHER;
    return PMPI_Allreduce(send, receive, count, type, op, comm);
}
