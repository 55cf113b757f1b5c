/* Placement: which layers are adapted, and with which factors. */
#include "support/check.h"

#include <stdio.h>

#include "adapter/factors.h"
#include "adapter/targets.h"

static void factors_are(factors_rule rule, int64_t width, int64_t a, int64_t b, int64_t c)
{
    int64_t n[3];
    const factors_choice choice = {.rule = rule};
    CHECK_OK(factors_choose(&choice, width, n));
    if (n[0] != a || n[1] != b || n[2] != c)
        fail_msg("%lld: %lld %lld %lld, wanted %lld %lld %lld", (long long)width, (long long)n[0],
                 (long long)n[1], (long long)n[2], (long long)a, (long long)b, (long long)c);
}

static void balanced_factors_follow_the_rule(void **state)
{
    (void)state;
    const factors_rule b = FACTORS_BALANCED;
    factors_are(b, 640, 8, 8, 10);
    factors_are(b, 768, 8, 8, 12);
    factors_are(b, 1280, 8, 8, 20);
    factors_are(b, 2048, 8, 8, 32);
    factors_are(b, 320, 4, 4, 20);
    factors_are(b, 1024, 8, 8, 16);
    factors_are(b, 512, 8, 8, 8); /* 8^e == width counts */
    factors_are(b, 64, 4, 4, 4);
    factors_are(b, 8, 2, 2, 2);
    factors_are(b, 42, 2, 3, 7); /* 4 does not divide it */
    factors_are(b, 90, 3, 5, 6); /* 70; 2,5,9 has 110 */
    factors_are(b, 13, 1, 1, 13);
    factors_are(b, 1021, 1, 1, 1021);
    factors_are(b, 1, 1, 1, 1);
    factors_are(b, 7, 1, 1, 7); /* e = 0 */
    factors_are(b, 6, 1, 1, 6);
}

static void paper_factors_are_its_table(void **state)
{
    (void)state;
    const factors_rule p = FACTORS_PAPER;
    factors_are(p, 640, 8, 8, 10);
    factors_are(p, 768, 6, 8, 16);
    factors_are(p, 1280, 4, 16, 20);
    factors_are(p, 2048, 4, 8, 64);
    factors_are(p, 320, 4, 4, 20); /* not in the table */
    factors_are(p, 1024, 8, 8, 16);
}

static void a_map_is_used_as_written(void **state)
{
    (void)state;
    const factors_entry map[] = {{640, {20, 1, 32}}, {77, {11, 7, 1}}};
    const factors_choice choice = {FACTORS_BALANCED, map, 2};
    int64_t n[3];
    CHECK_OK(factors_choose(&choice, 640, n));
    assert_true(n[0] == 20 && n[1] == 1 && n[2] == 32);
    CHECK_OK(factors_choose(&choice, 77, n));
    assert_true(n[0] == 11 && n[1] == 7 && n[2] == 1);
    CHECK_OK(factors_choose(&choice, 1280, n));
    assert_true(n[0] == 8 && n[1] == 8 && n[2] == 20);
}

static void wrong_factors_are_answered_with_right_ones(void **state)
{
    (void)state;
    const factors_entry wrong[] = {{640, {8, 8, 12}},       {640, {0, 8, 8}},
                                   {640, {-8, -8, 10}},     {640, {8, 80, 0}},
                                   {640, {1L << 62, 4, 1}}, {640, {640, 640, INT64_MAX}}};
    for (int i = 0; i < 6; i++) {
        CHECK_FAILS(factors_check(&wrong[i]), SODA_ERR_INPUT);
        check_message_has("width 640");
    }
    CHECK_FAILS(factors_check(&wrong[0]), SODA_ERR_INPUT);
    check_message_has("such as [8, 8, 10], ");
    check_message_has("found [8, 8, 12]");
    const factors_entry prime = {13, {2, 2, 3}}, huge = {INT64_MAX, {1, 1, INT64_MAX}};
    CHECK_FAILS(factors_check(&prime), SODA_ERR_INPUT);
    check_message_has("such as [1, 1, 13]; found");
    CHECK_FAILS(factors_check(&huge), SODA_ERR_INPUT);
    check_message_has("from 1 to 1048576");
}

