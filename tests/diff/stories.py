"""What one command and one reply cannot show: several connections, broken frames, iterations, the server's
own tables.

A story is a function that talks to one server through a Teller and is run against each of the two with the
same random source; the two transcripts are then compared entry by entry. Promises that a story cleans up
after itself (settings back, its databases 8 to 14 empty) and waits for events, not for time to pass. Leaves
comparing to compare.py.
"""

import random
import socket
import time

import resp
import stories_events
import stories_function
import stories_hash_set
import stories_pubsub
import stories_stream
import stories_tracking
import stories_transaction
import stories_zset
from resp import encode

SENTINEL = b"-- that was all --"


class Story(Exception):
    pass


class Teller:
    """One server's side of a story. log holds (command, raw reply) in order."""

    def __init__(self, addr, seed, password, ctx):
        self.addr, self.r, self.password, self.ctx = addr, random.Random(seed), password, ctx
        self.conns, self.log = {}, []

    def open(self, name, auth=True):
        self.conns[name] = c = resp.Conn(self.addr, 20)
        if auth and self.password:
            c.ask("AUTH", self.password)
        return c

    def note(self, what, value):
        """Adds a fact of the story's own to the transcript."""
        text = repr(value).encode()
        self.log.append(([what.encode()], b"$%d\r\n%s\r\n" % (len(text), text)))

    def ask(self, name, *args, show=None):
        """One command, one reply. show is what stands in the transcript when args hold an id or an
        address."""
        args = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        shown = args if show is None else show.encode().split(b" ")
        c = self.conns[name]
        try:
            c.send(encode(args))
            raw = c.reply()
        except (resp.Closed, BrokenPipeError, ConnectionResetError):
            raw = b""
        except socket.timeout:
            raw = None
        self.log.append((shown, raw))
        return raw

    def value(self, name, *args):
        """A reply that the story needs and does not compare."""
        return self.conns[name].value(*args)

    def send(self, name, data):
        self.conns[name].send(data)

    def until_sentinel(self, name, what, data, last=None):
        """data, then an ECHO; whatever came before the ECHO's reply, or before the end of the connection."""
        c = self.conns[name]
        got = []
        try:
            c.send(data + encode([b"ECHO", SENTINEL]))
            while True:
                raw = c.reply()
                if raw.endswith(SENTINEL + b"\r\n"):
                    break
                got.append(raw)
        except (resp.Closed, BrokenPipeError, ConnectionResetError) as e:
            got += [getattr(e, "rest", b"")] + [b"(closed)"]
        except socket.timeout:
            got.append(b"(silence)")
        self.log.append(([what], b"".join(b"%s|" % g for g in got)))

    def until_closed(self, name, what, data):
        """data, then whatever comes until the server closes; says so when it does not."""
        c = self.conns[name]
        got = b""
        try:
            c.send(data)
            while True:
                got += c.reply(10)
        except (resp.Closed, BrokenPipeError, ConnectionResetError) as e:
            got += getattr(e, "rest", b"") + b"(closed)"
        except socket.timeout:
            got += bytes(c.buf) + b"(still open)"
        except resp.Garbage as e:
            got += bytes(c.buf) + b"(garbage)"
        self.log.append(([what], got))

    def until(self, what, test, limit_s=10):
        """Polls until test() holds; the transcript says whether it ever did."""
        deadline = time.monotonic() + limit_s
        held = test()
        while not held and time.monotonic() < deadline:
            time.sleep(0.02)
            held = test()
        self.note(what, bool(held))

    def close(self):
        for c in self.conns.values():
            c.close()


# ---- iterations, on a connection of their own in the database of the main one --------------------


def scan(t, db):
    """A full SCAN returns what KEYS returns, however it is cut into calls."""
    c = t.open("c")
    c.ask("SELECT", db)
    everything = sorted(set(resp.decode(c.ask("KEYS", "*"))[1]))
    r = t.r
    options = []
    if r.random() < 0.5:
        options += [
            r.choice([b"MATCH", b"match"]),
            r.choice([b"*", b"k*", b"[^k]*", b"k?", b"nosuch*", b"*{tag}*", b"", b"\\*", b"k[0-3]", b"k1"])
        ]
    if r.random() < 0.6:
        options += [
            r.choice([b"COUNT", b"count"]),
            r.choice([b"1", b"2", b"3", b"10", b"100", b"1000", b"9223372036854775807"][:r.randint(1, 7)])
        ]
    if r.random() < 0.3:
        options += [r.choice([b"TYPE", b"type"]), r.choice([b"string", b"STRING", b"list", b"nosuch"])]
    cursor, seen, calls = b"0", set(), 0
    while True:
        v = resp.decode(c.ask("SCAN", cursor, *options))
        if v[0] == "-":
            t.note("scan %r" % options, v)
            return
        cursor = v[1][0][1]
        seen.update(item[1] for item in v[1][1][1])
        calls += 1
        if cursor == b"0":
            break
        if calls > 20000:
            t.note("scan %r ends" % options, False)
            return
    t.note("scan %r" % options, sorted(seen))
    if not options:
        t.note("scan finds all keys", sorted(k[1] for k in everything) == sorted(seen))


def dbsize(t, db):
    """DBSIZE may count a key past its deadline for a moment, not for long."""
    c = t.open("c")
    c.ask("SELECT", db)
    want = len(resp.decode(c.ask("KEYS", "*"))[1])
    t.note("KEYS", want)
    t.until("DBSIZE is the number of keys", lambda: c.value("DBSIZE") == (":", want))
    if c.value("DBSIZE") != (":", want):
        t.note("DBSIZE", c.value("DBSIZE"))


def randomkey(t, db):
    c = t.open("c")
    c.ask("SELECT", db)
    keys = {k[1] for k in resp.decode(c.ask("KEYS", "*"))[1]}
    got = [c.value("RANDOMKEY")[1] for _ in range(8)]
    t.note("RANDOMKEY is a key", all((g in keys) if keys else g is None for g in got))


# ---- connections ---------------------------------------------------------------------------------


