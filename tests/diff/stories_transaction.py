"""Stories of transactions: two connections watch, queue, change and execute at random, one command at a time. What one's command does
to the other's watch is seen in what EXEC answers, so each command here is also a question whether it counts as a change."""

from resp import encode

KEYS = ["a", "b", "c", "d"]


def key_of(t):
    return "story:" + t.r.choice(KEYS)


def change(t):
    """A command whose reply is the same on both servers, of any type, often of the wrong one, often without effect."""
    k, other, n = key_of(t), key_of(t), t.r.randrange(4)
    return t.r.choice([
        ("SET", k, n), ("SET", k, n, "NX"), ("SET", k, n, "XX"), ("SET", k, n, "KEEPTTL"), ("GETDEL", k), ("GETEX", k), ("GETEX", k, "PERSIST"),
        ("GETEX", k, "EX", 1000), ("APPEND", k, "x"), ("APPEND", k, ""), ("SETRANGE", k, 1, "y"), ("SETRANGE", k, 5, ""), ("INCR", k), ("SETNX", k, 1),
        ("MSET", k, 1, other, 2), ("MSETNX", k, 1, other, 2), ("DEL", k), ("DEL", k, other), ("UNLINK", k),
        ("EXPIRE", k, 1000), ("EXPIRE", k, 1000, "NX"), ("EXPIRE", k, -1), ("PERSIST", k), ("RENAME", k, other), ("RENAMENX", k, other),
        ("COPY", k, other), ("COPY", k, other, "REPLACE"), ("MOVE", k, 2), ("COPY", k, other, "DB", 2, "REPLACE"), ("TOUCH", k), ("TYPE", k),
        ("GET", k), ("EXISTS", k), ("TTL", "nosuch"),
        ("RPUSH", k, n), ("RPUSHX", k, n), ("LPOP", k), ("LPOP", k, 0), ("LSET", k, 0, n), ("LREM", k, 1, n), ("LTRIM", k, 0, 2), ("LTRIM", k, 5, 1),
        ("LINSERT", k, "BEFORE", n, 9), ("LMOVE", k, other, "LEFT", "RIGHT"), ("RPOPLPUSH", k, k), ("LMPOP", 2, k, other, "LEFT"), ("LLEN", k),
        ("BLPOP", k, other, "0.01"), ("BLMOVE", k, other, "LEFT", "LEFT", "0.01"),
        ("SADD", k, n), ("SREM", k, n), ("SMOVE", k, other, n), ("SINTERSTORE", k, other), ("SUNIONSTORE", k, other, k), ("SCARD", k),
        ("HSET", k, n, n), ("HSETNX", k, n, 1), ("HDEL", k, n), ("HINCRBY", k, n, 0), ("HLEN", k),
        ("ZADD", k, n, "m"), ("ZADD", k, "NX", n, "m"), ("ZADD", k, "GT", n, "m"), ("ZINCRBY", k, 0, "m"), ("ZREM", k, "m"), ("ZPOPMIN", k),
        ("ZREMRANGEBYRANK", k, 0, 0), ("ZUNIONSTORE", k, 1, other), ("ZRANGESTORE", k, other, 0, -1), ("ZCARD", k),
        ("XADD", k, "5-%d" % n, "f", "v"), ("XTRIM", k, "MAXLEN", n), ("XDEL", k, "5-%d" % n), ("XLEN", k),
        ("PFADD", k, n), ("PFMERGE", k, other), ("BITOP", "NOT", k, other), ("SORT", k, "ALPHA", "STORE", other),
        ("FLUSHDB", ), ("SWAPDB", 0, 2), ("SWAPDB", 2, 3), ("DBSIZE", ),
    ])


def session(t):
    return t.r.choice([("PING", ), ("ECHO", "x"), ("SELECT", 0), ("SELECT", 2), ("SELECT", 99), ("CLIENT", "GETNAME"), ("CLIENT", "SETNAME", "me"),
                       ("UNWATCH", ), ("WAIT", 0, 0), ("CONFIG", "GET", "appendfsync-no-such"), ("OBJECT", "HELP", "x")])


def wrong(t):
    return t.r.choice([("NOSUCH", ), ("GET", ), ("SAVE", ), ("CLIENT", "NOSUCH"), ("MULTI", ), ("WATCH", "story:a"), ("SET", "x"), ("DISCARD", "x"),
                       ("EXEC", "x"), ("MULTI", "x"), ("WATCH", )])




def transactions(t):
    names = ["a", "b"]
    for name in names:
        t.open(name)
        if t.r.random() < 0.3:
            t.value(name, "HELLO", "3")
    for db in (0, 2, 3):
        t.ask("a", "SELECT", db)
        t.ask("a", "FLUSHDB")
    t.ask("a", "SELECT", 0)
    for _ in range(400):
        name, x = t.r.choice(names), t.r.random()
        if x < 0.10:
            t.ask(name, "MULTI")
        elif x < 0.24:
            t.ask(name, "WATCH", *[key_of(t) for _ in range(t.r.randint(1, 2))])
        elif x < 0.38:
            t.ask(name, "EXEC")
        elif x < 0.40:
            t.ask(name, t.r.choice(["DISCARD", "UNWATCH"]))
        elif x < 0.44:
            t.ask(name, *session(t))
        elif x < 0.46:
            t.ask(name, *wrong(t))
        else:
            t.ask(name, *change(t))
    for name in names:
        t.ask(name, "RESET")
        if t.password:
            t.value(name, "AUTH", t.password)
    for db in (0, 2, 3):
        t.ask("a", "SELECT", db)
        t.ask("a", "FLUSHDB")


def watches(t):
    """One change at a time, and whether it is a conflict."""
    t.open("a"), t.open("b")
    t.ask("a", "SELECT", 2), t.ask("b", "SELECT", 2)
    for _ in range(150):
        t.ask("b", "FLUSHDB")
        for _ in range(t.r.randrange(4)):
            t.ask("b", *change(t))
            t.ask("b", "SELECT", 2)
        t.ask("a", "WATCH", key_of(t))
        if t.r.random() < 0.2:
            t.ask("a", "WATCH", key_of(t))
        t.ask(t.r.choice("aabbb"), *change(t))
        t.ask("a", "MULTI")
        t.ask("a", "SET", "story:done", 1)
        t.ask("a", "EXEC")
    t.ask("b", "FLUSHDB")


def pipelined(t):
    """A whole session in one write: what is queued, doomed and executed, and what follows it."""
    t.open("a")
    t.ask("a", "SELECT", 2)
    for _ in range(10):
        data = b""
        for _ in range(t.r.randint(5, 60)):
            x = t.r.random()
            command = ("MULTI", ) if x < 0.12 else ("EXEC", ) if x < 0.26 else ("DISCARD", ) if x < 0.28 else wrong(t) if x < 0.31 else change(t)
            data += encode([str(w).encode() for w in command])
        data += encode([b"RESET"])
        if t.password:  # which RESET forgets, and without which nothing that follows would be answered
            data += encode([b"AUTH", t.password.encode()])
        t.until_sentinel("a", b"a pipeline of transactions", data)
        t.ask("a", "SELECT", 2)
    t.ask("a", "FLUSHDB")


OFTEN = [transactions, transactions, watches, pipelined]
