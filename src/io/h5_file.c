#include "io/h5_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/sha256.h"
#include "io/h5_attr.h"

/* The superblock: signature 8, version 1 (2 or 3), sizes of offsets and lengths 1 + 1 (8 each),
 * flags 1, base address 8, extension 8, end of file 8, ...: HDF5 File Format Specification 3.0,
 * II.A. The end counts from the base address, the end of the user block. */
enum { SEAL_BYTES = 512, VERSION_AT = 8, BASE_AT = 12, END_AT = 28, SUPERBLOCK_BYTES = 48 };
enum { HEAD_BYTES = SEAL_BYTES + SUPERBLOCK_BYTES, GROW_BYTES = 1 << 20, NAME_BYTES = 4200 };

static _Thread_local char reason[256];

/* HDF5's stack of errors, from the cause outwards: the first entry that says something. */
static herr_t take_reason(unsigned depth, const H5E_error2_t *error, void *unused)
{
    (void)depth, (void)unused;
    if (!error->desc || !*error->desc) return 0;
    snprintf(reason, sizeof reason, "%s", error->desc);
    return 1;
}

/* HDF5 calls this at the end of a call that fails; by itself it would print the stack. */
static herr_t note_failure(hid_t stack, void *unused)
{
    snprintf(reason, sizeof reason, "no reason given");
    return H5Ewalk2(stack, H5E_WALK_UPWARD, take_reason, unused);
}

static soda_status write_code(const h5_file *s)
{
    return s->starved ? SODA_ERR_MEMORY : SODA_ERR_INTERNAL;
}

soda_status h5_file_refusal(const h5_file *h5, bool reading, const char *object)
{
    return FAIL(reading ? SODA_ERR_INPUT : write_code(h5), "%s: /%s: HDF5 cannot %s it: %s",
                h5->path, object, reading ? "read" : "write",
                h5->starved ? "out of memory" : reason);
}

/* The image is ours throughout: HDF5 works in it, may grow it, and never copies or frees it. */
static void *image_malloc(size_t bytes, H5FD_file_image_op_t op, void *h5)
{
    (void)op;
    const h5_file *s = h5;
    return bytes <= s->bytes ? s->image : NULL;
}

static void *image_memcpy(void *to, const void *from, size_t bytes, H5FD_file_image_op_t op,
                          void *h5)
{
    (void)bytes, (void)op, (void)h5;
    return to == from ? to : NULL;
}

static void *image_realloc(void *image, size_t bytes, H5FD_file_image_op_t op, void *h5)
{
    (void)op;
    h5_file *s = h5;
    void *grown = realloc(image, bytes);
    if (grown) s->image = grown;
    s->starved = s->starved || !grown;
    return grown;
}

static herr_t image_free(void *image, H5FD_file_image_op_t op, void *h5)
{
    (void)image, (void)op, (void)h5;
    return 0;
}

static void *same_data(void *h5) { return h5; }

static herr_t keep_data(void *h5)
{
    (void)h5;
    return 0;
}

static hid_t access_list(h5_file *s)
{
    H5FD_file_image_callbacks_t calls = {
        image_malloc, image_memcpy, image_realloc, image_free, same_data, keep_data, s};
    const hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    if (H5Pset_fapl_core(list, GROW_BYTES, false) < 0 ||
        H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0 ||
        H5Pset_fclose_degree(list, H5F_CLOSE_STRONG) < 0 ||
        H5Pset_file_image_callbacks(list, &calls) < 0 ||
        (s->image && H5Pset_file_image(list, s->image, s->bytes) < 0)) {
        H5Pclose(list);
        return H5I_INVALID_HID;
    }
    return list;
}

/* The name by which HDF5 knows an image. It refuses one that a file has: nothing is below a file.
 */
static char *image_name(const h5_file *s, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%s/image", s->path);
    return name;
}

static soda_status allocate(const char *path, const char *format, h5_file **h5)
{
    *h5 = calloc(1, sizeof **h5);
    char *copy = strdup(path);
    if (!*h5 || !copy) {
        free(*h5);
        free(copy);
        *h5 = NULL;
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory", path);
    }
    **h5 = (h5_file){.file = H5I_INVALID_HID, .path = copy, .format = format};
    H5dont_atexit(); /* what it lost in a damaged file makes it complain at the end */
    H5Eset_auto2(H5E_DEFAULT, note_failure, NULL);
    H5PLset_loading_state(0); /* no file decides which code is loaded */
    return SODA_OK;
}

void h5_file_close(h5_file *h5)
{
    if (!h5) return;
    if (h5->file >= 0) H5Fclose(h5->file);
    free(h5->image);
    free(h5->path);
    free(h5);
}

/* Equal contents give equal bytes: no times in the root group, nor in what h5_attr.h and h5_array.h
 * create. Few attributes stay with their object. */
