"""Stories of keyspace notifications and of MONITOR: what a listener is told of commands that wait, of transactions, of what expires, of
scripts; and what notify-keyspace-events makes of its letters. Single commands are compared by run --events."""

import re
import time

import resp
from gen import dump_seal
from resp import encode

from stories_stream import got, key_of, send, waiting

OFF = b""
TWO = dump_seal(b"\x00\xc0\x02")
PONG = b"-- told --"


def listen(t, protocol=2, classes="KEAmn"):
    t.open("l").ask("HELLO", protocol)
    t.open("admin")
    t.ask("admin", "CONFIG", "SET", "notify-keyspace-events", classes)
    t.ask("l", "PSUBSCRIBE", "__key*")


def told(t, what):
    """All that came since the last time."""
    t.send("l", encode([b"PING", PONG]))
    all_of_it, raw = [], t.conns["l"].reply()
    while PONG not in raw:
        all_of_it.append(raw)
        raw = t.conns["l"].reply()
    t.log.append(([b"told", what.encode()], b"".join(b"%s|" % x for x in all_of_it)))


def quiet(t):
    t.ask("admin", "CONFIG", "SET", "notify-keyspace-events", OFF)
    told(t, "at the end")


def event_letters(t):
    """Whatever letters the setting is given in whatever order, it is shown in one way, and means what it says."""
    listen(t, classes="")
    t.open("a")
    key = key_of(t)
    for _ in range(15):
        letters = "".join(t.r.choice("KEAg$lshzxetdmn" + "KE" * 4) for _ in range(t.r.randint(0, 8)))
        if t.r.random() < 0.1:
            letters += t.r.choice("Qk ,e")
            # When it refuses a letter, Redis goes back to what it shows, and has forgotten an n beside an A.
            t.ask("a", "CONFIG", "SET", "notify-keyspace-events", "KEA")
        t.ask("a", "CONFIG", "SET", "notify-keyspace-events", letters)
        t.ask("a", "CONFIG", "GET", "notify-keyspace-events")
        t.ask("a", "GET", key)
        for command in (["SET", key, 1], ["INCR", key], ["DEL", key], ["LPUSH", key, "a"], ["LPOP", key], ["SADD", key, "a"],
                        ["SPOP", key], ["HSET", key, "a", 1], ["EXPIRE", key, 100], ["ZADD", key + "z", 1, "a"], ["ZREM", key + "z", "a"],
                        ["HDEL", key, "a"], ["XADD", key, "1-1", "a", "b"], ["DEL", key]):
            t.ask("a", *command)
        told(t, "with " + letters)
    quiet(t)


def events_of_waiting(t):
    """Who waits is served right behind what he waited for, and that is the order of the events."""
    listen(t, t.r.choice([2, 3]))
    for name in "abw":
        t.open(name)
    k, l, s = (key_of(t) for _ in range(3))
    waits = [
        (["BLPOP", k, l, 0], ["RPUSH", l, "x"]),
        (["BLPOP", k, 0], ["RPUSH", k, "x", "y"]),
        (["BRPOP", k, 0], ["LPUSH", k, "x", "y"]),
        (["BRPOPLPUSH", k, l, 0], ["LPUSH", k, "x"]),
        (["BLMOVE", k, k, "LEFT", "RIGHT", 0], ["LPUSH", k, "x"]),
        (["BLMPOP", 0, 2, k, l, "LEFT", "COUNT", 5], ["RPUSH", k, "x", "y", "z"]),
        (["BZPOPMIN", k, l, 0], ["ZADD", l, 1, "x"]),
        (["BZPOPMAX", k, 0], ["ZADD", k, 1, "x", 2, "y"]),
        (["BZMPOP", 0, 1, k, "MAX", "COUNT", 3], ["ZADD", k, 1, "x", 2, "y"]),
        (["BLPOP", k, 0], ["RENAME", s, k]),
        (["BLPOP", k, 0], ["COPY", s, k]),
        (["BLPOP", k, 0], ["SORT", s, "ALPHA", "STORE", k]),
        (["BLPOP", k, 0], ["LMOVE", s, k, "LEFT", "LEFT"]),
        (["XREAD", "BLOCK", 0, "STREAMS", k, "$"], ["XADD", k, "1-1", "a", "b"]),
    ]
    t.r.shuffle(waits)
    for wait, bring in waits:
        t.ask("w", "DEL", k, l, s)
        t.ask("w", "RPUSH", s, "from", "there")
        send(t, "a", *wait)
        waiting(t, 1)
        in_multi = t.r.random() < 0.5
        if in_multi:
            t.ask("w", "MULTI")
        t.ask("w", *bring)
        if in_multi:
            t.ask("w", "SET", s, "behind it")
            t.ask("w", "EXEC")
        got(t, "a", wait[0])
        told(t, " ".join(map(str, wait[:1] + bring[:1])))
    t.ask("w", "DEL", k, l, s)
    t.ask("w", "XGROUP", "CREATE", k, "g", "$", "MKSTREAM")
    for i, name in enumerate("ab"):
        send(t, name, "XREADGROUP", "GROUP", "g", "consumer-" + name, "BLOCK", 0, "STREAMS", k, ">")
        waiting(t, i + 1)
    t.ask("w", "XADD", k, "1-1", "a", "b")
    got(t, "a", "the first")
    t.ask("w", "XADD", k, "1-2", "a", "b")
    got(t, "b", "the second")
    told(t, "of two consumers")
    t.ask("w", "DEL", k, l, s)
    quiet(t)


