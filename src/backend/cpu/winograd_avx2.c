/* Winograd's convolution with AVX2 and FMA: 8 lanes. */
#if defined(__x86_64__)
#include "backend/cpu/vec_avx2.h"

#define STEPS winograd_avx2

#include "backend/cpu/winograd_simd.h"
#endif
