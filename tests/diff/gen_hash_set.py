"""Commands of hashes and sets at random: a part of gen.Gen, whose promises it keeps. What is taken at random is never taken for
good: SPOP of some members is for stories_hash_set.py, here it takes all or none."""

HASHES = [b"h0", b"h1", b"h2", b"h3", b"h4", b"{tag}h"]
SETS = [b"s0", b"s1", b"s2", b"s3", b"s4", b"s5", b"{tag}s"]

FIELDS = [b"", b"a", b"b", b"field", b"0", b"1", b"-1", b"01", b"9223372036854775807", b"9223372036854775808", b"a b",
          b"\x00\xff\r\n", b"x" * 63, b"x" * 64, b"x" * 65, b"Field"]

KEYED = {
    b"hset", b"hsetnx", b"hmset", b"hget", b"hmget", b"hgetall", b"hkeys", b"hvals", b"hlen", b"hexists", b"hdel", b"hstrlen",
    b"hincrby", b"hincrbyfloat", b"hrandfield", b"hscan", b"sadd", b"srem", b"sismember", b"smismember", b"scard", b"smembers",
    b"spop", b"srandmember", b"smove", b"sinter", b"sinterstore", b"sintercard", b"sunion", b"sunionstore", b"sdiff",
    b"sdiffstore", b"sscan"
}


def keys_of(a):
    """The keys a command of these names."""
    name = a[0].lower()
    if name in (b"sinter", b"sinterstore", b"sunion", b"sunionstore", b"sdiff", b"sdiffstore"):
        return set(a[1:])
    if name == b"sintercard":
        return set(a[2:])
    return set(a[1:3]) if name == b"smove" else {a[1]}


