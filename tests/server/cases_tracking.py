"""Client side caching: what is told, when and in which place, on one node and through followers; leaders that change."""

import os
import signal
import time

from cases_nodes import Together
from cases_waiting import leader_and_follower, process_id
from harness import NULL3, Closed, Error, Wire, encode, expect, expect_that, wait_until


def resp3(c):
    c.call('HELLO', 3)
    return c


def invalidated(*keys):
    return [b'invalidate', [k.encode() for k in keys]]


def behind_the_reply(run):
    """What a client changes itself it hears behind the reply, in pipelines and transactions as well; CLIENT CACHING is about the
    command behind it, whatever is still unanswered before it."""
    s = run.server()
    with resp3(s.connect()) as c, s.connect() as other:
        c.ok('CLIENT', 'TRACKING', 'ON')
        expect(c.call('MGET', 'a', 'b'), [NULL3, NULL3])
        c.send(encode('SET', 'a', 1) + encode('GET', 'a') + encode('MULTI') + encode('INCR', 'a') + encode('SET', 'b', 1)
               + encode('GET', 'a') + encode('EXEC') + encode('INCR', 'a'))
        expect(c.replies(7), ['OK', invalidated('a'), b'1', 'OK', 'QUEUED', 'QUEUED', 'QUEUED'])
        expect(c.replies(5), [[2, 'OK', b'2'], invalidated('a'), invalidated('b'), 3, invalidated('a')])
        c.ok('CLIENT', 'TRACKING', 'OFF')
        c.ok('CLIENT', 'TRACKING', 'ON', 'OPTIN')
        c.send(encode('SET', 'x', 1) + encode('GET', 'p') + encode('CLIENT', 'CACHING', 'YES') + encode('GET', 'q') + encode('GET', 'r')
               + encode('SET', 'x', 2) + encode('CLIENT', 'CACHING', 'YES') + encode('MULTI') + encode('GET', 't') + encode('SET', 'x', 3)
               + encode('GET', 'u') + encode('EXEC') + encode('GET', 'v'))
        expect(c.replies(13)[11:], [[NULL3, 'OK', NULL3], NULL3])
        expect(other.call('MSET', *(w for k in 'pqrtuv' for w in (k, 1))), 'OK')
        expect(c.replies(3), [invalidated('q'), invalidated('t'), invalidated('u')])
        expect_that(c.is_quiet(), 'nothing more is told')


def what_expires(run):
    """A key that expires is told of as one that is deleted."""
    s = run.server()
    with resp3(s.connect()) as c, resp3(s.connect()) as all_of_them, s.connect() as other:
        c.ok('CLIENT', 'TRACKING', 'ON')
        all_of_them.ok('CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', 'k')
        other.ok('SET', 'k', 1, 'PX', 100)
        expect(all_of_them.reply(), invalidated('k'))
        expect(c.call('GET', 'k'), b'1')
        expect(c.reply(), invalidated('k'))
        expect(all_of_them.reply(), invalidated('k'))


