/* json: wrong files and wrong values are refused with file, place, key, expected and found. */
#include "support/check.h"
#include "support/files.h"

#include <string.h>
#include <unistd.h>

#include "core/json.h"

static const char config[] =
    "{\n \"width\": 9007199254740993, \"eps\": 1e-05, \"flag\": false, \"act\": \"silu\",\n"
    " \"heads\": [5, 10], \"one\": 8, \"none\": null, \"kinds\": [\"A\", \"B\"],\n"
    " \"mixed\": [1, \"x\"], \"sub\": {\"k\": 3}, \"whole\": 2}";

static soda_json parse(const char *text)
{
    soda_json json;
    CHECK_OK(soda_json_parse(text, strlen(text), "a.json", &json));
    return json;
}

static void getters_read_every_type(void **state)
{
    (void)state;
    soda_json json = parse(config), sub;
    int64_t i, list[3];
    double d;
    bool b;
    const char *text, *kinds[2];
    int n;

    CHECK_OK(soda_json_int(&json, "width", 1, &i));
    assert_int_equal(i, 9007199254740993); /* 2^53 + 1: not through a double */
    CHECK_OK(soda_json_double(&json, "eps", 1, &d));
    assert_true(d == 1e-5);
    CHECK_OK(soda_json_double(&json, "whole", 1, &d)); /* Python writes 2 for 2.0 at times */
    assert_true(d == 2);
    CHECK_OK(soda_json_bool(&json, "flag", true, &b));
    assert_false(b);
    CHECK_OK(soda_json_string(&json, "act", "gelu", &text));
    assert_string_equal(text, "silu");
    CHECK_OK(soda_json_ints(&json, "heads", list, 3, &n));
    assert_int_equal(n, 2);
    assert_int_equal(list[1], 10);
    assert_true(soda_json_is_list(&json, "heads"));
    CHECK_OK(soda_json_ints(&json, "one", list, 3, &n));
    assert_int_equal(n, 1);
    assert_int_equal(list[0], 8);
    assert_false(soda_json_is_list(&json, "one"));
    CHECK_OK(soda_json_strings(&json, "kinds", kinds, 2, &n));
    assert_int_equal(n, 2);
    assert_string_equal(kinds[1], "B");
    CHECK_OK(soda_json_child(&json, "sub", &sub));
    CHECK_OK(soda_json_int(&sub, "k", 0, &i));
    assert_int_equal(i, 3);
    soda_json_free(&json);
}

static void absent_and_null_give_the_default(void **state)
{
    (void)state;
    soda_json json = parse(config), sub;
    static const char *const keys[] = {"none", "absent"};
    for (int k = 0; k < 2; k++) {
        int64_t i, list[1];
        double d;
        bool b;
        const char *text;
        int n;
        CHECK_OK(soda_json_int(&json, keys[k], 7, &i));
        CHECK_OK(soda_json_double(&json, keys[k], 0.5, &d));
        CHECK_OK(soda_json_bool(&json, keys[k], true, &b));
        CHECK_OK(soda_json_string(&json, keys[k], "x", &text));
        CHECK_OK(soda_json_ints(&json, keys[k], list, 1, &n));
        CHECK_OK(soda_json_child(&json, keys[k], &sub));
        assert_int_equal(b, !soda_json_has(&json, keys[k])); /* null: as in Python */
        assert_true(i == 7 && d == 0.5 && strcmp(text, "x") == 0 && n == 0 && !sub.object);
        CHECK_FAILS(soda_json_require(&json, keys[k]), SODA_ERR_INPUT);
    }
    check_message_has("a.json: absent: expected a value, found nothing");
    assert_true(soda_json_has(&json, "none") && soda_json_is_null(&json, "none"));
    assert_false(soda_json_has(&json, "absent") || soda_json_is_null(&json, "absent"));
    CHECK_OK(soda_json_require(&json, "flag"));
    soda_json_free(&json);
}

