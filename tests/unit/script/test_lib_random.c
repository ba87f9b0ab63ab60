/* Our string and table functions against Lua's own: random calls give the same values and the same errors, down to which elements
 * table.sort compares with which. */
#include "run.h"

#include "rng.h"

#include <lauxlib.h>
#include <lualib.h>

enum { CALLS = 4000 };

/* A text for whatever the code returns, and for the error it raises. */
static const char prelude[] =
    "local function text(v, depth)\n"
    "  local t = type(v)\n"
    "  if t == 'number' then return v ~= v and 'nan' or string.format('%.17g', v) end\n"
    "  if t == 'string' then return '\"' .. v .. '\"' end\n"
    "  if t ~= 'table' then return t == 'function' and t or tostring(v) end\n"
    "  local parts = {}\n"
    "  if depth > 4 then return 'deep' end\n"
    "  for i = 1, #v do parts[i] = text(v[i], depth + 1) end\n"
    "  return '{' .. table.concat(parts, ',') .. '}'\n"
    "end\n"
    "local function pack(...) return {n = select('#', ...), ...} end\n"
    "local function tell(f)\n"
    "  local r, parts = pack(pcall(f)), {}\n"
    "  for i = 1, r.n do parts[i] = text(r[i], 0) end\n"
    "  return table.concat(parts, ' ')\n"
    "end\n";

static lua_State *plain;
static struct script_engine *engine;
static struct world world;

static void run_plain(const char *code, struct buf *out) {
    size_t len;
    EXPECT(luaL_loadbuffer(plain, code, strlen(code), "@user_script") == 0);
    EXPECT(lua_pcall(plain, 0, 1, 0) == 0);
    const char *text = lua_tolstring(plain, -1, &len);
    buf_printf(out, "$%zu\r\n", len);
    buf_add(out, text, len);
    buf_add_str(out, "\r\n");
    lua_pop(plain, 1);
}

static void compare(const char *call) {
    struct buf code = {0}, expected = {0}, got = {0};
    struct script_run run;
    buf_add_str(&code, prelude);
    buf_printf(&code, "return tell(function() %s end)", call);
    buf_add_byte(&code, 0);
    run_plain(code.data, &expected);
    run_script(engine, &world, code.data, 2, &run, &got);
    if (!slice_eq(buf_slice(&expected), buf_slice(&got))) {
        fprintf(stderr, "    %s\n", call);
        test_print_bytes("got ", got.data, got.len);
        test_print_bytes("want", expected.data, expected.len);
        EXPECT(false);
    }
    buf_free(&code);
    buf_free(&expected);
    buf_free(&got);
}

/* --- random arguments --- */

#define PICK(r, list) ((list)[rng_below((r), sizeof(list) / sizeof *(list))])

static void add_quoted(struct buf *out, const char *bytes, size_t len) {
    buf_add_byte(out, '"');
    for (size_t i = 0; i < len; i++) buf_printf(out, "\\%03d", (unsigned char)bytes[i]);
    buf_add_byte(out, '"');
}

static void add_pattern(struct buf *out, struct rng *r) {
    static const char *const items[] = {
        "a",  "b",      ".",     "%a",   "%d",    "%s",    "%w",   "%A",   "%W",     "%p",    "%u",
        "%x", "%%",     "[abc]", "[^a]", "[a-c]", "[]]",   "[^]]", "[a-]", "[%w%-]", "[^%s]", "[",
        "%",  "(",      ")",     "()",   "(a)",   "(%a+)", "(.-)", "%1",   "%2",     "%b()",  "%bab",
        "%b", "%f[%w]", "%f",    "%z",   "$",     "^",     "x",    "-",    "*",      "+",     "?",
    };
    char text[200];
    size_t len = 0;
    bool in_parentheses = rng_below(r, 4) == 0;
    if (rng_below(r, 7) == 0) text[len++] = '^';
    if (in_parentheses) text[len++] = '(';
    for (uint64_t n = rng_below(r, 7); n > 0; n--) {
        const char *item = PICK(r, items);
        memcpy(text + len, item, strlen(item));
        len += strlen(item);
        if (rng_below(r, 5) < 2) text[len++] = "*+-?"[rng_below(r, 4)];
    }
    if (in_parentheses) text[len++] = ')';
    if (rng_below(r, 7) == 0) text[len++] = '$';
    add_quoted(out, text, len);
}

static void add_text(struct buf *out, struct rng *r) {
    static const char *const others[] = {"nil", "12", "{}", "true", "-3.5"};
    static const char letters[] = "aaabbcc xX12()_.-%\0\xe9";
    char text[16];
    size_t len = rng_below(r, sizeof text);
    if (rng_below(r, 12) == 0) {
        buf_add_str(out, PICK(r, others));
        return;
    }
    for (size_t i = 0; i < len; i++) text[i] = letters[rng_below(r, sizeof letters - 1)];
    add_quoted(out, text, len);
}