def hello(t):
    """HELLO, RESET, names and the forms of nulls and maps, in any order."""
    c = t.r.choice
    t.open("a")
    for _ in range(30):
        t.ask(
            "a",
            *c([("HELLO", ), ("HELLO", "2"), ("HELLO", "3"), ("HELLO", "3", "SETNAME", "me"),
                ("HELLO", "2", "SETNAME", "you"), ("HELLO", "3", "SETNAME", "a b"),
                ("HELLO", "3", "SETNAME", "x", "SETNAME", "y"),
                ("HELLO", "3", "AUTH", "default", t.password or "any"), ("HELLO", "4"),
                ("hello", "3", "auth", "default", "wrong", "setname", "z"), ("CLIENT", "GETNAME"),
                ("CLIENT", "SETNAME", "third"), ("RESET", ), ("SELECT", "12"), ("GET", "nosuch"),
                ("MGET", "nosuch", "nosuch2"), ("CONFIG", "GET", "hz"), ("PING", ), ("CLIENT", "INFO"),
                ("CLIENT", "LIST", "ID", "0"), ("DEBUG", "PROTOCOL", "null"), ("DEBUG", "PROTOCOL", "double"),
                ("DEBUG", "PROTOCOL", "map"), ("DEBUG", "PROTOCOL", "set"), ("DEBUG", "PROTOCOL", "true"),
                ("DEBUG", "PROTOCOL", "verbatim"), ("DEBUG", "PROTOCOL", "bignum"),
                ("DEBUG", "PROTOCOL", "attrib"), ("LCS", "nosuch", "nosuch2", "IDX"),
                ("COMMAND", "INFO", "nosuch"), ("RANDOMKEY", "x"), ("CONFIG", "GET", "nosuch"),
                ("INFO", "nosuch"), ("COMMAND", "DOCS", "nosuch"), ("CLIENT", "LIST", "TYPE", "pubsub"),
                ("AUTH", "x"), ("DUMP", "nosuch"), ("SET", "nosuch", "x", "XX"),
                ("SET", "nosuch", "x", "XX", "GET"), ("GETDEL", "nosuch"), ("MEMORY", "USAGE", "nosuch"),
                ("OBJECT", "ENCODING", "nosuch"), ("SCRIPT", "DEBUG", "NO"), ("SCRIPT", "DEBUG", "x")]))
        if t.password and t.log[-1][0][0] == b"RESET":
            t.conns["a"].ask("AUTH", t.password)


def session_pipeline(t):
    """Whole sessions in one write: what changes the session acts between its neighbours, whoever waits."""
    r = t.r
    t.open("a")
    cmds = []
    for _ in range(r.randint(5, 60)):
        k = b"s%d" % r.randrange(4)
        cmds.append(
            r.choice([[b"SET", k, b"%d" % r.randrange(100)], [b"SET", k, b"v", b"GET"], [b"GET", k],
                      [b"GET", b"nosuch"], [b"INCR", k], [b"MGET", k, b"nosuch"], [b"DEL", k],
                      [b"SELECT", b"%d" % r.choice([8, 9, 10])], [b"SELECT", b"x"], [b"HELLO", b"2"],
                      [b"HELLO", b"3"], [b"HELLO", b"3", b"SETNAME",
                                         b"n%d" % r.randrange(9)], [b"HELLO", b"9"],
                      [b"CLIENT", b"SETNAME", b"m%d" % r.randrange(9)], [b"CLIENT", b"GETNAME"],
                      [b"CLIENT", b"INFO"], [b"PING"], [b"NOSUCH"], [b"GET"], [b"CONFIG", b"GET", b"hz"],
                      [b"DEBUG", b"PROTOCOL", b"null"], [b"DEBUG", b"PROTOCOL", b"true"], [b"ECHO", b"e"],
                      [b"EXISTS", k], [b"DUMP", b"nosuch"], [b"APPEND", k, b"w"], [b"TTL", k],
                      [b"COMMAND", b"INFO", b"nosuch"], [b"OBJECT", b"ENCODING", k],
                      [b"CLIENT", b"NO-EVICT", r.choice([b"on", b"off"])], [b"LCS", k, b"nosuch", b"IDX"],
                      [b"STRLEN", k], [b"RESET"] if not t.password else [b"PING"], [b"MOVE", k, b"8"],
                      [b"SWAPDB", b"8", b"9"], [b"UNLINK", b"s0", b"s1"], [b"DBSIZE"],
                      [b"COPY", k, b"s0", b"REPLACE"]]))
    data = b"".join(map(encode, cmds))
    cuts = sorted(r.randrange(len(data)) for _ in range(r.choice([0, 0, 1, 3, 8])))
    for i, j in zip([0] + cuts, cuts + [len(data)]):
        t.send("a", data[i:j])
    for cmd in cmds:
        try:
            t.log.append((cmd, t.conns["a"].reply()))
        except resp.Closed:
            t.log.append((cmd, b""))
    for db in "8", "9", "10":
        t.value("a", "SELECT", db), t.value("a", "FLUSHDB")
    t.value("a", "SELECT", "0"), t.value("a", "DEL", "s0", "s1", "s2", "s3")


def reply_modes(t):
    """CLIENT REPLY OFF, SKIP and ON in one pipeline: which replies are left out."""
    t.open("a")
    cmds = [
        t.r.choice([[b"PING"], [b"PING", b"x"], [b"CLIENT", b"REPLY", b"SKIP"], [b"CLIENT", b"REPLY", b"OFF"],
                    [b"CLIENT", b"REPLY", b"ON"], [b"NOSUCH"], [b"SET", b"rm", b"1"], [b"INCR", b"rm"],
                    [b"GET", b"rm"], [b"DEL", b"rm"], [b"CLIENT", b"REPLY", b"BOGUS"],
                    [b"client", b"reply", b"skip"], [b"GET"], [b"ECHO", b"e"], [b"SELECT", b"13"],
                    [b"SELECT", b"x"]]) for _ in range(t.r.randint(3, 25))
    ]
    what = b" / ".join(b" ".join(c) for c in cmds)
    t.until_sentinel("a", what, b"".join(map(encode, cmds)) + encode([b"CLIENT", b"REPLY", b"ON"]))


def endings(t):
    """What is answered, and done, of a pipeline that ends its own connection in the middle."""
    a = t.open("a")
    ident = a.value("CLIENT", "ID")[1]
    host, port = a.sock.getsockname()
    t.open("b")
    t.ask("b", "SELECT", "11"), t.ask("b", "SET", "e", "0")
    cmds = [[b"SELECT", b"11"]] + [
        t.r.choice([[b"INCR", b"e"], [b"GET", b"e"], [b"PING"], [b"APPEND", b"f", b"x"], [b"NOSUCH"]])
        for _ in range(t.r.randint(0, 30))
    ]
    last = t.r.choice([
        encode([b"QUIT"]), b"QUIT\r\n", b"*1\r\n$x\r\n", b'SET "x\r\n', b"*1\r\n+x\r\n",
        encode([b"CLIENT", b"KILL", b"ID", b"%d" % ident, b"SKIPME", b"no"]),
        encode([b"CLIENT", b"KILL", b"%s:%d" % (host.encode(), port)])
    ])
    after = [t.r.choice([[b"INCR", b"e"], [b"GET", b"e"], [b"PING"]]) for _ in range(t.r.randint(0, 5))]
    data = b"".join(map(encode, cmds)) + last + b"".join(map(encode, after))
    cut = t.r.randrange(len(data)) if t.r.random() < 0.5 else 0
    what = b" / ".join(b" ".join(c) for c in cmds) + b" / " + (b"CLIENT KILL me" if b"KILL" in last else last)
    t.send("a", data[:cut])
    t.until_closed("a", what, data[cut:])
    t.ask("b", "MGET", "e", "f"), t.ask("b", "FLUSHDB")