def events_of_transactions(t):
    """In their order, and in the databases that SELECT in between says; to oneself, too."""
    listen(t)
    c = t.open("a")
    protocol = t.r.choice([2, 3])
    c.ask("HELLO", protocol)
    k, l = key_of(t), key_of(t)
    commands = [["SET", k, 1], ["GET", l], ["SELECT", 8], ["LPUSH", l, "a"], ["MOVE", l, 9], ["SWAPDB", 8, 9], ["SELECT", 9], ["DEL", l],
                ["INCR", l, "too many"], ["LPOP", k], ["EXPIRE", k, -1], ["FLUSHDB"], ["RENAME", k, l], ["SELECT", 0]]
    t.r.shuffle(commands)
    t.ask("a", "MULTI")
    for command in commands:
        t.ask("a", *command)
    t.ask("a", "EXEC")
    told(t, "a transaction")
    t.ask("a", "WATCH", k)
    t.ask("admin", "SET", k, 2)
    t.ask("a", "MULTI")
    t.ask("a", "DEL", k)
    t.ask("a", "EXEC")
    told(t, "one that did not happen")
    for db in (8, 9, 0):
        t.ask("a", "SELECT", db)
        t.ask("a", "DEL", k, l)
    told(t, "cleaning up")
    quiet(t)


