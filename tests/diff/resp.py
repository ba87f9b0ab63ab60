"""RESP2 and RESP3 as a client sees them: encodes commands, finds where a reply ends, decodes it.

Promises that a reply keeps the bytes it came with, so that two replies can be compared byte for byte, and
that decoding loses no type: a decoded reply is a tuple whose first item is the type byte. Leaves to others
what the replies mean, and all sockets but the one in Conn.
"""

import socket
import time


class Closed(Exception):
    """The other side closed the connection; .rest holds bytes that were no whole reply."""

    def __init__(self, rest=b""):
        super().__init__("connection closed")
        self.rest = bytes(rest)


class Garbage(Exception):
    """What came is not RESP."""


def encode(args):
    out = [b"*%d\r\n" % len(args)]
    for a in args:
        out.append(b"$%d\r\n%s\r\n" % (len(a), a))
    return b"".join(out)


def end_of(buf, pos):
    """The position behind the reply that starts at pos, or -1 while part of it is missing."""
    todo = 1
    while todo:
        todo -= 1
        eol = buf.find(b"\r\n", pos)
        if eol < 0:
            return -1
        kind = buf[pos:pos + 1]
        line = bytes(buf[pos + 1:eol])
        pos = eol + 2
        if kind in b"+-:_#,(":
            continue
        if kind not in b"$=!*~>%|":
            raise Garbage(bytes(buf[pos - len(line) - 3:pos + 60]))
        try:
            n = int(line)
        except ValueError:
            raise Garbage(kind + line) from None
        if kind in b"$=!":
            if n >= 0:
                pos += n + 2
                if pos > len(buf):
                    return -1
        elif kind in b"*~>":
            todo += max(n, 0)
        elif kind == b"%":
            todo += 2 * n
        else:  # an attribute: its pairs, and then the reply that it decorates
            todo += 2 * n + 1
    return pos


def decode(raw):
    """raw, one whole reply, as nested tuples: (type, value)."""
    value, end = _decode(raw, 0)
    if end != len(raw):
        raise Garbage(raw[end:end + 60])
    return value


def _decode(raw, pos):
    eol = raw.index(b"\r\n", pos)
    kind, line, pos = chr(raw[pos]), raw[pos + 1:eol], eol + 2
    if kind in "+-,(#_":
        return (kind, line), pos
    if kind == ":":
        return (kind, int(line)), pos
    n = int(line)
    if kind in "$=!":
        if n < 0:
            return (kind, None), pos
        if raw[pos + n:pos + n + 2] != b"\r\n":
            raise Garbage(raw[pos + n:pos + n + 20])
        return (kind, raw[pos:pos + n]), pos + n + 2
    if n < 0:
        return (kind, None), pos
    items = []
    for _ in range(2 * n if kind in "%|" else n):
        item, pos = _decode(raw, pos)
        items.append(item)
    if kind in "%|":
        items = list(zip(items[::2], items[1::2]))
    if kind == "|":
        decorated, pos = _decode(raw, pos)
        return (kind, items, decorated), pos
    return (kind, items), pos


def short(b, limit=160):
    s = repr(bytes(b))[2:-1]
    return s if len(s) <= limit else "%s...(%d bytes)" % (s[:limit], len(b))


def show(value, limit=160):
    """A decoded reply on one line, for people."""
    kind, v = value[0], value[1]
    if v is None:
        return "(nil %s)" % kind
    if kind in "*~>":
        text = "%s[%s]" % (kind, " ".join(show(x, limit) for x in v))
    elif kind in "%|":
        text = "%s{%s}" % (kind, ", ".join(show(a, limit) + "=" + show(b, limit) for a, b in v))
    elif kind == ":":
        return ":%d" % v
    elif kind == "_":
        return "(nil _)"
    elif kind == "$":
        return '"%s"' % short(v, limit)
    else:
        return kind + short(v, limit)
    return text if len(text) <= 8 * limit else text[:8 * limit] + "...(%d characters)" % len(text)


def show_raw(raw):
    if raw is None:
        return "(no reply)"
    if raw == b"":
        return "(connection closed)"
    try:
        return show(decode(raw))
    except (Garbage, ValueError, IndexError):
        return "(not RESP) " + short(raw)


class Conn:
    """A connection that hands out replies as raw bytes, one at a time."""

    def __init__(self, addr, timeout_s=30):
        self.sock = socket.create_connection(addr, timeout=timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout_s = timeout_s
        self.buf = bytearray()

    def send(self, data):
        self.sock.sendall(data)

    def reply(self, timeout_s=None):
        """The next reply; Closed at the end of the stream, socket.timeout when nothing comes."""
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        while True:
            if self.buf:
                end = end_of(self.buf, 0)
                if end > 0:
                    raw = bytes(self.buf[:end])
                    del self.buf[:end]
                    return raw
            left = deadline - time.monotonic()
            if left <= 0:
                raise socket.timeout()
            self.sock.settimeout(left)
            try:
                more = self.sock.recv(1 << 20)
            except (ConnectionResetError, BrokenPipeError):
                more = b""
            finally:
                self.sock.settimeout(self.timeout_s)
            if not more:
                raise Closed(self.buf)
            self.buf += more

    def ask(self, *args):
        self.send(encode([a if isinstance(a, bytes) else str(a).encode() for a in args]))
        return self.reply()

    def value(self, *args):
        return decode(self.ask(*args))

    def close(self):
        self.sock.close()