def kill(t):
    """CLIENT KILL by every filter; who is closed and who is not."""
    t.open("a")
    for form in [
            "id", "addr", "old", "laddr", "type", "user", "not-me", "me", "wrong-user", "wrong-type",
            "two-ids", "bad"
    ]:
        t.open("b")
        ident = t.value("b", "CLIENT", "ID")[1]
        host, port = t.conns["b"].sock.getsockname()
        there = "%s:%d" % t.addr
        addr = "%s:%d" % (host, port)
        if form == "id":
            t.ask("a", "CLIENT", "KILL", "ID", ident, show="CLIENT KILL ID b")
        elif form == "addr":
            t.ask("a", "CLIENT", "KILL", "ADDR", addr, show="CLIENT KILL ADDR b")
        elif form == "old":
            t.ask("a", "CLIENT", "KILL", addr, show="CLIENT KILL b")
        elif form == "laddr":
            t.ask("a", "CLIENT", "KILL", "ID", ident, "LADDR", there, show="CLIENT KILL ID b LADDR here")
        elif form == "type":
            t.ask("a", "client", "kill", "type", "normal", "id", ident, show="client kill type normal id b")
        elif form == "user":
            t.ask("a",
                  "CLIENT",
                  "KILL",
                  "ADDR",
                  addr,
                  "USER",
                  "default",
                  "SKIPME",
                  "yes",
                  show="CLIENT KILL ADDR b USER default SKIPME yes")
        elif form == "not-me":
            t.ask("b", "CLIENT", "KILL", "ID", ident, "SKIPME", "yes", show="CLIENT KILL ID me SKIPME yes")
        elif form == "me":
            t.ask("b", "CLIENT", "KILL", "ID", ident, "SKIPME", "no", show="CLIENT KILL ID me SKIPME no")
        elif form == "wrong-user":
            t.ask("a", "CLIENT", "KILL", "ID", ident, "USER", "nosuch", show="CLIENT KILL ID b USER nosuch")
        elif form == "wrong-type":
            t.ask("a", "CLIENT", "KILL", "ID", ident, "TYPE", "pubsub", show="CLIENT KILL ID b TYPE pubsub")
        elif form == "two-ids":
            t.ask("a", "CLIENT", "KILL", "ID", "999999999", "ID", ident, show="CLIENT KILL ID none ID b")
        else:
            t.ask("a", "CLIENT", "KILL", "ID", ident, "SKIPME", show="CLIENT KILL ID b SKIPME")
        t.ask("b", "PING")
        t.ask("b", "PING")


def pause(t):
    """CLIENT PAUSE holds what it should and lets the rest through, until UNPAUSE or until its time is
    over."""
    t.open("a"), t.open("b")
    t.ask("b", "SELECT", "11")
    t.ask("b", "SET", "p", "before")

    def held(command):
        t.send("b", encode(command))
        try:
            t.conns["b"].reply(0.05)
            return False
        except socket.timeout:
            return True

    if t.r.random() < 0.7:
        t.ask("a", "CLIENT", "PAUSE", "60000", t.r.choice(["WRITE", "write"]))
        t.ask("b", "GET", "p"), t.ask("b", "TTL", "p"), t.ask("b", "PING")
        t.note("held", held([b"SET", b"p", b"after"]))
        t.ask("a", "CLIENT", "UNPAUSE")
        t.log.append(([b"SET", b"p", b"after"], t.conns["b"].reply()))
        t.ask("b", "GET", "p")
    else:  # ALL holds UNPAUSE too, so it is short; a machine that stalls for longer gets another try
        for _ in range(10):
            t.conns["a"].ask("CLIENT", "PAUSE", "300", *t.r.choice([("ALL", ), ("all", ), ()]))
            if held([b"GET", b"p"]):
                break
        else:
            t.note("held", False)
            return
        t.log.append(([b"GET", b"p"], t.conns["b"].reply()))
    t.ask("b", "FLUSHDB")


def password(t):
    """requirepass: who may say what before and after AUTH."""
    t.open("a"), t.open("old")
    try:
        t.ask("a", "CONFIG", "SET", "requirepass", "secret")
        t.ask("old", "PING")
        t.ask("a", "CONFIG", "GET", "requirepass")
        for first in [("PING", ), ("GET", "x"), ("NOSUCH", ), ("GET", ), ("AUTH", "wrong"),
                      ("AUTH", "default", "wrong"), ("AUTH", "nosuch", "secret"), ("AUTH", ),
                      ("AUTH", "a", "b", "c"), ("HELLO", ), ("HELLO", "3"),
                      ("HELLO", "3", "AUTH", "default", "wrong"), ("HELLO", "2", "SETNAME", "x"),
                      ("HELLO", "9"), ("HELLO", "3", "AUTH", "default", "secret"),
                      ("HELLO", "3", "AUTH", "default", "secret", "SETNAME", "n"), ("RESET", ), ("COMMAND", ),
                      ("CLIENT", "ID"), ("INFO", ), ("SELECT", "1"), ("CLIENT", "SETNAME", "x"),
                      ("CONFIG", "GET", "*"), ("COMMAND", "COUNT"), ("AUTH", "secret"),
                      ("auth", "default", "secret"), ("CLIENT", "NOSUCH"), ("ECHO", "x")]:
            t.open("n", auth=False)
            t.ask("n", *first)
            t.ask("n", "ECHO", "are you there")
            t.ask("n", "AUTH", "secret")
            t.ask("n", "CLIENT", "GETNAME")
            t.ask("n", "RESET")
            t.ask("n", "PING")
        for raw in [
                b"*11\r\n$4\r\nPING\r\n", b"*10\r\n$4\r\nPING\r\n", b"*1\r\n$16385\r\n", b"PING\r\n",
                b"AUTH secret\r\nPING\r\n", b"QUIT\r\n"
        ]:
            t.open("n", auth=False)
            t.until_closed(
                "n", raw, raw +
                (b"" if b"length" in raw or raw[0:1] == b"*" else b"QUIT\r\n")) if raw[:3] != b"*10" else None
    finally:
        t.ask("a", "CONFIG", "SET", "requirepass", t.password or "")
    t.open("n", auth=False)
    t.ask("n", "PING")


