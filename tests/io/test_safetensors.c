/* safetensors: what the library writes is read, what lies is refused by name, and what soda writes
 * is byte for byte what the library writes. */
#include "io/safetensors_file.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/safetensors.h"
#include "model/weight_files.h"

/* Written by safetensors 0.8.0 and PyTorch:
 *
 *     import torch, safetensors.torch as s; s.save_file({"b.weight": torch.arange(6).reshape(2, 3)
 * / 8, "a": torch.tensor([-1, 1 << 40]), "half": torch.tensor([1.5, 6e-8]).half(), "brain":
 *     torch.tensor([[-2.0]]).bfloat16(), "wide": torch.tensor(0.1).double(), "é\"\\\n":
 *     torch.zeros(0, 3), "bytes": torch.tensor([7], dtype=torch.uint8)}, "library.safetensors",
 *     {"format": "pt"}) */
static const char library_file[] = SODA_TEST_DIR "/golden/library.safetensors";

static soda_safetensors *open_set(const char *path)
{
    soda_safetensors *set = NULL;
    CHECK_OK(safetensors_open(path, &set));
    return set;
}

static void a_file_of_the_library_is_read(void **state)
{
    (void)state;
    soda_safetensors *set = open_set(library_file);
    assert_int_equal(safetensors_count(set), 7);
    assert_string_equal(safetensors_at(set, 0)->name, "a");
    assert_string_equal(safetensors_at(set, 6)->name, "é\"\\\n");
    assert_int_equal(safetensors_metadata_count(set), 1);
    assert_string_equal(safetensors_metadata(set, "format"), "pt");
    assert_null(safetensors_metadata(set, "other"));
    assert_null(safetensors_find(set, "b"));

    float x[6];
    const safetensors_tensor *t = safetensors_find(set, "b.weight");
    assert_true(t->dtype == SAFETENSORS_F32 && t->rank == 2 && t->dim[0] == 2 && t->dim[1] == 3);
    CHECK_OK(safetensors_read_f32(t, x));
    for (int i = 0; i < 6; i++) assert_true(x[i] == (float)i / 8);
    CHECK_OK(safetensors_read_f32(safetensors_find(set, "a"), x));
    assert_true(x[0] == -1 && x[1] == 0x1p40F);
    CHECK_OK(safetensors_read_f32(safetensors_find(set, "half"), x));
    assert_true(x[0] == 1.5F && x[1] == 0x1p-24F); /* 6e-8 is nearest to the least subnormal */
    CHECK_OK(safetensors_read_f32(safetensors_find(set, "brain"), x));
    assert_true(x[0] == -2);
    t = safetensors_find(set, "wide");
    assert_int_equal(t->rank, 0);
    CHECK_OK(safetensors_read_f32(t, x));
    assert_true(x[0] == 0.1F); /* torch.tensor(0.1) is fp32 before it is widened */
    t = safetensors_find(set, "é\"\\\n");
    assert_true(t->bytes == 0 && t->dim[0] == 0 && t->dim[1] == 3);
    CHECK_FAILS(safetensors_read_f32(safetensors_find(set, "bytes"), x), SODA_ERR_INPUT);
    check_message_has("tensor bytes: expected type F64, F32, F16, BF16, I64 or I32, found U8");
    safetensors_close(set);
}

static void soda_writes_what_the_library_writes(void **state)
{
    soda_safetensors *set = open_set(library_file);
    const safetensors_pair metadata = safetensors_metadata_at(set, 0);
    const char *path = files_path(*state, "copy.safetensors");
    CHECK_OK(safetensors_write(path, safetensors_at(set, 0), safetensors_count(set), &metadata, 1));
    size_t got_bytes, want_bytes;
    char *got = files_read(path, &got_bytes), *want = files_read(library_file, &want_bytes);
    assert_int_equal(got_bytes, want_bytes);
    assert_memory_equal(got, want, want_bytes);
    free(got);
    free(want);
    safetensors_close(set);
    assert_int_equal(files_count(*state), 1); /* no temporary file is left */
}

