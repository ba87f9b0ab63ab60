/* Libraries of functions: loading, listing, dumping, restoring and calling them. Texts, and what is looked at first, are Redis
 * 7.0.15's. */
#include "support.h"

#include "libraries.h"
#include "rdb_value.h"

#define LOAD    "function load \"#!lua name="
#define REPLACE "function load replace \"#!lua name="
#define F1      "redis.register_function('f1', function() return 1 end)\""
#define REFUSED "-ERR Error registering functions: ERR "
#define NO_NAME                                                                                              \
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character " \
    "long"

/* Libraries are changed while an entry is applied. */
static void begin(void) {
    desk_open();
    ks_begin_entry(desk.ks);
}

TEST(the_first_line_names_the_library) {
    begin();
    check("function load x", "-ERR Missing library metadata");
    check("function load \"#!lua name=a\"", "-ERR Invalid library metadata");
    check("function load \"#!lua\\n\"", "-ERR Library name was not given");
    check("function load \"#!js\\n\"", "-ERR Library name was not given");
    check("function load \"#!js name=x\\n\"", "-ERR Engine 'js' not found");
    check("function load \"#! lua name=x\\n\"", "-ERR Invalid metadata value given: lua");
    check("function load \"#!lua name=a foo=b\\n\"", "-ERR Invalid metadata value given: foo=b");
    check("function load \"#!lua name=a name=b\\n\"",
          "-ERR Invalid metadata value, name argument was given multiple times");
    check("function load \"#!lua name=\\n\"", "-ERR " NO_NAME);
    check("function load \"#!lua name=a-b\\n\"", "-ERR " NO_NAME);
    check("function load \"#!lua name=\\\"a\\n\"", "-ERR Invalid library metadata");
    check("function load \"#!LUA NAME='quoted'\\n" F1, "$6 quoted");
    check("function load foo \"#!lua name=a\\n\"", "-ERR Unknown option given: foo");
    check("function load replace", "-ERR Missing library metadata");
    desk_close();
}

TEST(code_declares_functions) {
    begin();
    check(LOAD "lib\\n" F1, "$3 lib");
    check(LOAD "lib\\n" F1, "-ERR Library 'lib' already exists");
    check(REPLACE "lib\\n" F1, "$3 lib");
    check(LOAD "Lib\\nredis.register_function('f2', function() return 2 end)\"", "$3 Lib");
    check(LOAD "more\\nredis.register_function('F1', function() return 3 end)\"",
          "-ERR Function F1 already exists");
    check(LOAD "more\\nbad syntax\"",
          "-ERR Error compiling function: user_function:2: '=' expected near 'syntax'");
    check(LOAD "more\\n\"", "-ERR No functions registered");
    check(REPLACE "lib\\nfoo()\"",
          REFUSED "user_function:2: Script attempted to access nonexistent global variable 'foo'");
    check(LOAD "more\\na = 1\"", REFUSED "user_function:2: Attempt to modify a readonly table");
    check(LOAD "more\\nredis.x = 1\"", REFUSED "user_function:2: Attempt to modify a readonly table");
    check(LOAD "more\\nreturn redis.call('ping')\"",
          REFUSED "user_function:2: Script attempted to access nonexistent global variable 'call'");
    check(LOAD "more\\nreturn math.random()\"",
          REFUSED "user_function:2: Script attempted to access nonexistent global variable 'math'");
    check(LOAD "more\\nlocal a = 1 while true do a = a + 1 end\"", REFUSED "FUNCTION LOAD timeout");
    check("fcall f1 0", ":1");
    check("fcall F2 0", ":2");
    check("function stats",
          "*4 $14 running_script $-1 $7 engines *2 $3 LUA *4 $15 libraries_count :2 $15 functions_count :2");
    desk_close();
}

