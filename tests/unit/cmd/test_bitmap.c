/* SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP and BITFIELD, against what Redis 7.0 answers. */
#include "support.h"

#define NOT_INT    "-ERR value is not an integer or out of range"
#define SYNTAX     "-ERR syntax error"
#define BAD_OFFSET "-ERR bit offset is not an integer or out of range"
#define BAD_BIT    "-ERR bit is not an integer or out of range"
#define BAD_TYPE                                                                                             \
    "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."

static uint64_t changes(void) {
    struct ks_stats stats;
    ks_stats(desk.ks, &stats);
    return stats.changes;
}

TEST(single_bits) {
    desk_open();
    check("getbit k 0", ":0");
    check("setbit k 1 1", ":0");
    check("get k", "$1 @");
    check("setbit k 1 1", ":1");
    check("setbit k 17 1", ":0");
    check("strlen k", ":3");
    check("getbit k 17", ":1");
    check("getbit k 18", ":0");
    check("getbit k 4294967295", ":0");
    check("setbit k 17 0", ":1");
    check("strlen k", ":3");
    check("set n 1", "+OK");
    check("getbit n 2", ":1"); /* of the text "1", 0x31 */
    check("setbit n 6 1", ":0");
    check("get n", "$1 3");
    check("object encoding n", "$3 raw");
    check("getbit k -1", BAD_OFFSET);
    check("getbit k x", BAD_OFFSET);
    check("getbit k #1", BAD_OFFSET);
    check("getbit k 4294967296", BAD_OFFSET);
    check("setbit k 4294967296 x", BAD_OFFSET);
    check("setbit k 0 2", BAD_BIT);
    check("setbit k 0 -1", BAD_BIT);
    check("setbit k 0 x", BAD_BIT);
    desk_close();
}

TEST(a_bit_that_stays_is_no_change_but_makes_the_value_raw) {
    desk_open();
    check("set k a", "+OK");
    check("setbit k 0 0", ":0");
    check("object encoding k", "$3 raw");
    uint64_t before = changes();
    check("setbit k 0 0", ":0");
    check("setbit k 1 1", ":1");
    EXPECT_EQ_INT(changes(), before);
    check("setbit k 9 0", ":0"); /* grows */
    EXPECT_EQ_INT(changes(), before + 1);
    check("setbit new 9 0", ":0");
    EXPECT_EQ_INT(changes(), before + 2);
    check("bitfield new set u4 0 1 get u4 0 set u4 4 0", "*3 :0 :1 :0");
    EXPECT_EQ_INT(changes(), before + 3);
    check("bitfield fresh set u4 0 1 set u4 4 0", "*2 :0 :0");
    EXPECT_EQ_INT(changes(), before + 5);
    check("bitfield fresh get u4 0", "*1 :1");
    EXPECT_EQ_INT(changes(), before + 5);
    desk_close();
}

TEST(bits_survive_the_disk) {
    desk_open();
    check("setbit k 100 1", ":0");
    check("bitop not inverse k", ":13");
    desk_reload();
    check("getbit k 100", ":1");
    check("bitcount inverse", ":103");
    check("object encoding k", "$3 raw");
    desk_close();
}

TEST(counts) {
    desk_open();
    check("bitcount none", ":0");
    check("bitcount none x", ":0"); /* Redis reads no further when there is no key */
    check("bitcount none 0 0 bogus extra", ":0");
    check("set k foobar", "+OK");
    check("bitcount k", ":26");
    check("bitcount k 0 0", ":4");
    check("bitcount k 1 1", ":6");
    check("bitcount k -1 -2", ":0");
    check("bitcount k 0 -1 byte", ":26");
    check("bitcount k 5 30 BIT", ":17");
    check("bitcount k 5 6 bit", ":2");
    check("bitcount k -1000 1000 bit", ":26");
    check("bitcount k 40 7", ":0");
    check("bitcount k 0", SYNTAX);
    check("bitcount k 0 1 bits", SYNTAX);
    check("bitcount k 0 1 bit x", SYNTAX);
    check("bitcount k x 1 bits", NOT_INT);
    check("bitcount k 0 x", NOT_INT);
    check("bitcount k -1 -2 bogus", ":0"); /* decided before the unit is read */
    desk_close();
}

TEST(positions) {
    desk_open();
    check("bitpos none 1", ":-1");
    check("bitpos none 0 x", ":0");
    check("set k \"\\xff\\xf0\\x00\"", "+OK");
    check("bitpos k 0", ":12");
    check("bitpos k 1 2", ":-1");
    check("bitpos k 0 2", ":16");
    check("bitpos k 0 0 0", ":-1");
    check("bitpos k 1 -2 -1", ":8");
    check("bitpos k 0 5 11 bit", ":-1");
    check("bitpos k 0 5 12 bit", ":12");
    check("bitpos k 1 7 15 bit", ":7");
    check("set ones \"\\xff\\xff\\xff\"", "+OK");
    check("bitpos ones 0", ":24"); /* the zeros behind the string count ... */
    check("bitpos ones 0 1", ":24");
    check("bitpos ones 0 0 -1", ":-1"); /* ... unless an end is named */
    check("bitpos ones 0 0 -1 bit", ":-1");
    check("bitpos ones 0 3", ":-1");
    check("set empty \"\"", "+OK");
    check("bitpos empty 0", ":-1");
    check("bitpos empty 0 0 -1", ":-1");
    check("bitpos k 2", "-ERR The bit argument must be 1 or 0.");
    check("bitpos k x", NOT_INT);
    check("bitpos k 1 x 1 bogus", NOT_INT);
    check("bitpos k 1 0 x bogus", SYNTAX);
    check("bitpos k 1 0 x bit", NOT_INT);
    check("bitpos k 1 0 1 bit x", SYNTAX);
    desk_close();
}

