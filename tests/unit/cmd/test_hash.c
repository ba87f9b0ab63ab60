/* The commands of hashes, against what Redis 7.0 answers. */
#include "support.h"

#include "num.h"

#define NOT_INT   "-ERR value is not an integer or out of range"
#define SYNTAX    "-ERR syntax error"
#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"

TEST(fields_come_and_go) {
    desk_open();
    check("hset h a 1 b 2 a 3", ":2");
    check("hget h a", "$1 3");
    check("hget h c", "$-1");
    check("hget none a", "$-1");
    check("hmget h b c a", "*3 $1 2 $-1 $1 3");
    check("hmget none a b", "*2 $-1 $-1");
    check("hlen h", ":2");
    check("hlen none", ":0");
    check("hexists h a", ":1");
    check("hexists h c", ":0");
    check("hexists none a", ":0");
    check("hstrlen h a", ":1");
    check("hset h long \"twelve bytes\" n -123", ":2");
    check("hstrlen h long", ":12");
    check("hstrlen h n", ":4");
    check("hstrlen h c", ":0");
    check("hstrlen none a", ":0");
    check("hmset h x y", "+OK");
    check("hsetnx h x z", ":0");
    check("hsetnx h z 1", ":1");
    check("hsetnx fresh z 1", ":1");
    check("type fresh", "+hash");
    check("hkeys h", "*6 $1 a $1 b $4 long $1 n $1 x $1 z");
    check("hvals h", "*6 $1 3 $1 2 $12 twelve bytes $4 -123 $1 y $1 1");
    check("hdel h a nosuch long b", ":3");
    check("hdel none a", ":0");
    check("hgetall h", "*6 $1 n $4 -123 $1 x $1 y $1 z $1 1");
    check("hdel h n x z a", ":3");
    check("exists h", ":0");
    desk_close();
}

TEST(empty_fields_and_values_are_fields_and_values) {
    desk_open();
    check("hset h \"\" \"\"", ":1");
    check("hget h \"\"", "$0 ");
    check("hexists h \"\"", ":1");
    check("hstrlen h \"\"", ":0");
    check("hset h 01 x 1 y", ":2"); /* a canonical integer is another field than one that is not */
    check("hget h 1", "$1 y");
    check("hget h 01", "$1 x");
    desk_close();
}

TEST(arguments_are_counted_before_the_type_is_looked_at) {
    desk_open();
    check("set s v", "+OK");
    check("hset s a b c", "-ERR wrong number of arguments for 'hset' command");
    check("hmset s a b c", "-ERR wrong number of arguments for 'hmset' command");
    check("hset s a b", WRONGTYPE);
    check("hmset s a b", WRONGTYPE);
    check("hsetnx s a b", WRONGTYPE);
    check("hget s a", WRONGTYPE);
    check("hmget s a", WRONGTYPE);
    check("hgetall s", WRONGTYPE);
    check("hkeys s", WRONGTYPE);
    check("hvals s", WRONGTYPE);
    check("hlen s", WRONGTYPE);
    check("hexists s a", WRONGTYPE);
    check("hstrlen s a", WRONGTYPE);
    check("hdel s a", WRONGTYPE);
    check("hincrby s a x", NOT_INT);
    check("hincrby s a 1", WRONGTYPE);
    check("hincrbyfloat s a x", "-ERR value is not a valid float");
    check("hincrbyfloat s a 1", WRONGTYPE);
    check("hrandfield s", WRONGTYPE);
    check("hrandfield s x", NOT_INT);
    check("hrandfield s 1", WRONGTYPE);
    check("hscan s x", "-ERR invalid cursor");
    check("hscan s 0 bogus", WRONGTYPE);
    check("hset h f v", ":1");
    check("get h", WRONGTYPE);
    desk_close();
}

TEST(integers_add_up) {
    desk_open();
    check("hincrby h n 5", ":5");
    check("hincrby h n -7", ":-2");
    check("hget h n", "$2 -2");
    check("hset h max 9223372036854775807", ":1");
    check("hincrby h max 1", "-ERR increment or decrement would overflow");
    check("hincrby h max -1", ":9223372036854775806");
    check("hset h text 1.5 zeros 01", ":2");
    check("hincrby h text 1", "-ERR hash value is not an integer");
    check("hincrby h zeros 1", "-ERR hash value is not an integer");
    check("hincrby none n x", NOT_INT);
    check("exists none", ":0");
    desk_close();
}

TEST(floats_add_up) {
    desk_open();
    check("hincrbyfloat h n 10.5", "$4 10.5");
    check("hincrbyfloat h n -0.5", "$2 10");
    check("hincrby h n 1", ":11");
    check("hset h text abc inf inf", ":2");
    check("hincrbyfloat h text 1", "-ERR hash value is not a float");
    check("hincrbyfloat h inf 1", "-ERR increment would produce NaN or Infinity");
    check("hincrbyfloat h n inf", "-ERR value is NaN or Infinity");
    check("hincrbyfloat none n nan", "-ERR value is not a valid float");
    check("exists none", ":0");
    check("hset big n 1", ":1");
    check("object encoding big", "$8 listpack");
    EXPECT(strncmp(run("hincrbyfloat big n 1e300"), "$301 ", 5) == 0);
    check("object encoding big", "$9 hashtable"); /* a sum can be too long for a listpack, too */
    desk_close();
}

