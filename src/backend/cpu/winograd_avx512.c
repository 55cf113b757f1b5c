/* Winograd's convolution with AVX-512: 16 lanes. */
#if defined(__x86_64__)
#include "backend/cpu/vec_avx512.h"

#define STEPS winograd_avx512

#include "backend/cpu/winograd_simd.h"
#endif
