"""Hashes and sets for the crash tests: what a model must know to say what each reply is, and an actor that makes small and big
ones. Values are never changed in place: a new one takes the old one's place, so that models can be copied as they are."""


class AnyOrder(list):
    """A reply of these items, in whatever order."""


def pairs_of(flat):
    return dict(zip(flat[::2], flat[1::2]))


class CollectionModel:
    """A part of harness.Model: a database maps a key to (bytes, dict or frozenset; deadline)."""

    @staticmethod
    def keep(d, k, value):
        """What stays there keeps its deadline; what is empty is no key."""
        if value:
            d[k] = (value, d[k][1] if k in d else None)
        else:
            d.pop(k, None)

    def do_hset(self, d, k, *flat):
        old = d[k][0] if k in d else {}
        new = {**old, **pairs_of(flat)}
        self.keep(d, k, new)
        return len(new) - len(old)

    def do_hsetnx(self, d, k, f, v):
        return 0 if k in d and f in d[k][0] else self.do_hset(d, k, f, v)

    def do_hdel(self, d, k, *fields):
        old = d[k][0] if k in d else {}
        gone = set(fields) & old.keys()
        if gone:
            self.keep(d, k, {f: v for f, v in old.items() if f not in gone})
        return len(gone)

    def do_hincrby(self, d, k, f, n):
        value = int(d[k][0].get(f, b'0') if k in d else 0) + n
        self.do_hset(d, k, f, b'%d' % value)
        return value

    def do_hget(self, d, k, f):
        return d[k][0].get(f) if k in d else None

    def do_hlen(self, d, k):
        return len(d[k][0]) if k in d else 0

    do_scard = do_hlen

    def do_sadd(self, d, k, *members):
        old = d[k][0] if k in d else frozenset()
        self.keep(d, k, old.union(members))
        return len(d[k][0]) - len(old)

    def do_srem(self, d, k, *members):
        old = d[k][0] if k in d else frozenset()
        new = old.difference(members)
        self.keep(d, k, new)
        return len(old) - len(new)

    def do_smove(self, d, a, b, member):
        if not self.do_sismember(d, a, member):
            return 0
        if a != b:
            self.do_srem(d, a, member)
            self.do_sadd(d, b, member)
        return 1

    def do_sismember(self, d, k, member):
        return int(k in d and member in d[k][0])

    def do_spop(self, d, k, count):
        """Of more members than there are: which ones would come is chance."""
        old = d.pop(k)[0] if k in d else frozenset()
        assert count >= len(old)
        return AnyOrder(old)

    def store(self, d, target, value):
        d.pop(target, None)
        self.keep(d, target, value)
        return len(value)

    def do_sunionstore(self, d, target, *keys):
        return self.store(d, target, frozenset().union(*(d[k][0] for k in keys if k in d)))

    def do_sinterstore(self, d, target, first, *keys):
        value = d[first][0] if first in d else frozenset()
        return self.store(d, target, value.intersection(*(d[k][0] if k in d else () for k in keys)))

    def do_sdiffstore(self, d, target, first, *keys):
        value = d[first][0] if first in d else frozenset()
        return self.store(d, target, value.difference(*(d[k][0] for k in keys if k in d)))


class CollectionLoad:
    """What an actor of hashes and sets does: next(), and how its keys are read. Key n of a kind has items from a universe that
    grows with n, so the first stay small and the last are trees of hundreds of leaves."""

    dbs = (0,)
    universes = (20, 120, 600, 4000)

    def read_command(self, k):
        return 'HGETALL' if k[len(self.prefix):][:1] == b'h' else 'SMEMBERS'

    @staticmethod
    def read_value(command, reply):
        return (pairs_of(reply) if command == 'HGETALL' else frozenset(reply)) or None

    def items(self, n, many):
        universe, rng = self.universes[n], self.rng
        if many:
            first, count = rng.randrange(universe), rng.randint(1, min(150, universe))
            return [(first + i) % universe for i in range(count)]
        return [rng.randrange(universe) for _ in range(rng.choice((1, 1, 1, 2, 5)))]

    def member(self, n, item):
        return b'%d' % (item * 7919) if n % 2 == 0 else b'member:%d' % item

    def next(self):
        rng = self.rng
        n = rng.randrange(len(self.universes))
        items = self.items(n, rng.random() < 0.08)
        h, s, other = (self.prefix + b'%s:%d' % (kind, m) for kind, m in
                       ((b'h', n), (b's', n), (b's', rng.randrange(len(self.universes)))))
        fields = [b'field:%d' % i for i in items]
        members = [self.member(n, i) for i in items]
        kind = rng.randrange(100)
        if kind < 30:
            self.send('HSET', h, *(x for f in fields for x in (f, b'%d' % rng.randrange(10 ** 9) if rng.random() < 0.5 else
                                                            rng.randbytes(rng.choice((3, 20, 50))))))
        elif kind < 42:
            self.send('HDEL', h, *fields)
        elif kind < 50:
            self.send('HINCRBY', h, b'counter:%d' % rng.randrange(5), rng.randint(-100, 1000))
        elif kind < 52:
            self.send('HSETNX', h, fields[0], b'first')
        elif kind < 56:
            self.send(*rng.choice((('HGET', h, fields[0]), ('HLEN', h), ('SCARD', s), ('SISMEMBER', s, members[0]))))
        elif kind < 76:
            self.send('SADD', s, *members)
        elif kind < 88:
            self.send('SREM', s, *members)
        elif kind < 91:
            self.send('SMOVE', s, other, members[0])
        elif kind < 94:
            name = rng.choice(('SUNIONSTORE', 'SINTERSTORE', 'SDIFFSTORE'))
            self.send(name, self.prefix + b's:%d' % rng.randrange(4, 7), s, other)
        elif kind < 95:
            self.send('SPOP', self.prefix + b's:%d' % rng.randrange(4, 7), 10 ** 6)
        elif kind < 96:
            self.send('COPY', h, self.prefix + b'h:%d' % rng.randrange(4, 7), 'REPLACE')
        elif kind < 97:
            self.send('RENAME', self.prefix + b'h:%d' % rng.randrange(4, 7), self.prefix + b'h:%d' % rng.randrange(4, 7))
        elif kind < 98:
            self.send(*rng.choice((('PEXPIREAT', h, self.far_away()), ('PERSIST', h))))
        elif rng.random() < 0.15:
            self.send('DEL', rng.choice((h, s)))
