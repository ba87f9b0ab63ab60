/* Scripts that want out, want to stay for ever, or want to see what differs between nodes. The last is tried with two engines: a
 * fresh one, and one that has run much else before. What a script answers, and how much work it was, must be the same on both. */
#include "run.h"

static struct script_engine *engine;
static struct world world;

static void expect(const char *code, const char *expected) {
    if (engine == NULL) engine = script_engine_new();
    expect_reply(engine, &world, code, 2, expected);
}

static void expect_error(const char *code, const char *part) {
    struct script_run run;
    struct buf out = {0};
    if (engine == NULL) engine = script_engine_new();
    run_script(engine, &world, code, 2, &run, &out);
    buf_add_byte(&out, 0);
    EXPECT_NOTE(out.data[0] == '-' && strstr(out.data, part) != NULL, "%s: %s", code, out.data);
    buf_free(&out);
}

#define READONLY "Attempt to modify a readonly table"

TEST(nothing_shared_can_be_changed) {
    static const char *const codes[] = {"x = 1",
                                        "_G.x = 1",
                                        "rawset(_G, 'x', 1)",
                                        "setmetatable(_G, {})",
                                        "getmetatable(_G).__index = {}",
                                        "KEYS = {}",
                                        "redis = 1",
                                        "redis.call = 1",
                                        "rawset(redis, 'call', 1)",
                                        "string.len = 1",
                                        "getmetatable('').__index = {}",
                                        "rawset(getmetatable(''), '__index', {})",
                                        "table.insert(redis, 1)",
                                        "table.remove(math)",
                                        "table.sort(_G)",
                                        "math.random = 1",
                                        "cjson.null = 1",
                                        "bit.band = 1",
                                        "struct.pack = 1",
                                        "cmsgpack.pack = 1",
                                        "coroutine.wrap = 1",
                                        "table.concat = 1",
                                        "loadstring('y = 1')()",
                                        "coroutine.wrap(function() z = 1 end)()",
                                        "setmetatable(string, nil)"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) expect_error(codes[i], READONLY);
    expect("return redis.call('e', 1)", "+e(1)\r\n");
    expect("return ('x'):rep(2)", "$2\r\nxx\r\n");
}

TEST(what_is_not_there) {
    static const char *const names[] = {"print",   "dofile", "loadfile", "newproxy", "getfenv",
                                        "setfenv", "module", "require",  "package",  "io",
                                        "os",      "debug",  "nosuch"};
    char code[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(code, sizeof code, "return %s", names[i]);
        expect_error(code, "Script attempted to access nonexistent global variable");
    }
    expect("return #string.dump(function() return 1 end)", ":4\r\n"); /* its signature: nothing to run */
    expect("return {loadstring('\\27Lua')}", "*0\r\n");
    expect("local n = 0 return {load(function() n = n + 1 if n == 1 then return '\\27LuaQ' end end)}",
           "*0\r\n");
}

TEST(no_addresses) {
    expect("return tostring({})", "$10\r\ntable: 0x0\r\n");
    expect("return tostring(print == nil and 1 or function() end)",
           "-ERR user_script:1: Script attempted to access nonexistent global "
           "variable 'print' script: sha, on @user_script:1.\r\n");
    expect("return tostring(function() end)", "$13\r\nfunction: 0x0\r\n");
    expect("return tostring(coroutine.create(function() end))", "$11\r\nthread: 0x0\r\n");
    expect("return tostring(cjson.null)", "$15\r\nuserdata: (nil)\r\n");
    expect_error("local t = {} t[{}] = 1 for k in pairs(t) do end", "order of a table's keys is not defined");
    expect_error("local t = {1, 2} t[print or 1] = 1", "nonexistent");
    expect_error("local t = {a = 1} t[function() end] = 1 next(t)", "order of a table's keys is not defined");
    expect_error("local t = {a = 1} t[coroutine.create(function() end)] = 1 next(t, 'a')",
                 "order of a table's keys is not defined");
    expect_error("local t = {a = 1} t[t] = 1 table.foreach(t, function() end)",
                 "order of a table's keys is not defined");
    expect_error("return {map = {[{}] = 1}}", "order is not defined");
    expect_error("return {set = {[{}] = 1}}", "order is not defined");
}