static void a_written_file_has_the_documented_layout(void **state)
{
    const float f[3] = {1, 2, 3};
    const int64_t i[1] = {-2};
    const safetensors_tensor tensors[] = {
        {.name = "y", .dtype = SAFETENSORS_F32, .rank = 2, .dim = {1, 3}, .data = f},
        {.name = "n", .dtype = SAFETENSORS_I64, .rank = 1, .dim = {1}, .data = i},
    };
    const char *path = files_path(*state, "two.safetensors");
    CHECK_OK(safetensors_write(path, tensors, 2, NULL, 0));
    static const char header[] =
        "{\"n\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"
        "\"y\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[8,20]}}";
    size_t bytes;
    char *file = files_read(path, &bytes);
    const size_t length = strlen(header), padded = (length + 7) / 8 * 8;
    assert_int_equal(bytes, 8 + padded + 20);
    assert_int_equal((unsigned char)file[0], padded);
    assert_memory_equal(file + 1, "\0\0\0\0\0\0\0", 7);
    assert_memory_equal(file + 8, header, length);
    for (size_t k = length; k < padded; k++) assert_int_equal(file[8 + k], ' ');
    assert_memory_equal(file + 8 + padded, i, 8);
    assert_memory_equal(file + 16 + padded, f, 12);
    free(file);
}

static void an_empty_set_round_trips(void **state)
{
    const char *path = files_path(*state, "none.safetensors");
    CHECK_OK(safetensors_write(path, NULL, 0, NULL, 0));
    soda_safetensors *set = open_set(path);
    assert_int_equal(safetensors_count(set), 0);
    assert_int_equal(safetensors_unused(set, NULL, 0), 0);
    assert_null(safetensors_find(set, ""));
    safetensors_close(set);
}

/* A header that is refused, and the words that say why. */
typedef struct {
    size_t room;
    const char *header, *part;
} lie;

#define A4 "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"

static const lie lies[] = {
    {4, "[1]", "begins with '{'"},
    {4, " {}", "begins with '{'"},
    {0, "{\"a\":1", "not valid JSON"},
    {4, A4 "}}", "end of file expected"},
    {4, A4 "}\x01", "not valid JSON"},
    {4, A4 ",\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "duplicate"},
    {4, "{\"a\":null}", "a: expected a value, found null"},
    {4, "{\"a\":7}", "a: expected an object, found 7"},
    {4, "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}",
     "a.dtype: expected a value, found nothing"},
    {4, "{\"a\":{\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,4]}}", "a.dtype: expected a string"},
    {4, "{\"a\":{\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
     "a.dtype: expected a type of the safetensors format, found \"f32\""},
    {4, "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", "a.shape: expected a list"},
    {4, "{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}",
     "a.shape: expected a list"},
    {4, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}",
     "shape[0]: expected an integer"},
    {4, "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1,-1],\"data_offsets\":[0,4]}}",
     "no negative number"},
    {4, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}",
     "a.shape: expected at most 8 entries"},
    {4, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2305843009213693952,8],\"data_offsets\":[0,4]}}",
     "below 2^63 bits"},
    {4, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967297],\"data_offsets\":[0,4]}}",
     "below 2^63 bits"},
    {4, "{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}",
     "a.shape[0]: expected an integer, found 1e20"},
    {1, "{\"a\":{\"dtype\":\"F4\",\"shape\":[1],\"data_offsets\":[0,1]}}", "whole bytes"},
    {4, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", "a.data_offsets: expected a list"},
    {4, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4]}}", "[begin, end]"},
    {4, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", "at most 2 entries"},
    {4, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", "begin <= end"},
    {4, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", "no negative number"},
    {4, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
     "a.data_offsets: expected at most the 4 bytes that follow the header, found [0, 8] "
     "(is the download complete?)"},
    {8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}",
     "a.data_offsets: expected 4 bytes from type and shape, found [0, 8]"},
    {8, A4 ",\"b\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[2,8]}}",
     "tensors a and b overlap"},
    {4, A4 ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "overlap"},
    {12, A4 ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}",
     "bytes 4 to 8 of the buffer, after a, belong to no tensor"},
    {8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
     "bytes 0 to 4 of the buffer, after the header, belong to no tensor"},
    {5, A4 "}", "bytes 4 to 5 of the buffer, after a, belong to no tensor"},
    {1, "{}", "bytes 0 to 1"},
    {4, A4 ",\"z\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[2,2]}}", "overlap"},
    {4, A4 ",\"__metadata__\":[]}", "__metadata__: expected an object"},
    {4, A4 ",\"__metadata__\":{\"k\":1}}", "__metadata__.k: expected a string, found 1"},
};

