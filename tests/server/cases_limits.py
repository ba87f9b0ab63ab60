"""Bounds and doors: sizes, counts and times that the configuration sets, and the addresses the server listens on."""

import os
import re
import socket
import stat
import threading
import time

from harness import Closed, Error, Skipped, Wire, encode, expect, expect_that, once, wait_until

NOAUTH = Error('NOAUTH Authentication required.')
REFUSED = Error('ERR max number of clients reached')


def proto_max_bulk_len(run):
    """An argument may be as long as proto-max-bulk-len, not a byte longer; CONFIG SET moves the bound at once."""
    s = run.server('--proto-max-bulk-len', '1mb')
    with s.connect() as c:
        c.ok('SET', 'k', b'x' * (1 << 20))
        c.send(b'*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n')
        expect(c.rest(), b'-ERR Protocol error: invalid bulk length\r\n')
    with s.connect() as c:
        expect(c.call('STRLEN', 'k'), 1 << 20)
        c.ok('CONFIG', 'SET', 'proto-max-bulk-len', '2mb')
        c.ok('SET', 'k', b'x' * (2 << 20))


def client_query_buffer_limit(run):
    """A client whose unfinished command outgrows client-query-buffer-limit is closed; many small ones are no matter."""
    s = run.server('--client-query-buffer-limit', '1mb')
    with s.connect() as c:
        try:
            c.send(encode('SET', 'k', b'x' * (4 << 20)))
        except ConnectionError:
            pass
        expect(c.rest(), b'')
    with s.connect() as c:
        expect(c.call('EXISTS', 'k'), 0)
        c.ok('SET', 'k', b'x' * 900_000)
        sender = threading.Thread(target=c.send, args=(encode('SET', 'k', b'y' * 1000) * 5000,))
        sender.start()
        expect(c.replies(5000), ['OK'] * 5000)
        sender.join()
    expect_that('client-query-buffer-limit' in s.log(), 'the log does not say why a client was closed')


def client_output_buffer_limit(run):
    """A client that lets more than the hard limit pile up is closed, at once; above the soft one, after its time."""
    s = run.server('--client-output-buffer-limit', 'normal', '1mb', '0', '0')
    with s.connect() as other:
        other.ok('SET', 'big', b'x' * 900_000)
        with s.connect() as c:
            for _ in range(20):     # each taken before the next
                expect_that(len(c.call('GET', 'big')) == 900_000, 'a value below the limit')
        with s.connect() as c:
            c.send(encode('APPEND', 'big', 'x' * 200_000) + encode('GET', 'big'))
            expect_that(len(c.rest()) < 1 << 20, 'a reply above the limit was sent')
        other.ok('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 0 1mb 2')
        with s.connect() as c:
            expect_that(len(c.call('GET', 'big')) == 1_100_000, 'a value above the soft limit')
        with s.connect(receive_buffer=1 << 16) as c:
            c.send(encode('GET', 'big') * 100)
            began = time.monotonic()
            wait_until(lambda: len(s.clients()) == 1, 'only the other client is left')
            expect_that(time.monotonic() - began > 1, 'closed before its time')
            expect_that(len(c.rest()) < 100 * 1_100_000, 'everything was sent')
        other.ok('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 0 0 0')
        with s.connect() as c:
            c.send(encode('GET', 'big') * 30)
            expect_that(sum(len(v) for v in c.replies(30)) == 33_000_000, 'without a limit everything arrives')
    expect_that('client-output-buffer-limit' in s.log(), 'the log does not say why a client was closed')


def unauthenticated(run):
    """Before AUTH: nothing is told, nothing is done, and little is read."""
    s = run.server('--requirepass', 'secret')
    with s.connect() as c:
        expect(c.call('PING'), NOAUTH)
        expect(c.call('SET', 'k', 'v'), NOAUTH)
        c.send(encode('SET', 'k', '1') + encode('AUTH', 'wrong') + encode('SET', 'k', '2') + encode('AUTH', 'secret') +
               encode('GET', 'k') + encode('SET', 'k', '3') + encode('GET', 'k'))
        expect(c.replies(7), [NOAUTH, Error('WRONGPASS invalid username-password pair or user is disabled.'), NOAUTH, 'OK',
                              None, 'OK', b'3'])
        c.ok('SET', 'large', b'x' * 100_000)
        expect(c.call('DEL', *range(20)), 0)
    for bad, text in ((b'*11\r\n', b'unauthenticated multibulk length'),
                      (b'*2\r\n$4\r\nAUTH\r\n$16385\r\n', b'unauthenticated bulk length'),
                      (b'*-1\r\n*2147483648\r\n', b'invalid multibulk length')):
        with s.connect() as c:
            c.send(bad)
            expect(c.rest(), b'-ERR Protocol error: ' + text + b'\r\n')
    with s.connect() as c:
        expect(c.call('AUTH', b'x' * 16384), Error('WRONGPASS invalid username-password pair or user is disabled.'))
        expect(c.call('HELLO', 3, 'AUTH', 'default', 'secret')[b'proto'], 3)
        expect(c.call('GET', 'k'), b'3')
        c.ok('CONFIG', 'SET', 'requirepass', 'other')
        expect(c.call('GET', 'k'), b'3')       # who is in stays in
    with s.connect() as c:
        expect(c.call('AUTH', 'secret'), Error('WRONGPASS invalid username-password pair or user is disabled.'))
        c.ok('AUTH', 'other')
        c.ok('CONFIG', 'SET', 'requirepass', '')
    expect(s.call('GET', 'k'), b'3')


