/* Every row of run_config.def. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/run_keys.h"

static bool has_word(const char *list, const char *word)
{
    char found[160];
    while (run_keys_word(&list, found, sizeof found))
        if (strcmp(found, word) == 0) return true;
    return false;
}

static void names_are_unique_and_every_key_has_help(void **state)
{
    (void)state;
    for (int i = 0; i < RUN_KEYS; i++) {
        if (run_keys_find(run_keys[i].name) != i) fail_msg("%s: two rows", run_keys[i].name);
        if (!run_keys[i].help[0]) fail_msg("%s: no help", run_keys[i].name);
        if (run_keys_is_section(run_keys[i].name))
            fail_msg("%s: key and section", run_keys[i].name);
    }
}

static void conditions_name_a_choice_and_its_words(void **state)
{
    (void)state;
    int seen = 0;
    for (int i = 0; i < RUN_KEYS; i++) {
        const run_key *key = &run_keys[i];
        if (!key->condition) continue;
        const int k = run_keys_find(key->condition);
        if (k < 0 || run_keys[k].type != RUN_CHOICE || run_keys[k].condition)
            fail_msg("%s: %s is no choice that always applies", key->name, key->condition);
        char word[160];
        for (const char *list = key->words; run_keys_word(&list, word, sizeof word);)
            if (!has_word(run_keys[k].allowed, word))
                fail_msg("%s: %s has no value %s", key->name, key->condition, word);
        seen++;
    }
    assert_int_not_equal(seen, 0);
}

/* A key with a condition is in the written configuration exactly where it applies. */
static void keys_are_written_where_they_apply(void **state)
{
    (void)state;
    static const char *const kinds[] = {"adam", "sgd"};
    for (int k = 0; k < 2; k++) {
        run_config *c;
        char set[100], value[20], *text;
        snprintf(set, sizeof set, "train.optimizer.rotation.type=%s", kinds[k]);
        CHECK_OK(run_config_parse("train: {steps: 5}", 17, "run.yaml", (const char *const[]){set},
                                  1, &c));
        run_keys_choice(&run_keys[run_keys_find("train.optimizer.rotation.type")], c, value,
                        sizeof value);
        assert_string_equal(value, kinds[k]);
        CHECK_OK(run_config_text(c, &text));
        assert_int_equal(strstr(text, "momentum: ") != NULL, k == 1);
        assert_int_equal(strstr(text, "dampening: ") != NULL, k == 1);
        assert_int_equal(strstr(text, "eps: 1.0e-05") != NULL, k == 0);
        free(text);
        run_config_destroy(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique_and_every_key_has_help),
        cmocka_unit_test(conditions_name_a_choice_and_its_words),
        cmocka_unit_test(keys_are_written_where_they_apply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
