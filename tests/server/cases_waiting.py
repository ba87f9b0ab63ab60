"""Commands that wait (BLPOP and its like): who is served when, what ends a wait, and that nothing is lost or given twice."""

import collections
import os
import signal
import threading
import time

from cases_nodes import Together
from harness import Closed, Error, Wire, encode, expect, expect_that, wait_until


def wait_for_waiters(s, count):
    wait_until(lambda: int(s.info('clients')['blocked_clients']) == count, f'{count} clients wait')


def waiter(s, *command):
    """A connection that waits in this command; the one after it comes later in line."""
    before = int(s.info('clients')['blocked_clients'])
    c = s.connect()
    c.command(*command)
    wait_for_waiters(s, before + 1)
    return c


def in_order_of_arrival(run):
    """First come, first served; one push of several elements serves several; the rest stays."""
    s = run.server()
    waiters = [waiter(s, 'BLPOP', 'list', 0) for _ in range(4)]
    with s.connect() as c:
        expect(c.call('RPUSH', 'list', 'a'), 1)
        expect(waiters[0].reply(), [b'list', b'a'])
        expect(c.call('RPUSH', 'list', 'b', 'c'), 2)
        expect([w.reply() for w in waiters[1:3]], [[b'list', b'b'], [b'list', b'c']])
        expect(c.call('LPUSH', 'list', 'x', 'y', 'z'), 3)
        expect(waiters[3].reply(), [b'list', b'z'])
        expect(c.call('LRANGE', 'list', 0, -1), [b'y', b'x'])
    wait_for_waiters(s, 0)


def the_key_that_is_ready(run):
    """Who waits for several keys gets the one that came; other types under the others do not matter; a key twice is once."""
    s = run.server()
    with s.connect() as c:
        w = waiter(s, 'BLPOP', 'a', 'b', 'a', 'c', 0)
        c.ok('SET', 'a', 'text')
        c.ok('SET', 'b', 'text')
        expect(c.call('RPUSH', 'c', 'found'), 1)
        expect(w.reply(), [b'c', b'found'])
        w = waiter(s, 'BLMPOP', 0, 2, 'd', 'e', 'RIGHT', 'COUNT', 2)
        expect(c.call('RPUSH', 'e', 1, 2, 3), 3)
        expect(w.reply(), [b'e', [b'3', b'2']])
        expect(c.call('LRANGE', 'e', 0, -1), [b'1'])


def nothing_comes_between(run):
    """In a pipeline, what is behind the push finds the list as the waiters left it; so does a chain of moves."""
    s = run.server()
    with s.connect() as c:
        w = waiter(s, 'BRPOP', 'list', 0)
        c.send(encode('RPUSH', 'list', 'a') + encode('LLEN', 'list') + encode('RPUSH', 'list', 'b') + encode('LRANGE', 'list', 0, -1))
        expect(c.replies(4), [1, 0, 1, [b'b']])
        expect(w.reply(), [b'list', b'a'])
        length = run.rng.randrange(2, 14)
        chain = [waiter(s, 'BLMOVE', f'{i}', f'{i + 1}', 'LEFT', 'RIGHT', 0) for i in range(length)]
        c.send(encode('RPUSH', '0', 'x') + b''.join(encode('LRANGE', i, 0, -1) for i in range(length + 1)))
        expect(c.replies(length + 2), [1] + [[]] * length + [[b'x']])
        expect([w.reply() for w in chain], [b'x'] * length)
        circle = [waiter(s, 'BRPOPLPUSH', 'p', 'q', 0), waiter(s, 'BRPOPLPUSH', 'q', 'p', 0)]
        c.send(encode('RPUSH', 'p', 'x') + encode('LRANGE', 'p', 0, -1) + encode('LRANGE', 'q', 0, -1))
        expect(c.replies(3), [1, [b'x'], []])
        expect([w.reply() for w in circle], [b'x', b'x'])


