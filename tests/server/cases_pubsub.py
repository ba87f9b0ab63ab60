"""Publish and subscribe: the place of messages among replies, slow listeners, tunnels of followers' clients, leaders that change."""

import os
import signal
import socket
import threading

from cases_nodes import Together
from cases_waiting import leader_and_follower, process_id
from harness import NULL3, Closed, Error, Wire, encode, expect, expect_that, wait_until


def subscribe(c, *channels):
    c.command('SUBSCRIBE', *channels)
    expect(c.replies(len(channels)), [[b'subscribe', name.encode(), i + 1] for i, name in enumerate(channels)])
    return c


def message(channel, text):
    return [b'message', channel.encode(), text.encode() if isinstance(text, str) else b'%d' % text]


def in_its_place(run):
    """PUBLISH behind writes of its connection comes when they have been applied, in a pipeline and in a transaction."""
    s = run.server()
    with s.connect() as c, s.connect() as listener, s.connect() as reader:
        subscribe(listener, 'ch')
        for i in range(50):
            c.send(encode('SET', 'k', i) + encode('PUBLISH', 'ch', i) + encode('SET', 'k', 'over'))
            expect(listener.reply(), message('ch', i))
            # Whoever hears of it finds it.
            expect_that(reader.call('GET', 'k') in (b'%d' % i, b'over'), 'the write before the message has happened')
            expect(c.replies(3), ['OK', 1, 'OK'])
        c.send(encode('MULTI') + encode('INCR', 'n') + encode('PUBLISH', 'ch', 'x') + encode('INCR', 'n') + encode('PUBLISH', 'ch', 'y')
               + encode('EXEC') + encode('GET', 'n'))
        expect(c.replies(7)[5:], [[1, 1, 2, 1], b'2'])
        expect(listener.replies(2), [message('ch', 'x'), message('ch', 'y')])
        # Told though the client does not wait for the answer.
        with s.connect() as gone:
            gone.send(encode('MULTI') + encode('INCR', 'n') + encode('PUBLISH', 'ch', 'gone') + encode('EXEC'))
            gone.sock.shutdown(socket.SHUT_WR)
            expect(listener.reply(), message('ch', 'gone'))


def among_replies(run):
    """What a RESP3 client is told stands between its replies, never inside one, and no silence keeps it back."""
    s = run.server()
    with s.connect() as c, s.connect() as other:
        c.call('HELLO', 3)
        subscribe(c, 'ch')
        c.send(encode('PUBLISH', 'ch', 'a') + encode('MULTI') + encode('PUBLISH', 'ch', 'b') + encode('SET', 'k', 1)
               + encode('PUBLISH', 'ch', 'c') + encode('EXEC') + encode('PING'))
        expect(c.replies(2), [message('ch', 'a'), 1])
        expect(c.replies(4), ['OK', 'QUEUED', 'QUEUED', 'QUEUED'])
        expect(c.replies(4), [[1, 'OK', 1], message('ch', 'b'), message('ch', 'c'), 'PONG'])
        c.send(encode('CLIENT', 'REPLY', 'OFF') + encode('SUBSCRIBE', 'd') + encode('SET', 'k', 2) + encode('PUBLISH', 'd', 'e')
               + encode('MULTI') + encode('PUBLISH', 'd', 'f') + encode('EXEC') + encode('CLIENT', 'REPLY', 'ON') + encode('GET', 'k'))
        expect(c.replies(5), [[b'subscribe', b'd', 2], message('d', 'e'), message('d', 'f'), 'OK', b'2'])
        # A flood from elsewhere between replies of all kinds.
        for i in range(300):
            other.command('PUBLISH', 'ch', i)
            c.command('SET', 'k', i)
            c.command('LRANGE', 'none', 0, -1)
        expect(other.replies(300), [1] * 300)
        heard, answers = [], []
        while len(heard) + len(answers) < 900:
            got = c.reply()
            (heard if isinstance(got, list) and got else answers).append(got)
        expect(heard, [message('ch', i) for i in range(300)])
        expect(answers, ['OK', []] * 300)
        c.command('UNSUBSCRIBE')
        expect(sorted(r[1] for r in c.replies(2)), [b'ch', b'd'])
        c.command('UNSUBSCRIBE')
        expect(c.reply()[:2], [b'unsubscribe', NULL3])


def a_listener_in_resp2(run):
    """May ask little; what is behind SUBSCRIBE in a pipeline meets that rule, what is before does not."""
    s = run.server()
    with s.connect() as c:
        c.send(encode('SET', 'k', 1) + encode('GET', 'k') + encode('SUBSCRIBE', 'a') + encode('GET', 'k') + encode('PING')
               + encode('UNSUBSCRIBE') + encode('GET', 'k'))
        got = c.replies(7)
        expect(got[:3], ['OK', b'1', [b'subscribe', b'a', 1]])
        expect_that(isinstance(got[3], Error) and got[3].startswith("ERR Can't execute 'get'"), 'a refusal')
        expect(got[4:], [[b'pong', b''], [b'unsubscribe', b'a', 0], b'1'])


