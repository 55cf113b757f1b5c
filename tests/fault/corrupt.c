/* corrupt.c: an LD_PRELOAD library: on rank SODA_TEST_CORRUPT_RANK the gradients of the third step,
 * summed over the ranks, arrive with another bit, so that what is trained there drifts away.
 *
 * Sums of thousands of integers: one of sizes as the run starts, then one of gradients per step. */
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int MPI_Allreduce(const void *send, void *receive, int count, MPI_Datatype type, MPI_Op op,
                  MPI_Comm comm)
{
    static int sums;
    const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *wanted = getenv("SODA_TEST_CORRUPT_RANK");
    const int code = PMPI_Allreduce(send, receive, count, type, op, comm);
    const bool gradients = op == MPI_SUM && type == MPI_INT64_T && count >= 1000;
    if (gradients && ++sums == 4 && rank && wanted && strcmp(rank, wanted) == 0)
        ((int64_t *)receive)[6] ^= 1 << 20; /* limb 2 of number 1: 2^-10 */
    return code;
}