static void every_lying_header_is_refused(void **state)
{
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        soda_safetensors *set;
        const char *path = file_with(*state, "lie.safetensors", lies[i].header, lies[i].room);
        CHECK_FAILS(safetensors_open(path, &set), SODA_ERR_INPUT);
        check_message_has(lies[i].part);
        check_message_has("lie.safetensors");
    }
    /* The tools of the table are not what is refused. */
    soda_safetensors *set = open_set(file_with(*state, "good.safetensors", A4 "}  ", 4));
    safetensors_close(set);
}

static void every_wrong_length_is_refused(void **state)
{
    static const struct {
        int64_t length;
        const char *part;
    } cases[] = {
        {0, "begins with '{'"},
        {1, "not valid JSON"},
        {100000000, "expected at most the 63 bytes that follow it, found 100000000 (is the"},
        {100000001, "expected at most 100000000, found 100000001"},
        {INT64_MAX, "expected at most 100000000"},
    };
    soda_safetensors *set;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_FAILS(
            safetensors_open(
                file_with_length(*state, "l.safetensors", cases[i].length, A4 "}     ", 4), &set),
            SODA_ERR_INPUT);
        check_message_has(cases[i].part);
    }
}

/* Cut anywhere, the file is refused: no prefix of a file with data is a file. */
static void every_truncation_is_refused(void **state)
{
    size_t bytes;
    char *file = files_read(library_file, &bytes);
    for (size_t cut = 0; cut < bytes; cut++) {
        soda_safetensors *set;
        CHECK_FAILS(safetensors_open(files_write(*state, "cut.safetensors", file, cut), &set),
                    SODA_ERR_INPUT);
    }
    free(file);
}

static void what_is_no_file_is_named(void **state)
{
    soda_safetensors *set;
    CHECK_FAILS(safetensors_open(files_path(*state, "none.safetensors"), &set), SODA_ERR_IO);
    check_message_has("none.safetensors: cannot open: No such file");
    CHECK_FAILS(safetensors_open(*state, &set), SODA_ERR_INPUT);
    check_message_has("expected a regular file");
    static const char text[] = "model: ~/models/sd15\noutput: run\n";
    const char *path = files_write(*state, "run.yaml", text, sizeof text - 1);
    CHECK_FAILS(safetensors_open(path, &set), SODA_ERR_INPUT);
    check_message_has("run.yaml: expected a safetensors file, found 33 bytes that start with "
                      "\"model: ~/models/sd15\"");
}

