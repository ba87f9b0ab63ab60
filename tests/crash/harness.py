"""What the crash and fault tests share: a server under a disk that may forget, connections, and actors.

An actor is one client connection with keys that nobody else touches. It sends commands at full speed and knows, from
a model of the few commands it uses, what each reply must be. After a crash its keys must read like the model after
every acknowledged command plus some number of the commands in flight, in order: whole commands, no gaps. All actors
together also increment one shared counter.
"""

import errno
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import powercut  # noqa: E402
from collections_model import AnyOrder, CollectionLoad, CollectionModel  # noqa: E402
from zset_model import ZsetLoad, ZsetModel  # noqa: E402

TTL_SLACK_MS = 200      # a key this close to its deadline may be seen or not
START_SECONDS = 60


class Failure(Exception):
    """The server broke a promise."""


class RespError(str):
    """An error reply."""


class Reader:
    """RESP2 replies out of bytes as they come: str for +, int for :, bytes or None for $, list for *, RespError."""

    def __init__(self):
        self.buf, self.at = b'', 0

    def feed(self, data):
        self.buf = self.buf[self.at:] + data
        self.at = 0

    def next(self):
        """The next reply, or Ellipsis when it is not all there yet."""
        start = self.at
        got = self._next()
        if got is Ellipsis:
            self.at = start
        return got

    def _next(self):
        buf = self.buf
        end = buf.find(b'\r\n', self.at)
        if end < 0:
            return Ellipsis
        kind, line = buf[self.at:self.at + 1], buf[self.at + 1:end]
        self.at = end + 2
        if kind == b'+':
            return line.decode()
        if kind == b':':
            return int(line)
        if kind == b'-':
            return RespError(line.decode(errors='replace'))
        if kind == b'$':
            n = int(line)
            if n < 0:
                return None
            if len(buf) < self.at + n + 2:
                return Ellipsis
            data = buf[self.at:self.at + n]
            self.at += n + 2
            return data
        if kind == b'*':
            out = []
            for _ in range(int(line)):
                item = self._next()
                if item is Ellipsis:
                    return Ellipsis
                out.append(item)
            return out
        raise Failure(f'not RESP: {buf[self.at - 20:self.at + 40]!r}')


def encode(args):
    out = [b'*%d\r\n' % len(args)]
    for a in args:
        if not isinstance(a, bytes):
            a = str(a).encode()
        out.append(b'$%d\r\n%s\r\n' % (len(a), a))
    return b''.join(out)


