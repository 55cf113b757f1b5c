/* ring.h: rooms for the forms that visits need, in memory that is used round and round. */
#pragma once

#include "backend/weights.h"

/* Rooms of entries: room[e] is a multiple of 64 bytes, 0 for entries that are elsewhere. A form
 * that a visit uses several times is there once. */

/* Cuts uses into visits so small that a ring of `wanted` bytes holds some of them, one gathered
 * while another is used; 0: leaves them as they are. */
soda_status ring_cut(soda_weights *weights, size_t wanted);

/* Bytes of the largest visit: with less no ring works. */
size_t ring_least(const soda_weights *weights, const size_t *room);

/* Gives every visit its room, the next free one round the ring, and every use its place. `bytes` is
 * at least ring_least. */
void ring_place(soda_weights *weights, const size_t *room, size_t bytes);

/* Whether the room of visit `next` is free while visits first .. next - 1 are in use. */
bool ring_is_free(const soda_weights *weights, int first, int next);

/* How large a ring is made: `wanted`, or if that is 0 `usual` or what the largest visit wants;
 * never more than all forms take. SODA_ERR_INPUT: `wanted` is less than ring_least. */
soda_status ring_choose(const soda_weights *weights, const size_t *room, size_t wanted,
                        size_t usual, size_t *bytes);
