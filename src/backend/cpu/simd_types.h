/* simd_types.h: SIMD_BODY for both element types; the inner half of simd_variants.h. With
 * SIMD_F32_ONLY defined, for fp32 alone. */
#define SIMD_TYPE f32
#define T float
#define LOAD(v) (v)
#define STORE(f) (f)
#include SIMD_BODY
#undef SIMD_TYPE
#undef T
#undef LOAD
#undef STORE

#ifndef SIMD_F32_ONLY
#define SIMD_TYPE bf16
#define T uint16_t
#define LOAD(v) simd_from_bf16(v)
#define STORE(f) simd_to_bf16(f)
#include SIMD_BODY
#undef SIMD_TYPE
#undef T
#undef LOAD
#undef STORE
#endif
