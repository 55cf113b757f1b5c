#include "tokenizer/unicode.h"

#include <string.h>
#include <utf8proc.h>

typedef struct {
    int32_t first, last;
} range;

/* Letters of Unicode 15.1 and 16. */
static const range new_letters[] = {
    {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
    {0x10D4A, 0x10D65}, {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389},
    {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113B7},
    {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0}, {0x13460, 0x143FA},
    {0x16100, 0x1611D}, {0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED},
    {0x1E5F0, 0x1E5F0}, {0x2EBF0, 0x2EE5D},
};

/* Numbers of Unicode 16. */
static const range new_numbers[] = {
    {0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9}, {0x16130, 0x16139},
    {0x16D70, 0x16D79}, {0x1CCF0, 0x1CCF9}, {0x1E5F1, 0x1E5FA},
};

/* Combining marks of Unicode 10 to 15: a normalisation that knows Unicode 9 leaves them in place.
 */
static const range new_marks[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
    {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},
    {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0x10D24, 0x10D27},
    {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85},
    {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x11839, 0x1183A},
    {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34},
    {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45},
    {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F},
    {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
};

/* The one composed letter of Unicode 10 to 15, Dives Akuru O: neither taken apart nor built. */
static const int32_t new_composed = 0x11938;

/* Lower-casing of Unicode 16 and 17: [first, last] move by `shift`. */
static const struct {
    range upper;
    int32_t shift;
} new_cases[] = {
    {{0x1C89, 0x1C89}, 1},      {{0xA7CB, 0xA7CB}, 0x264 - 0xA7CB},
    {{0xA7CC, 0xA7CC}, 1},      {{0xA7CE, 0xA7CE}, 1},
    {{0xA7D2, 0xA7D2}, 1},      {{0xA7D4, 0xA7D4}, 1},
    {{0xA7DA, 0xA7DA}, 1},      {{0xA7DC, 0xA7DC}, 0x19B - 0xA7DC},
    {{0x10D50, 0x10D65}, 0x20}, {{0x16EA0, 0x16EB8}, 0x1B},
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static bool is_within(int32_t point, const range *table, size_t count)
{
    size_t low = 0, high = count; /* the answer, if any, lies in table[low..high) */
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (point > table[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && point >= table[low].first;
}

bool unicode_is_letter(int32_t point)
{
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return true;
    default: return is_within(point, new_letters, COUNT(new_letters));
    }
}

bool unicode_is_number(int32_t point)
{
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return true;
    default: return is_within(point, new_numbers, COUNT(new_numbers));
    }
}

bool unicode_is_space(int32_t point)
{
    if (point == 0x85 || (point >= 0x09 && point <= 0x0D)) return true; /* controls by category */
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return true;
    default: return false;
    }
}

int unicode_lower(int32_t point, int32_t lower[2])
{
    if (point == 0x130) { /* capital I with dot: the only one that becomes two */
        lower[0] = 'i';
        lower[1] = 0x307;
        return 2;
    }
    lower[0] = utf8proc_tolower(point);
    for (size_t i = 0; i < COUNT(new_cases); i++) {
        if (point >= new_cases[i].upper.first && point <= new_cases[i].upper.last)
            lower[0] = point + new_cases[i].shift;
    }
    return 1;
}

size_t unicode_decode(const char *text, size_t bytes, int32_t *point)
{
    const utf8proc_ssize_t used =
        utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)bytes, point);
    return used > 0 ? (size_t)used : 0;
}

size_t unicode_encode(int32_t point, char *text)
{
    return (size_t)utf8proc_encode_char(point, (utf8proc_uint8_t *)text);
}

static int combining_class(int32_t point)
{
    if (point < 0x300) return 0;
    if (is_within(point, new_marks, COUNT(new_marks))) return 0;
    return (int)utf8proc_get_property(point)->combining_class;
}

enum { MAX_PARTS = 4 }; /* the longest canonical decomposition, for example U+1F82 */

/* Takes points[0..count) apart; returns the new count. */
static size_t decompose(int32_t *points, size_t count)
{
    int32_t *source = points + (size_t)MAX_PARTS * count;
    memcpy(source, points, count * sizeof *points);
    size_t filled = 0;
    for (size_t i = 0; i < count; i++) {
        int boundary = 0;
        utf8proc_ssize_t parts = 1;
        int32_t part[MAX_PARTS] = {source[i]};
        if (source[i] >= 0xC0 && source[i] != new_composed)
            parts =
                utf8proc_decompose_char(source[i], part, MAX_PARTS, UTF8PROC_DECOMPOSE, &boundary);
        for (utf8proc_ssize_t j = 0; j < parts; j++) points[filled++] = part[j];
    }
    return filled;
}

/* Sorts one run of combining marks by class, stably and in linear time: nothing in a prompt bounds
 * the length of a run. */
static void sort_run(int32_t *marks, size_t count, int32_t *scratch)
{
    size_t place[257] = {0};
    for (size_t i = 0; i < count; i++) place[combining_class(marks[i]) + 1]++;
    for (int k = 0; k < 256; k++) place[k + 1] += place[k];
    for (size_t i = 0; i < count; i++) scratch[place[combining_class(marks[i])]++] = marks[i];
    memcpy(marks, scratch, count * sizeof *marks);
}

static void sort_marks(int32_t *points, size_t count, int32_t *scratch)
{
    for (size_t i = 0; i < count; i++) {
        if (combining_class(points[i]) == 0) continue;
        size_t end = i + 1;
        while (end < count && combining_class(points[end]) != 0) end++;
        if (end - i > 1) sort_run(points + i, end - i, scratch);
        i = end;
    }
}

/* The code point that `first second` compose to, 0 if they do not. */
static int32_t composed(int32_t first, int32_t second)
{
    int32_t pair[2] = {first, second};
    if (second < 0x300) return 0;
    if (utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE) != 1) return 0;
    return pair[0] == new_composed ? 0 : pair[0];
}

size_t unicode_nfc(int32_t *points, size_t count)
{
    size_t filled = 0, starter = 0;
    bool has_starter = false;
    int between = -1; /* highest class kept since the starter; a second one must exceed it */
    const size_t parts = decompose(points, count);
    sort_marks(points, parts, points + (size_t)MAX_PARTS * count);
    for (size_t i = 0; i < parts; i++) {
        const int class = combining_class(points[i]);
        if (has_starter && between < class) {
            const int32_t whole = composed(points[starter], points[i]);
            if (whole) {
                points[starter] = whole;
                continue;
            }
        }
        between = class;
        if (class == 0) {
            starter = filled;
            has_starter = true;
            between = -1;
        }
        points[filled++] = points[i];
    }
    return filled;
}
