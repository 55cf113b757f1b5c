/* turns.h: who does which piece of a collective piece of work: micro-batches, held-out pictures,
 * prompts. */
#pragma once

#include <stdint.h>

#include "core/status.h"

/* One piece on one network. Piece -1: none for this rank, but one for another rank of its group,
 * and this rank takes part in what they do together: exec_walk. */
typedef struct {
    int network;
    int64_t piece;
} turn;

typedef struct {
    turn *list;
    int64_t count;
} turns;

/* Turns of rank `rank` of `ranks`, in groups of `group` consecutive ranks. Ranks of one group use
 * the networks at the same time in the same order: the pieces of each network are cut into rounds,
 * one piece for each rank of a group, and groups take the rounds in turn. network[i]: of piece i,
 * below `networks`; NULL: there is one. Pure. */
soda_status turns_deal(const int *network, int64_t pieces, int networks, int rank, int ranks,
                       int group, turns *dealt);
void turns_free(turns *dealt); /* accepts a zeroed struct */
