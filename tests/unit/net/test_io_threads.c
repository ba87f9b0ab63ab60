/* Threads that help the loop write: each write is done once, whoever does it, and what it came to is told. */
#include "io_threads.h"

#include "buf.h"
#include "rng.h"
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAIRS = 150, PIECE_MAX = 3000 };

static int ends[PAIRS][2];
static struct buf sent[PAIRS];

static void open_pairs(void) {
    for (int i = 0; i < PAIRS; i++) EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends[i]) == 0);
}

static void close_pairs(void) {
    for (int i = 0; i < PAIRS; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
        buf_free(&sent[i]);
    }
}

/* What has arrived at the other end is what was sent since the last time. */
static void check_arrived(int i) {
    static char bytes[PIECE_MAX + 1];
    ssize_t n = recv(ends[i][1], bytes, sizeof bytes, MSG_DONTWAIT);
    EXPECT_EQ_INT(n < 0 ? 0 : n, sent[i].len);
    if (n > 0) EXPECT(slice_eq(buf_slice(&sent[i]), slice_make(bytes, (size_t)n)));
    buf_clear(&sent[i]);
}

TEST(each_write_is_done_once) {
    uint64_t seed = test_seed();
    struct rng rng = {seed};
    struct io_threads *t = io_threads_start(4);
    open_pairs();
    static char noise[PIECE_MAX];
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (char)rng_next(&rng);
    for (int round = 0; round < 400; round++) {
        struct io_write *w = io_threads_writes(t);
        int from = (int)rng_below(&rng, PAIRS), count = 1 + (int)rng_below(&rng, PAIRS);
        for (int i = 0; i < count; i++) {
            int pair = (from + i) % PAIRS;
            size_t len = 1 + rng_below(&rng, PIECE_MAX - 1), at = rng_below(&rng, sizeof noise - len);
            w[i] = (struct io_write){.fd = ends[pair][0], .data = noise + at, .len = len, .of = &ends[pair]};
            buf_add(&sent[pair], noise + at, len);
        }
        io_threads_write(t, (size_t)count);
        for (int i = 0; i < count; i++) {
            EXPECT_EQ_INT(w[i].written, w[i].len);
            EXPECT(w[i].of == &ends[(from + i) % PAIRS]);
        }
        for (int i = 0; i < PAIRS; i++) check_arrived(i);
    }
    io_threads_stop(t);
    close_pairs();
}

TEST(what_cannot_be_sent_is_told) {
    struct io_threads *t = io_threads_start(3);
    open_pairs();
    static char much[8 << 20];
    struct io_write *w = io_threads_writes(t);
    for (int i = 0; i < PAIRS; i++) {
        w[i] = (struct io_write){.fd = ends[i][0], .data = much, .len = i % 3 == 0 ? sizeof much : 5};
        if (i % 3 == 1) shutdown(ends[i][0], SHUT_WR);
    }
    io_threads_write(t, PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        if (i % 3 == 0) EXPECT(w[i].written > 0 && w[i].written < (ssize_t)sizeof much);
        if (i % 3 == 1) EXPECT_EQ_INT(w[i].written, -EPIPE);
        if (i % 3 == 2) EXPECT_EQ_INT(w[i].written, 5);
    }
    for (int i = 0; i < PAIRS; i++) w[i] = (struct io_write){.fd = ends[i][0], .data = much, .len = 5};
    io_threads_write(t, PAIRS);
    for (int i = 0; i < PAIRS; i += 3) EXPECT_EQ_INT(w[i].written, -EAGAIN);
    io_threads_stop(t);
    close_pairs();
}

TEST(one_thread_is_the_loop_itself) {
    EXPECT(io_threads_start(1) == NULL);
    io_threads_stop(NULL);
}

TEST_MAIN
