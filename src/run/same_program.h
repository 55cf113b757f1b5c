/* same_program.h: all ranks of a run are the same program with the same configuration, and compute
 * with the same instructions: the bits of a run depend on all of them. */
#pragma once

#include <stdbool.h>

#include "backend/device.h"
#include "comm/comm.h"

/* Collective, once the instruction set is chosen. SODA_ERR_INPUT on every rank if one of them has
 * another instruction set, version or program file than rank 0; the message has both. */
soda_status same_program(soda_comm *comm);

/* Collective. SODA_ERR_INPUT on every rank unless all have the configuration `text`, which
 * run_config_text wrote; the message has the keys that differ, with both values. */
soda_status same_config(soda_comm *comm, const char *text);

/* Collective. SODA_ERR_INPUT on every rank if the clock of one for which it `matters` is more than
 * a minute off that of rank 0. */
soda_status same_clock(soda_comm *comm, bool matters);

/* The same for the model of the devices that the ranks compute with. */
soda_status same_hardware(soda_comm *comm, const soda_device *device);
