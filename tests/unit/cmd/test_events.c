/* Keyspace notifications: what each kind of command tells of keys, in Redis's order; what notify-keyspace-events means. */
#include "server_support.h"

static struct buf told; /* "event:key " for each, with "@db" behind the key when it is not 0 */

/* A pmessage in RESP2, of __keyspace@<db>__:<key>. */
static void take_event(struct host *h, struct session *s, struct slice bytes) {
    struct slice lines[16] = {{0}};
    int count = 0;
    (void)h;
    (void)s;
    for (size_t i = 0, from = 0; i + 1 < bytes.len && count < 16; i++) {
        if (bytes.data[i] != '\r') continue;
        lines[count++] = slice_make(bytes.data + from, i - from);
        from = i + 2;
    }
    CHECK(count == 9);
    const char *at = memchr(lines[6].data, '@', lines[6].len), *colon = memchr(at, ':', lines[6].len);
    size_t key_len = lines[6].len - (size_t)(colon + 1 - lines[6].data);
    buf_printf(&told, "%.*s:%.*s", (int)lines[8].len, lines[8].data, (int)key_len, colon + 1);
    if (at[1] != '0') buf_printf(&told, "@%d", atoi(at + 1));
    buf_add_byte(&told, ' ');
}

static struct session *open_listener(const char *classes) {
    server_open();
    world.host.session_push = take_event;
    struct session *s = client_open("127.0.0.1:1"), *listener = client_open("127.0.0.1:2");
    client_run(listener, "psubscribe __keyspace@*");
    char line[80];
    snprintf(line, sizeof line, "config set notify-keyspace-events %s", classes);
    client_check(s, line, "+OK");
    return s;
}

static void close_all(void) {
    server_close();
    buf_free(&told);
}

static void check_told(struct session *s, const char *line, const char *want) {
    buf_clear(&told);
    client_run(s, line);
    size_t len = told.len > 0 ? told.len - 1 : 0;
    EXPECT_NOTE(strlen(want) == len && (len == 0 || memcmp(told.data, want, len) == 0),
                "%s: told \"%.*s\", want \"%s\"", line, (int)len, len > 0 ? told.data : "", want);
}

struct row {
    const char *line, *told;
};

static void check_rows(const struct row *rows, size_t count) {
    struct session *s = open_listener("KAmn");
    for (size_t i = 0; i < count; i++) check_told(s, rows[i].line, rows[i].told);
    close_all();
}
#define CHECK_ROWS(...)                                                                                      \
    do {                                                                                                     \
        static const struct row rows[] = {__VA_ARGS__};                                                      \
        check_rows(rows, sizeof rows / sizeof *rows);                                                        \
    } while (0)

TEST(strings) {
    CHECK_ROWS({"set k v", "new:k set:k"}, {"set k w", "set:k"}, {"set k v ex 10", "set:k expire:k"},
               {"set k v nx", ""}, {"set n v xx", ""}, {"set n 1 nx get", "keymiss:n new:n set:n"},
               {"setnx k v", ""}, {"setex k 10 v", "set:k expire:k"}, {"getset g v", "keymiss:g new:g set:g"},
               {"getdel g", "del:g"}, {"getdel g", "keymiss:g"}, {"getex k", ""},
               {"getex k ex 5", "expire:k"}, {"getex k persist", "persist:k"}, {"getex k persist", ""},
               {"getex k pxat 1", "del:k"}, {"mset a 1 b 2 a 3", "new:a set:a new:b set:b set:a"},
               {"msetnx a 1 z 1", ""}, {"append a x", "append:a"}, {"append c x", "new:c append:c"},
               {"setrange c 3 y", "setrange:c"}, {"setrange none 3 \"\"", ""}, {"incr n", "incrby:n"},
               {"decrby n 2", "incrby:n"}, {"incrbyfloat n 0.5", "incrbyfloat:n"}, {"incr c", ""},
               {"get nosuch", "keymiss:nosuch"}, {"mget n nosuch x", "keymiss:nosuch keymiss:x"},
               {"object encoding nosuch", ""}, {"exists n nosuch", "keymiss:nosuch"});
}

TEST(keys) {
    CHECK_ROWS({"set k v", "new:k set:k"}, {"expire k 10", "expire:k"}, {"expire k 5 gt", ""},
               {"persist k", "persist:k"}, {"persist k", ""},
               {"rename k l", "new:l rename_from:k rename_to:l"}, {"rename l l", ""},
               {"set k v", "new:k set:k"}, {"rename k l", "new:l rename_from:k rename_to:l"},
               {"copy l m", "new:m copy_to:m"}, {"copy l m", ""}, {"copy l m replace", "new:m copy_to:m"},
               {"copy no m", "keymiss:no"}, {"move m 3", "new:m@3 move_from:m move_to:m@3"},
               {"copy l m db 4", "new:m@4 copy_to:m@4"}, {"expire l -1", "del:l"}, {"del l m", ""},
               {"select 3", ""}, {"unlink m", "del:m@3"}, {"set a 1", "new:a@3 set:a@3"}, {"swapdb 3 4", ""},
               {"flushall", ""}, {"ttl a", "keymiss:a@3"});
}

