/* Pieces of work are dealt to ranks: each once, and ranks of a group are in step. */
#include "support/check.h"

#include <string.h>

#include "run/turns.h"

enum { PIECES = 23, NETWORKS = 3, MOST_RANKS = 12 };

static const int network[PIECES] = {2, 0, 0, 2, 0, 0, 2, 2, 2, 0, 0, 2,
                                    0, 0, 0, 0, 2, 0, 2, 2, 0, 2, 0};

static void check(const int *networks, int ranks, int group)
{
    turns dealt[MOST_RANKS];
    int done[PIECES] = {0};
    for (int r = 0; r < ranks; r++)
        CHECK_OK(turns_deal(networks, PIECES, networks ? NETWORKS : 1, r, ranks, group, &dealt[r]));
    for (int r = 0; r < ranks; r++) {
        const turns *first = &dealt[r - r % group]; /* of the same group */
        assert_int_equal(dealt[r].count, first->count);
        for (int64_t i = 0; i < dealt[r].count; i++) {
            const turn now = dealt[r].list[i];
            assert_int_equal(now.network, first->list[i].network);
            assert_true(first->list[i].piece >= 0); /* somebody works in each turn */
            if (now.piece < 0) continue;
            assert_int_equal(now.network, networks ? networks[now.piece] : 0);
            done[now.piece]++;
        }
    }
    for (int i = 0; i < PIECES; i++) assert_int_equal(done[i], 1);
    for (int a = 0; a < ranks; a++) /* groups differ by one turn at most */
        for (int b = 0; b < ranks; b++) assert_true(dealt[a].count <= dealt[b].count + 1);
    for (int r = 0; r < ranks; r++) turns_free(&dealt[r]);
}

static void each_piece_is_dealt_once_and_groups_are_in_step(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= MOST_RANKS; ranks++)
        for (int group = 1; group <= ranks; group++) {
            if (ranks % group) continue;
            check(network, ranks, group);
            check(NULL, ranks, group);
        }
}

static void ranks_without_groups_take_every_nth_piece(void **state)
{
    (void)state;
    turns dealt;
    CHECK_OK(turns_deal(NULL, 8, 1, 1, 3, 1, &dealt));
    assert_int_equal(dealt.count, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(dealt.list[i].piece, 1 + 3 * i);
    turns_free(&dealt);
    CHECK_OK(turns_deal(NULL, 0, 1, 0, 1, 1, &dealt));
    assert_int_equal(dealt.count, 0);
    turns_free(&dealt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_piece_is_dealt_once_and_groups_are_in_step),
        cmocka_unit_test(ranks_without_groups_take_every_nth_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
