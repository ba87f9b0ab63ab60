"""Scripts at random: a part of gen.Gen, whose promises it keeps. What a script is told of the moment, of chance or of memory is left
out; commands within scripts are those whose replies are compared byte for byte."""

# A command of another part, within a script, in all the ways there are to call one.
CALLS = [
    b"return redis.call(unpack(ARGV))",
    b"return redis.pcall(unpack(ARGV))",
    b"return {redis.pcall(unpack(ARGV))}",
    b"redis.setresp(3) return redis.call(unpack(ARGV))",
    b"redis.setresp(3) local r = redis.pcall(unpack(ARGV)) redis.setresp(2) return r",
    b"local r = redis.pcall(unpack(ARGV)) return {type(r), type(r) == 'table' and (r.err or r.ok or #r) or tostring(r)}",
    b"local ok, e = pcall(redis.call, unpack(ARGV)) if ok then return e end return 'caught ' .. e",
    b"local r = redis.pcall(unpack(ARGV)) if type(r) == 'table' and not r.err and not r.ok then return cjson.encode(r) end return r",
    b"local r = redis.pcall(unpack(ARGV)) if type(r) == 'table' and r.err then error(r) end return r",
    b"redis.call('set', 'k1', #ARGV) return redis.call(unpack(ARGV))",
    b"local r\nfor i = 1, 3 do r = redis.pcall(unpack(ARGV)) end\nreturn r",
    b"#!lua\nreturn redis.call(unpack(ARGV))",
    b"#!lua flags=allow-oom,allow-stale\nreturn redis.call(unpack(ARGV))",
]
# These may only read, whatever they are asked for.
READING = [b"#!lua flags=no-writes\nreturn redis.call(unpack(ARGV))", b"#!lua flags=no-writes\nreturn {redis.pcall(unpack(ARGV))}"]