class HashSetGen:

    def hash_key(self):
        return self.pick(HASHES) if self.chance(0.93) else self.key()

    def set_key(self):
        return self.pick(SETS) if self.chance(0.93) else self.key()

    def field(self):
        x = self.r.random()
        if x < 0.5:
            return b"f%d" % self.r.randrange(60)
        if x < 0.7:
            return b"%d" % self.r.randrange(-20, 300)
        return self.pick(FIELDS) if x < 0.95 else self.value()

    def field_value(self):
        x = self.r.random()
        if x < 0.5:
            return b"%d" % self.r.randint(-70000, 70000)
        if x < 0.9:
            return self.text(self.r.randint(0, 30))
        return self.pick([b"v" * 64, b"v" * 65, b"1.5", b"nan", b"inf", b"1e300"]) if x < 0.97 else self.value()

    def field_pairs(self):
        """A few at most times, now and then enough to change how the hash is kept."""
        if self.chance(0.04):
            first = self.r.randrange(1500)
            return [x for i in range(self.r.randint(30, 400)) for x in (b"many:%d" % (first + i), b"%d" % i)]
        return [x for _ in range(self.r.randint(1, 5)) for x in (self.field(), self.field_value())]

    def hset(self, name):
        return lambda: [name, self.hash_key()] + self.field_pairs()

    def of_field(self, name):
        return lambda: [name, self.hash_key(), self.field()]

    def of_fields(self, name):

        def f():
            if self.chance(0.03):
                first = self.r.randrange(1500)
                return [name, self.hash_key()] + [b"many:%d" % (first + i) for i in range(self.r.randint(30, 400))]
            return [name, self.hash_key()] + [self.field() for _ in range(self.r.randint(1, 6))]

        return f

    def of_hash(self, name):
        return lambda: [name, self.hash_key()]

    def hincrby(self):
        return [b"HINCRBY", self.hash_key(), self.field(), self.integer()]

    def hincrbyfloat(self):
        return [b"HINCRBYFLOAT", self.hash_key(), self.field()] + self.incrbyfloat()[2:]

    def random_count(self):
        return self.pick([b"0", b"1", b"2", b"-1", b"-5", b"10", b"100000", b"-300"]) if self.chance(0.85) else self.pick(
            [b"x", b"", b"1.5", b"-9223372036854775808", b"9223372036854775808", b"4611686018427387904"])

    def hrandfield(self):
        a = [b"HRANDFIELD", self.hash_key()]
        if self.chance(0.9):
            a.append(self.random_count())
        if self.chance(0.5):
            a.append(self.word(self.pick(["withvalues"] * 12 + ["bogus"])))
        return a

    def scan_of(self, name, key):

        def f():
            a = [name, key(), b"0" if self.chance(0.9) else self.pick([b"x", b"", b"-1", b"12", b"99999999999999999999"])]
            opts = []
            if self.chance(0.3):
                opts.append([self.word("match"), self.pick([b"*", b"f*", b"*1*", b"[0-9]", b"", b"many:1?"])])
            if self.chance(0.3):
                opts.append([self.word("count"), self.pick([b"1", b"5", b"10", b"100000", b"0", b"-1", b"x"])])
            if self.chance(0.05):
                opts.append([self.word(self.pick(["type", "bogus", "match", "count"]))])
            self.r.shuffle(opts)
            for o in opts:
                a += o
            return a

        return f

    def member(self):
        x = self.r.random()
        if x < 0.55:
            return b"%d" % self.r.randrange(-30, 80)
        if x < 0.75:
            return b"m%d" % self.r.randrange(30)
        return self.pick(FIELDS) if x < 0.97 else self.value()

    def members(self):
        x = self.r.random()
        if x < 0.05:
            first, step = self.r.randrange(1000), self.pick([1, 1, 7, 100000, 2**33])
            return [b"%d" % (first + i * step) for i in range(self.r.randint(30, 700))]
        if x < 0.1:
            return [b"%d" % self.r.randrange(2**self.r.randrange(1, 63)) for _ in range(self.r.randint(1, 20))]
        if x < 0.13:
            first = self.r.randrange(1000)
            return [b"many:%d" % (first + i) for i in range(self.r.randint(30, 400))]
        return [self.member() for _ in range(self.r.randint(1, 6))]

    def of_members(self, name):
        return lambda: [name, self.set_key()] + self.members()

    def of_member(self, name):
        return lambda: [name, self.set_key(), self.member()]

    def of_set(self, name):
        return lambda: [name, self.set_key()]

    def smove(self):
        return [b"SMOVE", self.set_key(), self.set_key(), self.member()]

    def set_algebra(self, name):

        def f():
            most = 4 if self.chance(0.9) else 9
            return [name] + [self.set_key() for _ in range(self.r.randint(1, most) + (b"STORE" in name))]

        return f

    def sintercard(self):
        keys = [self.set_key() for _ in range(self.r.randint(1, 4))]
        count = b"%d" % len(keys) if self.chance(0.93) else self.pick([b"0", b"-1", b"x", b"2", b"9"])
        a = [b"SINTERCARD", count] + keys
        if self.chance(0.5):
            a += [self.word("limit"), self.pick([b"0", b"1", b"3", b"100"]) if self.chance(0.9) else self.integer()]
        if self.chance(0.04):
            a.append(self.pick([b"LIMIT", b"bogus"]))
        return a

    def spop(self):
        a = [b"SPOP", self.set_key()]
        a.append(self.pick([b"0", b"1000000", b"1000000", b"-1", b"x", b"9223372036854775807", b"9223372036854775808"]))
        if self.chance(0.05):
            a.append(b"extra")
        return a

    def srandmember(self):
        return [b"SRANDMEMBER", self.set_key()] + ([self.random_count()] if self.chance(0.85) else [])

    def hash_set_table(self):
        """(weight, name, generator), as Gen.table()."""
        algebra = [(8, n.decode().lower(), self.set_algebra(n))
                   for n in (b"SINTER", b"SINTERSTORE", b"SUNION", b"SUNIONSTORE", b"SDIFF", b"SDIFFSTORE")]
        return algebra + [
            (60, "hset", self.hset(b"HSET")),
            (14, "hmset", self.hset(b"HMSET")),
            (14, "hsetnx", lambda: [b"HSETNX", self.hash_key(), self.field(), self.field_value()]),
            (30, "hget", self.of_field(b"HGET")),
            (14, "hmget", self.of_fields(b"HMGET")),
            (14, "hgetall", self.of_hash(b"HGETALL")),
            (8, "hkeys", self.of_hash(b"HKEYS")),
            (8, "hvals", self.of_hash(b"HVALS")),
            (10, "hlen", self.of_hash(b"HLEN")),
            (14, "hexists", self.of_field(b"HEXISTS")),
            (30, "hdel", self.of_fields(b"HDEL")),
            (12, "hstrlen", self.of_field(b"HSTRLEN")),
            (24, "hincrby", self.hincrby),
            (24, "hincrbyfloat", self.hincrbyfloat),
            (14, "hrandfield", self.hrandfield),
            (8, "hscan", self.scan_of(b"HSCAN", self.hash_key)),
            (50, "sadd", self.of_members(b"SADD")),
            (36, "srem", self.of_members(b"SREM")),
            (14, "sismember", self.of_member(b"SISMEMBER")),
            (12, "smismember", self.of_members(b"SMISMEMBER")),
            (10, "scard", self.of_set(b"SCARD")),
            (14, "smembers", self.of_set(b"SMEMBERS")),
            (8, "spop", self.spop),
            (12, "srandmember", self.srandmember),
            (20, "smove", self.smove),
            (10, "sintercard", self.sintercard),
            (8, "sscan", self.scan_of(b"SSCAN", self.set_key)),
        ]
