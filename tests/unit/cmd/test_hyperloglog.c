/* PFADD, PFCOUNT, PFMERGE, PFDEBUG, PFSELFTEST, against what Redis 7.0 answers. The bytes themselves are test_hll.c's. */
#include "support.h"

#define NOT_HLL     "-WRONGTYPE Key is not a valid HyperLogLog string value."
#define CORRUPT     "-INVALIDOBJ Corrupted HLL object detected"
#define HEAD        "\"HYLL\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80"
#define WRONG_MAGIC "\"HYLK\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80\\x7f\\xff\""
#define WRONG_DENSE "\"HYLL\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80\""

TEST(adding_and_counting) {
    desk_open();
    check("pfcount k", ":0");
    check("pfadd k", ":1"); /* makes an empty one */
    check("pfadd k", ":0");
    check("pfcount k", ":0");
    check("strlen k", ":18");
    check("pfadd k a b c a", ":1");
    check("pfadd k a b", ":0");
    check("pfcount k", ":3");
    check("pfdebug decode k", "$44 Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603");
    check("pfdebug encoding k", "+sparse");
    check("object encoding k", "$3 raw");
    check("expire k 100", ":1");
    check("pfadd k d", ":1");
    check("ttl k", ":100");
    desk_reload();
    check("pfcount k", ":4");
    desk_close();
}

TEST(counting_writes_nothing) {
    desk_open();
    check("pfadd k a b c", ":1");
    check("getrange k 15 15", "$1 \x80");
    struct ks_stats before, after;
    ks_stats(desk.ks, &before);
    check("pfcount k", ":3");
    check("pfcount k k", ":3");
    check("getrange k 15 15", "$1 \x80");
    ks_stats(desk.ks, &after);
    EXPECT_EQ_INT(after.changes, before.changes);
    /* What Redis has counted is believed, until something is added. */
    check("setrange k 8 \"\\x07\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"", ":27");
    check("pfcount k", ":7");
    check("pfadd k a", ":0");
    check("pfcount k", ":7");
    check("pfadd k d", ":1");
    check("pfcount k", ":4");
    desk_close();
}

static void add_numbers(const char *name, int from, int to) {
    char line[100];
    for (int i = from; i < to; i++) {
        snprintf(line, sizeof line, "pfadd %s %d", name, i);
        run(line);
    }
}

TEST(growing_dense) {
    desk_open();
    add_numbers("k", 0, 1000);
    check("pfdebug encoding k", "+sparse");
    check("strlen k", ":1923");
    add_numbers("k", 1000, 2000);
    check("pfdebug encoding k", "+dense");
    check("strlen k", ":12304");
    check("pfcount k", ":2007");
    check("pfdebug decode k", "-ERR HLL encoding is not sparse");
    check("pfadd k 1", ":0");
    desk_reload();
    check("pfadd k new elements", ":1");
    check("pfdebug todense k", ":0");
    desk_close();
}

/* Counting one key and counting it twice over take different ways: what is remembered of one must never show. */
TEST(counts_are_never_those_of_before) {
    desk_open();
    struct rng rng = {test_seed()};
    char line[100], alone[30];
    for (int i = 0; i < 3000; i++) {
        int name = (int)rng_below(&rng, 80);
        if (i < 80) {
            snprintf(line, sizeof line, "pfadd k%d %d", i, i % 5);
            run(line);
            snprintf(line, sizeof line, "pfdebug todense k%d", i);
            run(line);
        }
        if (rng_below(&rng, 3) == 0) {
            snprintf(line, sizeof line, "pfadd k%d %d", name, (int)rng_below(&rng, 50));
            run(line);
        }
        if (rng_below(&rng, 10) == 0) {
            snprintf(line, sizeof line, "pfmerge k%d k%d", name, (int)rng_below(&rng, 80));
            run(line);
        }
        snprintf(line, sizeof line, "pfcount k%d", name);
        snprintf(alone, sizeof alone, "%s", run(line));
        snprintf(line, sizeof line, "pfcount k%d k%d", name, name);
        check(line, alone);
    }
    desk_close();
}

TEST(where_sparse_ends_is_part_of_the_state) {
    desk_open();
    struct ks_limits limits = *ks_limits(desk.ks);
    limits.hll_sparse_max_bytes = 30;
    ks_begin_entry(desk.ks);
    ks_set_limits(desk.ks, &limits);
    ks_set_applied(desk.ks, (struct ks_applied){.index = 1, .term = 1});
    check("pfadd k a b c", ":1");
    check("pfdebug encoding k", "+sparse");
    check("pfadd k d e", ":1");
    check("pfdebug encoding k", "+dense");
    check("pfcount k", ":5");
    desk_close();
}

TEST(merging) {
    desk_open();
    add_numbers("a", 0, 100);
    add_numbers("b", 50, 300);
    check("pfcount a b none", ":302");
    check("pfmerge m a b none", "+OK");
    check("strlen m", ":698");
    check("pfdebug encoding m", "+sparse");
    check("pfcount m", ":302");
    check("getrange m 15 15", "$1 \x80");
    check("pfmerge m", "+OK");
    check("pfmerge empty none", "+OK");
    check("strlen empty", ":18");
    check("expire a 100", ":1");
    check("pfmerge a b", "+OK");
    check("ttl a", ":100");
    check("pfcount a", ":302");
    check("pfdebug todense b", ":1");
    check("pfdebug todense b", ":0");
    check("pfmerge m b", "+OK");
    check("pfdebug encoding m", "+dense");
    check("pfcount m", ":302");
    check("pfmerge new b", "+OK");
    check("pfdebug encoding new", "+dense");
    desk_close();
}

TEST(strings_that_are_none) {
    static const char *const values[] = {"\"\"", "12", "HYLL", WRONG_MAGIC, WRONG_DENSE};
    char line[200];
    desk_open();
    check("pfadd good a", ":1");
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        snprintf(line, sizeof line, "set k %s", values[i]);
        check(line, "+OK");
        check("pfadd k a", NOT_HLL);
        check("pfcount k", NOT_HLL);
        check("pfcount good k", NOT_HLL);
        check("pfmerge good k", NOT_HLL);
        check("pfmerge k good", NOT_HLL);
        check("pfdebug encoding k", NOT_HLL);
    }
    check("pfcount good", ":1");
    check("pfdebug encoding none", "-ERR The specified key does not exist");
    check("pfdebug bogus good", "-ERR Unknown PFDEBUG subcommand 'bogus'");
    desk_close();
}

TEST(corrupt_ones) {
    desk_open();
    check("pfadd good a", ":1");
    check("set k " HEAD "\\x40\\x00\"", "+OK"); /* one register only */
    check("pfadd k a", CORRUPT);
    check("pfcount k", CORRUPT);
    check("pfcount good k", CORRUPT);
    check("pfmerge new k", CORRUPT);
    check("exists new", ":0");
    check("pfmerge k good", CORRUPT);
    check("pfdebug getreg k", CORRUPT);
    check("pfdebug todense k", CORRUPT);
    check("pfdebug decode k", "$3 Z:1");
    check("pfdebug encoding k", "+sparse");
    check("strlen k", ":18");
    desk_close();
}

TEST(registers_are_shown) {
    desk_open();
    check("pfadd k a", ":1");
    const char *registers = run("pfdebug getreg k");
    EXPECT(strncmp(registers, "*16384 :0 :0", 12) == 0);
    EXPECT(strstr(registers, ":2") != NULL || strstr(registers, ":1") != NULL);
    check("pfdebug encoding k", "+dense");
    check("pfselftest", "+OK");
    desk_close();
}

TEST_MAIN