def quote(t, b):
    """b as an inline argument in one of the ways there are."""
    r = t.r
    x = r.random()
    if b and x < 0.4 and not any(c in b" \t\r\n\0\"'" for c in b) and all(33 <= c < 127 for c in b):
        return b
    if x < 0.6 and b"\n" not in b and b"\r" not in b and b"\0" not in b and b"\\" not in b:
        return b"'" + b.replace(b"'", b"\\'") + b"'"
    out = b'"'
    for c in b:
        ch = bytes([c])
        if ch in b'"\\':
            out += b"\\" + ch
        elif c < 32 or c > 126 or r.random() < 0.1:
            out += {10: b"\\n", 13: b"\\r", 9: b"\\t", 8: b"\\b", 7: b"\\a"}.get(c) or b"\\x%02x" % c
        else:
            out += ch
    return out + b'"'


def inline(t):
    """Commands as one line, with every kind of quoting, mixed with ordinary ones and cut anywhere."""
    r = t.r
    t.open("a")
    t.ask("a", "SELECT", "10")
    data, what = b"", []
    for _ in range(r.randint(1, 12)):
        cmd = r.choice([[b"PING"], [b"SET", b"i", r.randbytes(r.randint(0, 20))], [b"GET", b"i"],
                        [b"ECHO", b"a b"], [b"ECHO", b""], [b"APPEND", b"i", b"\x00'\"\\"], [b"STRLEN", b"i"],
                        [b"NOSUCH", b"x"],
                        [b"ECHO", r.choice([b"'", b'"', b"\\", b"\t", b"\\x41", b"\xff\xfe"])],
                        [b"MGET", b"i", b"nosuch"], [b"GET"]])
        if r.random() < 0.75:
            gap = r.choice([b" ", b"  ", b"\t", b" \t "])
            data += r.choice([b"", b"", b" "]) + gap.join(quote(t, a) for a in cmd) + r.choice(
                [b"", b" "]) + r.choice([b"\r\n", b"\r\n", b"\n"])
        else:
            data += encode(cmd)
        if r.random() < 0.1:
            data += r.choice([b"\r\n", b"\n", b"  \r\n", b"*0\r\n", b"*-1\r\n"])
    what = data
    cut = sorted(r.randrange(len(data) + 1) for _ in range(r.randint(0, 5)))
    for i, j in zip([0] + cut, cut):
        t.send("a", data[i:j])
    t.until_sentinel("a", what, data[cut[-1] if cut else 0:])
    t.conns["a"].ask("FLUSHDB")


BROKEN = [
    b"*1\r\n+PING\r\n",
    b"*1\r\nPING\r\n",
    b"*x\r\n",
    b"*1 \r\n$4\r\nPING\r\n",
    b"*\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$x\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$-2\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$99999999999999999999\r\n",
    b"*99999999999999999999\r\n",
    b"*2147483648\r\n",
    b"*1\r\n:5\r\n",
    b"*1\r\n*1\r\n",
    b'SET "x\r\n',
    b"SET 'x\r\n",
    b'SET "x"y\r\n',
    b"SET 'x'y\r\n",
    b'"\r\n',
    b"'\r\n",
    b'ECHO "\\x4"\r\nQUIT\r\n',
    b"*1\r\n$ 4\r\nPING\r\n",
    b"*1\r\n$+4\r\nPING\r\nQUIT\r\n",
    b"*+1\r\n$4\r\nPING\r\nQUIT\r\n",
    b"*01\r\n$4\r\nPING\r\nQUIT\r\n",
    b"*1\r\n$04\r\nPING\r\n",
    b"*-5\r\nQUIT\r\n",
    b"*0\r\nQUIT\r\n",
    b"\r\nQUIT\r\n",
    b"QUIT\r\nPING\r\n",
    b"quit\n",
    b"QUIT x\r\n",
    b"*1\r\n$4\r\nQUIT\r\n",
    b"*2\r\n$4\r\nQUIT\r\n$1\r\nx\r\n",
    b"PING\r\n*1\r\n$x\r\n",
    b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nQUIT\r\n",
    b"*1\r\n" + b"1" * 70000,
    b"*" + b"1" * 70000,
    b"P" * 70000,
    b"*1\r\n$" + b"1" * 70000,
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"Host: x\r\n",
    b"post\r\n",
    b"*2\r\n$4\r\nECHO\r\n!3\r\n",
    b"*2\r\n$4\r\nECHO\r\n\r\n",
    b"$4\r\nPING\r\nQUIT\r\n",
    b"+OK\r\nQUIT\r\n",
    b"\xff\xfe\r\nQUIT\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$-1\r\n",
    b"*1\n$4\r\nPING\r\nQUIT\r\n",
]


def broken(t):
    """Frames that are none: the exact error, and that the connection ends."""
    for data in t.r.sample(BROKEN, 12):
        t.open("a")
        t.until_closed("a", b"bytes " + data[:80], data)
        t.conns["a"].close()


def isolation(t):
    """SELECT, names and protocol belong to one connection."""
    t.open("a"), t.open("b")
    t.ask("a", "SELECT", "9"), t.ask("b", "SELECT", "10")
    t.ask("a", "SET", "k", "nine"), t.ask("b", "GET", "k"), t.ask("b", "SET", "k",
                                                                  "ten"), t.ask("a", "GET", "k")
    t.ask("a", "SWAPDB", "9", "10"), t.ask("a", "GET", "k"), t.ask("b", "GET", "k")
    t.ask("a", "MOVE", "k", "10"), t.ask("a", "DEL", "k"), t.ask("b", "MOVE", "k",
                                                                 "9"), t.ask("a", "GET",
                                                                             "k"), t.ask("b", "EXISTS", "k")
    t.ask("a", "HELLO", "3"), t.ask("a", "GET",
                                    "nosuch"), t.ask("b", "GET",
                                                     "nosuch"), t.ask("a", "CLIENT", "SETNAME",
                                                                      "one"), t.ask("b", "CLIENT", "GETNAME")
    t.ask("a", "RESET")
    if t.password:
        t.ask("a", "AUTH", t.password)
    t.ask("a", "CLIENT", "GETNAME"), t.ask("a", "EXISTS", "k"), t.ask("a", "GET", "nosuch")
    t.ask("a", "SELECT", "9"), t.ask("a", "FLUSHDB"), t.ask("b", "FLUSHDB")


