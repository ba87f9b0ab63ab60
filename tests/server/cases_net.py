"""Connections: halves that close, peers that are slow, rude or gone, pipelines of everything, garbage, order."""

import os
import random
import threading
import time

from harness import NULL3, Closed, Error, Failed, Wire, encode, expect, expect_that, wait_until


def half_close(run):
    """Who stops sending still gets every reply, then the end."""
    s = run.server()
    with s.connect() as c:
        c.send(b''.join(encode('SET', 'k', i) + encode('GET', 'k') + encode('PING') for i in range(3000)))
        c.end_of_output()
        for i in range(3000):
            expect(c.replies(3), ['OK', b'%d' % i, 'PONG'], f'round {i}')
        c.expect_end()
    with s.connect() as c:                              # inline
        c.send(b''.join(b'set k %d\r\nget k\r\n' % i for i in range(500)))
        c.end_of_output()
        for i in range(500):
            expect(c.replies(2), ['OK', b'%d' % i], f'inline round {i}')
        c.expect_end()
    with s.connect() as c:                              # the last command is cut off: it was never given
        c.send(encode('SET', 'k', 'whole') + encode('SET', 'k', 'cut')[:-3])
        c.end_of_output()
        expect(c.reply(), 'OK')
        c.expect_end()
    expect(s.call('GET', 'k'), b'whole')
    with s.connect() as c:                              # nothing at all
        c.end_of_output()
        c.expect_end()
    s.wait_for_clients(0)


def half_close_behind_large_replies(run):
    """The end of input is met while output is paused; nothing is cut off."""
    s = run.server()
    value = run.rng.randbytes(1 << 20)
    with s.connect() as c:
        c.ok('SET', 'big', value)
        c.send(encode('GET', 'big') * 60 + encode('SET', 'last', 'yes'))
        c.end_of_output()
        for i in range(60):
            expect_that(c.reply() == value, f'reply {i}')
        expect(c.reply(), 'OK')
        c.expect_end()
    expect(s.call('GET', 'last'), b'yes')


def reset_in_a_pipeline(run):
    """A client that resets its connection in the middle of writes harms nobody and leaves nothing behind."""
    s = run.server()
    with s.connect() as other:
        count = 0
        for i in range(40):
            rude = s.connect()
            rude.send(encode('INCR', f'rude:{i}') * 700 + encode('GET', 'x') * 100)
            for _ in range(run.rng.randrange(3)):
                count += 1
                expect(other.call('INCR', 'other'), count)
            if run.rng.random() < 0.5:
                expect(rude.reply(), 1)
            rude.reset()
            count += 1
            expect(other.call('INCR', 'other'), count)
        wait_until(lambda: len(s.clients()) == 1, 'only the other client is left')
        for i in range(40):
            got = int(other.call('GET', f'rude:{i}') or 0)
            expect_that(got <= 700, f'rude:{i} was incremented {got} times')
        expect(other.call('GET', 'other'), b'%d' % count)


def slow_reader(run):
    """A client that does not read is waited for, not buffered for: the memory stays, others are served, and what
    it asked for arrives in order once it reads."""
    s = run.server()
    rounds, value = 300, run.rng.randbytes(1 << 20)
    with s.connect() as other, s.connect(receive_buffer=1 << 16) as slow:
        other.ok('SET', 'big', value)
        before = s.resident_mb()
        slow.ok('CLIENT', 'SETNAME', 'slow')
        slow.send(b''.join(encode('ECHO', i) + encode('GET', 'big') for i in range(rounds)))

        def line():
            return next(c for c in s.clients() if c['name'] == 'slow')

        wait_until(lambda: int(line()['obl']) > 0, 'the reader is behind')
        for i in range(200):
            other.ok('SET', 'n', i)
            expect(other.call('GET', 'n'), b'%d' % i)
        buffered = int(line()['tot-mem'])
        expect_that(buffered < 16 << 20, f'{buffered} bytes are held for a client that does not read')
        grown = s.resident_mb() - before
        expect_that(grown < (600 if s.sanitized else 100), f'the server grew by {grown:.0f} MB')
        for i in range(rounds):
            expect(slow.reply(), b'%d' % i)
            expect_that(slow.reply() == value, f'reply {i} is not the value')
        expect(slow.call('PING'), 'PONG')


