/* factors.h: into which three factors R = (R1 x R2) x R3 a rotation of a width is split. */
#pragma once

#include <stdint.h>

#include "core/status.h"

typedef enum { FACTORS_PAPER, FACTORS_BALANCED } factors_rule;

typedef struct {
    int64_t width;
    int64_t n[3];
} factors_entry;

typedef struct {
    factors_rule rule;        /* for widths that the map does not list */
    const factors_entry *map; /* explicit choices, used in the order written */
    int entries;
} factors_choice;

/* n[0..2] for a `width` of 1 to 2^20, with n[0] n[1] n[2] == width:
 *
 *     the map's entry, if there is one (which must multiply to its width)
 *     paper      640: 8 8 10, 768: 6 8 16, 1280: 4 16 20, 2048: 4 8 64; else as balanced
 *     balanced   e = the largest integer with 8^e <= width; 2^e, 2^e, width / 4^e if that divides;
 *                else the triple a <= b <= c of least a^2 + b^2 + c^2, then least a
 *
 * SODA_ERR_INPUT for a map entry that does not multiply names triples that do. */
soda_status factors_choose(const factors_choice *choice, int64_t width, int64_t n[3]);

/* Checks one entry of a map, as factors_choose does: for configurations, before any model is read.
 */
soda_status factors_check(const factors_entry *entry);