def slow_listeners(run):
    """Who does not read is cut off at the hard limit, at the soft one after its time; others hear everything."""
    s = run.server('--client-output-buffer-limit', 'pubsub', '3000000', '0', '0')
    text = 'x' * 10000
    with s.connect() as c, s.connect() as good, s.connect(receive_buffer=4096) as bad:
        subscribe(good, 'ch')
        subscribe(bad, 'ch')
        heard = [0]

        def listen():
            try:
                while good.reply()[2] == text.encode():
                    heard[0] += 1
            except (Closed, OSError):
                pass
        listener = threading.Thread(target=listen)
        listener.start()
        sent, receivers = 0, 2
        while receivers == 2:
            receivers = c.call('PUBLISH', 'ch', text)
            sent += 1
            expect_that(sent < 20000, 'the slow one is cut off')
        wait_until(lambda: heard[0] == sent, 'the other one has heard it all')
        c.ok('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 0 100000 1')
        with s.connect(receive_buffer=4096) as late:
            subscribe(late, 'late')
            while c.call('PUBLISH', 'late', text):
                pass
        c.call('PUBLISH', 'ch', 'end')
        listener.join()


def who_goes(run):
    """A listener that hangs up, is killed or resets listens no more; `timeout` does not end it."""
    s = run.server('--timeout', '1')
    a, b, d, e = (subscribe(s.connect(), 'ch') for _ in range(4))
    with s.connect() as c:
        def listeners():
            return c.call('PUBSUB', 'NUMSUB', 'ch')[1]
        expect(listeners(), 4)
        a.close()
        wait_until(lambda: listeners() == 3, 'one has gone')
        b.reset()
        wait_until(lambda: listeners() == 2, 'two have gone')
        expect(d.call('RESET'), 'RESET')
        expect(listeners(), 1)
        d.expect_end()                                      # idle for longer than `timeout`, and no listener any more
        with s.connect() as other:
            expect(other.call('PUBLISH', 'ch', 'still there'), 1)
            expect(e.reply(), message('ch', 'still there'))
            expect(other.call('CLIENT', 'KILL', 'TYPE', 'pubsub'), 1)
            e.expect_end()


def through_followers(run):
    """Listeners at all nodes hear what is published at any, in one order; what is before SUBSCRIBE in a pipeline and what is
    behind it keep their order."""
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    listeners = [subscribe(Wire(port), 'ch') for port in t.ports]
    wires = [Wire(port) for port in t.ports]
    for i in range(100):
        expect(wires[i % 3].call('PUBLISH', 'ch', i), 3)
    for c in listeners:
        expect(c.replies(100), [message('ch', i) for i in range(100)])
    expect(wires[1].call('PUBSUB', 'NUMSUB', 'ch'), [b'ch', 3])
    # Several publish at once: everybody hears the same.
    for i in range(200):
        for w in wires:
            w.command('PUBLISH', 'ch', run.rng.randrange(1000))
    first = listeners[0].replies(600)
    for c in listeners[1:]:
        expect(c.replies(600), first)
    for w in wires:
        expect(w.replies(200), [3] * 200)
    with Wire(follower) as c:
        c.send(encode('SELECT', 2) + encode('SET', 'k', 1) + encode('GET', 'k') + encode('SUBSCRIBE', 'a', 'b') + encode('PING', 'x')
               + encode('UNSUBSCRIBE', 'a', 'b') + encode('GET', 'k') + encode('SET', 'k', 2) + encode('GET', 'k') + encode('HELLO', 3)
               + encode('GET', 'none') + encode('QUIT'))
        expect(c.replies(9), ['OK', 'OK', b'1', [b'subscribe', b'a', 1], [b'subscribe', b'b', 2], [b'pong', b'x'],
                              [b'unsubscribe', b'a', 1], [b'unsubscribe', b'b', 0], b'1'])
        expect(c.replies(2), ['OK', b'2'])
        expect(c.reply()[b'proto'], 3)
        expect(c.replies(2), [NULL3, 'OK'])
        c.expect_end()
    with Wire(follower) as c:                               # the client's end and its mistakes
        c.send(encode('MULTI') + encode('SUBSCRIBE', 'a', 'b') + encode('EXEC'))
        expect(c.replies(2), ['OK', 'QUEUED'])
        expect(c.reply(), [[b'subscribe', b'a', 1]])        # as Redis: one command in EXEC, two replies
        expect(c.reply(), [b'subscribe', b'b', 2])
        c.send(encode('PING') + b'*1\r\n$x\r\n')
        expect(c.reply(), [b'pong', b''])
        expect_that(isinstance(c.reply(), Error), 'a protocol error')
        c.expect_end()
    with Wire(follower) as c:
        c.send(encode('CLIENT', 'REPLY', 'OFF') + encode('SUBSCRIBE', 'q') + encode('PING') + encode('UNSUBSCRIBE', 'q')
               + encode('SET', 'k', 3) + encode('CLIENT', 'REPLY', 'ON'))
        expect(c.replies(3), [[b'subscribe', b'q', 1], [b'unsubscribe', b'q', 0], 'OK'])
        c.sock.shutdown(socket.SHUT_WR)
        c.expect_end()
    with Wire(follower) as c:                               # half-closed: what was asked is still answered
        c.send(encode('SUBSCRIBE', 'h') + encode('PING'))
        c.sock.shutdown(socket.SHUT_WR)
        expect(c.replies(2), [[b'subscribe', b'h', 1], [b'pong', b'']])
        c.expect_end()
    expect(wires[0].call('PUBSUB', 'CHANNELS', '[abhq]'), [])


