"""Commands of sorted sets and of places at random: a part of gen.Gen, whose promises it keeps. Ranges by member are asked only of
sets whose scores are all equal (LEX), for of others the answer is nothing in particular. STOREDIST is for stories_zset.py: the
last bit of what it stores may differ."""

from gen_hash_set import SETS

ZSETS = [b"z0", b"z1", b"z2", b"z3", b"z4", b"{tag}z"]
LEX = [b"lex0", b"lex1"]
GEO = [b"geo0", b"geo1", b"geo2"]

MEMBERS = [
    b"", b"a", b"b", b"member", b"0", b"1", b"-1", b"01", b"9223372036854775807", b"9223372036854775808",
    b"a b", b"\x00\xff\r\n", b"x" * 63, b"x" * 64, b"x" * 65, b"Member"
]
SCORES = [
    b"0", b"1", b"-1", b"1.5", b"-0", b"-0.0", b"0.1", b"3.0", b"1e3", b"1e17", b"123456789012345678", b"inf", b"-inf",
    b"+inf", b"5e-324", b"1.7976931348623157e308", b"-1e300", b"4503599627370495", b"4503599627370497",
    b"9007199254740993", b"9223372036854775807", b"-9223372036854775808", b"0x10", b"3.141592653589793", b"1e-7"
]
NOT_SCORES = [b"", b" ", b"abc", b"nan", b" 1", b"1 ", b"1e5000", b"1,5", b"1\x00", b"--1", b"(1"]
BOUNDS = [
    b"-inf", b"+inf", b"inf", b"(-inf", b"(+inf", b"0", b"(0", b"1", b"(1", b"-1", b"(1.5", b"1.5", b"100", b"(100", b"",
    b"(", b" 5", b"0x10", b"nan", b"(nan", b"1e400", b"((1", b"1 ", b"abc", b"1\x00x", b"-0"
]
LEX_BOUNDS = [
    b"-", b"+", b"[a", b"(a", b"[b", b"(c", b"[", b"(", b"[m5", b"(m5", b"[m55", b"a", b"", b"++", b"-x", b"[\xff", b"(-1",
    b"[12", b"+\x00", b"["
]
UNITS = [b"m", b"km", b"ft", b"mi", b"KM", b"Mi"]

KEYED = {
    b"zadd", b"zincrby", b"zscore", b"zmscore", b"zcard", b"zcount", b"zlexcount", b"zrank", b"zrevrank", b"zrem",
    b"zremrangebyrank", b"zremrangebyscore", b"zremrangebylex", b"zrange", b"zrangestore", b"zrevrange", b"zrangebyscore",
    b"zrevrangebyscore", b"zrangebylex", b"zrevrangebylex", b"zpopmin", b"zpopmax", b"zmpop", b"zunion", b"zinter", b"zdiff",
    b"zunionstore", b"zinterstore", b"zdiffstore", b"zintercard", b"zrandmember", b"zscan", b"geoadd", b"geopos", b"geodist",
    b"geohash", b"geosearch", b"geosearchstore", b"georadius", b"georadius_ro", b"georadiusbymember",
    b"georadiusbymember_ro"
}


def keys_of(a):
    """The keys a command of these names, or a few words too many."""
    name = a[0].lower()
    if name in (b"zmpop", b"zunion", b"zinter", b"zdiff", b"zintercard", b"zunionstore", b"zinterstore", b"zdiffstore"):
        return set(a[1:])
    if name.startswith(b"georadius"):
        return {a[1], a[-1]}
    return set(a[1:3]) if name in (b"zrangestore", b"geosearchstore") else {a[1]}


