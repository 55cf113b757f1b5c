/* some_inputs.h: numbers for a network that is run to be timed. */
#pragma once

#include "exec/exec.h"
#include "graph/graph.h"

/* Fills every input of the graph of `exec`: with numbers between 0 and 1, ids with zeros. */
soda_status some_inputs_write(soda_exec *exec, const soda_graph *graph);
