"""When two replies are equal: byte for byte, or for the few commands named here, by what the reply means.

Promises that a rule is never more lenient than its comment says. allowed.tsv, read here too, holds the
differences that are meant, each with a reason. Leaves sending and reading to others.
"""

import re

import payload
import resp


def plain(v):
    """A decoded reply without its types: bytes, ints, lists. Maps flatten, as RESP2 has them."""
    kind, x = v[0], v[1]
    if kind in "*~>":
        return None if x is None else [plain(i) for i in x]
    if kind == "%":
        return [plain(i) for pair in x for i in pair]
    if kind == "_":
        return None
    return x


def is_error(v):
    return v[0] in "-!"


def both(check):
    """A rule that looks at each reply alone; an error on either side falls back to bytes."""

    def rule(args, a, b, ctx):
        return not is_error(a) and not is_error(b) and a[0] == b[0] and check(a) and check(b)

    return rule


def by(view):
    """A rule that compares a view of each reply."""

    def rule(args, a, b, ctx):
        if is_error(a) or is_error(b) or a[0] != b[0]:
            return False
        return view(a) == view(b)

    return rule


# A deadline set relative to now differs by how far apart the two servers heard it; one set as a date does
# not.
DATE_S = 2524608000


def near(unit_ms, date):

    def rule(args, a, b, ctx):
        if a[0] != ":" or b[0] != ":":
            return False
        x, y = a[1], b[1]
        if x < 0 or y < 0:
            return False
        if date and DATE_S * (1000 if unit_ms else 1) <= x < DATE_S * 4 * (1000 if unit_ms else 1):
            return False
        return abs(x - y) <= (1 + ctx.stall_s) * (1000 if unit_ms else 1) + 1

    return rule


def fields(text):
    """name -> value of INFO's lines, with what is before the first colon as name."""
    return dict(
        line.split(b":", 1) for line in text.split(b"\r\n") if b":" in line and not line.startswith(b"#"))


# What belongs to the connection or the moment, not to the command. The other fields are compared as they are.
CLIENT_MOMENT = {
    "id", "addr", "laddr", "fd", "age", "idle", "qbuf", "qbuf-free", "argv-mem", "multi-mem", "rbs", "rbp",
    "obl", "oll", "omem", "tot-mem", "events"
}


def client_line(line):
    out = []
    for pair in line.split(b" "):
        name, _, value = pair.partition(b"=")
        if name in (b"lib-name", b"lib-ver"):  # what CLIENT SETINFO said; it is allowed in allowed.tsv
            continue
        if value == b"client|setinfo":  # to Redis 7.0 an unknown command
            value = b"NULL"
        out.append((name, None if name.decode("latin1") in CLIENT_MOMENT else value))
    return out


def client_list(v):
    text = v[1][4:] if v[0] == "=" else v[1]
    return sorted(" ".join("%s=%s" % (n.decode("latin1"), "" if x is None else x.decode("latin1"))
                           for n, x in client_line(line)) for line in text.split(b"\n"))


def hello(v):
    p = plain(v)
    d = dict(zip(p[::2], p[1::2]))
    return list(d), {k: x for k, x in d.items() if k != b"id"}


def help_text(v):
    """HELP's words are ours; its form is not: the first line, and lines of text under names in capitals."""
    p = plain(v)
    return p[0], all(x[:1] == b" " or x[:1].isupper() or x[:1] == b"(" for x in p[1:])


def command_row(row):
    """A row of COMMAND INFO, with its sets as sets. Subcommands are compared by asking for them."""
    if row is None:
        return None
    name, arity, flags, first, last, step, cats, tips, specs, subs = row
    return name, arity, sorted(flags), first, last, step, sorted(cats), sorted(tips), specs


def getkeysandflags(v):
    return [(k, sorted(f)) for k, f in plain(v)]


def slowlog(v):
    p = plain(v)
    return [(e[3], e[5]) for e in p]


def config_get(args, a, b, ctx):
    """The same names; the same values but for what the two servers were started with."""
    if is_error(a) or is_error(b) or a[0] != b[0]:
        return False
    x, y = plain(a), plain(b)
    x, y = dict(zip(x[::2], x[1::2])), dict(zip(y[::2], y[1::2]))
    skip = ctx.allowed.config
    return {k: v for k, v in x.items() if k not in skip} == {k: v for k, v in y.items() if k not in skip}


def info(args, a, b, ctx):
    """The same fields in the same sections, but for the listed ones. Values are judged by stories.py."""
    if is_error(a) or is_error(b):
        return False
    return info_fields(a, ctx) == info_fields(b, ctx)


def info_fields(v, ctx):
    out, section = set(), None
    text = v[1][4:] if v[0] == "=" else v[1]
    for line in text.split(b"\r\n"):
        if line.startswith(b"# "):
            section = line[2:].lower()
            out.add((section, None))
        elif b":" in line:
            name = line.split(b":")[0]
            if section in (b"commandstats", b"errorstats", b"latencystats", b"keyspace"):
                continue
            out.add((section, name))
    return {(s, n) for s, n in out if (s, n) not in ctx.allowed.info and (s, b"*") not in ctx.allowed.info}


