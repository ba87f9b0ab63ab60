"""Keyspace notifications beside Redis's: which events each command of a run brings, in which order.

A connection to each server listens to all channels. Behind each command of a batch goes a PUBLISH, whose message says
where the events of that command end. Promises that what is compared belongs to one command. Leaves the commands and
their replies to run.
"""

import resp
from resp import encode

CLASSES = "AKEmn"
MARK = b"the end of a command"
# Their lookups follow the order of a hash table, which is each server's own.
UNORDERED = {b"sort", b"sort_ro"}


class Listener:

    def __init__(self, addr, password):
        self.control, self.conn = resp.Conn(addr), resp.Conn(addr)
        for c in (self.control, self.conn):
            if password:
                c.ask("AUTH", password)
        self.conn.ask("PSUBSCRIBE", "*")
        self.on()

    def on(self):
        """A command of the run may have changed the setting."""
        self.control.ask("CONFIG", "SET", "notify-keyspace-events", CLASSES)

    def take(self, marks):
        """The events before each of so many marks, and those behind the last: lists of (channel, message)."""
        self.conn.send(encode([b"PING"]))
        out = [[]]
        while True:
            said = resp.decode(self.conn.reply())
            if said[0] == "*" and said[1][0][1] == b"pmessage":
                channel, message = said[1][2][1], said[1][3][1]
                if channel == MARK:
                    out.append([])
                elif b"expired" not in (message, channel[-7:]):
                    out[-1].append((channel, message))
            else:
                break  # the PING's answer
        return out + [[]] * (marks + 1 - len(out))

    def close(self):
        self.control.close()
        self.conn.close()


def marked(batch):
    """The commands with a mark behind each."""
    return [c for args in batch for c in (args, [b"PUBLISH", MARK, b""])]


def is_limit_of_overflow(args):
    """Where the end of SORT's LIMIT is beyond 64 bits, Redis's sum wraps around, and it looks nothing up."""
    if args[0].lower() not in UNORDERED:
        return False
    for i in range(2, len(args) - 2):
        if args[i].lower() == b"limit":
            try:
                return max(int(args[i + 1]), 0) + int(args[i + 2]) - 1 >= 1 << 63
            except ValueError:
                return False
    return False


def equal(args, a, b):
    if a == b or is_limit_of_overflow(args):
        return True
    return args[0].lower() in UNORDERED and sorted(a) == sorted(b)


def show(events):
    """One line for people; of the two channels of an event, the one of the key."""
    out = []
    for channel, message in events:
        what, _, rest = channel.partition(b":")
        if what.startswith(b"__keyspace@"):
            out.append("%s %s(%s)" % (resp.short(message, 40), resp.short(rest, 40), what[11:-2].decode()))
        elif not what.startswith(b"__keyevent@"):
            out.append("%s: %s" % (resp.short(channel, 40), resp.short(message, 40)))
    return ", ".join(out) or "none"


def names(events):
    return b" ".join(m for c, m in events if c.startswith(b"__keyspace@"))[:60]
