#include "data/bucket.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

int64_t bucket_step(int64_t resolution, int64_t factor)
{
    return most(least(64, resolution / 8) / factor, 1) * factor;
}

/* Goes from the highest bucket to wider ones while the next is nearer: r = width / height lies
 * nearer to b than to a < b, in ratio, if r r > a b. Of two as near, the one nearer to square. */
void bucket_choose(int64_t resolution, int64_t factor, int64_t width, int64_t height, int64_t *w,
                   int64_t *h)
{
    const int64_t step = bucket_step(resolution, factor), budget = resolution * resolution;
    *w = *h = 0;
    for (int64_t x = step; x <= 2 * resolution; x += step) {
        const int64_t y = budget / x / step * step;
        if (2 * x < resolution || 2 * y < resolution || y > 2 * resolution ||
            (x + step) * y <= budget)
            continue;
        const int64_t rr = width * width * y * *h, ab = height * height * x * *w;
        if (*w && (rr < ab || (rr == ab && width >= height))) return;
        *w = x;
        *h = y;
    }
}
