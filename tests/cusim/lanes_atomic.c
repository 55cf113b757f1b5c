/* atom and red: lane after lane. PTX ISA 9.0, sections 9.7.13.5 and 9.7.13.6. */
#include "access.h"
#include "half.h"

sim_atomic_op sim_atomic_named(const char *word)
{
    static const char *const names[] = {"add", "min",  "max", "and", "or",
                                        "xor", "exch", "cas", "inc", "dec"};
    for (int n = 0; n < ATOMIC_NONE; n++)
        if (strcmp(word, names[n]) == 0) return (sim_atomic_op)n;
    return ATOMIC_NONE;
}

static uint64_t add_real(sim_number number, int size, uint64_t a, uint64_t b)
{
    if (number == NUMBER_FLOAT)
        return size == 8 ? result_bits64(as_double(a) + as_double(b))
                         : result_bits(as_float((uint32_t)a) + as_float((uint32_t)b));
    uint64_t r = 0;
    for (int h = 0; h < 32; h += 16) {
        const uint32_t x = (uint32_t)(a >> h), y = (uint32_t)(b >> h);
        r |= (uint64_t)(number == NUMBER_BF16X2 ? to_bf16(from_bf16(x) + from_bf16(y))
                                                : to_f16(from_f16(x) + from_f16(y)))
             << h;
    }
    return r;
}

static bool below(sim_number number, int size, uint64_t a, uint64_t b)
{
    if (number != NUMBER_SIGNED) return a < b;
    return size == 8 ? (int64_t)a < (int64_t)b : (int32_t)a < (int32_t)b;
}

uint64_t sim_combine(sim_atomic_op op, sim_number number, int size, uint64_t old, uint64_t value)
{
    switch (op) {
    case ATOMIC_ADD:
        return number >= NUMBER_FLOAT ? add_real(number, size, old, value) : old + value;
    case ATOMIC_MIN: return below(number, size, value, old) ? value : old;
    case ATOMIC_MAX: return below(number, size, old, value) ? value : old;
    case ATOMIC_AND: return old & value;
    case ATOMIC_OR: return old | value;
    case ATOMIC_XOR: return old ^ value;
    case ATOMIC_INC: return old >= value ? 0 : old + 1;
    case ATOMIC_DEC: return old == 0 || old > value ? value : old - 1;
    default: return value;
    }
}

static uint64_t row_value(const sim_warp *w, const sim_insn *i, int n, int lane)
{
    const void *row = lane_row(w, i->row[n]);
    return i->wide >> n & 1 ? ((const uint64_t *)row)[lane] : ((const uint32_t *)row)[lane];
}

/* Row 0 receives the old value if there are 2 rows or more besides; rows 1 and 2 are the operands.
 */
void sim_atomic(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    uint8_t *p[SIM_LANES];
    sim_access(w, i, mask, i->size, p);
    for (uint32_t rest = mask; rest; rest &= rest - 1) {
        const int l = __builtin_ctz(rest);
        uint64_t old = 0;
        memcpy(&old, p[l], i->size);
        const uint64_t value = row_value(w, i, 1, l);
        uint64_t new =
            sim_combine((sim_atomic_op)i->flags, (sim_number)i->sign, i->size, old, value);
        if (i->flags == ATOMIC_CAS) new = old == value ? row_value(w, i, 2, l) : old;
        memcpy(p[l], &new, i->size);
        if (i->row[0] == UINT32_MAX) continue;
        void *d = lane_row(w, i->row[0]);
        if (i->wide & 1)
            ((uint64_t *)d)[l] = old;
        else
            ((uint32_t *)d)[l] = (uint32_t)old;
    }
}
