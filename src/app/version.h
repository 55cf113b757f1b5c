/* version.h: what this program is built from. */
#pragma once

#include "core/status.h"

/* Prints version, libraries and backends to stdout; `mpi` names the MPI library. */
soda_status version_print(const char *mpi);