TEST(register_function_says_what_is_wrong) {
    static const struct {
        const char *call, *error;
    } calls[] = {
        {"()", "wrong number of arguments to redis.register_function"},
        {"('a', function() end, {})", "wrong number of arguments to redis.register_function"},
        {"('a')", "calling redis.register_function with a single argument is only applicable to Lua table "
                  "(representing named arguments)."},
        {"({}, function() end)", "first argument to redis.register_function must be a string"},
        {"('a', 1)", "second argument to redis.register_function must be a function"},
        {"('a-b', function() end)", NO_NAME},
        {"('a', function() end) redis.register_function('A', function() end)",
         "Function already exists in the library"},
        {"{1, 2}", "unknown argument given to redis.register_function"},
        {"{[{}] = 1}", "named argument key given to redis.register_function is not a string"},
        {"{callback = function() end}", "redis.register_function must get a function name argument"},
        {"{function_name = 'a'}", "redis.register_function must get a callback argument"},
        {"{function_name = {}}", "function_name argument given to redis.register_function must be a string"},
        {"{callback = 5}", "callback argument given to redis.register_function must be a function"},
        {"{description = {}}", "description argument given to redis.register_function must be a string"},
        {"{flags = 'x'}",
         "flags argument to redis.register_function must be a table representing function flags"},
        {"{flags = {'x'}}", "unknown flag given"},
        {"{flags = {function() end}}", "unknown flag given"},
        {"{foo = 1}", "unknown argument given to redis.register_function"},
    };
    begin();
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        char line[500], error[500];
        snprintf(line, sizeof line, "function load \"#!lua name=a\\nredis.register_function%s\"",
                 calls[i].call);
        snprintf(error, sizeof error, REFUSED "%s", calls[i].error);
        check(line, error);
    }
    desk_close();
}

TEST(list_shows_all_or_those_of_a_pattern) {
    begin();
    check("function list", "*0");
    check(LOAD
          "one\\nredis.register_function{function_name='a', callback=function() end, description='what', "
          "flags={'no-writes', 'ALLOW-OOM'}}\"",
          "$3 one");
    check(LOAD "two\\nredis.register_function(5, function() end)\"", "$3 two");
    check("function list libraryname ON*", "*1 *6 $12 library_name $3 one $6 engine $3 LUA $9 functions *1 "
                                           "*6 $4 name $1 a $11 description $4 what "
                                           "$5 flags *2 +no-writes +allow-oom");
    check("function list libraryname two withcode",
          "*1 *8 $12 library_name $3 two $6 engine $3 LUA $9 functions *1 *6 $4 name $1 5 $11 description "
          "$-1 $5 "
          "flags *0 $12 library_code $57 #!lua name=two\nredis.register_function(5, function() end)");
    desk.resp = 3;
    check(
        "function list libraryname two",
        "*1 %3 $12 library_name $3 two $6 engine $3 LUA $9 functions *1 %3 $4 name $1 5 $11 description _ $5 "
        "flags ~0");
    desk.resp = 2;
    check("function list libraryname x", "*0");
    check("function list x", "-ERR Unknown argument x");
    check("function list libraryname", "-ERR library name argument was not given");
    check("function list withcode withcode", "-ERR Unknown argument withcode");
    desk_close();
}

