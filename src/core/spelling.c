#include "core/spelling.h"

#include <string.h>

/* One row of the table at a time. */
int spelling_distance(const char *a, const char *b)
{
    int row[SPELLING_BYTES + 1];
    const int n = (int)strnlen(b, SPELLING_BYTES);
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; i <= SPELLING_BYTES && a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            const int replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            const int shifted = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            row[j] = replaced < shifted ? replaced : shifted;
        }
    }
    return row[n];
}
