"""MIGRATE, to Redis and to ourselves: what arrives is gone here, what does not is kept, what changes meanwhile is kept as well; and
that nobody else waits for the other side."""

import os
import signal
import socket
import threading

from cases_nodes import Together
from cases_waiting import leader_and_follower
from harness import Error, Server, Wire, encode, expect, expect_that, wait_until

REDIS = '/usr/bin/redis-server'


def target_of(run, *options):
    """Redis if there is one, else a server of ours."""
    if not os.path.exists(REDIS):
        return run.server(*options)
    s = Server(REDIS, options)
    run.servers.append(s)
    return s.start()


class Stranger:
    """Somebody who takes one connection and answers what the test says, when it says so."""

    def __init__(self):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.listener.settimeout(60)
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def meet(self, words):
        """The connection, once everything up to the word `words` was sent."""
        conn, _ = self.listener.accept()
        conn.settimeout(60)
        got = b''
        while words not in got:
            got += conn.recv(1 << 16)
        return conn


def keys_go_and_arrive(run):
    """One, several, copies, replacements, deadlines, passwords; errors in Redis's words."""
    s, t = run.server(), target_of(run)
    there = ('127.0.0.1', t.port)
    with s.connect() as c, t.connect() as o:
        c.ok('SET', 'a', 1)
        c.ok('MIGRATE', *there, 'a', 0, 1000)
        expect((c.call('EXISTS', 'a'), o.call('GET', 'a')), (0, b'1'))
        expect(c.call('MIGRATE', *there, 'a', 0, 1000), 'NOKEY')
        c.ok('SET', 'a', 2)
        busy = Error('ERR Target instance replied with error: BUSYKEY Target key name already exists.')
        expect(c.call('MIGRATE', *there, 'a', 0, 1000), busy)
        c.ok('MIGRATE', *there, 'a', 0, 1000, 'REPLACE', 'COPY')
        expect((c.call('GET', 'a'), o.call('GET', 'a')), (b'2', b'2'))
        members = [b'm%d' % i for i in range(3000)]
        c.call('RPUSH', 'list', *members)
        c.call('SADD', 'set', *members)
        c.call('XADD', 'stream', '1-1', 'f', 'v')
        c.ok('SET', 'ends', 'x', 'EX', 1000)
        c.ok('MIGRATE', *there, '', 3, 1000, 'KEYS', 'list', 'none', 'set', 'stream', 'ends')
        expect(c.call('KEYS', '*'), [b'a'])
        o.ok('SELECT', 3)
        expect(o.call('LRANGE', 'list', 0, -1), members)
        expect((o.call('SCARD', 'set'), o.call('XLEN', 'stream')), (3000, 1))
        expect_that(990 < o.call('TTL', 'ends') <= 1000, 'its deadline came along')
        o.ok('SELECT', 4)
        c.ok('SET', 'twice', 1)
        c.ok('MIGRATE', *there, '', 4, 1000, 'REPLACE', 'KEYS', 'twice', 'twice')
        expect((c.call('EXISTS', 'twice'), o.call('GET', 'twice')), (0, b'1'))
        # One of three is refused there: it alone is kept here.
        o.ok('SELECT', 0)
        c.ok('MSET', 'b', 1, 'c', 1)
        expect(c.call('MIGRATE', *there, '', 0, 1000, 'KEYS', 'a', 'b', 'c'), busy)
        expect(c.call('KEYS', '*'), [b'a'])
        o.ok('CONFIG', 'SET', 'requirepass', 'word')
        expect_that('NOAUTH' in c.call('MIGRATE', *there, 'a', 0, 1000, 'REPLACE'), 'without a password')
        expect_that('WRONGPASS' in c.call('MIGRATE', *there, 'a', 0, 1000, 'REPLACE', 'AUTH', 'no'), 'with a wrong one')
        c.ok('MIGRATE', *there, 'a', 0, 1000, 'REPLACE', 'AUTH2', 'default', 'word')
        expect(c.call('DBSIZE'), 0)
        c.ok('SET', 'a', 1)
        expect(c.call('MIGRATE', '127.0.0.1', s.another_port(), 'a', 0, 1000),
               Error('IOERR error or timeout writing to target instance'))
        expect(c.call('MIGRATE', 'no.such.name.invalid', 1, 'a', 0, 1000),
               Error('IOERR error or timeout connecting to the client'))
        c.ok('MULTI')
        expect(c.call('MIGRATE', *there, 'a', 0, 1000), Error('ERR Command not allowed inside a transaction'))
        c.call('DISCARD')
        expect_that('not allowed from script' in c.call('EVAL', "return redis.call('migrate', 'h', 1, 'a', 0, 1)", 1, 'a'), 'scripts')
        expect(c.call('RESTORE-ASKING', 'new', 0, c.call('DUMP', 'a')), 'OK')
        expect(c.call('GET', 'new'), b'1')


def replicas_are_told(run):
    """Who follows as a replica of Redis sees a DEL of what is gone."""
    s, t = run.server(), target_of(run)
    with s.connect() as c, s.connect() as replica:
        c.ok('MSET', 'a', 1, 'b', 2, 'c', 3)
        replica.send(b'SYNC\r\n')
        replica.input.read(int(replica.input.readline()[1:]))
        c.ok('MIGRATE', '127.0.0.1', t.port, '', 0, 5000, 'KEYS', 'a', 'none', 'b')
        told = replica.reply()
        while told in ([b'SELECT', b'0'], [b'PING']):
            told = replica.reply()
        expect(told, [b'DEL', b'a', b'b'])