TEST(bits_and_counts) {
    CHECK_ROWS({"setbit b 3 1", "new:b setbit:b"}, {"setbit b 3 1", ""}, {"setbit b 100 0", "setbit:b"},
               {"bitfield b get u4 0", ""}, {"bitfield x get u4 0", "keymiss:x"},
               {"bitfield b set u4 0 5 set u4 8 0", "setbit:b"}, {"bitfield b set u4 0 5", ""},
               {"bitop not d b x", ""}, {"bitop or d b x", "keymiss:x new:d set:d"},
               {"bitop or d b", "set:d"}, {"bitop or d x", "keymiss:x del:d"}, {"pfadd h a", "new:h pfadd:h"},
               {"pfadd h a", ""}, {"pfadd h b", "pfadd:h"},
               {"pfmerge g h x", "keymiss:g keymiss:x new:g pfadd:g"}, {"pfcount x", "keymiss:x"});
}

TEST(hashes_and_sets) {
    CHECK_ROWS({"hset h a 1", "new:h hset:h"}, {"hset h a 1", "hset:h"}, {"hsetnx h a 2", ""},
               {"hsetnx h b 2", "hset:h"}, {"hincrby h a 1", "hincrby:h"},
               {"hincrbyfloat h a 1", "hincrbyfloat:h"}, {"hdel h x", ""}, {"hdel h a b", "hdel:h del:h"},
               {"hget h a", "keymiss:h"}, {"sadd s a b", "new:s sadd:s"}, {"sadd s a", ""}, {"srem s x", ""},
               {"srem s a", "srem:s"}, {"smove s t x", ""}, {"smove s t b", "srem:s del:s new:t sadd:t"},
               {"smove t t b", ""}, {"spop t", "spop:t del:t"}, {"sadd s a b c d e f g", "new:s sadd:s"},
               {"spop s 0", ""}, {"spop s 5", "spop:s"}, {"spop s 9", "spop:s del:s"},
               {"sadd s a b", "new:s sadd:s"}, {"sunionstore d s x", "keymiss:x new:d sunionstore:d"},
               {"sdiffstore d s", "sdiffstore:d"}, {"sinterstore d s x", "keymiss:x del:d"},
               {"sinterstore d s x", "keymiss:x"});
}

TEST(lists) {
    CHECK_ROWS({"rpush l a b c", "new:l rpush:l"}, {"lpushx x a", ""}, {"lpush l z", "lpush:l"},
               {"linsert l before a y", "linsert:l"}, {"linsert l before no y", ""}, {"lset l 0 q", "lset:l"},
               {"lrem l 0 no", ""}, {"lrem l 0 q", "lrem:l"}, {"ltrim l 0 -1", "ltrim:l"},
               {"lmove l m left right", "new:m rpush:m lpop:l"}, {"rpoplpush l l", "lpush:l rpop:l"},
               {"lpop l 2", "lpop:l"}, {"rpop l", "rpop:l del:l"}, {"lpop l", ""},
               {"lmove m n left left", "new:n lpush:n lpop:m del:m"}, {"lmpop 2 m n left", "lpop:n del:n"},
               {"rpush l b a", "new:l rpush:l"}, {"blpop x l 0", "lpop:l"},
               {"brpoplpush l m 0", "new:m lpush:m rpop:l del:l"},
               {"sort m alpha store d", "new:d sortstore:d"},
               {"sort m by w_* store d", "keymiss:w_a sortstore:d"}, {"sort x store d", "keymiss:x del:d"},
               {"ltrim m 5 6", "ltrim:m del:m"});
}

TEST(sorted_sets) {
    CHECK_ROWS(
        {"zadd z 1 a 2 b 3 c", "new:z zadd:z"}, {"zadd z 1 a", ""}, {"zadd z xx 5 d", ""},
        {"zincrby z 1 a", "zincr:z"}, {"zadd z incr 0 a", ""}, {"zrem z x", ""}, {"zrem z a", "zrem:z"},
        {"zunionstore d 2 z x", "keymiss:x new:d zunionstore:d"}, {"zinterstore d 1 z", "zinterstore:d"},
        {"zdiffstore d 2 z z", "del:d"}, {"zrangestore d z 0 -1", "new:d zrangestore:d"},
        {"zrangestore d x 0 -1", "keymiss:x del:d"}, {"zremrangebyscore z 8 9", ""},
        {"zremrangebyrank z 0 0", "zremrangebyrank:z"}, {"zpopmin z", "zpopmin:z del:z"},
        {"zadd z 1 a 2 b", "new:z zadd:z"}, {"zmpop 1 z max", "zpopmax:z"},
        {"bzpopmin z 0", "zpopmin:z del:z"}, {"geoadd g 1 1 a", "new:g zadd:g"},
        {"geosearchstore d g fromlonlat 1 1 byradius 1 km", "new:d geosearchstore:d"},
        {"georadius g 1 1 1 km store d", "georadiusstore:d"}, {"georadius g 50 50 1 km store d", "del:d"});
}