static hid_t creation_list(void)
{
    const hid_t list = H5Pcreate(H5P_FILE_CREATE);
    if (H5Pset_userblock(list, SEAL_BYTES) < 0 || H5Pset_obj_track_times(list, false) < 0 ||
        H5Pset_attr_phase_change(list, 16, 12) < 0) {
        H5Pclose(list);
        return H5I_INVALID_HID;
    }
    return list;
}

void h5_file_library(unsigned version[3])
{
    if (H5get_libversion(&version[0], &version[1], &version[2]) < 0)
        memset(version, 0, 3 * sizeof *version);
}

soda_status h5_file_create(const char *path, const char *format, int version, h5_file **h5)
{
    TRY(allocate(path, format, h5));
    h5_file *s = *h5;
    soda_status status = SODA_OK;
    const hid_t access = access_list(s), creation = creation_list();
    char name[NAME_BYTES];
    if (access >= 0 && creation >= 0)
        s->file = H5Fcreate(image_name(s, name), H5F_ACC_TRUNC, creation, access);
    if (s->file < 0) status = h5_file_refusal(s, false, "");
    if (access >= 0) H5Pclose(access);
    if (creation >= 0) H5Pclose(creation);
    if (status == SODA_OK) status = h5_attr_set_text(s, "format", format);
    if (status == SODA_OK) status = h5_attr_set_i64(s, "version", version);
    if (status == SODA_OK) return SODA_OK;
    h5_file_close(s);
    *h5 = NULL;
    return status;
}

/* The first 512 bytes of a file whose image is `image`. */
static soda_status make_seal(const char *format, const void *image, size_t bytes,
                             char seal[SEAL_BYTES])
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX];
    soda_sha256 *hash;
    TRY(sha256_create(&hash));
    soda_status s = sha256_update(hash, (const char *)image + SEAL_BYTES, bytes - SEAL_BYTES);
    if (s == SODA_OK) s = sha256_finish(hash, digest);
    sha256_destroy(hash);
    if (s != SODA_OK) return s;
    memset(seal, 0, SEAL_BYTES);
    snprintf(seal, SEAL_BYTES, "%s\nsha256 %s\n", format, sha256_hex(digest, hex));
    return SODA_OK;
}

/* Where the file ends, as its superblock has it; 0 if that is not one of ours. */
static uint64_t stored_end(const void *image)
{
    static const char ours[] = "\211HDF\r\n\032\n\3\10\10"; /* version 3, sizes of 8 bytes */
    const char *superblock = (const char *)image + SEAL_BYTES;
    uint64_t base, end;
    memcpy(&base, superblock + BASE_AT, sizeof base);
    memcpy(&end, superblock + END_AT, sizeof end);
    if (memcmp(superblock, ours, sizeof ours - 1) != 0 || base != SEAL_BYTES) return 0;
    return end;
}

static soda_status read_bytes(const char *path, int fd, char *to, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t done = read(fd, to, bytes);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return FAIL(SODA_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
        if (done == 0)
            return FAIL(SODA_ERR_INPUT, "%s: the file was truncated while it was being read", path);
        to += done;
        bytes -= (size_t)done;
    }
    return SODA_OK;
}

/* What can be said about a file of `bytes` from its first ones, before memory is taken for it. */
static soda_status check_head(const h5_file *s, const char *head, uint64_t bytes)
{
    const size_t name = strlen(s->format);
    if (strncmp(head, s->format, name) != 0 || head[name] != '\n') {
        const int length = (int)strcspn(head, "\n");
        for (int i = 0; i < length; i++)
            if (head[i] < ' ' || head[i] > '~')
                return FAIL(SODA_ERR_INPUT, "%s: expected a file that begins with \"%s\"", s->path,
                            s->format);
        return FAIL(SODA_ERR_INPUT, "%s: /format: expected \"%s\", found \"%.*s\"", s->path,
                    s->format, length < 64 ? length : 64, head);
    }
    const uint64_t end = stored_end(head);
    if (end == 0)
        return FAIL(SODA_ERR_INPUT, "%s: damaged: no HDF5 data after the first %d bytes", s->path,
                    SEAL_BYTES);
    if (end != bytes)
        return FAIL(SODA_ERR_INPUT, "%s: %s: expected %llu bytes, found %llu", s->path,
                    bytes < end ? "cut short" : "damaged", (unsigned long long)end,
                    (unsigned long long)bytes);
    return SODA_OK;
}

