/* What the libraries of scripts answer, byte for byte as Redis 7.0.15, and what they do with arguments that mean harm: an error, or a
 * run that can be ended, at the same count of work wherever it happens. */
#include "run.h"

#include <time.h>

static struct script_engine *engine;
static struct world world;

static void expect(const char *code, const char *expected) {
    if (engine == NULL) engine = script_engine_new();
    world.checkpoints = 0;
    expect_reply(engine, &world, code, 2, expected);
}

/* The value of an expression, a string, in hex. */
static void expect_hex(const char *expression, const char *hex) {
    char code[500], expected[300];
    snprintf(code, sizeof code,
             "return (string.gsub(%s, '.', function(c) return string.format('%%02x', c:byte()) end))",
             expression);
    snprintf(expected, sizeof expected, "$%zu\r\n%s\r\n", strlen(hex), hex);
    expect(code, expected);
}

/* The text of the error it raises. */
static void expect_error(const char *expression, const char *text) {
    char code[700], expected[300];
    snprintf(code, sizeof code, "return select(2, pcall(function() return %s end))", expression);
    snprintf(expected, sizeof expected, "$%zu\r\n%s\r\n", strlen(text), text);
    expect(code, expected);
}

TEST(msgpack_has_the_shortest_form) {
    expect_hex("cmsgpack.pack(0, 127, 128, 255, 256, 65535, 65536, 2^32 - 1, 2^32)",
               "007fcc80ccffcd0100cdffffce00010000ceffffffffcf0000000100000000");
    expect_hex("cmsgpack.pack(-1, -32, -33, -128, -129, -2^15, -2^15 - 1, -2^31, -2^31 - 1)",
               "ffe0d0dfd080d1ff7fd18000d2ffff7fffd280000000d3ffffffff7fffffff");
    expect_hex("cmsgpack.pack(0.5, 0.1, 1/0, -1/0, 2^63, 1e300)",
               "ca3f000000cb3fb999999999999aca7f800000caff800000ca5f000000cb7e37e43c8800759c");
    expect_hex("cmsgpack.pack(nil, true, false, 'a', {}, {1, 2}, {a = 1})", "c0c3c2a161909201028"
                                                                            "1a16101");
    expect_hex("cmsgpack.pack({[1] = 1, [3] = 3}, {1, nil, 3}, {[0] = 1}, {[1.5] = 1}, tostring)",
               "820101030382010103038100018"
               "1ca3fc0000001c0");
    expect_hex("cmsgpack.pack(('x'):rep(31)):sub(1, 2)", "bf78");
    expect_hex("cmsgpack.pack(('x'):rep(32)):sub(1, 3)", "d92078");
    expect_hex("cmsgpack.pack(('x'):rep(256)):sub(1, 4)", "da010078");
    expect_hex("cmsgpack.pack(('x'):rep(65536)):sub(1, 6)", "db0001000078");
    expect(
        "local t = {} for i = 1, 20 do t = {t} end return cmsgpack.pack(t) == ('\\145'):rep(16) .. '\\192'",
        ":1\r\n");
    expect("return {cmsgpack._NAME, cmsgpack._VERSION}",
           "*2\r\n$8\r\ncmsgpack\r\n$18\r\nlua-cmsgpack 0.4.0\r\n");
}

TEST(msgpack_is_read_back) {
    expect("return {cmsgpack.unpack('\\1\\161a\\192')}", "*2\r\n:1\r\n$1\r\na\r\n");
    expect("return {cmsgpack.unpack_one('abc')}", "*2\r\n:1\r\n:97\r\n");
    expect("return {cmsgpack.unpack_one('abc', 2)}", "*2\r\n:-1\r\n:99\r\n");
    expect("return {cmsgpack.unpack_limit('abc', 2, 0)}", "*3\r\n:2\r\n:97\r\n:98\r\n");
    expect("return {cmsgpack.unpack_limit('abc', 0, 1)}", "*1\r\n:1\r\n");
    expect("return {cmsgpack.unpack('')}", "*0\r\n");
    expect("return cmsgpack.unpack('\\207\\255\\255\\255\\255\\255\\255\\255\\255')", ":-1\r\n");
    expect("return cmsgpack.unpack('\\147\\1\\144\\129\\161a\\2')[3].a", ":2\r\n");
    expect("local t = {1, {a = {true, 'x'}, b = 2.5}, -7} local u = cmsgpack.unpack(cmsgpack.pack(t)) "
           "return {u[1], u[2].a[2], u[2].b * 2, u[3]}",
           "*4\r\n:1\r\n$1\r\nx\r\n:5\r\n:-7\r\n");
    expect("local t = {} for i = 1, 3000 do t[i] = {[i] = {}} end return #cmsgpack.unpack(cmsgpack.pack(t))",
           ":3000\r\n");
    expect("local t = cmsgpack.unpack(('\\145'):rep(100) .. 'a') local n = 0 "
           "while type(t) == 'table' do t = t[1] n = n + 1 end return n",
           ":100\r\n");
}

