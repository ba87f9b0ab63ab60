/* A call on a stack of its own: left, taken up again, ended, again and again. */
#include "fiber.h"

#include "test.h"

#include <setjmp.h>

struct count {
    struct fiber *f;
    int at, to;
    double sum;
};

/* What is in registers and on the stack is there again after each absence. */
static void count_up(void *arg) {
    struct count *c = arg;
    double sum = 0.5;
    char kept[64];
    snprintf(kept, sizeof kept, "up to %d", c->to);
    for (int i = 0; i < c->to; i++) {
        c->at = i;
        fiber_leave(c->f);
        sum += i;
    }
    char again[64];
    snprintf(again, sizeof again, "up to %d", c->to);
    EXPECT_EQ_STR(kept, again);
    c->sum = sum;
}

TEST(a_call_is_left_and_taken_up_again) {
    struct fiber *f = fiber_new();
    EXPECT(!fiber_is_used(f));
    for (int round = 0; round < 3; round++) {
        struct count c = {.f = f, .to = 5 + round};
        bool has_ended = fiber_call(f, count_up, &c);
        int turns = 0;
        while (!has_ended) {
            EXPECT(fiber_is_used(f));
            EXPECT_EQ_INT(c.at, turns++);
            has_ended = fiber_resume(f);
        }
        EXPECT_EQ_INT(turns, c.to);
        EXPECT(c.sum == 0.5 + c.to * (c.to - 1) / 2);
        EXPECT(!fiber_is_used(f));
    }
    fiber_free(f);
}

TEST(a_call_that_never_leaves_is_an_ordinary_one) {
    struct fiber *f = fiber_new();
    struct count c = {.f = f, .to = 0};
    for (int i = 0; i < 1000; i++) EXPECT(fiber_call(f, count_up, &c));
    fiber_free(f);
}

/* Two of them, each with a call in the middle: as the nodes of a simulation. */
TEST(fibers_do_not_know_of_each_other) {
    struct fiber *f = fiber_new(), *g = fiber_new();
    struct count c = {.f = f, .to = 3}, d = {.f = g, .to = 3};
    EXPECT(!fiber_call(f, count_up, &c));
    EXPECT(!fiber_call(g, count_up, &d));
    for (int i = 0; i < 3; i++) EXPECT_EQ_INT(fiber_resume(f), i == 2);
    for (int i = 0; i < 3; i++) EXPECT_EQ_INT(fiber_resume(g), i == 2);
    fiber_free(f);
    fiber_free(g);
}

struct thrower {
    struct fiber *f;
    jmp_buf out;
    int caught;
};

static void fail_deep(struct thrower *t, int depth) {
    volatile char room[512];
    room[0] = (char)depth;
    if (depth > 0) {
        fail_deep(t, depth - 1);
        room[1] = room[0];
        return;
    }
    fiber_leave(t->f);
    if (t->caught >= 0) longjmp(t->out, 1);
}

/* As an interpreter's errors do, from before an absence to behind it. */
static void catch (void *arg) {
    struct thrower *t = arg;
    if (setjmp(t->out) == 0)
        fail_deep(t, 100);
    else
        t->caught++;
}

TEST(errors_jump_within_the_stack) {
    struct fiber *f = fiber_new();
    struct thrower t = {.f = f};
    for (int i = 0; i < 3; i++) {
        EXPECT(!fiber_call(f, catch, &t));
        EXPECT(fiber_resume(f));
        EXPECT_EQ_INT(t.caught, i + 1);
    }
    fiber_free(f);
}

static int dig(int depth) {
    volatile char room[4096];
    room[0] = (char)depth;
    return depth == 0 ? room[0] : dig(depth - 1) + room[0];
}

static void dig_deep(void *arg) {
    int *result = arg;
    *result = dig(512);
}

TEST(it_is_as_deep_as_the_main_stack_and_then_guarded) {
    struct fiber *f = fiber_new();
    int result = -1;
    EXPECT(fiber_call(f, dig_deep, &result));
    EXPECT(result != -1);
    fiber_free(f);
}

TEST_MAIN
