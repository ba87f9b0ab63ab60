"""Commands of streams at random: a part of gen.Gen, whose promises it keeps. Ids are given, or follow from the last one, but never from
the clock; what was idle for so long is asked with times that are far from any moment."""

STREAMS = [b"x0", b"x1", b"x2", b"x3", b"{tag}x"]
GROUPS = [b"g0", b"g1", b"g2", b""]
CONSUMERS = [b"c0", b"c1", b"c2", b"c10", b"C", b"\x00\xff"]

KEYED = {
    b"xadd", b"xtrim", b"xlen", b"xrange", b"xrevrange", b"xdel", b"xread", b"xreadgroup", b"xack", b"xpending", b"xclaim",
    b"xautoclaim", b"xgroup", b"xinfo", b"xsetid"
}

WRONG_IDS = [
    b"", b"-", b"+", b"$", b">", b"*", b"5-", b"-5", b"5-x", b"x-5", b"5-5-5", b"+5-1", b" 5-1", b"007-1", b"5- 1", b"5--1",
    b"18446744073709551615", b"18446744073709551616", b"18446744073709551615-18446744073709551615", b"0-0", b"5-*", b"(", b"(5",
    b"((5", b"(-", b"5\x00x-1", b"9" * 127, b"9" * 128
]


def keys_of(a):
    """The keys a command of these names, or what may be one."""
    name = a[0].lower()
    if name in (b"xread", b"xreadgroup"):
        return set(a[1:]) & set(STREAMS)
    return set(a[2:3]) if name in (b"xgroup", b"xinfo") else {a[1]}