class Client:
    """A blocking connection, for verification and for faults."""

    def __init__(self, port, timeout=30):
        self.sock = socket.create_connection(('127.0.0.1', port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader()

    def read(self):
        while True:
            got = self.reader.next()
            if got is not Ellipsis:
                return got
            data = self.sock.recv(1 << 20)
            if not data:
                raise ConnectionResetError('the server closed the connection')
            self.reader.feed(data)

    def call(self, *args):
        self.sock.sendall(encode(args))
        return self.read()

    def pipeline(self, commands):
        out = []
        for i in range(0, len(commands), 200):      # few enough that neither side's buffers fill up
            part = commands[i:i + 200]
            self.sock.sendall(b''.join(map(encode, part)))
            out += [self.read() for _ in part]
        return out

    def close(self):
        self.sock.close()


# ------------------------------------------------------------------------------------------------- the server

def reserve_port():
    """A port of the test's range that nobody uses now, and a socket that keeps other runs of the test off it while
    no server listens there. It goes with this process."""
    ports = list(range(7100, 7200))
    random.SystemRandom().shuffle(ports)
    for port in ports:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f'\0redraft-crash-{port}')
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(('127.0.0.1', port))
            return port, claim
        except OSError:
            claim.close()
    raise SystemExit('no free port in 7100-7199')


class Server:
    """One data folder and the processes that serve it, one after the other."""

    def __init__(self, program, lib, redis_args=None):
        self.program, self.lib = os.path.abspath(program), lib and os.path.abspath(lib)
        self.top = os.path.realpath(tempfile.mkdtemp(prefix='redraft-crash-'))
        self.dir, self.side, self.ctl = (os.path.join(self.top, n) for n in ('data', 'side', 'ctl'))
        for path in (self.dir, self.side, self.ctl):
            os.mkdir(path)
        self.log_path = os.path.join(self.top, 'server.log')
        self.is_redis = 'redis-server' in os.path.basename(program)
        self.redis_args = redis_args or ['--appendfsync', 'always']
        self.port, self.claim = reserve_port()
        self.proc = None
        self.start_s = 0.3
        self.layered = False

    def spawn(self, options=(), layered=False, env=None, sync_us=100):
        """Starts the process and returns at once."""
        self.layered = layered
        args = [self.program, '--port', str(self.port), '--bind', '127.0.0.1', '--dir', self.dir]
        if self.is_redis:
            args += ['--appendonly', 'yes', '--save', '', '--auto-aof-rewrite-percentage', '0',
                     '--enable-debug-command', 'yes', *self.redis_args]
        else:
            args += list(options)
        full = dict(os.environ)
        if layered:
            # An instrumented server would insist on being loaded first.
            full['ASAN_OPTIONS'] = full.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'
            full.update(LD_PRELOAD=self.lib, POWERCUT_DIR=self.dir, POWERCUT_SIDE=self.side, POWERCUT_CTL=self.ctl,
                        POWERCUT_SYNC_US=str(sync_us))
        full.update(env or {})
        with open(self.log_path, 'ab') as log:
            log.write(f'--- {" ".join(args)}\n'.encode())
            log.flush()
            self.log_start = log.tell()
            self.proc = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=full, cwd=self.top)

    def log_text(self):
        """What the running or last process wrote."""
        with open(self.log_path, 'rb') as f:
            f.seek(self.log_start)
            return f.read().decode(errors='replace')

    def wait_ready(self, seconds=START_SECONDS):
        """Waits until the server serves; Failure when it ends or stays silent."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            if self.proc.poll() is not None:
                raise Failure(f'the server did not start: it ended with {self.proc.returncode}')
            try:
                client = Client(self.port, timeout=5)
                reply = client.call('PING')
                client.close()
                if reply == 'PONG':
                    self.start_s = time.monotonic() - began
                    return
                if not str(reply).startswith('LOADING'):
                    raise Failure(f'PING was answered with {reply!r}')
            except OSError:
                pass
            time.sleep(0.005)
        raise Failure(f'the server was not ready after {seconds} s')

    def kill(self):
        """SIGKILL; a process that ended before, by itself, is a failure."""
        self.proc.kill()
        rc = self.proc.wait()
        if rc != -signal.SIGKILL:
            raise Failure(f'the server ended by itself with {rc}')

    def stop(self, seconds=30):
        """SIGTERM, and the exit code."""
        self.proc.terminate()
        try:
            return self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f'the server did not stop within {seconds} s of SIGTERM') from None

    def cut(self, seed):
        """Takes the power from a dead process's disk, if it ran on one that forgets."""
        if not self.layered:
            return 'kept'
        # Redis makes no claim for a log with holes, only for one that ends early.
        return powercut.apply(self.dir, self.side, seed, holes=not self.is_redis)

    def op_count(self):
        """How many tracked operations the process has done."""
        with open(os.path.join(self.side, 'journal'), 'rb') as f:
            return int.from_bytes(f.read(24)[16:24], 'little')

    def cut_in(self, ops):
        """Lets the process die as it starts its nth operation from now; on any disk it is dead soon after."""
        with open(os.path.join(self.side, 'journal'), 'r+b') as f:
            at = int.from_bytes(f.read(24)[16:24], 'little') + ops
            f.seek(24)
            f.write(at.to_bytes(8, 'little'))
        threading.Timer(0.5, self.proc.kill).start()

    def close(self, keep=False):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        self.claim.close()
        if not keep:
            shutil.rmtree(self.top)


# -------------------------------------------------------------------------------------------------- the model

OK = 'OK'
SHARED = object()       # the reply to an increment of the shared counter: checked across actors
NO_KEY = RespError('ERR no such key')


class OneOf(tuple):
    """Any of these replies is right."""


