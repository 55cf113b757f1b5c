/* safetensors_file.h: files with any header, for the tests of io. */
#pragma once

#include <string.h>

#include "support/check.h"
#include "support/files.h"

/* Writes FOLDER/NAME: the length `claimed` (the true one if negative), the header, and `room` bytes
 * 0, 1, 2, ... of data. */
static const char *file_with_length(const char *folder, const char *name, int64_t claimed,
                                    const char *header, size_t room)
{
    static unsigned char file[1 << 20];
    const size_t length = strlen(header);
    assert_true(8 + length + room <= sizeof file);
    const uint64_t n = claimed < 0 ? length : (uint64_t)claimed;
    for (int i = 0; i < 8; i++) file[i] = (unsigned char)(n >> (8 * i));
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < room; i++) file[8 + length + i] = (unsigned char)i;
    return files_write(folder, name, file, 8 + length + room);
}

static const char *file_with(const char *folder, const char *name, const char *header, size_t room)
{
    return file_with_length(folder, name, -1, header, room);
}
