/* Checks of every access to shared and global memory: between lanes_memory.c and shadow.c. */
#ifndef SIM_SHADOW_H
#define SIM_SHADOW_H

#include "sim.h"

/* `count` lanes of the running warp from sim_now.lane on, one after the other, touch `n` bytes
 * each, which lie one after the other (step n) or all in the same place (step 0). Dies at the first
 * fault. */
typedef struct {
    size_t n, step;
    int count;
    bool write, atomic;
} sim_touch;

void sim_shadow_launch(void);
void sim_shadow_block(void);
void sim_shadow_barrier(void); /* opened */
void sim_shadow_shared(uint32_t offset, const sim_touch *t);
void sim_shadow_global(const char *address, const sim_touch *t);

#endif