static void weights_come_with_prefix_and_are_checked(void **state)
{
    (void)state;
    soda_safetensors *set = open_set(library_file);
    soda_weight_source *source;
    soda_weight w;
    CHECK_OK(weight_files_create(set, "unet.", &source));
    const soda_shape good = SHAPE(2, 3), turned = SHAPE(3, 2), flat = SHAPE(6), pair = SHAPE(2);
    CHECK_OK(source->find(source, "b.weight", &good, &w));
    assert_string_equal(w.name, "unet.b.weight");
    assert_true(w.mapped && w.source.dtype == SODA_F32 && shape_equal(&w.source.shape, &good));
    float x[6];
    memcpy(x, w.source.data, sizeof x);
    assert_true(x[5] == 0.625F);
    CHECK_OK(source->find(source, "half", &pair, &w));
    assert_int_equal(w.source.dtype, SODA_F16);

    CHECK_FAILS(source->find(source, "b.weight", &turned, &w), SODA_ERR_INPUT);
    check_message_has("library.safetensors: tensor b.weight: expected shape [3,2], found [2,3]");
    CHECK_FAILS(source->find(source, "b.weight", &flat, &w), SODA_ERR_INPUT);
    CHECK_FAILS(source->find(source, "c", &good, &w), SODA_ERR_INPUT);
    check_message_has("library.safetensors: tensor c is missing");
    assert_true(source->has(source, "a"));
    CHECK_FAILS(source->find(source, "a", &pair, &w), SODA_ERR_INPUT);
    check_message_has("tensor a: expected type F64, F32, F16 or BF16, found I64");
    assert_false(source->has(source, "unet.a"));

    char names[64];
    safetensors_mark_used(set, "a");
    safetensors_mark_used(set, "no such tensor");
    assert_int_equal(safetensors_unused(set, names, sizeof names), 4);
    assert_string_equal(names, "brain, bytes, wide, é\"\\\n");
    char few[8];
    assert_int_equal(safetensors_unused(set, few, sizeof few), 4);
    assert_string_equal(few, "brain, ");
    weight_files_destroy(source);
    safetensors_close(set);
}

/* Names that cannot be written; the old file stays. */
static void a_failed_write_leaves_the_old_file(void **state)
{
    const float f[1] = {1};
    const safetensors_tensor bad[] = {
        {.name = "x", .dtype = SAFETENSORS_F32, .rank = 0, .data = f},
        {.name = "\xff", .dtype = SAFETENSORS_F32, .rank = 0, .data = f},
    };
    const safetensors_tensor twice[] = {bad[0], bad[0]};
    const char *path = files_write(*state, "old.safetensors", "old", 3);
    CHECK_FAILS(safetensors_write(path, bad, 2, NULL, 0), SODA_ERR_MEMORY);
    CHECK_FAILS(safetensors_write(path, twice, 2, NULL, 0), SODA_ERR_MEMORY);
    CHECK_FAILS(safetensors_write(files_path(*state, "no/x"), bad, 1, NULL, 0), SODA_ERR_IO);
    check_message_has("no/x: cannot create: No such file");
    size_t bytes;
    char *old = files_read(path, &bytes);
    assert_string_equal(old, "old");
    free(old);
    assert_int_equal(files_count(*state), 1);
}

/* The disk is full after `limit` bytes, for every limit: nothing is left but the old file. */
static void a_full_disk_leaves_the_old_file(void **state)
{
    float f[40] = {0};
    const safetensors_tensor t = {
        .name = "x", .dtype = SAFETENSORS_F32, .rank = 1, .dim = {40}, .data = f};
    const char *path = files_write(*state, "old.safetensors", "old", 3);
    soda_status s = SODA_ERR_IO;
    for (rlim_t limit = 0; s != SODA_OK; limit += 8) {
        files_limit(limit);
        s = safetensors_write(path, &t, 1, NULL, 0);
        files_limit(RLIM_INFINITY);
        size_t bytes;
        char *file = files_read(path, &bytes);
        if (s == SODA_OK)
            assert_int_equal(bytes, limit); /* not before all of it fits */
        else
            assert_string_equal(file, "old");
        free(file);
        if (s != SODA_OK) check_message_has("old.safetensors: cannot write: File too large");
        assert_int_equal(files_count(*state), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_the_library_is_read),
        cmocka_unit_test(weights_come_with_prefix_and_are_checked),
        cmocka_unit_test_setup_teardown(soda_writes_what_the_library_writes, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_written_file_has_the_documented_layout, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(an_empty_set_round_trips, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(every_lying_header_is_refused, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(every_wrong_length_is_refused, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(every_truncation_is_refused, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_named, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_file, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_the_old_file, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
