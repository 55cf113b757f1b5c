/* Templates of instruction handlers: one loop over the 32 lanes of a warp.
 *
 * RD and RA are the words of the rows (uint32_t or uint64_t) of destination and operands, D and A
 * the types that the instruction computes with; x, y and z are the operands in `expression`. Lanes
 * outside the mask compute too and keep what they had: no expression may trap. */
#ifndef SIM_LANES_H
#define SIM_LANES_H

#include "sim.h"

#include <math.h>
#include <string.h>

typedef struct {
    const char *name;      /* opcode and types, without modifiers that change nothing here */
    const char *signature; /* of each operand: d 32-bit row, q 64-bit row, p predicate */
    sim_handler *run;
} sim_op;

/* Each ends with a row without a name. */
extern const sim_op sim_ops_int[], sim_ops_bits[], sim_ops_float[], sim_ops_half[],
    sim_ops_compare[], sim_ops_rounded[], sim_ops_warp[];

static inline void *lane_row(const sim_warp *w, uint32_t row) { return w->reg + row; }

static inline float as_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline uint32_t as_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static inline double as_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline uint64_t as_bits64(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
/* What a GPU makes of any NaN. */
static inline uint32_t result_bits(float value)
{
    return value != value ? 0x7fffffffu : as_bits(value);
}
static inline uint64_t result_bits64(double value)
{
    return value != value ? 0x7ff8000000000000u : as_bits64(value);
}

#if defined(__clang__)
#define LANE_LOOP _Pragma("clang loop vectorize(assume_safety)") for (int l = 0; l < SIM_LANES; l++)
#else
#define LANE_LOOP _Pragma("GCC ivdep") for (int l = 0; l < SIM_LANES; l++)
#endif

#define LANE_STORE(RD, load, value)                                                                \
    if (mask == SIM_FULL) {                                                                        \
        LANE_LOOP                                                                                  \
        {                                                                                          \
            load;                                                                                  \
            d[l] = (RD)(value);                                                                    \
        }                                                                                          \
    } else {                                                                                       \
        LANE_LOOP                                                                                  \
        {                                                                                          \
            load;                                                                                  \
            const RD result = (RD)(value);                                                         \
            d[l] = mask >> l & 1 ? result : d[l];                                                  \
        }                                                                                          \
    }

#define LANE_OP1(name, RD, D, RA, A, expression)                                                   \
    static void name(sim_warp *w, const sim_insn *i, uint32_t mask)                                \
    {                                                                                              \
        RD *d = lane_row(w, i->row[0]);                                                            \
        const RA *a = lane_row(w, i->row[1]);                                                      \
        LANE_STORE(RD, const A x = (A)a[l], (D)(expression))                                       \
    }

#define LANE_OP2(name, RD, D, RA, A, expression)                                                   \
    static void name(sim_warp *w, const sim_insn *i, uint32_t mask)                                \
    {                                                                                              \
        RD *d = lane_row(w, i->row[0]);                                                            \
        const RA *a = lane_row(w, i->row[1]), *b = lane_row(w, i->row[2]);                         \
        LANE_STORE(RD, const A x = (A)a[l]; const A y = (A)b[l], (D)(expression))                  \
    }

/* The last operand has rows RC and type C. */
#define LANE_OP3(name, RD, D, RA, A, RC, C, expression)                                            \
    static void name(sim_warp *w, const sim_insn *i, uint32_t mask)                                \
    {                                                                                              \
        RD *d = lane_row(w, i->row[0]);                                                            \
        const RA *a = lane_row(w, i->row[1]), *b = lane_row(w, i->row[2]);                         \
        const RC *c = lane_row(w, i->row[3]);                                                      \
        LANE_STORE(RD, const A x = (A)a[l]; const A y = (A)b[l];                                   \
                   const C z = (C)c[l], (D)(expression))                                           \
    }

/* Two operands of which the second has 32-bit rows whatever the first has. */
#define LANE_SHIFT(name, R, D, A, expression)                                                      \
    static void name(sim_warp *w, const sim_insn *i, uint32_t mask)                                \
    {                                                                                              \
        R *d = lane_row(w, i->row[0]);                                                             \
        const R *a = lane_row(w, i->row[1]);                                                       \
        const uint32_t *b = lane_row(w, i->row[2]);                                                \
        LANE_STORE(R, const A x = (A)a[l]; const uint32_t y = b[l], (D)(expression))               \
    }

#endif
