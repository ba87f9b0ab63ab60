"""A server's life as its operator sees it: starting, being told wrong things, its files, stopping under load, coming back,
and keys that leave by themselves."""

import os
import random
import re
import signal
import subprocess
import threading
import time

from harness import Closed, Error, Failed, encode, expect, expect_that, once, wait_until

# ------------------------------------------------------------------------------------------------- stopping


class Writers:
    """Connections that increment keys of their own in pipelines, and know what they were told."""

    def __init__(self, server, count=6):
        self.server = server
        bases = [int(server.call('GET', f'w{n}') or 0) for n in range(count)]
        self.told, self.sent = bases[:], bases[:]
        self.problems = []
        self.threads = [threading.Thread(target=self._write, args=(n,)) for n in range(count)]
        for t in self.threads:
            t.start()
        wait_until(lambda: all(told > base + 200 for told, base in zip(self.told, bases)) or self.problems, 'all write')

    def _write(self, n):
        pick = random.Random(n)
        try:
            with self.server.connect() as c:
                while True:
                    batch = pick.choice((1, 3, 30, 100))
                    self.sent[n] += batch
                    c.send(encode('INCR', f'w{n}') * batch)
                    for _ in range(batch):
                        got = c.reply()
                        if got != self.told[n] + 1:
                            self.problems.append(f'w{n}: {got!r} behind {self.told[n]}')
                            return
                        self.told[n] = got
        except (Closed, ConnectionError):
            pass
        except Exception as problem:  # noqa: BLE001  it is reported by the thread that waits
            self.problems.append(repr(problem))

    def join(self):
        for t in self.threads:
            t.join()
        if self.problems:
            raise Failed('; '.join(self.problems[:5]))

    def check(self):
        for n, told in enumerate(self.told):
            got = int(self.server.call('GET', f'w{n}') or 0)
            expect_that(told <= got <= self.sent[n], f'w{n} is {got}: told {told}, sent {self.sent[n]}')


def stop_under_load(run):
    """However it is told to stop while clients write, it ends with exit code 0 and what was answered is there."""
    s = run.server()
    for how in (signal.SIGTERM, signal.SIGINT, ('SHUTDOWN',), ('SHUTDOWN', 'NOSAVE'), ('SHUTDOWN', 'NOW', 'FORCE')):
        writers = Writers(s)
        if isinstance(how, tuple):
            with s.connect() as c:
                c.command(*how)
                c.expect_end()
        else:
            s.proc.send_signal(how)
            s.proc.send_signal(how)     # an impatient operator
        expect(s.wait_exit(), 0, f'exit code after {how}')
        writers.join()
        s.check_log()
        s.start()
        writers.check()


def other_signals(run):
    """A terminal that hangs up and a reader of the log that goes away do not end the server."""
    s = run.server(start=False)
    reading, writing = os.pipe()
    s.log_path = os.devnull
    s.proc = subprocess.Popen(s.arguments(), stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, cwd=s.top)
    os.close(writing)
    text = b''
    while b'Ready to accept' not in text:
        more = os.read(reading, 1000)
        expect_that(more, f'the server ended: {text!r}')
        text += more
    os.close(reading)
    for sig in (signal.SIGHUP, signal.SIGPIPE, signal.SIGHUP):
        s.proc.send_signal(sig)
        expect(s.call('PING'), 'PONG')
    with s.connect() as c:
        c.send(b'POST / HTTP/1.1\r\n')      # has something to say in the log
        c.expect_end()
    expect(s.call('INCR', 'n'), 1)


def shutdown_in_a_pipeline(run):
    """What stands before SHUTDOWN is answered and kept, what stands behind it never happens."""
    s = run.server()
    with s.connect() as c:
        c.send(encode('SET', 'k', '1') + encode('INCR', 'k') + encode('SHUTDOWN') + encode('SET', 'k', 'behind'))
        expect(c.replies(2), ['OK', 2])
        c.expect_end()
    expect(s.wait_exit(), 0, 'exit code')
    s.start()
    with s.connect() as c:
        expect(c.call('GET', 'k'), b'2')
        expect(c.call('SHUTDOWN', 'NONSENSE'), Error('ERR syntax error'))
        expect(c.call('SHUTDOWN', 'ABORT'), Error('ERR No shutdown in progress.'))
        expect(c.call('SHUTDOWN', 'SAVE', 'NOSAVE'), Error('ERR syntax error'))
        expect(c.call('PING'), 'PONG')


