"""Sorted sets for the crash tests: a model's part, and an actor that makes small and big ones. A value is a dict of members and
scores, which are whole numbers here; it is never changed in place, so that models can be copied as they are."""

from collections_model import CollectionLoad


def in_order(value):
    return sorted(value.items(), key=lambda item: (item[1], item[0]))


def flat(items):
    return [x for m, s in items for x in (m, b'%d' % s)]


class ZsetModel:
    """A part of harness.Model, beside CollectionModel, whose keep() and store() it uses."""

    def do_zadd(self, d, k, *pairs):
        old = d[k][0] if k in d else {}
        new = {**old, **dict(zip(pairs[1::2], pairs[::2]))}
        self.keep(d, k, new)
        return len(new) - len(old)

    def do_zincrby(self, d, k, n, m):
        score = (d[k][0].get(m, 0) if k in d else 0) + n
        self.do_zadd(d, k, score, m)
        return b'%d' % score

    def do_zrem(self, d, k, *members):
        old = d[k][0] if k in d else {}
        new = {m: s for m, s in old.items() if m not in set(members)}
        if len(new) < len(old):
            self.keep(d, k, new)
        return len(old) - len(new)

    def do_zscore(self, d, k, m):
        value = d[k][0] if k in d else {}
        return b'%d' % value[m] if m in value else None

    def do_zcard(self, d, k):
        return len(d[k][0]) if k in d else 0

    def do_zrank(self, d, k, m):
        members = [x for x, _ in in_order(d[k][0])] if k in d else []
        return members.index(m) if m in members else None

    def do_zremrangebyrank(self, d, k, first, last):
        items = in_order(d[k][0]) if k in d else []
        gone = items[first:last + 1]
        self.do_zrem(d, k, *(m for m, _ in gone))
        return len(gone)

    def do_zremrangebyscore(self, d, k, low, high):
        gone = [m for m, s in (d[k][0].items() if k in d else ()) if low <= s <= high]
        return self.do_zrem(d, k, *gone)

    def do_zpopmin(self, d, k, count):
        gone = (in_order(d[k][0]) if k in d else [])[:count]
        self.do_zrem(d, k, *(m for m, _ in gone))
        return flat(gone)

    def do_zrangestore(self, d, target, k, first, last):
        return self.store(d, target, dict((in_order(d[k][0]) if k in d else [])[first:last + 1]))

    def do_zunionstore(self, d, target, two, a, b):
        sums = dict(d[a][0]) if a in d else {}
        for m, s in (d[b][0] if b in d else {}).items():
            sums[m] = sums.get(m, 0) + s
        return self.store(d, target, sums)


class ZsetLoad(CollectionLoad):
    """What an actor of sorted sets does. Many scores are equal, and most writes change one that is there."""

    read_more = ('0', '-1', 'WITHSCORES')

    def read_command(self, k):
        return 'ZRANGE'

    @staticmethod
    def read_value(command, reply):
        return {m: int(s) for m, s in zip(reply[::2], reply[1::2])} or None

    def next(self):
        rng = self.rng
        n = rng.randrange(len(self.universes))
        members = [self.member(n, i) for i in self.items(n, rng.random() < 0.08)]
        z, other = (self.prefix + b'z:%d' % m for m in (n, rng.randrange(len(self.universes))))
        made = self.prefix + b'z:%d' % rng.randrange(4, 7)
        kind = rng.randrange(100)
        if kind < 50:
            self.send('ZADD', z, *(x for m in members for x in (rng.randrange(1 + self.universes[n] // 2), m)))
        elif kind < 60:
            self.send('ZINCRBY', z, rng.randint(-20, 20), members[0])
        elif kind < 78:
            self.send('ZREM', z, *members)
        elif kind < 82:
            self.send(*rng.choice((('ZSCORE', z, members[0]), ('ZCARD', z), ('ZRANK', z, members[0]))))
        elif kind < 84:
            first = rng.randrange(self.universes[n])
            self.send('ZREMRANGEBYRANK', z, first, first + rng.randrange(20))
        elif kind < 86:
            low = rng.randrange(self.universes[n])
            self.send('ZREMRANGEBYSCORE', z, low, low + rng.randrange(20))
        elif kind < 90:
            self.send('ZPOPMIN', rng.choice((z, made)), rng.choice((1, 3, 50)))
        elif kind < 93:
            self.send('ZRANGESTORE', made, z, 0, rng.choice((5, 100, 5000)))
        elif kind < 95:
            self.send('ZUNIONSTORE', made, 2, z, other)
        elif kind < 97:
            self.send('COPY', z, made, 'REPLACE')
        elif kind < 98:
            self.send(*rng.choice((('PEXPIREAT', z, self.far_away()), ('PERSIST', z))))
        elif rng.random() < 0.15:
            self.send('DEL', z)
