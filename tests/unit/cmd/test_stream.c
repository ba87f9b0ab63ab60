/* Commands of streams, against what Redis 7.0 answers. */
#include "cmd_block.h"

#include "support.h"

TEST(adding) {
    desk_open();
    check("xadd s 1-1 a 1", "$3 1-1");
    check("xadd s 1-* a 2 b 3", "$3 1-2");
    check("xadd s 1 a 1",
          "-ERR The ID specified in XADD is equal or smaller than the target stream top item");
    check("xadd s 1-2 a 1",
          "-ERR The ID specified in XADD is equal or smaller than the target stream top item");
    check("xadd s 5 a -7", "$3 5-0");
    check("xadd s 4-* a 1",
          "-ERR The ID specified in XADD is equal or smaller than the target stream top item");
    check("xadd s 6-x a 1", "-ERR Invalid stream ID specified as stream command argument");
    check("xadd s - a 1", "-ERR Invalid stream ID specified as stream command argument");
    check("xadd s 0-0 a 1", "-ERR The ID specified in XADD must be greater than 0-0");
    check("xadd t nomkstream 1-1 a b", "$-1");
    check("xadd t NOMKSTREAM 1-1 a", "-ERR wrong number of arguments for 'xadd' command");
    check("exists t", ":0");
    check("xlen s", ":3");
    check("xlen t", ":0");
    check("type s", "+stream");
    check("object encoding s", "$6 stream");
    check("xadd s 18446744073709551615-18446744073709551615 a b",
          "$41 18446744073709551615-18446744073709551615");
    check("xadd s * a b", "-ERR The stream has exhausted the last possible ID, unable to add more items");
    check("xadd s 18446744073709551615-* a b",
          "-ERR The stream has exhausted the last possible ID, unable to add more items");
    check("set v v", "+OK");
    check("xadd v 1-1 a b", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("xlen v", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("xadd u 0-* a b", "$3 0-1");
    desk_reload();
    check("xrange s - +", "*4 *2 $3 1-1 *2 $1 a $1 1 *2 $3 1-2 *4 $1 a $1 2 $1 b $1 3 *2 $3 5-0 *2 $1 a $2 "
                          "-7 *2 $41 18446744073709551615-18446744073709551615 *2 $1 a $1 b");
    check("xrange u - +", "*1 *2 $3 0-1 *2 $1 a $1 b");
    desk_close();
}

TEST(ranges) {
    desk_open();
    check("xadd s 1-1 a 1", "$3 1-1");
    check("xadd s 1-2 a 2", "$3 1-2");
    check("xadd s 2-0 a 3 b 4", "$3 2-0");
    check("xadd s 3-0 a 1", "$3 3-0");
    check("xrange s - +", "*4 *2 $3 1-1 *2 $1 a $1 1 *2 $3 1-2 *2 $1 a $1 2 *2 $3 2-0 *4 $1 a $1 3 $1 b $1 4 "
                          "*2 $3 3-0 *2 $1 a $1 1");
    check("xrevrange s + -", "*4 *2 $3 3-0 *2 $1 a $1 1 *2 $3 2-0 *4 $1 a $1 3 $1 b $1 4 *2 $3 1-2 *2 $1 a "
                             "$1 2 *2 $3 1-1 *2 $1 a $1 1");
    check("xrange s 1 1", "*2 *2 $3 1-1 *2 $1 a $1 1 *2 $3 1-2 *2 $1 a $1 2");
    check("xrange s 1-2 2", "*2 *2 $3 1-2 *2 $1 a $1 2 *2 $3 2-0 *4 $1 a $1 3 $1 b $1 4");
    check("xrange s (1-1 (3",
          "*3 *2 $3 1-2 *2 $1 a $1 2 *2 $3 2-0 *4 $1 a $1 3 $1 b $1 4 *2 $3 3-0 *2 $1 a $1 1");
    check("xrange s (1-1 (3-0", "*2 *2 $3 1-2 *2 $1 a $1 2 *2 $3 2-0 *4 $1 a $1 3 $1 b $1 4");
    check("xrevrange s (3-0 (1-1", "*2 *2 $3 2-0 *4 $1 a $1 3 $1 b $1 4 *2 $3 1-2 *2 $1 a $1 2");
    check("xrange s - + count 2", "*2 *2 $3 1-1 *2 $1 a $1 1 *2 $3 1-2 *2 $1 a $1 2");
    check("xrevrange s + - count 1", "*1 *2 $3 3-0 *2 $1 a $1 1");
    check("xrange s - + count 0", "*-1");
    check("xrange s - + COUNT -5", "*-1");
    check("xrange s - + count x", "-ERR value is not an integer or out of range");
    check("xrange s - + count", "-ERR syntax error");
    check("xrange s - + limit 2", "-ERR syntax error");
    check("xrange s (- +", "-ERR Invalid stream ID specified as stream command argument");
    check("xrange s ( +", "-ERR Invalid stream ID specified as stream command argument");
    check("xrange s (18446744073709551615-18446744073709551615 +", "-ERR invalid start ID for the interval");
    check("xrange s - (0-0", "-ERR invalid end ID for the interval");
    check("xrange s 3 1", "*0");
    check("xrange none - +", "*0");
    check("xrange none - + count 0", "*0");
    check("xrevrange none + -", "*0");
    check("xrange s x +", "-ERR Invalid stream ID specified as stream command argument");
    check("set v v", "+OK");
    check("xrange v - +", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    desk_close();
}

TEST(deleting) {
    desk_open();
    check("xadd s 1-1 a 1", "$3 1-1");
    check("xadd s 2-1 a 1", "$3 2-1");
    check("xadd s 3-1 a 1", "$3 3-1");
    check("xdel s 2-1 2-1 9-9", ":1");
    check("xdel s 1", ":0");
    check("xdel none 1-1", ":0");
    check("xdel s 1-1 x", "-ERR Invalid stream ID specified as stream command argument");
    check("xlen s", ":2");
    check("xdel s 1-1", ":1");
    check("xinfo stream s",
          "*20 $6 length :1 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 3-1 $20 "
          "max-deleted-entry-id $3 2-1 $13 entries-added :3 $23 recorded-first-entry-id $3 3-1 $6 groups :0 "
          "$11 first-entry *2 $3 3-1 *2 $1 a $1 1 $10 last-entry *2 $3 3-1 *2 $1 a $1 1");
    check("xdel s 3-1", ":1");
    check("xinfo stream s",
          "*20 $6 length :0 $15 radix-tree-keys :0 $16 radix-tree-nodes :1 $17 last-generated-id $3 3-1 $20 "
          "max-deleted-entry-id $3 3-1 $13 entries-added :3 $23 recorded-first-entry-id $3 0-0 $6 groups :0 "
          "$11 first-entry $-1 $10 last-entry $-1");
    check("exists s", ":1");
    check("xadd s 3-1 a 1",
          "-ERR The ID specified in XADD is equal or smaller than the target stream top item");
    desk_reload();
    check("xadd s 3-* a 1", "$3 3-2");
    check("xinfo stream s",
          "*20 $6 length :1 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 3-2 $20 "
          "max-deleted-entry-id $3 3-1 $13 entries-added :4 $23 recorded-first-entry-id $3 3-2 $6 groups :0 "
          "$11 first-entry *2 $3 3-2 *2 $1 a $1 1 $10 last-entry *2 $3 3-2 *2 $1 a $1 1");
    desk_close();
}

TEST(trimming) {
    desk_open();
    check("xadd s 1 a 1", "$3 1-0");
    check("xadd s 2 a 1", "$3 2-0");
    check("xadd s 3 a 1", "$3 3-0");
    check("xadd s 4 a 1", "$3 4-0");
    check("xadd s 5 a 1", "$3 5-0");
    check("xtrim s maxlen 4", ":1");
    check("xtrim s maxlen = 4", ":0");
    check("xtrim s maxlen ~ 2", ":0");
    check("xtrim s minid 4", ":2");
    check("xtrim s minid ~ 9", ":2");
    check("xlen s", ":0");
    check("xadd s maxlen 2 6 a 1", "$3 6-0");
    check("xadd s minid 6 7 a 1", "$3 7-0");
    check("xrange s - +", "*2 *2 $3 6-0 *2 $1 a $1 1 *2 $3 7-0 *2 $1 a $1 1");
    check("xadd s maxlen ~ 0 limit 0 8 a 1", "$3 8-0");
    check("xadd s maxlen = 0 8-1 a 1", "$3 8-1");
    check("xlen s", ":0");
    check("exists s", ":1");
    check("xtrim s maxlen -1", "-ERR The MAXLEN argument must be >= 0.");
    check("xtrim s maxlen x", "-ERR value is not an integer or out of range");
    check("xtrim s minid x", "-ERR Invalid stream ID specified as stream command argument");
    check("xtrim s maxlen 1 minid 1",
          "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
    check("xtrim s maxlen 1 limit 1", "-ERR syntax error, LIMIT cannot be used without the special ~ option");
    check("xtrim s maxlen ~ 1 limit -1", "-ERR The LIMIT argument must be >= 0.");
    check("xtrim s maxlen ~ 1 limit x", "-ERR value is not an integer or out of range");
    check("xtrim s limit 1",
          "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
    check("xtrim s limit 0", "-ERR syntax error, XTRIM must be called with a trimming strategy");
    check("xtrim s maxlen ~", "-ERR value is not an integer or out of range");
    check("xtrim s maxlen ~ 1 bogus", "-ERR syntax error");
    check("xtrim none maxlen 1", ":0");
    check("set v v", "+OK");
    check("xtrim v maxlen 1", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    desk_close();
}

TEST(setting_the_last_id) {
    desk_open();
    check("xsetid none 1-1", "-ERR no such key");
    check("xadd s 5-5 a 1", "$3 5-5");
    check("xsetid s 5-4", "-ERR The ID specified in XSETID is smaller than the target stream top item");
    check("xsetid s 9-9", "+OK");
    check("xadd s 9-9 a 1",
          "-ERR The ID specified in XADD is equal or smaller than the target stream top item");
    check("xsetid s 9-9 entriesadded 0",
          "-ERR The entries_added specified in XSETID is smaller than the target stream length");
    check("xsetid s 9-9 entriesadded 7 maxdeletedid 3-3", "+OK");
    check("xinfo stream s",
          "*20 $6 length :1 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 9-9 $20 "
          "max-deleted-entry-id $3 3-3 $13 entries-added :7 $23 recorded-first-entry-id $3 5-5 $6 groups :0 "
          "$11 first-entry *2 $3 5-5 *2 $1 a $1 1 $10 last-entry *2 $3 5-5 *2 $1 a $1 1");
    check("xsetid s 9-9 entriesadded -1", "-ERR entries_added must be positive");
    check("xsetid s 9-9 entriesadded x", "-ERR value is not an integer or out of range");
    check("xsetid s 9-9 maxdeletedid 10",
          "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
    check("xsetid s 9-9 maxdeletedid x", "-ERR Invalid stream ID specified as stream command argument");
    check("xsetid s 9-9 maxdeletedid", "-ERR syntax error");
    check("xsetid s 9-9 bogus 1", "-ERR syntax error");
    check("xsetid s x", "-ERR Invalid stream ID specified as stream command argument");
    check("set v v", "+OK");
    check("xsetid v 1", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    desk_close();
}

TEST(reading) {
    desk_open();
    check("xadd s 1-1 a 1", "$3 1-1");
    check("xadd s 2-1 a 2", "$3 2-1");
    check("xadd t 5-5 b 1", "$3 5-5");
    check("xread streams s 0", "*1 *2 $1 s *2 *2 $3 1-1 *2 $1 a $1 1 *2 $3 2-1 *2 $1 a $1 2");
    check("xread streams s t 1-1 0",
          "*2 *2 $1 s *1 *2 $3 2-1 *2 $1 a $1 2 *2 $1 t *1 *2 $3 5-5 *2 $1 b $1 1");
    check("xread count 1 streams s 0", "*1 *2 $1 s *1 *2 $3 1-1 *2 $1 a $1 1");
    check("xread streams s 2-1", "*-1");
    check("xread streams s $", "*-1");
    check("xread streams none 0", "*-1");
    check("xread streams none s 0 1-1", "*1 *2 $1 s *1 *2 $3 2-1 *2 $1 a $1 2");
    desk.resp = 3;
    check("xread streams s t 1-1 0", "%2 $1 s *1 *2 $3 2-1 *2 $1 a $1 2 $1 t *1 *2 $3 5-5 *2 $1 b $1 1");
    check("xread streams s 2-1", "_");
    desk.resp = 2;
    check("xread streams s t 1",
          "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.");
    check("xread count x streams s 0", "-ERR value is not an integer or out of range");
    check("xread bogus streams s 0", "-ERR syntax error");
    check("xread noack streams s 0",
          "-ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
    check("xread group g c streams s 0",
          "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
    check("xread streams s >", "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP "
                               "<group> <consumer> option.");
    check("xread streams s x", "-ERR Invalid stream ID specified as stream command argument");
    check("xread streams s -", "-ERR Invalid stream ID specified as stream command argument");
    check("xread block x streams s 0", "-ERR timeout is not an integer or out of range");
    check("xread block -1 streams s 0", "-ERR timeout is negative");
    check("set v v", "+OK");
    check("xread streams s v 0 0", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    desk_close();
}

TEST(groups) {
    desk_open();
    check("xgroup create s g $",
          "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use "
          "the MKSTREAM option to create an empty stream automatically.");
    check("xgroup create s g $ mkstream", "+OK");
    check("xgroup create s g 0", "-BUSYGROUP Consumer Group name already exists");
    check("xgroup create s h 0 entriesread 5", "+OK");
    check("xgroup create s i 0 entriesread -2", "-ERR value for ENTRIESREAD must be positive or -1");
    check("xgroup create s i 0 bogus",
          "-ERR unknown subcommand or wrong number of arguments for 'create'. Try XGROUP HELP.");
    check("xgroup create s i x", "-ERR Invalid stream ID specified as stream command argument");
    check("xgroup createconsumer s g alice", ":1");
    check("xgroup createconsumer s g alice", ":0");
    check("xgroup createconsumer s none alice", "-NOGROUP No such consumer group 'none' for key name 's'");
    check("xgroup createconsumer none g alice",
          "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use "
          "the MKSTREAM option to create an empty stream automatically.");
    check("xadd s 1-1 a 1", "$3 1-1");
    check("xadd s 2-1 a 2", "$3 2-1");
    check("xadd s 3-1 a 3", "$3 3-1");
    check("xreadgroup group g alice count 1 streams s >", "*1 *2 $1 s *1 *2 $3 1-1 *2 $1 a $1 1");
    check("xreadgroup group g bob streams s >",
          "*1 *2 $1 s *2 *2 $3 2-1 *2 $1 a $1 2 *2 $3 3-1 *2 $1 a $1 3");
    check("xreadgroup group g bob streams s >", "*-1");
    check("xreadgroup group g alice streams s 0", "*1 *2 $1 s *1 *2 $3 1-1 *2 $1 a $1 1");
    check("xreadgroup group g alice streams s 1-1", "*1 *2 $1 s *0");
    check("xreadgroup group h carl noack count 2 streams s >",
          "*1 *2 $1 s *2 *2 $3 1-1 *2 $1 a $1 1 *2 $3 2-1 *2 $1 a $1 2");
    check("xinfo groups s", "*2 *12 $4 name $1 g $9 consumers :2 $7 pending :3 $17 last-delivered-id $3 3-1 "
                            "$12 entries-read :3 $3 lag :0 *12 $4 name $1 h $9 consumers :1 $7 pending :0 "
                            "$17 last-delivered-id $3 2-1 $12 entries-read :7 $3 lag :-4");
    check("xpending s g", "*4 :3 $3 1-1 $3 3-1 *2 *2 $5 alice $1 1 *2 $3 bob $1 2");
    check("xpending s h", "*4 :0 $-1 $-1 *-1");
    check("xdel s 2-1", ":1");
    check("xreadgroup group g bob streams s 0", "*1 *2 $1 s *2 *2 $3 2-1 *-1 *2 $3 3-1 *2 $1 a $1 3");
    check("xinfo groups s", "*2 *12 $4 name $1 g $9 consumers :2 $7 pending :3 $17 last-delivered-id $3 3-1 "
                            "$12 entries-read :3 $3 lag :0 *12 $4 name $1 h $9 consumers :1 $7 pending :0 "
                            "$17 last-delivered-id $3 2-1 $12 entries-read :7 $3 lag $-1");
    desk.resp = 3;
    check("xreadgroup group g bob streams s 0", "%1 $1 s *2 *2 $3 2-1 _ *2 $3 3-1 *2 $1 a $1 3");
    desk.resp = 2;
    check("xack s g 1-1 1-1 9-9", ":1");
    check("xack s none 1-1", ":0");
    check("xack none g 1-1", ":0");
    check("xack s g 1-1 x", "-ERR Invalid stream ID specified as stream command argument");
    check("xpending s g", "*4 :2 $3 2-1 $3 3-1 *1 *2 $3 bob $1 2");
    check("xgroup delconsumer s g bob", ":2");
    check("xgroup delconsumer s g bob", ":0");
    check("xpending s g", "*4 :0 $-1 $-1 *-1");
    check("xgroup setid s g 1-1", "+OK");
    check("xgroup setid s g 2 entriesread 1", "+OK");
    check("xgroup setid s none 2", "-NOGROUP No such consumer group 'none' for key name 's'");
    check("xinfo groups s", "*2 *12 $4 name $1 g $9 consumers :1 $7 pending :0 $17 last-delivered-id $3 2-0 "
                            "$12 entries-read :1 $3 lag $-1 *12 $4 name $1 h $9 consumers :1 $7 pending :0 "
                            "$17 last-delivered-id $3 2-1 $12 entries-read :7 $3 lag $-1");
    desk_reload();
    check("xinfo groups s", "*2 *12 $4 name $1 g $9 consumers :1 $7 pending :0 $17 last-delivered-id $3 2-0 "
                            "$12 entries-read :1 $3 lag $-1 *12 $4 name $1 h $9 consumers :1 $7 pending :0 "
                            "$17 last-delivered-id $3 2-1 $12 entries-read :7 $3 lag $-1");
    check("xgroup destroy s h", ":1");
    check("xgroup destroy s h", ":0");
    check("xgroup destroy none h",
          "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use "
          "the MKSTREAM option to create an empty stream automatically.");
    check("xreadgroup group none c streams s >",
          "-NOGROUP No such key 's' or consumer group 'none' in XREADGROUP with GROUP option");
    check("xreadgroup group g c streams none >",
          "-NOGROUP No such key 'none' or consumer group 'g' in XREADGROUP with GROUP option");
    check("xreadgroup group g c streams s $",
          "-ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this "
          "consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just "
          "return an empty result set.");
    check("xreadgroup count 1 noack noack streams s >", "-ERR Missing GROUP option for XREADGROUP");
    check("set v v", "+OK");
    check("xgroup create v g $ mkstream",
          "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("xinfo groups v", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("xinfo groups none", "-ERR no such key");
    check("xinfo consumers s none", "-NOGROUP No such consumer group 'none' for key name 's'");
    check("xinfo stream s bogus",
          "-ERR unknown subcommand or wrong number of arguments for 'stream'. Try XINFO HELP.");
    check("xinfo stream s full count",
          "-ERR unknown subcommand or wrong number of arguments for 'stream'. Try XINFO HELP.");
    check("xinfo stream s full count x", "-ERR value is not an integer or out of range");
    desk_close();
}

TEST(ids_follow_the_clock) {
    desk_open();
    check("xadd s * a 1", "$15 1700000000000-0");
    check("xadd s * a 1", "$15 1700000000000-1");
    desk.now_ms -= 5; /* a clock that went back does not show */
    check("xadd s * a 1", "$15 1700000000000-2");
    desk.now_ms += 6;
    check("xadd s * a 1", "$15 1700000000001-0");
    check("xadd s 1700000000001-18446744073709551615 a 1", "$34 1700000000001-18446744073709551615");
    check("xadd s 1700000000001-* a 1",
          "-ERR The ID specified in XADD is equal or smaller than the target stream top item");
    check("xadd s * a 1", "$15 1700000000002-0");
    desk_close();
}

TEST(what_is_idle_changes_hands) {
    desk_open();
    check("xgroup create s g 0 mkstream", "+OK");
    check("xadd s 1-1 a 1", "$3 1-1");
    check("xadd s 2-1 a 2", "$3 2-1");
    check("xadd s 3-1 a 3", "$3 3-1");
    check("xreadgroup group g a count 2 streams s >",
          "*1 *2 $1 s *2 *2 $3 1-1 *2 $1 a $1 1 *2 $3 2-1 *2 $1 a $1 2");
    desk.now_ms += 100;
    check("xreadgroup group g b streams s >", "*1 *2 $1 s *1 *2 $3 3-1 *2 $1 a $1 3");
    desk.now_ms += 50;
    check("xpending s g", "*4 :3 $3 1-1 $3 3-1 *2 *2 $1 a $1 2 *2 $1 b $1 1");
    check("xpending s g - + 10", "*3 *4 $3 1-1 $1 a :150 :1 *4 $3 2-1 $1 a :150 :1 *4 $3 3-1 $1 b :50 :1");
    check("xpending s g idle 100 - + 10", "*2 *4 $3 1-1 $1 a :150 :1 *4 $3 2-1 $1 a :150 :1");
    check("xpending s g idle 10 (1 (3-1 10 a", "*2 *4 $3 1-1 $1 a :150 :1 *4 $3 2-1 $1 a :150 :1");
    check("xpending s g - + 1 b", "*1 *4 $3 3-1 $1 b :50 :1");
    check("xpending s g - + 10 nobody", "*0");
    check("xpending s g - + 0", "*0");
    check("xpending s g idle 10", "-ERR syntax error");
    check("xpending s g - +", "-ERR syntax error");
    check("xpending s none", "-NOGROUP No such key 's' or consumer group 'none'");
    check("xinfo consumers s g",
          "*2 *6 $4 name $1 a $7 pending :2 $4 idle :150 *6 $4 name $1 b $7 pending :1 $4 idle :50");
    check("xclaim s g c 100 1-1 3-1", "*1 *2 $3 1-1 *2 $1 a $1 1");
    check("xclaim s g c 0 3-1 justid", "*1 $3 3-1");
    check("xclaim s g c 0 9-9 idle 7", "*0");
    check("xpending s g - + 10", "*3 *4 $3 1-1 $1 c :0 :2 *4 $3 2-1 $1 a :150 :1 *4 $3 3-1 $1 c :0 :1");
    check("xclaim s g a 0 3-1 idle 1000 retrycount 9", "*1 *2 $3 3-1 *2 $1 a $1 3");
    check("xclaim s g a 0 1-1 time 1600000000000 justid", "*1 $3 1-1");
    check("xpending s g - + 10 a",
          "*3 *4 $3 1-1 $1 a :100000000150 :2 *4 $3 2-1 $1 a :150 :1 *4 $3 3-1 $1 a :1000 :9");
    desk_reload();
    check("xautoclaim s g d 500 - count 1", "*3 $3 2-1 *1 *2 $3 1-1 *2 $1 a $1 1 *0");
    check("xdel s 2-1", ":1");
    check("xautoclaim s g d 100 (1-1 justid", "*3 $3 0-0 *1 $3 3-1 *1 $3 2-1");
    check("xautoclaim s g e 100 -", "*3 $3 0-0 *0 *0");
    check("xinfo consumers s g",
          "*4 *6 $4 name $1 a $7 pending :0 $4 idle :0 *6 $4 name $1 b $7 pending :0 $4 idle "
          ":50 *6 $4 name $1 c $7 pending :0 $4 idle :0 *6 $4 name $1 d $7 pending :2 $4 idle :0");
    check("xack s g 1-1 3-1", ":2");
    check("xclaim s g a 0 1-1", "*0");
    check("xclaim s g a 0 1-1 force lastid 7", "*1 *2 $3 1-1 *2 $1 a $1 1");
    check("xclaim s g a 0 2-1 force", "*0");
    check("xpending s g - + 10", "*1 *4 $3 1-1 $1 a :0 :2");
    check("xinfo groups s",
          "*1 *12 $4 name $1 g $9 consumers :4 $7 pending :1 $17 last-delivered-id $3 7-0 $12 "
          "entries-read :3 $3 lag :0");
    check("xclaim s g a x 1-1", "-ERR Invalid min-idle-time argument for XCLAIM");
    check("xclaim s g a 0 1-1 bogus", "-ERR Unrecognized XCLAIM option 'bogus'");
    check("xclaim s g a 0 1-1 idle x", "-ERR Invalid IDLE option argument for XCLAIM");
    check("xautoclaim s g a x 0", "-ERR Invalid min-idle-time argument for XAUTOCLAIM");
    check("xautoclaim s g a 0 0 count 0", "-ERR COUNT must be > 0");
    check("xautoclaim s g a 0 0 bogus", "-ERR syntax error");
    check("xautoclaim s none a 0 0", "-NOGROUP No such key 's' or consumer group 'none'");
    desk_close();
}

TEST(history_is_delivered_again) {
    desk_open();
    check("xgroup create s g 0 mkstream", "+OK");
    check("xadd s 1-1 a 1", "$3 1-1");
    check("xreadgroup group g c streams s >", "*1 *2 $1 s *1 *2 $3 1-1 *2 $1 a $1 1");
    desk.now_ms += 70;
    check("xreadgroup group g c streams s 0", "*1 *2 $1 s *1 *2 $3 1-1 *2 $1 a $1 1");
    check("xpending s g - + 1", "*1 *4 $3 1-1 $1 c :0 :2");
    check("xdel s 1-1", ":1");
    desk.now_ms += 70;
    check("xreadgroup group g c streams s 0", "*1 *2 $1 s *1 *2 $3 1-1 *-1");
    check("xpending s g - + 1", "*1 *4 $3 1-1 $1 c :70 :2");
    desk_close();
}

/* --- waiting --- */

static struct cmd_wait waited;

/* As a leader runs it for a connection. */
static const char *run_waiting(const char *line) {
    waited = (struct cmd_wait){0};
    desk.wait = &waited;
    const char *got = run(line);
    desk.wait = NULL;
    return got;
}

TEST(nobody_waits_where_nobody_can) {
    desk_open();
    check("xread block 0 streams s 0", "*-1");
    check("xgroup create s g $ mkstream", "+OK");
    check("xreadgroup group g c block 0 streams s >", "*-1");
    check("xreadgroup group g c block 0 streams s 0", "*1 *2 $1 s *0");
    desk_close();
}

TEST(what_is_new_is_waited_for) {
    desk_open();
    EXPECT_EQ_STR(run_waiting("xread count 3 block 1500 streams s t 0 $"), "");
    EXPECT(waited.waits);
    EXPECT_EQ_INT(waited.type, OBJECT_STREAM);
    EXPECT_EQ_INT(waited.first_key, 6);
    EXPECT_EQ_INT(waited.key_count, 2);
    EXPECT_EQ_INT(waited.timeout_ms, 1500);
    check("xadd t 5-5 a 1", "$3 5-5");
    EXPECT_EQ_STR(run_waiting("xread block 0 streams t s $ 0"), "");
    EXPECT(waited.waits);
    EXPECT_EQ_INT(waited.timeout_ms, 0);
    EXPECT_EQ_STR(run_waiting("xread block 0 streams s t 0 0"), "*1 *2 $1 t *1 *2 $3 5-5 *2 $1 a $1 1");
    EXPECT(!waited.waits);
    EXPECT_EQ_STR(run_waiting("xread streams s 0"), "*-1");
    EXPECT(!waited.waits);
    desk_close();
}

TEST(who_waited_is_served_from_the_stream_that_is_ready) {
    desk_open();
    check("xadd s 1-1 a 1", "$3 1-1");
    check("xgroup create s g 0", "+OK");
    check("xgroup create t g 0 mkstream", "+OK");
    check("_serve s xreadgroup group g c block 0 streams t s > >", "*1 *2 $1 s *1 *2 $3 1-1 *2 $1 a $1 1");
    EXPECT_EQ_STR(run_waiting("_serve s xreadgroup group g c block 0 streams t s > >"), "");
    EXPECT(waited.waits);
    check("xgroup destroy s g", ":1");
    check("_serve s xreadgroup group g c block 0 streams t s > >",
          "-NOGROUP the consumer group this client was blocked on no longer exists");
    check("del s", ":1");
    check("_serve s xreadgroup group g c block 0 streams t s > >",
          "-UNBLOCKED the stream key no longer exists");
    EXPECT_EQ_STR(run_waiting("_serve s xread block 0 streams t s 0 0"), "");
    EXPECT(waited.waits);
    check("set s v", "+OK");
    EXPECT_EQ_STR(run_waiting("_serve s xread block 0 streams t s 0 0"), "");
    EXPECT(waited.waits);
    desk_close();
}

TEST_MAIN