def stop_with_clients_that_do_not_read(run):
    """Clients that never read hold the end up no longer than shutdown-timeout."""
    s = run.server('--shutdown-timeout', '1')
    s.call('SET', 'big', b'x' * (1 << 20))
    stuck = s.connect(receive_buffer=1 << 16)
    stuck.send((encode('GET', 'big') + encode('INCR', 'n')) * 40)
    wait_until(lambda: any(int(c['obl']) > 0 for c in s.clients()), 'the reader is behind')
    half = s.connect()
    half.send(encode('SET', 'half', 'x' * 1000)[:-10])
    s.stop()
    expect_that('left behind' in s.log(), s.log())
    stuck.close()
    half.close()
    s.start()
    expect(s.call('EXISTS', 'half'), 0)
    expect(s.call('STRLEN', 'big'), 1 << 20)


def stop_while_paused(run):
    """Neither a pause nor what it holds keeps the server from stopping; what was held never happened."""
    s = run.server()
    with s.connect() as c, s.connect() as held, s.connect() as half:
        c.ok('CLIENT', 'PAUSE', 600_000, 'WRITE')
        held.send(encode('PING') + encode('SET', 'k', 'held'))
        expect(held.reply(), 'PONG')
        half.send(encode('SET', 'k', 'half'))
        half.end_of_output()
        s.stop()
        held.expect_end()
        half.expect_end()
    s.start()
    expect(s.call('EXISTS', 'k'), 0)


def stop_at_any_moment_of_the_start(run):
    """A signal in the middle of starting ends it, and the next start works."""
    s = run.server()
    s.call('SET', 'k', 'v')
    for _ in range(6):
        s.stop()
        s.spawn()
        time.sleep(run.rng.random() * 0.15)
        s.proc.terminate()
        # Before the program has installed its handlers, the signal is the end of it.
        expect_that(s.wait_exit() in (0, -signal.SIGTERM), f'exit code {s.proc.returncode}')
        s.check_log()
        s.start()
        expect(s.call('GET', 'k'), b'v')


# ------------------------------------------------------------------------------------------------- starting

def second_process(run):
    """Two processes never share a folder; the first is not harmed, and its death makes room."""
    first = run.server()
    first.call('SET', 'k', 'v')
    second = run.server(start=False)
    command = second.arguments() + ['--dir', first.dir]
    for _ in range(2):
        code, text = once(command)
        expect(code, 1)
        expect_that(first.dir in text and 'nother redraft-server' in text, text)
    expect(first.call('INCR', 'n'), 1)
    first.kill()
    second.dir = first.dir
    second.start(command)
    expect(second.call('GET', 'k'), b'v')
    expect(second.call('GET', 'n'), b'1')


