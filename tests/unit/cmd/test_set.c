/* The commands of sets, against what Redis 7.0 answers; set algebra against bit masks. */
#include "support.h"

#include "num.h"

#define NOT_INT   "-ERR value is not an integer or out of range"
#define SYNTAX    "-ERR syntax error"
#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NEGATIVE  "-ERR value is out of range, must be positive"

TEST(members_come_and_go) {
    desk_open();
    check("sadd s 3 1 2 1", ":3");
    check("type s", "+set");
    check("smembers s", "*3 $1 1 $1 2 $1 3");
    check("sadd s 3 a", ":1");
    check("scard s", ":4");
    check("scard none", ":0");
    check("sismember s 2", ":1");
    check("sismember s 02", ":0");
    check("sismember none 2", ":0");
    check("smismember s 1 x a", "*3 :1 :0 :1");
    check("smismember none x y", "*2 :0 :0");
    check("smembers s", "*4 $1 1 $1 2 $1 3 $1 a");
    check("smembers none", "*0");
    check("srem s 1 1 nosuch a", ":2");
    check("srem none a", ":0");
    check("srem s 2 3", ":2");
    check("exists s", ":0");
    check("sadd e \"\"", ":1");
    check("smembers e", "*1 $0 ");
    desk_close();
}

TEST(wrong_types) {
    desk_open();
    check("set k v", "+OK");
    check("sadd k a", WRONGTYPE);
    check("srem k a", WRONGTYPE);
    check("sismember k a", WRONGTYPE);
    check("smismember k a", WRONGTYPE);
    check("scard k", WRONGTYPE);
    check("smembers k", WRONGTYPE);
    check("spop k", WRONGTYPE);
    check("spop k 1", WRONGTYPE);
    check("spop k x", NEGATIVE);
    check("srandmember k", WRONGTYPE);
    check("srandmember k 0", WRONGTYPE);
    check("sscan k x", "-ERR invalid cursor");
    check("sscan k 0 bogus", WRONGTYPE);
    check("sinter none k", WRONGTYPE);
    check("sinterstore d none k", WRONGTYPE);
    check("sintercard 2 none k", WRONGTYPE);
    check("sunion none k", WRONGTYPE);
    check("sdiffstore k none none", ":0"); /* the target may be of any type */
    check("exists k", ":0");
    desk_close();
}

TEST(encodings_follow_the_limits) {
    desk_open();
    char line[64];
    for (int i = 0; i < 512; i++) {
        snprintf(line, sizeof line, "sadd s %d", i);
        check(line, ":1");
    }
    check("object encoding s", "$6 intset");
    check("sadd s 511", ":0");
    check("object encoding s", "$6 intset");
    check("sadd s 512", ":1");
    check("object encoding s", "$9 hashtable");
    check("srem s 512", ":1");
    check("object encoding s", "$9 hashtable");
    check("sunionstore d s", ":512");
    check("object encoding d", "$6 intset");
    desk_reload();
    check("object encoding s", "$9 hashtable");
    check("object encoding d", "$6 intset");
    check("scard s", ":512");
    check("sadd d x", ":1");
    check("object encoding d", "$9 hashtable");
    check("sismember d 300", ":1");
    /* What takes members away from a copy remembers what the copy was; what asks about each member does not. */
    check("sadd mixed 1 2 3 x", ":4");
    check("sadd x x", ":1");
    check("sdiffstore d mixed x x x x", ":3");
    check("object encoding d", "$9 hashtable");
    check("sdiffstore d mixed x", ":3");
    check("object encoding d", "$6 intset");
    desk_close();
}

TEST(moving) {
    desk_open();
    check("sadd a 1 2", ":2");
    check("smove a b 1", ":1");
    check("object encoding b", "$6 intset");
    check("smove a b 1", ":0");
    check("smove a a 2", ":1");
    check("smove a a 3", ":0");
    check("sadd b 2", ":1");
    check("smove a b 2", ":1");
    check("exists a", ":0");
    check("smembers b", "*2 $1 1 $1 2");
    check("set k v", "+OK");
    check("smove none k 1", ":0");
    check("smove k none 1", WRONGTYPE);
    check("smove b k 9", WRONGTYPE);
    check("smove k k 1", WRONGTYPE);
    desk_close();
}