def a_destination_of_another_type(run):
    """The mover is told, nothing is lost, and the next in line gets it."""
    s = run.server()
    with s.connect() as c:
        c.ok('SET', 'text', 'x')
        first, second = waiter(s, 'BLMOVE', 'from', 'text', 'LEFT', 'LEFT', 0), waiter(s, 'BLPOP', 'from', 0)
        expect(c.call('RPUSH', 'from', 'a'), 1)
        expect(first.reply(), Error('WRONGTYPE Operation against a key holding the wrong kind of value'))
        expect(second.reply(), [b'from', b'a'])
        first.command('BLPOP', 'from', 0)               # and may go on
        expect(c.call('RPUSH', 'from', 'b'), 1)
        expect(first.reply(), [b'from', b'b'])


def ways_of_coming_into_being(run):
    """A list that is renamed, copied, moved, restored, swapped or moved to the key serves who waits there."""
    s = run.server()
    with s.connect() as c:
        def served(*commands):
            w = waiter(s, 'BLPOP', 'k', 0)
            for command in commands:
                expect_that(not isinstance(c.call(*command), Error), command)
            expect(w.reply(), [b'k', b'v'], commands[-1][0])
            c.ok('FLUSHALL')
        served(('RPUSH', 'other', 'v', 'w'), ('RENAME', 'other', 'k'))
        served(('RPUSH', 'other', 'v', 'w'), ('COPY', 'other', 'k'))
        served(('RPUSH', 'other', 'v'), ('LMOVE', 'other', 'k', 'LEFT', 'LEFT'))
        served(('RPUSH', 'other', 'v'), ('RPOPLPUSH', 'other', 'k'))
        served(('SELECT', 5), ('RPUSH', 'k', 'v'), ('MOVE', 'k', 0), ('SELECT', 0))
        served(('SELECT', 5), ('RPUSH', 'k', 'v'), ('SELECT', 0), ('SWAPDB', 5, 0))
        served(('SELECT', 5), ('RPUSH', 'x', 'v'), ('COPY', 'x', 'k', 'DB', 0), ('SELECT', 0))
        w = waiter(s, 'BLPOP', 'k', 0)
        many = waiter(s, 'BLPOP', 'k', 0)
        c.call('RPUSH', 'other', 'v', 'w')
        c.ok('RENAME', 'other', 'k')
        expect([w.reply(), many.reply()], [[b'k', b'v'], [b'k', b'w']])


def sorted_sets(run):
    """Each kind of pop takes its own end, in order of arrival; who waits for a list is not served by a sorted set."""
    s = run.server()
    with s.connect() as c:
        waiters = [waiter(s, *w) for w in (('BLPOP', 'z', 0), ('BZPOPMIN', 'z', 0), ('BZPOPMAX', 'x', 'z', 0),
                                           ('BZMPOP', 0, 2, 'x', 'z', 'MIN', 'COUNT', 2), ('BZPOPMIN', 'z', 0))]
        c.send(encode('ZADD', 'z', 1, 'a', 2, 'b', 3, 'c', 4, 'd') + encode('EXISTS', 'z'))
        expect(c.replies(2), [4, 0])
        expect(waiters[1].reply(), [b'z', b'a', b'1'])
        expect(waiters[2].reply(), [b'z', b'd', b'4'])
        expect(waiters[3].reply(), [b'z', [[b'b', b'2'], [b'c', b'3']]])
        expect(c.call('ZADD', 'z', 5, 'e'), 1)
        expect(waiters[4].reply(), [b'z', b'e', b'5'])
        expect(c.call('RPUSH', 'z', 'v'), 1)
        expect(waiters[0].reply(), [b'z', b'v'])


def readers_of_streams(run):
    """Everybody who reads gets it, also when the stream is gone with the next command; who begins later sees only what is later."""
    s = run.server()
    with s.connect() as c:
        expect(c.call('XADD', 's', '1-1', 'f', 'old'), b'1-1')
        readers = [waiter(s, 'XREAD', 'BLOCK', 0, 'STREAMS', 's', 't', '$', '$') for _ in range(3)]
        popper = waiter(s, 'BLPOP', 't', 0)
        c.send(encode('XADD', 's', '2-1', 'f', 'new') + encode('XADD', 't', '5-5', 'f', 'later') + encode('DEL', 's', 't'))
        expect(c.replies(3), [b'2-1', b'5-5', 2])
        for r in readers:
            expect(r.reply(), [[b's', [[b'2-1', [b'f', b'new']]]]])
        expect(c.call('RPUSH', 't', 'v'), 1)
        expect(popper.reply(), [b't', b'v'])
        expect(c.call('DEL', 't'), 0)
        expect(readers[0].call('XREAD', 'BLOCK', 20, 'STREAMS', 's', '$'), None)