def command_line(run):
    """What is asked is said; what is wrong is named, with exit code 1, before anything is touched."""
    s = run.server(start=False)
    for word in ('--version', '-v'):
        code, text = once([s.program, word])
        expect(code, 0)
        expect_that(re.fullmatch(r'redraft-server \d+\.\d+\.\d+.*\n', text), text)
    for word in ('--help', '-h'):
        code, text = once([s.program, word])
        expect(code, 0)
        expect_that('Usage' in text and '--port' in text, text)
    top = s.top
    files = {'a-file': b'', 'wrong.conf': b'# fine\nport 7600\nmaxmemory lots\n', 'name.conf': b'\n\nno-such-name 1\n',
             'open.conf': b'requirepass "half\n', 'bytes.conf': run.rng.randbytes(5000), 'self.conf': b'include self.conf\n',
             'many.conf': b'port 1 2\n'}
    for name, content in files.items():
        with open(os.path.join(top, name), 'wb') as f:
            f.write(content)
    os.mkdir(os.path.join(top, 'a-dir'))
    wrong = (
        (['--nonsense', '1'], 'nonsense'),
        (['--port', 'abc'], 'port'),
        (['--port', '65536'], 'port'),
        (['--port', '-1'], 'port'),
        (['--port'], 'port'),
        (['--port', '1', '2'], 'port'),
        (['--maxmemory', '12xb'], 'maxmemory'),
        (['--maxmemory-policy', 'none'], 'maxmemory-policy'),
        (['--appendonly', 'maybe'], 'appendonly'),
        (['--databases', '0'], 'databases'),
        (['--bind', 'no.such.host.invalid'], 'no.such.host.invalid'),
        (['missing.conf'], 'missing.conf'),
        (['a-dir'], 'a-dir'),
        (['wrong.conf'], 'line 3'),
        (['name.conf'], 'line 3'),
        (['open.conf'], 'line 1'),
        (['many.conf'], 'line 1'),
        (['bytes.conf'], 'bytes.conf'),
        (['self.conf'], 'self.conf'),
        (['--include', 'missing.conf'], 'missing.conf'),
        (['--dir', 'a-file'], 'a-file'),
        (['--dir', 'a-file/below'], 'a-file/below'),
        (['--dir', 'not/there'], 'not/there'),
        (['--dir', '/proc/none'], '/proc/none'),
        (['--logfile', 'not/there.log'], 'not/there.log'),
        (['--unixsocket', 'not/there.sock'], 'not/there.sock'),
    )
    for arguments, named in wrong:
        defaults = [] if '--bind' in arguments else ['--bind', '127.0.0.1']
        defaults += [] if '--port' in arguments else ['--port', str(s.port)]
        defaults += [] if '--dir' in arguments else ['--dir', s.dir]
        # A file comes first.
        at = 0 if arguments[0].startswith('--') else 1
        code, text = once([s.program, *arguments[:at], *defaults, *arguments[at:]], cwd=top)
        expect(code, 1, f'{arguments}: {text}')
        expect_that(named in text, f'{arguments}: {text}')
        expect_that('Ready' not in text, text)


def damaged_folder(run):
    """A folder that is not what it should be is refused with its name, and left as it was."""
    s = run.server(start=False)

    def refused(path, needle):
        code, text = once(s.arguments())
        expect(code, 1, f'{path}: {text}')
        expect_that(needle in text, f'{path}: {text}')

    os.mkdir(s.dir)
    for name in ('LOCK', 'group-0', 'node'):
        path = os.path.join(s.dir, name)
        if name == 'LOCK':
            os.mkdir(path)
            refused(path, path)
            os.rmdir(path)
        else:
            with open(path, 'wb') as f:
                f.write(b'something else')
            refused(path, s.dir)
            with open(path, 'rb') as f:
                expect(f.read(), b'something else')
            os.unlink(path)
    s.start()
    s.call('SET', 'k', 'v')
    s.stop()
    identity = os.path.join(s.dir, 'node')
    with open(identity, 'rb') as f:
        good = f.read()
    for bad in (good[:-1], good + b'x', b'', good[:10] + bytes([good[10] ^ 1]) + good[11:]):
        with open(identity, 'wb') as f:
            f.write(bad)
        refused(identity, identity)
    with open(identity, 'wb') as f:
        f.write(good)
    s.start()
    expect(s.call('GET', 'k'), b'v')


# ------------------------------------------------------------------------------------------------- configuration