def maxclients(run):
    """One client too many is told so and closed; when one leaves there is room again."""
    s = run.server('--maxclients', '5')

    def enters():
        c = s.connect()
        try:
            if c.call('PING') == 'PONG':
                return c
        except (Closed, ConnectionError):
            pass
        c.close()
        return None

    inside = [enters() for _ in range(5)]
    expect_that(all(inside), 'fewer than maxclients were let in')
    for _ in range(3):
        with s.connect() as c:
            expect(c.reply(), REFUSED)
            c.expect_end()
    for leave in (Wire.close, Wire.reset):
        leave(inside.pop())
        inside.append(wait_until(enters, 'there is room again'))
    inside[0].ok('CONFIG', 'SET', 'maxclients', 6)
    inside.append(wait_until(enters, 'there is more room'))
    inside[0].ok('CONFIG', 'SET', 'maxclients', 2)
    for c in inside:        # those who are in stay
        expect(c.call('PING'), 'PONG')
    with s.connect() as c:
        expect(c.reply(), REFUSED)
    info = dict(line.split(':', 1) for line in inside[0].call('INFO').decode().split('\r\n') if ':' in line)
    expect_that(int(info['rejected_connections']) >= 4, 'rejected_connections')
    expect(info['connected_clients'], '6')
    for c in inside:
        c.close()


def open_files(run):
    """No more clients are let in than the system allows files for, and the data keeps the files it needs."""
    s = run.server(start=False)
    s.spawn(['bash', '-c', 'ulimit -n 100 && exec "$@"', 'bash', *s.arguments(['--writeback-dirty-bytes', '100kb'])])
    wait_until(lambda: s.proc.poll() is not None or 'Ready to accept connections' in s.log(), 'ready')
    with s.connect() as c:
        expect(c.call('CONFIG', 'GET', 'maxclients'), [b'maxclients', b'33'])
        expect(c.call('CONFIG', 'SET', 'maxclients', 1000),
               Error("ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to "
                     'handle the specified number of clients, try with 33'))
        expect(c.call('CONFIG', 'GET', 'maxclients'), [b'maxclients', b'33'])
        c.ok('CONFIG', 'SET', 'maxclients', 32)
        crowd = [s.connect() for _ in range(90)]
        wait_until(lambda: 'connected_clients:32\r' in c.call('INFO', 'clients').decode(), 'it is full')
        for i in range(100):
            c.ok('SET', f'k{i}', b'x' * 300_000)
        c.ok('SAVE')
        for w in crowd:
            w.close()
        wait_until(lambda: 'connected_clients:1\r' in c.call('INFO', 'clients').decode(), 'there is room again')


def timeout(run):
    """The idle are closed after `timeout`; those who ask, send slowly or wait for a pause to end are not."""
    s = run.server('--timeout', '4')
    idle, busy, sending, paused = (s.connect() for _ in range(4))
    value = b'x' * 10_000
    sending.send(b'*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$%d\r\n' % len(value))
    expect(busy.call('CLIENT', 'PAUSE', 600_000, 'WRITE'), 'OK')
    paused.command('SET', 'paused', 'yes')
    sent = 0
    began = time.monotonic()
    closed = threading.Event()

    def wait_for_the_end():
        idle.expect_end()
        closed.set()

    waiter = threading.Thread(target=wait_for_the_end)
    waiter.start()
    while not closed.is_set() or time.monotonic() < began + 6:
        expect(busy.call('PING'), 'PONG')
        sending.send(value[sent:sent + 1])
        sent += 1
        time.sleep(0.05)
        expect_that(time.monotonic() < began + 60, 'the idle client was not closed')
    waiter.join()
    expect_that(time.monotonic() - began >= 3, 'the idle client was closed before its time')
    busy.ok('CLIENT', 'UNPAUSE')
    sending.send(value[sent:] + b'\r\n')
    expect(sending.reply(), 'OK')
    expect(paused.reply(), 'OK')
    busy.ok('CONFIG', 'SET', 'timeout', 0)