static soda_status read_image(h5_file *s, int fd)
{
    struct stat about;
    char head[HEAD_BYTES + 1] = {0};
    if (fstat(fd, &about) != 0)
        return FAIL(SODA_ERR_IO, "%s: cannot read: %s", s->path, strerror(errno));
    if (!S_ISREG(about.st_mode)) return FAIL(SODA_ERR_INPUT, "%s: not a file", s->path);
    if (about.st_size < HEAD_BYTES)
        return FAIL(SODA_ERR_INPUT, "%s: cut short: expected at least %d bytes, found %lld",
                    s->path, HEAD_BYTES, (long long)about.st_size);
    TRY(read_bytes(s->path, fd, head, HEAD_BYTES));
    TRY(check_head(s, head, (uint64_t)about.st_size));
    s->bytes = s->unread = (size_t)about.st_size;
    s->image = malloc(s->bytes);
    if (!s->image)
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory for its %zu bytes", s->path, s->bytes);
    memcpy(s->image, head, HEAD_BYTES);
    return read_bytes(s->path, fd, (char *)s->image + HEAD_BYTES, s->bytes - HEAD_BYTES);
}

static soda_status refuse_seal(const h5_file *s, const char seal[SEAL_BYTES])
{
    return FAIL(SODA_ERR_INPUT,
                "%s: damaged, or changed since it was written: expected \"%.71s\" on its second "
                "line",
                s->path, seal + strlen(s->format) + 1);
}

/* Opens the image. If its seal does not fit, the only question left is whether a newer soda wrote
 * it: the number of the version lies under HDF5's own checksums. */
static soda_status open_image(h5_file *s, int version, bool writable)
{
    char seal[SEAL_BYTES], name[NAME_BYTES];
    int64_t found = 0;
    TRY(make_seal(s->format, s->image, s->bytes, seal));
    const bool fits = memcmp(seal, s->image, SEAL_BYTES) == 0;
    const hid_t access = access_list(s);
    if (access >= 0)
        s->file =
            H5Fopen(image_name(s, name), fits && writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access);
    const bool opened = s->file >= 0;
    if (access >= 0) H5Pclose(access);
    const soda_status has = opened ? h5_attr_get_i64(s, "version", &found) : SODA_ERR_INPUT;
    if (has == SODA_OK && found > version)
        return FAIL(SODA_ERR_INPUT, "%s: /version: expected at most %d, found %lld", s->path,
                    version, (long long)found);
    if (!fits) return refuse_seal(s, seal);
    if (!opened) return h5_file_refusal(s, true, "");
    if (has == SODA_OK && found < 1)
        return FAIL(SODA_ERR_INPUT, "%s: /version: expected at least 1, found %lld", s->path,
                    (long long)found);
    return has;
}

/* The attribute must agree with the first line, which has been checked. */
static soda_status check_format(const h5_file *s)
{
    char *found;
    TRY(h5_attr_get_text(s, "format", &found));
    soda_status status = SODA_OK;
    if (strcmp(found, s->format) != 0)
        status = FAIL(SODA_ERR_INPUT, "%s: /format: expected \"%s\", found \"%.64s\"", s->path,
                      s->format, found);
    free(found);
    return status;
}

soda_status h5_file_open(const char *path, const char *format, int version, bool writable,
                         h5_file **h5)
{
    soda_status s = SODA_OK;
    *h5 = NULL;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return FAIL(SODA_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    TRY_TO(done, allocate(path, format, h5));
    TRY_TO(done, read_image(*h5, fd));
    TRY_TO(done, open_image(*h5, version, writable));
    TRY_TO(done, check_format(*h5));
done:
    close(fd);
    if (s != SODA_OK) {
        h5_file_close(*h5);
        *h5 = NULL;
    }
    return s;
}

soda_status h5_file_verify(const char *path, const char *format)
{
    h5_file *h5 = NULL;
    char seal[SEAL_BYTES];
    soda_status s = SODA_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return FAIL(SODA_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    TRY_TO(done, allocate(path, format, &h5));
    TRY_TO(done, read_image(h5, fd));
    TRY_TO(done, make_seal(format, h5->image, h5->bytes, seal));
    if (memcmp(seal, h5->image, SEAL_BYTES) != 0) s = refuse_seal(h5, seal);
done:
    close(fd);
    h5_file_close(h5);
    return s;
}

soda_status h5_file_save(h5_file *h5, soda_newfile **file)
{
    soda_status s = SODA_OK;
    *file = NULL;
    const herr_t closed = H5Fclose(h5->file);
    h5->file = H5I_INVALID_HID;
    if (closed < 0 || !h5->image) return h5_file_refusal(h5, false, "");
    h5->bytes = (size_t)stored_end(h5->image);
    if (h5->bytes < HEAD_BYTES)
        return FAIL(SODA_ERR_INTERNAL, "%s: HDF5 made a file of another layout", h5->path);
    char seal[SEAL_BYTES];
    TRY(make_seal(h5->format, h5->image, h5->bytes, seal));
    memcpy(h5->image, seal, SEAL_BYTES);
    TRY(newfile_create(h5->path, file));
    TRY_TO(failed, newfile_write(*file, h5->image, h5->bytes));
    TRY_TO(failed, newfile_sync(*file));
    return SODA_OK;
failed:
    newfile_close(*file);
    *file = NULL;
    return s;
}