static void expect_end(const char *code) {
    struct script_run run;
    struct buf out = {0};
    if (engine == NULL) engine = script_engine_new();
    world.end = "ERR it has to end";
    world.end_at = 2;
    world.checkpoints = 0;
    run_script(engine, &world, code, 2, &run, &out);
    buf_add_byte(&out, 0);
    EXPECT_NOTE(strncmp(out.data, "-ERR it has to end", 18) == 0, "%s: %.200s", code, out.data);
    EXPECT_EQ_INT(world.checkpoints, 2);
    world.end = NULL;
    world.checkpoints = 0;
    buf_free(&out);
}

TEST(the_end_cannot_be_caught) {
    expect_end("while true do end");
    expect_end("while true do pcall(function() while true do end end) end");
    expect_end(
        "while true do xpcall(function() while true do end end, function() while true do end end) end");
    expect_end("while true do coroutine.resume(coroutine.create(function() while true do end end)) end");
    expect_end("while true do pcall(coroutine.wrap(function() while true do end end)) end");
    expect_end("while true do coroutine.create(function() end) end");
    expect_end("local function f() return coroutine.wrap(f)() end while true do pcall(f) end");
    expect_end("while true do redis.pcall('e', 1) end");
    expect_end("while true do string.rep('x', 1000000) end");
    expect_end("local s = string.rep('a', 30) while true do string.find(s, string.rep('a?', 30) .. "
               "string.rep('a', 30)) end");
    expect_end("local t = {} for i = 1, 1e9 do t[i] = i end");
    expect_end("local s = 'x' while true do s = s .. 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' end");
    expect_end(
        "local t = {} for i = 1, 100000 do t[i] = i end while true do for k in pairs(t) do break end end");
    expect_end("while true do table.sort({3, 1, 2}, function(a, b) return a < b end) end");
    expect_end("while true do pcall(load, function() while true do end end) end");
    expect_end("while true do setmetatable({}, {__index = function(t, k) return t[k + 1] end})[1] = 1 end");
    expect("return 1", ":1\r\n");
}

TEST(too_much_at_once) {
    expect_error("local function f() return 1 + f() end f()", "stack overflow");
    expect_error("local function f() return coroutine.wrap(f)() end f()", "C stack overflow");
    expect_error("local s = 'x' while true do s = s .. s end", "not enough memory");
    expect_error("return string.rep('x', 1e10)", "");
    expect("local a = {} a[1] = a return 1", ":1\r\n");
    expect("return {pcall(string.rep)} and 1", ":1\r\n");
}

/* --- the same everywhere --- */

static const char *const same[] = {
    "local t = {} for i = 1, 200 do t['k' .. i % 50] = i t['k' .. (i * 7) % 50] = nil end local o = '' for "
    "k, v in pairs(t) do o = o .. k .. v end return o",
    "local t = setmetatable({}, {__mode = 'k'}) for i = 1, 30000 do t[{}] = i end local n = 0 for i = 1, 100 "
    "do n = n + i end return tostring(t) .. n",
    "local t = setmetatable({}, {__mode = 'v'}) for i = 1, 50000 do t[i] = {} end local n = 0 for i = 1, "
    "50000 do if t[i] then n = n + 1 end end return n",
    "local n = 0 for i = 1, 40 do n = n + #string.rep('x', 100000 + i) end return n",
    "local s = '' for i = 1, 3000 do s = s .. 'abcdefghij' .. i end return redis.sha1hex(s)",
    "local s = string.rep('y', 2000000) local u = s .. 'z' return #u",
    "local t = {} for i = 1, 20000 do t['n' .. i] = i if i % 3 == 0 then t['n' .. i / 3] = nil end end local "
    "o = {} for k in pairs(t) do o[#o + 1] = k end return redis.sha1hex(table.concat(o))",
    "return cjson.encode({a = 1, b = {2, 3}, c = {d = 'e'}, f = 1.5, g = true})",
    "return cmsgpack.pack({a = 1, b = 2, c = {x = 1}})",
    "return {collectgarbage('count'), gcinfo(), collectgarbage()}",
    "return tostring(math.sin(1)) .. tostring(math.exp(1.5)) .. tostring(math.pow(2, 0.5)) .. math.random()",
    "cjson.encode_number_precision(3) return cjson.encode(1.23456789)",
    "return cjson.encode(1.23456789)",
    "local co = coroutine.wrap(function() for i = 1, 500 do coroutine.yield(i) end end) local n = 0 for i = "
    "1, 500 do n = n + co() end return n",
    "local n = 0 for w in string.gmatch(string.rep('ab ', 5000), '%a+') do n = n + #w end return n",
    "return loadstring('return 5')() + #loadstring('return \"' .. string.rep('q', 70000) .. '\"')()",
};

