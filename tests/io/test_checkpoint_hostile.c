/* Checkpoints that are whole and sealed, but not what soda writes: refused with a reason. */
#include "io/checkpoint_case.h"

typedef void change_fn(hid_t file);

/* Changes the checkpoint at `path` through HDF5 and seals it again, as an attacker would. */
static void forge(const char *path, change_fn *change)
{
    h5_file *file;
    soda_newfile *new;
    CHECK_OK(h5_file_open(path, "soda-checkpoint", CHECKPOINT_VERSION, true, &file));
    change(file->file);
    CHECK_OK(h5_file_save(file, &new));
    CHECK_OK(newfile_commit(new));
    newfile_close(new);
    h5_file_close(file);
}

#define R1 "unet.x.to_out.0.soda.R1"

/* A data set of any type and shape in place of `path`, in chunks of `chunk` a dimension. */
static void put(hid_t file, const char *path, hid_t type, int rank, hsize_t dim, hsize_t chunk,
                bool checked)
{
    hsize_t dims[3] = {dim, dim, dim}, chunks[3] = {chunk, chunk, chunk};
    H5Ldelete(file, path, H5P_DEFAULT);
    const hid_t space = rank ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    if (chunk) H5Pset_chunk(list, rank, chunks);
    if (checked) H5Pset_fletcher32(list);
    const hid_t set = H5Dcreate2(file, path, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(set >= 0);
    H5Dclose(set);
    H5Pclose(list);
    H5Sclose(space);
}

static void rank_0(hid_t f) { put(f, "adapter/" R1, H5T_IEEE_F32LE, 0, 0, 0, false); }
static void rank_3(hid_t f) { put(f, "adapter/" R1, H5T_IEEE_F32LE, 3, 2, 2, true); }
static void fp64(hid_t f) { put(f, "adapter/" R1, H5T_IEEE_F64LE, 2, 2, 2, true); }
static void integers(hid_t f) { put(f, "adapter/" R1, H5T_STD_I32LE, 2, 2, 2, true); }
static void big_endian(hid_t f) { put(f, "adapter/" R1, H5T_IEEE_F32BE, 2, 2, 2, true); }
static void no_checksum(hid_t f) { put(f, "adapter/" R1, H5T_IEEE_F32LE, 2, 2, 2, false); }
static void no_chunks(hid_t f) { put(f, "adapter/" R1, H5T_IEEE_F32LE, 2, 2, 0, false); }
static void huge(hid_t f) { put(f, "adapter/" R1, H5T_IEEE_F32LE, 2, 30000, 9, true); }
static void vast(hid_t f) { put(f, "adapter/" R1, H5T_IEEE_F32LE, 1, 1LL << 60, 9, true); }
static void other_shape(hid_t f)
{
    put(f, "optimizer/" R1 "/second", H5T_IEEE_F32LE, 2, 3, 3, true);
}
static void other_rank(hid_t f)
{
    put(f, "optimizer/" R1 "/first", H5T_IEEE_F32LE, 1, 12, 12, true);
}
static void history_matrix(hid_t f) { put(f, "history/step", H5T_IEEE_F64LE, 2, 5, 5, true); }
static void history_short(hid_t f) { put(f, "history/step", H5T_IEEE_F64LE, 1, 4, 4, true); }
static void history_fp32(hid_t f) { put(f, "history/step", H5T_IEEE_F32LE, 1, 5, 5, true); }

static void drop(hid_t file, const char *path)
{
    assert_true(H5Ldelete(file, path, H5P_DEFAULT) >= 0);
}
static void no_adapter(hid_t f) { drop(f, "adapter"); }
static void no_optimizer(hid_t f) { drop(f, "optimizer"); }
static void no_history(hid_t f) { drop(f, "history"); }
static void no_state(hid_t f) { drop(f, "optimizer/" R1); }
static void no_second(hid_t f) { drop(f, "optimizer/" R1 "/second"); }
static void no_tensor(hid_t f) { drop(f, "adapter/" R1); }
static void other_state(hid_t f)
{
    assert_true(H5Lmove(f, "optimizer/" R1, f, "optimizer/x", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}
static void third_moment(hid_t f)
{
    put(f, "optimizer/" R1 "/third", H5T_IEEE_F32LE, 2, 2, 2, true);
}
static void adapter_is_data(hid_t f) { put(f, "adapter", H5T_IEEE_F32LE, 2, 2, 2, true); }
static void tensor_is_group(hid_t f)
{
    drop(f, "adapter/" R1);
    H5Gclose(H5Gcreate2(f, "adapter/" R1, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}
static void soft_link(hid_t f)
{
    drop(f, "adapter/" R1);
    H5Lcreate_soft("/history/loss", f, "adapter/" R1, H5P_DEFAULT, H5P_DEFAULT);
}
static void other_file(hid_t f)
{
    drop(f, "history");
    H5Lcreate_external("other.h5", "/history", f, "history", H5P_DEFAULT, H5P_DEFAULT);
}

/* The same 1,500 values under 30 names: more in all than the file has bytes. */
static void many_links(hid_t f)
{
    put(f, "history/loss", H5T_IEEE_F64LE, 1, 1500, 1500, true);
    drop(f, "history/step");
    for (int i = 0; i < 30; i++) {
        char name[40];
        snprintf(name, sizeof name, "history/n%02d", i);
        assert_true(H5Lcreate_hard(f, "history/loss", f, name, H5P_DEFAULT, H5P_DEFAULT) >= 0);
    }
}

static void attribute(hid_t file, const char *name, hid_t type, const void *value)
{
    H5Adelete(file, name);
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t a = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(a >= 0 && H5Awrite(a, type, value) >= 0);
    H5Aclose(a);
    H5Sclose(space);
}
static void text(hid_t file, const char *name, const char *value)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    attribute(file, name, type, &value);
    H5Tclose(type);
}
static void no_config(hid_t f) { assert_true(H5Adelete(f, "config") >= 0); }
static void no_version(hid_t f) { assert_true(H5Adelete(f, "version") >= 0); }
static void newer(hid_t f) { attribute(f, "version", H5T_NATIVE_INT, &(int){2}); }
static void version_0(hid_t f) { attribute(f, "version", H5T_NATIVE_INT, &(int){0}); }
static void real_step(hid_t f) { attribute(f, "step", H5T_NATIVE_DOUBLE, &(double){1}); }
static void step_below_0(hid_t f) { attribute(f, "step", H5T_NATIVE_INT, &(int){-1}); }
static void text_seed(hid_t f) { text(f, "seed", "1"); }
static void number_method(hid_t f) { attribute(f, "method", H5T_NATIVE_INT, &(int){1}); }
static void number_isa(hid_t f) { attribute(f, "isa", H5T_NATIVE_INT, &(int){1}); }
static void short_hash(hid_t f) { text(f, "model_sha256", "0123"); }
static void upper_hash(hid_t f)
{
    text(f, "data_sha256", "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef");
}
static void format_inside(hid_t f) { text(f, "format", "soda-spectra"); }

static const struct {
    change_fn *change;
    const char *message;
} forged[] = {
    {rank_0, "/adapter/" R1 ": expected rank 1 or 2, found 0"},
    {rank_3, "/adapter/" R1 ": expected rank 1 or 2, found 3"},
    {fp64, "/adapter/" R1 ": expected type float32"},
    {integers, "/adapter/" R1 ": expected type float32"},
    {big_endian, "/adapter/" R1 ": expected type float32"},
    {no_checksum, "/adapter/" R1 ": expected chunks with a Fletcher32"},
    {no_chunks, "/adapter/" R1 ": expected chunks with a Fletcher32"},
    {huge, "/adapter/" R1 ": [30000,30000] of float32: the arrays together exceed the file's"},
    {vast, "/adapter/" R1 ": expected dimensions of at most 2147483647"},
    {other_shape, "/optimizer/" R1 "/second: expected [3,4], found [3,3]"},
    {other_rank, "/optimizer/" R1 "/first: expected [3,4], found [12]"},
    {history_matrix, "/history/step: expected rank 1, found 2"},
    {history_short, "/history/step: expected 5 rows as in loss, found 4"},
    {history_fp32, "/history/step: expected type float64"},
    {no_adapter, "/adapter: expected a group, found none"},
    {no_optimizer, "/optimizer: expected a group, found none"},
    {no_history, "/history: expected a group, found none"},
    {no_state, "/optimizer: expected 3 entries, found 2"},
    {no_second, "/optimizer/" R1 ": expected an entry \"second\", found none"},
    {no_tensor, "/optimizer: expected 2 entries, found 3"},
    {other_state, "/optimizer: expected an entry \"" R1 "\", found none"},
    {third_moment, "/optimizer/" R1 ": expected 2 entries, found 3"},
    {adapter_is_data, "/adapter: expected a group, found none"},
    {tensor_is_group, "/adapter/" R1 ": HDF5 cannot read it: not a dataset"},
    {soft_link, "/adapter/" R1 ": expected an object, found a soft or external link"},
    {other_file, "/history: expected a group, found none"},
    {many_links, "the arrays together exceed the file's"},
    {no_config, "/config: expected an attribute, found none"},
    {no_version, "/version: expected an attribute, found none"},
    {newer, "/version: expected at most 1, found 2"},
    {version_0, "/version: expected at least 1, found 0"},
    {real_step, "/step: expected one integer"},
    {step_below_0, "/step: expected 0 or more, found -1"},
    {text_seed, "/seed: expected one integer"},
    {number_method, "/method: expected one text"},
    {number_isa, "/isa: expected one text"},
    {short_hash, "/model_sha256: expected 64 lower-case hexadecimal digits, found \"0123\""},
    {upper_hash, "/data_sha256: expected 64 lower-case"},
    {format_inside, "/format: expected \"soda-checkpoint\", found \"soda-spectra\""},
};

static void forged_files_are_refused(void **state)
{
    soda_checkpoint read;
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        const char *path = case_write(*state, 1, 1);
        forge(path, forged[i].change);
        CHECK_FAILS(checkpoint_read(path, &read), SODA_ERR_INPUT);
        check_message_has(path);
        check_message_has(forged[i].message);
    }
}

static void no_isa(hid_t f) { assert_true(H5Adelete(f, "isa") >= 0); }

static void files_of_older_programs_tell_no_instruction_set(void **state)
{
    const char *path = case_write(*state, 1, 1);
    soda_checkpoint read;
    forge(path, no_isa);
    CHECK_OK(checkpoint_read(path, &read));
    assert_string_equal(read.isa, "");
    checkpoint_free(&read);
}

static void nothing(hid_t file) { (void)file; }

/* The forger itself does no harm: what it does not change is read. */
static void forging_alone_is_harmless(void **state)
{
    const char *path = case_write(*state, 1, 1);
    forge(path, nothing);
    case_check_file(path, 1);
}

/* Values that are not what Fletcher32 was computed of, under a seal that fits. */
static void checksums_of_data_sets_are_checked(void **state)
{
    const char *path = case_write(*state, 1, 1);
    static checkpoint_case c;
    h5_file *file;
    soda_newfile *new;
    soda_checkpoint read;
    case_create(&c, 1);
    CHECK_OK(h5_file_open(path, "soda-checkpoint", CHECKPOINT_VERSION, true, &file));
    char *values = memmem(file->image, file->bytes, c.value[1][1], sizeof c.value[1][1]);
    assert_non_null(values);
    values[5] ^= 1;
    CHECK_OK(h5_file_save(file, &new));
    CHECK_OK(newfile_commit(new));
    newfile_close(new);
    h5_file_close(file);
    CHECK_FAILS(checkpoint_read(path, &read), SODA_ERR_INPUT);
    check_message_has("/optimizer/" R1 "/first: HDF5 cannot read it: ");
    /* From 1.14 on HDF5 does not say which filter failed. */
    check_message_has(H5_VERSION_GE(1, 14, 0) ? "filter returned failure" : "Fletcher32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(forging_alone_is_harmless, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(files_of_older_programs_tell_no_instruction_set,
                                        files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(forged_files_are_refused, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(checksums_of_data_sets_are_checked, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
