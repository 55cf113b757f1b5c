#include "support/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/philox.h"

void check_status(soda_status got, soda_status want, const char *file, int line)
{
    if (got == want) return;
    printf("%s:%d: status %d, wanted %d: %s\n  %s\n", file, line, (int)got, (int)want,
           status_message(), status_trace());
    fail();
}

void check_message_has(const char *part)
{
    if (strstr(status_message(), part)) return;
    printf("message \"%s\" does not name \"%s\"\n", status_message(), part);
    fail();
}

double check_relative_l2(const float *a, const float *b, int64_t n)
{
    double error = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)a[i] - (double)b[i];
        error += d * d;
        norm += (double)b[i] * (double)b[i];
    }
    return sqrt(error / norm);
}

void check_max_diff(const float *got, const float *want, int64_t n, double bound)
{
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - (double)want[i]);
        if (d <= bound) continue; /* NaN does not pass */
        printf("element %lld of %lld: %.9g, wanted %.9g, off by %.3g > %.3g\n", (long long)i,
               (long long)n, (double)got[i], (double)want[i], d, bound);
        fail();
    }
}

void check_fill_normal(float *x, int64_t n, uint32_t seed, float scale)
{
    const philox_key key = {{seed, 0x7e57u}};
    philox_normal(key, (philox_counter){{0}}, x, n);
    for (int64_t i = 0; i < n; i++) x[i] *= scale;
}
