/* What scripts may do and what they answer: values in both directions, errors and where they say they come from. The expected bytes
 * are Redis 7.0.15's. */
#include "run.h"

static struct script_engine *engine;
static struct world world;

static void expect(const char *code, const char *expected) {
    if (engine == NULL) engine = script_engine_new();
    expect_reply(engine, &world, code, 2, expected);
}
static void expect3(const char *code, const char *expected) {
    if (engine == NULL) engine = script_engine_new();
    expect_reply(engine, &world, code, 3, expected);
}

TEST(values_become_replies) {
    expect("return", "$-1\r\n");
    expect("return nil", "$-1\r\n");
    expect("return false", "$-1\r\n");
    expect("return true", ":1\r\n");
    expect("return 1.9", ":1\r\n");
    expect("return -1.9", ":-1\r\n");
    expect("return 1e20", ":-9223372036854775808\r\n");
    expect("return 'a\\0b' == 'a\\0b'", ":1\r\n");
    expect("return {1,2,nil,4}", "*2\r\n:1\r\n:2\r\n");
    expect("return {'a',{'b',true,false}}", "*2\r\n$1\r\na\r\n*3\r\n$1\r\nb\r\n:1\r\n$-1\r\n");
    expect("return {ok='fine\\nhere'}", "+fine here\r\n");
    expect("return {err='My error'}", "-My error\r\n");
    expect("return {err='-My error'}",
           "--My error\r\n"); /* as Redis; the log holds it for ever, so it had better not hurt */
    expect("return {err=''}", "-\r\n");
    expect("return {err='a\\r\\nb\\r\\n'}", "-a  b\r\n");
    expect("return {ok=''}", "+\r\n");
    expect("return {err=1}", "*0\r\n");
    expect("return function() end", "$-1\r\n");
    expect("return {double=3.25}", "$4\r\n3.25\r\n");
    expect3("return {double=3.25}", ",3.25\r\n");
    expect3("return nil", "_\r\n");
    expect3("return true", ":1\r\n");
    expect3("redis.setresp(3) return {true,false}", "*2\r\n#t\r\n#f\r\n");
    expect("redis.setresp(3) return {true,false}", "*2\r\n:1\r\n:0\r\n");
    expect3("return {map={a=1}}", "%1\r\n$1\r\na\r\n:1\r\n");
    expect3("return {set={a=true}}", "~1\r\n$1\r\na\r\n");
    expect3("return {big_number='12'}", "(12\r\n");
    expect3("return {verbatim_string={format='txt',string='hi'}}", "=6\r\ntxt:hi\r\n");
    expect("return setmetatable({1},{__index=function() return 5 end})", "*1\r\n:1\r\n");
}

TEST(replies_become_values) {
    expect("return type(redis.call('raw','+OK\\r\\n').ok)", "$6\r\nstring\r\n");
    expect("return redis.call('raw','+OK\\r\\n')", "+OK\r\n");
    expect("return redis.call('raw',':12\\r\\n')+1", ":13\r\n");
    expect("return tostring(redis.call('raw','$-1\\r\\n'))", "$5\r\nfalse\r\n");
    expect("return tostring(redis.call('raw','*-1\\r\\n'))", "$5\r\nfalse\r\n");
    expect("return tostring(redis.call('raw','_\\r\\n'))", "$3\r\nnil\r\n");
    expect("return tostring(redis.call('raw','#t\\r\\n'))", "$4\r\ntrue\r\n");
    expect("return redis.call('raw','*2\\r\\n$1\\r\\na\\r\\n*1\\r\\n:3\\r\\n')[2][1]", ":3\r\n");
    expect("return redis.call('raw','%1\\r\\n$1\\r\\na\\r\\n:3\\r\\n').map.a", ":3\r\n");
    expect("return tostring(redis.call('raw','~1\\r\\n$1\\r\\na\\r\\n').set.a)", "$4\r\ntrue\r\n");
    expect("return redis.call('raw',',1.5\\r\\n').double * 2", ":3\r\n");
    expect("return redis.call('raw','(77\\r\\n').big_number", "$2\r\n77\r\n");
    expect("return redis.call('raw','=6\\r\\ntxt:hi\\r\\n').verbatim_string.string", "$2\r\nhi\r\n");
    expect("return redis.call('raw','|1\\r\\n+a\\r\\n+b\\r\\n:5\\r\\n')", ":5\r\n");
    expect("redis.call('raw','+OK\\r\\n') return 1", ":1\r\n");
    EXPECT(world.resp == 2);
    expect("redis.setresp(3) redis.call('raw','+OK\\r\\n') return 1", ":1\r\n");
    EXPECT(world.resp == 3);
}

