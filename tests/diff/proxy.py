"""A proxy that spoils some replies, to prove that the differential test notices.

Promises to pass everything through unchanged but for every tenth reply that the chosen kind can spoil. Leaves
the noticing to run.
"""

import random
import socket
import threading

import resp


def flip(rnd, raw):
    """Another byte somewhere in the payload."""
    if raw[:1] != b"$" or len(raw) < 12:
        return raw
    head = raw.index(b"\r\n") + 2
    i = rnd.randrange(head, len(raw) - 2)
    return raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1:]


def off_by_one(rnd, raw):
    return b":%d\r\n" % (int(raw[1:]) + 1) if raw[:1] == b":" else raw


def wording(rnd, raw):
    return raw.replace(b"ERR ", b"ERR  ", 1) if raw[:1] == b"-" else raw


def nulls(rnd, raw):
    return {b"$-1\r\n": b"*-1\r\n", b"_\r\n": b"$-1\r\n"}.get(raw, raw)


def twice(rnd, raw):
    return raw * 2


EVERY = 10  # counted, not drawn: a kind that is rare among the replies has to come up, too

KINDS = {"flip": flip, "off-by-one": off_by_one, "wording": wording, "nulls": nulls, "twice": twice}


class Proxy:

    def __init__(self, here, there, kind, seed):
        self.there, self.spoil, self.seed = there, KINDS[kind], seed
        self.listener = socket.create_server(here)
        self.rnd = random.Random(seed)

    def start(self):
        threading.Thread(target=self.accept, daemon=True).start()

    def stop(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.there)
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.forth, args=(client, server), daemon=True).start()
            threading.Thread(target=self.back, args=(client, server), daemon=True).start()

    def forth(self, client, server):
        try:
            while data := client.recv(1 << 16):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def back(self, client, server):
        buf, chances = bytearray(), 0
        try:
            while data := server.recv(1 << 16):
                buf += data
                while buf and (end := resp.end_of(buf, 0)) > 0:
                    raw = bytes(buf[:end])
                    del buf[:end]
                    spoiled = self.spoil(self.rnd, raw)
                    chances += spoiled != raw
                    client.sendall(spoiled if spoiled != raw and chances % EVERY == 0 else raw)
        except OSError:
            pass
        client.close()
        server.close()
