/* Token ids equal those of CLIPTokenizer in transformers 5.24 (golden/make_tokenizer.py); a folder
 * that is wrong is refused by file and key.
 *
 * The tables behind the ids are of different ages: Python 3.11 that drew the random texts knows
 * Unicode 14, utf8proc in Debian 12 Unicode 15, tokenizers 0.23 letters and numbers of 16, cases of
 * 17 and the normalisation of 9. tokenizer/unicode.c closes the gaps, and golden cases stand on
 * each.
 */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/files.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

#define NANO SODA_SOURCE_DIR "/configs/quickstart/model/tokenizer"

static const char *vocab_text, *merges_text; /* of the nano model */
static soda_json golden;

static int load_files(void **state)
{
    (void)state;
    size_t bytes;
    vocab_text = files_read(NANO "/vocab.json", &bytes);
    merges_text = files_read(NANO "/merges.txt", &bytes);
    CHECK_OK(soda_json_load(SODA_TEST_DIR "/golden/tokenizer.json", &golden));
    return 0;
}

static int free_files(void **state)
{
    (void)state;
    free((void *)vocab_text);
    free((void *)merges_text);
    soda_json_free(&golden);
    return 0;
}

/* A tokenizer from four texts; NULL takes those of the nano model, for `special` it means none. */
static soda_status read_texts(const char *vocab, const char *merges, const char *config,
                              const char *special, soda_tokenizer **tokenizer)
{
    soda_status s = SODA_OK;
    tokenizer_files files = {.merges = merges ? merges : merges_text, .merges_file = "merges.txt"};
    files.merges_bytes = strlen(files.merges);
    if (!vocab) vocab = vocab_text;
    if (!config) config = "{\"model_max_length\": 32}";
    TRY_TO(done, soda_json_parse(vocab, strlen(vocab), "vocab.json", &files.vocab));
    TRY_TO(done, soda_json_parse(config, strlen(config), "config.json", &files.config));
    if (special)
        TRY_TO(done, soda_json_parse(special, strlen(special), "special.json", &files.special));
    TRY_TO(done, tokenizer_read(&files, tokenizer));
done:
    soda_json_free(&files.vocab);
    soda_json_free(&files.config);
    soda_json_free(&files.special);
    return s;
}

/* ---- golden ---- */

/* One golden row: the text, then its ids. */
static void check_row(const soda_tokenizer *tokenizer, const json_t *row, bool want_truncated)
{
    const char *text = json_string_value(json_array_get(row, 0));
    const int count = (int)json_array_size(row) - 1;
    int32_t ids[1024];
    bool truncated;
    assert_in_range(count, 2, 1024);
    CHECK_OK(tokenizer_encode(tokenizer, text, ids, count, &truncated));
    assert_int_equal(truncated, want_truncated);
    for (int i = 0; i < count; i++) {
        const int want = (int)json_integer_value(json_array_get(row, (size_t)i + 1));
        if (ids[i] == want) continue;
        printf("\"%s\": token %d is %d, wanted %d\n", text, i, ids[i], want);
        fail();
    }
}

static void check_part(const soda_tokenizer *tokenizer, const json_t *part)
{
    size_t i;
    json_t *row;
    int cut = 0;
    assert_int_equal(tokenizer_bos(tokenizer), json_integer_value(json_object_get(part, "bos")));
    assert_int_equal(tokenizer_eos(tokenizer), json_integer_value(json_object_get(part, "eos")));
    assert_int_equal(tokenizer_pad(tokenizer), json_integer_value(json_object_get(part, "pad")));
    const size_t length = (size_t)json_integer_value(json_object_get(part, "length"));
    assert_int_equal(tokenizer_length(tokenizer), length);
    const json_t *full = json_object_get(part, "full"), *padded = json_object_get(part, "padded");
    json_array_foreach(full, i, row) check_row(tokenizer, row, false);
    json_array_foreach(padded, i, row)
    {
        /* make_tokenizer.py takes every ninth text */
        const bool is_cut = json_array_size(json_array_get(full, 9 * i)) - 1 > length;
        check_row(tokenizer, row, is_cut);
        cut += is_cut;
    }
    assert_true(json_array_size(padded) > 0);
    print_message("%d texts, %d padded, %d of them cut\n", (int)json_array_size(full),
                  (int)json_array_size(padded), cut);
}

