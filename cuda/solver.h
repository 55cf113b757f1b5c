/* solver.h: factorisations by cuSOLVER, on the open GPU. */
#pragma once

#include "adapter/factorize.h"

extern const factorize_library solver_cusolver;
