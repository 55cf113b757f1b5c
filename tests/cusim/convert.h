/* cvt between decode.c, lanes_convert.c and lanes_rounded.c. */
#ifndef SIM_CONVERT_H
#define SIM_CONVERT_H

#include "half.h"

typedef enum { /* the order of convert_names in lanes_convert.c */
               CVT_U8,
               CVT_S8,
               CVT_U16,
               CVT_S16,
               CVT_U32,
               CVT_S32,
               CVT_U64,
               CVT_S64,
               CVT_F16,
               CVT_BF16,
               CVT_F32,
               CVT_F64,
               CVT_F16X2,
               CVT_BF16X2
} cvt_type;

typedef enum { ROUND_NEAREST, ROUND_ZERO, ROUND_DOWN, ROUND_UP } cvt_round;

/* i->size: destination's cvt_type; i->count: source's; i->flags: cvt_round and these: */
enum { CVT_ROUND = 3, CVT_INTEGRAL = 4, CVT_SATURATE = 8, CVT_FTZ = 16, CVT_RELU = 32 };

/* "cvt.rn.f32.s32": fills in handler, types and flags; false if not simulated. Rows follow from the
 * types: sim_convert_wide. */
bool sim_convert_decode(sim_insn *i, char **words, int count);
bool sim_convert_wide(int type); /* 64-bit words */

/* One value in the rounding direction. */
float sim_rounded_from_s64(int64_t v, cvt_round r);
float sim_rounded_from_u64(uint64_t v, cvt_round r);
float sim_rounded_from_f64(double v, cvt_round r);
double sim_rounded_f64_from_s64(int64_t v, cvt_round r);
double sim_rounded_f64_from_u64(uint64_t v, cvt_round r);

#endif