static void ids_equal_transformers_on_the_nano_model(void **state)
{
    (void)state;
    soda_tokenizer *tokenizer;
    const json_t *part = json_object_get(golden.object, "nano");
    assert_true(json_array_size(json_object_get(part, "full")) >= 300);
    CHECK_OK(tokenizer_open(NANO, &tokenizer));
    assert_int_equal(tokenizer_id_count(tokenizer), 2048);
    check_part(tokenizer, part);
    tokenizer_close(tokenizer);
}

/* FOLDER/NAME with the object that the golden part has under `key`; no such file without one. */
static void put_object(const char *folder, const char *name, const json_t *part, const char *key)
{
    char *text = NULL;
    const json_t *object = json_object_get(part, key);
    if (json_is_object(object)) CHECK_OK(soda_json_dump(object, key, &text));
    if (text)
        files_put(folder, name, text);
    else
        remove(files_path(folder, name));
    free(text);
}

/* Special and added tokens as published folders write them, and merges that no training gives. */
static void ids_equal_transformers_on_other_folders(void **state)
{
    int parts = 0;
    const char *name;
    json_t *part;
    json_object_foreach((json_t *)golden.object, name, part)
    {
        if (!json_object_get(part, "config")) continue;
        const char *merges = json_string_value(json_object_get(part, "merges"));
        soda_tokenizer *tokenizer;
        files_put(*state, "merges.txt", merges ? merges : merges_text);
        files_put(*state, "vocab.json", vocab_text);
        if (merges) put_object(*state, "vocab.json", part, "vocab");
        put_object(*state, "tokenizer_config.json", part, "config");
        put_object(*state, "special_tokens_map.json", part, "special");
        put_object(*state, "added_tokens.json", part, "added");
        print_message("%s: ", name);
        CHECK_OK(tokenizer_open(*state, &tokenizer));
        check_part(tokenizer, part);
        tokenizer_close(tokenizer);
        parts++;
    }
    assert_int_equal(parts, 10);
}

/* ---- length ---- */

static void ids_are_cut_padded_and_reported(void **state)
{
    (void)state;
    soda_tokenizer *tokenizer;
    CHECK_OK(read_texts(NULL, NULL, NULL, "{\"pad_token\": {\"content\": \"!\"}}", &tokenizer));
    const int32_t bos = tokenizer_bos(tokenizer), eos = tokenizer_eos(tokenizer);
    int32_t ids[6], one[3];
    bool truncated;
    assert_int_equal(tokenizer_pad(tokenizer), 0);
    CHECK_OK(tokenizer_encode(tokenizer, "cat", one, 3, &truncated));
    assert_false(truncated);
    const int32_t cat = one[1];
    CHECK_OK(tokenizer_encode(tokenizer, "cat cat cat", ids, 6, &truncated));
    assert_memory_equal(ids, ((int32_t[]){bos, cat, cat, cat, eos, 0}), sizeof ids);
    assert_false(truncated);
    CHECK_OK(tokenizer_encode(tokenizer, "cat cat cat cat", ids, 6, &truncated));
    assert_memory_equal(ids, ((int32_t[]){bos, cat, cat, cat, cat, eos}), sizeof ids);
    assert_false(truncated);
    CHECK_OK(tokenizer_encode(tokenizer, "cat cat cat cat cat", ids, 6, &truncated));
    assert_memory_equal(ids, ((int32_t[]){bos, cat, cat, cat, cat, eos}), sizeof ids);
    assert_true(truncated);
    CHECK_OK(tokenizer_encode(tokenizer, "cat", ids, 2, &truncated));
    assert_memory_equal(ids, ((int32_t[]){bos, eos}), 2 * sizeof *ids);
    assert_true(truncated);
    CHECK_OK(tokenizer_encode(tokenizer, "", ids, 2, NULL));
    CHECK_FAILS(tokenizer_encode(tokenizer, "", ids, 1, NULL), SODA_ERR_INTERNAL);
    tokenizer_close(tokenizer);
}