def tcp_keepalive(run):
    """Connections are probed unless tcp-keepalive is 0."""
    s = run.server('--tcp-keepalive', '100')

    def is_probed(c):
        """The kernel runs a keepalive timer (kind 02) for the server's end."""
        ours = c.sock.getsockname()[1]
        with open('/proc/net/tcp') as f:
            for line in f:
                words = line.split()
                if words[1].endswith(':%04X' % s.port) and words[2].endswith(':%04X' % ours):
                    return words[5].startswith('02:')
        raise Skipped('/proc/net/tcp does not show connections here')

    with s.connect() as c:
        expect(c.call('CONFIG', 'GET', 'tcp-keepalive'), [b'tcp-keepalive', b'100'])
        wait_until(lambda: is_probed(c), 'a keepalive timer runs')
        c.ok('CONFIG', 'SET', 'tcp-keepalive', 0)
    with s.connect() as c:
        expect(c.call('PING'), 'PONG')
        time.sleep(0.2)
        expect(is_probed(c), False)


# ------------------------------------------------------------------------------------------------- where it listens

def unix_socket(run):
    """A Unix socket serves, has the permissions that were asked for, replaces a dead one and goes with the server."""
    s = run.server(start=False)
    path = os.path.join(s.top, 's.sock')
    s.options = ['--unixsocket', path, '--unixsocketperm', '640', '--requirepass', 'secret']
    s.start()
    expect(stat.S_IMODE(os.stat(path).st_mode), 0o640)
    with Wire(path) as c:
        expect(c.call('PING'), NOAUTH)
        c.ok('AUTH', 'secret')
        c.ok('SET', 'k', 'v')
        line = c.call('CLIENT', 'INFO').decode()
        expect_that(f'addr={path}:0' in line and 'flags=U' in line, line)
    s.kill()
    expect_that(os.path.exists(path), 'the socket of a killed server is gone')
    s.start()
    with Wire(path) as c:
        c.ok('AUTH', 'secret')
        expect(c.call('GET', 'k'), b'v')
        c.ok('CONFIG', 'SET', 'port', s.port)       # moving the port does not lose the socket
    with Wire(path) as c:
        c.ok('AUTH', 'secret')
    s.stop()
    expect_that(not os.path.exists(path), 'the socket is still there')


def unix_socket_path_too_long(run):
    """A path that no socket address holds is refused, not cut."""
    s = run.server(start=False)
    path = os.path.join(s.top, 'x' * 120)
    code, text = once(s.arguments(['--unixsocket', path]))
    expect(code, 1)
    expect_that('unixsocket' in text or path in text, text)
    expect([n for n in os.listdir(s.top) if n.startswith('x')], [])


def unix_socket_only(run):
    """With port 0 only the Unix socket serves; with nothing to listen on the server does not start."""
    s = run.server(start=False)
    path = os.path.join(s.top, 's.sock')
    s.start([*s.arguments(['--unixsocket', path]), '--port', '0'])
    with Wire(path) as c:
        expect(c.call('PING'), 'PONG')
        expect(c.call('CONFIG', 'GET', 'port'), [b'port', b'0'])
    try:
        s.connect().close()
        raise AssertionError('the port serves')
    except ConnectionRefusedError:
        pass
    s.stop()
    code, text = once([*s.arguments(), '--port', '0'])
    expect(code, 1)
    expect_that('listen' in text.lower(), text)


def several_addresses(run):
    """Every address of `bind` is served; one with '-' may be missing, one without may not."""
    s = run.server(start=False)
    hosts = ['127.0.0.1', '127.0.0.2']
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(('::1', 0))
        hosts.append('::1')
    except OSError:
        print('several_addresses: this machine has no ::1, it is left out')
    command = [s.program, '--port', str(s.port), '--dir', s.dir, '--bind']
    s.start([*command, *hosts, '-203.0.113.7'])
    for host in hosts:
        with Wire((host, s.port)) as c:
            expect(c.call('PING'), 'PONG')
            line = c.call('CLIENT', 'INFO').decode()
            expect_that(f'laddr=[{host}]:{s.port} ' in line if ':' in host else f'laddr={host}:{s.port} ' in line, line)
    with s.connect() as c:
        c.ok('CONFIG', 'SET', 'bind', '127.0.0.1')
        expect(c.call('PING'), 'PONG')
        try:
            Wire(('127.0.0.2', s.port)).close()
            raise AssertionError('127.0.0.2 is still served')
        except ConnectionRefusedError:
            pass
        got = c.call('CONFIG', 'SET', 'bind', '203.0.113.7')
        expect(got, Error("ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses."))
        expect(c.call('CONFIG', 'GET', 'bind'), [b'bind', b'127.0.0.1'])
    expect(s.call('PING'), 'PONG')
    s.stop()
    s.start([*command, 'localhost'])
    expect(s.call('PING'), 'PONG')
    s.stop()
    code, text = once([*command, '203.0.113.7'])
    expect(code, 1)
    expect_that('203.0.113.7' in text and str(s.port) in text, text)


