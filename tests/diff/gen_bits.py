"""Commands of bitmaps, bit fields and HyperLogLogs at random: a part of gen.Gen, whose promises it keeps."""

BIT_KEYS = [b"bm0", b"bm1", b"bm2", b"bm3"]
HLL_KEYS = [b"hll0", b"hll1", b"hll2"]
# Redis's PFCOUNT of one key writes what it counted into the value, ours does not. So only these are counted alone, and of
# these nobody reads the head.
COUNTED_KEYS = [b"pc0", b"pc1", b"pc2", b"pc3"]

# Numbers at the ends of what fits, and what only looks like one.
INTS = [
    b"0", b"1", b"-1", b"255", b"-32768", b"65536", b"2147483648", b"-2147483649", b"9223372036854775807",
    b"-9223372036854775807", b"-9223372036854775808"
]
NOT_INTS = [
    b"", b" ", b"abc", b" 1", b"1 ", b"+1", b"01", b"-0", b"1e3", b"0x10", b"1.5", b"1\x00", b"9223372036854775808",
    b"-9223372036854775809", b"9" * 40, b"\xff\xfe"
]

KEYED = {
    b"setbit", b"getbit", b"bitcount", b"bitpos", b"bitop", b"bitfield", b"bitfield_ro", b"pfadd", b"pfcount",
    b"pfmerge", b"pfdebug"
}


def keys_of(a):
    """The keys a command of these names."""
    name = a[0].lower()
    if name in (b"pfcount", b"pfmerge"):
        return set(a[1:])
    return set(a[2:]) if name in (b"bitop", b"pfdebug") else {a[1]}


def hll_head(encoding, rnd):
    """What is in front of a HyperLogLog's registers, mostly as it should be."""
    count = rnd.choice([0, 1 << 63, 1 << 63, 77, (1 << 63) - 1, 12345 | 1 << 63])
    magic = b"HYLL" if rnd.random() < 0.97 else rnd.choice([b"HYLK", b"hyll", b"\0\0\0\0"])
    unused = bytes(3) if rnd.random() < 0.9 else rnd.randbytes(3)
    return magic + bytes([encoding]) + unused + count.to_bytes(8, "little")


def hll_opcodes(rnd, want=16384):
    """Opcodes that cover `want` registers."""
    out, left = b"", want
    while left > 0:
        x = rnd.random()
        if x < 0.3:
            n = min(left, rnd.randint(1, 4))
            out += bytes([0x80 | rnd.choice([0, 0, 1, 1, 2, rnd.randrange(32)]) << 2 | n - 1])
        elif x < 0.6:
            n = min(left, rnd.randint(1, 64))
            out += bytes([n - 1])
        else:
            n = min(left, rnd.choice([1, 64, 65, 300, 1500, 1500, 16384]))
            out += bytes([0x40 | n - 1 >> 8, n - 1 & 255])
        left -= n
    return out


def hll_is_cut(opcodes):
    """Whether the last opcode lacks its second byte: Redis then takes the zero behind the string for it."""
    i = 0
    while i < len(opcodes):
        i += 2 if opcodes[i] & 0xC0 == 0x40 else 1
    return i > len(opcodes)


def hll_text(rnd):
    """A HyperLogLog, right or a little wrong."""
    x = rnd.random()
    if x < 0.15:
        size = 12288 if rnd.random() < 0.8 else rnd.choice([0, 1, 12287, 12289, 12290])
        kind = rnd.random()
        registers = bytes(size) if kind < 0.3 else rnd.randbytes(size) if kind < 0.7 else bytes([255]) * size
        return hll_head(0 if rnd.random() < 0.95 else rnd.choice([2, 255]), rnd) + registers
    want = 16384 if x < 0.7 else rnd.choice([0, 1, 100, 16383, 16385, 20000, 40000])
    opcodes = bytearray(hll_opcodes(rnd, want))
    if rnd.random() < 0.2 and opcodes:
        opcodes[rnd.randrange(len(opcodes))] = rnd.randrange(256)
    if rnd.random() < 0.1:
        del opcodes[rnd.randrange(len(opcodes) + 1):]
    if hll_is_cut(opcodes):
        opcodes.append(rnd.randrange(256))
    text = hll_head(1, rnd) + bytes(opcodes)
    return text if rnd.random() < 0.97 else text[:rnd.randrange(16)]