/* A million bytes of one word, or of marks that have to be sorted, end within the time limit of a
 * test; anything quadratic takes hours. */
static void long_words_and_long_runs_of_marks_end(void **state)
{
    (void)state;
    enum { BYTES = 1000000 };
    soda_tokenizer *tokenizer;
    CHECK_OK(tokenizer_open(NANO, &tokenizer));
    char *text = malloc(BYTES + 1);
    int32_t *ids = malloc((BYTES + 2) * sizeof *ids);
    bool truncated;
    memset(text, 'a', BYTES);
    text[BYTES] = '\0';
    CHECK_OK(tokenizer_encode(tokenizer, text, ids, BYTES + 2, &truncated));
    assert_false(truncated);
    for (int i = 2; i + 4 <= BYTES; i += 4) memcpy(text + i, "\u0301\u0323", 4); /* 230, 220 */
    CHECK_OK(tokenizer_encode(tokenizer, text, ids, BYTES + 2, &truncated));
    free(ids);
    free(text);
    tokenizer_close(tokenizer);
}

/* ---- Unicode ---- */

/* Annex 15 says of any text x: NFC(NFC(x)) = NFC(x). Here over every code point between a letter
 * and two marks, which also visits every page of the tables. */
static void composition_is_idempotent(void **state)
{
    (void)state;
    static const int32_t after[2] = {0x323, 0x301};
    for (int32_t point = 1; point < 0x110000; point++) {
        if (point >= 0xD800 && point <= 0xDFFF) continue;
        int32_t once[4 * UNICODE_NFC_ROOM] = {'a', point, after[0], after[1]};
        int32_t twice[16 * UNICODE_NFC_ROOM];
        const size_t n = unicode_nfc(once, 4);
        assert_in_range(n, 1, 16);
        memcpy(twice, once, n * sizeof *once);
        assert_int_equal(unicode_nfc(twice, n), n);
        assert_memory_equal(once, twice, n * sizeof *once);
    }
}

/* ---- bad input ---- */

static void a_prompt_that_is_not_utf8_is_refused_by_byte(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"caf\xe9", "byte 3 (0xE9)"},
        {"\x80", "byte 0 (0x80)"},
        {"a\xc0\xaf", "byte 1 (0xC0)"},
        {"\xed\xa0\x80", "byte 0 (0xED)"},
        {"ok \xf4\x90\x80\x80", "byte 3"},
        {"\xe4\xb8\xad\xe4\xb8", "byte 3 (0xE4)"},
        {"\xf0\x9f\x98", "byte 0 (0xF0)"},
        {"\xff", "byte 0 (0xFF)"},
        {"<|endoftext|>\xfe", "byte 13 (0xFE)"},
    };
    soda_tokenizer *tokenizer;
    int32_t ids[8];
    CHECK_OK(tokenizer_open(NANO, &tokenizer));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_FAILS(tokenizer_encode(tokenizer, bad[i].text, ids, 8, NULL), SODA_ERR_INPUT);
        check_message_has(bad[i].message);
    }
    tokenizer_close(tokenizer);
}

static void a_folder_without_its_files_is_refused_by_name(void **state)
{
    soda_tokenizer *tokenizer;
    CHECK_FAILS(tokenizer_open(*state, &tokenizer), SODA_ERR_IO);
    check_message_has("vocab.json");
    files_put(*state, "vocab.json", vocab_text);
    CHECK_FAILS(tokenizer_open(*state, &tokenizer), SODA_ERR_IO);
    check_message_has("merges.txt");
    files_put(*state, "merges.txt", merges_text);
    CHECK_OK(tokenizer_open(*state, &tokenizer)); /* without tokenizer_config.json */
    assert_int_equal(tokenizer_length(tokenizer), 65536);
    tokenizer_close(tokenizer);
    files_put(*state, "tokenizer_config.json", "{\"model_max_length\": 8}");
    CHECK_OK(tokenizer_open(*state, &tokenizer));
    assert_int_equal(tokenizer_length(tokenizer), 8);
    tokenizer_close(tokenizer);
    files_write(*state, "special_tokens_map.json", "{", 1);
    CHECK_FAILS(tokenizer_open(*state, &tokenizer), SODA_ERR_INPUT);
    check_message_has("special_tokens_map.json:1");
    files_put(*state, "special_tokens_map.json", "{}");
    files_put(*state, "added_tokens.json", "{\"<cat>\": \"7\"}");
    CHECK_FAILS(tokenizer_open(*state, &tokenizer), SODA_ERR_INPUT);
    check_message_has("added_tokens.json: <cat>: expected an id");
    files_put(*state, "added_tokens.json", "{\"<cat>\": 7}");
    CHECK_FAILS(tokenizer_open(*state, &tokenizer), SODA_ERR_INPUT);
    check_message_has("added_tokens.json: added token \"<cat>\": expected id 2048");
}