def debug_object(v):
    return re.sub(rb"0x[0-9a-f]+|\d+", b"N", v[1])


def anything(v):
    return True


def client_id(v):
    return v[0] == ":" and v[1] > 0


def two_times(v):
    p = plain(v)
    return len(p) == 2 and all(x.isdigit() for x in p) and int(p[1]) < 1000000


def pairs_of(v):
    """Fields with values, in whatever order and form."""
    if v[0] == "%":
        return sorted((k[1], x[1]) for k, x in v[1])
    p = plain(v)
    if p and isinstance(p[0], list):
        return sorted(map(tuple, p))
    return sorted(zip(p[::2], p[1::2]))


def members_of(v):
    return v[0], sorted(plain(v))


def shape(v):
    """What is left of items taken at random: how many, and how they are nested."""
    if v[0] in "$_":
        return v[1] is None
    return len(plain(v)), {isinstance(x, list) for x in plain(v)}


def page(v):
    """A page of HSCAN and its kin: where it ends is each server's own; the stories called walks compare whole walks."""
    p = plain(v)
    return len(p) == 2 and p[0].isdigit() and isinstance(p[1], list)


# What XINFO tells of the moment: when a consumer was seen, when an entry was delivered. Times that were said stay.
NOW_MS = range(1600000000000, 4000000000000)


def without_now(x):
    if isinstance(x, list):
        return [without_now(i) for i in x]
    return b"now" if isinstance(x, int) and x in NOW_MS else x


def xinfo_consumers(v):
    rows = [dict(zip(c[::2], c[1::2])) for c in plain(v)]
    return [(list(c), c[b"name"], c[b"pending"], c[b"idle"] >= 0) for c in rows]


def xpending(args, a, b, ctx):
    """Entries with how long they have been idle: near to each other. The summary is compared as it is."""
    if is_error(a) or is_error(b) or len(args) < 4:
        return False
    x, y = plain(a), plain(b)
    return [(i[0], i[1], i[3]) for i in x] == [(i[0], i[1], i[3]) for i in y] and all(
        abs(i[2] - k[2]) <= (1 + ctx.stall_s) * 1000 for i, k in zip(x, y))


def refused_by_one(raw_a, raw_b):
    """An allowed difference of replies, behind which what was done differs, too."""
    return raw_a.startswith(b"-") != raw_b.startswith(b"-")


def is_unsorted(args):
    """BY something without an asterisk: what comes out of a set has the order of a hash table."""
    words = [x.lower() for x in args[2:]]
    return any(w == b"by" and b"*" not in by for w, by in zip(words, args[3:]))


def sort(args, a, b, ctx):
    """Redis looks at errno, which an earlier command may have left behind, so it may refuse numbers that are sound."""
    if not is_error(a) and not is_error(b) and is_unsorted(args):
        return a[0] == b[0] == "*" and sorted(map(repr, plain(a))) == sorted(map(repr, plain(b)))
    return is_error(a) and b"can't be converted into double" in a[1] and not is_error(b)


# Hash tables have an order of their own; that of small hashes is looked at by stories_hash_set.order.
RULES = {
    "sort": sort,
    "sort_ro": sort,
    "dump": by(lambda v: None if v[1] is None else payload.meaning(v[1])),
    "hgetall": by(pairs_of),
    "hkeys": by(members_of),
    "hvals": by(members_of),
    "smembers": by(members_of),
    "sinter": by(members_of),
    "sunion": by(members_of),
    "sdiff": by(members_of),
    "spop": by(members_of),
    "hrandfield": by(shape),
    "srandmember": by(shape),
    "hscan": both(page),
    "sscan": both(page),
    "xinfo stream": by(lambda v: (v[0], without_now(plain(v)))),
    "xinfo consumers": by(xinfo_consumers),
    "xpending": xpending,
    "zrandmember": by(shape),
    "zscan": both(page),
    "ttl": near(False, False),
    "pttl": near(True, False),
    "expiretime": near(False, True),
    "pexpiretime": near(True, True),
    "object idletime": both(lambda v: v[0] == ":" and v[1] >= 0),
    "object freq": both(lambda v: v[0] == ":" and 0 <= v[1] <= 255),
    # A page of SCAN is in the server's own order; stories.scan compares whole iterations.
    "scan": both(lambda v: len(plain(v)) == 2 and plain(v)[0].isdigit() and isinstance(plain(v)[1], list)),
    "randomkey": both(lambda v: v[0] == "$"),  # which one is up to chance; stories.randomkey looks at it
    # Keys past their deadline are counted until they are removed: stories.dbsize and the end of a run wait
    # for it.
    "dbsize": both(lambda v: v[0] == ":"),
    # Ours is another hash, for comparing two of ours.
    "debug digest": both(lambda v: v[0] == "+" and len(v[1]) == 40),
    "debug digest-value": both(lambda v: all(len(x) == 40 for x in plain(v))),
    "lastsave": both(lambda v: v[0] == ":"),
    "keys": by(lambda v: sorted(plain(v))),
    "time": both(two_times),
    "client id": both(client_id),
    "client list": by(client_list),
    "client info": by(client_list),
    "hello": by(hello),
    "info": info,
    "config get": config_get,
    "slowlog get": by(slowlog),
    "command info": by(lambda v: [command_row(r) for r in plain(v)]),
    "command getkeysandflags": by(getkeysandflags),
    # Ours has a part of the names; stories.command_table knows which.
    "command list":
    lambda args, a, b, ctx: a[0] == b[0] and set(plain(b)) <= set(plain(a)) | ctx.allowed.extra_commands,
    "memory usage": both(lambda v: v[0] == ":" and v[1] > 0),
    "memory doctor": both(anything),
    "memory malloc-stats": both(anything),
    "memory stats": by(lambda v: sorted(x for x in plain(v)[::2] if not x.startswith(b"db."))),
    "memory purge": both(anything),
    "latency doctor": both(anything),
    "latency latest": both(anything),
    "latency histogram": both(anything),
    "role":
    by(lambda v: [plain(v)[0], len(plain(v)), plain(v)[2]]),  # the offset between them is the server's own
    "lolwut": both(anything),
    "debug object": by(debug_object),
    "debug jmap": both(anything),
}