static void add_index(struct buf *out, struct rng *r) {
    static const char *const indexes[] = {"1",   "2",   "3",    "0",    "-1",    "-3",
                                          "100", "nil", "-100", "2^31", "\"2\"", "1.7"};
    buf_add_str(out, PICK(r, indexes));
}

static void add_replacement(struct buf *out, struct rng *r) {
    static const char *const replacements[] = {
        "''",
        "'x'",
        "'%1'",
        "'%0'",
        "'<%0>%2'",
        "'%%'",
        "'%'",
        "'%a%9'",
        "{a='1',b=2,ab=false,c={}}",
        "5",
        "nil",
        "true",
        "function(...) return ... end",
        "function(a, b) return b end",
        "string.upper",
        "function() return {} end",
        "function() end",
        "function(a) return #a end",
    };
    buf_add_str(out, PICK(r, replacements));
}

static void add_call(struct buf *out, struct rng *r) {
    static const char *const finds[] = {"find", "match"};
    switch (rng_below(r, 8)) {
    case 0:
    case 1:
    case 2:
        buf_printf(out, "return string.%s(", PICK(r, finds));
        add_text(out, r);
        buf_add_byte(out, ',');
        add_pattern(out, r);
        buf_add_byte(out, ',');
        add_index(out, r);
        buf_add_str(out, rng_below(r, 6) == 0 ? ",true)" : ")");
        break;
    case 3:
        buf_add_str(out, "local o = {} for a, b, c in string.gmatch(");
        add_text(out, r);
        buf_add_byte(out, ',');
        add_pattern(out, r);
        buf_add_str(out, ") do o[#o + 1] = {a, b, c} end return o");
        break;
    case 4:
    case 5:
        buf_add_str(out, "return string.gsub(");
        add_text(out, r);
        buf_add_byte(out, ',');
        add_pattern(out, r);
        buf_add_byte(out, ',');
        add_replacement(out, r);
        buf_add_str(out, rng_below(r, 3) == 0 ? ",1)" : ")");
        break;
    case 6:
        buf_add_str(out, "return string.rep(");
        add_text(out, r);
        buf_add_byte(out, ',');
        add_index(out, r);
        buf_add_str(out, rng_below(r, 2) ? " == 2^31 and 1)" : ")");
        break;
    default:
        buf_add_str(out, "return table.concat({'a',2,'c'},");
        add_text(out, r);
        buf_add_byte(out, ',');
        add_index(out, r);
        buf_add_byte(out, ',');
        add_index(out, r);
        buf_add_byte(out, ')');
    }
}

static void add_table_call(struct buf *out, struct rng *r) {
    static const char *const orders[] = {
        "nil",
        "function(a, b) return a > b end",
        "function(a, b) return a <= b end",
        "function() return true end",
        "function(a, b) return a % 7 < b % 7 end",
        "function(a, b) return a % 3 == b % 2 end",
        "function(a, b) return a.x < b end",
        "5",
        "function() error('no') end",
    };
    static const uint64_t lens[] = {0, 1, 2, 3, 4, 5, 8, 20, 60};
    static const char *const changes[] = {
        "insert, t, 9", "insert, t, 1, 9",    "insert, t, 4, 9",   "insert, t, 10, 9", "insert, t, -2, 9",
        "insert, t",    "insert, t, 1, 2, 3", "insert, t, nil, 1", "remove, t",        "remove, t, 1",
        "remove, t, 2", "remove, t, 4",       "remove, t, 5",      "remove, t, -1",    "remove, t, {}",
        "remove",       "insert, 5, 5",
    };
    buf_add_str(out, "local t, seen = {");
    for (uint64_t n = PICK(r, lens); n > 0; n--) buf_printf(out, "%u,", (unsigned)rng_below(r, 30));
    buf_add_str(out, "}, {} ");
    if (rng_below(r, 3) == 0) {
        buf_printf(out, "local a, b = pcall(table.%s) return a, b, t", PICK(r, changes));
        return;
    }
    buf_printf(
        out,
        "local f = %s local ok, e = pcall(table.sort, t, type(f) ~= 'function' and f or function(a, b) "
        "seen[#seen + 1] = a seen[#seen + 1] = b return f(a, b) end) return ok, e, t, seen",
        PICK(r, orders));
}

static void compare_random(void (*add)(struct buf *out, struct rng *r)) {
    struct rng r = {test_seed()};
    plain = luaL_newstate();
    luaL_openlibs(plain);
    engine = script_engine_new();
    for (int i = 0; i < CALLS; i++) {
        struct buf call = {0};
        add(&call, &r);
        buf_add_byte(&call, 0);
        compare(call.data);
        buf_free(&call);
    }
    script_engine_free(engine);
    lua_close(plain);
}

TEST(patterns_and_strings_are_those_of_lua) {
    compare_random(add_call);
}

TEST(tables_are_changed_and_sorted_as_by_lua) {
    compare_random(add_table_call);
}

TEST_MAIN