def to_itself(run):
    """The server it comes from is a target as well: nothing waits for itself."""
    s = run.server()
    with s.connect() as c:
        c.call('RPUSH', 'k', *range(1000))
        c.ok('MIGRATE', '127.0.0.1', s.port, 'k', 5, 5000)
        expect(c.call('EXISTS', 'k'), 0)
        c.ok('SELECT', 5)
        expect(c.call('LLEN', 'k'), 1000)
        # In one database it takes its own place, and looks as it did. It is the only one that there is.
        expect(c.call('MIGRATE', '127.0.0.1', s.port, 'k', 5, 5000, 'REPLACE'),
               Error('ERR keys that changed here while they were migrated: 1. They were kept, and the target has them as they '
                     'were before'))
        expect(c.call('LLEN', 'k'), 1000)
        expect(c.call('MIGRATE', '127.0.0.1', s.port, 'k', 5, 5000),
               Error('ERR Target instance replied with error: BUSYKEY Target key name already exists.'))


def meanwhile(run):
    """The other side takes its time: others are served, what changes is kept, and so is what got no answer."""
    s = run.server()
    with s.connect() as c, s.connect() as d, Stranger() as there:
        d.ok('MSET', 'a', 1, 'b', 1, 'c', 1, 'gone', 1)
        c.send(encode('MIGRATE', '127.0.0.1', there.port, '', 0, 60000, 'KEYS', 'a', 'b', 'gone') + encode('GET', 'a'))
        with there.meet(b'gone') as conn:
            expect(d.call('GET', 'a'), b'1')
            d.call('INCR', 'b')
            d.call('DEL', 'gone')
            conn.sendall(b'+OK\r\n+O')
            expect(d.call('GET', 'b'), b'2')
            conn.sendall(b'K\r\n+OK\r\n+OK\r\n')
            expect(c.reply(), Error('ERR keys that changed here while they were migrated: 2. They were kept, and the target has '
                                    'them as they were before'))
            expect(c.reply(), None)
        expect(d.call('MGET', 'a', 'b'), [None, b'2'])
        d.ok('SET', 'a', 1)
        # It answers for one of two, and goes.
        c.command('MIGRATE', '127.0.0.1', there.port, '', 0, 60000, 'KEYS', 'a', 'c')
        with there.meet(b'\r\nc\r\n') as conn:
            conn.sendall(b'+OK\r\n+OK\r\n')
        expect(c.reply(), Error('IOERR error or timeout reading to target instance'))
        expect(d.call('MGET', 'a', 'c'), [None, b'1'])
        # It says nothing at all.
        c.command('MIGRATE', '127.0.0.1', there.port, 'c', 0, 50)
        with there.meet(b'\r\nc\r\n'):
            expect(c.reply(), Error('IOERR error or timeout reading to target instance'))
        expect(d.call('GET', 'c'), b'1')
        # Its client goes: what has arrived is gone here all the same.
        gone = s.connect()
        gone.command('MIGRATE', '127.0.0.1', there.port, 'c', 0, 60000)
        with there.meet(b'\r\nc\r\n') as conn:
            gone.reset()
            wait_until(lambda: len(s.clients()) == 2, 'its client is gone')
            conn.sendall(b'+OK\r\n+OK\r\n')
            wait_until(lambda: d.call('EXISTS', 'c') == 0, 'what has arrived is deleted')
        # The server is stopped in the middle.
        d.ok('SET', 'c', 1)
        d.ok('CONFIG', 'SET', 'shutdown-timeout', 0)
        c.command('MIGRATE', '127.0.0.1', there.port, 'c', 0, 60000)
        with there.meet(b'\r\nc\r\n'):
            s.stop()
    s.start()
    expect(s.call('GET', 'c'), b'1')


def many_at_once(run):
    """All of them arrive, whoever asks."""
    s, t = run.server(), target_of(run)

    def work(n):
        with s.connect() as c:
            for i in range(20):
                c.ok('SET', f'{n}:{i}', n)
                c.ok('MIGRATE', '127.0.0.1', t.port, f'{n}:{i}', 0, 60000)
    workers = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    expect((s.call('DBSIZE'), t.call('DBSIZE')), (0, 160))


def from_any_node(run):
    """A follower passes it on; a leader that is deposed in the middle keeps everything, or its connection ends."""
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    with Wire(follower) as c, Wire(leader) as d, Stranger() as there:
        c.ok('SET', 'a', 1)
        other = target_of(run)
        c.ok('MIGRATE', '127.0.0.1', other.port, 'a', 0, 60000)
        expect((d.call('GET', 'a'), other.call('GET', 'a')), (None, b'1'))
        d.ok('SET', 'a', 2)
        d.command('MIGRATE', '127.0.0.1', there.port, 'a', 0, 60000)
        with there.meet(b'\r\na\r\n') as conn:
            t.call(leader, 'RAFT.TRANSFER_LEADER')
            wait_until(lambda: t.call(leader, 'ROLE')[0] == b'slave', 'another one leads')
            conn.sendall(b'+OK\r\n+OK\r\n')
            expect(d.reply(), Error('ERR leadership moved while keys were migrated: the target has some, and all are still here'))
        expect(d.call('GET', 'a'), b'2')
        d.ok('MIGRATE', '127.0.0.1', other.port, 'a', 0, 60000, 'REPLACE')
        for port in t.ports:
            expect(t.call(port, 'DBSIZE'), 0)
    t.end(signal.SIGTERM)


CASES = [keys_go_and_arrive, replicas_are_told, to_itself, meanwhile, many_at_once, from_any_node]