TEST(replies_in_resp3) {
    desk_open();
    desk.resp = 3;
    check("hset h f 1", ":1");
    check("hgetall h", "%1 $1 f $1 1");
    check("hgetall none", "%0");
    check("hkeys h", "*1 $1 f");
    check("hvals none", "*0");
    check("hget h none", "_");
    check("hrandfield h", "$1 f");
    check("hrandfield none", "_");
    check("hrandfield none 5", "*0");
    check("hrandfield h 5", "*1 $1 f");
    check("hrandfield h 5 withvalues", "*1 *2 $1 f $1 1");
    check("hrandfield h -2 withvalues", "*2 *2 $1 f $1 1 *2 $1 f $1 1");
    check("hscan h 0", "*2 $1 0 *2 $1 f $1 1");
    desk_close();
}

TEST(fields_at_random) {
    desk_open();
    check("hset h f 1", ":1");
    check("hrandfield h 0", "*0");
    check("hrandfield h 1", "*1 $1 f");
    check("hrandfield h 10 withvalues", "*2 $1 f $1 1");
    check("hrandfield h -3", "*3 $1 f $1 f $1 f");
    check("hrandfield h -2 WITHVALUES", "*4 $1 f $1 1 $1 f $1 1");
    check("hrandfield h 1 bogus", SYNTAX);
    check("hrandfield h 1 withvalues x", SYNTAX);
    check("hrandfield none x bogus", NOT_INT);
    check("hrandfield h -9223372036854775808",
          "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
    check("hrandfield h 9223372036854775807 withvalues", "-ERR value is out of range");
    check("hrandfield h -4611686018427387904 withvalues", "-ERR value is out of range");
    check("hrandfield h -4611686018427387903",
          "-ERR value is out of range"); /* ours: Redis would fill memory */
    check("hset h g 2", ":1");
    check("hrandfield h 2 withvalues", "*4 $1 f $1 1 $1 g $1 2"); /* in order: Redis's promise is less */
    desk_close();
}

TEST(small_ones_are_scanned_at_once) {
    desk_open();
    check("hset h a 1 b 2 c1 3", ":3");
    check("hscan h 0", "*2 $1 0 *6 $1 a $1 1 $1 b $1 2 $2 c1 $1 3");
    check("hscan h 77 count 1", "*2 $1 0 *6 $1 a $1 1 $1 b $1 2 $2 c1 $1 3");
    check("hscan h 0 match c*", "*2 $1 0 *2 $2 c1 $1 3");
    check("hscan h 0 match * count 100", "*2 $1 0 *6 $1 a $1 1 $1 b $1 2 $2 c1 $1 3");
    check("hscan h 0 type hash", SYNTAX);
    check("hscan h 0 count 0", SYNTAX);
    check("hscan h 0 count x", NOT_INT);
    check("hscan h 0 match", SYNTAX);
    check("hscan none 0 bogus", "*2 $1 0 *0");
    check("hscan none x", "-ERR invalid cursor");
    desk_close();
}

/* Fills `key` with fields f0 ... and values 0 ...; a long field makes it a hash table at once. */
static void fill(const char *name, int count) {
    char line[128];
    for (int i = 0; i < count; i++) {
        snprintf(line, sizeof line, "hset %s f%d %d", name, i, i);
        check(line, ":1");
    }
}

TEST(big_ones_are_scanned_page_by_page_and_come_back_from_disk) {
    desk_open();
    fill("h", 2000);
    check("object encoding h", "$9 hashtable");
    desk_reload();
    check("object encoding h", "$9 hashtable");
    check("hlen h", ":2000");
    check("hget h f1234", "$4 1234");
    char cursor[32] = "0", line[128];
    int pages = 0, fields = 0;
    do {
        snprintf(line, sizeof line, "hscan h %s count 50", cursor);
        const char *reply = run(line);
        int entries;
        EXPECT(sscanf(reply, "*2 $%*d %31s *%d", cursor, &entries) == 2);
        fields += entries / 2;
        pages++;
    } while (strcmp(cursor, "0") != 0);
    EXPECT(fields >= 2000);
    EXPECT(fields < 2050);
    EXPECT(pages > 10);
    check("hscan h 4503599627370496", "*2 $1 0 *0");
    check("hscan h 18446744073709551615", "*2 $1 0 *0");
    desk_close();
}

TEST(encodings_follow_the_limits) {
    desk_open();
    fill("h", 512);
    check("object encoding h", "$8 listpack");
    check("hset h one more", ":1");
    check("object encoding h", "$9 hashtable");
    check("hdel h one", ":1");
    check("object encoding h", "$9 hashtable");
    check("hset v f 1234567890123456789012345678901234567890123456789012345678901234", ":1");
    check("object encoding v", "$8 listpack");
    check("hset v f 12345678901234567890123456789012345678901234567890123456789012345", ":0");
    check("object encoding v", "$9 hashtable");
    check("hset v f x", ":0");
    desk_reload();
    check("object encoding v", "$9 hashtable");
    check("hgetall v", "*2 $1 f $1 x");
    desk_close();
}

TEST(deadlines_stay_with_the_key) {
    desk_open();
    check("hset h f v", ":1");
    check("pexpire h 100", ":1");
    check("hset h g v", ":1");
    check("pttl h", ":100");
    desk.now_ms += 100;
    check("hget h f", "$-1");
    check("hset h new v", ":1");
    check("hlen h", ":1");
    check("pttl h", ":-1");
    desk_close();
}

TEST_MAIN
