/* Instructions that touch memory or other lanes: between decode.c and the lanes_*.c. */
#ifndef SIM_ACCESS_H
#define SIM_ACCESS_H

#include "lanes.h"
#include "shadow.h"

extern bool sim_option_check, sim_option_stat; /* as in sim_option(), without a call */

void sim_addresses(const sim_warp *w, const sim_insn *i, uint64_t *a);
/* Where the lanes of the mask access n bytes each, after all checks. */
void sim_access(const sim_warp *w, const sim_insn *i, uint32_t mask, size_t n, uint8_t **p);

sim_handler sim_load, sim_store, sim_load_param, sim_to_generic, sim_from_generic;
sim_handler sim_atomic;           /* lanes_atomic.c */
sim_handler sim_pack, sim_unpack; /* lanes_warp.c */
sim_handler sim_shuffle, sim_vote, sim_reduce, sim_match, sim_active, sim_warp_barrier;
sim_handler sim_ldmatrix, sim_mma;                            /* lanes_matrix.c */
sim_handler sim_async_copy, sim_async_commit, sim_async_wait; /* lanes_async.c */
sim_handler sim_nothing;

/* i->flags of an atomic, and of redux and bar.red */
typedef enum {
    ATOMIC_ADD,
    ATOMIC_MIN,
    ATOMIC_MAX,
    ATOMIC_AND,
    ATOMIC_OR,
    ATOMIC_XOR,
    ATOMIC_EXCH,
    ATOMIC_CAS,
    ATOMIC_INC,
    ATOMIC_DEC,
    ATOMIC_NONE
} sim_atomic_op;
/* i->sign of an atomic */
typedef enum {
    NUMBER_UNSIGNED,
    NUMBER_SIGNED,
    NUMBER_FLOAT,
    NUMBER_F16X2,
    NUMBER_BF16X2
} sim_number;
sim_atomic_op sim_atomic_named(const char *word); /* ATOMIC_NONE: no operation */
uint64_t sim_combine(sim_atomic_op op, sim_number number, int size, uint64_t old, uint64_t value);

/* i->flags of a shuffle, of a vote */
typedef enum { SHUFFLE_INDEX, SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR } sim_shuffle_mode;
typedef enum { VOTE_ALL, VOTE_ANY, VOTE_UNI, VOTE_BALLOT } sim_vote_mode;

#endif