def events_of_expiry(t):
    """A key whose time is over goes by itself, or with the write that meets it, and that is told first."""
    listen(t)
    t.open("a").ask("SELECT", "14")
    t.ask("a", "SET", "alone", "v", "PX", 20)
    told_at = time.monotonic() + 10
    heard = []
    while len(heard) < 6 and time.monotonic() < told_at:  # new, set, expire, expired: each twice
        try:
            heard.append(t.conns["l"].reply(0.5))
        except resp.socket.timeout:
            continue
    heard += [t.conns["l"].reply(5) for _ in range(2)]
    t.log.append(([b"by itself"], b"|".join(heard)))
    makers = [["SET"], ["RPUSH"], ["SADD"]]
    meetings = [["SET", "K", 1], ["SETEX", "K", 100, 1], ["SETNX", "K", 1], ["GETSET", "K", 1], ["MSET", "K", 1], ["MSETNX", "K", 1],
                ["SET", "K", 1, "GET"], ["SET", "K", 1, "KEEPTTL"], ["APPEND", "K", 1], ["SETRANGE", "K", 1, 1], ["INCR", "K"],
                ["INCRBYFLOAT", "K", 1], ["GETDEL", "K"], ["GETEX", "K", "PERSIST"], ["SETBIT", "K", 1, 1], ["BITFIELD", "K", "SET", "u8", 0, 1],
                ["BITOP", "NOT", "K", "other"], ["PFADD", "K", 1], ["PFMERGE", "K"], ["DEL", "K"], ["UNLINK", "K", "K"], ["EXPIRE", "K", 100],
                ["EXPIRE", "K", -1], ["PERSIST", "K"], ["RENAME", "K", "new"], ["RENAME", "other", "K"], ["RENAMENX", "other", "K"],
                ["COPY", "K", "new"], ["COPY", "other", "K"], ["COPY", "other", "K", "REPLACE"], ["LPUSH", "K", 1], ["LPUSHX", "K", 1],
                ["LPOP", "K"], ["RPOP", "K", 2], ["LMOVE", "K", "new", "LEFT", "LEFT"], ["LTRIM", "K", 0, 1], ["LREM", "K", 0, "v"],
                ["LSET", "K", 0, "v"], ["SADD", "K", "a"], ["SREM", "K", "a"], ["SPOP", "K"], ["SMOVE", "K", "new", "v"],
                ["SUNIONSTORE", "K", "set"], ["SORT", "set", "ALPHA", "STORE", "K"], ["HSET", "K", "a", 1], ["HDEL", "K", "a"],
                ["HINCRBY", "K", "a", 1], ["ZADD", "K", 1, "a"], ["ZREM", "K", "a"], ["ZPOPMIN", "K"], ["ZUNIONSTORE", "K", 1, "set"],
                ["XADD", "K", "1-1", "a", "b"], ["XTRIM", "K", "MAXLEN", 0], ["XGROUP", "CREATE", "K", "g", 0, "MKSTREAM"],
                ["SINTERSTORE", "K", "none"], ["ZUNIONSTORE", "K", 1, "none"], ["ZRANGESTORE", "K", "none", 0, 1], ["BITOP", "OR", "K", "none"],
                ["SORT", "none", "STORE", "K"], ["GEOSEARCHSTORE", "K", "none", "FROMLONLAT", 1, 1, "BYRADIUS", 1, "m"],
                ["RESTORE", "K", 0, TWO, "REPLACE"], ["RESTORE", "K", 1, TWO, "REPLACE", "ABSTTL"], ["RESTORE", "K", 0, TWO],
                ["XDEL", "K", 1], ["MOVE", "K", 13], ["LMPOP", 1, "K", "LEFT"], ["BLPOP", "K", 0.01]]
    try:
        t.ask("admin", "DEBUG", "SET-ACTIVE-EXPIRE", 0)
        chosen = t.r.sample(meetings, 20)
        for i, command in enumerate(chosen):
            maker = t.r.choice(makers)[0]
            t.ask("a", "SET", "other%d" % i, "v")
            t.ask("a", "SADD", "set%d" % i, "v")
            t.ask("a", maker, "K%d" % i, "v")
            t.ask("a", "PEXPIRE", "K%d" % i, 10)
        told(t, "before it is over")
        time.sleep(0.05)
        for i, command in enumerate(chosen):
            t.ask("a", *(x + str(i) if x in ("K", "other", "set", "new") else x for x in command))
            told(t, str(command[0]))
    finally:
        t.ask("admin", "DEBUG", "SET-ACTIVE-EXPIRE", 1)
    t.ask("a", "FLUSHDB")
    t.ask("a", "SELECT", 13)
    t.ask("a", "FLUSHDB")
    told(t, "flushing")
    quiet(t)


def events_to_oneself(t):
    """With RESP3 one may listen to what one does. Where the message comes is for ours behind the reply, always."""
    listen(t, 2)
    c = t.open("a")
    c.ask("HELLO", "3")
    k = key_of(t)
    t.ask("a", "PSUBSCRIBE", "__keyevent*")
    for command in (["SET", k, 1], ["LPUSH", k, 1], ["EXPIRE", k, 100], ["DEL", k]):
        pieces = []
        t.send("a", encode([str(x).encode() for x in command]) + encode([b"ECHO", PONG]))
        while not pieces or PONG not in pieces[-1]:
            pieces.append(c.reply())
        t.log.append(([str(x).encode() for x in command], b"|".join(sorted(pieces))))
    told(t, "of it")
    quiet(t)


