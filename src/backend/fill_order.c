#include "backend/fill_order.h"

#include <stdlib.h>

typedef struct {
    size_t bytes;
    int entry;
} sized;

static int by_falling_bytes(const void *a, const void *b)
{
    const sized *x = a, *y = b;
    return x->bytes != y->bytes ? (x->bytes < y->bytes) - (x->bytes > y->bytes)
                                : (x->entry > y->entry) - (x->entry < y->entry);
}

soda_status fill_order_sort(const size_t *bytes, int *list)
{
    int count = 0;
    while (list[count] >= 0) count++;
    sized *sorted = malloc(((size_t)count + 1) * sizeof *sorted);
    if (!sorted) return FAIL(SODA_ERR_MEMORY, "out of memory for %d weights", count);
    for (int i = 0; i < count; i++) sorted[i] = (sized){bytes[list[i]], list[i]};
    qsort(sorted, (size_t)count, sizeof *sorted, by_falling_bytes);
    for (int i = 0; i < count; i++) list[i] = sorted[i].entry;
    free(sorted);
    return SODA_OK;
}

int fill_order_place(int ranks, int turn, int rank) { return turn % 2 ? ranks - 1 - rank : rank; }
