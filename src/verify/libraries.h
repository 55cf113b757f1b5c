/* libraries.h: what soda relies on of the libraries behind a backend. */
#pragma once

#include "adapter/factorize.h"
#include "backend/backend.h"

/* SVD and QR of small matrices, tall, wide and with a single row or column: factors are orthonormal
 * and give the matrix again, singular values fall, the second time has the same bits. *worst: the
 * largest error as a part of what is allowed. */
soda_status libraries_factorize(const factorize_library *library, double *worst);

typedef struct {
    int64_t bytes; /* of the largest sum */
    double seconds;
} libraries_sum;

/* Sums over the ranks of `comm`, of int64 and of fp32 numbers whose sums are exact, in several
 * sizes; the largest is timed. Collective. */
soda_status libraries_sums(const soda_backend *backend, soda_comm *comm, bool quick,
                           libraries_sum *largest);
