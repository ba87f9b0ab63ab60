"""Copies of the data as RDB files, for who asks by SYNC: that Redis reads them and has the same, and goes on having the same from
what follows; whose state they are, who reads slowly, leaves or is one too many, and who is refused."""

import os
import signal
import subprocess
import sys
import threading

from cases_nodes import Together
from cases_waiting import leader_and_follower
from harness import Closed, Error, Server, Skipped, Wire, encode, expect, expect_that, wait_until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'diff'))
from payload import meaning, value as in_any_encoding  # noqa: E402

REDIS = '/usr/bin/redis-server'
LIBRARY = b"#!lua name=lib\nredis.register_function('f', function() return 'of a copy' end)"
COPIES_AT_ONCE = 4
SMALL = 256 << 10    # a receive buffer: little fits into the way, and yet it is no trickle
LARGE = 100 << 10    # a hundredth of the data, of which the way takes only a part
NO_REPLICAS = Error('ERR replicas of Redis cannot follow this server: nodes replicate through the Raft log. A copy of the '
                    'data is what redis-cli --rdb asks for')


def ask(port, *wishes, **how):
    """A connection that has asked for a copy, as redis-cli does; nothing of the answer is read."""
    c = Wire(port, **how)
    for name, value in (('capa', 'eof'), ('rdb-only', '1')) + wishes:
        c.ok('REPLCONF', name, value)
    c.send(b'SYNC\r\n')
    return c


def read_copy(c):
    """The file."""
    head = c.input.readline()
    if not head.startswith(b'$'):
        raise Closed(f'no copy, but {head!r}')
    if head.startswith(b'$EOF:'):
        data = c.rest()
        mark = head[5:-2]
        expect(len(mark), 40, 'the mark')
        expect(data[-40:], mark, 'the end of the copy')
        data = data[:-40]
    else:
        data = c.input.read(int(head[1:]))
        expect(len(data), int(head[1:]), 'bytes of the copy')
    expect(data[:9], b'REDIS0010')
    return data


def copy_of(port, *wishes):
    with ask(port, *wishes) as c:
        return read_copy(c)


def redis_with(run, data):
    """Redis, with this file."""
    if not os.path.exists(REDIS):
        raise Skipped('there is no redis-server to read the copy')
    s = Server(REDIS, ('--dbfilename', 'copy.rdb', '--databases', '16'))
    run.servers.append(s)
    with open(os.path.join(s.dir, 'copy.rdb'), 'wb') as f:
        f.write(data)
    check = subprocess.run(['redis-check-rdb', f.name], stdout=subprocess.PIPE, check=False)
    expect(check.returncode, 0, check.stdout.decode(errors='replace')[-500:])
    return s.start()


