/* spread_arrays.h: arrays that some rank has go to the ranks that do not find them: those of other
 * nodes whose caches are their own, or all of them where there is no cache. */
#pragma once

#include "comm/comm.h"
#include "io/shared_arrays.h"

/* Every rank ends with all arrays of its list that some rank holds, mapped, in its cache or in
 * memory; the lists have to be equal but for that. The ranks of a node that share a cache check a
 * part of its files each. What a cache lacks is stored in it, so that the next start finds it, and
 * a line in the log says once per process that ranks do not share one cache. Where all do, nothing
 * is sent or written.
 *
 * Called before anything is made, so that none makes what another has, and after it.
 *
 * SODA_ERR_INPUT on every rank if two hold different numbers under one key; the one that does not
 * have those of the first holder names the item and its file. Collective. */
soda_status spread_arrays(shared_arrays *list, soda_comm *comm);
