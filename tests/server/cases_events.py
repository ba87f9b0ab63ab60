"""Keyspace notifications and MONITOR on several nodes: told once each, by who leads; shown where the client is connected."""

import os
import re
import signal

from cases_nodes import Together
from cases_waiting import leader_and_follower, process_id
from harness import Wire, encode, expect, expect_that, wait_until


def listen(port):
    c = Wire(port)
    c.command('PSUBSCRIBE', '__keyevent@*')
    expect(c.reply()[0], b'psubscribe')
    return c


def event(name, key, db=0):
    return [b'pmessage', b'__keyevent@*', b'__keyevent@%d__:%s' % (db, name.encode()), key.encode()]


def tell_events(t):
    for port in t.ports:
        expect(t.call(port, 'CONFIG', 'SET', 'notify-keyspace-events', 'KEA'), 'OK')


def told_once(run):
    """Wherever one listens and writes, each change is told once, in the order in which it was made; also after leadership moved."""
    t = Together(run).start()
    tell_events(t)
    leader, follower = leader_and_follower(t)
    for how in ('at first', 'handed over', 'died'):
        if how == 'handed over':
            expect(t.call(leader, 'RAFT.TRANSFER_LEADER'), 'OK')
        if how == 'died':
            os.kill(process_id(t, leader), signal.SIGKILL)
        ports = [p for p in t.ports if how != 'died' or p != leader]

        def leads():
            return [p for p in ports if (how == 'at first' or p != leader) and t.call(p, 'ROLE')[0] == b'master']
        wait_until(leads, 'somebody leads')
        leader = leads()[0]
        follower = next(p for p in ports if p != leader)
        listeners = [listen(port) for port in ports]
        want = []
        with Wire(follower) as c, Wire(leader) as d:
            for i in range(20):
                w = (c, d)[i % 2]
                expect(w.call('SET', f'k{i}', i), 'OK')
                expect(w.call('MULTI'), 'OK')
                w.send(encode('LPUSH', 'l', i) + encode('RPOP', 'l') + encode('EXEC'))
                expect(w.replies(3)[2], [1, b'%d' % i])
                want += [event('set', f'k{i}'), event('lpush', 'l'), event('rpop', 'l'), event('del', 'l')]
            expect(d.call('PEXPIRE', 'k0', 20), 1)
            want += [event('expire', 'k0'), event('expired', 'k0')]
            for x in listeners:
                expect(x.replies(len(want)), want)
            waiting = Wire(follower)
            waiting.command('BLPOP', 'q', 0)
            wait_until(lambda: 'blocked_clients:1\r' in t.call(leader, 'INFO', 'clients').decode(), 'one waits')
            expect(c.call('RPUSH', 'q', 'x'), 1)
            expect(waiting.reply(), [b'q', b'x'])
            for x in listeners:
                expect(x.replies(3), [event('rpush', 'q'), event('lpop', 'q'), event('del', 'q')])
                x.send(encode('PING'))
                expect(x.reply(), [b'pong', b''])           # and nothing else
                x.close()
            expect(c.call('DEL', *[f'k{i}' for i in range(20)]), 19)
    t.end(signal.SIGTERM, 1)                                # one of its nodes did not end by itself


def shown_where_it_is_sent(run):
    """A follower shows what its clients send, the leader that and what its own do, both with the client's own address."""
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    other = next(p for p in t.ports if p not in (leader, follower))
    monitors = {port: Wire(port) for port in t.ports}
    for m in monitors.values():
        expect(m.call('MONITOR'), 'OK')

    def shown(port, c, *words):
        line = monitors[port].reply()
        address = '%s:%d' % c.sock.getsockname()
        text = ' '.join(f'"{w}"' for w in words)
        expect_that(re.fullmatch(r'\d+\.\d{6} \[0 %s\] %s' % (re.escape(address), re.escape(text)), line), f'{line} shows {words}')

    with Wire(follower) as c, Wire(leader) as d:
        for words in (('SET', 'k', '1'), ('GET', 'k'), ('MULTI',), ('INCR', 'k'), ('EXEC',)):
            c.call(*words)
            shown(follower, c, *words)
        for words in (('SET', 'k', '1'), ('GET', 'k'), ('MULTI',), ('INCR', 'k'), ('EXEC',)):
            shown(leader, c, *words)
        d.call('GET', 'k')
        shown(leader, d, 'GET', 'k')
        c.call('EVAL', 'return 1', '0')                     # what it calls is the leader's to show
        shown(follower, c, 'EVAL', 'return 1', '0')
        shown(leader, c, 'EVAL', 'return 1', '0')
        c.call('ECHO', 'here')                              # a follower answers this by itself
        shown(follower, c, 'ECHO', 'here')
    for port, m in monitors.items():                        # nothing else was shown anywhere
        m.command('PING')
        expect(m.reply(), 'PONG')
        expect_that(m.reply().endswith('"PING"'), 'its own command')
        m.close()
    expect_that(other in monitors, 'three nodes')


def a_slow_monitor(run):
    """Who does not read what he is shown is cut off at the limit, and nobody else suffers."""
    s = run.server('--client-output-buffer-limit', 'normal', '2000000', '0', '0')
    text = 'x' * 10000
    with s.connect() as c, s.connect(receive_buffer=4096) as slow, s.connect() as quick:
        expect(slow.call('MONITOR'), 'OK')
        expect(quick.call('MONITOR'), 'OK')
        sent = 0
        while sum(line['flags'] == 'O' for line in s.clients()) == 2:
            for i in range(sent, sent + 50):
                c.ok('SET', f'k{i}', text)
            for i in range(sent, sent + 50):
                line = quick.reply()
                while '"SET"' not in line:
                    line = quick.reply()
                expect_that(f'"SET" "k{i}" "{text}"' in line, 'the quick one is shown all of it')
            sent += 50
            expect_that(sent < 20000, 'the slow one is cut off')
        quick.command('RESET')
        while quick.reply() != 'RESET':
            pass
        expect(c.call('PING'), 'PONG')
        expect_that(quick.is_quiet(), 'it is shown nothing any more')
        expect(c.call('GET', 'k0'), text.encode())


CASES = [told_once, shown_where_it_is_sent, a_slow_monitor]
