"""A client made for the bench: it sends prepared bytes in pipelines and checks every answer. RESP2, nothing clever."""
import socket


class Failed(Exception):
    """Something that is measured did not do what it must; the text says what."""


def command(*args):
    out = [b"*%d\r\n" % len(args)]
    for a in args:
        out.append(b"$%d\r\n%s\r\n" % (len(a), a))
    return b"".join(out)


class Wire:
    def __init__(self, port, timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.at = 0

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def fill(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise Failed("the server closed the connection")
        self.buffer = self.buffer[self.at:] + data
        self.at = 0

    def line(self):
        while True:
            end = self.buffer.find(b"\r\n", self.at)
            if end >= 0:
                line = self.buffer[self.at:end]
                self.at = end + 2
                return line
            self.fill()

    def exactly(self, count):
        while len(self.buffer) - self.at < count:
            self.fill()
        data = self.buffer[self.at:self.at + count]
        self.at += count
        return data

    def reply(self):
        """Bytes for a status, an error (with its sign) or a bulk; an int; None; a list."""
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self.exactly(size + 2)[:-2]
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        return line

    def call(self, *args):
        self.send(command(*args))
        return self.reply()

    def set_all(self, pairs, batch=1000):
        """SET every (key, value); each answer must be +OK."""
        waiting, count = [], 0
        for key, value in pairs:
            waiting.append(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, len(value), value))
            count += 1
            if len(waiting) == batch:
                self.expect_ok(waiting)
                waiting = []
        if waiting:
            self.expect_ok(waiting)
        return count

    def expect_ok(self, commands):
        self.send(b"".join(commands))
        for _ in commands:
            answer = self.line()
            if answer != b"+OK":
                raise Failed("SET was answered %r" % answer)