class Model(CollectionModel, ZsetModel):
    """Databases of values with deadlines. apply() gives the reply that Redis gives, and notes what was touched."""

    def __init__(self, dbs=()):
        self.dbs = {n: {} for n in dbs}     # number -> {key: (value, deadline in ms or None)}
        self.db = 0

    def copy(self):
        out = Model()
        out.dbs = {n: dict(d) for n, d in self.dbs.items()}
        out.db = self.db
        return out

    def apply(self, args, touched=None):
        d = self.dbs.get(self.db)
        if touched is not None:
            touched.update(self.touches(args))
        return getattr(self, 'do_' + args[0].lower())(d, *args[1:])

    def touches(self, args):
        """The (database, key) pairs that a command may change."""
        name = args[0]
        if name in ('FLUSHDB', 'SWAPDB'):
            dbs = [self.db] if name == 'FLUSHDB' else list(args[1:])
            return {(n, k) for n in dbs for m in dbs for k in self.dbs[m]}
        if name in ('SELECT', 'GET', 'EXISTS', 'STRLEN', 'MGET', 'PEXPIRETIME') or b'shared' in args:
            return set()
        if name in ('MSET', 'MSETNX'):
            return {(self.db, k) for k in args[1::2]}
        if name in ('DEL', 'UNLINK', 'RENAME', 'RENAMENX', 'COPY') and 'DB' not in args:
            return {(self.db, k) for k in args[1:] if k != 'REPLACE'}
        if name == 'COPY':
            return {(args[4], args[2])}
        if name == 'SMOVE':
            return {(self.db, k) for k in args[1:3]}
        if name == 'MOVE':
            return {(self.db, args[1]), (args[2], args[1])}
        return {(self.db, args[1])}

    def do_select(self, d, n):
        self.db = n
        return OK

    def do_set(self, d, k, v, *opts):
        old = d.get(k)
        reply = OK
        if 'GET' in opts:
            reply = old[0] if old else None
        if ('NX' in opts and old) or ('XX' in opts and not old):
            return reply if 'GET' in opts else None
        at = None
        if 'PXAT' in opts:
            at = opts[opts.index('PXAT') + 1]
        elif 'KEEPTTL' in opts and old:
            at = old[1]
        d[k] = (v, at)
        return reply

    def do_setnx(self, d, k, v):
        if k in d:
            return 0
        d[k] = (v, None)
        return 1

    def do_getset(self, d, k, v):
        old = d.get(k)
        d[k] = (v, None)
        return old[0] if old else None

    def do_getdel(self, d, k):
        old = d.pop(k, None)
        return old[0] if old else None

    def do_append(self, d, k, v):
        old = d.get(k, (b'', None))
        d[k] = (old[0] + v, old[1])
        return len(d[k][0])

    def do_setrange(self, d, k, off, v):
        old = d.get(k, (b'', None))
        data = old[0].ljust(off, b'\0')
        d[k] = (data[:off] + v + data[off + len(v):], old[1])
        return len(d[k][0])

    def do_incrby(self, d, k, n):
        old = d.get(k, (b'0', None))
        value = int(old[0]) + n
        d[k] = (b'%d' % value, old[1])
        return value

    def do_incr(self, d, k):
        return SHARED if k == b'shared' else self.do_incrby(d, k, 1)

    def do_decrby(self, d, k, n):
        return self.do_incrby(d, k, -n)

    def do_mset(self, d, *pairs):
        for k, v in zip(pairs[::2], pairs[1::2]):
            d[k] = (v, None)
        return OK

    def do_msetnx(self, d, *pairs):
        if any(k in d for k in pairs[::2]):
            return 0
        self.do_mset(d, *pairs)
        return 1

    def do_del(self, d, *keys):
        return sum(1 for k in keys if d.pop(k, None) is not None)

    do_unlink = do_del

    def do_rename(self, d, a, b):
        if a not in d:
            return NO_KEY
        d[b] = d.pop(a)
        return OK

    def do_renamenx(self, d, a, b):
        if a not in d:
            return NO_KEY
        if b in d:
            return 0
        d[b] = d.pop(a)
        return 1

    def do_copy(self, d, a, b, *opts):
        to = self.dbs[opts[opts.index('DB') + 1]] if 'DB' in opts else d
        if a not in d or (b in to and 'REPLACE' not in opts):
            return 0
        to[b] = d[a]
        return 1

    def do_move(self, d, k, n):
        if k not in d or k in self.dbs[n]:
            return 0
        self.dbs[n][k] = d.pop(k)
        return 1

    def do_pexpireat(self, d, k, at):
        if k not in d:
            return 0
        d[k] = (d[k][0], at)
        return 1

    def do_persist(self, d, k):
        if k not in d or d[k][1] is None:
            return 0
        d[k] = (d[k][0], None)
        return 1

    def do_get(self, d, k):
        return d[k][0] if k in d else None

    def do_strlen(self, d, k):
        return len(d[k][0]) if k in d else 0

    def do_exists(self, d, *keys):
        return sum(k in d for k in keys)

    def do_mget(self, d, *keys):
        return [d[k][0] if k in d else None for k in keys]

    def do_pexpiretime(self, d, k):
        return -2 if k not in d else -1 if d[k][1] is None else d[k][1]

    def do_flushdb(self, d, *opts):
        d.clear()
        return OK

    def do_swapdb(self, d, a, b):
        self.dbs[a], self.dbs[b] = self.dbs[b], self.dbs[a]
        return OK