TEST(popping) {
    desk_open();
    check("spop none", "$-1");
    check("spop none 3", "*0");
    check("spop none -1", NEGATIVE);
    check("spop none x", NEGATIVE);
    check("spop none 1 2", SYNTAX);
    check("sadd s 1", ":1");
    check("spop s 0", "*0");
    check("spop s", "$1 1");
    check("exists s", ":0");
    check("sadd s 1 2 3", ":3");
    check("spop s 9223372036854775807", "*3 $1 1 $1 2 $1 3");
    check("exists s", ":0");
    char line[64];
    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof line, "sadd s %d", i);
        check(line, ":1");
    }
    check("pexpire s 100", ":1");
    EXPECT(strncmp(run("spop s 300"), "*300 ", 5) == 0);
    check("scard s", ":700");
    check("object encoding s", "$9 hashtable");
    EXPECT(strncmp(run("spop s 650"), "*650 ", 5) == 0);
    check("scard s", ":50");
    check("object encoding s", "$6 intset"); /* the little that is left is a new set, as in Redis */
    check("pttl s", ":100");
    EXPECT(strncmp(run("spop s 50"), "*50 ", 4) == 0);
    check("exists s", ":0");
    desk_close();
}

TEST(the_entrys_seed_decides_what_is_popped) {
    desk_open();
    char line[64], first[4096];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 300; i++) {
            snprintf(line, sizeof line, "sadd s m%d", i);
            check(line, ":1");
        }
        desk.rng.state = 7;
        const char *reply = run("spop s 100");
        EXPECT(strlen(reply) < sizeof first);
        if (round == 0)
            strcpy(first, reply);
        else
            EXPECT_EQ_STR(reply, first);
        check("del s", ":1");
    }
    desk_close();
}