class BitsGen:

    def bit_key(self):
        return self.pick(BIT_KEYS) if self.chance(0.6) else self.key()

    def set_bits(self):
        """Data with long runs of equal bits, and edges between them."""
        x = self.r.random()
        if x < 0.15:
            v = b"" if self.chance(0.2) else self.r.randbytes(self.r.randint(1, 30))
        else:
            fill = self.pick([b"\x00", b"\xff"])
            v = bytearray(fill * self.pick([1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 64, 65, 100, 1000]))
            for _ in range(self.pick([0, 0, 1, 1, 2, 5])):
                v[self.r.randrange(len(v))] ^= 1 << self.r.randrange(8)
        return [b"SET", self.bit_key(), bytes(v)]

    def bit_offset(self, reads=False):
        x = self.r.random()
        if x < 0.75:
            return b"%d" % self.r.randint(0, 300)
        if x < 0.88:
            return b"%d" % self.r.randint(0, 20000)
        if reads and x < 0.91:
            return self.pick([b"4294967295", b"4294967294"])
        return self.pick([b"-1", b"4294967296", b"9223372036854775807", b"9223372036854775808", b"#1", b"#"] +
                         NOT_INTS)

    def setbit(self):
        bit = self.pick([b"0", b"1"]) if self.chance(0.93) else self.pick([b"2", b"-1", b"256"] + NOT_INTS)
        return [b"SETBIT", self.bit_key(), self.bit_offset(), bit]

    def getbit(self):
        return [b"GETBIT", self.bit_key(), self.bit_offset(True)]

    def bit_index(self):
        x = self.r.random()
        if x < 0.7:
            return b"%d" % self.r.randint(-70, 70)
        if x < 0.9:
            return b"%d" % self.r.randint(-9000, 9000)
        return self.pick(INTS) if x < 0.97 else self.pick(NOT_INTS)

    def unit(self):
        return self.word(self.pick(["bit", "byte"])) if self.chance(0.95) else self.pick([b"bits", b"", b"1"])

    def bitcount(self):
        a = [b"BITCOUNT", self.bit_key()]
        if self.chance(0.85):
            a += [self.bit_index(), self.bit_index()]
            if self.chance(0.6):
                a.append(self.unit())
        return a

    def bitpos(self):
        a = [b"BITPOS", self.bit_key(), self.pick([b"0", b"1"]) if self.chance(0.95) else self.integer()]
        for more in (0.85, 0.8):
            if not self.chance(more):
                return a
            a.append(self.bit_index())
        return a + [self.unit()] if self.chance(0.7) else a

    def bitop(self):
        op = self.word(self.pick(["and", "or", "xor", "not"])) if self.chance(0.95) else self.pick(
            [b"nand", b"", b"andor"])
        count = 1 if op.lower() == b"not" and self.chance(0.9) else self.r.randint(1, 4)
        return [b"BITOP", op, self.bit_key()] + [self.bit_key() for _ in range(count)]

    def field_type(self):
        x = self.r.random()
        if x < 0.6:
            return self.pick([b"u1", b"u2", b"i5", b"u8", b"i8", b"u16", b"i16", b"u32", b"i32", b"u63", b"i64", b"i1"])
        if x < 0.95:
            return b"%c%d" % (self.pick(b"iu"), self.r.randint(1, 63))
        return self.pick([b"u64", b"i65", b"u0", b"i0", b"U8", b"", b"u", b"8", b"x8", b"u-1", b"u08", b"i8\x00", b"i 8"])

    def field_offset(self):
        x = self.r.random()
        if x < 0.6:
            return b"%d" % self.r.randint(0, 130)
        if x < 0.9:
            return b"#%d" % self.r.randint(0, 12)
        if x < 0.96:
            return b"%d" % self.r.randint(0, 9000)
        return self.pick([b"-1", b"#-1", b"#", b"##1", b"4294967296", b"#4294967296", b"9223372036854775808"] + NOT_INTS)

    def field_number(self):
        x = self.r.random()
        if x < 0.6:
            return b"%d" % self.r.randint(-300, 300)
        if x < 0.95:
            return b"%d" % (self.pick([1, -1]) * (1 << self.r.randrange(63)) + self.pick([-1, 0, 1]))
        return self.pick(INTS + NOT_INTS)

    def fields(self, name, reads):

        def f():
            a = [name, self.bit_key()]
            for _ in range(self.r.choice([0, 1, 1, 1, 2, 3, 6])):
                x = self.r.random()
                if reads and x < 0.95 or x < 0.25:
                    a += [self.word("get"), self.field_type(), self.field_offset()]
                    continue
                if x < 0.6:
                    a += [self.word("overflow"), self.word(self.pick(["wrap", "sat", "fail"]))
                          if self.chance(0.97) else self.pick([b"", b"bogus"])]
                a += [self.word(self.pick(["set", "incrby", "incrby"])), self.field_type(), self.field_offset(),
                      self.field_number()]
            return a

        return f

    # ---- HyperLogLogs ----------------------------------------------------------------------------

    def hll_key(self):
        x = self.r.random()
        return self.pick(HLL_KEYS) if x < 0.6 else self.pick(COUNTED_KEYS) if x < 0.93 else self.key()

    def elements(self):
        x = self.r.random()
        if x < 0.8:
            return [b"%d" % self.r.randint(0, 3000) for _ in range(self.r.randint(0, 8))]
        if x < 0.95:
            return [self.text(self.r.randint(0, 30)) for _ in range(self.r.randint(1, 5))]
        first = self.r.randrange(10**6)
        return [b"e%d" % i for i in range(first, first + self.pick([50, 200, 1500]))]

    def pfadd(self):
        return [b"PFADD", self.hll_key()] + self.elements()

    def pfcount(self):
        if self.chance(0.5):
            return [b"PFCOUNT", self.pick(COUNTED_KEYS)]
        return [b"PFCOUNT"] + [self.hll_key() for _ in range(self.r.randint(2, 4))]

    def pfmerge(self):
        return [b"PFMERGE"] + [self.hll_key() for _ in range(self.r.randint(1, 4))]

    def pfdebug(self):
        word = self.word(self.pick(["getreg", "decode", "decode", "decode", "encoding", "encoding", "todense"]))
        return [b"PFDEBUG", word if self.chance(0.96) else self.pick([b"", b"bogus", b"x" * 100]), self.hll_key()]

    def pf_look(self):
        return self.pick([[b"GET"], [b"DUMP"], [b"STRLEN"], [b"OBJECT", b"ENCODING"]]) + [self.pick(HLL_KEYS)]

    def hll_set(self):
        return [b"SET", self.pick(HLL_KEYS + COUNTED_KEYS), hll_text(self.r)]

    def hll_del(self):
        return [b"DEL", self.pick(HLL_KEYS + COUNTED_KEYS)]

    # ---- weights -------------------------------------------------------------------------------------

    def bits_table(self):
        """(weight, name, generator), as Gen.table()."""
        return [
            (14, "setbit", self.set_bits),
            (30, "setbit", self.setbit),
            (20, "getbit", self.getbit),
            (8, "bitcount", self.set_bits),
            (26, "bitcount", self.bitcount),
            (8, "bitpos", self.set_bits),
            (30, "bitpos", self.bitpos),
            (24, "bitop", self.bitop),
            (40, "bitfield", self.fields(b"BITFIELD", False)),
            (14, "bitfield_ro", self.fields(b"BITFIELD_RO", True)),
            (30, "pfadd", self.pfadd),
            (18, "pfcount", self.pfcount),
            (18, "pfmerge", self.pfmerge),
            (6, "pfdebug", self.pfdebug),
            (10, "pfadd", self.pf_look),
            (4, "pfadd", self.hll_set),
            (3, "pfmerge", self.hll_set),
            (3, "pfcount", self.hll_set),
            (6, "pfadd", self.hll_del),
            (0.05, "pfselftest", lambda: [b"PFSELFTEST"]),
        ]