class ZsetGen:

    def zset_key(self):
        return self.pick(ZSETS) if self.chance(0.95) else self.key()

    def any_zset_key(self):
        """For commands that put no score of their own into a set."""
        return self.pick(GEO + LEX) if self.chance(0.1) else self.zset_key()

    def zset_member(self):
        x = self.r.random()
        if x < 0.6:
            return b"m%d" % self.r.randrange(80)
        if x < 0.75:
            return b"%d" % self.r.randrange(-20, 300)
        return self.pick(MEMBERS) if x < 0.97 else self.value()

    def score(self):
        x = self.r.random()
        if x < 0.5:
            return b"%d" % self.r.randrange(-10, 60)
        if x < 0.7:
            return b"%.*f" % (self.r.randint(0, 17), self.r.uniform(-1000, 1000))
        return self.pick(SCORES) if x < 0.97 else self.pick(NOT_SCORES)

    def good_score(self):
        return b"%d" % self.r.randrange(-10, 60) if self.chance(0.8) else b"%.3f" % self.r.uniform(-100, 100)

    def zadd(self):
        a = [b"ZADD", self.zset_key()]
        while self.chance(0.25):
            a.append(self.word(self.pick(["nx", "xx", "gt", "lt", "ch", "incr"])))
        for _ in range(1 if self.chance(0.5) else self.r.randint(1, 6)):
            a += [self.score(), self.zset_member()]
        return a + [b"1"] if self.chance(0.02) else a

    def zadd_many(self):
        """Enough to change how the set is kept."""
        a, first = [b"ZADD", self.zset_key()], self.r.randrange(1500)
        for i in range(self.r.randint(60, 500)):
            a += [self.good_score(), b"many:%d" % (first + i)]
        return a

    def zadd_lex(self):
        a = [b"ZADD", self.pick(LEX)]
        for _ in range(self.r.randint(1, 8) if self.chance(0.9) else self.r.randint(60, 300)):
            a += [b"0", b"m%d" % self.r.randrange(2000) if self.chance(0.7) else b"%d" % self.r.randrange(500)]
        return a

    def zincrby(self):
        return [b"ZINCRBY", self.zset_key(), self.score(), self.zset_member()]

    def zset_one(self, name):
        return lambda: [name, self.any_zset_key()]

    def zset_of_member(self, name):
        return lambda: [name, self.any_zset_key(), self.zset_member()]

    def zset_of_members(self, name):
        return lambda: [name, self.any_zset_key()] + [self.zset_member() for _ in range(self.r.randint(1, 6))]

    def bound(self):
        if self.chance(0.6):
            return (b"(" if self.chance(0.3) else b"") + self.good_score()
        return self.pick(BOUNDS)

    def lex_bound(self):
        x = self.r.random()
        if x < 0.3:
            return self.pick([b"-", b"+"])
        if x < 0.8:
            return self.pick([b"[", b"("]) + b"m%d" % self.r.randrange(2000)
        return self.pick(LEX_BOUNDS)

    def by_rank(self, name):
        return lambda: [name, self.any_zset_key(), self.index(), self.index()]

    def by_score(self, name):
        return lambda: [name, self.any_zset_key(), self.bound(), self.bound()]

    def by_lex(self, name):
        return lambda: [name, self.pick(LEX), self.lex_bound(), self.lex_bound()]

    def range_options(self, words):
        a = []
        for w in words:
            if not self.chance(0.35):
                continue
            a.append(self.word(w))
            if w == "limit":
                a += [self.index(), self.index()]
        if self.chance(0.04):
            a.append(self.word(self.pick(["withscores", "limit", "rev", "bylex", "byscore", "bogus", ""])))
        return a

    def ranged(self, name, f, words):
        return lambda: f(name)() + self.range_options(words)

    def zrange(self):
        x = self.r.random()
        if x < 0.4:
            return self.by_rank(b"ZRANGE")() + self.range_options(["withscores", "rev"])
        if x < 0.75:
            return self.by_score(b"ZRANGE")() + [b"BYSCORE"] + self.range_options(["limit", "withscores", "rev"])
        if x < 0.93:
            return self.by_lex(b"ZRANGE")() + [b"BYLEX"] + self.range_options(["rev", "limit"])
        return self.by_score(b"ZRANGE")() + self.range_options(["rev", "byscore", "limit", "withscores"])

    def zrangestore(self):
        a = self.zrange()
        a = [b"ZRANGESTORE", self.zset_key()] + a[1:]
        return a if self.chance(0.1) else [w for w in a if w.lower() != b"withscores"]

    def zpop(self, name):

        def f():
            a = [name, self.any_zset_key()]
            if self.chance(0.5):
                a.append(b"%d" % self.r.randrange(5) if self.chance(0.9) else self.integer())
            return a + [b"1"] if self.chance(0.02) else a

        return f

    def numkeys(self, keys):
        return b"%d" % len(keys) if self.chance(0.95) else self.pick([b"0", b"-1", b"2", b"99", b"x"])

    def zmpop(self):
        keys = [self.zset_key() for _ in range(self.r.randint(1, 4))]
        a = [b"ZMPOP", self.numkeys(keys)] + keys + [self.word(self.pick(["min", "max"]))]
        if self.chance(0.4):
            a += [self.word("count"), b"%d" % self.r.randint(1, 6) if self.chance(0.9) else self.integer()]
        return a + [b"BOGUS"] if self.chance(0.03) else a

    def combine(self, name, what):
        stores, cards = name.endswith(b"STORE"), name.endswith(b"CARD")

        def f():
            keys = [
                self.any_zset_key() if self.chance(0.85) else self.pick(SETS) for _ in range(self.r.randint(1, 4))
            ]
            a = [name] + ([self.zset_key()] if stores else []) + [self.numkeys(keys)] + keys
            if what != "diff" and self.chance(0.05 if cards else 0.4):
                a += [self.word("weights")] + [self.score() for _ in keys]
            if what != "diff" and self.chance(0.05 if cards else 0.4):
                a += [self.word("aggregate"), self.word(self.pick(["sum", "min", "max", "max", "bogus"]))]
            if self.chance(0.05 if stores or cards else 0.5):
                a.append(self.word("withscores"))
            if self.chance(0.5 if cards else 0.03):
                a += [self.word("limit"), self.pick([b"0", b"1", b"3", b"100", b"-1", b"x"])]
            return a

        return f

    def zrandmember(self):
        a = [b"ZRANDMEMBER", self.zset_key()]
        if self.chance(0.8):
            a.append(b"%d" % self.r.randint(-20, 40) if self.chance(0.9) else self.pick(
                [b"9223372036854775807", b"x", b"0", b"-9223372036854775808", b"1000000"]))
            if self.chance(0.5):
                a.append(self.word("withscores") if self.chance(0.95) else b"BOGUS")
        return a

    def zscan(self):
        a = [b"ZSCAN", self.zset_key(), b"0" if self.chance(0.9) else self.pick([b"-", b"x", b"5", b"99999999999999999999"])]
        if self.chance(0.4):
            a += [self.word("match"), self.pick([b"*", b"m*", b"m?", b"[0-9]*", b"nosuch"])]
        if self.chance(0.4):
            a += [self.word("count"), self.pick([b"1", b"10", b"1000", b"0", b"-1", b"x"])]
        return a + [b"BOGUS"] if self.chance(0.03) else a

    # ---- places ----------------------------------------------------------------------------------

    def geo_key(self):
        """Not of other sets: where many members are in one place, which of them are nearest is nobody's promise."""
        return self.pick(GEO) if self.chance(0.98) else b"k1"

    def place(self):
        x = self.r.random()
        if x < 0.45:
            return b"p%d" % self.r.randrange(60)
        return b"q%d" % self.r.randrange(400) if x < 0.97 else self.zset_member()

    def longitude(self):
        x = self.r.random()
        if x < 0.55:
            return b"%.*f" % (self.r.randint(0, 15), self.r.uniform(-180, 180))
        if x < 0.9:
            return b"%.6f" % self.r.uniform(12, 16)
        return self.pick([b"180", b"-180", b"179.999999", b"0", b"-0", b"180.1", b"1e400", b"x", b"nan", b"inf"])

    def latitude(self):
        x = self.r.random()
        if x < 0.55:
            return b"%.*f" % (self.r.randint(0, 15), self.r.uniform(-85.05, 85.05))
        if x < 0.9:
            return b"%.6f" % self.r.uniform(37, 39)
        return self.pick([b"85.05112878", b"-85.05112878", b"0", b"85.06", b"66.1", b"80.5", b"-81", b"90", b"x"])

    def length(self):
        x = self.r.random()
        if x < 0.7:
            return b"%.*f" % (self.r.randint(0, 4), 10**self.r.uniform(-1, 5))
        return self.pick([b"0", b"1", b"100", b"5000", b"20000", b"50000", b"1e7", b"1e10", b"-1", b"x", b"inf"])

    def unit(self):
        return self.pick(UNITS) if self.chance(0.97) else self.pick([b"cm", b"", b"mm"])

    def geoadd(self):
        a = [b"GEOADD", self.geo_key()]
        while self.chance(0.15):
            a.append(self.word(self.pick(["nx", "xx", "ch"])))
        for _ in range(self.r.randint(1, 8) if self.chance(0.9) else self.r.randint(60, 200)):
            if self.chance(0.98):
                a += [
                    b"%.9f" % self.r.uniform(-180, 180),
                    b"%.9f" % self.r.uniform(-85, 85),
                    self.place()
                ] if self.chance(0.5) else [
                    b"%.9f" % self.r.uniform(12, 16),
                    b"%.9f" % self.r.uniform(37, 39),
                    self.place()
                ]
            else:
                a += [self.longitude(), self.latitude(), self.place()]
        return a + [b"1"] if self.chance(0.02) else a

    def geo_members(self, name):
        return lambda: [name, self.geo_key()] + [self.place() for _ in range(self.r.randint(1, 5))]

    def geodist(self):
        a = [b"GEODIST", self.geo_key(), self.place(), self.place()]
        if self.chance(0.5):
            a.append(self.unit())
        return a + [b"x"] if self.chance(0.02) else a

    def search_options(self, stores):
        opts = []
        for w, p in (("withdist", 0.3), ("withhash", 0.3), ("withcoord", 0.3)):
            if self.chance(0.03 if stores else p):
                opts.append([self.word(w)])
        if self.chance(0.3):
            opts.append([self.word(self.pick(["asc", "desc"]))])
        if self.chance(0.4):
            opts.append([self.word("count"), b"%d" % self.r.randint(1, 9) if self.chance(0.95) else self.integer()])
            if self.chance(0.4):
                opts.append([self.word("any")])
        if self.chance(0.03):
            opts.append([self.word(self.pick(["any", "bogus", "store", "byradius", "frommember", "count"]))])
        return opts

    def joined(self, head, opts):
        self.r.shuffle(opts)
        return head + [w for o in opts for w in o]

    def georadius(self, name):
        by_member, ro = b"BYMEMBER" in name, name.endswith(b"_RO")

        def f():
            a = [name, self.geo_key()] + ([self.place()] if by_member else [self.longitude(), self.latitude()])
            a += [self.length(), self.unit()]
            stores = self.chance(0.05 if ro else 0.4)
            opts = self.search_options(stores)
            if stores:
                opts.append([self.word(self.pick(["store", "storedist"]) if ro else "store"), self.zset_key()])
            return self.joined(a, opts)

        return f

    def geosearch(self, name):
        stores = name.endswith(b"STORE")

        def f():
            opts = self.search_options(stores)
            if self.chance(0.97):
                opts.append([self.word("frommember"), self.place()] if self.chance(0.5) else
                            [self.word("fromlonlat"), self.longitude(), self.latitude()])
            if self.chance(0.97):
                opts.append([self.word("byradius"), self.length(), self.unit()] if self.chance(0.5) else
                            [self.word("bybox"), self.length(), self.length(), self.unit()])
            if not stores and self.chance(0.02):
                opts.append([self.word("storedist")])
            return self.joined([name] + ([self.zset_key()] if stores else []) + [self.geo_key()], opts)

        return f

    def zset_table(self):
        one, member, members, rank, score, lex, ranged = (self.zset_one, self.zset_of_member, self.zset_of_members,
                                                          self.by_rank, self.by_score, self.by_lex, self.ranged)
        return [
            (60, "zadd", self.zadd),
            (3, "zadd", self.zadd_many),
            (20, "zadd", self.zadd_lex),
            (14, "zincrby", self.zincrby),
            (10, "zcard", one(b"ZCARD")),
            (14, "zscore", member(b"ZSCORE")),
            (10, "zmscore", members(b"ZMSCORE")),
            (12, "zrank", member(b"ZRANK")),
            (12, "zrevrank", member(b"ZREVRANK")),
            (14, "zrem", members(b"ZREM")),
            (12, "zcount", score(b"ZCOUNT")),
            (12, "zlexcount", lex(b"ZLEXCOUNT")),
            (5, "zremrangebyrank", rank(b"ZREMRANGEBYRANK")),
            (5, "zremrangebyscore", score(b"ZREMRANGEBYSCORE")),
            (5, "zremrangebylex", lex(b"ZREMRANGEBYLEX")),
            (24, "zrange", self.zrange),
            (10, "zrangestore", self.zrangestore),
            (10, "zrevrange", ranged(b"ZREVRANGE", rank, ["withscores"])),
            (14, "zrangebyscore", ranged(b"ZRANGEBYSCORE", score, ["withscores", "limit"])),
            (14, "zrevrangebyscore", ranged(b"ZREVRANGEBYSCORE", score, ["withscores", "limit"])),
            (12, "zrangebylex", ranged(b"ZRANGEBYLEX", lex, ["limit"])),
            (12, "zrevrangebylex", ranged(b"ZREVRANGEBYLEX", lex, ["limit"])),
            (10, "zpopmin", self.zpop(b"ZPOPMIN")),
            (10, "zpopmax", self.zpop(b"ZPOPMAX")),
            (8, "zmpop", self.zmpop),
            (10, "zunion", self.combine(b"ZUNION", "union")),
            (10, "zinter", self.combine(b"ZINTER", "inter")),
            (10, "zdiff", self.combine(b"ZDIFF", "diff")),
            (8, "zunionstore", self.combine(b"ZUNIONSTORE", "union")),
            (8, "zinterstore", self.combine(b"ZINTERSTORE", "inter")),
            (8, "zdiffstore", self.combine(b"ZDIFFSTORE", "diff")),
            (8, "zintercard", self.combine(b"ZINTERCARD", "inter")),
            (10, "zrandmember", self.zrandmember),
            (8, "zscan", self.zscan),
            (24, "geoadd", self.geoadd),
            (10, "geopos", self.geo_members(b"GEOPOS")),
            (8, "geohash", self.geo_members(b"GEOHASH")),
            (12, "geodist", self.geodist),
            (20, "geosearch", self.geosearch(b"GEOSEARCH")),
            (8, "geosearchstore", self.geosearch(b"GEOSEARCHSTORE")),
            (14, "georadius", self.georadius(b"GEORADIUS")),
            (8, "georadius_ro", self.georadius(b"GEORADIUS_RO")),
            (12, "georadiusbymember", self.georadius(b"GEORADIUSBYMEMBER")),
            (8, "georadiusbymember_ro", self.georadius(b"GEORADIUSBYMEMBER_RO")),
        ]