def redirected(follower_or_leader, others):
    """By ids of the node that all three are connected to; to a subscriber in RESP2, or to anybody in RESP3."""
    with Wire(follower_or_leader) as c, Wire(follower_or_leader) as listener, resp3(Wire(follower_or_leader)) as other:
        ids = [w.call('CLIENT', 'ID') for w in (listener, other)]
        expect(listener.call('SUBSCRIBE', '__redis__:invalidate'), [b'subscribe', b'__redis__:invalidate', 1])
        expect_that(isinstance(c.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', 99999), Error), 'an id nobody has is refused')
        for at, want in enumerate(([b'message', b'__redis__:invalidate', [b'k']], invalidated('k'))):
            c.ok('CLIENT', 'TRACKING', 'ON', 'REDIRECT', ids[at])
            expect(c.call('CLIENT', 'GETREDIR'), ids[at])
            for w in others:
                c.call('GET', 'k')
                w.ok('SET', 'k', at)
                expect((listener, other)[at].reply(), want)
        expect(other.call('CLIENT', 'ID'), ids[1])
        other.close()
        c.call('GET', 'k')
        wait_until(lambda: others[0].call('SET', 'k', 9) and c.call('GET', 'k') and b'broken_redirect' in str(c.call('CLIENT', 'TRACKINGINFO')).encode(),
                   'it is known that the other one has gone')


def to_somebody_else(run):
    """REDIRECT, on one node."""
    s = run.server()
    with s.connect() as other:
        redirected(s.port, [other])


class Cache:
    """A client that keeps what it reads until it is told otherwise."""

    def __init__(self, port):
        self.wire, self.kept = resp3(Wire(port)), {}
        self.wire.ok('CLIENT', 'TRACKING', 'ON')

    def _reply(self):
        while True:
            got = self.wire.reply()
            if not (isinstance(got, list) and got and got[0] == b'invalidate'):
                return got
            if got[1] is NULL3:
                self.kept.clear()
            else:
                for key in got[1]:
                    self.kept.pop(key.decode(), None)

    def call(self, *args):
        self.wire.command(*args)
        return self._reply()

    def read(self, key):
        if key not in self.kept:
            got = self.call('GET', key)
            self.kept[key] = got


def caches_hold_the_truth(run):
    """Clients of all nodes read and keep, write, flush, let expire: when all is quiet, nobody keeps what is not so."""
    t = Together(run).start()
    ports = list(t.ports)
    caches = [Cache(ports[i % len(ports)]) for i in range(9)]
    keys = [f'key:{i}' for i in range(40)]
    for step in range(1500):
        c, key, what = run.rng.choice(caches), run.rng.choice(keys), run.rng.randrange(100)
        if what < 60:
            c.read(key)
        elif what < 80:
            c.call('SET', key, step)
        elif what < 85:
            c.call('SET', key, step, 'PX', run.rng.randrange(1, 200))
        elif what < 90:
            c.call('RENAME', key, run.rng.choice(keys))
        elif what < 95:
            c.call('MULTI')
            c.call('GET', key)
            c.call('SET', run.rng.choice(keys), step)
            c.call('EXEC')
        elif what < 99 or step > 1000:                      # the caches fill again before the end
            c.call('DEL', key, run.rng.choice(keys))
        else:
            c.call('FLUSHALL')
    with Wire(ports[0]) as w:
        wait_until(lambda: all(w.call('PTTL', k) < 0 for k in keys), 'all that expires has expired')
    time.sleep(0.3)                                         # and its removal has been applied
    for c in caches:
        c.call('PING')
    kept = 0
    with resp3(Wire(ports[0])) as w:
        for key in keys:
            now = w.call('GET', key)
            for i, c in enumerate(caches):
                if key in c.kept:
                    kept += 1
                    expect(c.kept[key], now, f'{key} in cache {i}')
    expect_that(kept > 20, 'something was kept')
    leader, _ = leader_and_follower(t)
    with Wire(leader) as w:
        expect_that(b'tracking_clients:9' in w.call('INFO', 'clients'), 'all of them track at the leader')
        for c in caches:
            c.wire.close()
        wait_until(lambda: b'tracking_clients:0' in w.call('INFO', 'clients'), 'nobody tracks')
        expect_that(b'tracking_total_keys:0' in w.call('INFO', 'stats'), 'nothing is tracked')


def through_a_follower(run):
    """REDIRECT by ids of a follower, broadcasts, and what is said about the connection."""
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    third = next(p for p in t.ports if p not in (leader, follower))
    with Wire(leader) as a, Wire(follower) as b, Wire(third) as d:
        redirected(follower, [a, b, d])
        redirected(leader, [a, b, d])
        with resp3(Wire(follower)) as c:
            me = c.call('CLIENT', 'ID')
            c.ok('CLIENT', 'SETNAME', 'me')
            c.ok('CLIENT', 'TRACKING', 'OFF')
            c.ok('CLIENT', 'TRACKING', 'ON', 'BCAST', 'NOLOOP')
            expect(c.call('CLIENT', 'ID'), me)
            expect(c.call('HELLO')[b'id'], me)
            expect(c.call('CLIENT', 'GETNAME'), b'me')
            expect_that(b' flags=tB ' in c.call('CLIENT', 'INFO'), 'flags of the connection')
            c.ok('SET', 'own', 1)
            for w in (a, b, d):
                w.ok('SET', 'k', 1)
                expect(c.reply(), invalidated('k'))
            with Wire(follower) as pauses:                  # the node it is connected to holds it
                pauses.ok('CLIENT', 'PAUSE', 60000, 'WRITE')
                expect(c.call('GET', 'k'), b'1')
                c.send(encode('SET', 'own', 2) + encode('PING'))
                expect_that(c.is_quiet(), 'the write waits')
                pauses.ok('CLIENT', 'UNPAUSE')
                expect(c.replies(2), ['OK', 'PONG'])
            expect(c.call('RESET'), 'RESET')
            a.ok('SET', 'k', 2)
            expect(c.call('CLIENT', 'TRACKINGINFO')[1], [b'off'])


def a_leader_that_changes(run):
    """Whoever tracks is cut off, so that no cache goes on without anybody who knows of it; nobody else is."""
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    for how in ('hands over', 'dies'):
        caches = {port: Cache(port) for port in t.ports}
        plain = {port: Wire(port) for port in t.ports}
        for c in caches.values():
            c.read('k')
        for c in plain.values():
            c.call('GET', 'k')
        if how == 'dies':
            os.kill(process_id(t, leader), signal.SIGKILL)
        else:
            expect(t.call(leader, 'RAFT.TRANSFER_LEADER'), 'OK')
        for c in caches.values():
            try:
                while True:
                    c._reply()
            except (Closed, OSError):
                pass
        for port, c in plain.items():
            if how != 'dies' or port != leader:
                c.ok('SET', 'k', how)
        with Wire(follower) as w:
            old, leader = leader, int(w.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster')[1])
        follower = next(p for p in t.ports if p not in (old, leader))
    c = Cache(follower)                                     # and all begins anew
    c.read('k')
    t.call(leader, 'SET', 'k', 'new')
    c.call('PING')
    expect(c.kept, {})
    t.end(signal.SIGTERM, 1)                                # one of its nodes did not end by itself


CASES = [behind_the_reply, what_expires, to_somebody_else, caches_hold_the_truth, through_a_follower, a_leader_that_changes]