static void wrong_vocabularies_and_merges_are_refused_by_key_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *vocab, *merges, *message;
    } bad[] = {
        {"{\"a\": 0, \"b\": 2}", NULL, "vocab.json: b: expected an id below"},
        {"{\"a\": 0, \"b\": -1}", NULL, "vocab.json: b: expected an id below"},
        {"{\"a\": 0, \"b\": 1.0}", NULL, "vocab.json: b: expected an id below"},
        {"{\"a\": 0, \"b\": \"1\"}", NULL, "vocab.json: b: expected an id below"},
        {"{\"a\": 0, \"b\": 4294967297}", NULL, "vocab.json: b: expected an id below"},
        {"{\"a\": 0, \"b\": 0}", NULL, "vocab.json: b: expected an id that no other"},
        {"{\"a\": 0, \"a\": 1}", NULL, "vocab.json:1:"},
        {"[]", NULL, "vocab.json: expected a JSON object"},
        {"{}", NULL, "config.json: bos_token: expected a token in vocab.json"},
        {"{\"<|startoftext|>\": 0}", NULL,
         "config.json: eos_token: expected a token in vocab.json"},
        {NULL, "a r\n\ni n\n", "merges.txt:2: expected two tokens"},
        {NULL, "a r\ni n x\n", "merges.txt:2: expected two tokens"},
        {NULL, "a r \n", "merges.txt:1: expected two tokens"},
        {NULL, " a\n", "merges.txt:1: expected two tokens"},
        {NULL, "#version: 0.2\na r\nar nowhere", "merges.txt:3: token \"nowhere\""},
        {NULL, "#version: 0.2\na r\nnowhere ar", "merges.txt:3: token \"nowhere\""},
        {NULL, "#version: 0.2\r\nz z</w>\r\n",
         "merges.txt:2: token \"zz</w>\" is not in vocab.json"},
    };
    soda_tokenizer *tokenizer;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_FAILS(read_texts(bad[i].vocab, bad[i].merges, NULL, NULL, &tokenizer),
                    SODA_ERR_INPUT);
        check_message_has(bad[i].message);
    }
    /* bytes without a token need unk_token in the vocabulary */
    CHECK_FAILS(
        read_texts("{\"[S]\": 0, \"[E]\": 1}", "",
                   "{\"model_max_length\": 9, \"added_tokens_decoder\": {\"2\": {\"content\": "
                   "\"[U]\"}}, \"unk_token\": \"[U]\", \"bos_token\": \"[S]\", "
                   "\"eos_token\": \"[E]\", \"pad_token\": \"[E]\"}",
                   NULL, &tokenizer),
        SODA_ERR_INPUT);
    check_message_has("vocab.json: expected a token for every byte");
}