class StreamGen:
    stream_ms = 5  # about here is where new entries go

    def stream_key(self):
        return self.pick(STREAMS) if self.chance(0.95) else self.key()

    def stream_id(self):
        x = self.r.random()
        if x < 0.5:
            return b"%d-%d" % (self.r.randint(max(0, self.stream_ms - 40), self.stream_ms), self.r.randrange(4))
        if x < 0.85:
            return b"%d" % self.r.randint(0, self.stream_ms + 2)
        return self.pick([b"0", b"0-0", b"1-1"]) if x < 0.95 else self.pick(WRONG_IDS)

    def new_id(self):
        x = self.r.random()
        if x < 0.3:
            self.stream_ms += 1
        if x < 0.7:
            return b"%d-%d" % (self.stream_ms, self.r.randrange(6))
        if x < 0.93:
            return b"%d-*" % self.stream_ms
        return self.stream_id().replace(b"*", b"1")

    def interval(self):
        x = self.r.random()
        if x < 0.3:
            return self.pick([b"-", b"+"])
        return b"(" + self.stream_id() if x < 0.5 else self.stream_id()

    def group(self):
        return self.pick(GROUPS[:3]) if self.chance(0.95) else self.pick(GROUPS)

    def consumer(self):
        return self.pick(CONSUMERS[:4]) if self.chance(0.9) else self.pick(CONSUMERS)

    def stream_pairs(self):
        """Mostly the same fields again, which a stream keeps once; of very different sizes."""
        x = self.r.random()
        if x < 0.6:
            fields = [b"a", b"b"][:self.r.randint(1, 2)]
        else:
            fields = [self.pick([b"a", b"b", b"1", b"", b"field"]) for _ in range(self.r.randint(1, 5))]
        big = self.pick([10, 10, 10, 100, 500, 2000])
        return [v for f in fields for v in (f, self.text(self.r.randint(0, big)) if self.chance(0.6) else self.integer())]

    def trim(self):
        a = [self.word(self.pick(["maxlen", "minid"]))]
        length = a[0].lower() == b"maxlen"
        operator = self.pick([b"~", b"~", b"=", None])
        if operator:
            a.append(operator)
        if length:
            a.append(b"%d" % self.pick([0, 1, 5, 20, 50, 100, 200]) if self.chance(0.94) else self.integer())
        else:
            a.append(self.stream_id())
        if self.chance(0.3 if operator == b"~" else 0.03):
            a += [self.word("limit"), self.pick([b"0", b"1", b"10", b"50", b"1000", b"-1", b"x"])]
        return a

    def xadd(self):
        a = [b"XADD", self.stream_key()]
        if self.chance(0.1):
            a.append(self.word("nomkstream"))
        if self.chance(0.12):
            a += self.trim()
        if self.chance(0.01):
            a += self.trim()
        return a + [self.new_id()] + self.stream_pairs()

    def xtrim(self):
        return [b"XTRIM", self.stream_key()] + self.trim() + ([b"bogus"] if self.chance(0.03) else [])

    def xrange(self, name):

        def f():
            a = [name, self.stream_key(), self.interval(), self.interval()]
            if self.chance(0.5):
                a[2:4] = [b"-", b"+"] if name == b"XRANGE" else [b"+", b"-"]
            if self.chance(0.5):
                a += [self.word("count"), self.pick([b"0", b"1", b"3", b"10", b"-1", b"1000", b"x"])]
            return a

        return f

    def stream_ids(self, name, group=False):

        def f():
            a = [name, self.stream_key()] + ([self.group()] if group else [])
            return a + [self.stream_id() for _ in range(self.r.randint(1, 8))]

        return f

    def xread(self):
        a = [b"XREAD"]
        if self.chance(0.5):
            a += [self.word("count"), self.pick([b"0", b"1", b"2", b"10", b"-3", b"x"])]
        if self.chance(0.03):
            a += [self.pick([b"NOACK", b"GROUP", b"bogus", b"COUNT"])]
        n = self.r.randint(1, 3)
        a += [self.word("streams")] + [self.stream_key() for _ in range(n)]
        return a + [self.stream_id() if self.chance(0.95) else b"$" for _ in range(n)]

    def xreadgroup(self):
        a = [b"XREADGROUP", self.word("group"), self.group(), self.consumer()]
        if self.chance(0.6):
            a += [self.word("count"), self.pick([b"0", b"1", b"2", b"5", b"10", b"-3"])]
        if self.chance(0.15):
            a += [self.word("noack")]
        n = 1 if self.chance(0.8) else 2
        a += [self.word("streams")] + [self.stream_key() for _ in range(n)]
        return a + [b">" if self.chance(0.7) else self.stream_id() for _ in range(n)]

    def xgroup(self):
        what = self.pick(["create"] * 8 + ["setid"] * 4 + ["createconsumer"] * 3 + ["delconsumer"] * 2 + ["destroy", "bogus"])
        a = [b"XGROUP", self.word(what), self.stream_key(), self.group()]
        if what in ("create", "setid"):
            a.append(self.pick([b"$", b"0", b"0", self.stream_id()]))
            if self.chance(0.3):
                a.append(self.word("mkstream"))
            if self.chance(0.3):
                a += [self.word("entriesread"), self.pick([b"0", b"1", b"10", b"-1", b"-2", b"x"])]
        elif what in ("createconsumer", "delconsumer"):
            a.append(self.consumer())
        return a

    def xpending(self):
        a = [b"XPENDING", self.stream_key(), self.group()]
        if self.chance(0.3):
            return a
        if self.chance(0.3):
            a += [self.word("idle"), self.pick([b"0", b"1000000000", b"-5", b"x"])]
        a += [self.interval(), self.interval()] if self.chance(0.5) else [b"-", b"+"]
        a.append(self.pick([b"0", b"1", b"3", b"100", b"-1", b"x"]))
        return a + ([self.consumer()] if self.chance(0.4) else [])

    def idle_min(self):
        return self.pick([b"0", b"0", b"0", b"-1", b"1000000000"]) if self.chance(0.97) else b"x"

    def xclaim(self):
        a = [b"XCLAIM", self.stream_key(), self.group(), self.consumer(), self.idle_min()]
        a += [self.stream_id() for _ in range(self.r.randint(1, 5))]
        opts = []
        if self.chance(0.2):
            opts.append([self.word("idle"), self.pick([b"0", b"500000", b"-500000", b"9223372036854775807", b"x"])])
        if self.chance(0.2):
            opts.append([self.word("time"), self.pick([b"0", b"1000000", b"-1", b"9223372036854775807", b"x"])])
        if self.chance(0.2):
            opts.append([self.word("retrycount"), self.pick([b"0", b"1", b"7", b"-1", b"x"])])
        if self.chance(0.3):
            opts.append([self.word("force")])
        if self.chance(0.3):
            opts.append([self.word("justid")])
        if self.chance(0.1):
            opts.append([self.word("lastid"), self.stream_id()])
        if self.chance(0.02):
            opts.append([b"bogus"])
        self.r.shuffle(opts)
        for o in opts:
            a += o
        return a

    def xautoclaim(self):
        a = [b"XAUTOCLAIM", self.stream_key(), self.group(), self.consumer(), self.idle_min(), self.interval()]
        if self.chance(0.5):
            a += [self.word("count"), self.pick([b"1", b"2", b"10", b"0", b"x"])]
        if self.chance(0.3):
            a.append(self.word("justid"))
        return a

    def xinfo(self):
        what = self.pick(["stream"] * 5 + ["full"] * 3 + ["groups"] * 4 + ["consumers"] * 3)
        if what == "consumers":
            return [b"XINFO", self.word(what), self.stream_key(), self.group()]
        if what != "full":
            return [b"XINFO", self.word(what), self.stream_key()]
        a = [b"XINFO", self.word("stream"), self.stream_key(), self.word("full")]
        return a + ([self.word("count"), self.pick([b"0", b"1", b"5", b"-1", b"x"])] if self.chance(0.7) else [])

    def xsetid(self):
        a = [b"XSETID", self.stream_key(), self.stream_id()]
        if self.chance(0.5):
            a += [self.word("entriesadded"), self.pick([b"0", b"5", b"100", b"1000", b"-1", b"x"])]
        if self.chance(0.3):
            a += [self.word("maxdeletedid"), self.stream_id()]
        return a

    def stream_as_key(self):
        """What any key goes through, but for DUMP: a stream's payload has times in it."""
        k = self.pick(STREAMS)
        return self.pick([
            lambda: [b"COPY", k, self.pick(STREAMS), b"REPLACE"],
            lambda: [b"COPY", k, k, b"DB", self.db(), b"REPLACE"],
            lambda: [self.pick([b"RENAME", b"RENAMENX"]), k, self.pick(STREAMS)],
            lambda: [b"MOVE", k, self.db()],
            lambda: [b"DEL", k],
            lambda: [b"PEXPIREAT", k, self.when(True)],
            lambda: [b"PERSIST", k],
            lambda: [b"TYPE", k],
            lambda: [b"OBJECT", b"ENCODING", k],
            lambda: [b"SET", k, b"text"],
        ])()

    def stream_table(self):
        """(weight, name, generator), as Gen.table()."""
        return [
            (170, "xadd", self.xadd),
            (10, "xtrim", self.xtrim),
            (6, "xlen", lambda: [b"XLEN", self.stream_key()]),
            (14, "xrange", self.xrange(b"XRANGE")),
            (14, "xrevrange", self.xrange(b"XREVRANGE")),
            (20, "xdel", self.stream_ids(b"XDEL")),
            (16, "xread", self.xread),
            (50, "xreadgroup", self.xreadgroup),
            (20, "xack", self.stream_ids(b"XACK", True)),
            (20, "xpending", self.xpending),
            (20, "xclaim", self.xclaim),
            (14, "xautoclaim", self.xautoclaim),
            (24, "xgroup", self.xgroup),
            (24, "xinfo", self.xinfo),
            (3, "xsetid", self.xsetid),
            (6, "copy", self.stream_as_key),
        ]