def port_in_use(run):
    """A taken port is said clearly, and nothing crashes."""
    first = run.server()
    second = run.server(start=False)
    second.port = first.port
    code, text = once(second.arguments())
    expect(code, 1)
    expect_that(str(first.port) in text and 'address already in use' in text, text)
    expect(first.call('PING'), 'PONG')


def moving_port(run):
    """CONFIG SET port moves the listener; who is connected stays; a taken port changes nothing."""
    s = run.server()
    other = run.server()
    with s.connect() as c:
        c.ok('SET', 'k', 'v')
        got = c.call('CONFIG', 'SET', 'port', other.port)
        expect(got, Error("ERR CONFIG SET failed (possibly related to argument 'port') - "
                          'Unable to listen on this port. Check server logs.'))
        expect(c.call('CONFIG', 'GET', 'port'), [b'port', b'%d' % s.port])
        expect(s.call('GET', 'k'), b'v')
        before, s.port = s.port, s.another_port()
        c.ok('CONFIG', 'SET', 'port', s.port)
        expect(c.call('GET', 'k'), b'v')
        expect(s.call('GET', 'k'), b'v')
        try:
            Wire(before).close()
            raise AssertionError('the old port is still served')
        except ConnectionRefusedError:
            pass
        c.ok('CONFIG', 'SET', 'port', s.port)
        expect(s.call('GET', 'k'), b'v')
        expect(s.info('server')['tcp_port'], str(s.port))


def own_address():
    """An address of this machine that is not loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(('203.0.113.7', 9))      # sends nothing
            host = probe.getsockname()[0]
        except OSError:
            return None
    return None if host.startswith('127.') or host == '0.0.0.0' else host


def protected_mode(run):
    """Without a password only this machine is served, unless that is switched off."""
    host = own_address()
    if host is None:
        raise Skipped('this machine has no address but loopback')
    s = run.server(start=False)
    s.start([s.program, '--bind', '0.0.0.0', '--port', str(s.port), '--dir', s.dir])
    far = (host, s.port)
    with Wire(far) as c:
        got = c.reply()
        expect_that(isinstance(got, Error) and got.startswith('DENIED '), got)
        c.expect_end()
    with s.connect() as near:
        near.ok('CONFIG', 'SET', 'protected-mode', 'no')
        with Wire(far) as c:
            expect(c.call('PING'), 'PONG')
        near.ok('CONFIG', 'SET', 'protected-mode', 'yes')
        near.ok('CONFIG', 'SET', 'requirepass', 'secret')
        with Wire(far) as c:
            expect(c.call('PING'), NOAUTH)
            c.ok('AUTH', 'secret')
        near.ok('CONFIG', 'SET', 'requirepass', '')
        with Wire(far) as c:
            expect_that(c.reply().startswith('DENIED '), 'served without a password')


def many_clients(run):
    """Hundreds of connections at once, each answered, and all gone again."""
    s = run.server()
    clients = [s.connect() for _ in range(400)]
    for round_ in range(3):
        for i, c in enumerate(clients):
            c.send(encode('INCR', 'n') + encode('SET', f'c{i}', round_) + encode('GET', f'c{i}'))
        for c in clients:
            got = c.replies(3)
            expect_that(1 <= got[0] <= 1200, got)
            expect(got[1:], ['OK', b'%d' % round_])
    expect(s.call('GET', 'n'), b'1200')
    expect(re.search(r'connected_clients:(\d+)', s.call('INFO', 'clients').decode()).group(1), '401')
    for i, c in enumerate(clients):
        c.reset() if i % 2 else c.close()
    s.wait_for_clients(0)


CASES = [proto_max_bulk_len, client_query_buffer_limit, client_output_buffer_limit, unauthenticated, maxclients,
         open_files, timeout, tcp_keepalive, unix_socket, unix_socket_path_too_long, unix_socket_only,
         several_addresses, port_in_use, moving_port, protected_mode, many_clients]
