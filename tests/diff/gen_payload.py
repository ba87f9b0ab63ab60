"""Commands of keys whatever they hold, on keys of all types, and SORT: a part of gen.Gen, whose promises it keeps. Payloads for RESTORE
are built here in every form Redis 7.0 reads, older ones too; damaged ones are for the fuzzer, for Redis may not survive them."""

import struct

import gen_hash_set
import gen_list
import gen_stream
import gen_zset
from crc64 import crc64

SORTED = [b"so0", b"so1", b"so2"]  # lists and sets of words that SORT can order: no zeros, nothing equal twice
RESTORED = [b"r0", b"r1", b"r2", b"r3"]
TYPED = gen_hash_set.HASHES + gen_hash_set.SETS + gen_list.LISTS + gen_stream.STREAMS + gen_zset.ZSETS
TYPES = [b"string", b"list", b"set", b"zset", b"hash", b"stream", b"none", b"LIST"]

KEYED = {b"sort", b"sort_ro"}


def keys_of(a):
    """What SORT looks up is anybody's guess, but it is among these."""
    return {a[1], b"w_1", b"wh_1"} | ({a[-1]} if b"STORE" in a[2:] else set())


def length(n):
    if n < 64:
        return bytes([n])
    return struct.pack(">H", 0x4000 | n) if n < 16384 else b"\x80" + struct.pack(">I", n)


def text(b):
    return length(len(b)) + b


def integer_of(b):
    try:
        v = int(b)
    except ValueError:
        return None
    return v if b"%d" % v == b and -2**63 <= v < 2**63 else None


def pack(items):
    """A listpack."""
    out = b""
    for b in items:
        v = integer_of(b)
        if v is None:
            n = len(b)
            e = (bytes([0x80 | n]) if n < 64 else struct.pack(">H", 0xE000 | n) if n < 4096 else b"\xf0" + struct.pack("<I", n)) + b
        elif 0 <= v < 128:
            e = bytes([v])
        elif -4096 <= v < 4096:
            e = struct.pack(">H", 0xC000 | v & 0x1FFF)
        else:
            code, width = next((c, w) for c, w in ((0xF1, 2), (0xF2, 3), (0xF3, 4), (0xF4, 8)) if -1 << 8 * w - 1 <= v < 1 << 8 * w - 1)
            e = bytes([code]) + v.to_bytes(width, "little", signed=True)
        n = len(e)
        out += e + (bytes([n]) if n < 128 else bytes([n >> 7, n & 127 | 128]) if n < 16383 else bytes([n >> 14, n >> 7 & 127 | 128, n & 127 | 128]))
    return struct.pack("<IH", len(out) + 7, len(items)) + out + b"\xff"


def ziplist(items):
    out, before, last = b"", 0, 10
    for b in items:
        e = bytes([before]) if before < 254 else b"\xfe" + struct.pack("<I", before)
        v = integer_of(b)
        if v is None:
            n = len(b)
            e += (bytes([n]) if n < 64 else struct.pack(">H", 0x4000 | n) if n < 16384 else b"\x80" + struct.pack(">I", n)) + b
        elif 0 <= v <= 12:
            e += bytes([0xF1 + v])
        else:
            code, width = next((c, w) for c, w in ((0xFE, 1), (0xC0, 2), (0xF0, 3), (0xD0, 4), (0xE0, 8)) if -1 << 8 * w - 1 <= v < 1 << 8 * w - 1)
            e += bytes([code]) + v.to_bytes(width, "little", signed=True)
        last = 10 + len(out)
        out += e
        before = len(e)
    return struct.pack("<IIH", len(out) + 11, last, len(items)) + out + b"\xff"


