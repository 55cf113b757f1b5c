#include "core/file_kind.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FETCH "download the file itself"

/* Magic numbers from the formats' specifications; the first row that fits counts. */
static const struct {
    size_t at; /* offset of the magic bytes */
    const char *magic;
    size_t bytes;
    const char *kind;
} kinds[] = {
#define AT(offset, text, kind)                                                                     \
    {                                                                                              \
        offset, text, sizeof text - 1, kind                                                        \
    }
    /* first: the length before it may be any bytes, those of a pickle too */
    AT(8, "{", "a safetensors file"), /* behind a length of 8 bytes: see begins_with */
    AT(0, "version https://git-lfs.github.com/spec/",
       "a Git LFS pointer, not the file itself: run \"git lfs pull\" in its folder, or " FETCH),
    AT(0, "version https://hawser.github.com/spec/",
       "a Git LFS pointer, not the file itself: run \"git lfs pull\" in its folder, or " FETCH),
    AT(0, "/annex/objects/",
       "a git-annex pointer, not the file itself: run \"git annex get\" in its folder"),
    AT(0, "\x89PNG\r\n\x1a\n", "a PNG picture"),
    AT(0, "\xff\xd8\xff", "a JPEG picture"),
    AT(0, "GIF8", "a GIF picture"),
    AT(0, "II*\0", "a TIFF picture"),
    AT(0, "MM\0*", "a TIFF picture"),
    AT(0, "II+\0", "a TIFF picture"), /* BigTIFF */
    AT(0, "MM\0+", "a TIFF picture"),
    AT(8, "WEBPVP8", "a WebP picture"),
    AT(6, "\0\0", "a BMP picture"), /* behind "BM" and a length: see begins_with */
    AT(4, "ftypavif", "an AVIF picture: convert it to PNG, JPEG or WebP"),
    AT(4, "ftypheic", "a HEIC picture: convert it to PNG, JPEG or WebP"),
    AT(4, "ftypheix", "a HEIC picture: convert it to PNG, JPEG or WebP"),
    AT(4, "ftypmif1", "a HEIF picture: convert it to PNG, JPEG or WebP"),
    AT(4, "ftyp", "an MP4 video or another file of that family"),
    AT(0, "\0\0\0\x0cjP  ", "a JPEG 2000 picture: convert it to PNG, JPEG or WebP"),
    AT(0, "\0\0\0\x0cJXL ", "a JPEG XL picture: convert it to PNG, JPEG or WebP"),
    AT(0, "\xff\x0a", "a JPEG XL picture: convert it to PNG, JPEG or WebP"),
    AT(0, "8BPS", "a Photoshop file: convert it to PNG, JPEG or WebP"),
    AT(0, "<svg", "an SVG drawing: convert it to PNG, JPEG or WebP"),
    AT(0, "%PDF", "a PDF document"),
    AT(0, "\x89HDF\r\n\x1a\n", "an HDF5 file"),
    AT(0, "GGUF", "a GGUF file: soda reads .safetensors files"),
    AT(0, "PAR1", "a Parquet file"),
    AT(0, "PK\3\4", "a ZIP archive or a PyTorch file (.bin, .ckpt, .pt)"),
    AT(0, "\x80\x02", "a Python pickle or a PyTorch file (.bin, .ckpt, .pt)"),
    AT(0, "\x80\x03", "a Python pickle or a PyTorch file (.bin, .ckpt, .pt)"),
    AT(0, "\x80\x04", "a Python pickle or a PyTorch file (.bin, .ckpt, .pt)"),
    AT(0, "\x80\x05", "a Python pickle or a PyTorch file (.bin, .ckpt, .pt)"),
    AT(0, "\x93NUMPY", "a NumPy array"),
    AT(0, "\x1f\x8b", "a gzip archive: unpack it"),
    AT(0, "BZh", "a bzip2 archive: unpack it"),
    AT(0,
       "\xfd"
       "7zXZ",
       "an xz archive: unpack it"),
    AT(0, "\x28\xb5\x2f\xfd", "a zstd archive: unpack it"),
    AT(257, "ustar", "a tar archive: unpack it"),
#undef AT
};

static int begins_with(const uint8_t *bytes, size_t size, size_t i)
{
    const size_t end = kinds[i].at + kinds[i].bytes;
    if (size < end || memcmp(bytes + kinds[i].at, kinds[i].magic, kinds[i].bytes) != 0) return 0;
    if (kinds[i].at == 6) return memcmp(bytes, "BM", 2) == 0;
    /* the upper half of a header's length is zero, which text never has */
    return strcmp(kinds[i].magic, "{") != 0 || memcmp(bytes + 4, "\0\0\0\0", 4) == 0;
}

/* Whether the text, behind white space, starts like a page. */
static int is_page(const char *text, size_t size)
{
    static const char *const starts[] = {"<!doctype html", "<html", "<head", "<body"};
    size_t at = size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
    while (at < size && strchr(" \t\r\n", text[at]) && text[at]) at++;
    for (int i = 0; i < 4; i++) {
        const size_t length = strlen(starts[i]);
        if (size - at >= length && !strncasecmp(text + at, starts[i], length)) return 1;
    }
    return 0;
}

const char *file_kind(const void *bytes, size_t size)
{
    if (size == 0) return "an empty file";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (begins_with(bytes, size, i)) return kinds[i].kind;
    if (is_page(bytes, size))
        return "an HTML page, as servers send instead of a file that needs a login or has moved: "
               "" FETCH;
    return NULL;
}

soda_status file_kind_refuse(const void *bytes, size_t size, const char *file, const char *expected)
{
    enum { SHOWN = 60 };
    const char *kind = file_kind(bytes, size), *text = bytes;
    size_t printable = 0;
    if (kind) return FAIL(SODA_ERR_INPUT, "%s: expected %s, found %s", file, expected, kind);
    while (printable < size && printable < SHOWN && text[printable] >= ' ' &&
           text[printable] <= '~')
        printable++;
    if (printable > 0 && (printable == size || printable == SHOWN || text[printable] == '\n'))
        return FAIL(SODA_ERR_INPUT, "%s: expected %s, found %zu bytes that start with \"%.*s\"",
                    file, expected, size, (int)printable, text);
    return FAIL(SODA_ERR_INPUT, "%s: expected %s, found %zu bytes of something else", file,
                expected, size);
}
