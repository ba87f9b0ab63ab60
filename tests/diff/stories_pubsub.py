"""Stories of listening: connections of both protocols subscribe, publish and ask at random; after each command the transcript takes what
every connection was told, up to the answer of a PING that it is sent then."""

import re
import socket

import resp
from resp import encode

CHANNELS = ["a", "b", "ab", "", "news.1", "n\xe9ws"]
PATTERNS = ["*", "a*", "[ab]", "n?ws.*", "\\a", "", "[^a]", "news.[0-9]"]
KINDS = {"": CHANNELS, "P": PATTERNS, "S": CHANNELS}
MARK = b"-- so far --"


def in_order(frames):
    """Each server has its own order among several patterns that match."""
    def is_of_pattern(raw):
        return b"pmessage" in raw[:20]
    out, run = [], []
    for raw in frames + [None]:
        if raw is not None and is_of_pattern(raw):
            run.append(raw)
            continue
        out += sorted(run) + ([] if raw is None else [raw])
        run = []
    return out


def drain(t, name, what):
    c, got = t.conns[name], []
    try:
        c.send(encode([b"PING", MARK]))
        while True:
            raw = c.reply()
            if MARK in raw:
                break
            got.append(re.sub(rb"(\$2\r\nid\r\n):\d+", rb"\1:", raw))  # HELLO
    except (resp.Closed, BrokenPipeError, ConnectionResetError) as e:
        got += [getattr(e, "rest", b""), b"(closed)"]
    except socket.timeout:
        got.append(b"(silence)")
    t.log.append(([what], b"".join(b"%s|" % g for g in in_order(got))))


class Listener:
    """What a connection listens to, so that nothing is asked whose order is each server's own."""

    def __init__(self):
        self.names = {kind: set() for kind in KINDS}

    def command(self, t):
        kind = t.r.choice(list(KINDS))
        names = [t.r.choice(KINDS[kind]) for _ in range(t.r.randint(1, 3))]
        have = self.names[kind]
        if t.r.random() < 0.55:
            have.update(names)
            return [kind + "SUBSCRIBE"] + names
        if len(have) <= 1 and t.r.random() < 0.5:
            have.clear()
            return [kind + "UNSUBSCRIBE"]
        have.difference_update(names)
        return [kind + "UNSUBSCRIBE"] + names


def question(t):
    return t.r.choice([
        ["PUBSUB", "NUMSUB"] + [t.r.choice(CHANNELS) for _ in range(t.r.randrange(3))],
        ["PUBSUB", "SHARDNUMSUB"] + [t.r.choice(CHANNELS) for _ in range(t.r.randrange(3))],
        ["PUBSUB", "NUMPAT"], ["PUBSUB", "CHANNELS", "a"], ["PUBSUB", "SHARDCHANNELS", "b"], ["PUBSUB", "CHANNELS", "a", "b"],
        ["PUBSUB", "SHARDCHANNELS", "a", "b"], ["PUBSUB", "NUMPAT", "x"], ["PUBSUB", "NOSUCH"], ["PUBSUB"],
        ["PING"], ["PING", "x"], ["PING", "x", "y"], ["GET", "nosuch"], ["GET"], ["NOSUCH"], ["EXEC"], ["HELLO", "3"], ["HELLO", "2"], ["SUBSCRIBE"],
        ["PSUBSCRIBE"], ["SSUBSCRIBE"], ["PUBLISH", "a"], ["SPUBLISH", "a", "b", "c"], ["CLIENT", "GETNAME"], ["COMMAND", "GETKEYS", "SSUBSCRIBE", "a"],
    ])


def to_bytes(words):
    return [w if isinstance(w, bytes) else w.encode("latin-1") for w in words]


def listening(t):
    names = ["p", "l2", "l3", "m3"]
    listeners = {name: Listener() for name in names}
    for name in names:
        t.open(name)
        if name.endswith("3"):
            t.value(name, "HELLO", "3")
    for _ in range(120):
        name, x = t.r.choice(names), t.r.random()
        if name == "p" and x < 0.2:
            words = [b"MULTI|"] + [t.r.choice([["PUBLISH", t.r.choice(CHANNELS), "m"], ["INCR", "story:listening"], ["SPUBLISH", "b", "s"], ["PING"]])
                                   for _ in range(t.r.randint(1, 4))]
            data = encode([b"MULTI"]) + b"".join(encode(to_bytes(w)) for w in words[1:]) + encode([b"EXEC"])
        else:
            if name == "p" or x < 0.35:
                words = t.r.choice([["PUBLISH", t.r.choice(CHANNELS), t.r.choice(["", "x", "y" * 5000])], ["SPUBLISH", t.r.choice(CHANNELS), "z"]])
                if name != "p" and listeners[name].names["P"]:
                    words = question(t)         # of its own messages, those of several patterns stand before the reply in any order
            elif x < 0.8:
                words = listeners[name].command(t)
            elif x < 0.84:
                words, listeners[name] = ["RESET"], Listener()
            else:
                words = question(t)
            data = encode(to_bytes(words))
        t.send(name, data)
        if words == ["RESET"] and t.password:
            t.conns[name].reply()
            t.value(name, "AUTH", t.password)
        what = repr(words).encode()
        drain(t, name, b"%s: %s" % (name.encode(), what))
        for other in names:
            if other != name:
                drain(t, other, b"%s hears of %s" % (other.encode(), what[:40]))
    for name in names:
        t.value(name, "RESET")
    if t.password:
        t.value("p", "AUTH", t.password)
    t.value("p", "DEL", "story:listening")


OFTEN = [listening, listening]