# ------------------------------------------------------------------------------------------------- the actors

def now_ms():
    return int(time.time() * 1000)


def bytes_of(rng, n):
    """n bytes, half of them words (as rows compress), half noise."""
    word = b'%x.' % rng.getrandbits(48)
    return (word * (n // len(word) + 1))[:n // 2] + rng.randbytes(n - n // 2)


class Actor:
    """One connection's worth of commands, with its model at what was sent and at what was acknowledged."""

    dbs = (0,)
    short_lived = False     # keys with near deadlines: a reply may be one of two

    def __init__(self, index, seed, scale=1.0):
        self.index, self.rng, self.scale = index, random.Random(f'{seed}/{index}'), scale
        self.prefix = b'a%d:' % index
        self.acked = Model(self.dbs)
        self.sent = self.acked.copy()
        self.flight = []            # (args, expected reply), oldest first
        self.touched = set()        # (database, key) since the last verification
        self.shared_last = 0
        self.acks = 0
        self.closed = True

    read_more = ()      # what stands behind the key in ...

    def read_command(self, k):
        """How a key's value is read after a crash, when it is no string."""
        return None

    def key(self, kind, n):
        return self.prefix + b'%s:%d' % (kind, self.rng.randrange(n))

    # -- the connection

    def connect(self, port, depth):
        self.sock = socket.create_connection(('127.0.0.1', port), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.reader, self.out, self.depth, self.closed = Reader(), b'', depth, False
        self.acked.db = self.sent.db = 0
        if self.dbs[0] != 0:
            self.send('SELECT', self.rng.choice(self.dbs))

    def send(self, *args):
        expected = self.sent.apply(args, self.touched)
        if self.short_lived and args[0] == 'GET':
            expected = OneOf((expected, None))
        self.flight.append((args, expected))
        self.out += encode(args)

    def fill(self):
        """Tops the pipeline up once half of it was answered, and pushes bytes."""
        if len(self.flight) <= self.depth // 2:
            while len(self.flight) < self.depth:
                self.next()
        self.push()

    def push(self):
        while self.out:
            try:
                n = self.sock.send(self.out)
            except BlockingIOError:
                return
            except OSError:
                self.out = b''
                return
            self.out = self.out[n:]

    def receive(self, counter):
        """Reads what came; False at the end of the connection."""
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return True
        except OSError as e:
            if e.errno not in (errno.ECONNRESET, errno.EPIPE):
                raise
            data = b''
        if not data:
            self.sock.close()
            self.closed = True
            return False
        self.reader.feed(data)
        done = 0
        while (reply := self.reader.next()) is not Ellipsis:
            if done >= len(self.flight):
                raise Failure(f'actor {self.index}: a reply without a command: {reply!r}')
            args, expected = self.flight[done]
            done += 1
            self.check(args, expected, reply, counter)
            self.acked.apply(args)
        del self.flight[:done]
        self.acks += done
        return True

    def check(self, args, expected, reply, counter):
        if expected is SHARED:
            if not isinstance(reply, int) or reply <= self.shared_last or reply in counter.seen:
                raise Failure(f'actor {self.index}: INCR shared gave {reply!r} after {self.shared_last}')
            self.shared_last = reply
            counter.seen.add(reply)
            return
        if isinstance(expected, OneOf):
            ok = reply in expected
        elif isinstance(expected, AnyOrder):
            ok = isinstance(reply, list) and sorted(reply) == sorted(expected)
        else:
            ok = reply == expected and isinstance(reply, RespError) == isinstance(expected, RespError)
        if not ok:
            raise Failure(f'actor {self.index}: {show(args)} was answered {show_value(reply)}, '
                          f'not {show_value(expected)}')

    # -- after a crash

    def match(self, actual, read_at):
        """Finds how many commands in flight took effect, and moves the model there.

        actual: (database, key) -> (value or None, deadline or None if unread); every touched key is in it.
        Returns the least and the most shared increments among them, or raises Failure.
        """
        model = self.acked
        wrong = {dk for dk in actual if not self.agrees(model, dk, actual[dk], read_at)}
        shared, first, low, high, best = 0, None, 0, 0, (len(wrong), 0, self.describe(model, wrong, actual))
        matched = None
        for i in range(len(self.flight) + 1):
            if not wrong:
                if first is None:
                    first, low, matched = i, shared, model.copy()
                high = shared
            if i == len(self.flight):
                break
            args, expected = self.flight[i]
            touched = set()
            model.apply(args, touched)
            shared += expected is SHARED
            for dk in touched:
                if dk not in actual:
                    raise AssertionError(f'{dk} was touched but not read')
                wrong.discard(dk)
                if not self.agrees(model, dk, actual[dk], read_at):
                    wrong.add(dk)
            if len(wrong) < best[0]:
                best = (len(wrong), i + 1, self.describe(model, wrong, actual))
        if matched is None:
            raise Failure(f'actor {self.index} ({type(self).__name__}): {self.acks} acknowledged, {len(self.flight)} in '
                          f'flight: no number of them explains what is stored; closest after {best[1]}: {best[2]}')
        self.acked, self.sent, self.flight = matched, matched.copy(), []
        self.shared_last = 0
        return low, high, first

    def agrees(self, model, dk, found, read_at):
        value, deadline = model.dbs[dk[0]].get(dk[1], (None, None))
        if deadline is not None and deadline < read_at[1] + TTL_SLACK_MS and found[0] is None:
            return True
        if deadline is not None and deadline < read_at[0] - TTL_SLACK_MS:
            return False
        return found[0] == value and (found[1] is None or value is None or found[1] == (deadline or -1))

    def describe(self, model, wrong, actual):
        lines = []
        for dk in sorted(wrong)[:3]:
            value, deadline = model.dbs[dk[0]].get(dk[1], (None, None))
            lines.append(f'db {dk[0]} {dk[1].decode()}: expected {show_value(value)} (deadline {deadline}), '
                         f'found {show_value(actual[dk][0])} (deadline {actual[dk][1]})'
                         f'{show_difference(value, actual[dk][0])}')
        return f'{len(wrong)} wrong keys: ' + '; '.join(lines)


def show(args):
    return ' '.join(a if isinstance(a, str) else str(a) if isinstance(a, int) else show_value(a) for a in args)


def show_value(v):
    if isinstance(v, bytes):
        return repr(v) if len(v) < 60 else f'{v[:24]!r}...{v[-24:]!r} ({len(v)} bytes)'
    if isinstance(v, (dict, frozenset)):
        return f'{len(v)} items: {show_items(v)}'
    return repr(v)


def show_items(v, most=4):
    items = sorted(v.items() if isinstance(v, dict) else v)
    return ', '.join(map(repr, items[:most])) + (', ...' if len(items) > most else '')


def show_difference(expected, found):
    """Of two collections: what only one of them has."""
    if type(expected) is not type(found) or not isinstance(found, (dict, frozenset)):
        return ''
    a, b = (set(v.items()) if isinstance(v, dict) else v for v in (expected, found))
    return f'; only expected: {show_items(frozenset(a - b))}; only found: {show_items(frozenset(b - a))}'


class KeysActor(Actor):
    """Every kind of string write on a few dozen keys; database 1 is where MOVE and COPY go."""

    dbs = (0, 1)

    def next(self):
        rng, key = self.rng, self.key
        kind = rng.randrange(100)
        k = key(b'k', 60)
        if kind < 12:
            self.send('INCR', b'shared')
        elif kind < 24:
            self.send('INCR', key(b'n', 6))
        elif kind < 29:
            self.send(rng.choice(('INCRBY', 'DECRBY')), key(b'n', 6), rng.randrange(1000))
        elif kind < 41:
            log = key(b'log', 4)
            if len(self.sent.dbs[0].get(log, (b'',))[0]) > 30000:
                self.send('DEL', log)
            self.send('APPEND', log, b'%d,' % rng.randrange(100000))
        elif kind < 55:
            size = rng.choice((3, 3, 20, 20, 60, 200, 1500, 9000 if rng.random() < 0.2 else 30))
            opts = rng.choice(((), (), (), ('NX',), ('XX',), ('GET',), ('KEEPTTL',),
                               ('PXAT', now_ms() + 10 ** 9 + rng.randrange(10 ** 6))))
            self.send('SET', k, bytes_of(rng, size), *opts)
        elif kind < 65:
            n, v = rng.randrange(8), bytes_of(rng, rng.choice((8, 40, 3000)))
            self.send('MSET', self.prefix + b'left:%d' % n, v, self.prefix + b'right:%d' % n, v)
        elif kind < 67:
            self.send('MSETNX', k, b'1', key(b'k', 60), b'2')
        elif kind < 71:
            self.send(rng.choice(('DEL', 'UNLINK')), *{k, key(b'k', 60), key(b'k', 60)})
        elif kind < 75:
            self.send(rng.choice(('RENAME', 'RENAMENX')), k, key(b'k', 60))
        elif kind < 78:
            other = key(b'k', 60)
            if other != k:
                self.send('COPY', k, other, *rng.choice(((), ('REPLACE',))))
            self.send('COPY', k, k, 'DB', 1, 'REPLACE')
        elif kind < 80:
            self.send('MOVE', k, 1)
        elif kind < 83:
            self.send('PEXPIREAT', k, now_ms() + 10 ** 9 + rng.randrange(10 ** 6))
        elif kind < 85:
            self.send('PERSIST', k)
        elif kind < 87:
            self.send('SETRANGE', k, rng.randrange(300), bytes_of(rng, 40))
        elif kind < 88:
            self.send('GETDEL', k)
        elif kind < 90:
            self.send('GETSET', k, bytes_of(rng, 30))
        elif kind < 91:
            self.send('SETNX', k, b'first')
        elif kind < 96:
            self.send('GET', k)
        elif kind < 97:
            self.send('MGET', k, key(b'n', 6), key(b'left', 8), key(b'right', 8))
        else:
            self.send(rng.choice(('STRLEN', 'EXISTS', 'PEXPIRETIME')), k)


class CountActor(Actor):
    """Nothing but increments and appends: replaying any of them twice, or none, shows."""

    def next(self):
        if self.rng.random() < 0.5:
            self.send('INCR', b'shared')
        elif self.rng.random() < 0.5:
            self.send('INCR', self.key(b'n', 3))
        else:
            log = self.key(b'log', 2)
            if len(self.sent.dbs[0].get(log, (b'',))[0]) > 50000:
                self.send('SET', log, b'')
            self.send('APPEND', log, b'%d,' % (len(self.sent.dbs[0].get(log, (b'',))[0]) % 997))


class FlushActor(Actor):
    """Fills its own database and empties it now and then."""

    dbs = (5,)

    def next(self):
        kind = self.rng.random()
        if kind < 0.01:
            self.send('FLUSHDB', *self.rng.choice(((), ('ASYNC',), ('SYNC',))))
        elif kind < 0.5:
            self.send('SET', self.key(b'f', 300), bytes_of(self.rng, self.rng.choice((10, 100, 2000))))
        elif kind < 0.8:
            self.send('INCR', self.key(b'n', 20))
        else:
            self.send('APPEND', self.key(b'f', 300), b'+%d' % self.rng.randrange(1000))


class SwapActor(Actor):
    """Two databases that change places."""

    dbs = (6, 7)

    def next(self):
        kind = self.rng.random()
        if kind < 0.02:
            self.send('SWAPDB', 6, 7)
        elif kind < 0.06:
            self.send('SELECT', self.rng.choice((6, 7)))
        elif kind < 0.065:
            self.send('FLUSHDB')
        elif kind < 0.1:
            self.send('MOVE', self.key(b's', 80), 13 - self.sent.db)
        elif kind < 0.5:
            self.send('SET', self.key(b's', 80), bytes_of(self.rng, self.rng.choice((10, 100, 1000))))
        else:
            self.send('INCR', self.key(b'n', 10))


class TtlActor(Actor):
    """Keys that end soon: they must end, stay ended, and not end early."""

    dbs = (2,)
    short_lived = True

    def next(self):
        k = self.key(b't', 200)
        if self.rng.random() < 0.8:
            life = self.rng.choice((30, 300, 1000, 3000, 30000, 10 ** 8))
            self.send('SET', k, bytes_of(self.rng, 24), 'PXAT', now_ms() + self.rng.randrange(1, life))
        else:
            self.send('GET', k)


class BallastActor(Actor):
    """Many larger values, more than a small memory budget holds, overwritten and read at random."""

    def next(self):
        rng = self.rng
        n = int(2500 * self.scale)
        k = self.prefix + b'b:%d' % rng.randrange(n)
        kind = rng.random()
        if kind < 0.45:
            self.send('SET', k, bytes_of(rng, rng.choice((500, 4000, 8000, 20000, 50000 if rng.random() < 0.1 else 2000))))
        elif kind < 0.6:
            if len(self.sent.dbs[0].get(k, (b'',))[0]) < 60000:
                self.send('APPEND', k, bytes_of(rng, 50))
            else:
                self.send('DEL', k)
        elif kind < 0.65:
            self.send('SETRANGE', k, rng.randrange(8000), bytes_of(rng, 20))
        else:
            self.send('GET', k)


class CollectionActor(CollectionLoad, Actor):
    """Hashes and sets, small and big."""

    def far_away(self):
        return now_ms() + 10 ** 9 + self.rng.randrange(10 ** 6)


class ZsetActor(ZsetLoad, CollectionActor):
    """Sorted sets, small and big."""


class Counter:
    """The counter that all actors increment."""

    def __init__(self):
        self.value = 0
        self.seen = set()


def make_actors(seed, scale=1.0):
    kinds = (KeysActor, KeysActor, KeysActor, CountActor, CountActor, FlushActor, SwapActor, TtlActor, BallastActor,
             CollectionActor, CollectionActor, ZsetActor)
    return [kind(i, seed, scale) for i, kind in enumerate(kinds)]


def connect_all(actors, port, rng, depths=(1, 1, 4, 16, 64, 200)):
    for a in actors:
        a.connect(port, rng.choice((1, 4, 16) if isinstance(a, (BallastActor, CollectionActor)) else depths))


def run_load(actors, counter, is_over):
    """All actors, connected, at full speed until the server is gone, or is_over() says so."""
    poll = select.poll()
    by_fd = {}
    for a in actors:
        a.fill()
        by_fd[a.sock.fileno()] = a
        poll.register(a.sock, select.POLLIN | (select.POLLOUT if a.out else 0))
    while by_fd:
        if is_over():
            return
        for fd, event in poll.poll(20):
            a = by_fd[fd]
            if event & ~select.POLLOUT and not a.receive(counter):
                poll.unregister(fd)
                del by_fd[fd]
                continue
            a.fill()
            poll.modify(fd, select.POLLIN | (select.POLLOUT if a.out else 0))


def drain(actors, counter):
    """Reads every reply that the server still sent before it went away."""
    for a in actors:
        while not a.closed:
            select.select([a.sock], [], [], 1)
            a.receive(counter)
        a.out = b''


def memory_report(port):
    client = Client(port)
    lines = client.call('INFO', 'everything').decode().split('\r\n')
    client.close()
    names = ('used_memory_human:', 'cache_evicted_keys:', 'disk_loads:', 'raft_log_bytes', 'writeback_rows')
    return ' '.join(s for s in lines if s.startswith(names))


def verify(port, actors, counter, rng, everything=False):
    """Reads all that must be there, and all that is, and matches it with what was acknowledged and in flight."""
    try:
        return verify_all(port, actors, counter, rng, everything)
    except OSError as e:
        raise Failure(f'while everything was read: {e}') from None


def verify_all(port, actors, counter, rng, everything):
    client = Client(port)
    by_prefix = {a.prefix: a for a in actors}
    wanted = {a: set(a.touched) for a in actors}
    for a in actors:
        for n, d in a.acked.dbs.items():
            share = 1.0 if everything or not isinstance(a, BallastActor) else 0.2
            wanted[a].update((n, k) for k in d if share == 1.0 or rng.random() < share)
    expiring = sum(1 for a in actors for m in (a.acked, a.sent) for d in m.dbs.values() for v in d.values() if v[1])
    dbs = sorted({n for a in actors for n in a.dbs})
    read_from = now_ms()
    for n in dbs:
        if client.call('SELECT', n) != OK:
            raise Failure(f'SELECT {n} failed')
        size = client.call('DBSIZE')       # first: a key may end between the two
        found = client.call('KEYS', '*')
        if isinstance(found, RespError) or len(set(found)) != len(found):
            raise Failure(f'KEYS * in database {n}: an error, or a key twice')
        if not len(found) <= size <= len(found) + expiring:
            raise Failure(f'database {n}: DBSIZE says {size}, KEYS lists {len(found)}')
        for k in found:
            a = by_prefix.get(k[:k.find(b':') + 1])
            if k == b'shared' and n == 0:
                continue
            if a is None or n not in a.dbs:
                raise Failure(f'database {n} holds {k!r}, which nobody wrote there')
            if k not in a.acked.dbs[n]:
                wanted[a].add((n, k))       # made in flight, or it must not be there: match() will say
    ranges, shared = [0, 0], None
    actual = {a: {} for a in actors}
    reads = {}
    for n in dbs:
        client.call('SELECT', n)
        plan = [(a, k) for a in actors for (db, k) in sorted(wanted[a]) if db == n]
        strings = [(a, k) for a, k in plan if a.read_command(k) is None]
        for i in range(0, len(strings), 64):
            part = strings[i:i + 64]
            values = client.call('MGET', *(k for _, k in part))
            if isinstance(values, RespError):
                raise Failure(f'MGET: {values}')
            for (a, k), v in zip(part, values):
                actual[a][n, k] = (v, None)
        others = [(a, k, a.read_command(k)) for a, k in plan if a.read_command(k) is not None]
        for (a, k, command), reply in zip(others, client.pipeline(
                [(command, k) + a.read_more for a, k, command in others])):
            if isinstance(reply, RespError):
                raise Failure(f'{command} {k!r}: {reply}')
            actual[a][n, k] = (a.read_value(command, reply), None)
        timed = [(a, k) for a, k in plan if isinstance(a, (KeysActor, SwapActor, TtlActor, CollectionActor)) or rng.random() < 0.02]
        for (a, k), at in zip(timed, client.pipeline([('PEXPIRETIME', k) for _, k in timed])):
            if actual[a][n, k][0] is not None and at != -2:
                actual[a][n, k] = (actual[a][n, k][0], at)
    client.call('SELECT', 0)
    shared = client.call('GET', 'shared')
    client.close()
    read_at = (read_from, now_ms())
    applied = []
    for a in actors:
        flight = len(a.flight)
        low, high, first = a.match(actual[a], read_at)
        ranges[0] += low
        ranges[1] += high
        applied.append(f'{first}/{flight}')
        a.touched.clear()
        reads[a] = len(actual[a])
    value = int(shared or 0)
    lowest = counter.value + len(counter.seen) + ranges[0]
    highest = counter.value + len(counter.seen) + ranges[1]
    if not lowest <= value <= highest or (counter.seen and value < max(counter.seen)):
        raise Failure(f'the shared counter is {value}; it was {counter.value}, {len(counter.seen)} increments were '
                      f'acknowledged and {ranges[0]} to {ranges[1]} in flight took effect')
    counter.value, counter.seen = value, set()
    return f'{sum(reads.values())} keys read; in flight that took effect: {" ".join(applied)}'
