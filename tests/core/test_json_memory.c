/* Memory runs out at every allocation of a parse: each failure says so and leaves nothing behind.
 * The strings grow one by one and are full of escapes, so that the text of a token cannot grow at
 * an escape, and at the quote that ends it: there jansson 2.14 stops the program, or reads on. */
#include "support/alloc_fault.h"

#include <string.h>

#include "core/json.h"
#include "support/check.h"

enum { STRINGS = 70 };

/* {"k1":"\n","k2":"\n\n", ..., "inf":Infinity,"list":[1,0.5,{}]} for free() */
static char *text_of_strings(void)
{
    char *text = malloc(STRINGS * (2 * STRINGS + 16) + 64), *at = text;
    assert_non_null(text);
    at += sprintf(at, "{");
    for (int i = 1; i <= STRINGS; i++) {
        at += sprintf(at, "\"k%d\":\"", i);
        for (int j = 0; j < i; j++) at += sprintf(at, "\\n");
        at += sprintf(at, "\",");
    }
    sprintf(at, "\"inf\":Infinity,\"list\":[1,0.5,{}]}");
    return text;
}

static void parsing_survives_every_failed_allocation(void **state)
{
    (void)state;
    char *text = text_of_strings();
    for (int lasts = 0; lasts < 2; lasts++) {
        for (long k = 1;; k++) {
            soda_json json;
            alloc_fault_set(k);
            alloc_fault_lasts = lasts;
            const soda_status s = soda_json_parse(text, strlen(text), "a.json", &json);
            const long count = alloc_fault_count;
            alloc_fault_set(0);
            if (count < k) {
                CHECK_OK(s);
                const char *value;
                CHECK_OK(soda_json_string(&json, "k70", "", &value));
                assert_int_equal(strlen(value), STRINGS);
                soda_json_free(&json);
                assert_true(k > 4 * STRINGS);
                break;
            }
            CHECK_FAILS(s, SODA_ERR_MEMORY);
            check_message_has("a.json: out of memory while parsing JSON");
        }
    }
    free(text);
}

static void writing_survives_every_failed_allocation(void **state)
{
    (void)state;
    json_t *list = json_pack("{s:i, s:[s, s, f]}", "a", 1, "b", "x", "\n", 0.5);
    assert_non_null(list);
    for (long k = 1;; k++) {
        char *text;
        alloc_fault_set(k);
        const soda_status s = soda_json_dump(list, "a.json", &text);
        const long count = alloc_fault_count;
        alloc_fault_set(0);
        if (count < k) {
            CHECK_OK(s);
            assert_string_equal(text, "{\"a\":1,\"b\":[\"x\",\"\\n\",0.5]}");
            free(text);
            assert_true(k > 1);
            break;
        }
        CHECK_FAILS(s, SODA_ERR_MEMORY);
        assert_null(text);
    }
    json_decref(list);
}

/* A root that outlives its parse is freed piece by piece, in any order and after others. */
static void roots_are_freed_in_any_order(void **state)
{
    (void)state;
    soda_json json[3];
    for (int i = 0; i < 3; i++) CHECK_OK(soda_json_parse("{\"a\":[1]}", 9, "a.json", &json[i]));
    CHECK_OK(soda_json_put(&json[1], "a", json_string("new")));
    for (int i = 0; i < 3; i++) soda_json_free(&json[(i + 1) % 3]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsing_survives_every_failed_allocation),
        cmocka_unit_test(writing_survives_every_failed_allocation),
        cmocka_unit_test(roots_are_freed_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
