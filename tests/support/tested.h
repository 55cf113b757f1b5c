/* tested.h: the backend that a test compares with the reference: cpu, or cuda in a program built
 * with TEST_CUDA (tests/CMakeLists.txt builds each tests/ops/test_NAME.c for both). */
#pragma once

#include "backend/backend.h"

#ifdef TEST_CUDA
#include "cuda/kernels.h"
#define TESTED(op) cuda_##op
#else
#include "backend/cpu/kernels.h"
#define TESTED(op) cpu_##op
#endif

/* What only some backends do. */
enum {
#ifdef TEST_CUDA
    TESTED_REFUSES_IDS = false, /* a kernel does not wait, so embedding cannot report an id */
#else
    TESTED_REFUSES_IDS = true,
#endif
};

/* The tested backend; cpu with all its threads. */
const soda_backend *tested_backend(void);

/* Whether long tests are to run whole: on cuda, which may be simulated, only if SODA_TEST_ALL is
 * set. */
bool tested_all(void);

/* Where `kernel` finds its tensors: the tested backend's device, the host for the reference. */
soda_device *tested_device(const soda_kernel *kernel);

/* The tested backend's update, for tensors on *device. */
const soda_update *tested_update(soda_device **device);

/* Calls `check` for every way in which the tested backend computes attention of this type, which is
 * then the one in use. */
typedef void tested_check(const char *path, soda_dtype dtype, const void *context);
void tested_attention(soda_dtype dtype, tested_check *check, const void *context);
