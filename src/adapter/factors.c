#include "adapter/factors.h"

#include <stdio.h>
#include <string.h>

/* Table T1 of the method: the script the authors published. */
static const factors_entry paper[] = {
    {640, {8, 8, 10}},
    {768, {6, 8, 16}},
    {1280, {4, 16, 20}},
    {2048, {4, 8, 64}},
};

/* No layer is wider; it bounds the search for triples. */
enum { WIDEST = 1 << 20 };

static int64_t sum_of_squares(const int64_t n[3])
{
    return n[0] * n[0] + n[1] * n[1] + n[2] * n[2];
}

/* The triples a <= b <= c with a b c == width, of least sum of squares, then least a, first. Keeps
 * the best `limit` of them in n; returns how many it kept. */
static int best_triples(int64_t width, int64_t (*n)[3], int limit)
{
    int count = 0;
    for (int64_t a = 1; a * a * a <= width; a++) {
        if (width % a) continue;
        for (int64_t b = a; a * b * b <= width; b++) {
            if (width / a % b) continue;
            const int64_t now[3] = {a, b, width / a / b};
            int place = count; /* equal sums keep their order: least a first */
            while (place > 0 && sum_of_squares(n[place - 1]) > sum_of_squares(now)) place--;
            if (place == limit) continue;
            if (count < limit) count++;
            memmove(n[place + 1], n[place], (size_t)(count - 1 - place) * sizeof *n);
            memcpy(n[place], now, sizeof now);
        }
    }
    return count;
}

static void balanced(int64_t width, int64_t n[3])
{
    int64_t side = 1; /* 2^e */
    while (8 * side * side * side <= width) side *= 2;
    if (width % (side * side) == 0) {
        n[0] = n[1] = side;
        n[2] = width / (side * side);
    } else {
        best_triples(width, (int64_t(*)[3])n, 1);
    }
}

soda_status factors_check(const factors_entry *entry)
{
    const int64_t *n = entry->n, width = entry->width;
    int64_t product = 1; /* 0 if it would pass the width: no overflow */
    for (int i = 0; i < 3; i++)
        product = n[i] >= 1 && product >= 1 && n[i] <= width / product ? product * n[i] : 0;
    if (width >= 1 && width <= WIDEST && product == width) return SODA_OK;
    if (width < 1 || width > WIDEST)
        return FAIL(SODA_ERR_INPUT, "factors: expected a width from 1 to %d, found %lld", WIDEST,
                    (long long)width);

    int64_t good[4][3];
    char text[256] = "none";
    const int count = best_triples(width, good, 4);
    size_t used = 0;
    for (int i = 0; i < count && used < sizeof text; i++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s[%lld, %lld, %lld]", i ? ", " : "",
                             (long long)good[i][0], (long long)good[i][1], (long long)good[i][2]);
    return FAIL(SODA_ERR_INPUT,
                "factors for width %lld: expected three whole numbers whose product is %lld, "
                "such as %s; found [%lld, %lld, %lld]",
                (long long)width, (long long)width, text, (long long)n[0], (long long)n[1],
                (long long)n[2]);
}

soda_status factors_choose(const factors_choice *choice, int64_t width, int64_t n[3])
{
    const factors_entry *found = NULL;
    for (int i = 0; i < choice->entries && !found; i++)
        if (choice->map[i].width == width) found = &choice->map[i];
    if (found) TRY(factors_check(found));
    const size_t table = choice->rule == FACTORS_PAPER ? sizeof paper / sizeof *paper : 0;
    for (size_t i = 0; i < table && !found; i++)
        if (paper[i].width == width) found = &paper[i];
    if (found)
        memcpy(n, found->n, sizeof found->n);
    else
        balanced(width, n);
    return SODA_OK;
}
