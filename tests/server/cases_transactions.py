"""Transactions: all or nothing before every witness, a conflict is never overlooked, and what a change of leaders does to them."""

import os
import signal
import threading

from cases_nodes import Together
from cases_waiting import leader_and_follower, process_id
from harness import Closed, Error, Wire, encode, expect, expect_that, wait_until

ABORTED = Error('EXECABORT Transaction discarded because of previous errors.')


def queue(c, *commands):
    """MULTI and these; EXEC is the caller's."""
    c.send(encode('MULTI') + b''.join(encode(*command) for command in commands))
    expect(c.replies(1 + len(commands)), ['OK'] + ['QUEUED'] * len(commands))


def execute(c, *commands):
    queue(c, *commands)
    return c.call('EXEC')


def one_array(run):
    """Writes, reads and commands about the connection run in their places; what fails does not keep the rest from running."""
    s = run.server()
    with s.connect() as c:
        got = execute(c, ('SET', 'a', 1), ('GET', 'a'), ('LPUSH', 'a', 'x'), ('SELECT', 3), ('SET', 'a', 3), ('GET', 'a'), ('PING',),
                      ('SELECT', 0), ('INCR', 'a'), ('SELECT', 3))
        expect(got[2].split(' ')[0], 'WRONGTYPE')
        expect(got[:2] + got[3:], ['OK', b'1', 'OK', 'OK', b'3', 'PONG', 'OK', 2, 'OK'])
        expect(c.call('GET', 'a'), b'3')
        expect(execute(c, ('HELLO', 3), ('GET', 'no'))[1].__class__.__name__, 'Null3')
        expect(execute(c), [])
        # A pipeline of transactions, with other commands before, between and behind.
        text = b''.join(encode('INCR', 'n') + encode('MULTI') + encode('INCR', 'n') + encode('GET', 'n') + encode('EXEC')
                        + encode('GET', 'n') for _ in range(100))
        c.send(text)
        for i in range(100):
            n = 2 * i + 1
            expect(c.replies(6), [n, 'OK', 'QUEUED', 'QUEUED', [n + 1, b'%d' % (n + 1)], b'%d' % (n + 1)])


def refused_commands_doom_it(run):
    s = run.server()
    with s.connect() as c:
        for wrong in (('nosuch',), ('GET',), ('SAVE',)):
            c.ok('MULTI')
            expect(c.call('SET', 'k', 1), 'QUEUED')
            expect_that(isinstance(c.call(*wrong), Error), 'an error')
            expect(c.call('EXEC'), ABORTED)
        expect(c.call('EXISTS', 'k'), 0)
        c.ok('MULTI')
        expect(c.call('RESET'), 'RESET')
        expect_that(isinstance(c.call('DISCARD'), Error), 'nothing to discard')


def nothing_comes_between(run):
    """Readers in other connections never see half of a transaction, however it is sent."""
    s = run.server()
    stop, wrong, seen = threading.Event(), [], [0]
    names = [f'k{i}' for i in range(10)]

    def read():
        with s.connect() as c:
            while not stop.is_set():
                got = c.call('MGET', *names) if seen[0] % 2 else execute(c, *(('GET', name) for name in names))
                seen[0] += 1
                if len(set(got)) != 1:
                    wrong.append(got)
                    return

    readers = [threading.Thread(target=read) for _ in range(3)]
    for r in readers:
        r.start()
    with s.connect() as c, s.connect() as other:
        for i in range(200):
            other.command('INCR', 'noise')
            c.send(encode('MULTI') + b''.join(encode('SET', name, i) + encode('GET', names[0]) for name in names) + encode('EXEC'))
            c.replies(1 + 2 * len(names))
            expect(c.reply(), ['OK', b'%d' % i] * len(names))
            other.reply()
    wait_until(lambda: seen[0] > 100 or wrong, 'readers have read')
    stop.set()
    for r in readers:
        r.join()
    expect(wrong, [])


