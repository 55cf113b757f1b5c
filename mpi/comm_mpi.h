/* comm_mpi.h: comm.h over MPI. */
#pragma once

#include <stdbool.h>

#include "comm/comm.h"

/* Whether a launcher (mpirun, srun) started this process as one of several ranks. */
int comm_mpi_launched(void);

/* This process's rank, as the launcher says before there is MPI; 0 if none does. */
int comm_mpi_launched_rank(void);

/* Starts MPI; *comm is MPI_COMM_WORLD. several_threads: its groups may be used by other threads. */
soda_status comm_mpi_open(bool several_threads, soda_comm **comm);

/* Threads that this rank should have by default: its share of the node's cores. */
int comm_mpi_threads(void);

/* Name and version of the MPI library, such as "Open MPI v4.1.4"; also before MPI is started. */
const char *comm_mpi_library(void);

/* Whether a collective failed on this rank: only end_all reaches the others then. */
bool comm_mpi_broken(void);

/* Ends MPI on an orderly way out; all ranks call it. */
void comm_mpi_close(void);
