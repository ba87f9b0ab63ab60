"""Libraries of functions: the same on all nodes, whatever becomes of nodes, and new or gone at once wherever they are called."""

import os
import signal

from cases_nodes import Together
from cases_waiting import leader_and_follower, process_id
from harness import Error, Wire, expect, wait_until

CODE = '''#!lua name=%s
local calls = 0
redis.register_function('%s', function(keys, args)
    calls = calls + 1
    return {calls, redis.call('incr', keys[1]), '%s'}
end)
redis.register_function{function_name='%s_ro', callback=function(keys) return redis.call('get', keys[1]) end, flags={'no-writes'}}
'''
NOT_FOUND = Error('ERR Function not found')


def code(name, function, says='old'):
    return CODE % (name, function, says, function)


def digest(port):
    with Wire(port) as c:
        return c.call('DEBUG', 'DIGEST')


def functions_outlive_the_process(run):
    s = run.server()
    expect(s.call('FUNCTION', 'LOAD', code('one', 'f')), b'one')
    expect(s.call('FUNCTION', 'LOAD', code('two', 'g')), b'two')
    expect(s.call('FUNCTION', 'DELETE', 'two'), 'OK')
    before = s.call('FUNCTION', 'LIST', 'WITHCODE')
    for n, how in enumerate((s.stop, s.kill, s.stop)):
        expect(s.call('FCALL', 'f', 1, 'k'), [1, n + 1, b'old'])
        how()
        s.start()
        expect(s.call('FUNCTION', 'LIST', 'WITHCODE'), before)
        expect(s.call('FCALL_RO', 'f_ro', 1, 'k'), b'%d' % (n + 1))
        expect(s.call('FCALL', 'g', 1, 'k'), NOT_FOUND)
    s.call('FLUSHALL')
    expect(s.call('FUNCTION', 'LIST', 'WITHCODE'), before)


def behind_each_other_in_a_pipeline(run):
    """What was loaded is there for the next command, also within MULTI, and a failure leaves what was there."""
    s = run.server()
    with s.connect() as c:
        for args in (('FUNCTION', 'LOAD', code('one', 'f')), ('FCALL', 'f', 1, 'k'), ('FCALL_RO', 'f_ro', 1, 'k'),
                     ('FUNCTION', 'LOAD', 'REPLACE', code('one', 'f', 'new')), ('FCALL', 'f', 1, 'k'),
                     ('FUNCTION', 'LOAD', 'REPLACE', '#!lua name=one\nnope()'), ('FCALL', 'f', 1, 'k'), ('FUNCTION', 'FLUSH'), ('FCALL', 'f', 1, 'k'),
                     ('MULTI',), ('FUNCTION', 'LOAD', code('one', 'f')), ('FCALL', 'f', 1, 'k'), ('FUNCTION', 'DELETE', 'one'), ('EXEC',)):
            c.command(*args)
        got = c.replies(14)
    expect(got[:5], [b'one', [1, 1, b'old'], b'1', b'one', [1, 2, b'new']])
    expect(got[6:9], [[1, 3, b'new'], 'OK', NOT_FOUND])
    expect(got[13], [b'one', [1, 4, b'old'], 'OK'])


def the_same_on_all_nodes(run):
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    with Wire(follower) as c:
        expect(c.call('FUNCTION', 'LOAD', code('one', 'f')), b'one')
        count = 0
        for port in t.ports:
            count += 1
            expect(t.call(port, 'FCALL', 'f', 1, 'k'), [1, count, b'old'])
            expect(t.call(port, 'FCALL_RO', 'f_ro', 1, 'k'), b'%d' % count)
        expect(c.call('FUNCTION', 'LOAD', 'REPLACE', code('one', 'f', 'new')), b'one')
        for port in t.ports:
            count += 1
            expect(t.call(port, 'FCALL', 'f', 1, 'k'), [1, count, b'new'])
        payload = c.call('FUNCTION', 'DUMP')
        expect(c.call('FUNCTION', 'FLUSH'), 'OK')
        expect(t.call(leader, 'FUNCTION', 'LIST'), [])
        expect(c.call('FCALL', 'f', 1, 'k'), NOT_FOUND)
        expect(c.call('FUNCTION', 'RESTORE', payload), 'OK')
        expect(t.call(leader, 'FCALL', 'f', 1, 'k'), [1, count + 1, b'new'])
    os.kill(process_id(t, leader), signal.SIGKILL)
    left = [p for p in t.ports if p != leader]
    for n, port in enumerate(left):
        expect(t.call(port, 'FCALL', 'f', 1, 'k'), [1, count + 2 + n, b'new'])
    wait_until(lambda: digest(left[0]) == digest(left[1]), 'both have the same')
    t.end(signal.SIGTERM, 1)


def who_joins_has_them(run):
    """By a snapshot."""
    first = run.server()
    expect(first.call('FUNCTION', 'LOAD', code('one', 'f')), b'one')
    expect(first.call('FCALL', 'f', 1, 'k'), [1, 1, b'old'])
    first.call('SAVE')    # so that they are in the snapshot, and not in the log behind it
    second = run.server('--join', f'127.0.0.1:{first.port}', start=False)
    second.spawn()

    def is_in():
        try:
            with Wire(second.port) as c:
                return c.call('FCALL_RO', 'f_ro', 1, 'k') == b'1' and b'connected_slaves:1' in first.call('INFO', 'replication')
        except OSError:
            return False
    wait_until(is_in, 'the second node is in')
    wait_until(lambda: second.call('FUNCTION', 'STATS')[3][1] == [b'libraries_count', 1, b'functions_count', 2], 'they are there')
    expect(second.call('FCALL', 'f', 1, 'k'), [1, 2, b'old'])
    wait_until(lambda: digest(first.port) == digest(second.port), 'both have the same')


def orders_follow_from_the_data(run):
    """What a script of the log is told of a big value is the same on a node that has just loaded it."""
    s = run.server('--enable-debug-command', 'yes')
    members = [b'm%d' % run.rng.randrange(4000) for _ in range(6000)]
    for i in range(0, len(members), 20):
        some = members[i:i + 20]
        s.call('ZADD', 'z', *[w for m in some for w in (run.rng.randrange(100), m)])
        s.call('HSET', 'h', *[w for m in some for w in (m, i)])
        s.call('SADD', 's', *some)
        for command, key in (('ZREM', 'z'), ('HDEL', 'h'), ('SREM', 's')):
            s.call(command, key, *[run.rng.choice(members) for _ in range(5)])
    script = "local o = '' for _, w in ipairs(%s) do o = o .. w end return redis.sha1hex(o)"
    asked = [script % read for read in (
        "redis.call('zscan', KEYS[1], 0)[2]", "redis.call('hscan', KEYS[2], 0)[2]", "redis.call('sscan', KEYS[3], 0)[2]",
        "redis.call('zrange', KEYS[1], 0, -1)", "redis.call('hgetall', KEYS[2])", "redis.call('smembers', KEYS[3])",
        "redis.call('sort', KEYS[3], 'by', 'nosort')", "redis.call('keys', '*')", "redis.call('scan', 0)[2]")]
    before = [s.call('EVAL', a, 3, 'z', 'h', 's') for a in asked]
    expect(s.call('DEBUG', 'RELOAD'), 'OK')
    expect([s.call('EVAL', a, 3, 'z', 'h', 's') for a in asked], before)


CASES = [orders_follow_from_the_data, functions_outlive_the_process, behind_each_other_in_a_pipeline, the_same_on_all_nodes, who_joins_has_them]