def conflicts(run):
    """Whatever changes a watched key, in whatever connection, answered or still on its way."""
    s = run.server()
    changes = [('SET', 'w', 2), ('DEL', 'w'), ('APPEND', 'w', 'x'), ('EXPIRE', 'w', 1000), ('RENAME', 'w', 'v'), ('FLUSHALL',),
               ('FLUSHDB',), ('SWAPDB', 0, 5), ('MOVE', 'w', 4), ('COPY', 'other', 'w', 'REPLACE'), ('RENAME', 'other', 'w'),
               ('SORT', 'list', 'STORE', 'w'), ('PEXPIRE', 'w', 0), ('SETEX', 'w', 10, 'x'), ('RESTORE', 'w', 0, None, 'REPLACE')]
    with s.connect() as c, s.connect() as other:
        def prepare():
            other.call('FLUSHALL')
            other.ok('SET', 'w', 1)
            other.ok('SET', 'other', 1)
            other.call('RPUSH', 'list', 2, 1)
        prepare()
        payload = other.call('DUMP', 'other')
        for change in changes:
            change = tuple(payload if a is None else a for a in change)
            for how in ('answered', 'in one go', 'in a transaction', 'its own'):
                prepare()
                c.ok('WATCH', 'unrelated', 'w')
                if how == 'its own':                        # a pipeline: the change is not answered when EXEC comes
                    c.send(encode(*change) + encode('MULTI') + encode('SET', 'done', 1) + encode('EXEC'))
                    c.replies(3)
                    expect(c.reply(), None, f'{change} {how}')
                    expect(other.call('EXISTS', 'done'), 0)
                    continue
                if how == 'answered':
                    other.call(*change)
                elif how == 'in a transaction':
                    execute(other, change)
                queue(c, ('SET', 'done', 1))
                if how == 'in one go':
                    # The server reads both in one turn, or one after the other; at the latest EXEC comes behind the change.
                    other.send(encode(*change))
                    c.send(encode('EXEC'))
                    got, _ = c.reply(), other.reply()
                    expect_that(got in (None, ['OK']), f'{change} {how}: {got}')
                    continue
                expect(c.call('EXEC'), None, f'{change} {how}')
                expect(other.call('EXISTS', 'done'), 0)


def no_conflicts(run):
    """What leaves the watched keys alone, and what ends the watch."""
    s = run.server()
    with s.connect() as c, s.connect() as other:
        other.ok('SET', 'w', 1)
        for harmless in (('SET', 'x', 1), ('GET', 'w'), ('SETNX', 'w', 2), ('DEL', 'none'), ('EXPIRE', 'none', 10), ('PERSIST', 'w'),
                         ('SWAPDB', 5, 6)):
            c.ok('WATCH', 'w')
            other.call(*harmless)
            expect(execute(c, ('SET', 'done', 1)), ['OK'], str(harmless))
        for end in (('UNWATCH',), ('EXEC',), ('DISCARD',)):
            c.ok('WATCH', 'w')
            if end != ('UNWATCH',):
                c.ok('MULTI')
            other.ok('SET', 'w', 2)
            c.call(*end)
            expect(execute(c, ('SET', 'done', 1)), ['OK'], str(end))
        c.ok('WATCH', 'w')
        c.ok('SELECT', 1)
        other.ok('SELECT', 1)
        other.ok('SET', 'w', 3)                             # of another database
        expect(execute(c, ('PING',)), ['PONG'])


def expiry_of_watched_keys(run):
    """A key that expires after it was watched is a conflict; one that had expired before is none."""
    s = run.server('--enable-debug-command', 'yes')
    with s.connect() as c:
        c.ok('SET', 'w', 1, 'PX', 30)
        c.ok('WATCH', 'w')
        wait_until(lambda: s.call('EXISTS', 'w') == 0, 'it expires')
        expect(execute(c, ('SET', 'done', 1)), None)
        c.ok('DEBUG', 'SET-ACTIVE-EXPIRE', 0)
        c.ok('SET', 'w', 1, 'PX', 1)
        wait_until(lambda: s.call('EXISTS', 'w') == 0, 'it expires')
        c.ok('WATCH', 'w')
        expect(execute(c, ('SET', 'done', 1)), ['OK'])
        c.ok('SET', 'w', 1, 'PX', 1)
        wait_until(lambda: s.call('EXISTS', 'w') == 0, 'it expires')
        c.ok('WATCH', 'w')
        s.call('DEL', 'w')                                  # gone before, gone after
        expect(execute(c, ('SET', 'done', 1)), ['OK'])