def monitored(t):
    """MONITOR shows each command once it was run, in Redis's spelling."""
    t.open("m")
    t.open("a")
    t.open("b").ask("HELLO", "3")
    t.ask("m", "MONITOR")
    k = key_of(t)
    t.ask("m", "PING")
    odd = bytes(t.r.randrange(256) for _ in range(t.r.randint(0, 60)))
    commands = [["SET", k, odd], ["GET", k], ["SELECT", t.r.randrange(9)], ["nosuch", "x"], ["GET"], ["CONFIG", "GET", "port"], ["ECHO", odd],
                ["INCR", k], ["AUTH", "name", "secret"], ["HELLO", 3, "AUTH", "name", "secret"], ["CLIENT", "GETNAME"], ["CLIENT", "ID"],
                ["OBJECT", "FREQ", k], ["COMMAND", "COUNT"], ["MULTI"], ["EXEC"], ["BLPOP", k + "none", "0.001"], ["SLOWLOG", "LEN"],
                ["PUBLISH", "nobody", "x"], ["DISCARD"], ["mGeT", k], ["DEBUG", "SLEEP", "0"], ["LATENCY", "RESET"], ["RESET"], ["WATCH", k],
                ["UNWATCH"], ["XREAD", "STREAMS", k + "x", "$"], ["SUBSCRIBE", "c"], ["UNSUBSCRIBE", "c"], ["READONLY"], ["DEL", k]]
    shown = []
    for _ in range(60):
        command = t.r.choice(commands)
        data = encode([x if isinstance(x, bytes) else str(x).encode() for x in command])
        name = t.r.choice("ab")
        t.send(name, data)
        t.conns[name].reply()
    end = b"that was all"
    t.open("e").ask("ECHO", end)
    while not shown or end not in shown[-1]:
        shown.append(re.sub(rb"127\.0\.0\.1:\d+", b"ADDRESS", re.sub(rb"^\+\d{10}\.\d{6} ", b"+", t.conns["m"].reply())))
    t.log.append(([b"shown"], b"".join(shown)))
    for command in (["GET", k], ["SET", k, 1], ["MONITOR"], ["PUBLISH", "c", "x"]):
        if command[0] != "MONITOR":
            t.ask("m", *command)
    t.ask("m", "RESET")
    t.ask("m", "PING")
    t.open("c").ask("DEL", k)


def events_of_scripts(t):
    """What a script does is told as if a client did it: events, MONITOR (behind the script itself), the slow log, the counts."""
    listen(t)
    t.open("m")
    t.open("a").ask("SELECT", "9")
    k, l = key_of(t), key_of(t)
    t.ask("m", "MONITOR")
    t.ask("admin", "SLOWLOG", "RESET")
    t.ask("admin", "CONFIG", "RESETSTAT")
    t.ask("admin", "CONFIG", "SET", "slowlog-log-slower-than", 0)
    lines = ["redis.call('SET', KEYS[1], ARGV[1])", "redis.call('get', KEYS[2])", "redis.pcall('incr', KEYS[1])", "redis.call('del', KEYS[1])",
             "redis.call('rpush', KEYS[2], 1, 2, ARGV[1])", "redis.pcall('lpop', KEYS[1])", "redis.pcall('nosuch')", "redis.pcall('get')",
             "redis.call('select', 8)", "redis.call('expire', KEYS[2], 100)", "redis.call('exists', KEYS[1], KEYS[2])", "redis.call('ping')",
             "redis.call('spop', KEYS[2])", "redis.call('publish', 'c', ARGV[1])"]
    for _ in range(4):
        body = " ".join(t.r.choice(lines) for _ in range(t.r.randint(1, 6)))
        how = t.r.choice(["EVAL", "EVAL", "EVALSHA", "EVAL_RO"])
        first = t.value("a", "SCRIPT", "LOAD", body)[1] if how == "EVALSHA" else body
        in_multi = t.r.random() < 0.3
        if in_multi:
            t.ask("a", "MULTI")
        t.ask("a", how, first, 2, k, l, "value")
        if in_multi:
            t.ask("a", "EXEC")
        told(t, body)
    t.ask("admin", "CONFIG", "SET", "slowlog-log-slower-than", 10000)
    rows = t.value("admin", "SLOWLOG", "GET", "100")[1]
    for row in rows:
        t.note("slow log of %r" % row[1][3][1][0][1], ([x[1] for x in row[1][3][1]], row[1][4][1].split(b":")[0], row[1][5][1]))
    stats = t.value("admin", "INFO", "commandstats")[1] + t.value("admin", "INFO", "errorstats")[1]
    for x in sorted(re.sub(rb",usec(_per_call)?=[0-9.]+", b"", x) for x in stats.split(b"\r\n") if b"config" not in x):
        t.note("counts of %r" % x.split(b":")[0], x)
    shown = []
    t.send("m", encode([b"PING", b"the end"]))
    while not shown or b"the end" not in shown[-1]:
        shown.append(re.sub(rb"127\.0\.0\.1:\d+", b"ADDRESS", re.sub(rb"^\+\d{10}\.\d{6} ", b"+", t.conns["m"].reply())))
    for line in shown:
        t.log.append(([b"shown"], line))
    for db in (8, 9):
        t.ask("a", "SELECT", db)
        t.ask("a", "DEL", k, l)
    quiet(t)


OFTEN = [events_of_scripts, event_letters, events_of_waiting, events_of_transactions, events_of_expiry, events_to_oneself, monitored]
