/* ring.h: rooms for the forms that visits need, in memory that is used round and round. */
#pragma once

#include "backend/weights.h"

/* Rooms of entries: room[e] is a multiple of 64 bytes, 0 for entries that are elsewhere. A form
 * that a visit uses several times is there once. */

/* Cuts uses into visits so small that what goes round in a ring of `wanted` bytes holds some of
 * them, one gathered while another is used; 0: leaves them as they are. */
soda_status ring_cut(soda_weights *weights, size_t wanted);

/* Rooms for whole forms of weights that are cut; returns their sum. */
size_t ring_rooms(const soda_weights *weights, size_t *room);

/* Of the forms of a visit. */
size_t ring_visit_bytes(const soda_weights *weights, const size_t *room, int visit);

/* Bytes of the largest visit: with less no ring works. */
size_t ring_least(const soda_weights *weights, const size_t *room);

/* What a ring's memory is for: a quarter of it, or what two of the largest visits need, goes round,
 * and the rest lets ranks keep forms whole. */
typedef struct {
    size_t wanted; /* 0: `usual`, or what the largest visit wants */
    size_t usual;
    size_t bytes;    /* chosen; 0: not yet */
    form_table kept; /* the forms that ranks keep whole; the owner frees it */
} ring_budget;

/* Whether ranks keep the entry's form whole instead of a part of it. */
bool ring_keeps(const ring_budget *budget, const weights_entry *entry);

/* *bytes go round so far, and become as many as this network needs. The first one chooses the
 * budget (SODA_ERR_INPUT, as ring_choose), and the forms that each of `ranks` ranks keeps whole:
 * those of visits that compute least per byte, as gathering them is hardest to hide; their room
 * becomes 0. */
soda_status ring_fit(ring_budget *budget, const soda_weights *weights, size_t *room, int ranks,
                     size_t *bytes);

/* Divides a budget of *bytes, as above: what goes round is left of it. */
soda_status ring_divide(const soda_weights *weights, size_t *room, int ranks, size_t *bytes);

/* Gives every visit its room, the next free one round the ring, and every use its place. `bytes` is
 * at least ring_least. */
void ring_place(soda_weights *weights, const size_t *room, size_t bytes);

/* Whether the room of visit `next` is free while visits first .. next - 1 are in use. */
bool ring_is_free(const soda_weights *weights, int first, int next);

/* How large a ring is made: `wanted`, or if that is 0 `usual` or what the largest visit wants;
 * never more than all forms take. SODA_ERR_INPUT: `wanted` is less than ring_least. */
soda_status ring_choose(const soda_weights *weights, const size_t *room, size_t wanted,
                        size_t usual, size_t *bytes);

/* For stores without a ring: cuts uses as ring_cut, and fails as ring_choose would. */
soda_status ring_check(soda_weights *weights, size_t wanted);
