"""Stories of sorted sets: what is taken at random, walks with changes on the way, both ways of keeping a set, and distances. A reply
that depends on chance, on a server's own order or on the last bit of a sine is not in the transcript; what must be true of it is."""

from stories_hash_set import fill, key_of, some_members, walk


def pairs(t, members):
    """Scores with many that are equal."""
    return [x for m in members for x in (b"%d" % t.r.randrange(1 + len(members) // 3), m)]


def zset_walks(t):
    """What is there all the time is met, whatever comes and goes, and whatever becomes of scores."""
    t.open("a")
    key, members = key_of(t), some_members(t)
    fill(t, "a", "ZADD", key, pairs(t, members))
    fresh = [0]

    def changes():
        t.value("a", "ZADD", key, *pairs(t, t.r.sample(members, min(len(members), 20))))
        if t.r.random() < 0.5:
            fresh[0] += 1
            batch = [b"fresh%d.%d" % (fresh[0], i) for i in range(t.r.randint(1, 40))]
            t.value("a", "ZADD", key, *pairs(t, batch))
            if t.r.random() < 0.5:
                t.value("a", "ZREM", key, *batch)

    items = walk(t, "ZSCAN", key, changes)
    met = set(items[::2])
    t.note("all members", set(members) <= met)
    t.note("nothing else", all(m.startswith(b"fresh") or m in set(members) for m in met))
    t.note("scores", all(s.isdigit() for s in items[1::2]))
    t.ask("a", "DEL", key)


def zset_randoms(t):
    """ZRANDMEMBER: what it answers is there with its score, and different where it has to be."""
    for protocol in (2, 3):
        c = t.open("a")
        if protocol == 3:
            c.ask("HELLO", "3")
        key, members = key_of(t), some_members(t)
        scores = {m: b"%d" % i for i, m in enumerate(members)}
        fill(t, "a", "ZADD", key, [x for m, s in scores.items() for x in (s, m)])
        sound = t.value("a", "ZRANDMEMBER", key)[1] in scores
        for count in (1, 3, 10, len(members) - 1, len(members), len(members) + 5, -1, -7, -50):
            got = [m[1] for m in t.value("a", "ZRANDMEMBER", key, count)[1]]
            sound &= len(got) == (min(count, len(members)) if count > 0 else -count) and set(got) <= set(scores)
            sound &= count < 0 or len(set(got)) == len(got)
            flat = t.value("a", "ZRANDMEMBER", key, count, "WITHSCORES")[1]
            got = [(m[1][0][1], float(m[1][1][1])) for m in flat] if protocol == 3 else [
                (flat[i][1], float(flat[i + 1][1])) for i in range(0, len(flat), 2)
            ]
            sound &= all(float(scores[m]) == s for m, s in got)
        t.note("only members, each with its score", sound)
        t.ask("a", "DEL", key)


def zset_shapes(t):
    """The same steps on a small set, on one that is big because it was, and on one that is."""
    t.open("a")
    key = key_of(t)
    for n, pad in ((20, 0), (20, 70), (127, 0), (128, 0), (129, 0), (600, 0), (3000, 10)):
        members = [b"m%04d" % i + b"x" * pad for i in range(n)]
        fill(t, "a", "ZADD", key, pairs(t, members))
        t.ask("a", "OBJECT", "ENCODING", key)
        t.ask("a", "ZREMRANGEBYRANK", key, t.r.randrange(n), -t.r.randrange(1, n))
        t.ask("a", "ZINCRBY", key, "0.5", members[t.r.randrange(n)])
        t.ask("a", "ZRANGE", key, "0", "-1", "WITHSCORES")
        t.ask("a", "ZREVRANGEBYSCORE", key, n / 2, "(3", "WITHSCORES", "LIMIT", "2", "30")
        t.ask("a", "ZCOUNT", key, "(2", n / 3)
        for m in t.r.sample(members, 5):
            t.ask("a", "ZRANK", key, m)
            t.ask("a", "ZSCORE", key, m)
        t.ask("a", "ZPOPMIN", key, 5)
        t.ask("a", "ZUNIONSTORE", key + "u", 2, key, key, "WEIGHTS", "2", "0.1")
        t.ask("a", "ZRANGE", key + "u", "0", "-1", "WITHSCORES")
        t.ask("a", "OBJECT", "ENCODING", key + "u")
        t.ask("a", "ZRANGESTORE", key + "r", key, "0", t.r.randrange(n))
        t.ask("a", "OBJECT", "ENCODING", key + "r")
        t.ask("a", "DEL", key, key + "u", key + "r")


def zset_distances(t):
    """STOREDIST: the same members, their distances equal but for the last bits."""
    t.open("a")
    key = key_of(t)
    for i in range(100):
        t.ask("a", "GEOADD", key, "%.6f" % t.r.uniform(-20, 20), "%.6f" % t.r.uniform(-60, 60), "p%d" % i)
    for _ in range(5):
        where = [b"%.3f" % t.r.uniform(-20, 20), b"%.3f" % t.r.uniform(-60, 60)]
        far, unit = b"%d" % t.r.randint(10, 5000), t.r.choice([b"km", b"mi"])
        t.ask("a", "GEOSEARCHSTORE", key + "d", key, "FROMLONLAT", *where, "BYRADIUS", far, unit, "STOREDIST")
        flat = [x[1] for x in t.value("a", "ZRANGE", key + "d", "0", "-1", "WITHSCORES")[1]]
        t.note("distances", [(m, "%.9g" % float(d)) for m, d in zip(flat[::2], flat[1::2])])
        t.ask("a", "GEORADIUS", key, *where, far, unit, "STOREDIST", key + "e", "COUNT", "10")
        flat = [x[1] for x in t.value("a", "ZRANGE", key + "e", "0", "-1", "WITHSCORES")[1]]
        t.note("distances", [(m, "%.9g" % float(d)) for m, d in zip(flat[::2], flat[1::2])])
    t.ask("a", "DEL", key, key + "d", key + "e")


OFTEN = [zset_walks, zset_walks, zset_randoms, zset_shapes, zset_distances]
