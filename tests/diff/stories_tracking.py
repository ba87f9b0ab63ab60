"""Stories of client side caching: connections of both protocols track, read and write at random; after each command the transcript
takes what every connection was told, up to the answer of a PING that it is sent then."""

import re
import socket

import resp
from resp import encode

KEYS = [b"story:tracking:" + k for k in (b"a", b"b", b"c", b"ab", b"")]
PREFIXES = [b"story:tracking:", b"story:tracking:a", b"story:tracking:b", b"story:", b"none"]
TRACKERS = ("x3", "y3", "z2")
TARGETS = ("s2", "v3")          # and they do nothing themselves: Redis writes what comes for them into the middle of their own replies
MARK = b"-- so far --"


def in_own_words(raw):
    """Redis says null in the words of who tracks, not of who hears it."""
    return raw.replace(b"invalidate\r\n$-1\r\n", b"invalidate\r\n_\r\n")


def drain(t, name, what, replies=0):
    """After so many replies. Keys that one command changes are told of in each server's own order."""
    c, got, run = t.conns[name], [], []
    try:
        while replies > 0:
            raw = in_own_words(c.reply())
            (run if raw[:1] == b">" else got).append(raw)
            replies -= raw[:1] != b">"
        got += sorted(run)
        run = []
        c.send(encode([b"PING", MARK]))
        while True:
            raw = in_own_words(c.reply())
            if b"invalidate" in raw[:60] and MARK not in raw:
                run.append(raw)
                continue
            got += sorted(run)
            run = []
            if MARK in raw:
                break
            got.append(raw)
    except (resp.Closed, BrokenPipeError, ConnectionResetError) as e:
        got += [getattr(e, "rest", b""), b"(closed)"]
    except socket.timeout:
        got.append(b"(silence)")
    text = b"".join(b"%s|" % g for g in got)
    names = {b"%d" % number: who.encode() for who, number in t.ids.items()}
    where = rb"(redirect\r\n|tracking-redir-broken\r\n%s):(\d+)" % (rb"|^" if b"GETREDIR" in what else b"")
    text = re.sub(where, lambda m: m.group(1) + b":" + names.get(m.group(2), m.group(2)), text)
    t.log.append(([what], text))


def read(t):
    k, l = t.r.choice(KEYS), t.r.choice(KEYS)
    return t.r.choice([["GET", k], ["GET", k], ["MGET", k, l], ["STRLEN", k], ["EXISTS", k, l], ["TTL", k], ["TYPE", k], ["LRANGE", k, 0, -1],
                       ["HGETALL", k], ["SUNION", k, l], ["ZSCORE", k, "m"], ["XLEN", k], ["BITCOUNT", k], ["DUMP", k], ["SORT_RO", k],
                       ["XREAD", "STREAMS", k, l, 0, 0], ["OBJECT", "FREQ", k], ["GETRANGE", k, 0, 1], ["PFCOUNT", k], ["DBSIZE"]])


def write(t):
    k, l = t.r.choice(KEYS), t.r.choice(KEYS)
    return t.r.choice([["SET", k, t.r.randrange(100)], ["SET", k, 1, "NX"], ["INCR", k], ["MSET", k, 1, l, 2], ["APPEND", k, "x"], ["DEL", k, l],
                       ["UNLINK", k], ["EXPIRE", k, 1000], ["PERSIST", k], ["RENAME", k, l], ["COPY", k, l], ["LPUSH", k, "e"], ["LPOP", k],
                       ["HSET", k, "f", "v"], ["SADD", k, "m"], ["SREM", k, "m"], ["ZADD", k, 1, "m"], ["GETDEL", k], ["GETEX", k, "PERSIST"],
                       ["SETRANGE", k, 3, "y"], ["XADD", k, "MAXLEN", 2, "*", "f", "v"], ["FLUSHDB"], ["SUNIONSTORE", k, l], ["LMOVE", k, l, "LEFT", "RIGHT"],
                       ["MOVE", k, 9]])


def options(t):
    words = []
    if t.r.random() < 0.4:
        words += ["REDIRECT", t.ids[t.r.choice(TARGETS)] if t.r.random() < 0.95 else 987654321]
    if t.r.random() < 0.35:
        words.append("BCAST")
        for _ in range(t.r.choice((1, 1, 1, 2, 2))):
            words += ["PREFIX", t.r.choice(PREFIXES)]
    words += [w for w in ("OPTIN", "OPTOUT", "NOLOOP") if t.r.random() < 0.2]
    t.r.shuffle(words) if t.r.random() < 0.05 else None
    return words


def about(t):
    return t.r.choice([["CLIENT", "TRACKINGINFO"], ["CLIENT", "GETREDIR"], ["CLIENT", "CACHING", "YES"], ["CLIENT", "CACHING", "NO"],
                       ["CLIENT", "CACHING", "YES"], ["CLIENT", "CACHING", "x"], ["CLIENT", "TRACKING", "x"], ["CLIENT", "TRACKING", "OFF", "NOLOOP"],
                       ["CLIENT", "TRACKING", "ON", "PREFIX"], ["CLIENT", "TRACKING", "ON", "REDIRECT", "x"]])


def to_bytes(words):
    return [w if isinstance(w, bytes) else str(w).encode() for w in words]


def tracking(t):
    names = ["w2"] + list(TARGETS + TRACKERS)
    t.ids = {}
    for name in names:
        t.open(name)
        if name.endswith("3"):
            t.value(name, "HELLO", "3")
        t.value(name, "SELECT", "8")
        t.ids[name] = int(t.value(name, "CLIENT", "ID")[1])
    t.value("s2", "SUBSCRIBE", "__redis__:invalidate")
    t.open("always")            # when nobody tracks, ours forgets what was read, and Redis does not
    t.value("always", "CLIENT", "TRACKING", "ON", "OPTIN")
    for _ in range(150):
        name, x = t.r.choice(TRACKERS), t.r.random()
        if x < 0.15:
            words = ["CLIENT", "TRACKING", "OFF"] if t.r.random() < 0.4 else ["CLIENT", "TRACKING", "ON"] + options(t)
        elif x < 0.25:
            words = about(t)
        elif x < 0.6:
            words = read(t)
        elif x < 0.9:
            name, words = t.r.choice((name, "w2")), write(t)
        else:
            words = None
        if words is None:
            parts = [t.r.choice((read, write))(t) for _ in range(t.r.randint(1, 4))]
            data = encode([b"MULTI"]) + b"".join(encode(to_bytes(p)) for p in parts) + encode([b"EXEC"])
            words, replies = ["MULTI"] + parts, len(parts) + 2
        else:
            data, replies = encode(to_bytes(words)), 1
        if b"XADD" in data or b"DUMP" in data:
            data = data.replace(b"$1\r\n*\r\n", b"$3\r\n1-*\r\n")
        t.send(name, data)
        what = repr([w for w in words if w not in t.ids.values()]).encode()
        drain(t, name, b"%s: %s" % (name.encode(), what), replies)
        for other in names:
            if other != name:
                drain(t, other, b"%s hears of %s" % (other.encode(), what[:40]))
    for name in names + ["always"]:
        t.value(name, "RESET")
    if t.password:
        t.value("w2", "AUTH", t.password)
    for db in ("8", "9"):
        t.value("w2", "SELECT", db)
        t.value("w2", "FLUSHDB")


OFTEN = [tracking]
