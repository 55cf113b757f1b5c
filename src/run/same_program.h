/* same_program.h: all ranks of a run are the same program, and compute with the same instructions:
 * the bits of a run depend on both. */
#pragma once

#include "backend/device.h"
#include "comm/comm.h"

/* Collective, once the instruction set is chosen. SODA_ERR_INPUT on every rank if one of them has
 * another instruction set, version or program file than rank 0; the message has both. */
soda_status same_program(soda_comm *comm);

/* The same for the model of the devices that the ranks compute with. */
soda_status same_hardware(soda_comm *comm, const soda_device *device);