def groups_of_streams(run):
    """A new entry goes to one of those who wait in a group, the first; the others hear when stream or group is gone."""
    s = run.server()
    with s.connect() as c:
        c.ok('XGROUP', 'CREATE', 's', 'g', '$', 'MKSTREAM')
        waiters = [waiter(s, 'XREADGROUP', 'GROUP', 'g', f'c{i}', 'BLOCK', 0, 'STREAMS', 's', '>') for i in range(4)]
        c.send(encode('XADD', 's', '1-1', 'f', 'v') + encode('XPENDING', 's', 'g'))
        expect(c.replies(2), [b'1-1', [1, b'1-1', b'1-1', [[b'c0', b'1']]]])
        expect(waiters[0].reply(), [[b's', [[b'1-1', [b'f', b'v']]]]])
        expect(c.call('XADD', 's', '1-2', 'f', 'w'), b'1-2')
        expect(waiters[1].reply(), [[b's', [[b'1-2', [b'f', b'w']]]]])
        expect(c.call('DEL', 's'), 1)
        for w in waiters[2:]:
            expect_that(str(w.reply()).startswith('UNBLOCKED'), 'the stream is gone')
        wait_for_waiters(s, 0)


def transactions(run):
    """Who waits is served when all of a transaction is done, before anything else; inside of one nothing waits."""
    s = run.server()
    with s.connect() as c:
        def transaction(*commands, behind=()):
            c.send(b''.join(encode(*x) for x in [('MULTI',), *commands, ('EXEC',), *behind]))
            return c.replies(len(commands) + 2 + len(behind))[len(commands) + 1:]
        first, second = waiter(s, 'BLPOP', 'k', 0), waiter(s, 'BLPOP', 'other', 'k', 0)
        expect(transaction(('RPUSH', 'k', 'a'), ('LLEN', 'k'), ('DEL', 'k')), [[1, 1, 1]])
        expect(transaction(('RPUSH', 'k', 'a'), ('LPUSH', 'k', 'b'), behind=[('LRANGE', 'k', 0, -1)]), [[1, 2], []])
        expect([first.reply(), second.reply()], [[b'k', b'b'], [b'k', b'a']])
        expect(transaction(('BLPOP', 'k', 0), ('BLMOVE', 'k', 'l', 'LEFT', 'LEFT', 0), ('RPUSH', 'k', 'v'), ('BRPOP', 'k', 0)),
               [[None, None, 1, [b'k', b'v']]])
        mover, taker = waiter(s, 'BRPOPLPUSH', 'k', 'l', 0), waiter(s, 'BLPOP', 'l', 0)
        with s.connect() as watcher:
            watcher.ok('WATCH', 'l')
            expect(transaction(('SET', 'x', 1), ('RPUSH', 'k', 'v'), behind=[('EXISTS', 'k', 'l')]), [['OK', 1], 0])
            watcher.ok('MULTI')
            watcher.command('PING')
            watcher.command('EXEC')
            expect(watcher.replies(2), ['QUEUED', None])
        expect([mover.reply(), taker.reply()], [b'v', [b'l', b'v']])


def other_databases(run):
    """A key of another database is another key."""
    s = run.server()
    with s.connect() as c:
        w = s.connect()
        w.ok('SELECT', 3)
        w.command('BLPOP', 'k', 0)
        wait_for_waiters(s, 1)
        expect(c.call('RPUSH', 'k', 'here'), 1)
        c.ok('SELECT', 3)
        expect(c.call('RPUSH', 'k', 'there'), 1)
        expect(w.reply(), [b'k', b'there'])
        expect(c.call('EXISTS', 'k'), 0)


