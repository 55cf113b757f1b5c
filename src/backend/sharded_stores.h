/* sharded_stores.h: the two ways in which a group of ranks holds forms between them. Both take the
 * options of sharded_create; `comm` and `group`, which is one of the equal groups of `comm`, must
 * outlive the store, which leaves `group` when it is closed, and at once when it is not created. */
#pragma once

#include "backend/residency.h"

/* On one node, in memory of the host: one copy, which all of them map. Nothing is gathered, so
 * nothing is copied. Local. */
soda_status sharded_node_create(soda_device *device, soda_comm *comm, soda_comm *group,
                                const sharded_options *options, soda_residency **residency);

/* Anywhere: an equal slice of each form on every rank, and a ring where they are put together ahead
 * of their use, by a thread or in a lane of the device. Collective over `comm`. */
soda_status sharded_ring_create(const soda_backend *backend, soda_comm *comm, soda_comm *group,
                                const sharded_options *options, soda_residency **residency);