def client_lines(t):
    """CLIENT LIST and INFO: fields, order, and what they say about this connection."""
    t.open("a"), t.open("b")
    ident = [t.value(n, "CLIENT", "ID")[1] for n in "ab"]
    t.note("ids grow", ident[0] < ident[1])
    t.ask("a", "CLIENT", "SETNAME", "me"), t.ask("a", "SELECT", "9"), t.ask("a", "HELLO", "3")
    t.ask("a", "CLIENT", "INFO")
    t.ask("b", "CLIENT", "LIST", "ID", ident[0], show="CLIENT LIST ID a")
    t.ask("b", "CLIENT", "LIST", "ID", ident[0], ident[1], show="CLIENT LIST ID a b")
    t.ask("b", "CLIENT", "NO-EVICT", "on"), t.ask("b", "CLIENT",
                                                  "INFO"), t.ask("b", "CLIENT", "LIST", "TYPE", "pubsub")
    t.ask("a", "GET", "x"), t.ask("b", "CLIENT", "LIST", "ID", ident[0], show="CLIENT LIST ID a")
    t.ask("a", "CLIENT", "LIST", "ID", ident[1], show="CLIENT LIST ID b")


# ---- the server's own tables ---------------------------------------------------------------------


def expiry(t):
    """Keys do go when their time comes: read, counted, and by themselves."""
    c = t.open("a")
    c.ask("SELECT", "14")
    for i in range(20):
        t.ask("a", "SET", "e%d" % i, "v", "PX", str(1 + i))
    t.ask("a", "SET", "stays", "v", "EX", "100000")
    t.until("e0 is gone", lambda: c.value("GET", "e0")[1] is None)
    t.until("all are gone", lambda: c.value("DBSIZE") == (":", 1))
    t.ask("a", "EXISTS", *["e%d" % i for i in range(20)]), t.ask("a", "KEYS", "*")
    t.ask("a", "SET", "e", "v", "PXAT",
          "1"), t.ask("a", "GET", "e"), t.ask("a", "SETNX", "e", "w"), t.ask("a", "GET",
                                                                             "e"), t.ask("a", "TTL", "e")
    t.ask("a", "SET", "e", "v", "PXAT",
          "1"), t.ask("a", "TTL", "e"), t.ask("a", "APPEND", "e", "w"), t.ask("a", "TTL",
                                                                              "e"), t.ask("a", "GET", "e")
    t.ask("a", "SET", "e", "v", "PXAT", "1"), t.ask("a", "RENAMENX", "stays",
                                                    "e"), t.ask("a", "TYPE", "stays"), t.ask("a", "GET", "e")
    t.ask("a", "SET", "f", "v", "PXAT",
          "1"), t.ask("a", "COPY", "f", "g"), t.ask("a", "DEL", "f"), t.ask("a", "RESTORE", "g", "1", "x",
                                                                            "ABSTTL"), t.ask("a", "FLUSHDB")