def time_outs(run):
    """Not before its time, null, in the order of the deadlines; what comes afterwards stays in the list."""
    s = run.server()
    spans = [0.3, 0.05, 0.15]
    waiters = [s.connect() for _ in spans]
    began = time.monotonic()
    for w, span in zip(waiters, spans):
        w.command('BLPOP', 'k', span)
    for i in (1, 2, 0):
        expect(waiters[i].reply(), None)
        expect_that(time.monotonic() - began >= spans[i] - 0.002, 'not too early')
    wait_for_waiters(s, 0)
    expect(s.call('RPUSH', 'k', 'v'), 1)
    expect(s.call('LLEN', 'k'), 1)
    with s.connect() as c:
        c.call('HELLO', 3)
        expect(repr(c.call('BLMOVE', 'none', 'k', 'LEFT', 'LEFT', 0.01)), 'NULL3')


def time_outs_beside_pushes(run):
    """However time-outs, pushes and clients that hang up fall together: each element goes to one client at most, those
    whose client was there are not lost, and each list's elements come in order."""
    s = run.server()
    end, got, lost = time.monotonic() + 3, collections.Counter(), [0]
    lock = threading.Lock()

    def worker(rng):
        c = s.connect()
        while time.monotonic() < end:
            c.command('BLPOP', 'a', 'b', rng.choice([0.001, 0.002, 0.01]))
            if rng.random() < 0.1:
                with lock:
                    lost[0] += 1                         # at most: what it would have been given
                c.close() if rng.random() < 0.5 else c.reset()
                c = s.connect()
                continue
            reply = c.reply()
            if reply is not None:
                with lock:
                    got[reply[1]] += 1
        c.close()

    threads = [threading.Thread(target=worker, args=(type(run.rng)(run.rng.random()),)) for _ in range(6)]
    for t in threads:
        t.start()
    pushed = 0
    with s.connect() as c:
        while time.monotonic() < end:
            for _ in range(run.rng.randrange(1, 4)):
                c.call('RPUSH', run.rng.choice('ab'), pushed)
                pushed += 1
            time.sleep(run.rng.random() * 0.003)
        for t in threads:
            t.join()
        left = c.call('LRANGE', 'a', 0, -1) + c.call('LRANGE', 'b', 0, -1)
    expect([e for e, n in got.items() if n > 1], [], 'given twice')
    expect_that(not set(left) & set(got), 'given, and still there')
    expect_that(pushed - len(left) - len(got) <= lost[0], f'{pushed} pushed, {len(got)} given, {len(left)} left, {lost[0]} gone')


