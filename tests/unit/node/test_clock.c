/* The clock that deadlines are kept by: it never runs backwards, and never stands still. */
#include "test.h"

#include "node_internal.h"

enum { SECOND_US = 1000000 };

/* One turn of the loop, at which both clocks are read. */
static int64_t turn(struct node *n, int64_t wall_us, uint64_t mono_us_now) {
    n->now_known = true;
    n->now_us = wall_us;
    n->now_mono_us = mono_us_now;
    return node_clock_ms(n);
}

TEST(it_is_the_wall_clock_while_that_goes_forward) {
    static struct node n;
    for (int64_t i = 1; i < 1000; i++)
        EXPECT_EQ_INT(turn(&n, 1000 * SECOND_US + 999 * i, (uint64_t)(50 * SECOND_US + 1000 * i)),
                      (1000 * SECOND_US + 999 * i) / 1000);
    EXPECT_EQ_INT(turn(&n, (int64_t)9000 * SECOND_US, 60 * SECOND_US), 9000 * 1000); /* set forward */
}

TEST(set_back_it_goes_on_slower_until_the_wall_clock_has_caught_up) {
    static struct node n;
    EXPECT_EQ_INT(turn(&n, (int64_t)9000 * SECOND_US, 0), 9000 * 1000);
    int64_t last_ms = 9000 * 1000;
    for (int64_t ms = 1; ms <= 8000; ms++) { /* the wall clock is half a second behind now */
        int64_t now_ms = turn(&n, (int64_t)9000 * SECOND_US - 500000 + ms * 1000, (uint64_t)ms * 1000);
        EXPECT(now_ms >= last_ms);
        EXPECT(now_ms <= last_ms + 1);
        last_ms = now_ms;
        if (ms == 2000) EXPECT_EQ_INT(now_ms, 9000 * 1000 + 1750);
        if (ms >= 4000) EXPECT_EQ_INT(now_ms, 9000 * 1000 - 500 + ms);
    }
}

TEST(it_is_never_behind_an_entry) {
    static struct node n;
    turn(&n, (int64_t)100 * SECOND_US, 0);
    node_clock_seen(&n, 90 * 1000);
    EXPECT_EQ_INT(node_clock_ms(&n), 100 * 1000);
    node_clock_seen(&n, 300 * 1000);
    EXPECT_EQ_INT(node_clock_ms(&n), 300 * 1000);
    EXPECT_EQ_INT(turn(&n, (int64_t)108 * SECOND_US, 8 * SECOND_US), 307 * 1000);
}

TEST(a_read_is_not_ahead_of_an_entry_on_its_way) {
    static struct node n;
    static struct proposal noop = {.kind = RAFT_ENTRY_NOOP}, first = {.kind = RAFT_ENTRY_COMMANDS};
    tail_init(&n.tail, 0);
    turn(&n, (int64_t)100 * SECOND_US, 0);
    EXPECT_EQ_INT(node_read_clock_ms(&n), 100 * 1000);
    noop.index = 1;
    first.index = 2;
    first.clock_ms = node_clock_ms(&n);
    tail_push(&n.tail, &noop);
    tail_push(&n.tail, &first);
    EXPECT_EQ_INT(turn(&n, (int64_t)105 * SECOND_US, 5 * SECOND_US), 105 * 1000);
    EXPECT_EQ_INT(node_read_clock_ms(&n), 100 * 1000);
    n.applied_index = 2;
    EXPECT_EQ_INT(node_read_clock_ms(&n), 105 * 1000);
    tail_free(&n.tail);
}

TEST_MAIN
