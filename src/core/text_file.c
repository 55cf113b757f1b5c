#include "core/text_file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/file_kind.h"

/* Length of the UTF-8 sequence at s, whose last byte a zero follows; 0 if it is none (RFC 3629). */
static size_t utf8_length(const unsigned char *s)
{
    const size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] > 0xf4) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    const bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    const bool beyond = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
    return overlong || beyond ? 0 : n;
}

/* Marks of UTF-16 and UTF-32; without one, a zero beside the first character gives them away. */
static soda_status refuse_wide(const char *text, size_t bytes, const char *file)
{
    const unsigned char *b = (const unsigned char *)text;
    const char *found = NULL;
    if (bytes < 2) return SODA_OK;
    if (bytes >= 4 && (!memcmp(b, "\xff\xfe\0\0", 4) || !memcmp(b, "\0\0\xfe\xff", 4)))
        found = "UTF-32";
    else if ((b[0] == 0xff && b[1] == 0xfe) || (b[0] && !b[1]))
        found = "UTF-16 (little-endian)";
    else if ((b[0] == 0xfe && b[1] == 0xff) || (!b[0] && b[1]))
        found = "UTF-16 (big-endian)";
    if (!found) return SODA_OK;
    return FAIL(SODA_ERR_INPUT, "%s: expected text in UTF-8, found %s: save it as UTF-8", file,
                found);
}

static soda_status check_characters(const char *text, size_t bytes, const char *file)
{
    long long line = 1;
    for (size_t i = 0, length; i < bytes; i += length) {
        length = text[i] ? utf8_length((const unsigned char *)text + i) : 0;
        line += text[i] == '\n';
        if (length) continue;
        return FAIL(SODA_ERR_INPUT,
                    "%s:%lld: expected text in UTF-8, found the byte 0x%02X%s: save it as UTF-8",
                    file, line, (unsigned)(unsigned char)text[i],
                    text[i] ? " (of Latin-1, Windows-1252 or another encoding)" : "");
    }
    return SODA_OK;
}

soda_status text_file_clean(char *text, size_t *bytes, const char *file)
{
    const char *kind = *bytes ? file_kind(text, *bytes) : NULL;
    if (kind) return FAIL(SODA_ERR_INPUT, "%s: expected text, found %s", file, kind);
    TRY(refuse_wide(text, *bytes, file));
    TRY(check_characters(text, *bytes, file));
    const size_t mark = *bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
    size_t kept = 0;
    for (size_t i = mark; i < *bytes; i++) {
        const bool is_end = text[i] == '\r';
        if (is_end && text[i + 1] == '\n') continue; /* the last byte has a zero behind it */
        text[kept++] = text[i];
        if (is_end) text[kept - 1] = '\n';
    }
    text[kept] = '\0';
    *bytes = kept;
    return SODA_OK;
}

soda_status text_file_read(const char *path, size_t limit, char **text, size_t *bytes)
{
    void *data;
    *text = NULL;
    TRY(file_read(path, limit, &data, bytes));
    const soda_status s = text_file_clean(data, bytes, path);
    if (s != SODA_OK) {
        free(data);
        *bytes = 0;
        return status_pass(s, __FILE__, __LINE__);
    }
    *text = data;
    return SODA_OK;
}
