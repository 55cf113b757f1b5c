/* fill_order.h: which rank of a group makes which form. The ranks make one each in a turn, and the
 * next turn begins when all are sent: forms of one turn are of like sizes, so nobody waits long. */
#pragma once

#include <stddef.h>

#include "core/status.h"

/* Sorts the entries in `list`, which ends with -1, by falling bytes[entry], equal ones by number:
 * ranks with the same list get the same order. */
soda_status fill_order_sort(const size_t *bytes, int *list);

/* Which of the forms of a turn `rank` makes; also the rank that makes the form of that number. The
 * direction changes, or rank 0 would have the largest of every turn. */
int fill_order_place(int ranks, int turn, int rank);