TEST(members_at_random) {
    desk_open();
    check("srandmember none", "$-1");
    check("srandmember none 3", "*0");
    check("srandmember none -3", "*0");
    check("srandmember none x", NOT_INT);
    check("srandmember none 1 2", SYNTAX);
    check("srandmember none -9223372036854775808",
          "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
    check("sadd s 5", ":1");
    check("srandmember s", "$1 5");
    check("srandmember s 0", "*0");
    check("srandmember s 7", "*1 $1 5");
    check("srandmember s -3", "*3 $1 5 $1 5 $1 5");
    check("srandmember s -9223372036854775807",
          "-ERR value is out of range"); /* ours: Redis would fill memory */
    check("scard s", ":1");
    desk_close();
}

TEST(replies_in_resp3) {
    desk_open();
    desk.resp = 3;
    check("sadd s 1 2", ":2");
    check("smembers s", "~2 $1 1 $1 2");
    check("smembers none", "~0");
    check("sinter s s", "~2 $1 1 $1 2");
    check("sinter s none", "~0");
    check("sunion s none", "~2 $1 1 $1 2");
    check("sdiff s s", "~0");
    check("srandmember s 2", "*2 $1 1 $1 2");
    check("srandmember none 2", "*0");
    check("srandmember none", "_");
    check("spop none", "_");
    check("spop none 2", "~0");
    check("sscan s 0", "*2 $1 0 *2 $1 1 $1 2");
    check("spop s 2", "~2 $1 1 $1 2");
    desk_close();
}

TEST(counting_an_intersection) {
    desk_open();
    check("sadd a 1 2 3 4", ":4");
    check("sadd b 2 3 4 5", ":4");
    check("sintercard 2 a b", ":3");
    check("sintercard 2 a b limit 2", ":2");
    check("sintercard 2 a b limit 0", ":3");
    check("sintercard 2 a b LIMIT 9 limit 1", ":1");
    check("sintercard 1 none", ":0");
    check("sintercard 0 a", "-ERR numkeys should be greater than 0");
    check("sintercard x a", "-ERR numkeys should be greater than 0");
    check("sintercard 3 a b", "-ERR Number of keys can't be greater than number of args");
    check("sintercard 2 a b limit -1", "-ERR LIMIT can't be negative");
    check("sintercard 2 a b limit x", "-ERR LIMIT can't be negative");
    check("sintercard 2 a b limit", SYNTAX);
    check("sintercard 1 a b", SYNTAX);
    desk_close();
}

TEST(a_target_may_be_a_source) {
    desk_open();
    check("sadd a one two 3", ":3");
    check("sadd b two 3 four", ":3");
    check("expire a 100", ":1");
    check("sinterstore a a b", ":2");
    check("ttl a", ":-1");
    check("smismember a one two 3 four", "*4 :0 :1 :1 :0");
    check("sunionstore b a b", ":3");
    check("sdiffstore b b a", ":1");
    check("smembers b", "*1 $4 four");
    check("sdiffstore b b b", ":0");
    check("exists b", ":0");
    check("sunionstore a a", ":2");
    check("sinterstore a a none", ":0");
    check("exists a", ":0");
    desk_close();
}

TEST(big_ones_are_scanned_page_by_page) {
    desk_open();
    char line[64], cursor[32] = "0";
    for (int i = 0; i < 2000; i++) {
        snprintf(line, sizeof line, "sadd s member:%d", i);
        check(line, ":1");
    }
    desk_reload();
    check("scard s", ":2000");
    int pages = 0, members = 0;
    do {
        snprintf(line, sizeof line, "sscan s %s count 50", cursor);
        int entries;
        EXPECT(sscanf(run(line), "*2 $%*d %31s *%d", cursor, &entries) == 2);
        members += entries;
        pages++;
    } while (strcmp(cursor, "0") != 0);
    EXPECT(members >= 2000);
    EXPECT(members < 2100);
    EXPECT(pages > 10);
    desk_close();
}

/* --- algebra: sets of numbers below 64 as masks --- */

enum { SETS = 6 };
static uint64_t masks[SETS];

static uint64_t mask_of_reply(const char *reply) {
    uint64_t mask = 0;
    int count, read;
    EXPECT(sscanf(reply, "*%d%n", &count, &read) == 1);
    for (; count > 0; count--) {
        char member[16];
        int skip;
        EXPECT(sscanf(reply + read, " $%*d %15s%n", member, &skip) == 1);
        read += skip;
        int n = atoi(member[0] == 'm' ? member + 1 : member);
        EXPECT(n >= 0 && n < 64);
        EXPECT(!(mask >> n & 1));
        mask |= UINT64_C(1) << n;
    }
    return mask;
}

/* Multiples of five are no integers. */
static int member_text(char *out, size_t cap, int n) {
    return snprintf(out, cap, n % 5 == 0 ? "m%d" : "%d", n);
}

static void check_algebra(struct rng *rng, const char *name, uint64_t (*join)(uint64_t, uint64_t),
                          bool store) {
    char line[256];
    int sources = 1 + (int)rng_below(rng, 4), target = (int)rng_below(rng, SETS);
    int len = store ? snprintf(line, sizeof line, "%sstore s%d", name, target)
                    : snprintf(line, sizeof line, "%s", name);
    uint64_t want = 0;
    for (int i = 0; i < sources; i++) {
        int s = (int)rng_below(rng, SETS);
        len += snprintf(line + len, sizeof line - (size_t)len, " s%d", s);
        want = i == 0 ? masks[s] : join(want, masks[s]);
    }
    const char *reply = run(line);
    if (!store) {
        EXPECT_NOTE(mask_of_reply(reply) == want, "%s: %s", line, reply);
        return;
    }
    EXPECT_NOTE(atoi(reply + 1) == __builtin_popcountll(want), "%s: %s", line, reply);
    masks[target] = want;
    snprintf(line, sizeof line, "smembers s%d", target);
    EXPECT(mask_of_reply(run(line)) == want);
}

static uint64_t join_inter(uint64_t a, uint64_t b) {
    return a & b;
}
static uint64_t join_union(uint64_t a, uint64_t b) {
    return a | b;
}
static uint64_t join_diff(uint64_t a, uint64_t b) {
    return a & ~b;
}

TEST(algebra_is_that_of_bits) {
    desk_open();
    struct rng rng = {.state = test_seed()};
    memset(masks, 0, sizeof masks);
    for (int step = 0; step < 6000; step++) {
        int s = (int)rng_below(&rng, SETS), n = (int)rng_below(&rng, 64);
        char line[64];
        int len = snprintf(line, sizeof line, "%s s%d ", rng_below(&rng, 4) ? "sadd" : "srem", s);
        member_text(line + len, sizeof line - (size_t)len, n);
        (void)run(line);
        masks[s] = line[1] == 'a' ? masks[s] | UINT64_C(1) << n : masks[s] & ~(UINT64_C(1) << n);
        bool store = rng_below(&rng, 8) == 0;
        switch (rng_below(&rng, 6)) {
        case 0: check_algebra(&rng, "sinter", join_inter, store); break;
        case 1: check_algebra(&rng, "sunion", join_union, store); break;
        case 2: check_algebra(&rng, "sdiff", join_diff, store); break;
        default: break;
        }
    }
    desk_close();
}

TEST_MAIN
