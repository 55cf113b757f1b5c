/* lapack.h: LAPACK as adapter/ calls it: from several threads, each with one thread of its own. */
#pragma once

/* Before any call of LAPACK. Threads of OpenBLAS would multiply with the callers', and change the
 * bits of results with their number. */
void lapack_use_one_thread(void);
