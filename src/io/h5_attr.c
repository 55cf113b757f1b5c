#include "io/h5_attr.h"

#include <stdlib.h>
#include <string.h>

/* h5py hands texts of variable length in UTF-8 out as str, those of fixed length as bytes. */
static hid_t text_type(void)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static soda_status set_attribute(const h5_file *file, const char *name, hid_t stored, hid_t memory,
                                 const void *value)
{
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(file->file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool good = attribute >= 0 && H5Awrite(attribute, memory, value) >= 0;
    const soda_status s = good ? SODA_OK : h5_file_refusal(file, false, name);
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    return s;
}

soda_status h5_attr_set_text(const h5_file *file, const char *name, const char *value)
{
    const hid_t type = text_type();
    const soda_status s = set_attribute(file, name, type, type, &value);
    H5Tclose(type);
    return s;
}

soda_status h5_attr_set_i64(const h5_file *file, const char *name, int64_t value)
{
    return set_attribute(file, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

soda_status h5_attr_set_u64(const h5_file *file, const char *name, uint64_t value)
{
    return set_attribute(file, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value);
}

bool h5_attr_has(const h5_file *file, const char *name) { return H5Aexists(file->file, name) > 0; }

/* Reads one value of class `expected` as `memory`; a text as it is stored, in ASCII or UTF-8, since
 * HDF5 1.14 does not convert one to the other. */
static soda_status get_attribute(const h5_file *file, const char *name, H5T_class_t expected,
                                 hid_t memory, void *value)
{
    soda_status s = SODA_OK;
    if (!h5_attr_has(file, name))
        return FAIL(SODA_ERR_INPUT, "%s: /%s: expected an attribute, found none", file->path, name);
    const hid_t attribute = H5Aopen(file->file, name, H5P_DEFAULT);
    if (attribute < 0) return h5_file_refusal(file, true, name);
    const hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    const char *what = expected == H5T_INTEGER ? "one integer" : "one text of variable length";
    const bool fits =
        type >= 0 && space >= 0 && H5Tget_class(type) == expected &&
        H5Sget_simple_extent_npoints(space) == 1 &&
        (expected == H5T_INTEGER ? H5Tget_size(type) <= 8 : H5Tis_variable_str(type) > 0);
    if (!fits)
        s = FAIL(SODA_ERR_INPUT, "%s: /%s: expected %s, found something else", file->path, name,
                 what);
    else if (H5Aread(attribute, expected == H5T_STRING ? type : memory, value) < 0)
        s = h5_file_refusal(file, true, name);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    H5Aclose(attribute);
    return s;
}

soda_status h5_attr_get_text(const h5_file *file, const char *name, char **value)
{
    char *text = NULL;
    TRY(get_attribute(file, name, H5T_STRING, H5I_INVALID_HID, &text));
    *value = strdup(text ? text : "");
    H5free_memory(text);
    return *value ? SODA_OK : FAIL(SODA_ERR_MEMORY, "%s: out of memory", file->path);
}

soda_status h5_attr_get_i64(const h5_file *file, const char *name, int64_t *value)
{
    return get_attribute(file, name, H5T_INTEGER, H5T_NATIVE_INT64, value);
}

soda_status h5_attr_get_u64(const h5_file *file, const char *name, uint64_t *value)
{
    return get_attribute(file, name, H5T_INTEGER, H5T_NATIVE_UINT64, value);
}

soda_status h5_attr_make_group(const h5_file *file, const char *path)
{
    const hid_t list = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(list, false); /* equal contents give equal bytes */
    const hid_t group = H5Gcreate2(file->file, path, H5P_DEFAULT, list, H5P_DEFAULT);
    const soda_status s = group >= 0 ? SODA_OK : h5_file_refusal(file, false, path);
    if (group >= 0) H5Gclose(group);
    H5Pclose(list);
    return s;
}

typedef struct {
    h5_attr_names *names;
    int room;
    const char *strange; /* for free(): a link that is not plain */
    bool memory;         /* there was none */
} listing;

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *link, void *data)
{
    (void)group;
    listing *l = data;
    if (link->type != H5L_TYPE_HARD) {
        l->strange = strdup(name);
        l->memory = !l->strange;
        return -1;
    }
    if (l->names->count == l->room) {
        const int room = l->room ? 2 * l->room : 64;
        char **larger = realloc(l->names->name, (size_t)room * sizeof *larger);
        if (!larger) return l->memory = true, -1;
        l->names->name = larger;
        l->room = room;
    }
    char *copy = strdup(name);
    if (!copy) return l->memory = true, -1;
    l->names->name[l->names->count++] = copy;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether `path` is linked plainly; its parents are groups that were listed, or the root. */
static bool is_plain(const h5_file *file, const char *path)
{
    H5L_info_t link;
    return H5Lexists(file->file, path, H5P_DEFAULT) > 0 &&
           H5Lget_info(file->file, path, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD;
}

soda_status h5_attr_list(const h5_file *file, const char *group, h5_attr_names *names)
{
    *names = (h5_attr_names){0};
    const hid_t id =
        is_plain(file, group) ? H5Gopen2(file->file, group, H5P_DEFAULT) : H5I_INVALID_HID;
    if (id < 0)
        return FAIL(SODA_ERR_INPUT, "%s: /%s: expected a group, found none", file->path, group);
    listing l = {.names = names};
    const bool good = H5Literate(id, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, add_name, &l) >= 0;
    soda_status s = SODA_OK;
    if (l.memory)
        s = FAIL(SODA_ERR_MEMORY, "%s: /%s: out of memory", file->path, group);
    else if (l.strange)
        s = FAIL(SODA_ERR_INPUT, "%s: /%s/%s: expected an object, found a soft or external link",
                 file->path, group, l.strange);
    else if (!good)
        s = h5_file_refusal(file, true, group);
    free((void *)l.strange);
    H5Gclose(id);
    if (s != SODA_OK)
        h5_attr_free(names);
    else if (names->count)
        qsort(names->name, (size_t)names->count, sizeof *names->name, by_name);
    return s;
}

void h5_attr_free(h5_attr_names *names)
{
    for (int i = 0; i < names->count; i++) free(names->name[i]);
    free(names->name);
    *names = (h5_attr_names){0};
}

soda_status h5_attr_expect(const h5_file *file, const char *group, const h5_attr_names *names,
                           const char *name)
{
    if (names->count && bsearch(&name, names->name, (size_t)names->count, sizeof name, by_name))
        return SODA_OK;
    return FAIL(SODA_ERR_INPUT, "%s: /%s: expected an entry \"%s\", found none", file->path, group,
                name);
}

soda_status h5_attr_expect_count(const h5_file *file, const char *group, const h5_attr_names *names,
                                 int expected)
{
    if (names->count == expected) return SODA_OK;
    return FAIL(SODA_ERR_INPUT, "%s: /%s: expected %d entries, found %d", file->path, group,
                expected, names->count);
}
