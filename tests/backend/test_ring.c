/* Rooms of visits in a ring, and the thread that fills them ahead of use. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/gatherer.h"
#include "backend/ring.h"

enum { ENTRIES = 40, STEPS = 300, MOST = 1000 * 64 };

static soda_status no_fill(const soda_weight *weight, const void *recipe, void *form)
{
    (void)weight, (void)recipe, (void)form;
    return SODA_OK;
}

/* Steps with up to three of the entries each, whose sizes differ; every seventh is elsewhere. */
static soda_weights *random_weights(unsigned seed, size_t *room)
{
    static char names[ENTRIES][16];
    soda_weights *weights;
    CHECK_OK(weights_create(&weights));
    srand(seed);
    size_t bytes[ENTRIES];
    for (int i = 0; i < ENTRIES; i++) bytes[i] = 64 * (size_t)(1 + rand() % 500);
    for (int step = 0; step < STEPS; step++)
        for (int k = rand() % 4; k > 0; k--) {
            const int i = rand() % ENTRIES;
            snprintf(names[i], sizeof names[i], "w%d", i);
            const weights_form form = {1, bytes[i], no_fill, NULL, 0};
            CHECK_OK(weights_note(weights, &(soda_weight){.name = names[i]}, &form, step, k));
        }
    for (int i = 0; i < weights->entry_count; i++)
        room[i] = i % 7 == 6 ? 0 : weights->entries[i].form.bytes;
    return weights;
}

/* Every form of a visit has a place of its own, inside the visit's room and the ring. */
static void check_places(const soda_weights *w, const size_t *room, size_t ring_bytes)
{
    for (int i = 0; i < w->visit_count; i++) {
        const weights_visit *v = &w->visits[i];
        assert_true(v->at + v->bytes <= ring_bytes);
        for (int a = v->first_use; a < v->first_use + v->uses; a++) {
            const weights_use *x = &w->uses[a];
            if (room[x->entry] == 0) continue;
            assert_true(x->at % 64 == 0 && x->at >= v->at &&
                        x->at + room[x->entry] <= v->at + v->bytes);
            for (int b = v->first_use; b < a; b++) {
                const weights_use *y = &w->uses[b];
                if (x->entry == y->entry)
                    assert_int_equal(x->at, y->at);
                else
                    assert_true(x->at + room[x->entry] <= y->at || y->at + room[y->entry] <= x->at);
            }
        }
    }
}

/* Of all visits, and of all forms. */
static size_t most_bytes(const soda_weights *w, const size_t *room, size_t *whole)
{
    size_t most = 0;
    *whole = 0;
    for (int e = 0; e < w->entry_count; e++) *whole += room[e];
    for (int v = 0; v < w->visit_count; v++) most += w->visits[v].bytes;
    return most;
}

static void rooms_are_apart_and_within_the_budget(void **state)
{
    (void)state;
    size_t room[ENTRIES];
    for (unsigned seed = 1; seed <= 20; seed++) {
        soda_weights *w = random_weights(seed, room);
        CHECK_OK(weights_cut(w, MOST));
        const size_t least = ring_least(w, room);
        size_t whole, chosen;
        for (int k = 0; k < 4; k++) {
            const size_t bytes = least + (size_t)k * least / 2;
            ring_place(w, room, bytes);
            check_places(w, room, bytes);
        }
        const size_t most = most_bytes(w, room, &whole);
        assert_in_range(least, 1, whole);
        ring_place(w, room, most); /* nothing is overwritten */
        assert_true(ring_is_free(w, 0, w->visit_count - 1));
        CHECK_OK(ring_choose(w, room, 0, 64, &chosen)); /* more than whole copies is of no use */
        assert_int_equal(chosen, whole);
        CHECK_OK(ring_choose(w, room, least, 64, &chosen));
        assert_int_equal(chosen, least);
        weights_destroy(w);
    }
}

static void a_room_is_free_when_what_it_overlaps_is_done(void **state)
{
    (void)state;
    weights_visit visits[] = {{.at = 0, .bytes = 128},
                              {.at = 128, .bytes = 64},
                              {.at = 0, .bytes = 64},
                              {.at = 64, .bytes = 0}};
    const soda_weights w = {.visits = visits, .visit_count = 4};
    assert_true(ring_is_free(&w, 0, 1));
    assert_false(ring_is_free(&w, 0, 2));
    assert_true(ring_is_free(&w, 1, 2));
    assert_true(ring_is_free(&w, 0, 3)); /* takes no room */
}

