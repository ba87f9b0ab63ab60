"""Commands at random: every command in scope with good and bad arguments.

Promises that the commands depend on the random source alone, never on a reply or the clock, so a seed replays
them; and that no command's reply depends on the moment it runs: deadlines are long past or years away,
relative ones are far apart from each other, and nothing sleeps. Leaves to others the connections, the
commands whose replies need more than one round (stories.py), and what counts as equal (compare.py).
"""

import gen_bits
import gen_hash_set
import gen_list
import gen_payload
import gen_script
import gen_stream
import gen_zset
from crc64 import crc64

I64_MAX, I64_MIN = 2**63 - 1, -(2**63)

KEYS = [b"k%d" % i for i in range(14)] + [
    b"{tag}a", b"{tag}b", b"x{tag}c", b"123", b"", b"a b", b"\x00\xff\r\n", b"h[a]llo*?", b"K0",
    b"long:" + b"k" * 300, "gr\u00fc\u00df".encode()
]
LCS_KEYS = [b"{l}0", b"{l}1", b"{l}2"]
NUMBER_KEYS = [b"n0", b"n1", b"n2", b"f0", b"f1"]

INTS = [
    b"0", b"1", b"-1", b"2", b"5", b"10", b"42", b"100", b"255", b"256", b"9999", b"10000", b"10001",
    b"32767", b"-32768", b"32768", b"65536", b"2147483647", b"-2147483648", b"2147483648", b"4294967295",
    b"4294967296", b"-2147483649", b"9223372036854775806", b"9223372036854775807", b"-9223372036854775807",
    b"-9223372036854775808", b"123456789012"
]
NOT_INTS = [
    b"", b" ", b"abc", b" 1", b"1 ", b"+1", b"01", b"-0", b"--1", b"1e3", b"0x10", b"1.5", b"1\x00", b"-",
    b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616", b"9" * 40, b"1" * 300,
    b"\xff\xfe", b"00", b"1_000", b"\t7", b"7\n"
]
FLOATS = [
    b"0", b"1.5", b"-1.5", b"3.0", b"3.14159", b"1e3", b"5.0e3", b"1e-5", b"1E5", b".5", b"5.", b"+1", b"-0",
    b"-0.0", b"0.1", b"0.2", b"0.3", b"1e17", b"123456789.123456789", b"1e300", b"1e308", b"-1e308",
    b"1e4000", b"0x1p3", b"0xA", b"1.7976931348623157e308", b"99999999999999999999", b"1e-4940",
    b"0.00000000000000001", b"1e18", b"1e19", b"12345678901234567890.123", b"-2.5e-3",
    b"100.0000000000000000001", b"7", b"1000000"
]
NOT_FLOATS = [
    b"inf", b"-inf", b"+Inf", b"infinity", b"nan", b"NaN", b"1e5000", b"-1e5000", b"", b" ", b" 1", b"1 ",
    b"abc", b"1.5.5", b"1,5", b"1e", b"e5", b"1\x00", b"1" * 300, b"0x", b"1e+", b"\xff"
]
GLOBS = [
    b"*", b"k*", b"k?", b"k1*", b"[a-k]1", b"[^k]*", b"[k]0", b"k[0-4]", b"k[^0-4]", b"k[4-0]", b"*{tag}*",
    b"\\*", b"h\\[a\\]llo\\*\\?", b"k[", b"k[0", b"[", b"]", b"\\", b"k\\1", b"**", b"*k**1*", b"?", b"??",
    b"", b"[]", b"[^]", b"K?", b"*[^0-9]", b"a b", b"k[\\0-3]", b"k[-0]", b"{tag}?", b"*\xff*", b"k1",
    b"nosuchkey*", b"???*", b"l*g:k*"
]


def rdb_length(n, form=None):
    """n as RDB writes a length; form forces a wider encoding than needed (6, 14, 32 or 64 bits)."""
    if form is None:
        form = 6 if n < 64 else 14 if n < 16384 else 32 if n < 2**32 else 64
    if form == 6:
        return bytes([n & 63])
    if form == 14:
        return bytes([0x40 | (n >> 8 & 63), n & 255])
    if form == 32:
        return b"\x80" + (n & 0xFFFFFFFF).to_bytes(4, "big")
    return b"\x81" + n.to_bytes(8, "big")


def dump_seal(body, version=10):
    body += version.to_bytes(2, "little")
    return body + crc64(body).to_bytes(8, "little")