TEST(numbers_as_arguments) {
    expect("return redis.call('e',3)", "+e(3)\r\n");
    expect("return redis.call('e',-0)", "+e(-0)\r\n");
    expect("return redis.call('e',1.5)", "+e(1.5)\r\n");
    expect("return redis.call('e',0.1)", "+e(0.10000000000000001)\r\n");
    expect("return redis.call('e',2^53)", "+e(9007199254740992)\r\n");
    expect("return redis.call('e',12345678901234567890)", "+e(1.2345678901234567e+19)\r\n");
}

TEST(errors_say_where) {
    expect("error('x')", "-ERR user_script:1: x script: sha, on @user_script:1.\r\n");
    expect("\n\nerror('x')", "-ERR user_script:3: x script: sha, on @user_script:3.\r\n");
    expect("error({err='ABC x'})", "-ABC x script: sha, on @user_script:1.\r\n");
    expect("error()", "-ERR nil script: sha, on @user_script:1.\r\n");
    expect("redis.call('nosuch')", "-ERR no such command script: sha, on @user_script:1.\r\n");
    expect("return redis.pcall('nosuch')", "-ERR no such command\r\n");
    expect("redis.call()", "-ERR Please specify at least one argument for this redis lib call script: sha, "
                           "on @user_script:1.\r\n");
    expect("redis.call({})", "-ERR Lua redis lib command arguments must be strings or integers script: sha, "
                             "on @user_script:1.\r\n");
    expect("return redis.error_reply('foo')", "-ERR foo\r\n");
    expect("return redis.error_reply('-foo bar')", "-foo bar\r\n");
    expect("return redis.error_reply('-foo')", "-ERR foo\r\n");
    expect("return redis.error_reply(1)", "-ERR wrong number or type of arguments\r\n");
    expect("loadstring('y=5')()",
           "-ERR [string \"y=5\"]:1: Attempt to modify a readonly table script: sha, on y=5:1.\r\n");
    expect("local function f() return f() + 1 end f()",
           "-ERR user_script:1: stack overflow script: sha, on @user_script:1.\r\n");
    expect("coroutine.wrap(function() error('x') end)()",
           "-ERR user_script:1: user_script:1: x script: sha, on @user_script:1.\r\n");
    expect("return {pcall(redis.call,'nosuch')}", "*2\r\n$-1\r\n$19\r\nERR no such command\r\n");
    expect("return type(select(2,pcall(error,{a=5})))", "$5\r\ntable\r\n");
    expect("local a = ", "user_script:1: unexpected symbol near '<eof>'");
}

TEST(errors_of_commands_are_counted_once) {
    struct script_run run;
    struct reply reply;
    struct buf out = {0};
    struct slice sha = SLICE("0123456789012345678901234567890123456789");
    static const char *const codes[] = {"redis.call('nosuch')", "return redis.pcall('nosuch')",
                                        "return {redis.pcall('nosuch')}", "error('x')", "return {err='X y'}"};
    static const uint32_t counts[] = {0, 0, 0, 1, 1};
    if (engine == NULL) engine = script_engine_new();
    for (size_t i = 0; i < 5; i++) {
        script_forget_all(engine);
        EXPECT(script_compile(engine, sha, slice_of(codes[i]), &out));
        reply_init(&reply, &out, 2);
        run = (struct script_run){.name = sha, .world = &world_functions, .arg = &world};
        script_eval(engine, sha, &run, &reply);
        EXPECT_EQ_INT(reply.error_count, counts[i]);
    }
    buf_free(&out);
}

TEST(the_rest_of_redis) {
    expect("return redis.sha1hex('')", "$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n");
    expect("return KEYS[1]..ARGV[1]..ARGV[2]..#KEYS..#ARGV", "$8\r\nk1a1a212\r\n");
    expect("return redis.replicate_commands()", ":1\r\n");
    expect("return redis.acl_check_cmd('raw')", "$-1\r\n");
    expect("return redis.acl_check_cmd('raw','x')", ":1\r\n");
    expect("redis.acl_check_cmd('x')",
           "-ERR Invalid command passed to redis.acl_check_cmd() script: sha, on @user_script:1.\r\n");
    buf_clear(&world.log);
    expect("redis.log(redis.LOG_WARNING,'a',1,'b')", "$-1\r\n");
    EXPECT(slice_eq(buf_slice(&world.log), SLICE("3:a 1 b\n")));
    expect("return {math.random(10),math.random(5,7),math.random(1,1000000)}",
           "*3\r\n:2\r\n:7\r\n:96372\r\n");
    expect("math.randomseed(42) return tostring(math.random())", "$16\r\n0.74452500033403\r\n");
    expect("math.randomseed(-42.7) return tostring(math.random())", "$16\r\n0.59713107235596\r\n");
}

TEST_MAIN