def zipmap(items):
    out = bytes([min(len(items) // 2, 254)])
    for i, b in enumerate(items):
        out += (bytes([len(b)]) if len(b) < 254 else b"\xfe" + struct.pack("<I", len(b))) + (b"\x00" if i % 2 else b"") + b
    return out + b"\xff"


def intset(numbers):
    width = next(w for w in (2, 4, 8) if all(-1 << 8 * w - 1 <= v < 1 << 8 * w - 1 for v in numbers))
    return struct.pack("<II", width, len(numbers)) + b"".join(v.to_bytes(width, "little", signed=True) for v in sorted(numbers))


class PayloadGen:

    def payload_typed_key(self):
        return self.pick(TYPED + RESTORED + SORTED) if self.chance(0.9) else self.key()

    # ---- RESTORE ---------------------------------------------------------------------------------

    def payload_item(self):
        x = self.r.random()
        if x < 0.4:
            return b"%d" % (self.r.randint(-2**63, 2**63 - 1) >> self.r.randrange(64))
        return self.text(self.r.randint(0, 30)) if x < 0.97 else self.text(self.pick([63, 64, 65, 127, 253, 254, 300, 5000]))

    def payload_different(self, count):
        out = {}
        while len(out) < count:
            out[self.payload_item()] = None
        return list(out)

    def payload_count(self):
        return self.r.randint(1, 8) if self.chance(0.9) else self.pick([127, 128, 129, 511, 512, 513])

    def payload_score(self):
        return self.pick([0.0, 1.0, -1.5, 3.25, 1e100, float("inf"), float("-inf"), float(self.r.randint(-10**6, 10**6))])

    def payload_score_text(self, s):
        return b"%d" % int(s) if abs(s) < 1e15 and s == int(s) else b"%s" % repr(s).encode() if abs(s) < 1e15 else (b"%.17g" % s)

    def payload_fields(self):
        return [x for f in self.payload_different(self.payload_count()) for x in (f, self.payload_item())]

    def payload_some(self):
        return [self.payload_item() for _ in range(self.payload_count())]

    def payload_list_body(self):
        form = self.pick([1, 10, 14, 18])
        if form == 1:
            items = self.payload_some()
            return b"\x01" + length(len(items)) + b"".join(map(text, items))
        if form == 10:
            return b"\x0a" + text(ziplist(self.payload_some()))
        nodes = [self.payload_some() for _ in range(self.r.randint(1, 4))]
        if form == 14:
            return b"\x0e" + length(len(nodes)) + b"".join(text(ziplist(n)) for n in nodes)
        return b"\x12" + length(len(nodes)) + b"".join(
            b"\x01" + text(n[0]) if n[0] and self.chance(0.2) else b"\x02" + text(pack(n)) for n in nodes)

    def payload_set_body(self):
        if self.chance(0.4):
            numbers = {self.r.randint(-2**63, 2**63 - 1) >> self.pick([0, 33, 49]) for _ in range(self.payload_count())}
            if self.chance(0.6):
                return b"\x0b" + text(intset(numbers))
            items = [b"%d" % v for v in numbers]
        else:
            items = self.payload_different(self.payload_count())
        return b"\x02" + length(len(items)) + b"".join(map(text, items))

    def payload_hash_body(self):
        items = self.payload_fields()
        form = self.pick([4, 9, 13, 16])
        if form == 4:
            return b"\x04" + length(len(items) // 2) + b"".join(map(text, items))
        return bytes([form]) + text({9: zipmap, 13: ziplist, 16: pack}[form](items))

    def payload_zset_body(self):
        items = sorted((self.payload_score(), m) for m in self.payload_different(self.payload_count()))
        form = self.pick([3, 5, 12, 17])
        if form == 5:
            return b"\x05" + length(len(items)) + b"".join(text(m) + struct.pack("<d", s) for s, m in reversed(items))
        if form == 3:
            special = {float("inf"): b"\xfe", float("-inf"): b"\xff"}
            return b"\x03" + length(len(items)) + b"".join(
                text(m) + special.get(s, bytes([len(self.payload_score_text(s))]) + self.payload_score_text(s)) for s, m in items)
        return bytes([form]) + text((ziplist if form == 12 else pack)([x for s, m in items for x in (m, self.payload_score_text(s))]))

    def payload_restore_typed(self):
        body = self.pick([self.payload_list_body, self.payload_set_body, self.payload_hash_body, self.payload_zset_body])()
        if self.chance(0.04):
            body = body[:1] + b"\x00"  # nothing in it
        body += b"\x0a\x00"
        a = [b"RESTORE", self.pick(RESTORED), b"0", body + crc64(body).to_bytes(8, "little")]
        return a + [b"REPLACE"] if self.chance(0.9) else a

    # ---- keys of any type ------------------------------------------------------------------------

    def payload_of_any_type(self):
        k = self.payload_typed_key()
        return self.pick([[b"DUMP", k], [b"TYPE", k], [b"OBJECT", b"ENCODING", k], [b"OBJECT", b"REFCOUNT", k], [b"MEMORY", b"USAGE", k],
                          [b"MEMORY", b"USAGE", k, b"SAMPLES", self.pick([b"0", b"5", b"-1", b"x"])], [b"EXISTS", k], [b"TTL", k]])

    def payload_copied(self):
        a = [b"COPY", self.payload_typed_key(), self.pick(RESTORED)]
        return a + ([b"REPLACE"] if self.chance(0.8) else [])

    def payload_renamed(self):
        return [self.pick([b"RENAME", b"RENAMENX"]), self.pick(RESTORED), self.pick(RESTORED)]

    def payload_moved(self):
        return [b"MOVE", self.pick(RESTORED), b"%d" % self.r.randrange(self.dbs)]

    # ---- SORT ------------------------------------------------------------------------------------

    def payload_sort_data(self):
        x = self.r.random()
        n = b"%d" % self.r.randrange(-15, 15)
        if x < 0.3:
            return [b"SET", b"w_" + n, self.pick([b"%d" % self.r.randrange(1000), b"1.5", b"-2e3", b" 7", b"", b"x"] if self.chance(0.1)
                                                 else [b"%d" % self.r.randrange(1000)])]
        if x < 0.5:
            return [b"HSET", b"wh_" + n, self.pick([b"f", b"a->b"]), b"%d" % self.r.randrange(1000)]
        if x < 0.56:
            return [b"DEL", self.pick(SORTED + [b"w_" + n])]
        words = [b"%d" % self.r.randrange(-15, 15) for _ in range(self.r.randint(1, 6))]
        if self.chance(0.06):
            words.append(self.pick([b"word", b"1.25", b"1e2", b"Zed", b"inf", b"", b"0x1f"]))
        return [b"RPUSH" if self.chance(0.5) else b"SADD", self.pick(SORTED)] + words

    def payload_sort(self):
        a = [b"SORT_RO" if self.chance(0.25) else b"SORT", self.pick(SORTED)]
        # What leaves the order open is left out: with BY and ALPHA who weighs the same, without an order whatever a set is.
        # What is stored is not weighed as numbers, for Redis may refuse sound ones (compare.sort), and then stores nothing.
        stored = self.chance(0.25)
        by = not stored and self.chance(0.3)
        if by:
            a += [b"BY", self.pick([b"w_*", b"wh_*->f", b"wh_*->a->b", b"wh_*->", b"w_*->f", b"*"])]
        elif stored or self.chance(0.3):
            a.append(b"ALPHA")
        if self.chance(0.3):
            a += [b"LIMIT", self.pick([b"0", b"1", b"3", b"-2", b"100"]), self.pick([b"0", b"1", b"2", b"-1", b"9223372036854775807"])]
        if self.chance(0.3):
            a.append(self.pick([b"ASC", b"DESC", b"desc"]))
        while self.chance(0.25):
            a += [b"GET", self.pick([b"#", b"w_*", b"wh_*->f", b"nothing", b"wh_*->none"])]
        if stored:
            a += [b"STORE", self.pick([b"so3", b"so4"] + SORTED)]
        if self.chance(0.04):
            a += self.pick([[b"LIMIT", b"1"], [b"LIMIT", b"x", b"1"], [b"BY"], [b"GET"], [b"STORE"], [b"bogus"], [b"LIMIT", b"1", b"1.5"]])
        return a

    def payload_sort_wrong(self):
        return [self.pick([b"SORT", b"SORT_RO"]), self.pick(gen_hash_set.HASHES + gen_stream.STREAMS + [b"k1", b"nosuch"])]

    def payload_table(self):
        return [
            (40, "restore", self.payload_restore_typed),
            (60, "dump", self.payload_of_any_type),
            (14, "copy", self.payload_copied),
            (8, "rename", self.payload_renamed),
            (6, "move", self.payload_moved),
            (40, "sort", self.payload_sort_data),
            (40, "sort", self.payload_sort),
            (3, "sort", self.payload_sort_wrong),
        ]