static void wrong_types_are_named(void **state)
{
    (void)state;
    soda_json json = parse(config), sub;
    int64_t i, list[3];
    double d;
    bool b;
    const char *text, *two[2];
    int n;

    CHECK_FAILS(soda_json_int(&json, "eps", 1, &i), SODA_ERR_INPUT);
    check_message_has("a.json: eps: expected an integer, found ");
    CHECK_FAILS(soda_json_double(&json, "act", 1, &d), SODA_ERR_INPUT);
    check_message_has("a.json: act: expected a number, found \"silu\"");
    CHECK_FAILS(soda_json_bool(&json, "one", 1, &b), SODA_ERR_INPUT);
    check_message_has("one: expected true or false, found 8");
    CHECK_FAILS(soda_json_string(&json, "heads", 0, &text), SODA_ERR_INPUT);
    check_message_has("heads: expected a string, found [5, 10]");
    CHECK_FAILS(soda_json_ints(&json, "mixed", list, 3, &n), SODA_ERR_INPUT);
    check_message_has("mixed[1]: expected an integer, found \"x\"");
    CHECK_FAILS(soda_json_ints(&json, "act", list, 3, &n), SODA_ERR_INPUT);
    check_message_has("act: expected an integer, found \"silu\"");
    CHECK_FAILS(soda_json_ints(&json, "heads", list, 1, &n), SODA_ERR_INPUT);
    check_message_has("heads: expected at most 1 entries, found [5, 10]");
    CHECK_FAILS(soda_json_strings(&json, "mixed", two, 2, &n), SODA_ERR_INPUT);
    check_message_has("mixed[0]: expected a string, found 1");
    CHECK_FAILS(soda_json_double(&json, "flag", 0, &d), SODA_ERR_INPUT);
    check_message_has("flag: expected a number, found false");
    CHECK_FAILS(soda_json_child(&json, "flag", &sub), SODA_ERR_INPUT);
    CHECK_OK(soda_json_child(&json, "sub", &sub));
    CHECK_FAILS(soda_json_string(&sub, "k", 0, &text), SODA_ERR_INPUT);
    check_message_has("a.json: sub.k: expected a string, found 3");
    soda_json_free(&json);
}

static void a_long_value_is_not_shown(void **state)
{
    (void)state;
    char text[400] = "{\"k\": \"";
    memset(text + 7, 'y', 300);
    memcpy(text + 307, "\"}", 3);
    soda_json json = parse(text);
    int64_t i;
    CHECK_FAILS(soda_json_int(&json, "k", 0, &i), SODA_ERR_INPUT);
    check_message_has("k: expected an integer, found a string");
    soda_json_free(&json);
}

static void broken_text_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"{\"a\": 1,\n \"b\": tru}", "a.json:2:"},
        {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"{\"s\": {\"a\": 1, \"a\": 2}}", "duplicate"},
        {"[1, 2]", "expected a JSON object, found an array"},
        {"", "a.json: expected JSON, found an empty file"},
        {" \n", "a.json: expected JSON, found an empty file"},
        {"<!DOCTYPE html>", "a.json: expected JSON, found an HTML page"},
        {"{\"a\": nan}", "a.json:1: not valid JSON at column 9:"},
        {"{\"a\": NaN, \"b\": }", "a.json:1: not valid JSON at column 17:"},
        {"{\"a\": 1} x", "end of file expected"},
        {"{\"\xff\": 1}", "unable to decode byte 0xff"},
        {"{\"a\": \"b", "a.json:1:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        soda_json json;
        CHECK_FAILS(soda_json_parse(cases[i].text, strlen(cases[i].text), "a.json", &json),
                    SODA_ERR_INPUT);
        check_message_has(cases[i].part);
    }
}

/* As diffusers writes lambda_min_clipped; a string that says so is left alone. */
static void infinities_are_read_as_huge_numbers(void **state)
{
    (void)state;
    const char text[] = "{\"a\": -Infinity, \"b\": Infinity, \"c\": \"-Infinity \\\" Infinity\"}";
    soda_json json;
    double a, b;
    const char *c;
    CHECK_OK(soda_json_parse(text, strlen(text), "t.json", &json));
    CHECK_OK(soda_json_double(&json, "a", 0, &a));
    CHECK_OK(soda_json_double(&json, "b", 0, &b));
    CHECK_OK(soda_json_string(&json, "c", NULL, &c));
    assert_true(a == -1.7e308 && b == 1.7e308);
    assert_string_equal(c, "-Infinity \" Infinity");
    soda_json_free(&json);
    CHECK_FAILS(soda_json_parse("{\"a\": Infinite}", 15, "t.json", &json), SODA_ERR_INPUT);
}