class Gen(gen_hash_set.HashSetGen, gen_bits.BitsGen, gen_list.ListGen, gen_script.ScriptGen, gen_stream.StreamGen,
          gen_zset.ZsetGen, gen_payload.PayloadGen):
    """next() is a command as a list of bytes. only limits it to one command and what gives it data."""

    def __init__(self, rnd, only=None, dbs=4):
        self.r = rnd
        self.dbs = dbs
        table = [(w, n, f) for w, n, f in self.table()]
        if only:
            name = only.lower()
            chosen = [t for t in table if t[1] == name]
            if not chosen:
                raise SystemExit("no generator for %s; there are: %s" %
                                 (only, " ".join(sorted({t[1]
                                                         for t in table}))))
            helpers = [
                t for t in table
                if t[1] in ("set", "del", "mset", "append", "incr", "expireat", "persist", "select", "hset", "sadd", "rpush",
                            "xadd", "zadd", "geoadd")
            ]
            total = sum(w for w, _, _ in helpers)
            table = [(7 * total / 3 / len(chosen), n, f) for _, n, f in chosen] + helpers
        self.rows = table
        self.weights = []
        acc = 0
        for w, _, _ in table:
            acc += w
            self.weights.append(acc)

    # ---- arguments -------------------------------------------------------------------------------

    def chance(self, p):
        return self.r.random() < p

    def pick(self, items):
        return items[int(self.r.random() * len(items))]

    def key(self):
        x = self.r.random()
        if x < 0.72:
            return KEYS[int(self.r.random() * 12)]
        if x < 0.92:
            return self.pick(KEYS)
        if x < 0.95:
            return self.pick(gen_hash_set.HASHES + gen_hash_set.SETS + gen_list.LISTS + gen_zset.ZSETS)
        if x < 0.98:
            return self.pick(NUMBER_KEYS + LCS_KEYS)
        return b"fresh:%d" % self.r.randrange(40)

    def number_key(self):
        return self.pick(NUMBER_KEYS) if self.chance(0.6) else self.key()

    def keys(self, most=5):
        return [self.key() for _ in range(self.r.randint(1, most))]

    def text(self, size):
        """size bytes of one of several kinds, from noise to what compresses well."""
        x = self.r.random()
        if x < 0.25:
            return self.r.randbytes(size)
        if x < 0.45:
            return bytes([self.r.randrange(256)]) * size
        if x < 0.7:
            unit = self.r.randbytes(self.r.randint(2, 40))
            return (unit * (size // len(unit) + 1))[:size]
        if x < 0.9:
            words = [b"alpha", b"beta", b" ", b"gamma, ", b"12", b"\r\n"]
            out = b""
            while len(out) < min(size, 3000):
                out += self.pick(words)
            return (out * (size // max(len(out), 1) + 1))[:size]
        return self.r.randbytes(size).hex().encode()[:size]

    def size(self):
        x = self.r.random()
        if x < 0.55:
            return self.r.randint(0, 24)
        if x < 0.8:
            return self.pick(
                [19, 20, 21, 22, 31, 32, 39, 40, 43, 44, 45, 46, 63, 64, 65, 100, 127, 128, 255, 256, 300])
        if x < 0.97:
            return self.r.randint(20, 1200)
        if x < 0.993:
            return self.pick([4095, 4096, 8191, 8192, 8193, 16383, 16384, 16385, 20000])
        return self.pick([32767, 32768, 65535, 65536, 100000])

    def value(self):
        x = self.r.random()
        if x < 0.22:
            return self.pick(INTS)
        if x < 0.3:
            return b"%d" % self.r.randint(-20000, 20000)
        if x < 0.37:
            return self.pick(NOT_INTS)
        if x < 0.43:
            return self.pick(FLOATS)
        if x < 0.45:
            return self.pick(NOT_FLOATS)
        return self.text(self.size())

    def integer(self):
        x = self.r.random()
        if x < 0.5:
            return b"%d" % self.r.randint(-300, 300)
        return self.pick(INTS) if x < 0.92 else self.pick(NOT_INTS)

    def index(self):
        x = self.r.random()
        if x < 0.75:
            return b"%d" % self.r.randint(-60, 60)
        if x < 0.85:
            return b"%d" % self.r.randint(-120000, 120000)
        return self.pick(INTS) if x < 0.95 else self.pick(NOT_INTS)

    def offset(self):
        """For SETRANGE: never one that makes a string of hundreds of megabytes."""
        x = self.r.random()
        if x < 0.8:
            return b"%d" % self.r.randint(0, 70)
        if x < 0.88:
            return b"%d" % self.r.randint(0, 40000)
        return self.pick([
            b"-1", b"-9223372036854775808", b"536870912", b"536870913", b"2147483647", b"4294967295",
            b"4294967296", b"9223372036854775806", b"9223372036854775807"
        ] + NOT_INTS[:12])

    def seconds(self, unit_ms=False):
        """A relative deadline: hours to years ahead, or at once, or wrong. Steps of 100 s keep GT and LT
        clear."""
        x = self.r.random()
        if x < 0.68:
            s = 100 * self.r.randint(100, 3 * 10**6)
            return b"%d" % (s * 1000 + self.r.randrange(1000) if unit_ms else s)
        if x < 0.85:
            return self.pick(
                [b"0", b"-1", b"-100", b"-1000000", b"-9223372036854775808", b"-9223372036854775"])
        if x < 0.93:
            if unit_ms and self.chance(
                    0.3):  # centuries; never the same twice, or GT would depend on a millisecond
                return b"%d" % (9223372036854775 + self.r.randrange(10**6) * 10**6)
            return self.pick([
                b"9223372036854775807", b"9223372036854775806", b"-9223372036854775807", b"-9223372036854776"
            ] + ([] if unit_ms else [b"9223372036854775", b"9223372036854776", b"92233720368547758"]))
        return self.pick(NOT_INTS)

    def when(self, unit_ms=False):
        """An absolute deadline, beyond 2050 or gone by."""
        x = self.r.random()
        if x < 0.68:
            s = 2524608000 + self.r.randint(0, 10**7) * 100
            return b"%d" % (s * 1000 + self.r.randrange(1000) if unit_ms else s)
        if x < 0.85:
            return self.pick([b"0", b"1", b"-1", b"1000", b"1500000000", b"-9223372036854775808"])
        if x < 0.93:
            return self.pick(
                [b"9223372036854775807", b"9223372036854775", b"9223372036854776", b"92233720368547758"])
        return self.pick(NOT_INTS)

    def word(self, w):
        """An option's name, in some case."""
        x = self.r.random()
        if x < 0.6:
            return w.upper().encode()
        if x < 0.9:
            return w.lower().encode()
        return "".join(c.upper() if self.r.random() < 0.5 else c.lower() for c in w).encode()

    def expiry(self, also=()):
        """One expiry option with its argument, or something near to it."""
        kind = self.pick(["ex", "px", "exat", "pxat"] + list(also))
        w = [self.word(kind)]
        if kind in ("ex", "px"):
            w.append(self.seconds(kind == "px"))
        elif kind in ("exat", "pxat"):
            w.append(self.when(kind == "pxat"))
        if self.chance(0.03):
            w.pop()
        return w

    # ---- commands --------------------------------------------------------------------------------

    def set(self):
        a = [b"SET", self.key(), self.value()]
        opts = []
        if self.chance(0.35):
            opts.append(self.expiry(["keepttl"]))
        if self.chance(0.25):
            opts.append([self.word(self.pick(["nx", "xx"]))])
        if self.chance(0.25):
            opts.append([self.word("get")])
        if self.chance(0.05):
            opts.append(self.expiry(["keepttl", "nx", "xx", "get", "persist", "bogus"]))
        self.r.shuffle(opts)
        for o in opts:
            a += o
        return a

    def set_plain(self):
        return [b"SET", self.key(), self.value()]

    def set_number(self):
        return [b"SET", self.pick(NUMBER_KEYS), self.pick(INTS if self.chance(0.6) else FLOATS)]

    def get(self):
        return [b"GET", self.key()]

    def getex(self):
        a = [b"GETEX", self.key()]
        if self.chance(0.8):
            a += self.expiry(["persist", "persist"])
        if self.chance(0.08):
            a += self.expiry(["persist", "keepttl", "nx"])
        return a

    def one(self, name):
        return lambda: [name, self.key()]

    def getset(self):
        return [b"GETSET", self.key(), self.value()]

    def many(self, name, most=5):
        return lambda: [name] + self.keys(most)

    def pairs(self, name):

        def f():
            a = [name]
            for _ in range(self.r.randint(1, 4)):
                k = self.key() if name == b"MSET" or self.chance(0.6) else b"fresh:%d" % self.r.randrange(40)
                a += [k, self.value()]
            return a

        return f

    def setex(self):
        return [b"SETEX", self.key(), self.seconds(), self.value()]

    def psetex(self):
        return [b"PSETEX", self.key(), self.seconds(True), self.value()]

    def setnx(self):
        return [b"SETNX", self.key(), self.value()]

    def append(self):
        return [b"APPEND", self.key(), self.value()]

    def setrange(self):
        v = b"" if self.chance(0.1) else self.text(self.r.randint(1,
                                                                  60)) if self.chance(0.9) else self.value()
        return [b"SETRANGE", self.key(), self.offset(), v]

    def range(self, name):
        return lambda: [name, self.key(), self.index(), self.index()]

    def step(self, name):
        return lambda: [name, self.number_key()]

    def step_by(self, name):
        return lambda: [name, self.number_key(), self.integer()]

    def incrbyfloat(self):
        x = self.r.random()
        v = self.pick(FLOATS) if x < 0.7 else self.pick(
            NOT_FLOATS) if x < 0.8 else b"%.*f" % (self.r.randint(0, 18), self.r.uniform(-1000, 1000))
        return [b"INCRBYFLOAT", self.number_key(), v]

    def lcs_data(self):
        n = self.r.randint(0, 40) if self.chance(0.8) else self.r.randint(0, 400)
        alphabet = self.pick([b"ACGT", b"ab", b"abcdefgh", b"\x00\x01\r\n"])
        return [b"SET", self.pick(LCS_KEYS), bytes(self.pick(alphabet) for _ in range(n))]

    def lcs(self):
        k = (lambda: self.pick(LCS_KEYS)) if self.chance(0.93) else self.key
        a = [b"LCS", k(), k()]
        if self.chance(0.2):
            a.append(self.word("len"))
        if self.chance(0.6):
            opts = [[self.word("idx")]]
            if self.chance(0.5):
                opts.append([
                    self.word("minmatchlen"),
                    self.pick([b"0", b"1", b"2", b"3", b"4", b"10", b"-1"])
                    if self.chance(0.85) else self.integer()
                ])
            if self.chance(0.5):
                opts.append([self.word("withmatchlen")])
            self.r.shuffle(opts)
            for o in opts:
                a += o
        if self.chance(0.06):
            a.append(self.pick([b"BOGUS", b"MINMATCHLEN", b"LEN", b"IDX", b"WITHMATCHLEN", b""]))
        return a

    def expire(self, name):
        ms, absolute = name.startswith(b"P"), name.endswith(b"AT")

        def f():
            a = [name, self.key(), self.when(ms) if absolute else self.seconds(ms)]
            if self.chance(0.45):
                a.append(self.word(self.pick(["nx", "xx", "gt", "lt"])))
            if self.chance(0.12):
                a.append(self.word(self.pick(["nx", "xx", "gt", "lt", "bogus", ""])))
            return a

        return f

    def rename(self, name):
        return lambda: [name, self.key(), self.key()]

    def db(self):
        x = self.r.random()
        if x < 0.85:
            return b"%d" % self.r.randrange(self.dbs)
        return self.pick([b"15", b"16", b"-1", b"0", b"99", b"2147483647", b"4294967296"] + NOT_INTS)

    def copy(self):
        a = [b"COPY", self.key(), self.key()]
        opts = []
        if self.chance(0.4):
            opts.append([self.word("db"), self.db()])
        if self.chance(0.5):
            opts.append([self.word("replace")])
        if self.chance(0.05):
            opts.append([self.pick([b"DB", b"BOGUS", b"REPLACE", b""])])
        self.r.shuffle(opts)
        for o in opts:
            a += o
        return a

    def move(self):
        return [b"MOVE", self.key(), self.db()]

    def swapdb(self):
        return [b"SWAPDB", self.db(), self.db()]

    def select(self):
        return [b"SELECT", self.db()]

    def flush(self, name):

        def f():
            a = [name]
            if self.chance(0.5):
                a.append(self.word(self.pick(["sync", "async", "async", "bogus"])))
            return a

        return f

    def flush_wrong(self):
        return [self.pick([b"FLUSHALL", b"FLUSHDB"]), self.pick([b"BOGUS", b"", b"SYNCX", b"1"])]

    def object(self):
        sub = self.pick(["encoding"] * 6 + ["refcount"] * 3 + ["idletime", "freq"])
        return [self.word("object"), self.word(sub), self.key()]

    def object_wrong(self):
        return [b"OBJECT"] + self.pick([[b"BOGUS"], [b"HELP"], [b"ENCODING"], [b"FREQ"], [b"HELP", b"x"],
                                        [b"bogus", b"k1"], [b"ENCODING", b"k1", b"k2"], [b""], [b"IDLETIME"],
                                        [b"REFCOUNT", b"a", b"b"]])

    def keys_cmd(self):
        return [b"KEYS", self.pick(GLOBS)]

    def scan_wrong(self):
        return [b"SCAN"] + self.pick([[b"abc"], [b"-1"], [b"0", b"COUNT", b"0"], [b"0", b"COUNT", b"-5"],
                                      [b"0", b"COUNT", b"x"], [b"0", b"COUNT"], [b"0", b"MATCH"],
                                      [b"0", b"TYPE"], [b"0", b"BOGUS", b"1"], [b""], [b"1x"], [b" 0"],
                                      [b"0 "], [b"18446744073709551616"], [b"99999999999999999999999"],
                                      [b"0", b"MATCH", b"*", b"COUNT"], [b"+"], [b"0x"]])

    def dump(self):
        return [b"DUMP", self.key()]

    def payload(self):
        r = self.r
        x = r.random()
        if x < 0.3:
            v = self.value()
            body = b"\x00" + rdb_length(len(v)) + v
        elif x < 0.4:
            v = self.text(r.randint(0, 80))
            body = b"\x00" + rdb_length(len(v), r.choice([32, 64, 14])) + v
        elif x < 0.6:
            width = r.choice([1, 2, 4])
            lim = 2**(8 * width - 1)
            n = r.choice([-lim, lim - 1, 0, 1, -1, r.randint(-lim, lim - 1)])
            body = bytes([0, 0xC0 | {1: 0, 2: 1, 4: 2}[width]]) + n.to_bytes(width, "little", signed=True)
        elif x < 0.72:  # LZF: literals only, or one literal run and a back reference that repeats it
            if r.random() < 0.5:
                v = r.randbytes(r.randint(1, 32))
                z, size = bytes([len(v) - 1]) + v, len(v)
            else:
                again = r.randint(3, 8)
                z, size = b"\x00a" + bytes([(again - 2) << 5, 0]), 1 + again
            if r.random() < 0.15:
                size += r.choice([-1, 1, 20])
            body = b"\x00\xc3" + rdb_length(len(z)) + rdb_length(size) + z
        elif x < 0.8:  # cut short, or with more than belongs to it, under a right checksum
            v = self.text(r.randint(1, 30))
            body = b"\x00" + rdb_length(len(v)) + v
            body = body[:r.randint(0,
                                   len(body) -
                                   1)] if r.random() < 0.6 else body + r.randbytes(r.randint(1, 4))
        elif x < 0.86:
            return dump_seal(b"\x00\x02hi", r.choice([0, 1, 5, 9, 11, 99, 65535]))
        elif x < 0.93:
            p = bytearray(dump_seal(b"\x00\x05hello"))
            p[r.randrange(len(p))] ^= 1 << r.randrange(8)
            return bytes(p)
        else:
            return r.choice([
                b"", b"x", b"\x00" * 9, b"\x00" * 10, b"\x00" * 11,
                r.randbytes(30),
                dump_seal(b""),
                dump_seal(b"\x00"),
                dump_seal(b"\x63\x01a"),
                dump_seal(b"\xff\x00"),
                dump_seal(b"\x00\xc4"),
                dump_seal(b"\x00\xc0"),
                dump_seal(b"\x00\xc3\x01"),
                dump_seal(b"\x00\xbf")
            ])
        return dump_seal(body, r.choice([10, 10, 10, 10, 9, 6, 1]))

    def restore(self):
        absolute = self.chance(0.3)
        ttl = b"0" if self.chance(0.55) else self.when(True) if absolute else self.seconds(True)
        a = [b"RESTORE", self.key(), ttl, self.payload()]
        opts = [[self.word("replace")]] if self.chance(0.6) else []
        if absolute:
            opts.append([self.word("absttl")])
        if self.chance(0.15):
            opts.append([
                self.word(self.pick(["idletime", "freq"])),
                self.pick([b"0", b"1", b"100", b"255", b"256", b"-1", b"x"])
            ])
        if self.chance(0.05):
            opts.append([self.pick([b"BOGUS", b"IDLETIME", b"FREQ", b""])])
        self.r.shuffle(opts)
        for o in opts:
            a += o
        # Without ABSTTL a time meant as absolute would be thousands of years away: harmless.
        return a

    def ping(self):
        return self.pick([[b"PING"], [b"PING", self.value()], [b"ping"], [b"PING", b"a", b"b"],
                          [b"PiNg", b""]])

    def echo(self):
        return [b"ECHO", self.value()]

    def client(self):
        c = self.pick
        return [self.word("client")] + c(
            [[b"ID"], [b"GETNAME"], [b"SETNAME", b"conn-%d" % self.r.randrange(9)], [b"SETNAME", b""],
             [b"SETNAME", b"a b"], [b"SETNAME", b"\n"], [b"SETNAME", "\u00fc".encode()], [b"SETNAME"],
             [b"SETINFO", b"LIB-NAME", b"x"], [b"SETINFO"], [b"LIST"], [b"INFO"], [
                 b"LIST", b"TYPE", b"normal"
             ], [b"LIST", b"TYPE", b"pubsub"], [b"LIST", b"TYPE", b"master"], [b"LIST", b"TYPE", b"replica"],
             [b"LIST", b"TYPE", b"bogus"], [b"LIST", b"TYPE"], [b"LIST", b"ID", b"x"], [b"LIST", b"ID", b"0"],
             [b"LIST", b"ID", b"999999999"], [b"LIST", b"ID"], [b"LIST", b"BOGUS", b"1"],
             [b"KILL", b"1.2.3.4:5"], [b"KILL", b"ID", b"999999999"], [b"KILL", b"ID", b"x"],
             [b"KILL", b"ID", b"0"], [b"KILL", b"ID", b"-3"], [b"KILL", b"ADDR", b"1.2.3.4:5"],
             [b"KILL", b"TYPE", b"bogus"], [b"KILL", b"TYPE", b"pubsub"], [b"KILL", b"USER", b"nosuch"],
             [b"KILL", b"LADDR", b"x"], [b"KILL", b"SKIPME", b"maybe"], [b"KILL"], [b"KILL", b"ID"],
             [b"KILL", b"bogus", b"1"], [b"KILL", b"ID", b"999999999", b"SKIPME", b"no"],
             [b"KILL", b"ID", b"999999999", b"TYPE"], [b"NO-EVICT", b"on"], [b"NO-EVICT", b"OFF"],
             [b"NO-EVICT", b"x"], [b"NO-EVICT"], [b"REPLY", b"ON"], [b"REPLY", b"bogus"], [b"REPLY"],
             [b"PAUSE"], [b"PAUSE", b"x"], [b"PAUSE", b"-1"], [b"PAUSE", b"0", b"bogus"], [b"PAUSE", b"0"],
             [b"PAUSE", b"0", b"WRITE"], [b"PAUSE", b"0", b"all", b"x"], [b"PAUSE", b"99999999999999999999"],
             [b"UNPAUSE"], [b"UNPAUSE", b"x"], [b"UNBLOCK", b"999999999"], [b"UNBLOCK", b"x"],
             [b"UNBLOCK", b"0", b"ERROR"], [b"UNBLOCK", b"0", b"TIMEOUT"], [b"UNBLOCK", b"0", b"bogus"],
             [b"UNBLOCK"], [b"GETREDIR"], [b"TRACKINGINFO"], [b"GETREDIR", b"x"], [b"HELP"], [b"HELP", b"x"],
             [b"BOGUS"], [b"GETNAME", b"x"], [b"ID", b"x"], [b"INFO", b"x"], []])

    def auth(self):
        return self.pick([[b"AUTH", b"pw"], [b"AUTH", b"default", b"pw"], [b"AUTH", b"nosuch", b"pw"],
                          [b"AUTH"], [b"AUTH", b"a", b"b", b"c"], [b"AUTH", b""], [b"AUTH", b"", b""]])

    def hello_wrong(self):
        # The protocol stays what it is; hello.* in stories.py change it.
        return [b"HELLO"] + self.pick([[], [b"1"], [b"4"], [b"x"], [b"0"], [b"-2"],
                                       [b"3", b"AUTH", b"default"], [b"3", b"BOGUS"], [b"2", b"SETNAME"],
                                       [b"2", b"SETNAME", b"a b"], [b"3", b"AUTH", b"nosuch", b"pw"],
                                       [b"9999999999999999999999"], [b"3", b"SETNAME"]])

    def config(self):
        ints = [b"hz", b"slowlog-max-len", b"maxmemory-samples", b"lfu-decay-time", b"lfu-log-factor"]
        bools = [
            b"lazyfree-lazy-user-del", b"lazyfree-lazy-expire", b"activerehashing",
            b"lazyfree-lazy-user-flush"
        ]
        name = self.pick(ints + bools)
        good = self.pick([b"yes", b"no"] if name in bools else [b"10", b"20", b"100"])
        return [self.word("config")] + self.pick(
            [[b"SET", name, good], [b"SET", name, good], [b"GET", name], [b"GET", name], [
                b"GET", name.upper()
            ], [b"SET", name, self.pick([b"abc", b"-1", b"1.5", b"", b"99999999999999999999"])],
             [b"SET", name, good, name, good], [b"SET", name, good, b"nosuch-parameter", b"1"],
             [b"SET", b"nosuch-parameter", b"1"], [b"SET", name], [b"SET"], [b"SET", name, good, b"hz"],
             [b"GET", b"nosuch-parameter"], [b"GET"],
             [b"GET", b"lazyfree-lazy-user-*"], [b"GET", b"hz", b"hz"], [b"GET", b"slowlog*", b"nosuch"],
             [b"SET", b"maxmemory-policy", b"bogus"], [b"SET", b"maxmemory", b"bogus"],
             [b"SET", b"appendfsync", b"bogus"], [b"SET", b"databases", b"3"], [b"GET", b"databases"],
             [b"SET", b"port", b"abc"], [b"SET", b"port", b"70000"], [b"SET", b"loglevel", b"bogus"],
             [b"RESETSTAT"], [b"RESETSTAT", b"x"], [b"BOGUS"], [b"HELP"], [b"REWRITE", b"x"], [],
             [b"GET", b"proto-max-bulk-len"], [b"SET", b"proto-max-bulk-len", b"1"],
             [b"SET", b"proto-max-bulk-len", b"512mb"], [b"SET", b"maxmemory-samples", b"0"],
             [b"SET", b"loglevel", b"notice"], [b"GET", b"loglevel"], [b"GET", b"maxmemory-policy"],
             [b"GET", b"appendfsync"], [b"GET", b""]])

    def command(self):
        name = self.pick([
            b"get", b"set", b"mset", b"del", b"lcs", b"copy", b"rename", b"ping", b"nosuchcommand",
            b"object|encoding", b"SET", b"client|list", b"getex", b"expire", b"object|nosuch", b"ping|x",
            b"config|set", b"restore", b"msetnx", b"", b"scan"
        ])
        x = self.r.random()
        if x < 0.3:
            return [b"COMMAND", b"INFO"] + [name] * self.r.choice([1, 1, 1, 2])
        if x < 0.75:
            sub = self.pick([b"GETKEYS", b"GETKEYSANDFLAGS"])
            return [b"COMMAND", sub] + self.keyed()
        return [self.word("command")] + self.pick(
            [[b"GETKEYS"], [b"GETKEYS", b"nosuch"], [b"GETKEYS", b"get"], [b"GETKEYS", b"ping"],
             [b"GETKEYSANDFLAGS"], [b"GETKEYS", b"get", b"a", b"b"], [b"BOGUS"], [b"COUNT", b"x"], [b"HELP"],
             [b"INFO", b"nosuch"], [b"LIST", b"FILTERBY"], [b"LIST", b"FILTERBY", b"MODULE", b"x"],
             [b"LIST", b"FILTERBY", b"PATTERN", b"ge*"], [b"LIST", b"FILTERBY", b"BOGUS", b"x"],
             [b"DOCS", b"nosuch"], [b"LIST", b"x"], [b"LIST", b"FILTERBY", b"ACLCAT", b"nosuch"],
             [b"GETKEYS", b"client", b"list"], [b"GETKEYS", b"object", b"encoding", b"k"],
             [b"GETKEYS", b"memory", b"usage", b"k"]])

    def keyed(self):
        while True:
            a = self.pick(self.rows)[2]()
            if a and a[0].lower() in KEYED:
                return a

    def debug(self):
        return [self.word("debug")] + self.pick(
            [[b"SLEEP", b"0"], [b"SET-ACTIVE-EXPIRE", b"1"], [b"JMAP"], [b"BOGUS"], [b"SLEEP"],
             [b"STRINGMATCH-LEN", b"3", b"*"], [b"OBJECT", self.key()], [b"ERROR", b"ERR some error"],
             [b"LOG", b"a message"], [b"PROTOCOL", b"string"], [b"PROTOCOL", b"integer"],
             [b"PROTOCOL", b"double"], [b"PROTOCOL", b"null"], [b"PROTOCOL", b"array"], [b"PROTOCOL", b"set"],
             [b"PROTOCOL", b"map"], [b"PROTOCOL", b"attrib"], [b"PROTOCOL", b"bignum"],
             [b"PROTOCOL", b"verbatim"], [b"PROTOCOL", b"true"], [b"PROTOCOL", b"false"],
             [b"PROTOCOL", b"bogus"], [b"DIGEST-VALUE", self.key()], [b"DIGEST"],
             [b"QUICKLIST-PACKED-THRESHOLD", b"1b"], []])

    def memory(self):
        return [self.word("memory")] + self.pick(
            [[b"USAGE", self.key()], [b"USAGE", self.key(), b"SAMPLES", b"0"],
             [b"USAGE", self.key(), b"SAMPLES", b"5"], [b"USAGE", self.key(), b"SAMPLES", b"-1"],
             [b"USAGE", self.key(), b"SAMPLES"], [b"USAGE", self.key(), b"BOGUS", b"5"],
             [b"USAGE", self.key(), b"SAMPLES", b"x"], [b"USAGE"], [b"DOCTOR"], [b"STATS"], [b"STATS", b"x"],
             [b"BOGUS"], [b"HELP"], [b"PURGE"], []])

    def slowlog(self):
        return [b"SLOWLOG"] + self.pick([[b"GET", b"x"], [b"GET", b"-2"], [b"LEN", b"x"], [b"BOGUS"],
                                         [b"HELP"], [b"RESET"], [], [b"GET", b"1", b"2"], [b"GET", b"0"]])

    def latency(self):
        return [b"LATENCY"] + self.pick([[b"LATEST"], [b"RESET"], [b"RESET", b"nosuch"],
                                         [b"HISTORY", b"nosuch"], [b"HISTORY"], [b"DOCTOR"],
                                         [b"GRAPH", b"nosuch"], [b"GRAPH"], [b"HELP"], [b"BOGUS"],
                                         [b"HISTOGRAM", b"nosuch"], [], [b"LATEST", b"x"]])

    def misc(self):
        return self.pick([[b"TIME"], [b"TIME", b"x"], [b"LOLWUT"], [b"LOLWUT", b"VERSION", b"5"],
                          [b"LOLWUT", b"VERSION", b"x"], [b"LOLWUT", b"VERSION"], [b"INFO", b"nosuch"],
                          [b"INFO", b"server"], [b"INFO", b"keyspace"], [b"INFO", b"SERVER", b"clients"],
                          [b"DBSIZE", b"x"], [b"RANDOMKEY", b"x"], [b"RESET", b"x"], [b"LASTSAVE", b"x"],
                          [b"ROLE"], [b"ROLE", b"x"], [b"WAIT", b"0", b"0"], [b"WAIT", b"x", b"0"],
                          [b"WAIT", b"0", b"x"], [b"WAIT", b"0", b"-1"], [b"WAIT", b"0"], [b"SAVE", b"x"],
                          [b"BGSAVE", b"x"], [b"BGSAVE", b"SCHEDULE", b"x"], [b"BGREWRITEAOF", b"x"],
                          [b"SHUTDOWN", b"BOGUS"], [b"SHUTDOWN", b"ABORT"], [b"SHUTDOWN", b"SAVE", b"NOSAVE"],
                          [b"SHUTDOWN", b"ABORT", b"NOW"], [b"FUNCTION", b"FLUSH"],
                          [b"FUNCTION", b"FLUSH", b"ASYNC"], [b"FUNCTION", b"FLUSH", b"x"],
                          [b"FUNCTION", b"FLUSH", b"SYNC", b"x"], [b"FUNCTION"]])

    def cluster(self):
        """What a server without cluster mode says. REPLICAOF is left out: an altered one would make Redis a replica."""
        return self.pick([[b"CLUSTER", b"INFO"], [b"CLUSTER", b"NODES"], [b"CLUSTER", b"SLOTS"],
                          [b"CLUSTER", b"SHARDS"], [b"CLUSTER", b"LINKS"], [b"CLUSTER", b"KEYSLOT", self.key()],
                          [b"CLUSTER", b"KEYSLOT"], [b"CLUSTER", b"COUNTKEYSINSLOT", self.index()],
                          [b"CLUSTER", b"GETKEYSINSLOT", self.index(), self.index()],
                          [b"CLUSTER", b"REPLICAS", b"x"], [b"CLUSTER", b"SLAVES", b"x"],
                          [b"CLUSTER", b"COUNT-FAILURE-REPORTS", b"x"], [b"CLUSTER", b"ADDSLOTS", self.index()],
                          [b"CLUSTER", b"DELSLOTSRANGE", b"0", b"1"], [b"CLUSTER", b"SETSLOT", b"1", b"STABLE"],
                          [b"CLUSTER", b"FLUSHSLOTS"], [b"CLUSTER", b"SAVECONFIG"], [b"CLUSTER", b"BUMPEPOCH"],
                          [b"CLUSTER", b"RESET"], [b"CLUSTER", b"BOGUS"], [b"CLUSTER"], [b"CLUSTER", b"SLOTS", b"x"],
                          [b"CLUSTER", b"MEET", b"h"], [b"READONLY"], [b"READWRITE"], [b"ASKING"],
                          [b"READONLY", b"x"], [b"FAILOVER"], [b"FAILOVER", b"ABORT"], [b"FAILOVER", b"BOGUS"],
                          [b"FAILOVER", b"TO", b"h", b"1"], [b"FAILOVER", b"TO", b"h", self.index()],
                          [b"FAILOVER", b"FORCE"], [b"FAILOVER", b"TIMEOUT", self.index()],
                          [b"FAILOVER", b"TO", b"h", b"1", b"FORCE", b"TIMEOUT", b"10"],
                          [b"FAILOVER", b"ABORT", b"TIMEOUT", b"1"], [b"FAILOVER", b"TO", b"h"]])

    def unknown(self):
        name = self.pick([
            b"NOSUCH", b"", b"gett", b"sett", b"foo|bar", b"\x00\x01", b"x" * 200, b"nosuch\r\n", b"get ",
            "\u00fc".encode(), b"'quoted'"
        ])
        return [name] + [self.value()[:400] for _ in range(self.r.randint(0, 6))]

    def table(self):
        """(weight, name, generator). A command that is added to the server is added here."""
        one, many, step, by = self.one, self.many, self.step, self.step_by
        return [
            (60, "set", self.set),
            (60, "set", self.set_plain),
            (25, "set", self.set_number),
            (45, "get", self.get),
            (22, "getex", self.getex),
            (14, "getdel", one(b"GETDEL")),
            (14, "getset", self.getset),
            (16, "mget", many(b"MGET", 8)),
            (10, "mset", self.pairs(b"MSET")),
            (10, "msetnx", self.pairs(b"MSETNX")),
            (16, "setex", self.setex),
            (16, "psetex", self.psetex),
            (14, "setnx", self.setnx),
            (24, "append", self.append),
            (14, "strlen", one(b"STRLEN")),
            (26, "setrange", self.setrange),
            (26, "getrange", self.range(b"GETRANGE")),
            (8, "substr", self.range(b"SUBSTR")),
            (16, "incr", step(b"INCR")),
            (20, "incrby", by(b"INCRBY")),
            (10, "decr", step(b"DECR")),
            (18, "decrby", by(b"DECRBY")),
            (34, "incrbyfloat", self.incrbyfloat),
            (12, "lcs", self.lcs_data),
            (24, "lcs", self.lcs),
            (20, "del", many(b"DEL", 3)),
            (8, "unlink", many(b"UNLINK", 3)),
            (12, "exists", many(b"EXISTS", 5)),
            (10, "type", one(b"TYPE")),
            (14, "ttl", one(b"TTL")),
            (14, "pttl", one(b"PTTL")),
            (14, "expiretime", one(b"EXPIRETIME")),
            (14, "pexpiretime", one(b"PEXPIRETIME")),
            (16, "expire", self.expire(b"EXPIRE")),
            (14, "pexpire", self.expire(b"PEXPIRE")),
            (16, "expireat", self.expire(b"EXPIREAT")),
            (14, "pexpireat", self.expire(b"PEXPIREAT")),
            (12, "persist", one(b"PERSIST")),
            (8, "touch", many(b"TOUCH", 4)),
            (12, "rename", self.rename(b"RENAME")),
            (12, "renamenx", self.rename(b"RENAMENX")),
            (20, "copy", self.copy),
            (16, "move", self.move),
            (4, "swapdb", self.swapdb),
            (14, "select", self.select),
            (0.6, "flushdb", self.flush(b"FLUSHDB")),
            (0.3, "flushall", self.flush(b"FLUSHALL")),
            (1, "flushall", self.flush_wrong),
            (28, "object", self.object),
            (3, "object", self.object_wrong),
            (8, "keys", self.keys_cmd),
            (3, "scan", self.scan_wrong),
            (18, "dump", self.dump),
            (28, "restore", self.restore),
            (5, "ping", self.ping),
            (6, "echo", self.echo),
            (8, "client", self.client),
            (2, "auth", self.auth),
            (2, "hello", self.hello_wrong),
            (8, "config", self.config),
            (10, "command", self.command),
            (6, "debug", self.debug),
            (6, "memory", self.memory),
            (2, "slowlog", self.slowlog),
            (2, "latency", self.latency),
            (3, "misc", self.misc),
            (3, "cluster", self.cluster),
            (5, "unknown", self.unknown),
        ] + self.hash_set_table() + self.bits_table() + self.list_table() + self.stream_table() + self.zset_table() + \
            self.payload_table() + self.script_table()

    def next(self):
        r = self.r
        x = r.random() * self.weights[-1]
        lo, hi = 0, len(self.weights) - 1
        while lo < hi:
            mid = (lo + hi) // 2
            if self.weights[mid] <= x:
                lo = mid + 1
            else:
                hi = mid
        a = self.rows[lo][2]()
        return self.mutate(a) if r.random() < 0.07 else a

    def mutate(self, a):
        """A small mistake in a good command. Never one that could set a deadline a moment from now."""
        r = self.r
        x = r.random()
        name = a[0].lower()
        if name in UNTOUCHED:
            return a
        if x < 0.45 and name == b"restore":
            return a  # without its ABSTTL a time long past would be one a moment from now
        if x < 0.3 and len(a) > 1:
            return a[:-1]
        if x < 0.45 and len(a) > 2:
            i = r.randrange(1, len(a))
            return a[:i] + a[i + 1:]
        if x < 0.65:
            return a + [self.pick([b"", b"extra", b"k1", b"NX", b"\x00"])]
        if x < 0.85 and len(a) > 1:
            i = r.randrange(1, len(a))
            return a[:i] + [
                self.pick(
                    [b"", b"abc", b"\x00\xff", b"-1", b"9223372036854775808", b"1.5", b"GET", b"y" * 200])
            ] + a[i + 1:]
        return [a[0].swapcase() if x < 0.95 else a[0].capitalize()] + a[1:]


# These have whole lists of mistakes of their own, and a random one could stop the conversation.
UNTOUCHED = {
    b"shutdown", b"save", b"bgsave", b"bgrewriteaof", b"function", b"client", b"config", b"debug", b"hello",
    b"flushall", b"flushdb", b"quit", b"reset", b"command", b"latency", b"slowlog", b"lolwut", b"info", b"spop", b"zadd", b"geoadd",
    b"script", b"pfcount"  # with one key less it might count one alone that others read
} | gen_list.WAITING

KEYED = {
    b"set", b"get", b"getex", b"getdel", b"getset", b"mget", b"mset", b"msetnx", b"setex", b"psetex",
    b"setnx", b"append", b"strlen", b"setrange", b"getrange", b"substr", b"incr", b"incrby", b"decr",
    b"decrby", b"incrbyfloat", b"lcs", b"del", b"unlink", b"exists", b"type", b"ttl", b"pttl", b"expiretime",
    b"pexpiretime", b"expire", b"pexpire", b"expireat", b"pexpireat", b"persist", b"touch", b"rename",
    b"renamenx", b"copy", b"move", b"dump", b"restore", b"object", b"memory"
}


def keys_of(a):
    """The keys a command names, well enough to look for what led to a difference."""
    name = a[0].lower()
    for part in (gen_hash_set, gen_bits, gen_list, gen_script, gen_stream, gen_zset, gen_payload):
        if name in part.KEYED and len(a) > 1:
            return part.keys_of(a)
    if name not in KEYED or len(a) < 2:
        return set()
    if name in (b"mget", b"del", b"unlink", b"exists", b"touch"):
        return set(a[1:])
    if name in (b"mset", b"msetnx"):
        return set(a[1::2])
    if name in (b"rename", b"renamenx", b"copy", b"lcs"):
        return set(a[1:3])
    if name in (b"object", b"memory"):
        return set(a[2:3])
    return {a[1]}