static void wrong_settings_are_refused_by_key(void **state)
{
    (void)state;
    static const struct {
        const char *config, *special;
        soda_status status;
        const char *message;
    } bad[] = {
        {"{\"model_max_length\": 9.5}", NULL, SODA_ERR_INPUT, "config.json: model_max_length"},
        {"{\"model_max_length\": 1}", NULL, SODA_ERR_INPUT, "config.json: model_max_length"},
        {"{\"model_max_length\": \"77\"}", NULL, SODA_ERR_INPUT, "config.json: model_max_length"},
        {"{\"tokenizer_class\": \"T5Tokenizer\"}", NULL, SODA_ERR_UNSUPPORTED, "T5Tokenizer"},
        {"{\"padding_side\": \"left\"}", NULL, SODA_ERR_UNSUPPORTED, "config.json: padding_side"},
        {"{\"truncation_side\": \"left\"}", NULL, SODA_ERR_UNSUPPORTED, "truncation_side"},
        {"{\"split_special_tokens\": true}", NULL, SODA_ERR_UNSUPPORTED, "split_special_tokens"},
        {NULL, "{\"pad_token\": \"[PAD]\"}", SODA_ERR_INPUT,
         "special.json: pad_token: expected a token in vocab.json, found \"[PAD]\""},
        {NULL, "{\"pad_token\": null}", SODA_ERR_INPUT, "special.json: pad_token: expected"},
        {NULL, "{\"pad_token\": \"\"}", SODA_ERR_INPUT, "special.json: pad_token: expected"},
        {NULL, "{\"eos_token\": 7}", SODA_ERR_INPUT, "special.json: eos_token: expected"},
        {NULL, "{\"eos_token\": {\"rstrip\": false}}", SODA_ERR_INPUT, "eos_token.content"},
        {NULL, "{\"eos_token\": {\"content\": \"!\", \"single_word\": true}}", SODA_ERR_UNSUPPORTED,
         "special.json: eos_token.single_word"},
        {NULL, "{\"extra_special_tokens\": [\"!\"]}", SODA_ERR_INPUT,
         "special.json: extra_special_tokens: expected an empty list"},
        {"{\"model_max_length\": 9, \"image_token\": \"!\"}", NULL, SODA_ERR_UNSUPPORTED,
         "config.json: image_token"},
        {"{\"additional_special_tokens\": {\"a\": \"!\"}}", NULL, SODA_ERR_INPUT,
         "config.json: additional_special_tokens: expected a list"},
        {"{\"extra_special_tokens\": [7]}", NULL, SODA_ERR_INPUT,
         "config.json: extra_special_tokens: expected a string or an object"},
        {"{\"added_tokens_decoder\": {\"2048\": {\"content\": \"<x>\", \"normalized\": false, "
         "\"lstrip\": true}, \"2049\": {\"content\": \"y \"}}}",
         NULL, SODA_ERR_UNSUPPORTED, "config.json: added token \"y \": expected no white space"},
        {"{\"model_max_length\": 9, \"added_tokens_decoder\": {\"7\": {\"content\": \"<x>\"}}}",
         NULL, SODA_ERR_INPUT,
         "config.json: added token \"<x>\": expected id 2048, which follows from vocab.json"},
        {"{\"model_max_length\": 9, \"added_tokens_decoder\": {\"x\": {\"content\": \"!\"}}}", NULL,
         SODA_ERR_INPUT, "added_tokens_decoder.x: expected a key that is an id"},
        {"{\"model_max_length\": 9, \"added_tokens_decoder\": {\"0\": \"!\"}}", NULL,
         SODA_ERR_INPUT, "added_tokens_decoder.0: expected an object"},
    };
    soda_tokenizer *tokenizer;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_FAILS(read_texts(NULL, NULL, bad[i].config, bad[i].special, &tokenizer),
                    bad[i].status);
        check_message_has(bad[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_equal_transformers_on_the_nano_model),
        cmocka_unit_test_setup_teardown(ids_equal_transformers_on_other_folders, files_setup,
                                        files_teardown),
        cmocka_unit_test(ids_are_cut_padded_and_reported),
        cmocka_unit_test(long_words_and_long_runs_of_marks_end),
        cmocka_unit_test(composition_is_idempotent),
        cmocka_unit_test(a_prompt_that_is_not_utf8_is_refused_by_byte),
        cmocka_unit_test_setup_teardown(a_folder_without_its_files_is_refused_by_name, files_setup,
                                        files_teardown),
        cmocka_unit_test(wrong_vocabularies_and_merges_are_refused_by_key_and_line),
        cmocka_unit_test(wrong_settings_are_refused_by_key),
    };
    return cmocka_run_group_tests(tests, load_files, free_files);
}
