#include "core/checksum.h"

#include <string.h>

#include "core/mix64.h"

uint64_t checksum_f32(const float *x, int64_t n)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        sum += mix64((uint64_t)i << 32 | bits);
    }
    return sum;
}
