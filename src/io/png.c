#include "io/png.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "io/newfile.h"

/* The file as it will be on disk, for free(). Nothing is written, so an error leaves nothing. */
static soda_status encode(const char *path, const uint8_t *pixels, int width, int height,
                          void **file, size_t *bytes)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = PNG_FORMAT_RGB};
    *bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
    *file = malloc(*bytes);
    if (!*file)
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory for a picture of %dx%d", path, width,
                    height);
    png_alloc_size_t used = *bytes;
    if (!png_image_write_to_memory(&image, *file, &used, 0, pixels, 0, NULL)) {
        png_image_free(&image);
        return FAIL(SODA_ERR_MEMORY, "%s: libpng cannot encode %dx%d: %s", path, width, height,
                    image.message);
    }
    *bytes = used;
    return SODA_OK;
}

static soda_status make_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return SODA_OK;
    char *folder = strdup(path);
    if (!folder) return FAIL(SODA_ERR_MEMORY, "%s: out of memory while making its folder", path);
    folder[slash - path] = '\0';
    const soda_status s = newfile_make_folder(folder);
    free(folder);
    TRY(s);
    return SODA_OK;
}

/* `taken`: see newfile_commit_new; NULL: whatever has the name is replaced. */
static soda_status write_png(const char *path, const uint8_t *pixels, int width, int height,
                             bool *taken)
{
    soda_status s = SODA_OK;
    void *bytes_of_file = NULL;
    size_t bytes = 0;
    soda_newfile *file = NULL;
    if (width <= 0 || height <= 0)
        return FAIL(SODA_ERR_INTERNAL, "%s: a picture of %dx%d", path, width, height);
    TRY_TO(done, encode(path, pixels, width, height, &bytes_of_file, &bytes));
    TRY_TO(done, make_folder_of(path));
    TRY_TO(done, newfile_create(path, &file));
    TRY_TO(done, newfile_write(file, bytes_of_file, bytes));
    TRY_TO(done, taken ? newfile_commit_new(file, taken) : newfile_commit(file));
done:
    newfile_close(file);
    free(bytes_of_file);
    return s;
}

soda_status soda_png_write(const char *path, const uint8_t *pixels, int width, int height)
{
    return write_png(path, pixels, width, height, NULL);
}

soda_status soda_png_write_new(const char *path, const uint8_t *pixels, int width, int height,
                               bool *taken)
{
    return write_png(path, pixels, width, height, taken);
}