def fill(run, c):
    """Values of every type and encoding, small and big, in three databases; some end, some groups read."""
    rng = run.rng

    def word():
        return rng.choice([b'%d' % rng.randrange(-10 ** rng.randrange(1, 19), 10 ** rng.randrange(1, 19)),
                           bytes(rng.randrange(256) for _ in range(rng.randrange(30))),
                           b'again and ' * rng.randrange(1, 8)])
    for db in (0, 3, 15):
        c.ok('SELECT', db)
        requests = []
        for n in range(12):
            size = rng.choice([1, 3, 20, 200, 1500])
            many = [b'%d %s' % (i, word()) if rng.randrange(2) else b'%d' % i for i in range(size)]
            pairs = [w for m in many for w in (m, word())]
            scored = [w for m in many for w in (rng.choice([b'%d' % rng.randrange(50), b'%.17g' % rng.random(), b'-inf']), m)]
            requests += [('SET', f's{n}', word()), ('RPUSH', f'l{n}', *many), ('SADD', f'u{n}', *many),
                         ('SADD', f'i{n}', *range(size)), ('HSET', f'h{n}', *pairs), ('ZADD', f'z{n}', *scored)]
            requests += [('XADD', f'x{n}', f'{i + 1}-{rng.randrange(3)}', *pairs[:2 * rng.randrange(1, 4)])
                         for i in range(min(size, 150))]
            requests += [('XDEL', f'x{n}', '1-0', '1-1', '3-0'), ('XGROUP', 'CREATE', f'x{n}', 'g', 0),
                         ('XREADGROUP', 'GROUP', 'g', 'one', 'COUNT', rng.randrange(1, 40), 'STREAMS', f'x{n}', '>'),
                         ('XREADGROUP', 'GROUP', 'g', 'two', 'COUNT', rng.randrange(1, 40), 'STREAMS', f'x{n}', '>'),
                         ('XGROUP', 'CREATE', f'x{n}', 'late', '$')]
            for kind in rng.sample('sluihzx', 2):
                requests.append(('PEXPIREAT', f'{kind}{n}', 4000000000000 + rng.randrange(1000)))
        requests += [('SET', 'large', b'%d' % rng.random() * 300000), ('PFADD', 'hll', *range(300)), ('SETBIT', 'bits', 9999, 1)]
        c.send(b''.join(encode(*r) for r in requests))
        for request, reply in zip(requests, c.replies(len(requests))):
            expect_that(not isinstance(reply, Error), f'{request[:3]!r} says {reply!r}')
    c.ok('SELECT', 0)
    expect(c.call('FUNCTION', 'LOAD', LIBRARY), b'lib')


def everything(c):
    """All that there is: database and key -> deadline and what DUMP means."""
    out = {}
    for db in range(16):
        c.ok('SELECT', db)
        keys = c.call('KEYS', '*')
        c.send(b''.join(encode('DUMP', k) + encode('PEXPIRETIME', k) for k in keys))
        for k in keys:
            value = meaning(c.reply())
            out[db, k] = (c.reply(), value)
    c.ok('SELECT', 0)
    return out


def as_shown(c):
    """everything(), but values in whatever encoding (Redis chooses anew when it reads a file), and of streams what commands show:
    Redis does not tell when consumers were seen, or have read how many, and how entries are packed depends on how they were
    trimmed."""
    out = everything(c)
    for (db, k), (deadline, value) in out.items():
        if value[0] != 'stream':
            out[db, k] = deadline, in_any_encoding(value)
            continue
        c.ok('SELECT', db)
        groups = [dict(zip(g[::2], g[1::2])) for g in c.call('XINFO', 'GROUPS', k)]
        out[db, k] = deadline, ('stream', c.call('XRANGE', k, '-', '+'), [
            (g[b'name'], g[b'last-delivered-id'], [(p[0], p[1], p[3]) for p in c.call('XPENDING', k, g[b'name'], '-', '+', 10000)])
            for g in groups])
    c.ok('SELECT', 0)
    return out


def redis_has_the_same(run):
    """Every value and deadline, and functions; by a mark behind the file or by a length in front of it."""
    s = run.server()
    with s.connect() as c:
        fill(run, c)
        copies = [copy_of(s.port)]
        with s.connect() as plain:
            plain.send(b'SYNC\r\n')
            copies.append(read_copy(plain))
        ours = everything(c)
    expect(len(ours), 3 * (7 * 12 + 3), 'keys')
    for data in copies:
        other = redis_with(run, data)
        with other.connect() as c:
            theirs = everything(c)
            differ = [k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k)]
            expect(sorted(differ), [], 'keys that differ')
            expect(c.call('FCALL', 'f', 0), b'of a copy')
        other.stop()
    functions = copy_of(s.port, ('rdb-filter-only', 'functions'))
    other = redis_with(run, functions)
    expect(other.call('FCALL', 'f', 0), b'of a copy')
    expect(other.call('INFO', 'keyspace').strip(), b'# Keyspace')