static void answer(struct script_engine *e, const char *code, struct buf *out, uint64_t *work) {
    struct script_run run;
    struct world own = {0};
    run_script(e, &own, code, 2, &run, out);
    *work = run.work;
}

TEST(the_same_whatever_ran_before) {
    enum { COUNT = sizeof same / sizeof *same };
    struct script_engine *fresh = script_engine_new(), *used = script_engine_new();
    struct buf a = {0}, b = {0}, other = {0};
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            uint64_t work_a, work_b, work;
            char noise[200];
            for (int j = 0; j < 5; j++) {
                snprintf(noise, sizeof noise,
                         "local t = {} for i = 1, %d do t['k' .. i] = string.rep('x', i) end return %d",
                         100 + i * 40 + j, round);
                answer(used, noise, &other, &work);
            }
            answer(used, same[(i * 5) % COUNT], &other, &work);
            answer(used, same[i], &other, &work); /* what it leaves behind is there the next time */
            if (round == 1) script_forget_all(used);
            answer(used, same[i], &b, &work_b);
            script_engine_free(fresh);
            fresh = script_engine_new();
            answer(fresh, same[i], &a, &work_a);
            EXPECT_NOTE(slice_eq(buf_slice(&a), buf_slice(&b)), "%s: %.*s, then %.*s", same[i],
                        (int)(a.len < 200 ? a.len : 200), a.data, (int)(b.len < 200 ? b.len : 200), b.data);
            EXPECT_NOTE(work_a == work_b, "%s: %" PRIu64 " units of work, then %" PRIu64, same[i], work_a,
                        work_b);
        }
    }
    script_engine_free(fresh);
    script_engine_free(used);
    buf_free(&a);
    buf_free(&b);
    buf_free(&other);
}

/* Left in the middle, another script runs, and the first goes on as if nothing had been. */
static struct script_engine *left_engine;
static const char *leave_at_checkpoint(void *arg, uint64_t number, bool has_written) {
    struct world *w = arg, own = {0};
    (void)has_written;
    w->checkpoints = number;
    struct script_run *run = script_leave(left_engine);
    expect_reply(left_engine, &own, "KEYS[1] = 'other' return {KEYS[1], math.random(100)}", 2,
                 "*2\r\n$5\r\nother\r\n:18\r\n");
    script_enter(left_engine, run);
    return NULL;
}

TEST(left_and_entered_again) {
    static const char code[] = "math.randomseed(5) local a = math.random(1000) for i = 1, 3e7 do end return "
                               "{a, math.random(1000), KEYS[1]}";
    char hex[SHA1_HEX_LEN];
    struct slice sha = slice_make(hex, sizeof hex), key = SLICE("k1");
    struct buf out = {0}, plain = {0};
    struct world own = {0};
    struct script_limits limits = {.arg = &own, .checkpoint = leave_at_checkpoint};
    struct reply reply;
    left_engine = script_engine_new();
    sha1_hex(slice_of(code), hex);
    EXPECT(script_compile(left_engine, sha, slice_of(code), &out));
    for (int i = 0; i < 2; i++) {
        struct script_run run = {
            .name = SLICE("sha"), .keys = &key, .key_count = 1, .world = &world_functions, .arg = &own};
        if (i == 1) run.limits = &limits;
        reply_init(&reply, i == 1 ? &out : &plain, 2);
        script_eval(left_engine, sha, &run, &reply);
    }
    EXPECT(own.checkpoints > 2);
    EXPECT(slice_eq(buf_slice(&out), buf_slice(&plain)));
    script_engine_free(left_engine);
    buf_free(&out);
    buf_free(&plain);
}

TEST_MAIN