static bool matches(const char *target, const char *name)
{
    soda_targets *targets;
    CHECK_OK(targets_create(&target, 1, &targets));
    const bool yes = targets_match(targets, name);
    targets_destroy(targets);
    return yes;
}

static void attn_is_the_projections_of_attention(void **state)
{
    (void)state;
    const char *const block = "unet.mid_block.attentions.0.transformer_blocks.0.";
    const char *const yes[] = {"attn1.to_q", "attn1.to_k", "attn2.to_v", "attn2.to_out.0"};
    const char *const no[] = {"attn1.to_out",   "attn1.to_q.0",     "attn1.to_Q",
                              "ff.net.2",       "attn1.xto_q",      "attn1.to_out.00",
                              "attn1.to_out.1", "attn1.to_q.extra", "attn1_to_q"};
    char name[128];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", block, yes[i]);
        if (!matches("attn", name)) fail_msg("attn misses %s", name);
    }
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "%s%s", block, no[i]);
        if (matches("attn", name)) fail_msg("attn takes %s", name);
    }
    assert_true(matches("attn", "text_encoder.text_model.encoder.layers.0.self_attn.out_proj"));
    assert_false(matches("attn", "text_encoder.text_model.encoder.layers.0.mlp.fc1"));
    assert_false(matches("attn", "unet.time_embedding.linear_1"));
}

static void expressions_match_anywhere_and_heed_case(void **state)
{
    (void)state;
    const char *const name = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k";
    assert_true(matches("attn2\\.to_(k|v)$", name));
    assert_true(matches("^down_blocks\\.[0-9]+\\.", name)); /* without the component */
    assert_true(matches("^unet\\.down_blocks", name));
    assert_true(matches(".*to_k", name));
    assert_false(matches("Attn2", name));
    assert_false(matches("^blocks", name));
    assert_false(matches("to_q", name));
}

static void any_of_several_targets_is_enough(void **state)
{
    (void)state;
    const char *const list[] = {"attn", "ff\\.net\\.2$"};
    soda_targets *targets;
    CHECK_OK(targets_create(list, 2, &targets));
    assert_true(targets_match(targets, "unet.a.ff.net.2"));
    assert_true(targets_match(targets, "unet.a.attn1.to_q"));
    assert_false(targets_match(targets, "unet.a.ff.net.0.proj"));
    targets_destroy(targets);
}

static void bad_targets_are_named(void **state)
{
    (void)state;
    const char *const bad[] = {"attn1(", "to_\\d", "", "to_q\\", "a{2,1}"};
    const char *const said[] = {"attn1(", "\\d", "empty", "to_q", "a{2,1}"};
    soda_targets *targets;
    for (int i = 0; i < 5; i++) {
        const char *const list[] = {"attn", bad[i]};
        CHECK_FAILS(targets_create(list, 2, &targets), SODA_ERR_INPUT);
        check_message_has(said[i]);
    }
    CHECK_FAILS(targets_create(NULL, 0, &targets), SODA_ERR_INPUT);
    check_message_has("empty list");
}

/* Found by fuzzing: the C library writes repetitions out, and fills the memory. */
static void repetitions_that_explode_are_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"a++++++++++++++++++++++++++++++++++++++++", "((a{99}){99}){99}",
                               "a{4097}", "(a{,99}){64,}"};
    soda_targets *targets;
    for (int i = 0; i < 4; i++) {
        CHECK_FAILS(targets_create(&bad[i], 1, &targets), SODA_ERR_INPUT);
        check_message_has("repetitions");
    }
    assert_true(matches("^unet(\\.[a-z_]+(\\.[0-9]+)+)+\\.to_k$", "unet.attentions.0.to_k"));
    assert_false(matches("a\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+", "a"));
    assert_true(matches("a{1,3}b{2}", "aabb"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(balanced_factors_follow_the_rule),
        cmocka_unit_test(paper_factors_are_its_table),
        cmocka_unit_test(a_map_is_used_as_written),
        cmocka_unit_test(wrong_factors_are_answered_with_right_ones),
        cmocka_unit_test(attn_is_the_projections_of_attention),
        cmocka_unit_test(expressions_match_anywhere_and_heed_case),
        cmocka_unit_test(any_of_several_targets_is_enough),
        cmocka_unit_test(bad_targets_are_named),
        cmocka_unit_test(repetitions_that_explode_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