# Without commands: values, errors, the sandbox. `A` is ARGV[1], `B` is ARGV[2], both words at random.
PLAIN = [
    b"return A", b"return tonumber(A)", b"return {A, B, #KEYS, KEYS[1]}", b"return tostring(tonumber(A))", b"return {tonumber(A), false, true, nil, 5}",
    b"return {ok = A}", b"return {err = A}", b"return redis.error_reply(A)", b"return redis.status_reply(A)", b"return redis.error_reply(tonumber(A))",
    b"return redis.sha1hex(A)", b"return redis.sha1hex(A, B)", b"return {double = tonumber(A)}", b"return {map = {[A] = B}}",
    b"return {set = {[A] = true}}", b"return {big_number = A}", b"return {verbatim_string = {format = 'txt', string = A}}",
    b"return {verbatim_string = {format = A, string = 5}}", b"redis.setresp(3) return {true, false, {map = {a = true}}}",
    b"redis.setresp(tonumber(A))", b"error(A)", b"error({err = A})", b"error({err = A, line = 3, source = B})", b"error(A, 0)", b"error()", b"error(tonumber(A))",
    b"local t = {} return t[A][B]", b"return A + B", b"return A .. B .. {}", b"return A < 5", b"return #A", b"return nosuch", b"nosuch = A", b"_G.redis = A",
    b"redis.call = A", b"rawset(redis, A, B)", b"setmetatable(_G, {})", b"string.len = nil", b"cjson.null = A", b"getmetatable(A).__index = B",
    b"table.insert(KEYS, A) return #KEYS", b"table.insert(redis, A)", b"KEYS[3] = A return KEYS", b"KEYS = A", b"return type(_G[A])",
    b"return {pcall(error, A)}", b"return {pcall(error, {err = A})}", b"return {xpcall(function() error(A) end, function(e) return B end)}",
    b"return {pcall(redis.call, A)}", b"return redis.call(A)", b"return redis.pcall(A, B)", b"return redis.call(A, {})", b"return redis.call()", b"return redis.pcall(nil)",
    b"return {select('#', unpack({A, B, nil, 3})), select(2, A, B)}", b"return string.format('%s %q %d %5.2f %x', A, B, 77, 1/3, 255)",
    b"return string.format(A, B)", b"return {string.byte(A, 1, -1)}", b"return string.rep(A, 3)", b"return {string.find(A, B, 1, true)}", b"return {string.find(A, B)}",
    b"return {string.gsub(A, '%w', B)}", b"return {string.gsub(A, B, '%0%0')}", b"return string.reverse(string.upper(A)) .. string.lower(B)",
    b"local r = {} for w in string.gmatch(A, '%d+') do r[#r + 1] = w end return r", b"return string.sub(A, tonumber(B))",
    b"return cjson.encode({A, B, 1, 1.5, true, cjson.null, {}})", b"return cjson.encode({[A] = B})", b"return cjson.decode(A)", b"return type(cjson.decode('[1,{\"a\":[]}]')[2].a)",
    b"return cjson.encode(cjson.decode(A))", b"return cmsgpack.pack(A, B, 1, -1, 1.5, {1, 2}, true)", b"return {cmsgpack.unpack(cmsgpack.pack(A, tonumber(B), {A}))}",
    b"return {cmsgpack.unpack(A)}", b"return struct.pack('>I4hs', 77, -5, A)", b"return {struct.unpack('<I2', A)}", b"return struct.size('>I4hd')", b"return {struct.unpack(A, B)}",
    b"return bit.tohex(bit.bxor(tonumber(A), 255))", b"return {bit.lshift(1, 5), bit.rol(0x12345678, 12), bit.band(7, 12), bit.bnot(0)}",
    b"return {math.floor(3.7), math.max(1, tonumber(A)), math.fmod(17, 5), math.abs(-3)}", b"return tostring(math.sqrt(2)) .. tostring(math.pi) .. math.huge",
    b"return tostring(2^53) .. tostring(0.1) .. tostring(1e15) .. tostring(-0)", b"local t = {3, 1, 2} table.sort(t) return t", b"return table.concat({A, 1, B}, ',')",
    b"local co = coroutine.create(function(a) local b = coroutine.yield(a .. B) error(b) end)\nreturn {select(2, coroutine.resume(co, A)), select(2, coroutine.resume(co, B)), coroutine.status(co)}",
    b"return coroutine.wrap(function() error(A) end)()", b"return loadstring(A)", b"return {loadstring(A)}", b"return loadstring('return ...')(A, B)",
    b"return load(function() return nil end)", b"return {tostring(print), A}", b"dofile(A)", b"return tostring(nil) .. tostring(true) .. type(A)",
    b"local function f(n) if n == 0 then error(A) end f(n - 1) end\nf(5)", b"local function f() return f() + 1 end f()", b"\n\n\nerror(A)",
    b"return redis.log(redis.LOG_DEBUG, A, B)", b"return redis.log(tonumber(A), B)", b"redis.log(A)", b"return redis.set_repl(tonumber(A))", b"return redis.replicate_commands()",
    b"return redis.acl_check_cmd(A, B)", b"return redis.acl_check_cmd('get', A)", b"return {redis.REDIS_VERSION, redis.REDIS_VERSION_NUM, redis.LOG_NOTICE, redis.REPL_ALL}",
    b"return A +", b"return 'unfinished", b"if A then", b"return setmetatable({1, 2}, {__index = function() return A end})", b"return {{{{A}}}}",
    b"return #{next({})} + #{next({A})}", b"local s = 0 for i, v in ipairs({1, 2, 3, nil, 5}) do s = s + v end return s",
    b"local r = {} for k, v in pairs({10, 20, 30}) do r[#r + 1] = k * v end return r", b"return rawget({[A] = B}, A)", b"return rawequal(A, B)", b"return {tonumber(A, 16), tonumber(B, 2)}",
    b"redis.call('select', A) redis.call('set', 'k2', B) return redis.call('get', 'k2')", b"return redis.call('echo', A)", b"return redis.call('ping', A)",
    b"return #redis.call('time')", b"return redis.call('multi')", b"return redis.call('eval', 'return 1', 0)", b"return redis.call('subscribe', A)", b"return redis.call('config', 'get', A)",
    b"return redis.call('blpop', 'nolist', 0)", b"return redis.call('command', 'count') > 0", b"#!lua\nreturn A", b"#!lua flags=no-writes\nreturn redis.call('set', 'k1', A)",
    b"#!lua flags=nonsense\nreturn 1", b"#!lua name=x\nreturn 1", b"#!python\nreturn 1", b"#!lua", b"", b" ", b"return",
]
WORDS = [b"", b"a", b"abc", b"12", b"-1", b"3.5", b"0", b"1e3", b"nan", b"0x10", b"ERR foo bar", b"-CODE text", b"line\r\nend", b"\x00\xff", b"get", b"incr", b"nosuch", b"[1,2,{\"a\":null}]",
         b"{\"k\":\"v\"}", b"%d", b"%s", b"(a)", b"[", b"%", b"k1", b"2", b"return 5", b"<i4", b"\x93\x01\x02\x03", b"x" * 100]