def some_writes(run, count):
    """Of all that does not go as it was said, and some of what does."""
    rng = run.rng

    def one():
        n, size = rng.randrange(12), rng.randrange(1, 5)
        words = [b'%d' % rng.randrange(40) for _ in range(size)]
        at = rng.choice(['s', 'l', 'u', 'h', 'z', 'x'])
        return rng.choice([
            [('SPOP', f'u{n}'), ('SPOP', f'u{n}', size), ('SADD', f'u{n}', *words), ('SMOVE', f'u{n}', 'u0', words[0])],
            [('EXPIRE', f'{at}{n}', 10 ** 6), ('PERSIST', f'{at}{n}'), ('EXPIRE', f'{at}{n}', -1), ('DEL', f'{at}{n}')],
            [('SET', f's{n}', words[0], 'EX', 10 ** 6), ('GETEX', f's{n}', 'PX', 10 ** 9), ('GETDEL', f's{n}'),
             ('SETEX', f's{n}', 10 ** 6, 'x'), ('SET', f's{n}', 'new', 'GET'), ('INCRBYFLOAT', f'f{n}', '0.3')],
            [('LPUSH', f'l{n}', *words), ('LMPOP', 2, f'l{n}', 'l0', 'LEFT', 'COUNT', size), ('BLPOP', f'l{n}', 'l0', '0.01'),
             ('BLMOVE', f'l{n}', 'l1', 'RIGHT', 'LEFT', '0.01'), ('BRPOPLPUSH', 'l0', f'l{n}', '0.01')],
            [('ZADD', f'z{n}', size, words[0]), ('ZMPOP', 1, f'z{n}', 'MIN', 'COUNT', size), ('BZPOPMAX', f'z{n}', '0.01'),
             ('ZINCRBY', f'z{n}', '0.7', words[0]), ('HINCRBYFLOAT', f'hf{n}', 'f', '1.1')],
            [('XADD', f'x{n}', 'MAXLEN', '~', 100, '*', 'f', words[0]), ('XTRIM', f'x{n}', 'MAXLEN', 20 + size),
             ('XREADGROUP', 'GROUP', 'g', 'one', 'COUNT', size, 'STREAMS', f'x{n}', '>'),
             ('XAUTOCLAIM', f'x{n}', 'g', 'two', 0, '0', 'COUNT', size),
             ('XREADGROUP', 'GROUP', 'late', 'three', 'NOACK', 'STREAMS', f'x{n}', '>'), ('XACK', f'x{n}', 'g', '1-0')],
            [('EVAL', "redis.call('SPOP', KEYS[1]) return redis.call('SET', KEYS[2], ARGV[1], 'EX', 9999)", 2, f'u{n}', f's{n}',
              words[0]), ('SELECT', rng.choice([0, 3, 15])), ('MULTI',), ('EXEC',), ('RENAME', f's{n}', f'r{n}')]])
    return [rng.choice(one()) for _ in range(count)]


def read_until(c, text):
    stream = b''
    while text not in stream:
        more = c.input.read1(1 << 16)
        if not more:
            raise Closed(f'no {text!r} behind {stream[-100:]!r}')
        stream += more
    return stream