def from_scripts(run):
    """A script runs on every node, and its message is told once; what it is told of it is the same everywhere."""
    t = Together(run).start()
    listeners = [subscribe(Wire(port), 'ch') for port in t.ports]
    script = "redis.call('INCR', KEYS[1]); return redis.call('SET', KEYS[2], redis.call('PUBLISH', 'ch', ARGV[1]))"
    wires = [Wire(port) for port in t.ports]
    for i in range(30):
        expect(wires[i % 3].call('EVAL', script, 2, 'n', 'told', i), 'OK')
    for c in listeners:
        expect(c.replies(30), [message('ch', i) for i in range(30)])
    expect(wires[0].call('MGET', 'n', 'told'), [b'30', b'0'])
    c = wires[1]
    c.call('HELLO', 3)
    subscribe(c, 'ch')
    c.send(encode('EVAL', script, 2, 'n', 'told', 'x') + encode('MULTI') + encode('EVAL', script, 2, 'n', 'told', 'y') + encode('PING')
           + encode('EXEC') + encode('EVAL', "return redis.call('PING')", 0))
    got = c.replies(7)
    expect([r for r in got if isinstance(r, list) and r[0] == b'message'], [message('ch', 'x'), message('ch', 'y')])
    expect([r for r in got if not (isinstance(r, list) and r[0] == b'message')], ['OK', 'OK', 'QUEUED', 'QUEUED', ['OK', 'PONG']])
    expect(c.reply(), 'PONG')


def a_large_message_through_a_follower(run):
    """More than a way holds at once, to one who reads slowly, and orders of such size the other way."""
    t = Together(run).start()
    _, follower = leader_and_follower(t)
    with subscribe(Wire(follower), 'ch') as listener, Wire(follower) as c:
        text = run.rng.randbytes(3 << 20)
        for _ in range(6):
            expect(c.call('PUBLISH', 'ch', text), 1)
        expect(c.call('PUBLISH', 'ch', 'end'), 1)
        for _ in range(6):
            expect(listener.reply()[2], text)
        expect(listener.reply(), message('ch', 'end'))
        listener.send(encode('PING', text) * 3)
        for _ in range(3):
            expect(listener.reply(), [b'pong', text])


def names_leader(t, port, leader):
    return t.call(port, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster') == [b'127.0.0.1', str(leader).encode()]


def a_leader_that_changes(run):
    """Listeners are closed after what came was passed on; who listens to news of Sentinel hears of the new leader instead."""
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    for how in ('hands over', 'dies'):
        listeners = [subscribe(Wire(port), 'ch') for port in t.ports]
        for port in t.ports:
            wait_until(lambda: names_leader(t, port, leader), 'all nodes know the leader')
        news = {port: subscribe(Wire(port), '+switch-master') for port in t.ports}
        with Wire(follower) as c:
            for i in range(20):
                expect(c.call('PUBLISH', 'ch', i), 3)
        if how == 'dies':
            os.kill(process_id(t, leader), signal.SIGKILL)
        else:
            expect(t.call(leader, 'RAFT.TRANSFER_LEADER'), 'OK')
        for c in listeners[1:] if how == 'dies' else listeners:
            got = []
            try:
                while True:
                    got.append(c.reply())
            except Closed:
                pass
            expect(got, [message('ch', i) for i in range(len(got))])
            expect_that(how == 'dies' or len(got) == 20, 'all that was published')
        texts = set()
        for port, c in news.items():
            if how != 'dies' or port != leader:
                texts.add(c.reply()[2])
        expect(len(texts), 1)
        words = texts.pop().decode().split(' ')
        expect(words[:3], ['mymaster', '127.0.0.1', str(leader)])
        old, leader = leader, int(words[4])
        follower = next(p for p in t.ports if p not in (old, leader))
        expect(t.call(follower, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster'), [b'127.0.0.1', words[4].encode()])
    with subscribe(Wire(follower), 'ch') as c:              # and all begins anew
        expect(t.call(leader, 'PUBLISH', 'ch', 'again'), 1)
        expect(c.reply(), message('ch', 'again'))
    t.end(signal.SIGTERM, 1)                                # one of its nodes did not end by itself


CASES = [in_its_place, among_replies, a_listener_in_resp2, slow_listeners, who_goes, through_followers, from_scripts, a_large_message_through_a_follower,
         a_leader_that_changes]
