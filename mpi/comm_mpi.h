/* comm_mpi.h: comm.h over MPI. */
#pragma once

#include "comm/comm.h"

/* Whether a launcher (mpirun, srun) started this process as one of several ranks. */
int comm_mpi_launched(void);

/* Starts MPI; *comm is MPI_COMM_WORLD. */
soda_status comm_mpi_open(soda_comm **comm);

/* Threads that each rank may use when nobody says: all cores of this process, shared with the other
 * ranks of this node unless the launcher bound each to cores of its own. */
int comm_mpi_threads(const soda_comm *comm);

/* Ends MPI on an orderly way out; all ranks call it. */
void comm_mpi_close(void);