def what_follows(run):
    """Redis, with a copy and what comes behind it, has what is here: also what was written while the copy was made."""
    s = run.server('--writeback-dirty-bytes', '65536')
    with s.connect() as c, s.connect() as waiter:
        fill(run, c)
        with s.connect() as follower:
            follower.send(b'SYNC\r\n')
            for begin in range(4):
                waiter.send(encode('BLMPOP', 0, 1, 'late', 'LEFT', 'COUNT', 2))
                requests = some_writes(run, 300) + [('EXEC',), ('SELECT', 0), ('RPUSH', 'late', 'a', 'b', 'c')]
                c.send(b''.join(encode(*r) for r in requests))
                c.replies(len(requests))
                expect(waiter.reply()[0], b'late')
                if begin == 1:
                    data = read_copy(follower)
            expect_that('state=online' in s.call('INFO', 'replication').decode(), 'it is shown')
            c.ok('SET', 'marks the', 'end of it')
            stream = read_until(follower, b'end of it')
            expect(s.call('CLIENT', 'KILL', 'TYPE', 'REPLICA'), 1)
            expect(follower.rest().strip(), b'')
        last = s.connect()
        last.send(b'SYNC\r\n')
        wait_until(lambda: 'state=online' in s.call('INFO', 'replication').decode(), 'there is another one')
        ours = as_shown(c)
    s.stop()   # who is fed holds up no end
    other = redis_with(run, data)
    with other.connect() as c:
        c.send(stream + encode('ECHO', 'all of it'))
        for reply in iter(c.reply, b'all of it'):
            expect_that(not isinstance(reply, Error), f'Redis takes what follows: {reply!r}')
        theirs = as_shown(c)
    differ = [(k, ours.get(k), theirs.get(k)) for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k)]
    expect([d[0] for d in differ], [], f'keys that differ, such as {differ[:1]!r:.400}')


def of_one_moment(run):
    """What was answered is in it; while it is made, writes go on, and what belongs together stays together."""
    s = run.server('--writeback-dirty-bytes', '65536')
    going = threading.Event()

    def write():
        with s.connect() as c:
            n = 0
            while not going.is_set():
                n += 1
                c.send(encode('MULTI') + encode('SET', 'a', n) + encode('RPUSH', 'list', 'x' * 50) + encode('SET', 'b', n)
                       + encode('EXEC'))
                c.replies(5)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        with s.connect() as c:
            copies = []
            wait_until(lambda: c.call('EXISTS', 'a'), 'the writer has begun')
            for n in range(3):
                c.ok('SET', 'asked', n)
                copies.append(copy_of(s.port))
    finally:
        going.set()
        writer.join()
    last = 0
    for n, data in enumerate(copies):
        other = redis_with(run, data)
        with other.connect() as c:
            expect(c.call('GET', 'asked'), b'%d' % n)
            a = c.call('GET', 'a')
            expect(c.call('GET', 'b'), a)
            expect(c.call('LLEN', 'list'), int(a))
            expect_that(int(a) >= last, 'copies go back in time')
            last = int(a)
        other.stop()


def slow_gone_and_too_many(run):
    """Who reads slowly holds up nobody and takes little memory; who leaves is forgotten; a fifth at once is refused."""
    s = run.server()
    with s.connect() as c:
        c.send(b''.join(encode('SET', f'k{n}', os.urandom(100 << 10)) for n in range(LARGE >> 10)))
        expect(set(c.replies(LARGE >> 10)), {'OK'})
        before = s.resident_mb()
        slow = [ask(s.port, receive_buffer=SMALL) for _ in range(COPIES_AT_ONCE)]
        for w in slow:
            expect(w.input.read(5), b'$EOF:')
        with ask(s.port) as fifth:
            expect(fifth.reply(), Error('ERR too many copies of the data are being sent already: try again later'))
            expect(fifth.call('PING'), 'PONG')
        c.ok('SET', 'k0', 'meanwhile')
        c.ok('SAVE')
        # A few pieces for each; all of them together would be forty megabytes.
        expect_that(s.sanitized or s.resident_mb() - before < 25, f'{s.resident_mb() - before} MB more')
        slow.pop().reset()
        slow.pop().close()
        with slow.pop() as w:
            whole = len(w.rest())
            expect_that(whole > 100 * LARGE, 'a slow reader gets all of it')
        wait_until(lambda: len(s.clients()) == 2, 'those who left are gone')
        with slow.pop() as w:
            expect(len(w.rest()), whole, 'another one as well')
        expect_that(len(copy_of(s.port)) < whole, 'there is room again')
        c.ok('CONFIG', 'SET', 'repl-timeout', 1)
        with ask(s.port, receive_buffer=SMALL) as stuck:
            wait_until(lambda: 'it has read nothing for repl-timeout' in s.log(), 'who reads nothing is closed')
            expect_that(len(stuck.rest()) < whole, 'it broke off')
        c.ok('CONFIG', 'SET', 'repl-timeout', 60)
    with ask(s.port, receive_buffer=SMALL) as left:
        left.input.read(5)
        s.call('CONFIG', 'SET', 'shutdown-timeout', 0)
        s.stop()


