#include "tokenizer/normalize.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "tokenizer/unicode.h"

/* Writes points[0..count) as collapsed, lower-case UTF-8; returns the bytes. */
static size_t write_lower(const int32_t *points, size_t count, char *text)
{
    size_t bytes = 0;
    bool after_space = false;
    for (size_t i = 0; i < count; i++) {
        const bool is_space = unicode_is_space(points[i]);
        int32_t lower[2] = {' '};
        const int n = is_space ? 1 : unicode_lower(points[i], lower);
        if (!is_space || !after_space) {
            for (int j = 0; j < n; j++) bytes += unicode_encode(lower[j], text + bytes);
        }
        after_space = is_space;
    }
    return bytes;
}

soda_status normalize_text(const char *text, size_t bytes, char **normal, size_t *normal_bytes)
{
    size_t count = 0;
    char *out = NULL;
    int32_t *points = malloc((bytes + 1) * UNICODE_NFC_ROOM * sizeof *points);
    if (points) {
        for (size_t at = 0, used; at < bytes; at += used) {
            used = unicode_decode(text + at, bytes - at, &points[count]);
            if (!used) break;
            count++;
        }
        count = unicode_nfc(points, count);
        out = malloc(4 * count + 1); /* 4 bytes a code point at most; the two of U+0130 take 3 */
    }
    if (out) *normal_bytes = write_lower(points, count, out);
    free(points);
    *normal = out;
    return out ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory for a text of %zu bytes", bytes);
}