def pipelines_behind(run):
    """What is sent behind a command that waits is done when it was answered, and not before."""
    s = run.server()
    with s.connect() as c:
        w = s.connect()
        w.send(encode('SET', 'first', 1) + encode('BLPOP', 'k', 0) + encode('SET', 'behind', 1) + encode('GET', 'behind') + encode('BLPOP', 'k', 0.05) +
               encode('PING'))
        expect(w.reply(), 'OK')
        wait_for_waiters(s, 1)
        expect(c.call('EXISTS', 'first', 'behind'), 1)
        w.send(encode('ECHO', 'more'))                  # read, and kept
        expect(c.call('RPUSH', 'k', 'v'), 1)
        expect(w.replies(6), [[b'k', b'v'], 'OK', b'1', None, 'PONG', b'more'])
        # In one entry with one that could have waited, but does not say so.
        w.send(encode('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 'none', '>') + encode('BLPOP', 'k', 0.05) + encode('INCR', 'n') +
               encode('BLPOP', 'k', 0.001) + encode('PING'))
        expect_that(str(w.reply()).startswith('NOGROUP'), 'there is no such group')
        expect(w.replies(4), [None, 1, None, 'PONG'])


def what_is_gone_takes_nothing(run):
    """A client that hangs up, is reset or killed while it waits leaves its place to the next."""
    s = run.server()
    with s.connect() as c:
        for leave in ('close', 'reset', 'half', 'kill'):
            gone, behind = waiter(s, 'BLPOP', 'k', 0), waiter(s, 'BLPOP', 'k', 0)
            if leave == 'half':
                gone.end_of_output()
                gone.expect_end()
            elif leave == 'kill':
                who = min(int(x['id']) for x in s.clients() if x['flags'] == 'b')
                expect(c.call('CLIENT', 'KILL', 'ID', who), 1)
                gone.expect_end()
            else:
                getattr(gone, leave)()
            wait_for_waiters(s, 1)
            expect(c.call('RPUSH', 'k', 'v'), 1, leave)
            expect(behind.reply(), [b'k', b'v'], leave)
            expect(c.call('LLEN', 'k'), 0)


def client_unblock(run):
    """As when the time is over, or with an error; who does not wait is told apart."""
    s = run.server()
    with s.connect() as c:
        w = s.connect()
        me = w.call('CLIENT', 'ID')
        expect(c.call('CLIENT', 'UNBLOCK', me), 0)
        w.command('BRPOP', 'k', 0)
        wait_for_waiters(s, 1)
        expect([x['flags'] for x in s.clients() if int(x['id']) == me], ['b'])
        expect(c.call('CLIENT', 'UNBLOCK', me), 1)
        expect(w.reply(), None)
        w.command('BRPOP', 'k', 5)
        wait_for_waiters(s, 1)
        expect(c.call('CLIENT', 'UNBLOCK', me, 'ERROR'), 1)
        expect(w.reply(), Error('UNBLOCKED client unblocked via CLIENT UNBLOCK'))
        expect(c.call('CLIENT', 'UNBLOCK', me, 'TIMEOUT'), 0)
        expect(c.call('RPUSH', 'k', 'v'), 1)
        expect(w.call('BRPOP', 'k', 0), [b'k', b'v'])


def nothing_to_take(run):
    """What finds nothing is not written to the log; what finds something is, also behind a write of its own that is on its way."""
    s = run.server('--enable-debug-command', 'yes')

    def applied():
        return s.info('raft').get('raft_last_applied_index')

    with s.connect() as c:
        c.ok('SET', 'text', 'x')
        before = applied()
        for command, answer in ((('LPOP', 'k'), None), (('RPOP', 'k', 2), None), (('SPOP', 'k'), None), (('DEL', 'k', 'l', 'm'), 0),
                                (('HDEL', 'k', 'f'), 0), (('GETDEL', 'k'), None), (('LMPOP', 2, 'k', 'l', 'LEFT'), None),
                                (('LMOVE', 'k', 'text', 'LEFT', 'LEFT'), None), (('SMOVE', 'k', 'text', 'm'), 0)):
            expect(c.call(*command), answer)
        expect(applied(), before)
        with s.connect() as w:
            w.command('BLPOP', 'k', 'l', 0)
            wait_for_waiters(s, 1)
            expect(applied(), before)
            expect(c.call('RPUSH', 'l', 'a'), 1)
            expect(w.reply(), [b'l', b'a'])
        c.ok('XGROUP', 'CREATE', 's', 'g', '$', 'MKSTREAM')
        c.ok('XGROUP', 'CREATE', 'short', 'g', '$', 'MKSTREAM')
        expect(c.call('PEXPIRE', 'short', 3600000), 1)
        before = applied()
        expect(c.call('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's', '>'), None)
        expect(c.call('XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 1, 'STREAMS', 's', '>'), None)
        expect(applied(), before)
        expect(c.call('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 'short', '>'), None)  # it may expire, which is a change
        expect_that(int(applied()) > int(before), 'what may expire goes through the log')
        expect(c.call('XADD', 's', '1-1', 'f', 'v'), b'1-1')
        expect(c.call('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's', '>'), [[b's', [[b'1-1', [b'f', b'v']]]]])
        before = applied()
        expect(c.call('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's', '0'), [[b's', [[b'1-1', [b'f', b'v']]]]])
        expect_that(int(applied()) > int(before), 'history is delivered again')
        c.send(encode('LPOP', 'k') + encode('RPUSH', 'k', 'a') + encode('LPOP', 'k') + encode('LPOP', 'k') + encode('DEL', 'text', 'k'))
        expect(c.replies(5), [None, 1, b'a', None, 1])
        expect(c.call('SET', 'gone', 'x', 'PX', 1), 'OK')
        wait_until(lambda: c.call('GETDEL', 'gone') is None, 'its time is over')
        # Nor is what is there already.
        expect(c.call('SADD', 'members', 'a', 1, 'b'), 3)
        before = applied()
        expect(c.call('SADD', 'members', 'b', 'a', 'b'), 0)
        expect(c.call('SADD', 'members', 1), 0)
        expect(applied(), before)
        expect(c.call('SADD', 'members', 'a', 'c'), 1)
        expect_that(applied() != before, 'a new member is in the log')
        expect(c.call('SCARD', 'members'), 4)
        c.send(encode('SADD', 'members', 'd') + encode('SREM', 'members', 'd') + encode('SADD', 'members', 'd'))
        expect(c.replies(3), [1, 1, 1])
        # A key whose time is over is deleted by whoever meets it: by an entry, or the nodes would differ.
        c.ok('DEBUG', 'SET-ACTIVE-EXPIRE', 0)
        expect(c.call('SADD', 'over', 'm'), 1)
        expect(c.call('PEXPIRE', 'over', 1), 1)
        wait_until(lambda: c.call('EXISTS', 'over') == 0, 'its time is over')
        before = applied()
        expect(c.call('SMOVE', 'nothing', 'over', 'm'), 0)
        expect_that(applied() != before, 'deleting a key whose time is over is in the log')
        expect(c.call('SADD', 'over', 'm'), 1)


def behind_a_large_reply(run):
    """Whose output is more than is held for a client when its wait ends is heard again once it has left."""
    s = run.server()
    big = b'x' * (24 << 20)
    with s.connect() as c:
        c.ok('SET', 'big', big)
        for _ in range(5):
            c.send(encode('SET', 'k', 1) + encode('GET', 'big') + encode('BLPOP', 'l', '0.001') + encode('SET', 'k', 2) + encode('GET', 'k'))
            expect(c.replies(5), ['OK', big, None, 'OK', b'2'])


def many_who_wait(run):
    """Hundreds, on keys of their own and on one: each gets one, in order, whoever pushes."""
    s = run.server()
    with s.connect() as c:
        waiters = []
        for i in range(300):
            w = s.connect()
            w.command('BLPOP', f'own:{i}', 'shared', 0)
            waiters.append(w)
            if i % 50 == 49:
                wait_for_waiters(s, i + 1)
        first = [w for i, w in enumerate(waiters) if i < 50]   # their order among themselves is not known, but they are the first
        expect(c.call('RPUSH', 'shared', *range(50)), 50)
        expect(sorted(int(w.reply()[1]) for w in first), list(range(50)))
        for i in run.rng.sample(range(50, 300), 50):
            expect(c.call('RPUSH', f'own:{i}', i), 1)
            expect(waiters[i].reply(), [b'own:%d' % i, b'%d' % i])
            waiters[i] = None
        c.call('RPUSH', 'elsewhere', *range(250))
        c.ok('RENAME', 'elsewhere', 'shared')
        expect(sorted(int(w.reply()[1]) for w in waiters[50:] if w), list(range(200)))
        expect(c.call('LLEN', 'shared'), 50)


def stopping(run):
    """A server that stops does not wait for those who wait."""
    s = run.server()
    waiters = [waiter(s, 'BLPOP', 'k', 0) for _ in range(3)]
    s.stop()
    for w in waiters:
        w.expect_end()


# ------------------------------------------------------------------------------------------------- three nodes

def leader_and_follower(t):
    role = {port: t.call(port, 'ROLE')[0] for port in t.ports}
    return next(p for p in t.ports if role[p] == b'master'), next(p for p in t.ports if role[p] == b'slave')


def node_waiters(t, port, count):
    def look():
        return f'blocked_clients:{count}\r' in t.call(port, 'INFO', 'clients').decode()
    wait_until(look, f'{count} clients wait at {port}')


def process_id(t, port):
    return int(dict(line.split(':', 1) for line in t.call(port, 'INFO', 'server').decode().split('\r\n') if ':' in line)['process_id'])


def through_a_follower(run):
    """Served, timed out, and given up when its client hangs up, as at the leader."""
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    with Wire(follower) as c:
        w = Wire(follower)
        w.command('BLPOP', 'k', 0)
        node_waiters(t, leader, 1)
        node_waiters(t, follower, 1)
        expect(c.call('RPUSH', 'k', 'v'), 1)
        expect(w.reply(), [b'k', b'v'])
        node_waiters(t, follower, 0)
        expect(w.call('BLPOP', 'k', 0.05), None)
        for leave in ('close', 'reset', 'end_of_output'):
            w.send(encode('BLPOP', 'k', 0) + encode('PING'))
            node_waiters(t, leader, 1)
            getattr(w, leave)()
            node_waiters(t, leader, 0)
            node_waiters(t, follower, 0)
            if leave == 'end_of_output':
                w.expect_end()
            w = Wire(follower)
        me = w.call('CLIENT', 'ID')
        expect(c.call('CLIENT', 'UNBLOCK', me), 0)
        w.command('BLPOP', 'k', 0)
        node_waiters(t, leader, 1)
        expect(c.call('CLIENT', 'UNBLOCK', me, 'ERROR'), 1)
        expect(w.reply(), Error('UNBLOCKED client unblocked via CLIENT UNBLOCK'))
        w.command('BLPOP', 'k', 0)
        node_waiters(t, leader, 1)
        expect(c.call('CLIENT', 'UNBLOCK', me), 1)
        expect(w.reply(), None)
        w.close()
        w = Wire(follower)
        expect(c.call('RPUSH', 'k', 'kept'), 1)
        expect(c.call('LLEN', 'k'), 1)
        expect(c.call('WAIT', 2, 5000) >= 1, True)
        w.command('WAIT', 5, 0)                         # for more nodes than there are
        node_waiters(t, leader, 1)
        w.close()
        node_waiters(t, leader, 0)


def waiting_for_nodes(run):
    """WAIT counts the other nodes that have what the connection wrote, and waits for them, through any node."""
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    sleeper = next(p for p in t.ports if p not in (leader, follower))
    with Wire(follower) as c, Wire(leader) as idle:
        c.ok('SET', 'k', 1)
        expect(c.call('WAIT', 2, 0), 2)
        pid = process_id(t, sleeper)
        os.kill(pid, signal.SIGSTOP)
        try:
            c.ok('SET', 'k', 2)
            began = time.monotonic()
            expect(c.call('WAIT', 2, 300), 1)
            expect_that(time.monotonic() - began >= 0.298, 'not before its time')
            expect(c.call('WAIT', 1, 0), 1)
            expect(idle.call('WAIT', 2, 0), 2)          # has written nothing
            c.command('WAIT', 2, 0)
            node_waiters(t, leader, 1)
        finally:
            os.kill(pid, signal.SIGCONT)
        expect(c.reply(), 2)


def a_leader_that_hands_over(run):
    """Ends all waits with an error; nothing was taken, and the next leader serves who asks again."""
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    here, there = Wire(leader), Wire(follower)
    for i, w in enumerate((here, there)):
        w.command('BLPOP', 'k', 0)
        node_waiters(t, leader, i + 1)
    expect(t.call(leader, 'RAFT.TRANSFER_LEADER'), 'OK')
    expect_that(str(here.reply()).startswith('UNBLOCKED force unblock'), 'the error')
    here.expect_end()
    try:
        expect_that(str(there.reply()).startswith('UNBLOCKED force unblock'), 'the error, or the end')
    except Closed:
        pass
    with Wire(follower) as c:
        expect(c.call('RPUSH', 'k', 'a', 'b'), 2)
        expect(c.call('LPOP', 'k'), b'a')
    with Wire(leader) as w:
        expect(w.call('BLPOP', 'k', 0), [b'k', b'b'])


def a_leader_that_dies(run):
    """Who waited through another node finds the connection closed, and what it waited for untouched."""
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    w = Wire(follower)
    w.command('BRPOP', 'k', 0)
    node_waiters(t, leader, 1)
    pid = process_id(t, leader)
    os.kill(pid, signal.SIGSTOP)                        # hangs rather than dies: the connection says nothing
    try:
        w.rest()
        with Wire(follower) as c:
            expect(c.call('RPUSH', 'k', 'v'), 1)
            expect(c.call('BRPOP', 'k', 0), [b'k', b'v'])
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: t.call(leader, 'EXISTS', 'k') == 0, 'it is back')


CASES = [in_order_of_arrival, the_key_that_is_ready, nothing_comes_between, a_destination_of_another_type, ways_of_coming_into_being,
         sorted_sets, readers_of_streams, groups_of_streams, transactions, other_databases, time_outs, time_outs_beside_pushes, pipelines_behind,
         what_is_gone_takes_nothing, client_unblock, nothing_to_take, behind_a_large_reply,
         many_who_wait, stopping, through_a_follower, waiting_for_nodes, a_leader_that_hands_over, a_leader_that_dies]