TEST(operations_on_whole_strings) {
    desk_open();
    check("set a \"\\x0f\\xf0\"", "+OK");
    check("set b \"\\xff\"", "+OK");
    check("bitop and d a b", ":2");
    check("get d", "$2 \x0f"); /* and a zero byte, which ends this text */
    check("strlen d", ":2");
    check("bitcount d", ":4");
    check("bitop or d a b none", ":2");
    check("bitcount d", ":12");
    check("bitop xor d a b", ":2");
    check("bitcount d", ":8");
    check("bitop not d a", ":2");
    check("bitcount d", ":8");
    check("bitop and d a none", ":2");
    check("bitcount d", ":0");
    check("object encoding d", "$3 raw");
    check("bitop not a a", ":2"); /* onto itself */
    check("bitcount a 0 0", ":4");
    check("set d 1 ex 100", "+OK");
    check("bitop or d a", ":2");
    check("ttl d", ":-1");
    check("bitop or d none", ":0");
    check("exists d", ":0");
    check("set n 12", "+OK");
    check("bitop or d n", ":2");
    check("get d", "$2 12");
    check("object encoding d", "$3 raw");
    check("bitop nand d a b", SYNTAX);
    check("bitop not d a b", "-ERR BITOP NOT must be called with a single source key.");
    desk_close();
}

TEST(fields) {
    desk_open();
    check("bitfield k", "*0");
    check("bitfield k get u8 0", "*1 :0");
    check("exists k", ":0");
    check("bitfield k set i8 0 -100 get i8 0 get u8 0", "*3 :0 :-100 :156");
    check("bitfield k set u8 #1 257", "*1 :0");
    check("bitfield k get u8 8 get u16 0 get i64 0 get u63 100", "*4 :1 :39937 :-7205477928816082944 :0");
    check("bitfield k incrby i8 0 100", "*1 :0");
    check("bitfield k overflow sat incrby i8 0 1000 overflow fail incrby i8 0 1 overflow wrap incrby i8 0 1",
          "*3 :127 $-1 :-128");
    check("bitfield k overflow sat set u4 0 -1 get u4 0", "*2 :8 :15");
    check("bitfield k overflow fail set u4 0 16 get u4 0", "*2 $-1 :15");
    check("bitfield k overflow sat incrby u4 0 -100", "*1 :0");
    check("bitfield k set i64 3 -9223372036854775808 incrby i64 3 -1",
          "*2 :2251799813685248 :9223372036854775807");
    check("bitfield q overflow sat set i30 0 -9223372036854775808 get i30 0", "*2 :0 :536870911"); /* sic */
    check("bitfield q overflow sat set i30 0 -9223372036317904896 get i30 0", "*2 :536870911 :-536870912");
    check("bitfield q overflow sat incrby i30 0 -9223372036854775808", "*1 :-536870912");
    check("bitfield f overflow fail set u1 100 2", "*1 $-1");
    check("strlen f", ":13"); /* room was made before the number was looked at */
    desk.resp = 3;
    check("bitfield k overflow fail set u4 0 16", "*1 _");
    desk_close();
}

TEST(fields_with_mistakes_change_nothing) {
    desk_open();
    static const char *const types[] = {"u64", "i65", "i0", "u0", "x8", "8", "\"\"", "i", "U8", "u-1", "u08"};
    char line[100];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        snprintf(line, sizeof line, "bitfield k set u8 0 1 get %s 0", types[i]);
        check(line, BAD_TYPE);
    }
    check("bitfield k set u8 0", SYNTAX);
    check("bitfield k get u8", SYNTAX);
    check("bitfield k overflow", SYNTAX);
    check("bitfield k overflow x set u8 0 1", "-ERR Invalid OVERFLOW type specified");
    check("bitfield k set u8 0 x", NOT_INT);
    check("bitfield k set u8 -1 1", BAD_OFFSET);
    check("bitfield k set u8 # 1", BAD_OFFSET);
    check("bitfield k set u8 #536870912 1", BAD_OFFSET);
    check("bitfield k set u8 #9223372036854775807 1", BAD_OFFSET);
    check("bitfield k set u2 4294967295 1",
          BAD_OFFSET); /* begins in the last byte, and would end behind it */
    check("bitfield_ro k set u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand");
    check("bitfield_ro k get u8 0 set u8 0 x", NOT_INT);
    check("bitfield_ro k get u8 0", "*1 :0");
    check("bitfield_ro k get u2 4294967295", "*1 :0");
    check("exists k", ":0");
    desk_close();
}

TEST_MAIN
