"""What the tests of the running server share: a server in a folder of its own, a client that speaks RESP2 and RESP3 and
can misbehave, and waiting for a state instead of for a time."""

import os
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

PORTS = range(7600, 7700)
PATIENCE = 60           # seconds after which something that must happen has not happened
COMPLAINTS = re.compile(r'AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:|'
                        r'CHECK.*failed|Assertion')


class Failed(Exception):
    """The server did something else than it should."""


class Skipped(Exception):
    """This machine cannot show it; the text says why."""


def expect(got, want, what=''):
    if type(got) is not type(want) or got != want:
        raise Failed(f'{what}: expected {want!r:.300}, got {got!r:.300}'.lstrip(': '))


def expect_that(condition, what):
    if not condition:
        raise Failed(what)


def wait_until(condition, what, seconds=PATIENCE):
    """Asks until the answer is true; returns it."""
    deadline = time.monotonic() + seconds
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise Failed(f'not within {seconds} s: {what}')
        time.sleep(0.01)


# ------------------------------------------------------------------------------------------------- the client

class Error(str):
    """An error reply."""


class Null3:
    """RESP3's null, to tell it from RESP2's two."""

    def __repr__(self):
        return 'NULL3'


NULL3 = Null3()


class Closed(Exception):
    """The server closed the connection."""


def encode(*args):
    out = [b'*%d\r\n' % len(args)]
    for a in args:
        if not isinstance(a, bytes):
            a = str(a).encode()
        out.append(b'$%d\r\n%s\r\n' % (len(a), a))
    return b''.join(out)


class Wire:
    """A connection. `to` is a port of 127.0.0.1, a (host, port) or the path of a Unix socket."""

    def __init__(self, to, timeout=PATIENCE, receive_buffer=0):
        if isinstance(to, int):
            to = ('127.0.0.1', to)
        family = socket.AF_UNIX if isinstance(to, str) else socket.AF_INET6 if ':' in to[0] else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.settimeout(timeout)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self.sock.connect(to)
        except BaseException:
            self.sock.close()
            raise
        if family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = self.sock.makefile('rb', buffering=1 << 16)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.sendall(data)

    def command(self, *args):
        self.send(encode(*args))

    def reply(self):
        """The next reply: str for +, Error for -, int, bytes, list, dict; None for RESP2's nulls, NULL3 for RESP3's."""
        line = self.input.readline()
        if not line.endswith(b'\r\n'):
            raise Closed(f'the connection ended after {line!r:.100}')
        kind, rest = line[:1], line[1:-2]
        if kind == b'+':
            return rest.decode()
        if kind == b'-':
            return Error(rest.decode(errors='replace'))
        if kind == b':':
            return int(rest)
        if kind in b'$=':
            if rest == b'-1':
                return None
            data = self.input.read(int(rest) + 2)
            if len(data) != int(rest) + 2:
                raise Closed('the connection ended in the middle of a bulk string')
            return data[4:-2] if kind == b'=' else data[:-2]
        if kind in b'*~>':
            return None if rest == b'-1' else [self.reply() for _ in range(int(rest))]
        if kind == b'%':
            return {self.reply(): self.reply() for _ in range(int(rest))}
        if kind == b'_':
            return NULL3
        if kind == b',':
            return float(rest)
        if kind == b'#':
            return rest == b't'
        raise Failed(f'not RESP: {line!r:.200}')

    def replies(self, count):
        return [self.reply() for _ in range(count)]

    def call(self, *args):
        self.command(*args)
        return self.reply()

    def ok(self, *args):
        expect(self.call(*args), 'OK', ' '.join(map(str, args))[:80])

    def end_of_output(self):
        """No more is sent: the server sees the end of our input and can still answer."""
        self.sock.shutdown(socket.SHUT_WR)

    def rest(self):
        """Everything until the server closes, as bytes. A reset counts as the end."""
        out = b''
        try:
            while data := self.input.read1(1 << 20):
                out += data
        except ConnectionError:
            pass
        return out

    def expect_end(self):
        expect(self.rest(), b'', 'before the end of the connection')

    def is_quiet(self, seconds=0.2):
        """Nothing has arrived. (Silence that lasts cannot be seen; a sound can.)"""
        return not self.input.peek(0) if self._buffered() else not select.select([self.sock], [], [], seconds)[0]

    def _buffered(self):
        self.sock.settimeout(0)
        try:
            return bool(self.input.peek(1))
        except (BlockingIOError, OSError):
            return False
        finally:
            self.sock.settimeout(PATIENCE)

    def reset(self):
        """Leaves without a word: the server gets a reset instead of an end."""
        self.input.close()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.sock.close()

    def close(self):
        self.input.close()
        self.sock.close()


# ------------------------------------------------------------------------------------------------- the server

