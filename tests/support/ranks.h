/* ranks.h: several ranks in one process, each a thread, with a communicator that works. */
#pragma once

#include "comm/comm.h"

enum { RANKS_MOST = 8 };

typedef struct {
    soda_status status;
    char message[512]; /* status_message of that rank */
} ranks_result;

/* Runs body on `size` ranks at once and waits for all. The body must not use cmocka's checks, which
 * know one thread: it returns a status. */
typedef soda_status ranks_body(soda_comm *comm, void *context);
void ranks_run(int size, ranks_body *body, void *context, ranks_result results[]);