/* A ring of one number per 64 bytes: the visit that was put there last. */
typedef struct {
    int cell[MOST / 16];
    int fetched[2 * STEPS], count, fails_at;
} fake;

static soda_status put(void *context, const soda_weights *w, int visit)
{
    fake *f = context;
    const weights_visit *v = &w->visits[visit];
    if (visit == f->fails_at) return FAIL(SODA_ERR_IO, "visit %d cannot be fetched", visit);
    for (size_t i = v->at / 64; i < (v->at + v->bytes) / 64; i++) f->cell[i] = visit;
    f->fetched[f->count++] = visit;
    return SODA_OK;
}

/* What a visit needs is there from need to done, with the smallest ring and with larger ones. */
static void visits_are_whole_while_they_are_used(void **state)
{
    (void)state;
    static fake f;
    size_t room[ENTRIES];
    soda_gatherer *g;
    for (unsigned seed = 1; seed <= 5; seed++) {
        soda_weights *w = random_weights(seed, room);
        CHECK_OK(weights_cut(w, MOST));
        const size_t least = ring_least(w, room);
        f = (fake){.fails_at = -1};
        CHECK_OK(gatherer_create_thread(put, &f, &g));
        for (int k = 0; k < 3; k++) {
            ring_place(w, room, least + (size_t)k * least / 2);
            f.count = 0;
            g->start(g, w, k); /* also from a later visit on: without a prologue */
            for (int i = k; i < w->visit_count; i++) {
                const weights_visit *v = &w->visits[i];
                CHECK_OK(g->need(g, i));
                int wrong = 0;
                for (size_t c = v->at / 64; c < (v->at + v->bytes) / 64; c++)
                    wrong += f.cell[c] != i;
                assert_int_equal(wrong, 0);
                g->done(g, i);
            }
            assert_int_equal(f.count, w->visit_count - k); /* each once, in their order */
            for (int i = 0; i < f.count; i++) assert_int_equal(f.fetched[i], k + i);
        }
        g->close(g);
        weights_destroy(w);
    }
}

static void a_failure_of_the_thread_is_that_of_all_later_needs(void **state)
{
    (void)state;
    static fake f;
    size_t room[ENTRIES];
    soda_gatherer *g;
    soda_weights *w = random_weights(3, room);
    CHECK_OK(weights_cut(w, MOST));
    ring_place(w, room, ring_least(w, room));
    f = (fake){.fails_at = 5};
    CHECK_OK(gatherer_create_thread(put, &f, &g));
    g->start(g, w, 0);
    for (int i = 0; i < 5; i++) {
        /* the failure may be known early */
        if (g->need(g, i) != SODA_OK) check_message_has("visit 5 cannot be fetched");
        g->done(g, i);
    }
    for (int i = 5; i < w->visit_count; i++) {
        CHECK_FAILS(g->need(g, i), SODA_ERR_IO);
        check_message_has("visit 5 cannot be fetched");
        g->done(g, i);
    }
    assert_int_equal(f.count, 5);
    g->close(g);
    weights_destroy(w);
}

/* A lane and a device by a clock of the host: when a cell of the ring was last read on the device,
 * and up to when the lane's gathers are ordered behind the device. */
typedef struct {
    soda_lane base;
    int clock, followed, done[2 * STEPS], read[MOST / 16], early, given_up;
    bool full[MOST / 16];
} fake_lane;

static soda_status reserve_marks(soda_lane *lane, int count)
{
    (void)lane;
    assert_in_range(count, 1, 2 * STEPS);
    return SODA_OK;
}

static soda_status follow_mark(soda_lane *lane, int mark)
{
    fake_lane *l = (fake_lane *)lane;
    if (l->done[mark] > l->followed) l->followed = l->done[mark];
    return SODA_OK;
}

static soda_status mark_done(soda_lane *lane, int mark)
{
    fake_lane *l = (fake_lane *)lane;
    l->done[mark] = ++l->clock;
    return SODA_OK;
}

static soda_status mark_needed(soda_lane *lane, int mark)
{
    (void)lane, (void)mark;
    return SODA_OK;
}

static void give_up(soda_lane *lane) { ((fake_lane *)lane)->given_up++; }

