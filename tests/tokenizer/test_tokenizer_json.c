/* tokenizer.json, which holds vocabulary and merges in one file, gives the ids of the two files. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/files.h"
#include "tokenizer/tokenizer.h"

#define NANO SODA_SOURCE_DIR "/configs/quickstart/model/tokenizer"

static const char *vocab_text, *merges_text; /* of the nano model */

static int load_files(void **state)
{
    (void)state;
    size_t bytes;
    vocab_text = files_read(NANO "/vocab.json", &bytes);
    merges_text = files_read(NANO "/merges.txt", &bytes);
    return 0;
}

static int free_files(void **state)
{
    (void)state;
    free((void *)vocab_text);
    free((void *)merges_text);
    return 0;
}

/* tokenizer.json with the vocabulary and merges of the nano model, as pairs or as texts. */
static void write_whole(const char *folder, bool pairs, const char *added)
{
    json_t *merges = json_array();
    for (const char *line = merges_text; *line; line += strcspn(line, "\n") + 1) {
        const size_t bytes = strcspn(line, "\n"), left = strcspn(line, " ");
        if (!strncmp(line, "#version", 8)) continue;
        if (pairs)
            json_array_append_new(
                merges, json_pack("[s%,s%]", line, left, line + left + 1, bytes - left - 1));
        else
            json_array_append_new(merges, json_stringn(line, bytes));
        if (!line[bytes]) break;
    }
    soda_json list = {.file = "merges", .object = merges};
    char *text, *whole;
    CHECK_OK(soda_json_dump(merges, list.file, &text));
    assert_true(asprintf(&whole,
                         "\xef\xbb\xbf{\"added_tokens\": [%s], \"model\": {\"type\": \"BPE\", "
                         "\"end_of_word_suffix\": \"</w>\", \"vocab\": %s, \"merges\": %s}}",
                         added, vocab_text, text) > 0);
    files_write(folder, "tokenizer.json", whole, strlen(whole));
    free(whole);
    free(text);
    json_decref(merges);
}

static void one_file_gives_the_same_ids(void **state)
{
    enum { LENGTH = 60 };
    static const char prompt[] =
        "It's 12 Foxes, caf\xc3\xa9 <|endoftext|> zz\xe2\x82\xac <pet> end";
    soda_tokenizer *old, *tokenizer;
    int32_t want[LENGTH], got[LENGTH];
    CHECK_OK(tokenizer_open(NANO, &old));
    CHECK_OK(tokenizer_encode(old, prompt, want, LENGTH, NULL));
    for (int pairs = 0; pairs < 2; pairs++) {
        write_whole(*state, pairs, "");
        CHECK_OK(tokenizer_open(*state, &tokenizer)); /* without tokenizer_config.json */
        assert_int_equal(tokenizer_length(tokenizer), 65536);
        CHECK_OK(tokenizer_encode(tokenizer, prompt, got, LENGTH, NULL));
        assert_memory_equal(want, got, sizeof want);
        tokenizer_close(tokenizer);
    }
    files_write(*state, "tokenizer_config.json", "{\"model_max_length\": 1e30}", 26);
    char added[160];
    snprintf(added, sizeof added, "{\"id\": %d, \"content\": \"<pet>\", \"special\": false}",
             tokenizer_id_count(old));
    write_whole(*state, true, added);
    CHECK_OK(tokenizer_open(*state, &tokenizer));
    CHECK_OK(tokenizer_encode(tokenizer, "<pet>", got, 3, NULL));
    assert_int_equal(got[1], tokenizer_id_count(old));
    assert_int_equal(tokenizer_id_count(tokenizer), tokenizer_id_count(old) + 1);
    tokenizer_close(tokenizer);
    tokenizer_close(old);
}

/* As transformers 5 leaves a folder of transformers 4 when it saves a tokenizer with one more
 * token: the older files stay. special_tokens_map.json counts all the same. */
static void one_file_wins_over_older_ones(void **state)
{
    soda_tokenizer *tokenizer;
    int32_t got[4];
    files_put(*state, "vocab.json", vocab_text);
    files_put(*state, "tokenizer_config.json", "{}");
    files_put(*state, "special_tokens_map.json", "{\"pad_token\": \"!\"}");
    files_put(*state, "added_tokens.json", "{\"<dog>\": 2048}");
    write_whole(*state, true, "{\"id\": 2048, \"content\": \"<pet>\"}");
    CHECK_OK(tokenizer_open(*state, &tokenizer));
    CHECK_OK(tokenizer_encode(tokenizer, "<pet>", got, 4, NULL));
    assert_memory_equal(got, ((int32_t[]){2046, 2048, 2047, 0}), sizeof got);
    tokenizer_close(tokenizer);
}

/* As transformers 5 writes a token that add_special_tokens added. */
static void a_token_may_be_listed_twice(void **state)
{
    soda_tokenizer *tokenizer;
    int32_t got[4];
    files_put(*state, "tokenizer_config.json", "{\"extra_special_tokens\": [\"<pet>\"]}");
    write_whole(*state, true, "{\"id\": 2048, \"content\": \"<pet>\", \"special\": true}");
    CHECK_OK(tokenizer_open(*state, &tokenizer));
    assert_int_equal(tokenizer_id_count(tokenizer), 2049);
    CHECK_OK(tokenizer_encode(tokenizer, "<pet><pet>", got, 4, NULL));
    assert_memory_equal(got, ((int32_t[]){2046, 2048, 2048, 2047}), sizeof got);
    tokenizer_close(tokenizer);
}

static void a_link_that_leads_nowhere_is_not_passed_over(void **state)
{
    soda_tokenizer *tokenizer;
    files_put(*state, "vocab.json", vocab_text);
    files_put(*state, "merges.txt", merges_text);
    assert_int_equal(symlink("blobs/gone", files_path(*state, "tokenizer.json")), 0);
    CHECK_FAILS(tokenizer_open(*state, &tokenizer), SODA_ERR_INPUT);
    check_message_has("tokenizer.json: a symbolic link to blobs/gone, which does not exist");
}

static void a_wrong_tokenizer_json_is_named(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{}", "tokenizer.json: model: expected a value"},
        {"{\"model\": {\"type\": \"WordPiece\"}}", "tokenizer.json: model: expected CLIP's byte"},
        {"{\"model\": {\"end_of_word_suffix\": \"</w>\"}}", "model.vocab: expected a value"},
        {"{\"model\": {\"end_of_word_suffix\": \"</w>\", \"vocab\": {}}}",
         "model.merges: expected a list"},
        {"{\"model\": {\"end_of_word_suffix\": \"</w>\", \"vocab\": {}, \"merges\": [[\"a\"]]}}",
         "model.merges[0]: expected two tokens"},
        {"{\"added_tokens\": [{}], \"model\": {\"end_of_word_suffix\": \"</w>\", \"vocab\": {}, "
         "\"merges\": []}}",
         "added_tokens[0]: expected an object with an id"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        soda_tokenizer *tokenizer = NULL;
        files_write(*state, "tokenizer.json", cases[i].text, strlen(cases[i].text));
        assert_int_not_equal(tokenizer_open(*state, &tokenizer), SODA_OK);
        check_message_has(cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_file_gives_the_same_ids, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(one_file_wins_over_older_ones, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_token_may_be_listed_twice, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_link_that_leads_nowhere_is_not_passed_over, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_wrong_tokenizer_json_is_named, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, load_files, free_files);
}
