"""Stories of streams: who waits for entries, from one stream or several, alone or in a group, and what becomes of him; ids that follow
the clock; what trimming leaves, which depends on where nodes end."""

import re


def key_of(t):
    return "story:%d" % t.r.randrange(10**9)


def waiting(t, n):
    """Until so many wait: who is served first depends on who came first."""
    t.until("%d wait" % n, lambda: t.value("admin", "INFO", "clients")[1].find(b"blocked_clients:%d\r\n" % n) >= 0)


def begin(t, protocol, *names):
    for name in names + ("admin",):
        t.open(name).ask("HELLO", protocol)


def send(t, name, *args):
    from resp import encode
    t.send(name, encode([a if isinstance(a, bytes) else str(a).encode() for a in args]))


def got(t, name, what):
    """The reply that was waited for."""
    t.log.append(([b"reply", name.encode(), what.encode()], t.conns[name].reply()))


def readers(t):
    """XREAD ... BLOCK: from the first of several streams that gets something; everybody gets it."""
    protocol = t.r.choice([2, 3])
    begin(t, protocol, "a", "b", "w")
    x, y = key_of(t), key_of(t)
    t.ask("w", "XADD", x, "1-1", "f", "old")
    for count in ([], ["COUNT", 1]):
        send(t, "a", "XREAD", *count, "BLOCK", 0, "STREAMS", x, y, "$", "$")
        waiting(t, 1)
        send(t, "b", "XREAD", *count, "BLOCK", 0, "STREAMS", y, "0")
        waiting(t, 2)
        t.ask("w", "XADD", y, "5-*", "f", "new", "g", 7)
        got(t, "a", "is new in y")
        got(t, "b", "is new in y")
        t.ask("w", "DEL", y)
    send(t, "a", "XREAD", "BLOCK", 0, "STREAMS", x, "1-1")
    waiting(t, 1)
    t.ask("w", "XDEL", x, "1-1")
    t.ask("w", "DEL", x)
    t.ask("w", "SET", x, "text")
    t.ask("w", "DEL", x)
    t.ask("w", "XADD", x, "1-1", "f", "too early")
    t.ask("w", "XADD", x, "1-2", "f", "just right")
    got(t, "a", "is behind what it asked for")
    t.ask("a", "XREAD", "BLOCK", 20, "STREAMS", x, "$")
    t.ask("a", "XREAD", "BLOCK", 20, "STREAMS", x, y, "1-2", "0")
    t.ask("w", "DEL", x)


def groups(t):
    """XREADGROUP ... BLOCK: one entry for each who waits, in their order; and what they are told when the group or the stream goes."""
    protocol = t.r.choice([2, 3])
    begin(t, protocol, "a", "b", "c", "w")
    x = key_of(t)
    t.ask("w", "XGROUP", "CREATE", x, "g", "$", "MKSTREAM")
    t.ask("w", "XGROUP", "CREATE", x, "h", "$")
    for i, name in enumerate("abc"):
        noack = ["NOACK"] if t.r.random() < 0.3 else []
        send(t, name, "XREADGROUP", "GROUP", "h" if name == "c" else "g", "by-" + name, "BLOCK", 0, *noack, "STREAMS", x, ">")
        waiting(t, i + 1)
    t.ask("w", "XADD", x, "1-1", "f", "one")
    got(t, "a", "got the first")
    got(t, "c", "is of another group")
    t.ask("w", "XADD", x, "1-2", "f", "two")
    got(t, "b", "got the second")
    t.ask("w", "XPENDING", x, "g")
    t.ask("w", "XINFO", "GROUPS", x)
    for how in (["XGROUP", "DESTROY", x, "g"], ["DEL", x], ["SET", x, "text"], ["RENAME", x, x + "-new"]):
        t.ask("w", "DEL", x, x + "-new")
        t.ask("w", "XGROUP", "CREATE", x, "g", "$", "MKSTREAM")
        send(t, "a", "XREADGROUP", "GROUP", "g", "by-a", "BLOCK", 0, "STREAMS", x, ">")
        waiting(t, 1)
        t.ask("w", *how)
        got(t, "a", "after " + how[0])
    t.ask("w", "DEL", x, x + "-new")
    t.ask("w", "XGROUP", "CREATE", x, "g", "$", "MKSTREAM")
    t.ask("a", "XREADGROUP", "GROUP", "g", "by-a", "BLOCK", 20, "STREAMS", x, ">")
    t.ask("a", "XREADGROUP", "GROUP", "g", "by-a", "BLOCK", 20, "STREAMS", x, "0")
    t.ask("w", "XINFO", "CONSUMERS", x, "none")
    t.ask("w", "DEL", x)


def clock(t):
    """Ids that the server gives ascend, and are of the moment."""
    t.open("a")
    x = key_of(t)
    last, sound = (0, 0), True
    for _ in range(t.r.randint(1, 300)):
        raw = t.value("a", "XADD", x, "*", "f", "v")[1]
        m = re.fullmatch(rb"(\d{13})-(\d+)", raw)
        now = (int(m.group(1)), int(m.group(2))) if m else (0, 0)
        sound &= now > last
        last = now
    seconds, micros = (int(v[1]) for v in t.value("a", "TIME")[1])
    t.note("they ascend", sound)
    t.note("the last one is of now", abs(seconds * 1000 + micros // 1000 - last[0]) < 20000)
    t.ask("a", "XADD", x, "9999999999999-7", "f", "v")
    t.ask("a", "XADD", x, "*", "f", "v")
    t.ask("a", "DEL", x)


def trimming(t):
    """How far ~ goes follows from where nodes end, by entries and by bytes, and these limits can be set."""
    t.open("a")
    x = key_of(t)
    limits = (("stream-node-max-entries", t.r.choice([0, 1, 7, 100]), 100), ("stream-node-max-bytes", t.r.choice([0, 200, 4096]), 4096))
    for name, value, _ in limits:
        t.ask("a", "CONFIG", "SET", name, value)
    for i in range(1, t.r.randint(20, 400)):
        t.ask("a", "XADD", x, "%d-1" % i, "f%d" % (i % t.r.choice([1, 1, 3])), "v" * t.r.choice([1, 10, 100]))
    for _ in range(12):
        length = t.value("a", "XLEN", x)[1]
        limit = ["LIMIT", t.r.choice([0, 1, 10, 50, 1000])] if t.r.random() < 0.5 else []
        if t.r.random() < 0.5:
            t.ask("a", "XTRIM", x, "MAXLEN", "~", t.r.randint(0, length), *limit)
        else:
            t.ask("a", "XTRIM", x, "MINID", "~", t.r.randint(0, 400), *limit)
        t.ask("a", "XDEL", x, *("%d-1" % t.r.randint(1, 400) for _ in range(10)))
        t.ask("a", "XINFO", "STREAM", x)
    t.ask("a", "DEL", x)
    for name, _, usual in limits:
        t.ask("a", "CONFIG", "SET", name, usual)


OFTEN = [readers, groups, clock, trimming]