def config_file_and_arguments(run):
    """The file is read, what it includes too, standard input as well, and the command line has the last word."""
    s = run.server(start=False)
    path, more = os.path.join(s.top, 'redraft.conf'), os.path.join(s.top, 'more.conf')
    with open(more, 'w') as f:
        f.write('maxclients 77\n')
    with open(path, 'w') as f:
        f.write(f'# a comment\n\n  BIND 127.0.0.1\nport 1\ndir "{s.dir}"\nrequirepass "a b\\x63"\ntimeout 11\n'
                f'maxmemory 1gb\nsave 900 1\nsave 300 10\ninclude {more}\nslowlog-max-len 5\n')
    s.start([s.program, path, '--port', str(s.port), '--timeout', '22', '--slowlog-max-len=7'.replace('=', ' ')])
    with s.connect() as c:
        c.ok('AUTH', 'a bc')
        for name, value in (('timeout', '22'), ('maxmemory', str(1 << 30)), ('maxclients', '77'), ('slowlog-max-len', '7'),
                            ('save', '900 1 300 10'), ('port', str(s.port))):
            expect(c.call('CONFIG', 'GET', name), [name.encode(), value.encode()])
        info = c.call('INFO', 'server').decode()
        expect_that(f'config_file:{os.path.realpath(path)}\r\n' in info, info)
    s.stop()
    with open(path, 'rb') as f, open(s.log_path, 'ab') as log:
        s.log_start = log.tell()
        s.proc = subprocess.Popen([s.program, '-', '--port', str(s.port)], stdin=f, stdout=log, stderr=log, cwd=s.top)
    wait_until(lambda: 'Ready to accept connections' in s.log() or s.proc.poll() is not None, 'ready')
    with s.connect() as c:
        c.ok('AUTH', 'a bc')
        expect(c.call('CONFIG', 'GET', 'timeout'), [b'timeout', b'11'])


def config_rewrite(run):
    """CONFIG REWRITE keeps the file's shape and today's values, and the next start has them."""
    s = run.server(start=False)
    expect(s.start().call('CONFIG', 'REWRITE'), Error('ERR The server is running without a config file'))
    s.stop()
    path = os.path.join(s.top, 'redraft.conf')
    with open(path, 'w') as f:
        f.write(f'# the first line\nport {s.port}\nbind 127.0.0.1\ndir {s.dir}\n# before the timeout\ntimeout 10\n')
    s.start([s.program, path])
    changes = {'timeout': b'33', 'requirepass': b'it\'s "quoted" \x01\xff', 'maxmemory': b'123456789', 'maxclients': b'99',
               'notify-keyspace-events': b'AKE', 'slowlog-log-slower-than': b'-1', 'save': b'10 20 30 40'}
    with s.connect() as c:
        for name, value in changes.items():
            c.ok('CONFIG', 'SET', name, value)
        c.ok('SET', 'k', 'v')
        c.ok('CONFIG', 'REWRITE')
        c.ok('CONFIG', 'REWRITE')
    with open(path, 'rb') as f:
        lines = f.read().split(b'\n')
    expect(lines[0], b'# the first line')
    expect(lines[lines.index(b'# before the timeout') + 1], b'timeout 33')
    expect(sorted(os.listdir(s.top)), ['data', 'redraft.conf', 'server.log'])
    s.kill()
    s.start([s.program, path])
    with s.connect() as c:
        c.ok('AUTH', changes['requirepass'])
        for name, value in changes.items():
            expect(c.call('CONFIG', 'GET', name), [name.encode(), value])
        expect(c.call('GET', 'k'), b'v')


def files_of_the_process(run):
    """logfile takes what would be printed; pidfile holds the process id while the server runs."""
    s = run.server(start=False)
    log, pid = os.path.join(s.top, 'a.log'), os.path.join(s.top, 'a.pid')

    def content(path):
        if not os.path.exists(path):
            return ''
        with open(path) as f:
            return f.read()

    s.spawn(s.arguments(['--logfile', log, '--pidfile', pid]))
    wait_until(lambda: 'Ready to accept connections' in content(log), 'ready')
    expect(content(pid), f'{s.proc.pid}\n')
    expect(s.log(), '')
    s.stop()
    expect_that(not os.path.exists(pid), 'the pid file is still there')


def identity(run):
    """A node keeps its id for life, whatever happens to it; no two nodes have the same; a run's id is its own."""
    s = run.server()
    other = run.server()
    node, started = s.info('raft')['raft_node_id'], [s.info('server')['run_id']]
    expect_that(re.fullmatch(r'[0-9a-f]{16}', node) and int(node, 16) != 0, node)
    expect_that(other.info('raft')['raft_node_id'] != node, 'two nodes have the same id')
    term = int(s.info('raft')['raft_current_term'])
    for end in (s.stop, s.kill):
        end()
        s.start()
        expect(s.info('raft')['raft_node_id'], node)
        started.append(s.info('server')['run_id'])
        expect(len(set(started)), len(started))
        now = int(s.info('raft')['raft_current_term'])
        expect_that(now > term, f'term {now} follows {term}')
        term = now
        expect(s.info('raft')['raft_role'], 'leader')


