"""Commands of lists at random: a part of gen.Gen, whose promises it keeps. Those that wait do so for a millisecond, as nobody else
is there to push; who waits for whom is tests/server's subject."""

LISTS = [b"l0", b"l1", b"l2", b"l3", b"l4", b"{tag}l"]

KEYED = {
    b"lpush", b"rpush", b"lpushx", b"rpushx", b"linsert", b"lpop", b"rpop", b"lmpop", b"lmove", b"rpoplpush", b"blpop", b"brpop",
    b"blmpop", b"blmove", b"brpoplpush", b"llen", b"lindex", b"lrange", b"lpos", b"lset", b"lrem", b"ltrim"
}

# A random mistake could make these wait for ever.
WAITING = {b"blpop", b"brpop", b"blmpop", b"blmove", b"brpoplpush"}


def keys_of(a):
    """The keys a command of these names."""
    name = a[0].lower()
    if name in (b"lmove", b"rpoplpush", b"blmove", b"brpoplpush"):
        return set(a[1:3])
    if name in (b"blpop", b"brpop"):
        return set(a[1:-1])
    return set(a[2:]) if name in (b"lmpop", b"blmpop") else {a[1]}


class ListGen:

    def list_key(self):
        return self.pick(LISTS) if self.chance(0.93) else self.key()

    def element(self):
        """From few, so that searches find some; now and then a long one."""
        x = self.r.random()
        if x < 0.5:
            return b"e%d" % self.r.randrange(12)
        if x < 0.7:
            return b"%d" % self.r.randrange(-5, 20)
        if x < 0.95:
            return self.pick([b"", b"0", b"01", b"-0", b"9223372036854775807", b"9223372036854775808", b"a b", b"\x00\xff\r\n",
                              b"x" * 63, b"x" * 64, b"x" * 300])
        return self.value()

    def push(self, name):

        def f():
            count = self.r.randint(1, 6) if self.chance(0.93) else self.r.randint(30, 400)
            return [name, self.list_key()] + [self.element() for _ in range(count)]

        return f

    def position(self):
        x = self.r.random()
        if x < 0.8:
            return b"%d" % self.r.randrange(-12, 12)
        return b"%d" % self.r.randrange(-500, 500) if x < 0.95 else self.integer()

    def linsert(self):
        return [b"LINSERT", self.list_key(), self.word(self.pick(["before"] * 8 + ["after"] * 8 + ["between"])), self.element(),
                self.element()]

    def pop(self, name):

        def f():
            a = [name, self.list_key()]
            if self.chance(0.4):
                a.append(self.pick([b"0", b"1", b"2", b"3", b"10", b"1000"]) if self.chance(0.9) else self.integer())
            return a

        return f

    def end(self):
        return self.word(self.pick(["left"] * 10 + ["right"] * 10 + ["up"]))

    def moment(self):
        return self.pick([b"0.001"] * 12 + [b"-1", b"x", b"", b"nan", b"-0.5", b"1e-3", b"0.0001"])

    def lmove(self):
        return [b"LMOVE", self.list_key(), self.list_key(), self.end(), self.end()]

    def blmove(self):
        return [b"BLMOVE", self.list_key(), self.list_key(), self.end(), self.end(), self.moment()]

    def bpop(self, name):
        return lambda: [name] + [self.list_key() for _ in range(self.r.randint(1, 4))] + [self.moment()]

    def lmpop(self):
        keys = [self.list_key() for _ in range(self.r.randint(1, 4))]
        count = b"%d" % len(keys) if self.chance(0.93) else self.pick([b"0", b"-1", b"x", b"2", b"9"])
        a = [b"LMPOP", count] + keys + [self.end()]
        if self.chance(0.5):
            a += [self.word("count"), self.pick([b"1", b"2", b"3", b"100"]) if self.chance(0.9) else self.integer()]
        if self.chance(0.04):
            a.append(self.pick([b"COUNT", b"bogus"]))
        return a

    def blmpop(self):
        return [b"BLMPOP", self.moment()] + self.lmpop()[1:]

    def lpos(self):
        a = [b"LPOS", self.list_key(), self.element()]
        opts = []
        if self.chance(0.5):
            opts.append([self.word("rank"), self.position()])
        if self.chance(0.5):
            opts.append([self.word("count"), self.pick([b"0", b"1", b"2", b"100", b"-1", b"x"])])
        if self.chance(0.4):
            opts.append([self.word("maxlen"), self.pick([b"0", b"1", b"5", b"50", b"-1", b"x"])])
        if self.chance(0.04):
            opts.append([self.word(self.pick(["rank", "bogus"]))])
        self.r.shuffle(opts)
        for o in opts:
            a += o
        return a

    def list_table(self):
        """(weight, name, generator), as Gen.table()."""
        return [
            (50, "rpush", self.push(b"RPUSH")),
            (40, "lpush", self.push(b"LPUSH")),
            (10, "rpushx", self.push(b"RPUSHX")),
            (10, "lpushx", self.push(b"LPUSHX")),
            (16, "linsert", self.linsert),
            (30, "lpop", self.pop(b"LPOP")),
            (30, "rpop", self.pop(b"RPOP")),
            (14, "lmpop", self.lmpop),
            (16, "lmove", self.lmove),
            (10, "rpoplpush", lambda: [b"RPOPLPUSH", self.list_key(), self.list_key()]),
            (8, "blpop", self.bpop(b"BLPOP")),
            (8, "brpop", self.bpop(b"BRPOP")),
            (8, "blmpop", self.blmpop),
            (8, "blmove", self.blmove),
            (6, "brpoplpush", lambda: [b"BRPOPLPUSH", self.list_key(), self.list_key(), self.moment()]),
            (12, "llen", lambda: [b"LLEN", self.list_key()]),
            (20, "lindex", lambda: [b"LINDEX", self.list_key(), self.position()]),
            (24, "lrange", lambda: [b"LRANGE", self.list_key(), self.position(), self.position()]),
            (24, "lpos", self.lpos),
            (20, "lset", lambda: [b"LSET", self.list_key(), self.position(), self.element()]),
            (20, "lrem", lambda: [b"LREM", self.list_key(), self.position(), self.element()]),
            (8, "ltrim", lambda: [b"LTRIM", self.list_key(), self.position(), self.position()]),
        ]
