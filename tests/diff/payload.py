"""What a DUMP payload says, whoever wrote it: hash tables have no order, so the payloads of equal values may differ."""
import struct


class Reader:

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if self.at + n > len(self.data):
            raise ValueError("a payload that ends too early")
        self.at += n
        return self.data[self.at - n:self.at]

    def length(self):
        """The length, and whether it is rather the number of an encoding."""
        first = self.take(1)[0]
        if first >> 6 == 0 or first >> 6 == 3:
            return first & 63, first >> 6 == 3
        if first >> 6 == 1:
            return (first & 63) << 8 | self.take(1)[0], False
        return int.from_bytes(self.take(4 if first == 0x80 else 8), "big"), False

    def text(self):
        n, encoded = self.length()
        if not encoded:
            return self.take(n)
        if n < 3:
            return b"%d" % int.from_bytes(self.take(1 << n), "little", signed=True)
        packed, plain = self.length()[0], self.length()[0]
        out = lzf_unpack(self.take(packed))
        if len(out) != plain:
            raise ValueError("an LZF text of another length")
        return out


def lzf_unpack(packed):
    out, i = bytearray(), 0
    while i < len(packed):
        control = packed[i]
        i += 1
        if control < 32:
            out += packed[i:i + control + 1]
            i += control + 1
            continue
        n = control >> 5
        if n == 7:
            n += packed[i]
            i += 1
        start = len(out) - ((control & 31) << 8 | packed[i]) - 1
        i += 1
        for k in range(n + 2):
            out.append(out[start + k])
    return bytes(out)


def pack_entries(b):
    """The entries of a listpack, as texts."""
    out, i = [], 6
    while b[i] != 0xFF:
        code = b[i]
        text = None
        if code < 0x80:
            size, v = 1, code
        elif code < 0xC0:
            size = 1 + (code & 63)
            text = b[i + 1:i + size]
        elif code < 0xE0:
            size, v = 2, ((code & 31) << 8 | b[i + 1]) - ((code & 16) << 9)
        elif code < 0xF0:
            size = 2 + ((code & 15) << 8 | b[i + 1])
            text = b[i + 2:i + size]
        elif code == 0xF0:
            size = 5 + int.from_bytes(b[i + 1:i + 5], "little")
            text = b[i + 5:i + size]
        else:
            width = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}[code]
            size, v = 1 + width, int.from_bytes(b[i + 1:i + 1 + width], "little", signed=True)
        out.append(b"%d" % v if text is None else text)
        i += size + (1 if size < 128 else 2 if size < 16383 else 3 if size < 2097151 else 4)
    return out


def intset_entries(b):
    width, count = struct.unpack_from("<II", b)
    return [b"%d" % int.from_bytes(b[8 + i * width:8 + (i + 1) * width], "little", signed=True) for i in range(count)]


def pairs(items):
    return list(zip(items[::2], items[1::2]))


def list_items(r):
    items = []
    for _ in range(r.length()[0]):
        kind = r.length()[0]
        text = r.text()
        items += [text] if kind == 1 else pack_entries(text)
    return items


def stream_group(r):
    """Without the times: they are of the moment."""
    name, last, entries_read = r.text(), (r.length()[0], r.length()[0]), r.length()[0]
    pending = []
    for _ in range(r.length()[0]):
        entry = r.take(16)
        r.take(8)
        pending.append((entry, r.length()[0]))
    consumers = []
    for _ in range(r.length()[0]):
        consumer = r.text()
        r.take(8)
        consumers.append((consumer, [r.take(16) for _ in range(r.length()[0])]))
    return name, last, entries_read, pending, consumers


def stream(r):
    nodes = [(r.text(), pack_entries(r.text())) for _ in range(r.length()[0])]
    state = [r.length()[0] for _ in range(8)]  # length, last id, first id, greatest deleted id, entries added
    return nodes, state, [stream_group(r) for _ in range(r.length()[0])]


def meaning(payload):
    """A value that is equal for payloads of equal values in equal encodings."""
    r = Reader(payload[:-10])
    kind = r.take(1)[0]
    if kind == 18:
        out = "list", list_items(r)
    elif kind == 2:
        out = "set", sorted(r.text() for _ in range(r.length()[0]))
    elif kind == 11:
        out = "intset", intset_entries(r.text())
    elif kind == 4:
        out = "hash", sorted((r.text(), r.text()) for _ in range(r.length()[0]))
    elif kind == 16:
        out = "hash listpack", pairs(pack_entries(r.text()))
    elif kind == 5:
        out = "zset", [(r.text(), r.take(8)) for _ in range(r.length()[0])]
    elif kind == 19:
        out = "stream", stream(r)
    elif kind == 17:
        out = "zset listpack", pairs(pack_entries(r.text()))
    else:
        return payload
    if r.at != len(r.data):
        raise ValueError("a payload with something behind its value")
    return out


def value(what):
    """The same of equal values in whatever encoding, from their meanings."""
    if not isinstance(what, tuple):
        return what
    kind, items = what
    if kind in ("hash", "hash listpack"):
        return "hash", sorted(items)
    if kind in ("set", "intset"):
        return "set", sorted(items)
    if kind == "zset":
        return kind, [(m, struct.unpack("<d", s)[0] + 0.0) for m, s in reversed(items)]
    if kind == "zset listpack":
        return "zset", [(m, float(s) + 0.0) for m, s in items]
    return what
