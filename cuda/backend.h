/* backend.h: the CUDA backend, on one GPU per process. */
#pragma once

#include "backend/backend.h"

/* Opens GPU number `index`; the errors of gpu_open. */
soda_status cuda_open(int index, const soda_backend **backend);

/* Waits for its work and closes the GPU. Accepts NULL. */
void cuda_close(const soda_backend *backend);