KEYED = {b"eval", b"evalsha", b"eval_ro", b"evalsha_ro"}
# Of other parts: what may be called, and is compared as it is.
CALLED = {"set", "get", "getset", "getdel", "append", "strlen", "setrange", "getrange", "incr", "incrby", "decr", "incrbyfloat", "mget", "mset", "msetnx", "setnx", "del", "exists", "type",
          "rename", "copy", "lpush", "rpush", "lpop", "rpop", "lrange", "llen", "lindex", "lset", "linsert", "lrem", "ltrim", "lmove", "lpos", "lmpop", "rpoplpush",
          "zadd", "zincrby", "zscore", "zrange", "zrangebyscore", "zrem", "zcard", "zcount", "zrank", "zpopmin", "zpopmax", "zmscore", "zunionstore", "zinterstore", "zrangestore",
          "xadd", "xlen", "xrange", "xrevrange", "xdel", "setbit", "getbit", "bitcount", "bitpos", "bitop", "bitfield"}


def keys_of(a):
    return set(a[3:])


class ScriptGen:
    called = None

    def inner_command(self):
        if self.called is None:
            rows = self.table()
            self.called = [f for _, n, f in rows if n in CALLED]
        while True:
            a = self.pick(self.called)()
            if a and a[0].lower().decode("latin-1") in CALLED:
                return a

    def script_word(self):
        return self.pick(WORDS) if self.chance(0.8) else self.value()[:300]

    def script_plain(self):
        script = self.pick(PLAIN)
        if not script.startswith(b"#!") and self.chance(0.9):
            script = b"local A, B = ARGV[1], ARGV[2] " + script
        return [self.pick([b"EVAL", b"EVAL", b"EVAL", b"eval_ro"]), script, b"1", self.key(), self.script_word(), self.script_word()]

    def script_calling(self):
        inner = self.inner_command()
        if self.chance(0.15):
            return [self.pick([b"EVAL", b"EVAL_RO"]), self.pick(READING), b"0"] + inner
        return [self.pick([b"EVAL", b"EVAL", b"EVAL", b"EVAL_RO"]), self.pick(CALLS), b"0"] + inner

    def by_sha(self):
        """Unknown ones alone: whether a script is known depends on what else ran."""
        return self.pick([[b"EVALSHA", b"0" * 40, b"0"], [b"EVALSHA", b"nosuch", b"x"], [b"EVALSHA_RO", b"f" * 40, b"1", self.key()], [b"EVALSHA", b"0" * 40, b"2"],
                          [b"EVALSHA", b"0" * 40, b"-1"], [b"EVALSHA", b"A" * 40]])

    def eval_wrong(self):
        return self.pick([[b"EVAL", b"return 1", b"-1"], [b"EVAL", b"return 1", b"1"], [b"EVAL", b"return 1", b"x"], [b"EVAL", b"return 1"], [b"EVAL_RO", b"return 1", b"2", b"a"],
                          [b"EVAL_RO", b"#!lua\nreturn 1", b"0"]])

    def script_kept(self):
        """SCRIPT DEBUG is a story's: in a pipeline Redis answers it by what it has sent by then."""
        return self.pick([[b"SCRIPT", b"LOAD", self.pick(PLAIN)], [b"SCRIPT", b"LOAD", self.pick(CALLS)], [b"SCRIPT", b"EXISTS", b"x", b"0" * 40], [b"SCRIPT", b"EXISTS"],
                          [b"SCRIPT", b"FLUSH", b"x"], [b"SCRIPT", b"FLUSH", b"SYNC", b"x"], [b"SCRIPT", b"FLUSH"], [b"SCRIPT", b"FLUSH", b"ASYNC"],
                          [b"SCRIPT", b"NOSUCH"], [b"SCRIPT"], [b"SCRIPT", b"LOAD"], [b"SCRIPT", b"HELP", b"x"]])

    def script_table(self):
        return [
            (30, "eval", self.script_plain),
            (45, "eval", self.script_calling),
            (4, "evalsha", self.by_sha),
            (3, "eval", self.eval_wrong),
            (5, "script", self.script_kept),
        ]