def explain(args, raw_a, raw_b, ctx):
    """More about a difference in a long reply: what only one of the two has."""
    name = args[0].lower() + b" " + (args[1].lower() if len(args) > 1 else b"")
    try:
        a, b = resp.decode(raw_a), resp.decode(raw_b)
        if name.startswith(b"info"):
            x, y = (info_fields(v, ctx) for v in (a, b))
            x, y = ({b" ".join([s, n or b"(section)"]) for s, n in f} for f in (x, y))
        elif name == b"config get":
            x, y = (plain(v) for v in (a, b))
            x, y = ({b"=".join(p) for p in zip(v[::2], v[1::2])} for v in (x, y))
        elif name.startswith((b"client list", b"client info")):
            x, y = (set(line.encode() for line in client_list(v)) for v in (a, b))
        elif name == b"command info":
            x, y = ({repr(i).encode() for r in plain(v) if r for i in command_row(r)} for v in (a, b))
        else:
            return ""
    except (resp.Garbage, ValueError, IndexError, TypeError, AttributeError):
        return ""
    return "\n  only redis: %s\n  only ours:  %s" % (b", ".join(
        sorted(x - y))[:3000].decode("latin1"), b", ".join(sorted(y - x))[:3000].decode("latin1"))


class Allowed:
    """allowed.tsv; its head says what the columns are."""

    def __init__(self, path):
        self.replies, self.info, self.config, self.missing, self.used = [], {}, {}, {}, set()
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                line = line.rstrip("\n")
                if not line or line.startswith("#"):
                    continue
                parts = line.split("\t")
                if len(parts) != 4 or not parts[3].strip():
                    raise SystemExit("%s:%d: want four columns, the last one a reason" % (path, number))
                what, one, two, why = parts
                if what == "reply":
                    self.replies.append((re.compile(one.encode(),
                                                    re.I | re.S), re.compile(two.encode(), re.S), why))
                elif what == "info":
                    self.info[one.encode(), two.encode()] = why
                elif what == "config":
                    self.config[one.encode()] = why
                elif what in ("missing", "extra"):
                    for name in two.split():
                        self.missing["%s%s:%s" % ("extra-" if what == "extra" else "", one, name)] = why
                else:
                    raise SystemExit("%s:%d: unknown kind %s" % (path, number, what))

    @property
    def extra_commands(self):
        return {n[len("extra-command:"):].encode() for n in self.missing if n.startswith("extra-command:")}

    def reply(self, args, raw_ours):
        """The reason why ours may answer this differently, or None."""
        line = b" ".join(args[:6])[:400]
        for command, ours, why in self.replies:
            if command.match(line) and ours.match(raw_ours[:400]):
                self.used.add(why)
                return why
        return None


class Context:
    """What the rules need to know about the run."""

    def __init__(self, allowed):
        self.allowed = allowed
        self.stall_s = 0.0  # the longest time one batch took: the two clocks may have drifted by as much


def rule_for(args):
    name = args[0].decode("latin1").lower()
    if len(args) > 1:
        two = args[1].decode("latin1").lower()
        if two == "help" and len(args) == 2:
            return by(help_text)
        rule = RULES.get(name + " " + two)
        if rule:
            return rule
    return RULES.get(name)


def equal(args, raw_a, raw_b, ctx):
    """None when the replies count as equal or their difference is allowed; else what differs, in words."""
    if raw_a == raw_b:
        return None
    rule = rule_for(args)
    try:
        a, b = resp.decode(raw_a), resp.decode(raw_b)
        if rule and rule(args, a, b, ctx):
            return None
    except (resp.Garbage, ValueError, IndexError, TypeError, AttributeError):
        pass
    if ctx.allowed.reply(args, raw_b):
        return None
    return "replies differ"