/* Values of keys that nobody asks for; whoever does is told what is there. */
static void what_python_writes_stops_only_those_who_ask(void **state)
{
    (void)state;
    const char text[] =
        "{\"hash\": 18446744073709551615, \"low\": -99999999999999999999, \"n\": NaN,"
        " \"list\": [NaN], \"nul\": \"a\\u0000b\", \"huge\": 1e999, \"ok\": 1,"
        " \"most\": 9223372036854775807, \"text\": \"NaN 18446744073709551616\"}";
    soda_json json;
    int64_t i;
    double d;
    int count;
    const char *c;
    CHECK_OK(soda_json_parse(text, strlen(text), "t.json", &json));
    CHECK_OK(soda_json_int(&json, "ok", 0, &i));
    CHECK_OK(soda_json_int(&json, "most", 0, &i));
    assert_int_equal(i, INT64_MAX);
    CHECK_OK(soda_json_string(&json, "text", NULL, &c));
    assert_string_equal(c, "NaN 18446744073709551616");
    CHECK_OK(soda_json_double(&json, "hash", 0, &d));
    assert_true(d > 1.844674407370955e19 && d < 1.844674407370956e19);
    CHECK_OK(soda_json_double(&json, "low", 0, &d));
    assert_true(d < -9.99999e19 && d > -1.00001e20);
    CHECK_OK(soda_json_double(&json, "huge", 0, &d));
    assert_true(d == 9e307);
    CHECK_FAILS(soda_json_int(&json, "hash", 0, &i), SODA_ERR_INPUT);
    check_message_has("t.json: hash: expected an integer, found 1.84467440737095");
    CHECK_FAILS(soda_json_double(&json, "n", 0, &d), SODA_ERR_INPUT);
    check_message_has("t.json: n: expected a number, found NaN");
    CHECK_FAILS(soda_json_string(&json, "n", NULL, &c), SODA_ERR_INPUT);
    check_message_has("t.json: n: expected a string, found NaN");
    CHECK_FAILS(soda_json_strings(&json, "list", &c, 1, &count), SODA_ERR_INPUT);
    CHECK_FAILS(soda_json_string(&json, "nul", NULL, &c), SODA_ERR_INPUT);
    check_message_has("t.json: nul: expected a string, found \"a\\u0000b\"");
    soda_json_free(&json);
}

static void lines_are_named(void **state)
{
    (void)state;
    soda_json json, sub;
    int64_t i;
    CHECK_FAILS(soda_json_parse_line("{\"a\"", 4, "m.jsonl", 3, &json), SODA_ERR_INPUT);
    check_message_has("m.jsonl:3: not valid JSON at column 4:");
    CHECK_FAILS(soda_json_parse_line("[]", 2, "m.jsonl", 3, &json), SODA_ERR_INPUT);
    check_message_has("m.jsonl:3: expected a JSON object");
    CHECK_OK(soda_json_parse_line("{\"a\": {\"b\": []}}", 16, "m.jsonl", 3, &json));
    CHECK_OK(soda_json_child(&json, "a", &sub));
    CHECK_FAILS(soda_json_int(&sub, "b", 0, &i), SODA_ERR_INPUT);
    check_message_has("m.jsonl:3: a.b: expected an integer, found []");
    soda_json_free(&json);
}

static void nesting_without_end_is_refused(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    static char text[6 * DEPTH];
    for (int i = 0; i < DEPTH; i++) memcpy(text + (size_t)i * 5, "{\"a\":", 5);
    soda_json json;
    CHECK_FAILS(soda_json_parse(text, (size_t)5 * DEPTH, "deep.json", &json), SODA_ERR_INPUT);
    check_message_has("maximum parsing depth");
}

static void files_are_read_or_named(void **state)
{
    soda_json json;
    int64_t i;
    CHECK_OK(soda_json_load(files_write(*state, "c.json", config, strlen(config)), &json));
    CHECK_OK(soda_json_int(&json, "one", 0, &i));
    assert_int_equal(i, 8);
    soda_json_free(&json);

    CHECK_FAILS(soda_json_load(files_path(*state, "none.json"), &json), SODA_ERR_IO);
    check_message_has("none.json: cannot open: No such file");
    CHECK_FAILS(soda_json_load(*state, &json), SODA_ERR_INPUT);
    check_message_has("not a regular file");
    const char *big = files_write(*state, "big.json", "{}", 2);
    assert_int_equal(truncate(big, (64 << 20) + 1), 0); /* a hole: takes no room */
    CHECK_FAILS(soda_json_load(big, &json), SODA_ERR_INPUT);
    check_message_has("expected at most 67108864 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(getters_read_every_type),
        cmocka_unit_test(absent_and_null_give_the_default),
        cmocka_unit_test(wrong_types_are_named),
        cmocka_unit_test(a_long_value_is_not_shown),
        cmocka_unit_test(broken_text_is_refused_with_its_place),
        cmocka_unit_test(infinities_are_read_as_huge_numbers),
        cmocka_unit_test(what_python_writes_stops_only_those_who_ask),
        cmocka_unit_test(lines_are_named),
        cmocka_unit_test(nesting_without_end_is_refused),
        cmocka_unit_test_setup_teardown(files_are_read_or_named, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