TEST(delete_and_flush) {
    begin();
    check(LOAD "one\\n" F1, "$3 one");
    check("function delete One", "-ERR Library not found");
    check("function delete one", "+OK");
    check("fcall f1 0", "-ERR Function not found");
    check(LOAD "one\\n" F1, "$3 one");
    check(LOAD "two\\nredis.register_function('f2', function() end)\"", "$3 two");
    check("function flush x", "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
    check("function flush sync x",
          "-ERR unknown subcommand or wrong number of arguments for 'flush'. Try FUNCTION HELP.");
    check("function flush async", "+OK");
    check("function list", "*0");
    check(LOAD "three\\n" F1, "$5 three");
    desk_close();
}

TEST(calls) {
    begin();
    check("fcall f x", "-ERR Function not found");
    check(LOAD "lib\\nlocal n = 0 redis.register_function('f', function(keys, args) n = n + 1 "
               "return {n, keys[1], args[1], #keys, #args} end) "
               "redis.register_function{function_name='r', callback=function() return redis.call('set', 'x', "
               "1) end, "
               "flags={'no-writes'}} redis.register_function('globals', function() return KEYS end) "
               "redis.register_function('late', function() redis.register_function('x', function() end) end) "
               "local load_time = redis redis.register_function('later', function() "
               "load_time.register_function('x', function() end) end) "
               "redis.register_function('set', function(k, v) x = 1 end)\"",
          "$3 lib");
    check("fcall f x", "-ERR Bad number of keys provided");
    check("fcall f -1", "-ERR Number of keys can't be negative");
    check("fcall f 1", "-ERR Number of keys can't be greater than number of args");
    check("fcall f 1 k a b", "*5 :1 $1 k $1 a :1 :2");
    check("fcall F 1 k a b", "*5 :1 $1 k $1 a :1 :2"); /* n is as the library was loaded */
    check("fcall_ro f 0", "-ERR Can not execute a script with write flag using *_ro command.");
    check("fcall r 0",
          "-ERR Write commands are not allowed from read-only scripts. script: r, on @user_function:2.");
    check("fcall_ro r 0",
          "-ERR Write commands are not allowed from read-only scripts. script: r, on @user_function:2.");
    check("fcall globals 0",
          "-ERR user_function:2: Script attempted to access nonexistent global variable 'KEYS' "
          "script: globals, on @user_function:2.");
    check("fcall late 0",
          "-ERR user_function:2: attempt to call field 'register_function' (a nil value) script: "
          "late, on @user_function:2.");
    check("fcall later 0",
          "-ERR redis.register_function can only be called on FUNCTION LOAD command script: later, "
          "on @user_function:2.");
    check("fcall set 0",
          "-ERR user_function:2: Attempt to modify a readonly table script: set, on @user_function:2.");
    desk_close();
}

TEST(libraries_come_back_from_disk) {
    begin();
    check(LOAD "lib\\n" F1, "$3 lib");
    desk_reload();
    ks_begin_entry(desk.ks);
    check("fcall f1 0", ":1");
    check(LOAD "other\\n" F1, "-ERR Function f1 already exists");
    desk_close();
}

/* --- DUMP and RESTORE --- */

static struct buf dumped(void) {
    struct slice argv[] = {SLICE("function"), SLICE("dump")};
    struct buf payload = {0};
    run_args(2, argv);
    const char *end = memchr(desk.out.data, '\n', desk.out.len);
    EXPECT(end != NULL);
    size_t head = (size_t)(end - desk.out.data) + 1;
    buf_add(&payload, desk.out.data + head, desk.out.len - head - 2);
    return payload;
}

static void check_restore(struct slice payload, const char *policy, const char *want) {
    struct slice argv[] = {SLICE("function"), SLICE("restore"), payload, slice_of(policy)};
    run_args(4, argv);
    EXPECT(desk.out.len > 2);
    desk.out.len -= 2;
    EXPECT_EQ_SLICE(buf_slice(&desk.out), slice_of(want));
}

static void add_library(struct buf *payload, const char *name, const char *function) {
    struct buf code = {0};
    buf_printf(&code, "#!lua name=%s\nredis.register_function('%s', function() return '%s' end)", name,
               function, name);
    EXPECT(code.len < 16384);
    buf_add_byte(payload, 0xf5);
    buf_add_byte(payload, (uint8_t)(0x40 | code.len >> 8));
    buf_add_byte(payload, (uint8_t)code.len);
    buf_add_slice(payload, buf_slice(&code));
    buf_free(&code);
}

/* Two names and functions. */
static struct buf payload_of(const char *a, const char *f, const char *b, const char *g) {
    struct buf payload = {0};
    add_library(&payload, a, f);
    if (b != NULL) add_library(&payload, b, g);
    rdb_seal(&payload, 0);
    return payload;
}

static void check_payload(struct buf payload, const char *policy, const char *want) {
    check_restore(buf_slice(&payload), policy, want);
    buf_free(&payload);
}

TEST(restore_takes_all_or_nothing) {
    begin();
    check("function restore x y",
          "-ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
    check("function restore x append", "-ERR DUMP payload version or checksum are wrong");
    check("function restore x y z",
          "-ERR unknown subcommand or wrong number of arguments for 'restore'. Try FUNCTION HELP.");
    check_payload(payload_of("a", "f1", "b", "f2"), "append", "+OK");
    check_payload(payload_of("c", "f3", "b", "f2"), "append", "-ERR Library b already exists");
    check_payload(payload_of("c", "f3", "d", "F1"), "append", "-ERR Function F1 already exists");
    check_payload(payload_of("c", "f2", NULL, NULL), "replace", "-ERR Function f2 already exists");
    check_payload(payload_of("x", "f20", "x", "f21"), "replace", "-ERR Library 'x' already exists");
    check_payload(payload_of("x", "f20", "y", "F20"), "replace", "-ERR Function F20 already exists");
    check("fcall f1 0", "$1 a");
    check_payload(payload_of("a", "f2", "b", "f1"), "replace", "+OK");
    check("fcall f1 0", "$1 b");
    check("fcall f2 0", "$1 a");
    check("fcall f3 0", "-ERR Function not found");
    check_payload(payload_of("z", "f1", NULL, NULL), "flush", "+OK");
    check("fcall f1 0", "$1 z");
    check("fcall f2 0", "-ERR Function not found");
    desk_close();
}

TEST(what_was_dumped_can_be_restored) {
    begin();
    struct buf empty = dumped();
    EXPECT_EQ_INT(empty.len, RDB_FOOTER_SIZE);
    check(LOAD "one\\n" F1, "$3 one");
    check(LOAD "two\\nredis.register_function('f2', function() return 2 end)\"", "$3 two");
    struct buf payload = dumped();
    check("function flush", "+OK");
    check_restore(buf_slice(&payload), "append", "+OK");
    struct buf again = dumped();
    EXPECT_EQ_SLICE(buf_slice(&again), buf_slice(&payload));
    check("fcall f1 0", ":1");
    check("fcall f2 0", ":2");
    check_restore(buf_slice(&empty), "flush", "+OK");
    check("function list", "*0");
    buf_free(&empty);
    buf_free(&payload);
    buf_free(&again);
    desk_close();
}

TEST(payloads_of_strangers_are_refused) {
    static const struct {
        const char *bytes;
        size_t len;
        const char *error;
    } payloads[] = {
        {"\xf6", 1, "-ERR Failed loading library name"},
        {"\0\1a", 3, "-ERR given type is not a function"},
        {"\xf5\x40\x50xyz", 6, "-ERR Failed loading library payload"},
        {"\xf5", 1, "-ERR Failed loading library payload"},
        {"\xf5\xc0\x05", 3, "-ERR Missing library metadata"},
        {"\xf5\x02xx", 4, "-ERR Missing library metadata"},
        {"\xf5\x0f#!js name=q\nxxx", 17, "-ERR Engine 'js' not found"},
        {"\xf5\x0e#!lua name=q\nx", 16,
         "-ERR Error compiling function: user_function:2: '=' expected near '<eof>'"},
        {"\xf5\xc3\x05\xff\xff\xff\xff\xffxxxxx", 13, "-ERR Failed loading library payload"},
    };
    begin();
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct buf payload = {0};
        buf_add(&payload, payloads[i].bytes, payloads[i].len);
        rdb_seal(&payload, 0);
        check_payload(payload, "flush", payloads[i].error);
    }
    desk_close();
}

TEST_MAIN