TEST(msgpack_of_strangers_is_an_error) {
    expect_error("cmsgpack.unpack('\\193')", "user_script:1: Bad data format in input.");
    expect_error("cmsgpack.unpack('\\196')", "user_script:1: Bad data format in input.");
    expect_error("cmsgpack.unpack('\\146\\1')", "user_script:1: Missing bytes in input.");
    expect_error("cmsgpack.unpack('\\221\\255\\255\\255\\255')", "user_script:1: Missing bytes in input.");
    expect_error("cmsgpack.unpack('\\219\\255\\255\\255\\255')", "user_script:1: Missing bytes in input.");
    expect_error("cmsgpack.unpack('\\129\\192\\1')", "table index is nil");
    expect_error("cmsgpack.unpack(('\\145'):rep(10000) .. 'a')",
                 "user_script:1: stack overflow (in function mp_decode_to_lua_array)");
    expect_error(
        "cmsgpack.unpack(('\\129\\1'):rep(10000) .. 'a')",
        "user_script:1: stack overflow (too many return values at once; use unpack_one or unpack_limit "
        "instead.)");
    expect_error(
        "cmsgpack.unpack(('a'):rep(10000))",
        "user_script:1: stack overflow (too many return values at once; use unpack_one or unpack_limit "
        "instead.)");
    expect_error("cmsgpack.unpack_one('a', 5)", "user_script:1: Start offset 5 greater than input length 1.");
    expect_error("cmsgpack.unpack_one('a', -5)",
                 "user_script:1: Invalid request to unpack with offset of -5 and limit of 1.");
    expect_error("cmsgpack.pack()",
                 "user_script:1: bad argument #0 to 'pack' (MessagePack pack needs input.)");
    expect_error("cmsgpack.unpack({})",
                 "user_script:1: bad argument #1 to 'unpack' (string expected, got table)");
    expect_error("cmsgpack.pack({[{}] = 1, [print] = 2})",
                 "user_script:1: Script attempted to access nonexistent global variable 'print'");
    expect_error("cmsgpack.pack({[{}] = 1, [{}] = 2})",
                 "user_script:1: a table whose keys are tables or functions has no order that is the same "
                 "everywhere");
}

TEST(struct_packs) {
    expect_hex("struct.pack('<bhil', 1, 2, 3, 4)", "010200030000000400000000000000");
    expect_hex("struct.pack('>bhI3xd', -1, -2, 3, 0.5)", "fffffe000003003fe0000000000000");
    expect_hex("struct.pack('!8bd!4 bi', 1, 0, 2, 3)", "010000000000000000000000000000000200000003000000");
    expect_hex("struct.pack('sc2c0', 'ab', 'xyz', 'q')", "61620078"
                                                         "7971");
    expect_hex("struct.pack('<I8i32', 2^63, -3)", "0000000000000080fdffffffffffffff"
                                                  "000000000000000000000000000000000000000000000000");
    expect_hex("struct.pack('<I8I8I8', 0/0, 1e30, -1e30)", "0000000000000080"
                                                           "0000000000000000"
                                                           "0000000000000080");
    expect("return {struct.unpack('>I2I2', '\\1\\2\\3\\4')}", "*3\r\n:258\r\n:772\r\n:5\r\n");
    expect("return {struct.unpack('sbc0', 'ab\\0\\2xyz')}", "*3\r\n$2\r\nab\r\n$2\r\nxy\r\n:7\r\n");
    expect("return {struct.unpack('<i2', '\\255\\255\\254\\255', 3)}", "*2\r\n:-2\r\n:5\r\n");
    expect("return {struct.unpack('i16', ('\\255'):rep(16))}", "*2\r\n:-1\r\n:17\r\n");
    expect("return {struct.size('!8bd'), struct.size('bd'), struct.size('i0'), struct.size('y')}",
           "*4\r\n:16\r\n:9\r\n:0\r\n:0\r\n");
    expect("return struct.size('c2000000000c2000000000c2000000000')", ":6000000000\r\n");
}

TEST(struct_believes_no_size) {
    expect_error("struct.pack('i33', 1)", "user_script:1: integral size 33 is larger than limit of 32");
    expect_error("struct.pack('!3i', 1)", "user_script:1: alignment 3 is not a power of 2");
    expect_error("struct.pack('i99999999999', 1)", "user_script:1: integral size overflow");
    expect_error("struct.pack('y', 1)",
                 "user_script:1: bad argument #1 to 'pack' (invalid format option 'y')");
    expect_error("struct.pack('c5', 'abc')", "user_script:1: bad argument #3 to 'pack' (string too short)");
    expect_error("struct.pack('b')", "user_script:1: bad argument #2 to 'pack' (number expected, got nil)");
    expect_error("struct.unpack('i', 'abc')",
                 "user_script:1: bad argument #2 to 'unpack' (data string too short)");
    expect_error("struct.unpack('bc0', '\\255abc')",
                 "user_script:1: bad argument #2 to 'unpack' (data string too short)");
    expect_error("struct.unpack('c2147483647', 'abc', 2^62)",
                 "user_script:1: bad argument #2 to 'unpack' (data string too short)");
    expect_error("struct.unpack('c0', 'abc')", "user_script:1: format 'c0' needs a previous size");
    expect_error("struct.unpack('s', 'abc')", "user_script:1: unfinished string in data");
    expect_error("struct.unpack('i', 'abcd', 0)",
                 "user_script:1: bad argument #3 to 'unpack' (offset must be 1 or greater)");
    expect_error("struct.unpack('i', 'abcd', -5)",
                 "user_script:1: bad argument #2 to 'unpack' (data string too short)");
    expect_error("struct.size('s')",
                 "user_script:1: bad argument #1 to 'size' (option 's' has no fixed size)");
    expect_error("struct.unpack(('b'):rep(10000), ('x'):rep(10000))",
                 "user_script:1: stack overflow (too many results)");
}