# ------------------------------------------------------------------------------------------------- expiry

def put_expiring(s, count, ms):
    """`count` keys with deadlines up to `ms` from now in several databases, and some that had one and must stay."""
    with s.connect() as c:
        for i in range(count):
            c.send(encode('SELECT', i % 3) + encode('SET', f'gone:{i}', 'x' * (i % 300), 'PX', 1 + i * ms // count))
        expect(set(c.replies(2 * count)), {'OK'})
        c.send(encode('SELECT', 0))
        for i in range(20):
            c.send(encode('SET', f'stays:{i}', 'v', 'PX', 3_600_000))
            c.send((encode('PERSIST', f'stays:{i}'), encode('SET', f'stays:{i}', 'w'),
                    encode('PEXPIRE', f'stays:{i}', 7_200_000))[i % 3])
        c.replies(41)


def check_gone(s):
    """Without any key being asked for."""
    def sizes():
        with s.connect() as c:
            c.send(b''.join(encode('SELECT', db) + encode('DBSIZE') for db in range(3)))
            return c.replies(6)[1::2]
    wait_until(lambda: sizes() == [20, 0, 0], f'only the keys that stay are left of {sizes()}')
    with s.connect() as c:
        expect(c.call('EXISTS', *(f'stays:{i}' for i in range(20))), 20)
        expect(c.call('EXISTS', *(f'gone:{i}' for i in range(0, 3000, 3))), 0)
        expect(len(c.call('KEYS', '*')), 20)


def expiry(run):
    """Keys past their deadline vanish by themselves."""
    s = run.server()
    put_expiring(s, 3000, 800)
    check_gone(s)
    expect_that(int(s.info('stats')['expired_keys']) >= 3000, s.info('stats')['expired_keys'])


def expiry_of_many_at_once(run):
    """A hundred thousand keys that are due in the same moment go, and others are served meanwhile."""
    s = run.server()
    count = 100_000
    with s.connect() as c:
        at = int(time.time() * 1000) + 3000
        data = b''.join(encode('SET', f'gone:{i}', 'x', 'PXAT', at) for i in range(count))
        sender = threading.Thread(target=c.send, args=(data,))
        sender.start()
        expect(set(c.replies(count)), {'OK'})
        sender.join()
        counted = [0]

        def are_gone():
            counted[0] += 1
            expect(c.call('INCR', 'served'), counted[0])
            return c.call('DBSIZE') == 1
        wait_until(are_gone, 'only the key that stays is left')


def expiry_on_disk(run):
    """Also those that are on disk only: forgotten by memory, or never having fit."""
    s = run.server('--enable-debug-command', 'yes')
    put_expiring(s, 2000, 2000)
    expect(s.call('DEBUG', 'RELOAD'), 'OK')
    check_gone(s)
    tiny = run.server('--maxmemory', '64kb', '--writeback-dirty-bytes', '1kb', '--writeback-seconds', '1')
    put_expiring(tiny, 3000, 3000)
    check_gone(tiny)


def expiry_and_restarts(run):
    """Deadlines outlive the process: what was due while it was away goes when it is back, what is due later goes later."""
    for end in ('stop', 'kill'):
        s = run.server()
        put_expiring(s, 1500, 500)
        getattr(s, end)()
        s.start()
        check_gone(s)
        put_expiring(s, 1500, 1500)
        getattr(s, end)()
        time.sleep(0.3)
        s.start()
        check_gone(s)
        getattr(s, end)()
        s.start()
        check_gone(s)


CASES = [stop_under_load, other_signals, shutdown_in_a_pipeline, stop_with_clients_that_do_not_read,
         stop_while_paused, stop_at_any_moment_of_the_start, second_process, command_line, damaged_folder,
         config_file_and_arguments, config_rewrite, files_of_the_process, identity, expiry, expiry_of_many_at_once,
         expiry_on_disk, expiry_and_restarts]
