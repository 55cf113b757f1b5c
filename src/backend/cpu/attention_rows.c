#include "backend/cpu/attention_internal.h"

void attention_load_rows(const attention_job *job, const void *src, int64_t first, int64_t rows,
                         int64_t head, float *dst, int64_t ld)
{
    for (int64_t i = 0; i < rows; i++) {
        const int64_t offset = (first + i) * job->width + head * job->d;
        float *restrict to = dst + i * ld;
        if (job->dtype == SODA_BF16) {
            const uint16_t *from = (const uint16_t *)src + offset;
            for (int64_t c = 0; c < job->d; c++) to[c] = bf16_to_float(from[c]);
        } else {
            const float *from = (const float *)src + offset;
            for (int64_t c = 0; c < job->d; c++) to[c] = from[c];
        }
        for (int64_t c = job->d; c < ld; c++) to[c] = 0;
    }
}

void attention_store_rows(const attention_job *job, void *dst, int64_t first, int64_t rows,
                          int64_t head, const float *src, int64_t ld, float factor)
{
    for (int64_t i = 0; i < rows; i++) {
        const int64_t offset = (first + i) * job->width + head * job->d;
        const float *from = src + i * ld;
        if (job->dtype == SODA_BF16) {
            uint16_t *restrict to = (uint16_t *)dst + offset;
            for (int64_t c = 0; c < job->d; c++) to[c] = bf16_from_float(factor * from[c]);
        } else {
            float *restrict to = (float *)dst + offset;
            for (int64_t c = 0; c < job->d; c++) to[c] = factor * from[c];
        }
    }
}