TEST(json_settings_end_with_their_script) {
    expect("return cjson.encode({[1] = 1, [2] = {a = cjson.null}})", "$14\r\n[1,{\"a\":null}]\r\n");
    expect("return {cjson.encode_max_depth(2), cjson.encode_number_precision(3), cjson.encode(1/3)}",
           "*3\r\n:2\r\n:3\r\n$5\r\n0.333\r\n");
    expect("return {cjson.encode_max_depth(), cjson.encode(1/3)}",
           "*2\r\n:1000\r\n$16\r\n0.33333333333333\r\n");
    expect("cjson.decode_invalid_numbers(false) cjson.encode_sparse_array(true) return 1", ":1\r\n");
    expect("return {cjson.decode('[0x10]')[1], (pcall(cjson.encode, {[100] = 1}))}", "*2\r\n:16\r\n$-1\r\n");
    expect("local c = cjson.new() c.encode_number_precision(2) return {c.encode(1/3), cjson.encode(0.1)}",
           "*2\r\n$4\r\n0.33\r\n$3\r\n0.1\r\n");
    expect_error("cjson.encode({[tostring] = 1})",
                 "user_script:1: Cannot serialise table: table key must be a number or string");
    expect_error("(function() local t = {1} t[2] = t t[3] = t return cjson.encode(t) end)()",
                 "user_script:1: Cannot serialise, excessive nesting (1001)");
}

/* --- what would take for ever --- */

static const char *const endless[] = {
    "string.find(('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40) .. 'b')",
    "string.match(('a'):rep(300), '.-.-.-.-.-.-.-.-b')",
    "string.gsub(('a'):rep(300), '.*.*.*.*.*.*b', '')",
    "string.gmatch(('a'):rep(300), '.*.*.*.*.*.*b')()",
    "table.insert({}, -2^31, 1)",
    "cjson.encode((function() local t = {1} for i = 1, 60 do t = {t, t} end return t end)())",
    ("cmsgpack.pack((function() local t = {} for i = 1, 999 do t[i] = 1 end for j = 1, 14 do local u = {} "
     "for i = 1, 999 do u[i] = t end t = u end return t end)())"),
    ("table.sort((function() local t = {} for i = 1, 2e6 do t[i] = 1 end return t end)(), function(a, b) "
     "return "
     "string.find(('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40)) == 1 end)"),
};

/* Ended at the second checkpoint, at a count that is the same in another engine. */
TEST(what_would_take_for_ever_can_be_ended) {
    for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
        uint64_t work[2];
        for (int j = 0; j < 2; j++) {
            struct script_engine *e = script_engine_new();
            struct world w = {.end = "ERR ended", .end_at = 2};
            struct script_run run;
            struct buf out = {0};
            char code[800];
            snprintf(code, sizeof code, "return pcall(function() return %s end)", endless[i]);
            run_script(e, &w, code, 2, &run, &out);
            EXPECT_NOTE(out.len > 10 && memcmp(out.data, "-ERR ended", 10) == 0, "%s: %.*s", endless[i],
                        (int)out.len, out.data);
            EXPECT_EQ_INT(w.checkpoints, 2);
            work[j] = run.work;
            buf_free(&out);
            script_engine_free(e);
        }
        EXPECT_EQ_U64(work[0], work[1]);
    }
}

TEST(what_would_need_too_much_memory_is_an_error) {
    static const char *const large[] = {
        "string.rep('x', 2^30)",
        "string.gsub(('a'):rep(1e4), 'a', ('b'):rep(1e5))",
        ("table.concat((function() local s, t = ('x'):rep(1e7), {} for i = 1, 100 do t[i] = s end return t "
         "end)())"),
        "struct.pack('c0c0', ('x'):rep(4e8), ('y'):rep(4e8))",
        "(cjson.encode_sparse_array(false, 0) and 1 or cjson.encode({[2^31 - 1] = 1}))",
    };
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) expect_error(large[i], "not enough memory");
    expect_error("string.find(('a'):rep(1e5), ('a?'):rep(1e5))", "user_script:1: pattern too complex");
}

TEST(shared_tables_stay_as_they_are) {
    expect_error("table.insert(redis, 1)", "Attempt to modify a readonly table");
    expect_error("table.remove(string)", "Attempt to modify a readonly table");
    expect_error("table.sort(_G)", "Attempt to modify a readonly table");
}

TEST_MAIN
