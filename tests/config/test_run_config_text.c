/* A configuration written as text and parsed again is the same. */
#include "run_config_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Doubles of all kinds, in a range that allows them; the last three need 17 digits. */
static void numbers_survive_the_text_bit_for_bit(void **state)
{
    (void)state;
    const double numbers[] = {1e6,       1,   123456,  1e-5,        4.9406564584124654e-324,
                              -2.5e-300, 0.1, 1.0 / 3, -5.0e-5 / 7, 0x1.fffffffffffffp-1};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char set[64], *text;
        snprintf(set, sizeof set, "adapter.delta_init=%.17g", numbers[i]);
        run_config *c = parse("{}", (const char *const[MOST_SETS]){set});
        CHECK_OK(run_config_text(c, &text));
        run_config *d = parse(text, NULL);
        assert_true(c->adapter.options.delta_init == numbers[i]);
        assert_true(d->adapter.options.delta_init == numbers[i]);
        run_config_destroy(c);
        run_config_destroy(d);
        free(text);
    }
}

/* As PyYAML reads them: a float needs a point, and a sign in its exponent. */
static void numbers_are_written_for_readers_of_yaml_1_1(void **state)
{
    (void)state;
    char *text;
    run_config *c =
        parse("{train: {clip: 2, dco_beta: 1e9, optimizer: {rotation: {lr: 5e-5}}}}", NULL);
    CHECK_OK(run_config_text(c, &text));
    assert_non_null(strstr(text, "  clip: 2.0  #"));
    assert_non_null(strstr(text, "  dco_beta: 1000000000.0  #"));
    assert_non_null(strstr(text, "      lr: 5.0e-05  #"));
    assert_non_null(strstr(text, "      betas: [0.9, 0.999]  #"));
    run_config_destroy(c);
    free(text);
}

static void any_string_survives_the_text(void **state)
{
    (void)state;
    static const char *const strings[] = {
        "",
        " ",
        "a: b",
        "# no comment",
        "'",
        "\"",
        "\\",
        "\\n",
        "null",
        "true",
        "1",
        "[a]",
        "a\nb",
        "\t\r\x01\x7f",
        "\xc2\x85\xc2\xa0\xe2\x80\xa8\xe2\x80\xa9",
        "a \xe2\x80\xa8 b \xe2\x80\xa9 c",
        "\xef\xbb\xbf",
        "\xef\xbf\xbe",
        "caf\xc3\xa9 \xe7\x8c\xab \xf0\x9f\x90\x88",
        "...",
        "---",
        "- a",
        "&a",
        "*a",
        "!t",
        "%",
        "@",
    };
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        char *text, *own = strdup(strings[i]);
        run_config *c = parse("{}", NULL);
        c->sample.prompts.list = malloc(sizeof(char *));
        c->sample.prompts.list[0] = own;
        c->sample.prompts.count = 1;
        CHECK_OK(run_config_text(c, &text));
        assert_null(strstr(text, "\xef\xbb\xbf")); /* readers differ in what this is */
        run_config *d = parse(text, NULL);
        assert_int_equal(d->sample.prompts.count, 1);
        assert_string_equal(d->sample.prompts.list[0], strings[i]);
        run_config_destroy(c);
        run_config_destroy(d);
        free(text);
    }
}

static void text_that_yaml_cannot_say_is_refused(void **state)
{
    (void)state;
    char *text;
    run_config *c = parse("output: abc", NULL);
    c->output[1] = '\xe9'; /* Latin-1, as a folder's name may be */
    CHECK_FAILS(run_config_text(c, &text), SODA_ERR_INPUT);
    check_message_has("output: expected text in UTF-8, found byte 0xe9");
    assert_null(text);
    run_config_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_survive_the_text_bit_for_bit),
        cmocka_unit_test(numbers_are_written_for_readers_of_yaml_1_1),
        cmocka_unit_test(any_string_survives_the_text),
        cmocka_unit_test(text_that_yaml_cannot_say_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
