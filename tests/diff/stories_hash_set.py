"""Stories of hashes and sets: what is taken at random, walks with changes on the way, and the order of small ones. A reply that
depends on chance or on a server's own order is not in the transcript; what must be true of it is."""

import resp


def key_of(t):
    return "story:%d" % t.r.randrange(10**9)


def some_members(t):
    """Sizes on both sides of every limit, integers or not."""
    n = t.r.choice([1, 2, 5, 17, 60, 127, 128, 129, 200, 511, 512, 513, 700, 2000])
    if t.r.random() < 0.5:
        step = t.r.choice([1, 3, 1000, 2**40])
        return [b"%d" % (i * step - 5) for i in range(n)]
    tail = b"x" * t.r.choice([0, 0, 20, 70, 300])
    return [b"m%d" % i + tail for i in range(n)]


def fill(t, name, command, key, items):
    for i in range(0, len(items), 200):
        t.ask(name, command, key, *items[i:i + 200])


def pops(t):
    """SPOP until nothing is left: each member once, whatever the counts."""
    t.open("a")
    key, members = key_of(t), some_members(t)
    fill(t, "a", "SADD", key, members)
    left, sound = set(members), True
    while left:
        if t.r.random() < 0.4:
            got = [t.value("a", "SPOP", key)[1]]
        else:
            count = t.r.choice([1, 2, 3, 10, len(left) // 2, len(left) - 1, len(left), len(left) + 1])
            got = [m[1] for m in t.value("a", "SPOP", key, count)[1]]
            sound &= len(got) == min(max(count, 0), len(left))
        sound &= len(set(got)) == len(got) and set(got) <= left
        left -= set(got)
        sound &= t.value("a", "SCARD", key)[1] == len(left)
        if not sound:
            break
        t.ask("a", "OBJECT", "ENCODING", key)
    t.note("every member came once", sound)
    t.ask("a", "EXISTS", key)
    t.ask("a", "SPOP", key)
    t.ask("a", "SPOP", key, 3)


def randoms(t):
    """SRANDMEMBER and HRANDFIELD: what they answer is there, and different where it has to be."""
    for protocol in (2, 3):
        c = t.open("a")
        if protocol == 3:
            c.ask("HELLO", "3")
        key, members = key_of(t), some_members(t)
        values = {m: b"v:" + m for m in members}
        fill(t, "a", "SADD", key + "s", members)
        fill(t, "a", "HSET", key + "h", [x for p in values.items() for x in p])
        for count in (1, 2, 3, 10, len(members) // 2, len(members) - 1, len(members), len(members) + 1, 0, -1, -3, -200):
            expected = min(count, len(members)) if count >= 0 else -count
            s = [m[1] for m in t.value("a", "SRANDMEMBER", key + "s", count)[1]]
            h = [m[1] for m in t.value("a", "HRANDFIELD", key + "h", count)[1]]
            both = t.value("a", "HRANDFIELD", key + "h", count, "WITHVALUES")[1]
            pairs = [(p[1][0][1], p[1][1][1]) for p in both] if protocol == 3 else list(
                zip([x[1] for x in both[::2]], [x[1] for x in both[1::2]]))
            for what, got in (("SRANDMEMBER", s), ("HRANDFIELD", h), ("WITHVALUES", [f for f, _ in pairs])):
                t.note("%s %d" % (what, count), (len(got) == expected, set(got) <= set(members),
                                                 count < 0 or len(set(got)) == len(got)))
            t.note("pairs", all(values[f] == v for f, v in pairs))
        t.ask("a", "DEL", key + "s", key + "h")


def walk(t, command, key, changes):
    """All items of a whole SSCAN or HSCAN, with changes between its pages."""
    items, cursor, pages = [], b"0", 0
    while pages == 0 or cursor != b"0":
        args = ["COUNT", t.r.choice([1, 5, 10, 50, 1000])] if t.r.random() < 0.7 else []
        reply = t.value("a", command, key, cursor, *args)[1]
        cursor = reply[0][1]
        items += [x[1] for x in reply[1][1]]
        pages += 1
        changes()
    return items


def walks(t):
    """What is there all the time is met, and with its value, whatever comes and goes."""
    t.open("a")
    key, members = key_of(t), some_members(t)
    hash_too = t.r.random() < 0.5
    add, remove, scan = ("HSET", "HDEL", "HSCAN") if hash_too else ("SADD", "SREM", "SSCAN")
    fill(t, "a", add, key, [x for m in members for x in (m, b"v:" + m)] if hash_too else members)
    fresh = [0]

    def changes():
        if t.r.random() < 0.5:
            fresh[0] += 1
            batch = [b"fresh%d.%d" % (fresh[0], i) for i in range(t.r.randint(1, 40))]
            t.value("a", add, key, *([x for m in batch for x in (m, b"x")] if hash_too else batch))
            if t.r.random() < 0.5:
                t.value("a", remove, key, *batch)

    items = walk(t, scan, key, changes)
    if hash_too:
        pairs = set(zip(items[::2], items[1::2]))
        t.note("all fields", all((m, b"v:" + m) in pairs for m in members))
    else:
        t.note("all members", set(members) <= set(items))
    t.note("nothing else", all(i.startswith((b"fresh", b"x", b"v:")) or i in set(members) for i in items))
    t.ask("a", "DEL", key)


def order(t):
    """Listpacks and intsets have an order, and all replies show it."""
    t.open("a")
    key = key_of(t)
    for _ in range(40):
        field = "f%d" % t.r.randrange(20)
        t.ask("a", *t.r.choice([("HSET", key, field, t.r.randrange(1000), "g" + field, "x"), ("HDEL", key, field),
                                ("HINCRBY", key, field, 70000), ("HSET", key, field, "y" * t.r.randrange(64))]))
        for read in (("HGETALL", key), ("HKEYS", key), ("HVALS", key), ("HSCAN", key, 0)):
            t.note(" ".join(map(str, read)), t.conns["a"].ask(*read))
    sets = [key + "1", key + "2"]
    for _ in range(40):
        s = t.r.choice(sets)
        t.ask("a", *t.r.choice([("SADD", s, t.r.randrange(-50, 50), t.r.randrange(2**40)), ("SREM", s, t.r.randrange(-50, 50)),
                                ("SUNIONSTORE", key + "3", *sets), ("SMOVE", sets[0], sets[1], t.r.randrange(-50, 50))]))
        for read in (("SMEMBERS", s), ("SSCAN", s, 0), ("SUNION", *sets), ("SINTER", *sets), ("SDIFF", *sets),
                     ("SMEMBERS", key + "3")):
            t.note(" ".join(map(str, read)), t.conns["a"].ask(*read))
    t.ask("a", "DEL", key, key + "3", *sets)


def conversions(t):
    """When Redis changes the encoding, at limits that a client may set."""
    t.open("a")
    limits = [("hash-max-listpack-entries", (0, 1, 5, 128, 1000)), ("hash-max-listpack-value", (0, 1, 64, 200)),
              ("set-max-intset-entries", (0, 1, 5, 512, 2000))]
    for name, values in limits:
        t.ask("a", "CONFIG", "SET", name, t.r.choice(values))
    key = key_of(t)
    for step in range(60):
        a = t.r.choice([
            ("HSET", key + "h", "f%d" % step, "v" * t.r.choice([0, 1, 2, 64, 65, 200, 201][:t.r.randint(1, 7)])),
            ("HINCRBYFLOAT", key + "h", "n", t.r.choice(["1.5", "1e300"] if step > 40 else ["1", "0.5"])),
            ("SADD", key + "s", *range(step * 13, step * 13 + t.r.randint(1, 13))),
            ("SADD", key + "s", "x") if step > 40 else ("SADD", key + "t", step),
            ("SDIFFSTORE", key + "d", key + "s", key + "t"), ("SUNIONSTORE", key + "d", key + "s", key + "t"),
            ("SINTERSTORE", key + "d", key + "s", key + "t"), ("COPY", key + "s", key + "c", "REPLACE"),
        ])
        t.ask("a", *a)
        for k in ("h", "s", "t", "d", "c"):
            t.ask("a", "OBJECT", "ENCODING", key + k)
    t.ask("a", "DEL", *(key + k for k in "hstdc"))
    for name, value in zip((n for n, _ in limits), (512, 64, 512)):
        t.ask("a", "CONFIG", "SET", name, value)


def nested(t):
    """The forms of HRANDFIELD and HGETALL in RESP3, bytes and all."""
    c = t.open("a")
    key = key_of(t)
    t.ask("a", "HSET", key, "f", "1")
    t.ask("a", "SADD", key + "s", "m")
    for protocol in (2, 3, 2):
        c.ask("HELLO", protocol)
        for args in (("HRANDFIELD", key), ("HRANDFIELD", key, 1), ("HRANDFIELD", key, -2), ("HRANDFIELD", key, 0),
                     ("HRANDFIELD", key, 1, "WITHVALUES"), ("HRANDFIELD", key, 5, "WITHVALUES"),
                     ("HRANDFIELD", key, -2, "WITHVALUES"), ("HRANDFIELD", "nosuch"), ("HRANDFIELD", "nosuch", 1),
                     ("HRANDFIELD", "nosuch", 1, "WITHVALUES"), ("HGETALL", key), ("HGETALL", "nosuch"), ("HKEYS", "nosuch"),
                     ("HSCAN", key, 0), ("HSCAN", "nosuch", 0), ("SMEMBERS", key + "s"), ("SMEMBERS", "nosuch"),
                     ("SRANDMEMBER", key + "s"), ("SRANDMEMBER", key + "s", 1), ("SRANDMEMBER", key + "s", -2),
                     ("SRANDMEMBER", "nosuch"), ("SRANDMEMBER", "nosuch", 2), ("SPOP", "nosuch"), ("SPOP", "nosuch", 2),
                     ("SPOP", key + "s", 0), ("SINTER", key + "s", "nosuch"), ("SUNION", "nosuch"), ("SDIFF", "nosuch"),
                     ("HGET", "nosuch", "f"), ("HMGET", "nosuch", "f")):
            t.note(" ".join(map(str, args)), t.conns["a"].ask(*args))
    t.ask("a", "DEL", key, key + "s")


OFTEN = [pops, randoms, walks, order, conversions, nested]