TEST(streams) {
    CHECK_ROWS(
        {"xadd x 1-0 a 1", "new:x xadd:x"}, {"xadd x nomkstream maxlen 1 2-0 a 1", "xadd:x xtrim:x"},
        {"xadd y nomkstream * a 1", ""}, {"xtrim x maxlen 5", ""}, {"xdel x 9", ""},
        {"xgroup create x g 0", "xgroup-create:x"}, {"xgroup create y g 0 mkstream", "new:y xgroup-create:y"},
        {"xgroup createconsumer x g c", "xgroup-createconsumer:x"}, {"xgroup createconsumer x g c", ""},
        {"xreadgroup group g d streams x >", "xgroup-createconsumer:x"}, {"xack x g 2-0", ""},
        {"xreadgroup group g d streams x >", ""}, {"xgroup setid x g 0", "xgroup-setid:x"},
        {"xreadgroup group g d streams x >", ""}, {"xclaim x g e 0 2-0", "xgroup-createconsumer:x"},
        {"xautoclaim x g f 0 0", "xgroup-createconsumer:x"}, {"xack none g 1", "keymiss:none"},
        {"xgroup delconsumer x g e", "xgroup-delconsumer:x"}, {"xgroup delconsumer x g e", ""},
        {"xgroup destroy x g", "xgroup-destroy:x"}, {"xgroup destroy x g", ""}, {"xsetid x 9-0", "xsetid:x"},
        {"xdel x 2-0", "xdel:x"}, {"xread streams x none 0 0", "keymiss:none keymiss:none"});
}

TEST(what_expires_is_told_when_it_is_deleted) {
    struct session *s = open_listener("KAmn");
    static const struct row before[] = {{"set a 1 px 100", "new:a set:a expire:a"},
                                        {"set b 1 px 100", "new:b set:b expire:b"},
                                        {"rpush c 1", "new:c rpush:c"},
                                        {"pexpire c 100", "expire:c"},
                                        {"mset d 1 e 1", "new:d set:d new:e set:e"},
                                        {"pexpire d 100", "expire:d"},
                                        {"pexpire e 100", "expire:e"}};
    static const struct row after[] = {{"get a", "keymiss:a"},
                                       {"set a 1", "expired:a new:a set:a"},
                                       {"del b", "expired:b"},
                                       {"lpush c 1", "expired:c new:c lpush:c"},
                                       {"sinterstore d c1 c2", "keymiss:c1 keymiss:c2 del:d"},
                                       {"mset e 1", "expired:e new:e set:e"}};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) check_told(s, before[i].line, before[i].told);
    desk.now_ms += 1000;
    for (size_t i = 0; i < sizeof after / sizeof *after; i++) check_told(s, after[i].line, after[i].told);
    close_all();
}

TEST(only_the_classes_asked_for) {
    struct session *s = open_listener("Kg$");
    check_told(s, "set k v", "set:k");
    check_told(s, "get none", "");
    check_told(s, "lpush l a", "");
    check_told(s, "del l", "del:l");
    client_run(s, "config set notify-keyspace-events K");
    check_told(s, "set k v", "");
    client_run(s, "config set notify-keyspace-events A");
    check_told(s, "set k v", "");
    client_run(s, "config set notify-keyspace-events EA"); /* the listener hears of keys only */
    check_told(s, "set k v", "");
    client_run(s, "config set notify-keyspace-events KA");
    check_told(s, "set new v", "set:new");
    client_run(s, "config set notify-keyspace-events KAn");
    check_told(s, "set newer v", "new:newer set:newer");
    client_run(s, "config set notify-keyspace-events \"\"");
    check_told(s, "set k v", "");
    close_all();
}

TEST(events_have_channels_of_keys_first_then_of_events) {
    server_open();
    struct session *s = client_open("127.0.0.1:1"), *listener = client_open("127.0.0.1:2");
    client_run(listener, "psubscribe *");
    client_run(s, "config set notify-keyspace-events KEA");
    client_run(s, "select 5");
    client_run(s, "set k v");
    buf_reserve(&world.pushed, 1);
    world.pushed.data[world.pushed.len] = '\0';
    EXPECT_EQ_STR(world.pushed.data, "[2] *4 $8 pmessage $1 * $16 __keyspace@5__:k $3 set "
                                     "[2] *4 $8 pmessage $1 * $18 __keyevent@5__:set $1 k ");
    server_close();
}

TEST_MAIN
