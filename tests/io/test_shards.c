/* Sharded sets: the index and its files must agree, and a folder's weights are found by stem. */
#include "io/safetensors_file.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/safetensors.h"

#define ENTRY(name) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"
#define SHARD(name) "{" ENTRY(name) "}"

static const char index_text[] =
    "{\"metadata\": {\"total_size\": 8}, \"weight_map\": {\"a\": \"m-1.safetensors\", \"b\": "
    "\"m-2.safetensors\"}}";

static void shards_make_one_set(void **state)
{
    soda_safetensors *set;
    file_with(*state, "m-1.safetensors", SHARD("a"), 4);
    file_with(*state, "m-2.safetensors", "{\"__metadata__\":{\"k\":\"v\"}," ENTRY("b") "}", 4);
    CHECK_OK(safetensors_open(files_put(*state, "m.safetensors.index.json", index_text), &set));
    assert_int_equal(safetensors_count(set), 2);
    assert_non_null(strstr(safetensors_find(set, "a")->file, "/m-1.safetensors"));
    assert_non_null(strstr(safetensors_find(set, "b")->file, "/m-2.safetensors"));
    assert_string_equal(safetensors_metadata(set, "k"), "v");
    assert_non_null(strstr(safetensors_path(set), "/m.safetensors.index.json"));
    safetensors_close(set);
}

static void an_index_that_lies_is_refused(void **state)
{
    static const struct {
        const char *index, *part;
        soda_status status;
    } cases[] = {
        {"{}", "i.json: weight_map: expected a value", SODA_ERR_INPUT},
        {"{\"weight_map\": []}", "weight_map: expected an object", SODA_ERR_INPUT},
        {"{\"weight_map\": {\"a\": 1}}", "weight_map.a: expected a string, found 1",
         SODA_ERR_INPUT},
        {"{\"weight_map\": {\"a\": null}}", "weight_map.a: expected a value", SODA_ERR_INPUT},
        {"{\"weight_map\": {\"a\": \"none\"}}", "/none: cannot open: No such file", SODA_ERR_IO},
        {"{\"weight_map\": {\"a\": \"../x\"}}", "weight_map.a: expected the name of a file beside",
         SODA_ERR_INPUT},
        {"{\"weight_map\": {\"a\": \"..\"}}", "name of a file", SODA_ERR_INPUT},
        {"{\"weight_map\": {\"a\": \"/etc/passwd\"}}", "name of a file", SODA_ERR_INPUT},
        {"{\"weight_map\": {\"a\": \"\"}}", "name of a file", SODA_ERR_INPUT},
        {"{\"weight_map\": {\"a\": \"1\", \"b\": \"1\"}}",
         "i.json: weight_map.b: expected in 1, found in no file", SODA_ERR_INPUT},
        {"{\"weight_map\": {\"a\": \"2\", \"b\": \"1\"}}", "weight_map.a: expected in 2, found in ",
         SODA_ERR_INPUT},
        {"{\"weight_map\": {\"a\": \"1\", \"c\": \"3\"}}", "tensor d is not in the weight_map of ",
         SODA_ERR_INPUT},
        {"{\"weight_map\": {\"a\": \"1\", \"again\": \"4\"}}",
         "tensor a is in two files: ", SODA_ERR_INPUT},
        {"{\"weight_map\": {\"a\": \"1\"", "i.json:1:", SODA_ERR_INPUT},
    };
    file_with(*state, "1", SHARD("a"), 4);
    file_with(*state, "2", SHARD("b"), 4);
    file_with(*state, "3",
              "{" ENTRY("c") ",\"d\":{\"dtype\":\"U8\",\"shape\":[1],"
                             "\"data_offsets\":[4,5]}}",
              5);
    file_with(*state, "4", SHARD("a"), 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        soda_safetensors *set;
        CHECK_FAILS(safetensors_open(files_put(*state, "i.json", cases[i].index), &set),
                    cases[i].status);
        check_message_has(cases[i].part);
    }
}

/* `endings` from the least wanted to the most wanted: each new file takes over. */
static void expect_order(const char *folder, const char *stem, const char *const endings[5])
{
    for (int i = 0; i < 5; i++) {
        soda_safetensors *set;
        char name[80];
        snprintf(name, sizeof name, "%s%s", stem, endings[i]);
        if (strstr(name, ".json"))
            files_put(folder, name, index_text);
        else
            file_with(folder, name, SHARD("a"), 4);
        CHECK_OK(safetensors_open_folder(folder, stem, &set));
        assert_string_equal(safetensors_path(set), files_path(folder, name));
        safetensors_close(set);
    }
}

static void a_folder_is_searched_in_order(void **state)
{
    soda_safetensors *set;
    CHECK_FAILS(safetensors_open_folder(*state, "m", &set), SODA_ERR_INPUT);
    check_message_has("expected m.safetensors, m.safetensors.index.json or their fp16 variant");
    files_put(*state, "pytorch_model.bin", "");
    CHECK_FAILS(safetensors_open_folder(*state, "m", &set), SODA_ERR_UNSUPPORTED);
    check_message_has("found only pytorch_model.bin");
    CHECK_FAILS(safetensors_open_folder(files_path(*state, "gone"), "m", &set), SODA_ERR_IO);
    check_message_has("/gone: cannot open: No such file");

    static const char *const transformers[] = {".fp16.safetensors.index.json",
                                               ".safetensors.index.fp16.json", ".fp16.safetensors",
                                               ".safetensors.index.json", ".safetensors"};
    static const char *const diffusers[] = {".fp16.safetensors", ".fp16.safetensors.index.json",
                                            ".safetensors.index.fp16.json", ".safetensors",
                                            ".safetensors.index.json"};
    file_with(*state, "m-1.safetensors", SHARD("a"), 4);
    file_with(*state, "m-2.safetensors", SHARD("b"), 4);
    expect_order(*state, "m", transformers);
    expect_order(*state, "diffusion_pytorch_model", diffusers);
    /* A bad first choice is an error, not a reason to take the next. */
    file_with(*state, "m.safetensors", SHARD("a"), 3);
    CHECK_FAILS(safetensors_open_folder(*state, "m", &set), SODA_ERR_INPUT);
}

/* As a download that was interrupted, or an annex without its files, leaves a folder. */
static void a_link_that_leads_nowhere_is_not_passed_over(void **state)
{
    soda_safetensors *set;
    const char *link = files_path(*state, "m.safetensors");
    file_with(*state, "m.fp16.safetensors", SHARD("a"), 4);
    assert_int_equal(symlink("blobs/gone", link), 0);
    CHECK_FAILS(safetensors_open_folder(*state, "m", &set), SODA_ERR_INPUT);
    check_message_has("m.safetensors: a symbolic link to blobs/gone, which does not exist");
    assert_int_equal(rename(link, files_path(*state, "m-1.safetensors")), 0);
    CHECK_FAILS(safetensors_open(files_put(*state, "i.json", index_text), &set), SODA_ERR_INPUT);
    check_message_has("m-1.safetensors: a symbolic link to blobs/gone, which does not exist");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(shards_make_one_set, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(an_index_that_lies_is_refused, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_folder_is_searched_in_order, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_link_that_leads_nowhere_is_not_passed_over, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