def reserve_port():
    """A port of this test's range that nobody uses, and a socket that keeps other runs off it until it is closed."""
    ports = list(PORTS)
    random.SystemRandom().shuffle(ports)
    for port in ports:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f'\0redraft-server-test-{port}')
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(('0.0.0.0', port))
            return port, claim
        except OSError:
            claim.close()
    raise SystemExit(f'no free port in {PORTS.start}-{PORTS.stop - 1}')


class Server:
    """One data folder, and the processes that serve it one after the other."""

    def __init__(self, program, options=()):
        self.program = os.path.abspath(program)
        self.options = list(options)
        self.top = tempfile.mkdtemp(prefix='redraft-server-')
        self.dir = os.path.join(self.top, 'data')
        self.log_path = os.path.join(self.top, 'server.log')
        if os.path.basename(program) == 'redis-server':     # to see what the reference does
            os.mkdir(self.dir)
            self.options += ['--save', '']
        self.proc = None
        self.log_start = 0
        self.port, claim = reserve_port()
        self.claims = [claim]
        with open(self.program, 'rb') as f:
            self.sanitized = b'__sanitizer' in f.read()

    def arguments(self, options=None):
        return [self.program, '--bind', '127.0.0.1', '--port', str(self.port), '--dir', self.dir,
                *(self.options if options is None else options)]

    def spawn(self, arguments=None):
        with open(self.log_path, 'ab') as log:
            self.log_start = log.tell()
            self.proc = subprocess.Popen(arguments or self.arguments(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         cwd=self.top)

    def start(self, arguments=None):
        self.spawn(arguments)
        wait_until(lambda: self.proc.poll() is not None or 'Ready to accept connections' in self.log(), 'ready')
        if self.proc.poll() is not None:
            raise Failed(f'the server ended with {self.proc.returncode} instead of serving:\n{self.log()[-2000:]}')
        return self

    def another_port(self):
        port, claim = reserve_port()
        self.claims.append(claim)
        return port

    def log(self):
        """What the newest process wrote."""
        with open(self.log_path, 'rb') as f:
            f.seek(self.log_start)
            return f.read().decode(errors='replace')

    def connect(self, **how):
        return Wire(self.port, **how)

    def call(self, *args):
        with self.connect() as c:
            return c.call(*args)

    def info(self, section):
        text = self.call('INFO', section).decode()
        return dict(line.split(':', 1) for line in text.split('\r\n') if ':' in line)

    def clients(self):
        """CLIENT LIST, a dict a line; the asking connection is not among them."""
        with self.connect() as c:
            me = c.call('CLIENT', 'ID')
            lines = c.call('CLIENT', 'LIST').decode().splitlines()
        every = [dict(word.partition('=')[::2] for word in line.split(' ')) for line in lines]
        return [line for line in every if int(line['id']) != me]

    def wait_for_clients(self, count):
        wait_until(lambda: len(self.clients()) == count, f'{count} clients are left of {len(self.clients())}')

    def resident_mb(self):
        with open(f'/proc/{self.proc.pid}/status') as f:
            return int(re.search(r'VmRSS:\s+(\d+)', f.read()).group(1)) / 1024

    def wait_exit(self, seconds=PATIENCE):
        try:
            return self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f'the server did not end within {seconds} s') from None

    def stop(self, how=signal.SIGTERM):
        """Ends it in an orderly way; anything but exit code 0 is a failure."""
        self.proc.send_signal(how)
        expect(self.wait_exit(), 0, 'exit code')
        self.check_log()

    def kill(self):
        self.proc.kill()
        expect(self.proc.wait(), -signal.SIGKILL, 'the server ended by itself')

    def check_log(self):
        complaint = COMPLAINTS.search(self.log())
        if complaint:
            raise Failed(f'the log says {complaint.group(0)!r}')

    def check_alive(self):
        if self.proc.poll() is not None:
            raise Failed(f'the server ended with {self.proc.returncode}')
        expect(self.call('PING'), 'PONG')

    def discard(self):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        for claim in self.claims:
            claim.close()
        shutil.rmtree(self.top, ignore_errors=True)


class Run:
    """What a test case gets: a seeded source of choices, and servers that are stopped and looked at when it ends."""

    def __init__(self, program, seed):
        self.program = program
        self.rng = random.Random(seed)
        self.servers = []

    def server(self, *options, start=True):
        s = Server(self.program, options)
        self.servers.append(s)
        return s.start() if start else s

    def finish(self):
        for s in self.servers:
            if s.proc and s.proc.poll() is None:
                s.stop()

    def discard(self):
        for s in self.servers:
            s.discard()


def once(arguments, cwd=None, stdin=subprocess.DEVNULL):
    """A process that is expected to end by itself: (exit code, what it wrote)."""
    p = subprocess.run(arguments, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd, timeout=PATIENCE,
                       check=False)
    return p.returncode, p.stdout.decode(errors='replace')