static soda_status gather_visit(void *context, const soda_weights *w, int visit)
{
    fake_lane *l = context;
    const weights_visit *v = &w->visits[visit];
    for (size_t i = v->at / 64; i < (v->at + v->bytes) / 64; i++) {
        assert_false(l->full[i]);
        assert_true(l->read[i] <= l->followed);
        l->full[i] = true;
    }
    l->early += l->followed < l->clock;
    return SODA_OK;
}

static void use_visit(fake_lane *l, const soda_weights *w, soda_gatherer *g, int visit)
{
    const weights_visit *v = &w->visits[visit];
    CHECK_OK(g->need(g, visit));
    for (size_t i = v->at / 64; i < (v->at + v->bytes) / 64; i++) {
        assert_true(l->full[i]); /* it was queued before its kernels */
        l->full[i] = false;
        l->read[i] = l->clock + 1;
    }
    g->done(g, visit);
}

/* Networks of other visits take turns in one ring. */
static void a_lane_overwrites_what_was_read_and_is_ahead_of_it(void **state)
{
    (void)state;
    static char ring[MOST * 4];
    static fake_lane l;
    size_t room[2][ENTRIES];
    soda_gatherer *g;
    for (unsigned seed = 1; seed <= 5; seed++) {
        soda_weights *w[2];
        size_t least = 0;
        for (int k = 0; k < 2; k++) {
            w[k] = random_weights(seed + 10 * (unsigned)k, room[k]);
            CHECK_OK(weights_cut(w[k], MOST / 4));
            if (ring_least(w[k], room[k]) > least) least = ring_least(w[k], room[k]);
        }
        assert_true(2 * least <= sizeof l.read / sizeof *l.read * 64);
        l = (fake_lane){
            .base = {reserve_marks, NULL, mark_needed, mark_done, follow_mark, give_up, NULL}};
        CHECK_OK(gatherer_create_lane(&l.base, gather_visit, &l, &g));
        for (int k = 0; k < 2; k++) {
            ring_place(w[k], room[k], 2 * least);
            w[k]->ring = ring;
            CHECK_OK(g->reserve(g, w[k]->visit_count));
        }
        for (int run = 0; run < 6; run++) {
            const soda_weights *now = w[run % 3 == 2];
            const int first = run % 2; /* without a prologue */
            g->start(g, now, first);
            for (int i = first; i < now->visit_count; i++) use_visit(&l, now, g, i);
        }
        assert_int_equal(l.given_up, 0);
        assert_true(l.early > 0); /* gathers need not wait for all that was queued before them */
        g->close(g);
        weights_destroy(w[0]);
        weights_destroy(w[1]);
    }
}

static soda_status gather_nothing(void *context, const soda_weights *w, int visit)
{
    (void)w;
    ++*(int *)context;
    return visit == 2 ? FAIL(SODA_ERR_IO, "visit 2 cannot be gathered") : SODA_OK;
}

static void a_failure_in_a_lane_is_that_of_all_later_needs(void **state)
{
    (void)state;
    static char ring[MOST * 4];
    fake_lane l = {
        .base = {reserve_marks, NULL, mark_needed, mark_done, follow_mark, give_up, NULL}};
    size_t room[ENTRIES];
    int calls = 0;
    soda_gatherer *g;
    soda_weights *w = random_weights(3, room);
    CHECK_OK(weights_cut(w, MOST));
    ring_place(w, room, ring_least(w, room));
    w->ring = ring;
    CHECK_OK(gatherer_create_lane(&l.base, gather_nothing, &calls, &g));
    for (int run = 0; run < 2; run++) {
        g->start(g, w, 0);
        for (int i = 0; i < w->visit_count; i++) {
            const soda_status s = g->need(g, i);
            if (run > 0 || i >= 2) assert_int_equal(s, SODA_ERR_IO);
            if (s != SODA_OK) check_message_has("visit 2 cannot be gathered");
            g->done(g, i);
        }
    }
    assert_int_equal(calls, 3);
    assert_int_equal(l.given_up, 1); /* so that the others need not wait for more */
    g->close(g);
    weights_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rooms_are_apart_and_within_the_budget),
        cmocka_unit_test(a_room_is_free_when_what_it_overlaps_is_done),
        cmocka_unit_test(visits_are_whole_while_they_are_used),
        cmocka_unit_test(a_failure_of_the_thread_is_that_of_all_later_needs),
        cmocka_unit_test(a_lane_overwrites_what_was_read_and_is_ahead_of_it),
        cmocka_unit_test(a_failure_in_a_lane_is_that_of_all_later_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
