"""Stories of functions: libraries, good and bad, are loaded, replaced, listed, dumped, restored, deleted and called at random."""

import re

import resp

LIBRARIES = ["a", "A", "b", "lib_3"]
FUNCTIONS = ["f", "g", "h", "long_name_7"]
BODIES = [
    "return 1", "return {keys[1], args[1], #keys, #args}", "return redis.call('set', 'story:f', args[1] or 'x')", "return redis.call('get', 'story:f')",
    "return redis.call('incr', 'story:f')", "return redis.pcall('incr', 'story:l')", "return redis.call('lpush', 'story:l', 1)", "return KEYS", "x = 1",
    "error('no')", "error({err = 'MY word'})", "return redis.error_reply('MY word')", "return redis.status_reply('fine')", "return nope",
    "return redis.call('nope')", "return redis.call('get')", "return redis.call('fcall', 'f', 0)", "return redis.register_function", "return redis.breakpoint",
    "redis.setresp(3) return redis.call('hgetall', 'story:h')", "return cjson.encode({1, 'a', {b = true}})", "return cmsgpack.pack({1, 'a', 0.5})",
    "return struct.pack('>I2s', 7, 'x')", "redis.call('select', 1) return redis.call('get', 'story:f')", "return redis.call('dbsize') * 0",
    "return string.rep('x', 20)", "return {double = 1.5}", "return {map = {a = 1}}", "return {3.7, true, false, nil, 4}", "return redis.sha1hex('x')",
    "return math.floor(3.7)", "return {pcall(function() error('in') end)}", "table.insert(redis, 1)", "return type(redis.acl_check_cmd('get', 'x'))",
]
FLAGS = ["no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys", "NO-WRITES", "nope", 1]
HEADS = ["#!lua name=%s", "#!LUA NAME=%s", "#!lua name='%s'", "#!lua  name=\"%s\" "]
BAD = [
    "", "x", "#!", "#!lua", "#!lua\n", "#!lua name=\n", "#!lua name=a-b\n", "#!lua name=x y=1\n", "#!lua name=x name=x\n", "#!js name=x\n", "#!js\n",
    "#! lua name=x\n", "#!lua name=\"x\n", "#!lua name=zz\n", "#!lua name=zz\nbad code", "#!lua name=zz\nfoo()", "#!lua name=zz\na = 1",
    "#!lua name=zz\nredis.call('ping')", "#!lua name=zz\nreturn math", "#!lua name=zz\nredis.y = 1", "#!lua name=zz\nlocal a = nil + 1",
    "#!lua name=zz\nreturn redis.REDIS_VERSION_NUM", "#!lua name=zz\nredis.log()", "#!lua name=zz\nredis.log(9, 'x')",
]
CALLS = [
    "()", "('z')", "({}, 1)", "('z', 1)", "('z', function() end, {})", "('z z', function() end)", "{}", "{1}", "{function_name = 'z'}",
    "{callback = function() end}", "{function_name = {}}", "{function_name = 'z', callback = 5}", "{function_name = 'z', callback = function() end, x = 1}",
    "{function_name = 'z', callback = function() end, description = {}}", "{function_name = 'z', callback = function() end, flags = 1}",
    "('z', function() end) redis.register_function('z', function() end)",
]


def registration(t, name):
    body = "function(keys, args) %s end" % t.r.choice(BODIES)
    if t.r.random() < 0.5:
        return "redis.register_function('%s', %s)" % (name, body)
    parts = ["%s = '%s'" % (t.r.choice(["function_name", "FUNCTION_NAME"]), name), "callback = " + body]
    if t.r.random() < 0.5:
        flags = [t.r.choice(FLAGS[:6] if t.r.random() < 0.9 else FLAGS) for _ in range(t.r.randint(0, 3))]
        parts.append("flags = {%s}" % ", ".join("'%s'" % f if isinstance(f, str) else str(f) for f in flags))
    if t.r.random() < 0.3:
        parts.append("description = %s" % t.r.choice(["'what it does'", "''", "5"]))
    return "redis.register_function{%s}" % ", ".join(parts)


