/* The newest entries in memory: found by index, replaced from the end, forgotten from the beginning. */
#include "test.h"

#include "node_internal.h"

enum { MANY = 1000 };

static struct proposal entries[MANY + 1];

static void fill(struct tail *t, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i <= to; i++) {
        entries[i].index = i;
        entries[i].payload.len = 10; /* only counted */
        tail_push(t, &entries[i]);
    }
}

TEST(entries_are_found_by_their_index_however_many_there_are) {
    struct tail t;
    tail_init(&t, 7);
    EXPECT(tail_at(&t, 7) == NULL);
    fill(&t, 8, MANY);
    EXPECT(tail_at(&t, 7) == NULL);
    EXPECT(tail_at(&t, MANY + 1) == NULL);
    for (uint64_t i = 8; i <= MANY; i++) EXPECT(tail_at(&t, i) == &entries[i]);
    EXPECT_EQ_INT(t.bytes, 10 * (MANY - 7));
    tail_free(&t);
}

TEST(the_end_can_be_replaced) {
    struct tail t;
    tail_init(&t, 0);
    fill(&t, 1, 10);
    EXPECT(tail_pop_newest(&t) == &entries[10]);
    EXPECT(tail_pop_newest(&t) == &entries[9]);
    EXPECT(tail_at(&t, 9) == NULL);
    fill(&t, 9, 12);
    EXPECT(tail_at(&t, 12) == &entries[12]);
    EXPECT_EQ_INT(t.bytes, 120);
    tail_free(&t);
}

TEST(a_node_alone_keeps_nothing_that_is_applied_and_others_keep_some) {
    struct tail t;
    tail_init(&t, 0);
    fill(&t, 1, 10);
    EXPECT(tail_pop_surplus(&t, 4, true) == NULL);
    for (uint64_t i = 1; i <= 4; i++) EXPECT(tail_pop_surplus(&t, 4, false) == &entries[i]);
    EXPECT(tail_pop_surplus(&t, 4, false) == NULL); /* the rest is not applied */
    EXPECT(tail_at(&t, 4) == NULL);
    EXPECT(tail_at(&t, 5) == &entries[5]);
    tail_free(&t);
}

TEST(what_is_kept_for_others_has_a_bound) {
    struct tail t;
    tail_init(&t, 0);
    fill(&t, 1, 3);
    entries[3].payload.len = 10;
    t.bytes += 64 << 20; /* as if they were long */
    EXPECT(tail_pop_surplus(&t, 3, true) == &entries[1]);
    tail_free(&t);
}

TEST(a_backlog_of_what_may_be_applied_has_a_bound_too) {
    struct tail t;
    tail_init(&t, 0);
    fill(&t, 1, 4);
    EXPECT(tail_pop_backlog(&t, 4) == NULL); /* short */
    t.bytes += 64 << 20;
    EXPECT(tail_pop_backlog(&t, 2) == &entries[1]);
    entries[2].op_count = 1;
    EXPECT(tail_pop_backlog(&t, 2) == NULL); /* somebody waits for it */
    entries[2].op_count = 0;
    entries[2].has_expiry = true;
    EXPECT(tail_pop_backlog(&t, 2) == NULL);
    entries[2].has_expiry = false;
    EXPECT(tail_pop_backlog(&t, 2) == &entries[2]);
    EXPECT(tail_pop_backlog(&t, 2) == NULL); /* not on the disk, or not committed */
    EXPECT(tail_at(&t, 2) == NULL);
    EXPECT(tail_at(&t, 3) == &entries[3]);
    tail_free(&t);
}

TEST(behind_a_snapshot_it_goes_on_elsewhere) {
    struct tail t;
    tail_init(&t, 0);
    fill(&t, 1, 2);
    (void)tail_pop_newest(&t);
    (void)tail_pop_newest(&t);
    tail_restart(&t, 500);
    EXPECT(tail_at(&t, 1) == NULL);
    fill(&t, 501, 502);
    EXPECT(tail_at(&t, 501) == &entries[501]);
    tail_free(&t);
}

TEST_MAIN
