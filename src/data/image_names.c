#include "data/image_names.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

#define LIST(...) __VA_ARGS__
#define FORMAT(name, NAME, at, bytes, endings) endings,
static const char *const endings[NAME_KINDS][32] = {
    [NAME_PICTURE] =
        {
#include "image/formats.def"
        },
    [NAME_OTHER] = {".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".svg", ".psd",
                    ".tga",  ".ppm",  ".pgm",  ".pbm", ".pnm", ".ico", ".exr", ".hdr",
                    ".dds",  ".pcx",  ".dib",  ".raw", ".dng", ".cr2", ".cr3", ".nef",
                    ".arw",  ".mp4",  ".mov",  ".avi", ".mkv", ".webm"},
    [NAME_ARCHIVE] = {".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".parquet", ".arrow"},
    [NAME_CAPTION] = {".txt"},
};

bool image_name_is(const char *name, image_name_kind kind)
{
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && dot != name && endings[kind][i]; i++)
        if (!strcasecmp(dot, endings[kind][i])) return true;
    return false;
}

const char *image_name_endings(char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; endings[NAME_PICTURE][i] && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
                                 endings[NAME_PICTURE][i]);
    return text;
}

static bool is_ascii(const char *name)
{
    while (*name && (unsigned char)*name < 0x80) name++;
    return !*name;
}

soda_status image_name_form(const char *name, int form, char **same)
{
    utf8proc_uint8_t *text = NULL;
    const int how = form ? UTF8PROC_DECOMPOSE : UTF8PROC_COMPOSE;
    *same = NULL;
    if (is_ascii(name)) return SODA_OK;
    if (utf8proc_map((const utf8proc_uint8_t *)name, 0, &text,
                     UTF8PROC_NULLTERM | UTF8PROC_STABLE | how) == UTF8PROC_ERROR_NOMEM)
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory for its name", name);
    *same = (char *)text;
    return SODA_OK;
}

image_split image_name_split(const char *name)
{
    static const struct {
        const char *name;
        image_split split;
    } rows[] = {{"train", SPLIT_TRAINING}, {"training", SPLIT_TRAINING},   {"test", SPLIT_HELD_OUT},
                {"valid", SPLIT_HELD_OUT}, {"validation", SPLIT_HELD_OUT}, {"val", SPLIT_HELD_OUT},
                {"dev", SPLIT_HELD_OUT},   {"eval", SPLIT_HELD_OUT}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcasecmp(name, rows[i].name)) return rows[i].split;
    return SPLIT_NONE;
}

bool image_name_repeats(const char *name)
{
    const size_t digits = strspn(name, "0123456789");
    return digits >= 1 && digits <= 3 && name[0] != '0' && name[digits] == '_' && name[digits + 1];
}