def through_any_node(run):
    """A follower passes it through; the leader's state is what is sent."""
    t = Together(run).start()
    leader, _ = leader_and_follower(t)
    with Wire(leader) as c:
        fill(run, c)
        ours = everything(c)
        for port in t.ports:
            c.ok('SET', 'of', port)
            other = redis_with(run, copy_of(port))
            with other.connect() as there:
                expect(there.call('GET', 'of'), b'%d' % port)
                there.call('DEL', 'of')
                expect_that(everything(there) == ours, f'what came through {port} is as it was')
                expect(there.call('FCALL', 'f', 0), b'of a copy')
            other.stop()
            with Wire(port) as told:
                told.send(b'SYNC\r\n')
                read_copy(told)
                c.ok('SET', 'told', f'through {port}')
                read_until(told, b'through %d' % port)
                c.call('DEL', 'told')
    t.end(signal.SIGTERM)


def who_is_refused(run):
    """Who has said no password or may not; in transactions; replicas, at every step they take."""
    s = run.server()
    with s.connect() as c:
        c.ok('ACL', 'SETUSER', 'reader', 'on', '>secret', '+@all', '-@dangerous', '~*')
        expect(c.call('REPLCONF', 'rdb-filter-only', 'functions keys'), Error('ERR Unsupported rdb-filter-only option: keys'))
        expect(c.call('SYNC'), Error('ERR Filtered replica requires EOF capability'))
        expect(c.call('REPLCONF', 'capa'), Error('ERR syntax error'))
        expect(c.call('REPLCONF', 'rdb-only', 2), Error('ERR value is out of range, value must between 0 and 1'))
        expect(c.call('REPLCONF', 'no-such', 2), Error('ERR Unrecognized REPLCONF option: no-such'))
        c.send(encode('REPLCONF', 'ACK', 0) + encode('PING'))
        expect(c.reply(), 'PONG')
        c.ok('MULTI')
        expect(c.call('SYNC'), Error('ERR Command not allowed inside a transaction'))
        expect(c.call('EXEC'), Error('EXECABORT Transaction discarded because of previous errors.'))
        expect_that('not allowed from script' in c.call('EVAL', "return redis.call('sync')", 0), 'no script asks for it')
    with s.connect() as c:
        c.ok('AUTH', 'reader', 'secret')
        expect_that(c.call('SYNC').startswith('NOPERM'), 'it is dangerous')
    for steps in ((('PSYNC', '?', -1), ), (('REPLCONF', 'listening-port', 6380), )):
        with s.connect() as c:
            for step in steps:
                expect_that(c.call(*step) in ('OK', NO_REPLICAS), step)
            expect(c.call('SYNC'), NO_REPLICAS)
            expect(c.call('PING'), 'PONG')
    if os.path.exists(REDIS):
        replica = Server(REDIS, ('--replicaof', f'127.0.0.1 {s.port}'))
        run.servers.append(replica)
        replica.start()
        wait_until(lambda: 'cannot follow this server' in replica.log(), 'a replica says what it was told')
        expect(replica.info('replication')['master_link_status'], 'down')
    with s.connect() as c:
        c.ok('CONFIG', 'SET', 'requirepass', 'word')
    with s.connect() as c:
        for asked in (('SYNC', ), ('REPLCONF', 'capa', 'eof'), ('PSYNC', '?', -1)):
            expect(c.call(*asked), Error('NOAUTH Authentication required.'))


CASES = [redis_has_the_same, what_follows, of_one_moment, slow_gone_and_too_many, through_any_node, who_is_refused]