def code(t):
    x = t.r.random()
    if x < 0.12:
        return t.r.choice(BAD)
    if x < 0.2:
        return "#!lua name=zz\nredis.register_function%s" % t.r.choice(CALLS)
    names = t.r.sample(FUNCTIONS, t.r.randint(1, 2))
    return t.r.choice(HEADS) % t.r.choice(LIBRARIES) + "\n" + "\n".join(registration(t, n) for n in names)


def in_order(value):
    """What is listed, without the order of each server's own."""
    if isinstance(value, list):
        return sorted((in_order(v) for v in value), key=repr)
    return tuple(in_order(v) for v in value) if isinstance(value, tuple) else value


def listed(t, name, *args):
    raw = t.conns[name].ask(*[a.encode() for a in args])
    t.note(" ".join(args), in_order(resp.decode(raw)))


def change(t, name, *args):
    """A command that may be refused for what there is already: which of several such things is met first is each server's own."""
    args = [a if isinstance(a, bytes) else a.encode() for a in args]
    raw = t.conns[name].ask(*args)
    t.note(repr(args), b"already exists" if re.match(rb"-ERR (Function|Library) \w+ already exists", raw) else raw)


def restore(t, name, payloads):
    if t.r.random() < 0.4 or not payloads:
        payloads.append(resp.decode(t.conns[name].ask(b"FUNCTION", b"DUMP"))[1])
        return
    number = t.r.randrange(len(payloads))
    payload = payloads[number]
    if t.r.random() < 0.1:
        payload = payload[:-1] + bytes([payload[-1] ^ 1])
    policy = t.r.choice([[], ["APPEND"], ["REPLACE"], ["replace"], ["FLUSH"], ["nope"], ["FLUSH", "x"]])
    raw = t.conns[name].ask(b"FUNCTION", b"RESTORE", payload, *[p.encode() for p in policy])
    t.note("restore %d %s" % (number, policy), b"already exists" if b"already exists" in raw else raw)


def call(t, name):
    keys = ["story:k%d" % i for i in range(t.r.randint(0, 2))]
    count = len(keys) if t.r.random() < 0.93 else t.r.choice(["x", -1, 9, ""])
    function = t.r.choice(FUNCTIONS + ["F", "nope"])
    t.ask(name, t.r.choice(["FCALL", "FCALL", "FCALL_RO"]), function, count, *keys, *["v"] * t.r.randint(0, 2))


def functions(t):
    t.open("2")
    t.open("3")
    t.value("3", "HELLO", "3")
    t.ask("2", "FUNCTION", "FLUSH")
    t.ask("2", "HSET", "story:h", "a", 1)
    payloads = []
    for _ in range(200):
        name, x = t.r.choice("23"), t.r.random()
        if x < 0.25:
            change(t, name, "FUNCTION", "LOAD", *t.r.choice([[], ["REPLACE"], ["REPLACE"], ["replace", "REPLACE"], ["x"]][:5 if t.r.random() < 0.1 else 4]), code(t))
        elif x < 0.6:
            call(t, name)
        elif x < 0.7:
            listed(t, name, "FUNCTION", "LIST", *t.r.choice([[], ["WITHCODE"], ["LIBRARYNAME", "A*"], ["libraryname", "nosuch", "withcode"]]))
        elif x < 0.8:
            restore(t, name, payloads)
        elif x < 0.9:
            t.ask(name, "FUNCTION", "DELETE", t.r.choice(LIBRARIES))
        elif x < 0.94:
            t.ask(name, "FUNCTION", "STATS")
        elif x < 0.96:
            t.ask(name, "FUNCTION", "FLUSH", *t.r.choice([[], ["SYNC"], ["ASYNC"], ["x"], ["SYNC", "x"]]))
        else:
            t.ask(name, *t.r.choice([["FUNCTION"], ["FUNCTION", "NOPE"], ["FUNCTION", "LIST", "x"], ["FUNCTION", "LIST", "LIBRARYNAME"], ["FCALL", "f"],
                                     ["FUNCTION", "LOAD"], ["FUNCTION", "DUMP", "x"], ["FUNCTION", "LIST", "WITHCODE", "WITHCODE"]]))
    t.ask("2", "FUNCTION", "FLUSH")
    t.ask("2", "DEL", "story:f", "story:l", "story:h")


OFTEN = [functions]