def counting_together(run):
    """Many who count with WATCH, GET, SET and try again when they must: no count is lost, none is made twice."""
    s = run.server()
    count, done = 40, []

    def work():
        with s.connect() as c:
            for _ in range(count):
                while True:
                    c.ok('WATCH', 'n')
                    n = int(c.call('GET', 'n') or 0)
                    if execute(c, ('SET', 'n', n + 1), ('INCR', 'times')) is not None:
                        break
            done.append(True)

    workers = [threading.Thread(target=work) for _ in range(5)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    expect(len(done), 5)
    expect((s.call('GET', 'n'), s.call('GET', 'times')), (b'%d' % (5 * count),) * 2)


def killed_in_between(run):
    """After a crash each transaction has happened as a whole or not at all; those that were answered have."""
    s = run.server()
    names = [f'k{i}' for i in range(20)]
    for _ in range(3):
        answered = [int(s.call('GET', names[0]) or 0)]

        def write(answered=answered):
            try:
                with s.connect() as c:
                    while True:
                        n = answered[0] + 1
                        execute(c, *(('SET', name, n) for name in names))
                        answered[0] = n
            except (Closed, OSError):
                pass

        began = answered[0]
        t = threading.Thread(target=write)
        t.start()
        wait_until(lambda: answered[0] > began + run.rng.randrange(20, 60), 'transactions are answered')  # noqa: B023
        s.kill()
        t.join()
        s.start()
        got = s.call('MGET', *names)
        expect(len(set(got)), 1, f'half a transaction: {got}')
        expect_that(int(got[0]) in (answered[0], answered[0] + 1), f'{got[0]} when {answered[0]} was answered')


def waiters_get_it_afterwards(run):
    """Who waits in BLPOP is served when the whole transaction is done, from what it left; in it, nothing waits."""
    s = run.server()
    with s.connect() as c, s.connect() as w:
        w.command('BLPOP', 'list', 0)
        wait_until(lambda: s.info('clients')['blocked_clients'] == '1', 'it waits')
        expect(execute(c, ('RPUSH', 'list', 'a'), ('DEL', 'list')), [1, 1])
        expect(execute(c, ('RPUSH', 'list', 'a'), ('RPUSH', 'list', 'b'), ('LLEN', 'list'), ('LPOP', 'list')), [1, 2, 2, b'a'])
        expect(w.reply(), [b'list', b'b'])
        expect(execute(c, ('BLPOP', 'list', 0), ('BLMOVE', 'list', 'x', 'LEFT', 'LEFT', 0), ('XREAD', 'BLOCK', 0, 'STREAMS', 's', '$')),
               [None, None, None])


def through_a_follower(run):
    """A transaction of a client of a follower is the leader's: atomic, watched, with its session's changes."""
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    with Wire(follower) as c, Wire(leader) as there:
        expect(execute(c, ('SET', 'a', 1), ('GET', 'a'), ('PING',), ('CLIENT', 'GETNAME')), ['OK', b'1', 'PONG', None])
        c.ok('WATCH', 'a')
        there.ok('SET', 'a', 2)
        expect(execute(c, ('SET', 'a', 3)), None)
        c.ok('WATCH', 'a')
        expect(c.call('GET', 'a'), b'2')
        expect(execute(c, ('INCR', 'a')), [3])
        c.ok('MULTI')
        expect_that(isinstance(c.call('nosuch'), Error), 'an error')
        expect(c.call('EXEC'), ABORTED)
        # A pipeline: what follows EXEC uses the database that the transaction selected, if it did.
        c.send(encode('MULTI') + encode('SELECT', 2) + encode('SET', 'a', 'two') + encode('EXEC') + encode('GET', 'a') + encode('PING'))
        expect(c.replies(6), ['OK', 'QUEUED', 'QUEUED', ['OK', 'OK'], b'two', 'PONG'])
        c.send(encode('MULTI') + encode('SELECT', 0) + encode('nosuch') + encode('EXEC') + encode('GET', 'a'))
        expect(c.replies(5)[3:], [ABORTED, b'two'])
        c.ok('MULTI')
        expect(c.call('SET', 'a', 'not'), 'QUEUED')
        expect(c.call('RESET'), 'RESET')
        expect(c.call('GET', 'a'), b'3')
        expect_that(isinstance(c.call('EXEC'), Error), 'no transaction is left')


def a_leader_that_dies(run):
    """Who has begun a transaction, or watches, finds the connection closed, whichever node it is connected to."""
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    begun, watching, executed, idle = (Wire(follower) for _ in range(4))
    queue(begun, ('INCR', 'n'))
    watching.ok('WATCH', 'n')
    expect(execute(executed, ('INCR', 'n')), [1])
    idle.ok('SET', 'x', 1)
    os.kill(process_id(t, leader), signal.SIGKILL)
    begun.expect_end()
    watching.expect_end()
    expect(executed.call('GET', 'n'), b'1')                 # had nothing there any more
    expect(idle.call('GET', 'x'), b'1')
    t.end(signal.SIGTERM, 1)                                # one of its nodes did not end by itself


def a_leader_that_hands_over(run):
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    here, there, watching = Wire(leader), Wire(follower), Wire(leader)
    queue(here, ('INCR', 'n'))
    queue(there, ('INCR', 'n'))
    watching.ok('WATCH', 'n')
    expect(t.call(leader, 'RAFT.TRANSFER_LEADER'), 'OK')
    for c in (here, there, watching):
        c.expect_end()
    expect(t.call(follower, 'EXISTS', 'n'), 0)


def never_twice(run):
    """Clients of all nodes count in transactions while leaders are killed: an answered one happened once, any other at most once."""
    t = Together(run).start()
    leader, _ = leader_and_follower(t)
    stop, lock = threading.Event(), threading.Lock()
    sure, unknown = [0], [0]

    def work(port):
        c = None
        while not stop.is_set():
            sent = False
            try:
                c = c or Wire(port, timeout=30)
                queue(c, ('INCR', 'n'), ('INCR', 'm'))
                sent = True
                got = c.call('EXEC')
                with lock:
                    sure[0] += isinstance(got, list)
            except (Closed, OSError):
                with lock:
                    unknown[0] += sent
                c = None
            except Exception:                               # noqa: BLE001  the node is going
                c = None
    workers = [threading.Thread(target=work, args=(port,)) for port in t.ports if port != leader for _ in range(2)]
    for w in workers:
        w.start()
    wait_until(lambda: sure[0] > 20, 'transactions are answered')
    os.kill(process_id(t, leader), signal.SIGKILL)
    before = sure[0]
    wait_until(lambda: sure[0] > before + 20, 'and again')
    stop.set()
    for w in workers:
        w.join()
    other = next(p for p in t.ports if p != leader)
    n, m = int(t.call(other, 'GET', 'n')), int(t.call(other, 'GET', 'm'))
    expect(n, m, 'half a transaction')
    expect_that(sure[0] <= n <= sure[0] + unknown[0], f'{n} happened, {sure[0]} were answered, {unknown[0]} are unknown')
    t.end(signal.SIGTERM, 1)


CASES = [one_array, refused_commands_doom_it, nothing_comes_between, conflicts, no_conflicts, expiry_of_watched_keys, counting_together,
         killed_in_between, waiters_get_it_afterwards, through_a_follower, a_leader_that_dies, a_leader_that_hands_over, never_twice]
