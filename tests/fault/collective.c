/* collective.c: an LD_PRELOAD library: on rank SODA_TEST_FAIL_RANK the SODA_TEST_FAIL_CALL-th call
 * of MPI's function SODA_TEST_FAIL_IN, all-reduce if that is not set, fails without being made:
 * what the communicator does about errors is done. With SODA_TEST_FAIL_NEVER it does not return
 * instead. */
#include <mpi.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(const char *function, MPI_Comm comm)
{
    static atomic_int calls;
    const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *wanted = getenv("SODA_TEST_FAIL_RANK"),
               *call = getenv("SODA_TEST_FAIL_CALL"), *in = getenv("SODA_TEST_FAIL_IN");
    if (!rank || !wanted || !call || strcmp(rank, wanted) != 0) return 0;
    if (strcmp(function, in ? in : "MPI_Allreduce") != 0) return 0;
    if (atomic_fetch_add(&calls, 1) + 1 != atoi(call)) return 0;
    while (getenv("SODA_TEST_FAIL_NEVER")) pause();
    MPI_Comm_call_errhandler(comm, MPI_ERR_OTHER);
    return 1;
}

int MPI_Allreduce(const void *send, void *receive, int count, MPI_Datatype type, MPI_Op op,
                  MPI_Comm comm)
{
    if (fails("MPI_Allreduce", comm)) return MPI_ERR_OTHER;
    return PMPI_Allreduce(send, receive, count, type, op, comm);
}

int MPI_Bcast(void *data, int count, MPI_Datatype type, int root, MPI_Comm comm)
{
    if (fails("MPI_Bcast", comm)) return MPI_ERR_OTHER;
    return PMPI_Bcast(data, count, type, root, comm);
}

int MPI_Scatter(const void *send, int count, MPI_Datatype type, void *receive, int own,
                MPI_Datatype own_type, int root, MPI_Comm comm)
{
    if (fails("MPI_Scatter", comm)) return MPI_ERR_OTHER;
    return PMPI_Scatter(send, count, type, receive, own, own_type, root, comm);
}

int MPI_Iallgather(const void *send, int count, MPI_Datatype type, void *receive, int each,
                   MPI_Datatype each_type, MPI_Comm comm, MPI_Request *request)
{
    if (fails("MPI_Iallgather", comm)) return MPI_ERR_OTHER;
    return PMPI_Iallgather(send, count, type, receive, each, each_type, comm, request);
}

int MPI_Ibarrier(MPI_Comm comm, MPI_Request *request)
{
    if (fails("MPI_Ibarrier", comm)) return MPI_ERR_OTHER;
    return PMPI_Ibarrier(comm, request);
}