def slowlog(t):
    """What the slow log keeps of commands, and that it is cut to its length."""
    t.open("a")
    t.ask("a", "CLIENT", "SETNAME", "slow")
    try:
        t.ask("a", "CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "128")
        t.ask("a", "SLOWLOG", "RESET")
        t.ask("a", "SELECT", "9")
        t.ask("a", "SET", "k", "x" * t.r.choice([1, 127, 128, 129, 500]))
        t.ask("a", "DEL", *["k%d" % i for i in range(t.r.choice([2, 30, 31, 32, 33, 60]))])
        t.ask("a", "GET"), t.ask("a", "NOSUCH", "x"), t.ask("a", "INCR", "k"), t.ask("a", "PING")
        t.ask("a", "CONFIG", "SET", "slowlog-log-slower-than", "-1")
        t.ask("a", "SLOWLOG",
              "LEN"), t.ask("a", "SLOWLOG",
                            "GET"), t.ask("a", "SLOWLOG", "GET",
                                          "2"), t.ask("a", "SLOWLOG", "GET",
                                                      "-1"), t.ask("a", "SLOWLOG", "GET", "0")
        p = [[x[1] for x in e[1]] for e in t.value("a", "SLOWLOG", "GET")[1]]
        t.note("ids go down by one", all(x[0] == y[0] + 1 for x, y in zip(p, p[1:])))
        t.note("forms", all(len(e) == 6 and isinstance(e[1], int) and isinstance(e[2], int) for e in p))
        t.ask("a", "CONFIG", "SET", "slowlog-max-len", "3", "slowlog-log-slower-than", "0")
        for _ in range(6):
            t.ask("a", "PING")
        t.ask("a", "CONFIG", "SET", "slowlog-log-slower-than", "-1")
        t.ask("a", "SLOWLOG", "LEN"), t.ask("a", "SLOWLOG",
                                            "RESET"), t.ask("a", "SLOWLOG",
                                                            "LEN"), t.ask("a", "SLOWLOG", "GET")
    finally:
        t.ask("a", "CONFIG", "SET", "slowlog-log-slower-than", "10000", "slowlog-max-len", "128")
        t.ask("a", "FLUSHDB")


def lfu(t):
    """OBJECT FREQ and IDLETIME take turns with the eviction policy."""
    t.open("a")
    t.ask("a", "SELECT", "9"), t.ask("a", "SET", "k", "12")
    try:
        for policy in [
                "allkeys-lfu", "volatile-lfu", "allkeys-lru", "volatile-ttl", "allkeys-random", "noeviction",
                "NoEviction", "bogus"
        ]:
            t.ask("a", "CONFIG", "SET", "maxmemory-policy", policy), t.ask("a", "CONFIG", "GET",
                                                                           "maxmemory-policy")
            t.ask("a", "OBJECT", "FREQ",
                  "k"), t.ask("a", "OBJECT", "IDLETIME",
                              "k"), t.ask("a", "OBJECT", "FREQ",
                                          "nosuch"), t.ask("a", "OBJECT", "IDLETIME", "nosuch")
    finally:
        t.ask("a", "CONFIG", "SET", "maxmemory-policy", "noeviction")
        t.ask("a", "FLUSHDB")


INFO_SECTIONS = [
    "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "module_list", "modules",
    "commandstats", "errorstats", "latencystats", "cluster", "keyspace", "all", "default", "everything",
    "ALL", "nosuch"
]
INFO_SAME = [
    "redis_version", "redis_mode", "arch_bits", "io_threads_active", "async_loading", "loading", "role",
    "connected_slaves", "cluster_enabled", "blocked_clients", "maxmemory_policy",
    "mem_fragmentation_bytes"[:0] or "total_blocking_keys"[:0] or "hz"
]


def info(t):
    """INFO's sections and fields, the values that a client may read, and the counters of commands and
    errors."""
    t.open("a")
    t.ask("a", "INFO")
    for s in INFO_SECTIONS:
        t.ask("a", "INFO", s)
    t.ask("a", "INFO", "server", "keyspace"), t.ask("a", "INFO", "clients", "nosuch", "cpu")

    def fields(*sections):
        lines = t.value("a", "INFO", *sections)[1].split(b"\r\n")
        return dict(x.split(b":", 1) for x in lines if b":" in x)

    f = fields()
    for name in INFO_SAME:
        t.note("INFO " + name, f.get(name.encode()))
    t.ask("a", "SELECT", "12")
    t.ask("a", "MSET", "a", "1", "b", "2", "c", "3"), t.ask("a", "EXPIRE", "a", "100000")
    line = fields("keyspace").get(b"db12", b"")
    t.note("db12", [p.split(b"=") for p in line.split(b",")[:2]])
    t.note("avg_ttl", line.split(b",")[-1].split(b"=")[0])
    t.ask("a", "CONFIG", "RESETSTAT")
    for cmd in [("GET", "a"), ("GET", "a"), ("GET", ), ("NOSUCH", ), ("SET", "s", "x"), ("INCR", "s"),
                ("INCR", "s"), ("GET", "nosuch"), ("CLIENT", "GETNAME"), ("CLIENT", "NOSUCH"),
                ("OBJECT", "ENCODING", "s"), ("EXISTS", "a", "nosuch", "b"), ("AUTH", "nosuch", "x"),
                ("RESTORE", "s", "0", "x"), ("get", "a")]:
        t.ask("a", *cmd)
    f = fields("everything")
    ours = [b"get", b"set", b"incr", b"client|getname", b"object|encoding", b"exists", b"auth", b"restore"]
    for name in ours:
        stat = f.get(b"cmdstat_" + name, b"none")
        t.note("commandstats %s" % name.decode(), [p for p in stat.split(b",") if not p.startswith(b"usec")])
        t.note("latencystats %s" % name.decode(),
               [p.split(b"=")[0] for p in f.get(b"latency_percentiles_usec_" + name, b"none").split(b",")])
    for name in [
            b"errorstat_ERR", b"errorstat_BUSYKEY", b"errorstat_WRONGPASS", b"total_error_replies",
            b"keyspace_hits", b"keyspace_misses", b"total_commands_processed"
    ]:
        t.note(name.decode(), f.get(name))
    t.ask("a", "CONFIG", "RESETSTAT")
    f = fields("everything")
    for name in [b"keyspace_hits", b"total_error_replies", b"expired_keys", b"cmdstat_get"]:
        t.note("after RESETSTAT " + name.decode(), f.get(name))
    t.ask("a", "FLUSHDB")


def config_names(t):
    """Every name of Redis's CONFIG GET * is known, or is listed as missing."""
    t.open("a")
    names = sorted({x[1] for x in t.value("a", "CONFIG", "GET", "*")[1][::2]})
    t.names = names
    t.ask("a", "CONFIG", "GET", "*max*len*",
          "hz"), t.ask("a", "CONFIG", "GET", "lazyfree*"), t.ask("a", "CONFIG", "GET", "*-threshold")


def config_defaults(t):
    """Each setting has the value that Redis would have, but for the listed ones."""
    t.open("a")
    for name in sorted(x[1] for x in t.value("a", "CONFIG", "GET", "*")[1][::2]):
        if "config:" + name.decode() not in t.ctx.allowed.missing and "extra-config:" + name.decode(
        ) not in t.ctx.allowed.missing:
            t.ask("a", "CONFIG", "GET", name)


# Settings that would end the conversation, change the machine or begin work on files; as those of TLS.
CONFIG_HANDS_OFF = """
port bind dir requirepass save appendonly maxclients maxmemory maxmemory-clients unixsocket unixsocketperm
replicaof slaveof masterauth masteruser oom-score-adj oom-score-adj-values watchdog-period activedefrag
proto-max-bulk-len client-query-buffer-limit timeout tls-port logfile enable-debug-command
client-output-buffer-limit bind-source-addr list-max-ziplist-size rdb-key-save-delay key-load-delay
""".split()


def config_edges(t):
    """CONFIG SET of every setting to values at and over every edge."""
    t.open("a")
    for name in sorted(x[1].decode() for x in t.value("a", "CONFIG", "GET", "*")[1][::2]):
        missing = t.ctx.allowed.missing
        if name.startswith(
                "tls-"
        ) or name in CONFIG_HANDS_OFF or "config:" + name in missing or "extra-config:" + name in missing:
            continue
        was = t.value("a", "CONFIG", "GET", name)[1][1][1]
        for v in [
                "", "abc", "-1", "0", "1", "yes", "no", "YES", "100", "101", "65536", "1kb", "1K", "5%",
                "2147483648", "4294967296", "9223372036854775807", " 1", "1.5", "{title}", "{port} x",
                "{title", "{bogus} x", "a.b-c"
        ]:
            t.ask("a", "CONFIG", "SET", name, v), t.ask("a", "CONFIG", "GET", name)
        t.ask("a", "CONFIG", "SET", name, was)


def crowd(t):
    """A database with thousands of keys: iterations, random keys, emptying, exchanging."""
    c = t.open("a")
    t.ask("a", "SELECT", "13")
    n, size = t.r.choice([300, 2000, 5000]), t.r.choice([0, 10, 100])
    names = [b"crowd:%d" % i for i in range(n)]
    for i in range(0, n, 500):
        pairs = [x for k in names[i:i + 500] for x in (k, b"value:" + k * (size // 8))]
        t.ask("a", "MSET", *pairs, show="MSET %d" % i)
    t.ask("a", "DBSIZE")
    gone = t.r.sample(range(n), n // 3)
    for i in range(0, len(gone), 200):
        t.ask("a",
              t.r.choice(["DEL", "UNLINK"]),
              *["crowd:%d" % k for k in gone[i:i + 200]],
              show="DEL of 200")
    t.ask("a", "EXISTS", *["crowd:%d" % k for k in range(0, n, 3)], show="EXISTS of a third")
    t.ask("a", "MGET", *["crowd:%d" % k for k in range(0, n, 7)], show="MGET of a seventh")
    cursor, seen = "0", []
    while True:
        v = c.value("SCAN", cursor, "COUNT", t.r.choice(["7", "100", "1000"]), "MATCH", "crowd:*")
        cursor = v[1][0][1]
        seen += [k[1] for k in v[1][1][1]]
        if cursor == b"0":
            break
    t.note("SCAN", sorted(set(seen)))
    t.ask("a", "KEYS", "crowd:1?")
    t.note("RANDOMKEY", all(c.value("RANDOMKEY")[1] in seen for _ in range(20)))
    t.ask("a", "SWAPDB", "13", "12"), t.ask("a", "DBSIZE"), t.ask("a", "SELECT", "12"), t.ask("a", "DBSIZE")
    t.ask("a", "GET", "crowd:1"), t.ask("a", "FLUSHDB", *t.r.choice([
        (), ("ASYNC", ), ("SYNC", )
    ])), t.ask("a", "DBSIZE"), t.ask("a", "KEYS", "*"), t.ask("a", "RANDOMKEY")
    t.ask("a", "SCAN", "0"), t.ask("a", "GET", "crowd:1"), t.ask("a", "SET", "crowd:1",
                                                                 "x"), t.ask("a", "SCAN",
                                                                             "0"), t.ask("a", "FLUSHDB")


def long_keys(t):
    """Keys of any length and any bytes."""
    t.open("a")
    t.ask("a", "SELECT", "9")
    for size in [255, 256, 65535, 65536, 70000, 1 << 20]:
        k = (b"%d:" % size + t.r.randbytes(50) * (size // 50 + 1))[:size]
        t.ask("a", "SET", k, "v%d" % size, "EX", "100000",
              show="SET long %d" % size), t.ask("a", "GET", k, show="GET long"), t.ask("a",
                                                                                       "RENAME",
                                                                                       k,
                                                                                       k + b"2",
                                                                                       show="RENAME long")
        t.ask("a", "EXISTS", k, k + b"2",
              show="EXISTS long"), t.ask("a", "PERSIST", k + b"2",
                                         show="PERSIST long"), t.ask("a",
                                                                     "APPEND",
                                                                     k,
                                                                     "x",
                                                                     show="APPEND long")
    t.ask("a", "DBSIZE"), t.ask("a", "KEYS", "*"), t.ask("a", "FLUSHDB"), t.ask("a", "DBSIZE")


def reload(t):
    """DEBUG RELOAD and SAVE change no data; DEBUG DIGEST says so. Encodings may: run starts anew then."""
    t.open("a")
    t.ask("a", "FLUSHALL")  # keys past their deadline would be counted before and perhaps not after
    for i in range(60):
        t.ask("a", "SELECT", i % 16)
        t.ask("a", "SET", "r%d" % i, t.r.choice([b"12", b"text",
                                                 t.r.randbytes(300), b"z" * 5000]),
              *t.r.choice([(), ("EX", "100000")]))
        t.ask("a", "APPEND", "r%d" % i, t.r.choice(["", "7"]))
    for cmd in [("DEBUG", "RELOAD"), ("SAVE", )]:
        before = t.value("a", "DEBUG", "DIGEST")
        t.ask("a", *cmd)
        t.note("DIGEST stays over " + " ".join(cmd), before == t.value("a", "DEBUG", "DIGEST"))


def config_values(t):
    """What is set is what is got, in Redis's words; what is wrong is refused with its words."""
    t.open("a")
    for name, values in [
        ("hz", ["1", "20", "500", "1000", "0", "-1", "x", "10"]), ("slowlog-max-len", ["0", "5", "-1",
                                                                                       "128"]),
        ("slowlog-log-slower-than", ["-1", "0", "5", "-2", "10000"]),
        ("maxmemory-samples", ["1", "64", "65", "0", "5"]),
        ("maxmemory-policy", ["ALLKEYS-LRU", "x", "noeviction"]),
        ("lazyfree-lazy-expire", ["yes", "YES", "no", "1", "on", "no"]),
        ("latency-monitor-threshold", ["100", "-1", "0"]),
        ("loglevel", ["debug", "VERBOSE", "bogus", "notice"]),
        ("appendfsync", ["always", "everysec", "no", "bogus", "everysec"]),
        ("timeout", ["100", "-1", "x", "0"]), ("tcp-keepalive", ["300", "-1", "300"]),
        ("maxclients", ["x", "-1", "0"]), ("proto-max-bulk-len", ["1048576", "2mb", "1gb", "x", "512mb"]),
        ("client-query-buffer-limit", ["1", "2mb", "1gb"]),
        ("list-max-listpack-size", ["-2", "-6", "128", "x", "-2"]), ("list-max-ziplist-size", ["-3", "-2"]),
        ("hash-max-listpack-entries", ["0", "10", "x", "512"]), ("set-max-intset-entries", ["5", "512"]),
        ("zset-max-listpack-value", ["10", "64"]), ("lfu-log-factor", ["0", "10"]),
        ("notify-keyspace-events", ["KEA", "x", "gxE$", "Elm", "nosuch!", ""]),
        ("save", ["", "100 1", "900 1 300 10", "x", "1", ""]),
        ("active-expire-effort", ["1", "10", "11", "0", "1"]), ("latency-tracking", ["no", "yes"]),
        ("latency-tracking-info-percentiles", ["50 99", "101", "50 99 99.9"]),
        ("maxmemory-clients", ["0", "64mb", "x", "0"]),
        ("client-output-buffer-limit",
         ["normal 0 0 0", "pubsub 33554432 8388608 60", "bogus 1 2 3", "normal 1", "slave 256mb 64mb 60"]),
        ("oom-score-adj-values", ["0 200 800", "1", "0 200 800"])
    ]:
        for v in values:
            t.ask("a", "CONFIG", "SET", name, v)
            t.ask("a", "CONFIG", "GET", name)


COMMANDS = """
set get getex getdel getset mget mset msetnx setex psetex setnx append strlen setrange getrange substr incr
incrby incrbyfloat decr decrby lcs setbit getbit bitcount bitpos bitop bitfield bitfield_ro pfadd pfcount pfmerge
pfdebug pfselftest del unlink exists type ttl pttl expiretime pexpiretime expire pexpire
expireat pexpireat persist touch rename renamenx copy move swapdb keys scan randomkey dbsize object flushdb
flushall select dump restore ping echo hello auth quit reset client info config command time debug memory
slowlog latency lolwut object|encoding object|refcount object|idletime object|freq object|help client|id
client|getname client|setname client|list client|info client|kill client|reply client|no-evict client|pause
client|unpause client|help config|get config|set config|resetstat config|rewrite config|help command|count
command|list command|info command|docs command|getkeys command|getkeysandflags command|help memory|usage
memory|doctor memory|stats memory|purge memory|help slowlog|get slowlog|len slowlog|reset slowlog|help
latency|latest latency|history latency|reset latency|doctor latency|graph latency|histogram latency|help
cluster cluster|info cluster|nodes cluster|slots cluster|shards cluster|links cluster|myid cluster|keyslot
cluster|countkeysinslot cluster|getkeysinslot cluster|replicas cluster|slaves cluster|count-failure-reports cluster|meet
cluster|forget cluster|failover cluster|reset cluster|replicate cluster|addslots cluster|addslotsrange cluster|delslots
cluster|delslotsrange cluster|flushslots cluster|setslot cluster|saveconfig cluster|bumpepoch cluster|set-config-epoch
cluster|help readonly readwrite asking replicaof slaveof failover
""".split()


def command_table(t):
    """COMMAND INFO of every command in scope, row by row; the others only by name."""
    t.open("a")
    t.ask("a", "COMMAND", "INFO", *t.r.sample(COMMANDS, 3))
    for name in COMMANDS:
        t.ask("a", "COMMAND", "INFO", name)
    v = t.value("a", "COMMAND", "LIST")
    t.names = sorted(x[1] for x in v[1])
    t.note("COMMAND COUNT is the number of commands without subcommands",
           t.value("a", "COMMAND", "COUNT")[1] == sum(b"|" not in n for n in t.names))
    t.note("COMMAND has as many rows", len(t.value("a", "COMMAND")[1]) == sum(b"|" not in n for n in t.names))
    for name in COMMANDS:
        doc = compare_doc(t.value("a", "COMMAND", "DOCS", name))
        t.note("COMMAND DOCS " + name, doc)


def compare_doc(v):
    """A command's documentation without its sentences, which are ours; facts and arguments are Redis's."""
    import compare

    p = compare.plain(v)
    if not p or len(p) != 2:
        return p
    d = dict(zip(p[1][::2], p[1][1::2]))
    d[b"summary"] = len(d.get(b"summary", b"")) > 3
    d.pop(b"complexity", None)
    for name in (b"history", b"subcommands", b"replaced_by"):  # subcommands are asked for one by one
        if name in d:
            d[name] = len(d[name]) > 0
    d.pop(b"history", None)
    return p[0], sorted(d.items(), key=repr)


def administration(t):
    """Replies of which only the form can be the same."""
    t.open("a")
    t.ask("a", "SELECT", "9")
    t.ask("a", "SET", "k", "v" * t.r.choice([1, 44, 45, 10000]))
    t.note("MEMORY USAGE of a key", t.value("a", "MEMORY", "USAGE", "k")[1] > 40)
    t.note("DEBUG OBJECT of a key", t.value("a", "DEBUG", "OBJECT", "k")[0])
    t.ask("a", "DEL", "k")
    for cmd in [("TIME", ), ("LOLWUT", ), ("MEMORY", "DOCTOR"), ("MEMORY", "STATS"),
                ("MEMORY", "MALLOC-STATS"), ("MEMORY", "PURGE"), ("LATENCY", "DOCTOR"), ("LATENCY", "LATEST"),
                ("LATENCY", "HISTOGRAM"), ("LATENCY", "HISTOGRAM", "nosuch"), ("LATENCY", "RESET"),
                ("DEBUG", "SLEEP", "0"), ("DEBUG", "JMAP"), ("OBJECT", "HELP"), ("CLIENT", "HELP"),
                ("CONFIG", "HELP"), ("COMMAND", "HELP"), ("MEMORY", "HELP"), ("SLOWLOG", "HELP"),
                ("LATENCY", "HELP"), ("DEBUG", "HELP"), ("HELLO", "3"), ("TIME", ), ("LOLWUT", ),
                ("INFO", "server"), ("MEMORY", "DOCTOR"), ("CLIENT", "LIST", "TYPE", "pubsub"),
                ("LATENCY", "DOCTOR"), ("SLOWLOG", "HELP"), ("LATENCY", "GRAPH", "command"), ("QUIT", )]:
        t.ask("a", *cmd)
    t.ask("a", "PING")


def big(t):
    """Values and pipelines beyond every buffer."""
    t.open("a")
    t.ask("a", "SELECT", "9")
    n = t.r.choice([1 << 20, 3 << 20, (1 << 20) + 1])
    v = t.r.randbytes(1000) * (n // 1000 + 1)
    t.ask("a", "SET", "big", v[:n], show="SET big %d bytes" % n)
    t.ask("a", "STRLEN",
          "big"), t.ask("a", "GETRANGE", "big", "-5",
                        "-1"), t.ask("a", "APPEND", "big", v[:n // 2],
                                     show="APPEND big half"), t.ask("a", "GET",
                                                                    "big"), t.ask("a", "DUMP", "big")
    t.ask("a", "SETRANGE", "big", "2000000",
          "x"), t.ask("a", "COPY", "big", "big2"), t.ask("a", "RENAME", "big2",
                                                         "big3"), t.ask("a", "STRLEN",
                                                                        "big3"), t.ask("a", "GETDEL", "big3")
    many = b"".join(encode([b"INCR", b"n"]) for _ in range(3000))
    t.until_sentinel("a", b"3000 INCR", many)
    try:
        t.ask("a", "CONFIG", "SET", "proto-max-bulk-len", "1048576")
        # SETRANGE and APPEND stay out: in ours what data may be is the same on every node, 512 MB, whatever a
        # node's own settings say about its clients.
        t.open("c")
        t.until_closed("c", b"a bulk too long", b"*2\r\n$4\r\nECHO\r\n$1048577\r\n")
    finally:
        t.ask("a", "CONFIG", "SET", "proto-max-bulk-len", "512mb")
        t.ask("a", "FLUSHDB")


# Often: cheap ones that differ from run to run. Once: tables that are the same each time.
OFTEN = [
    hello, session_pipeline, session_pipeline, session_pipeline, reply_modes, endings, endings, kill, pause,
    inline, inline, inline, broken, broken, isolation, client_lines, expiry, slowlog, lfu, big, crowd,
    long_keys, reload
] + (stories_events.OFTEN + stories_function.OFTEN + stories_hash_set.OFTEN + stories_pubsub.OFTEN + stories_stream.OFTEN +
     stories_tracking.OFTEN + stories_transaction.OFTEN +
     stories_zset.OFTEN)
ONCE = [
    info, config_names, config_defaults, config_values, config_edges, command_table, administration, password,
    broken, client_lines
]


def by_name(name):
    return next(f for f in OFTEN + ONCE + [scan, dbsize, randomkey] if f.__name__ == name)