def slow_reader_leaves(run):
    """Nor does a client that never reads and goes away keep anything."""
    s = run.server()
    s.call('SET', 'big', b'x' * (1 << 20))
    for leave in (Wire.close, Wire.reset):
        slow = s.connect(receive_buffer=1 << 16)
        slow.send(encode('GET', 'big') * 100)
        wait_until(lambda: any(int(c['obl']) > 0 for c in s.clients()), 'the reader is behind')
        leave(slow)
        s.wait_for_clients(0)


def nothing_spins(run):
    """Clients that are stuck, half gone or held cost no processor time while nothing happens."""
    s = run.server()
    s.call('SET', 'big', b'x' * (1 << 20))
    stuck = [s.connect(receive_buffer=1 << 16) for _ in range(2)]
    for c in stuck:
        c.send(encode('GET', 'big') * 50)
    stuck[1].end_of_output()
    held = [s.connect() for _ in range(3)]
    held[0].ok('CLIENT', 'PAUSE', 600_000, 'WRITE')
    for c in held:
        c.command('SET', 'k', 'v')
    held[1].end_of_output()
    held[2].reset()

    def processor_seconds():
        with open(f'/proc/{s.proc.pid}/stat') as f:
            words = f.read().rsplit(')', 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf('SC_CLK_TCK')

    def is_at_rest():
        before, began = processor_seconds(), time.monotonic()
        time.sleep(0.5)
        return processor_seconds() - before < (time.monotonic() - began) / 2

    wait_until(is_at_rest, 'the server is at rest')
    for c in stuck + held[:2]:
        c.close()


def slow_sender(run):
    """Bytes that arrive one at a time make the same commands."""
    s = run.server()
    with s.connect() as c:
        for byte in encode('SET', 'slow', 'value') + b'get slow\r\n' + encode('STRLEN', 'slow') + b'\r\n' + encode('PING'):
            c.send(bytes([byte]))
            time.sleep(0.0005)
        expect(c.replies(4), ['OK', b'value', 5, 'PONG'])


def large_value_in_pieces(run):
    """64 MB in pieces of any size, and the buffers are given back."""
    s = run.server()
    value = run.rng.randbytes(64 << 20)
    data = encode('SET', 'large', value) + encode('STRLEN', 'large')
    with s.connect() as c:
        at = 0
        while at < len(data):
            size = run.rng.choice((1, 7, 1000, 65536, 1 << 20, 5 << 20))
            c.send(data[at:at + size])
            at += size
        expect(c.replies(2), ['OK', len(value)])
        expect_that(c.call('GET', 'large') == value, 'the value came back different')
        wait_until(lambda: int(s.clients()[0]['tot-mem']) < 1 << 20, 'the buffers are given back')


def many_commands_in_one_write(run):
    """100,000 commands sent at once are answered in order."""
    s = run.server()
    count = 50_000
    with s.connect() as c:
        data = b''.join(encode('INCR', 'n') + encode('ECHO', i) for i in range(count))
        sender = threading.Thread(target=c.send, args=(data,))
        sender.start()
        for i in range(count):
            got = c.reply(), c.reply()
            if got != (i + 1, b'%d' % i):
                raise Failed(f'round {i}: {got}')
        sender.join()


# ------------------------------------------------------------------------------------------------- pipelines of everything

class Model:
    """What one connection must be told. Nobody else touches its keys."""

    def __init__(self):
        self.dbs = [{} for _ in range(16)]
        self.db, self.resp, self.name = 0, 2, None
        self.silent, self.skip = False, False

    def null(self):
        return NULL3 if self.resp == 3 else None

    def run(self, *args):
        """The reply, or Ellipsis when there is none."""
        was_skip = self.skip and args[0] != 'reply_on'
        self.skip = False
        reply = getattr(self, args[0].replace(' ', '_'))(*args[1:])
        return ... if self.silent or was_skip else reply

    def set(self, k, v):
        self.dbs[self.db][k] = v
        return 'OK'

    def append(self, k, v):
        self.dbs[self.db][k] = self.dbs[self.db].get(k, b'') + v
        return len(self.dbs[self.db][k])

    def delete(self, k):
        return 1 if self.dbs[self.db].pop(k, None) is not None else 0

    def get(self, k):
        return self.dbs[self.db].get(k, self.null())

    def incr(self, k):
        try:
            self.dbs[self.db][k] = b'%d' % (int(self.dbs[self.db].get(k, b'0')) + 1)
        except ValueError:
            return Error('ERR value is not an integer or out of range')
        return int(self.dbs[self.db][k])

    def select(self, n):
        if n > 15:
            return Error('ERR DB index is out of range')
        self.db = n
        return 'OK'

    def ping(self):
        return 'PONG'

    def setname(self, name):
        self.name = name
        return 'OK'

    def getname(self):
        return self.name or self.null()

    def hello(self, version):
        self.resp = version
        return dict if version == 3 else list

    def unknown(self):
        return Error("ERR unknown command 'nonsense', with args beginning with: ")

    def arity(self):
        return Error("ERR wrong number of arguments for 'set' command")

    def reply_on(self):
        self.silent = False
        return 'OK'     # also right behind SKIP

    def reply_off(self):
        self.silent = True
        return ...

    def reply_skip(self):
        self.skip = not self.silent
        return ...


WORDS = {'delete': ('DEL',), 'setname': ('CLIENT', 'SETNAME'), 'getname': ('CLIENT', 'GETNAME'), 'unknown': ('nonsense',),
         'arity': ('SET', 'k'), 'reply_on': ('CLIENT', 'REPLY', 'ON'), 'reply_off': ('CLIENT', 'REPLY', 'OFF'),
         'reply_skip': ('CLIENT', 'REPLY', 'SKIP')}


def pick_command(rng, prefix):
    key = prefix + b'%d' % rng.randrange(6)
    kind = rng.choice(('set', 'set', 'append', 'delete', 'get', 'get', 'get', 'incr', 'select', 'ping', 'setname', 'getname',
                       'hello', 'unknown', 'arity', 'reply_on', 'reply_off', 'reply_skip', 'reply_on'))
    if kind in ('set', 'append'):
        return kind, key, rng.choice((b'7', b'text', b'x' * 3000, b''))
    if kind in ('delete', 'get', 'incr'):
        return kind, key
    if kind == 'select':
        return kind, rng.choice((0, 1, 2, 99))
    if kind == 'setname':
        return kind, b'n%d' % rng.randrange(100)
    if kind == 'hello':
        return kind, rng.choice((2, 3))
    return (kind,)


def check_pipeline(c, model, commands):
    sent = []
    wants = []
    for args in commands:
        wants.append((args, model.run(*args)))
        sent.append(encode(*WORDS.get(args[0], (args[0],)), *args[1:]))
    sender = threading.Thread(target=c.send, args=(b''.join(sent),))
    sender.start()
    for n, (args, want) in enumerate(wants):
        if want is ...:
            continue
        got = c.reply()
        if want in (dict, list):
            expect(type(got), want, f'HELLO at {n}')
        else:
            expect(got, want, f'command {n}, {args!r:.60}, after {[a for a, _ in wants[:n]]!r:.500}')
    sender.join()


class Pipeliners:
    """Four connections that send pipelines of everything until their rounds are done or `stop` is set."""

    def __init__(self, run, server, rounds):
        self.server, self.rounds = server, rounds
        self.stop, self.problems = threading.Event(), []
        self.threads = [threading.Thread(target=self._client, args=(n, run.rng.random())) for n in range(4)]
        for t in self.threads:
            t.start()

    def _client(self, number, seed):
        rng, model = random.Random(seed), Model()
        try:
            with self.server.connect() as c:
                for _ in range(self.rounds):
                    commands = [pick_command(rng, b'c%d:' % number) for _ in range(rng.choice((1, 5, 50, 400)))]
                    check_pipeline(c, model, commands + [('reply_on',)])
                    if self.stop.is_set():
                        break
        except Exception as problem:  # noqa: BLE001  it is reported by the thread that waits
            self.problems.append(problem)

    def join(self):
        for t in self.threads:
            t.join()
        if self.problems:
            raise self.problems[0]


def mixed_pipelines(run):
    """Writes, reads, SELECT, names, HELLO, errors and CLIENT REPLY in one pipeline: each reply is right, in its place
    and in the protocol of its moment, and reads see the writes before them, never those behind."""
    Pipeliners(run, run.server(), 25).join()


def pipelines_under_maintenance(run):
    """The same while an operator saves, reloads, evicts, pauses and looks around."""
    s = run.server('--enable-debug-command', 'yes', '--writeback-seconds', '1')
    clients = Pipeliners(run, s, 10 ** 6)
    with s.connect() as c:
        for _ in range(150):
            reply = c.call(*run.rng.choice((
                ('DEBUG', 'RELOAD'), ('SAVE',), ('BGSAVE',), ('MEMORY', 'PURGE'), ('CLIENT', 'LIST'), ('INFO', 'all'),
                ('KEYS', '*'), ('SCAN', '0'), ('DBSIZE',), ('CONFIG', 'RESETSTAT'), ('CLIENT', 'PAUSE', '20'),
                ('CLIENT', 'PAUSE', '20', 'WRITE'), ('CONFIG', 'SET', 'maxmemory', run.rng.choice(('0', '64kb', '1gb'))))))
            if isinstance(reply, Error):
                clients.problems.append(Failed(reply))
            if clients.problems:
                break
    clients.stop.set()
    clients.join()


def refusals_keep_their_place(run):
    """What ends a connection behind unanswered writes is told behind their answers."""
    s = run.server()
    for last, told in ((b'*1\r\n$-5\r\n', b'-ERR Protocol error: invalid bulk length\r\n'),
                       (encode('QUIT'), b'+OK\r\n'),
                       (b'"unbalanced\r\n', b'-ERR Protocol error: unbalanced quotes in request\r\n')):
        for _ in range(20):
            with s.connect() as c:
                c.send(encode('SET', 'k', '1') + encode('INCR', 'k') + encode('GET', 'k') + last + encode('SET', 'k', 'never'))
                expect(c.rest(), b'+OK\r\n:2\r\n$1\r\n2\r\n' + told)
    expect(s.call('GET', 'k'), b'2')


def order_between_connections(run):
    """What one connection was told is seen by every other at once, while twenty more write in pipelines."""
    s = run.server()
    stop = threading.Event()

    def noise(number):
        with s.connect() as c:
            n = 0
            while not stop.is_set():
                c.send(encode('INCR', f'noise:{number}') * 50)
                n += 50
                expect(c.replies(50)[-1], n)

    threads = [threading.Thread(target=noise, args=(n,)) for n in range(20)]
    for t in threads:
        t.start()
    try:
        with s.connect() as a, s.connect() as b:
            for i in range(1, 400):
                a.ok('SET', 'seen', i)
                expect(b.call('GET', 'seen'), b'%d' % i)
                expect(b.call('APPEND', 'log', 'x'), i)
                expect(a.call('STRLEN', 'log'), i)
    finally:
        stop.set()
        for t in threads:
            t.join()


# ------------------------------------------------------------------------------------------------- garbage

GARBAGE = (
    (b'*1\r\n$-5\r\n', 'invalid bulk length'),
    (b'*1\r\n$abc\r\n', 'invalid bulk length'),
    (b'*1\r\n$\r\n', 'invalid bulk length'),
    (b'*1\r\n$4 \r\nPING\r\n', 'invalid bulk length'),
    (b'*1\r\n$536870913\r\n', 'invalid bulk length'),
    (b'*1\r\n$99999999999999999999\r\n', 'invalid bulk length'),
    (b'*1\r\n:1\r\n', "expected '$', got ':'"),
    (b'*2\r\n$4\r\nECHO\r\n+OK\r\n', "expected '$', got '+'"),
    (b'*abc\r\n', 'invalid multibulk length'),
    (b'*2147483648\r\n', 'invalid multibulk length'),
    (b'*99999999999999999999\r\n', 'invalid multibulk length'),
    (b'*1.5\r\n', 'invalid multibulk length'),
    (b'"unbalanced\r\n', 'unbalanced quotes in request'),
    (b"set 'a'b c\r\n", 'unbalanced quotes in request'),
    (b'x' * 70000, 'too big inline request'),
    (b'*' + b'1' * 70000, 'too big mbulk count string'),
    (b'*1\r\n$' + b'1' * 70000, 'too big bulk count string'),
)


def garbage_is_answered(run):
    """Each kind of broken protocol gets its error behind what was right before it, then the end."""
    s = run.server()
    for bad, text in GARBAGE:
        with s.connect() as c:
            c.send(encode('PING') + bad)
            expect(c.rest(), b'+PONG\r\n-ERR Protocol error: %s\r\n' % text.encode(), f'{bad!r:.40}')
    with s.connect() as c:      # who wants no replies gets none (Redis does not even close)
        c.send(encode('CLIENT', 'REPLY', 'OFF') + encode('SET', 'k', 'v') + GARBAGE[0][0])
        c.expect_end()
    with s.connect() as c:      # no garbage, though it looks odd
        c.send(b'\r\n\n*0\r\n*-1\r\n*-10\r\n   \r\n' + b'PING\n')
        expect(c.reply(), 'PONG')
    s.wait_for_clients(0)


def other_protocols(run):
    """TLS and HTTP end badly for their clients only; what a browser can be made to send is not even answered."""
    s = run.server()
    hello = b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(b for b in run.rng.randbytes(500) if b not in b'\r\n"\'')
    with s.connect() as c:
        c.send(hello)
        expect_that(c.is_quiet(0.05), 'half a line was answered')
        c.end_of_output()
        c.expect_end()
    with s.connect() as c:
        c.send(b'GET /index.html HTTP/1.1\r\nHost: example\r\nAccept: */*\r\n\r\n')
        c.expect_end()
    for attack in (b'POST / HTTP/1.1\r\nSET attacked 1\r\n\r\n', b'host: example\r\nSET attacked 1\r\n',
                   encode('POST', '/') + encode('SET', 'attacked', '1')):
        with s.connect() as c:
            c.send(attack)
            c.expect_end()
    expect(s.call('EXISTS', 'attacked'), 0)
    expect_that('SECURITY ATTACK' in s.log(), 'the log does not warn of it')


def random_bytes(run):
    """No bytes harm the server, whatever they are and wherever they end."""
    s = run.server()
    rng = run.rng
    sane = encode('SET', 'k', 'v' * 50) + encode('GET', 'k') + b'mget k k\r\n'
    with s.connect() as other:
        for i in range(300):
            data = rng.choice((b'', sane, sane[:rng.randrange(len(sane))])) + rng.choice((
                rng.randbytes(rng.randrange(200)),
                bytes(rng.choice(b'*$:+-0123456789\r\n "\'\\x') for _ in range(rng.randrange(200)))))
            with s.connect() as c:
                c.send(data)
                c.end_of_output()
                c.rest()
            if i % 10 == 0:
                expect(other.call('PING'), 'PONG')
    s.wait_for_clients(0)


def huge_announcements(run):
    """Lengths that are announced and never sent cost nothing."""
    s = run.server()
    before = s.resident_mb()
    clients = []
    for start in (b'*2\r\n$3\r\nGET\r\n$536870912\r\n', b'*2147483647\r\n$1\r\n', b'*1000000\r\n',
                  b'*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\nabc'):
        for _ in range(25):
            clients.append(s.connect())
            clients[-1].send(start)
    s.wait_for_clients(100)
    grown = s.resident_mb() - before
    expect_that(grown < (300 if s.sanitized else 100), f'the server grew by {grown:.0f} MB')
    for c in clients:
        c.close()
    s.wait_for_clients(0)


# ------------------------------------------------------------------------------------------------- one client and another

def io_threads_share_the_writing(run):
    """What one turn owes to many is written by several threads: each listener hears all of it, in order, also who reads late,
    and those who leave in the middle harm nobody."""
    s = run.server('--io-threads', '4')
    expect(s.info('server')['io_threads_active'], '1')
    # More than the sockets take, so that some writes are cut short and some refused.
    messages = [run.rng.randbytes(run.rng.choice((1, 3000, 300000, 300000))) for _ in range(40)]
    listeners = [s.connect(receive_buffer=1 << 16) for _ in range(40)]
    for c in listeners:
        expect(c.call('SUBSCRIBE', 'news'), [b'subscribe', b'news', 1])
    stay, leave = listeners[:20], listeners[20:]
    with s.connect() as c:
        for n, message in enumerate(messages):
            expect_that(c.call('PUBLISH', 'news', message) >= len(stay), f'message {n} was not heard by all')
            if n % 2 == 1:
                leave.pop().reset()
    for n, c in enumerate(stay):
        for message in messages:
            expect_that(c.reply() == [b'message', b'news', message], f'listener {n} heard something else')
        expect(c.call('PING', 'end'), [b'pong', b'end'])
        c.close()
    s.wait_for_clients(0)


def pause_writes(run):
    """CLIENT PAUSE WRITE holds writes, and what stands behind them, until UNPAUSE; reads go on; nothing is lost."""
    s = run.server()
    with s.connect() as a, s.connect() as b, s.connect() as c:
        a.ok('SET', 'k', 'before')
        a.ok('CLIENT', 'PAUSE', 100000, 'WRITE')
        b.send(encode('PING') + encode('SET', 'k', 'after') + encode('GET', 'k') + encode('INCR', 'n') * 100)
        expect(b.reply(), 'PONG')
        for _ in range(20):
            expect(c.call('GET', 'k'), b'before')
        expect_that(b.is_quiet(), 'a paused write was answered')
        a.ok('CLIENT', 'UNPAUSE')
        expect(b.replies(2), ['OK', b'after'])
        expect(b.replies(100), list(range(1, 101)))
        expect(c.call('GET', 'n'), b'100')
        # A pause takes hold where it stands in a pipeline.
        a.send(encode('SET', 'k', '1') + encode('CLIENT', 'PAUSE', 100000, 'WRITE') + encode('SET', 'k', '2'))
        expect(a.replies(2), ['OK', 'OK'])
        expect(c.call('GET', 'k'), b'1')
        expect_that(a.is_quiet(), 'a paused write was answered')
        c.ok('CLIENT', 'UNPAUSE')
        expect(a.reply(), 'OK')
        expect(c.call('GET', 'k'), b'2')


def pause_everything(run):
    """CLIENT PAUSE ALL holds reads too, and ends by itself; who leaves meanwhile leaves nothing."""
    s = run.server()
    with s.connect() as a, s.connect() as b:
        a.ok('SET', 'k', 'v')
        gone = s.connect()
        began = time.monotonic()
        a.ok('CLIENT', 'PAUSE', 700)
        gone.command('SET', 'k', 'gone')
        gone.reset()
        b.command('GET', 'k')
        expect(b.reply() in (b'v', b'gone'), True)
        expect_that(time.monotonic() - began >= 0.69, 'the pause ended before its time')
        expect(a.call('PING'), 'PONG')
    s.wait_for_clients(0)


def kill_in_a_pipeline(run):
    """CLIENT KILL ends others in the middle of their pipelines: what they were told holds, the server lives on."""
    s = run.server()
    stop = threading.Event()
    told, problems = {}, []

    def victim(number):
        life = 0
        while not stop.is_set():
            # A key for each connection: what a killed one had in the log is applied when its turn comes.
            life += 1
            key, n = f'v{number}:{life}', 0
            try:
                with s.connect() as c:
                    c.ok('CLIENT', 'SETNAME', 'victim')
                    while not stop.is_set():
                        c.send((encode('INCR', key) + encode('GET', key)) * 100)
                        for _ in range(100):
                            n += 1
                            got = c.reply(), c.reply()
                            if got != (n, b'%d' % n):
                                problems.append(f'{key}: {got} instead of {n}')
                            told[key] = n
            except (Closed, ConnectionError):
                pass
            except Exception as problem:  # noqa: BLE001  it is reported by the thread that waits
                problems.append(repr(problem))
                return

    threads = [threading.Thread(target=victim, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    with s.connect() as c:
        killed = 0
        while killed < 60 and not problems:
            victims = [v for v in s.clients() if v['name'] == 'victim']
            for v in victims[:2]:
                if run.rng.random() < 0.5:
                    killed += c.call('CLIENT', 'KILL', 'ID', v['id'])
                else:
                    got = c.call('CLIENT', 'KILL', v['addr'])
                    killed += got == 'OK'
                    expect_that(got in ('OK', 'ERR No such client'), got)
        stop.set()
        # All at once, in a pipeline, from one that is itself in the middle of writes; then itself.
        c.send(encode('INCR', 'killer') * 10 + encode('CLIENT', 'KILL', 'TYPE', 'normal') + encode('INCR', 'killer'))
        expect(c.replies(10), list(range(1, 11)))
        expect_that(isinstance(c.reply(), int), 'CLIENT KILL TYPE answers with a number')
        expect(c.reply(), 11)
        c.send(encode('INCR', 'killer') + encode('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'no') +
               encode('SET', 'killer', 'x'))
        expect(c.reply(), 12)
        expect_that(isinstance(c.reply(), int), 'CLIENT KILL TYPE answers with a number')
        c.expect_end()
    for t in threads:
        t.join()
    if problems:
        raise Failed('; '.join(problems[:5]))
    expect(s.call('GET', 'killer'), b'12')
    for key, n in told.items():
        expect_that(int(s.call('GET', key)) >= n, f'{key} is less than {n}')
    s.wait_for_clients(0)


CASES = [half_close, half_close_behind_large_replies, reset_in_a_pipeline, slow_reader, slow_reader_leaves,
         nothing_spins, slow_sender, large_value_in_pieces, many_commands_in_one_write, mixed_pipelines,
         pipelines_under_maintenance, refusals_keep_their_place, order_between_connections, garbage_is_answered,
         other_protocols, random_bytes, huge_announcements, io_threads_share_the_writing, pause_writes, pause_everything,
         kill_in_a_pipeline]
