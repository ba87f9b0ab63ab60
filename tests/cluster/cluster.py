"""What the cluster tests are made of: nodes as real processes on a bad machine and a bad network, the load that writes
down what it saw, and the two verdicts at the end: is the history linearizable, and do all nodes hold the same.

Everything runs without privileges: see faults.c and wire.c. The disk that forgets and fills up is that of tests/crash."""

import mmap
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'crash'))
import powercut  # noqa: E402
from harness import Client, Failure, RespError  # noqa: E402

PATIENCE = 60           # seconds after which something that must happen has not happened
# The nodes' own links use the ports 10000 above; both stay below those that the kernel hands out by itself.
PORTS = range(*(int(p) for p in os.environ.get('CLUSTER_PORTS', '21500-22500').split('-')))
COMPLAINTS = re.compile(r'AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:|'
                        r'CHECK.*failed|Assertion|faults: |powercut: ')


def wait_until(condition, what, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise Failure(f'not within {seconds} s: {what}')
        time.sleep(0.02)


def reserve_ports(count):
    """Ports that nobody uses now, and sockets that keep other runs of the test off them."""
    ports, claims, found = list(PORTS), [], []
    random.SystemRandom().shuffle(ports)
    for port in ports:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f'\0redraft-cluster-{port}')
            for p in (port, port + 10000):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(('127.0.0.1', p))
        except OSError:
            claim.close()
            continue
        found.append(port)
        claims.append(claim)
        if len(found) == count:
            return sorted(found), claims
    raise SystemExit(f'no {count} free ports in {PORTS.start}-{PORTS.stop - 1} and 10000 above')


# ------------------------------------------------------------------------------------------------- the faults

class Faults:
    """The shared file of faults.h."""
    NODES_MAX, NODE_BYTES, LINK_BYTES = 16, 64, 16
    NODE_FIELDS = {'sync_us': (0, '<Q'), 'clock_ppm': (8, '<q'), 'wall_us': (16, '<q')}
    LINK_FIELDS = {'blocked': 0, 'delay_us': 4, 'resets': 8, 'kb_per_s': 12}

    def __init__(self, path, node_count):
        self.path, self.node_count = path, node_count
        size = 16 + self.NODES_MAX * self.NODE_BYTES + self.NODES_MAX ** 2 * self.LINK_BYTES
        with open(path, 'wb') as f:
            f.write((b'RDFAULT1' + struct.pack('<Q', node_count)).ljust(size, b'\0'))
        with open(path, 'r+b') as f:
            self.map = mmap.mmap(f.fileno(), size)

    def node(self, n, **fields):
        for name, value in fields.items():
            at, form = self.NODE_FIELDS[name]
            struct.pack_into(form, self.map, 16 + n * self.NODE_BYTES + at, int(value))

    def link(self, src, dst, **fields):
        base = 16 + self.NODES_MAX * self.NODE_BYTES + (src * self.NODES_MAX + dst) * self.LINK_BYTES
        for name, value in fields.items():
            struct.pack_into('<I', self.map, base + self.LINK_FIELDS[name], int(value))

    def reset(self, src, dst):
        """Breaks all connections that carry something from one to the other."""
        base = 16 + self.NODES_MAX * self.NODE_BYTES + (src * self.NODES_MAX + dst) * self.LINK_BYTES + 8
        struct.pack_into('<I', self.map, base, struct.unpack_from('<I', self.map, base)[0] + 1)

    def heal(self):
        for n in range(self.NODES_MAX):
            self.node(n, sync_us=0, clock_ppm=0, wall_us=0)
            for m in range(self.NODES_MAX):
                self.link(n, m, blocked=0, delay_us=0, kb_per_s=0)


# -------------------------------------------------------------------------------------------------- the nodes

class Node:
    """A data folder, a port, and the processes that serve it one after the other."""

    def __init__(self, cluster, number):
        self.cluster, self.number = cluster, number
        self.port = cluster.ports[number]
        self.top = os.path.join(cluster.top, f'node-{number}')
        self.dir, self.side, self.ctl = (os.path.join(self.top, n) for n in ('data', 'side', 'ctl'))
        for path in (self.dir, self.side, self.ctl):
            os.makedirs(path)
        self.log_path = os.path.join(cluster.top, f'node-{number}.log')
        self.proc, self.paused = None, False
        self.may_end = ()       # exit codes with which it may end by itself at the moment
        self.cut_seed = None    # a sync has failed: the cache is not the disk any more, so the power goes before the next start
        self.args = []

    def __str__(self):
        return f'node {self.number}'

    def spawn(self):
        c = self.cluster
        if self.cut_seed is not None:
            self.cut_power(self.cut_seed)
            self.cut_seed = None
        args = [c.program, '--port', str(self.port), '--bind', '127.0.0.1', '--dir', self.dir,
                '--enable-debug-command', 'yes', *c.options, *self.args]
        env = dict(os.environ, FAULTS_FILE=c.faults.path, FAULTS_NODE=str(self.number),
                   FAULTS_PORTS=','.join(str(p + 10000) for p in c.ports), LD_PRELOAD=c.tools['faults'])
        # An instrumented server would insist on being loaded first.
        env['ASAN_OPTIONS'] = env.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'
        if c.layered:
            env['LD_PRELOAD'] += ' ' + c.tools['powercut']
            env.update(POWERCUT_DIR=self.dir, POWERCUT_SIDE=self.side, POWERCUT_CTL=self.ctl, POWERCUT_SYNC_US='100')
        with open(self.log_path, 'ab') as log:
            log.write(f'--- {" ".join(args)}\n'.encode())
            log.flush()
            self.log_start = log.tell()
            self.proc = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=self.top)
        self.paused = False

    @property
    def running(self):
        return self.proc is not None and self.proc.poll() is None

    def kill(self):
        """SIGKILL; a process that ended before, by itself, is a failure."""
        self.check_alive()
        if self.running:
            self.proc.kill()
            self.proc.wait()
        self.proc, self.paused = None, False

    def stop(self, seconds=PATIENCE):
        self.check_alive()
        if not self.running:
            self.proc = None
            return
        self.proc.terminate()
        try:
            rc = self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f'{self} did not stop within {seconds} s of SIGTERM') from None
        self.proc = None
        # Early in its start it has not asked for the signal yet, and may as well end by it.
        is_young = rc == -signal.SIGTERM and 'Ready to accept' not in self.log_text(self.log_start)
        if rc != 0 and rc not in self.may_end and not is_young:
            raise Failure(f'{self} ended with {rc} after SIGTERM')

    def pause(self):
        self.proc.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        if self.running:
            self.proc.send_signal(signal.SIGCONT)
        self.paused = False

    def check_alive(self):
        if self.proc is not None and self.proc.poll() is not None and self.proc.returncode not in self.may_end:
            raise Failure(f'{self} ended by itself with {self.proc.returncode}; it said at last:\n{self.log_text()[-1500:]}')

    def wipe(self):
        """An empty disk: it can only come back as somebody new."""
        for path in (self.dir, self.side, self.ctl):
            shutil.rmtree(path)
            os.makedirs(path)

    def cut_power(self, seed):
        """The process is dead; its disk forgets what it may."""
        return powercut.apply(self.dir, self.side, seed)

    def control(self, name, text=None):
        """A control file of the disk that forgets (powercut.c): text None removes it."""
        path = os.path.join(self.ctl, name)
        if text is None:
            if os.path.exists(path):
                os.unlink(path)
            return
        with open(path + '.new', 'w') as f:
            f.write(text)
        os.rename(path + '.new', path)

    def call(self, *args, timeout=5):
        client = Client(self.port, timeout=timeout)
        try:
            return client.call(*args)
        finally:
            client.close()

    def info(self, *sections):
        """INFO as a dictionary; empty when it does not answer."""
        if not self.running or self.paused:
            return {}
        try:
            text = self.call('INFO', *(sections or ('everything',)), timeout=2)
        except OSError:
            return {}
        if isinstance(text, RespError):
            return {}
        return dict(line.split(':', 1) for line in text.decode(errors='replace').split('\r\n') if ':' in line)

    def log_text(self, start=0):
        with open(self.log_path, 'rb') as f:
            f.seek(start)
            return f.read().decode(errors='replace')


class Cluster:
    def __init__(self, run, size, options=(), layered=False, pool=None):
        """`size` nodes form it; `pool` is how many there may ever be."""
        self.program, self.tools, self.note = os.path.abspath(run.program), run.tools, run.note
        self.top = os.path.realpath(tempfile.mkdtemp(prefix='redraft-cluster-'))
        self.options, self.layered, self.size = list(options), layered, size
        self.ports, self.claims = reserve_ports(pool or size)
        self.faults = Faults(os.path.join(self.top, 'faults'), len(self.ports))
        self.all_nodes = [Node(self, i) for i in range(len(self.ports))]
        self.nodes = self.all_nodes[:size]      # the members
        self.wire = None
        self.load = None

    def start(self):
        if len(self.ports) > 1:
            self.wire = subprocess.Popen([self.tools['wire'], self.faults.path, ','.join(str(p + 10000) for p in self.ports)],
                                         stdout=subprocess.PIPE)
            if self.wire.stdout.readline() != b'ready\n':
                raise Failure('the wire did not come up')
        first = [f'127.0.0.1:{n.port}' for n in self.nodes]
        for node in self.nodes:
            if self.size > 1:
                node.args = ['--cluster-nodes', *first]
            node.spawn()
        self.wait_leader()
        return self

    def up(self):
        return [n for n in self.nodes if n.running and not n.paused]

    def leader(self):
        """The node that says it leads in the highest term, or None. It may be mistaken."""
        best = None
        for n in self.up():
            info = n.info('raft')
            if info.get('raft_role') == 'leader':
                term = int(info['raft_current_term'])
                if best is None or term > best[0]:
                    best = (term, n)
        return best and best[1]

    def wait_leader(self, seconds=PATIENCE):
        """Waits until somebody leads and serves: a write goes through."""
        def serves():
            self.check_alive()
            n = self.leader()
            try:
                return n if n and n.call('SET', 'harness', str(time.monotonic())) == 'OK' else None
            except OSError:
                return None
        return wait_until(serves, 'a leader that serves', seconds)

    def fill(self, rng, count):
        """Keys that nobody reads, so that a snapshot is not small. They may be there already."""
        value, done = rng.randbytes(8000), 0

        def fill_on():
            nonlocal done
            try:
                client = Client(self.wait_leader().port, timeout=PATIENCE)
                while done < count:
                    at = rng.randrange(4000)
                    client.pipeline([('SET', f'fill:{i}', value[at:at + 4000]) for i in range(done, done + 50)])
                    done += 50
                client.close()
            except OSError:     # leaders change also without us
                self.check_alive()
            return done >= count
        wait_until(fill_on, 'the cluster takes some megabytes')

    def check_alive(self):
        for n in self.all_nodes:
            n.check_alive()
        if self.wire and self.wire.poll() is not None:
            raise Failure('the wire is gone')

    def heal(self):
        """Ends all faults: everybody runs, everything gets through."""
        self.faults.heal()
        for n in self.nodes:
            for name in os.listdir(n.ctl):
                n.control(name)
            if n.running and n.paused:
                n.resume()
            n.check_alive()
            if not n.running:
                n.spawn()
            n.may_end = ()

    def applied(self):
        return [int(n.info('raft').get('raft_last_applied_index', -1)) for n in self.nodes]

    def check_equal(self):
        """All nodes come to the same index, and there they hold the same."""
        def compare():
            self.check_alive()
            before = self.applied()
            if len(set(before)) > 1 or before[0] < 0:
                return None
            digests = [n.call('DEBUG', 'DIGEST', timeout=PATIENCE) for n in self.nodes]
            return (before[0], digests) if self.applied() == before else None
        try:
            index, digests = wait_until(compare, 'all nodes at the same index')
        except Failure as e:
            self.dump_info()
            raise Failure(f'{e}; they are at {self.applied()}; INFO of each is in info-*') from None
        if len(set(digests)) != 1 or isinstance(digests[0], RespError):
            raise Failure(f'at index {index} the nodes do not hold the same: {digests}')
        return index, digests[0]

    def dump_info(self):
        for n in self.nodes:
            with open(os.path.join(self.top, f'info-{n.number}'), 'w') as f:
                f.writelines(f'{k}:{v}\n' for k, v in n.info().items())

    def count_in_logs(self, text):
        return sum(n.log_text().count(text) for n in self.all_nodes if os.path.exists(n.log_path))

    def check_logs(self):
        for n in self.all_nodes:
            if os.path.exists(n.log_path):
                found = COMPLAINTS.search(n.log_text())
                if found:
                    raise Failure(f'the log of {n} says: {found.group(0)}')

    def close(self, keep=False):
        if self.load:
            self.load.kill()
        for n in self.all_nodes:
            if n.running:
                n.proc.kill()
                n.proc.wait()
        if self.wire:
            self.wire.kill()
            self.wire.wait()
        for claim in self.claims:
            claim.close()
        if not keep:
            shutil.rmtree(self.top)


# --------------------------------------------------------------------------------------------------- the load

class Load:
    """tests/cluster/load, running."""

    def __init__(self, cluster, seed, **options):
        self.cluster = cluster
        self.path = os.path.join(cluster.top, f'history-{seed}')
        self.counts, self.lock = {}, threading.Lock()
        args = [cluster.tools['load'], '--ports', ','.join(str(n.port) for n in cluster.all_nodes), '--history', self.path,
                '--seed', str(seed)]
        for name, value in options.items():
            args += ['--' + name.replace('_', '-'), str(value)]
        self.errors = open(os.path.join(cluster.top, 'load.log'), 'ab')
        self.proc = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        cluster.load = self

    def read(self):
        for line in self.proc.stdout:
            with self.lock:
                self.counts = {k: int(v) for k, v in (w.split('=') for w in line.decode().split())}

    def answered(self):
        with self.lock:
            return self.counts.get('answered', 0)

    def wait_progress(self, seconds=PATIENCE):
        """After all faults: commands must be answered again."""
        before = self.answered()
        wait_until(lambda: self.answered() > before + 20, 'commands are answered again', seconds)

    def stop(self):
        """Lets the clients finish and every key be read once more. Returns what it counted."""
        self.proc.stdin.write(b'stop\n')
        self.proc.stdin.close()
        try:
            rc = self.proc.wait(4 * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure('the clients do not come to an end') from None
        self.reader.join()
        self.errors.close()
        if rc != 0:
            with open(self.errors.name) as f:
                raise Failure(f'the clients ended with {rc}: {f.read()[-2000:]}')
        return self.counts

    def kill(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()

    def check(self):
        """The verdict of tests/check on what the clients saw."""
        done = subprocess.run([self.cluster.tools['linear'], self.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text = done.stdout.decode(errors='replace')
        if done.returncode != 0:
            raise Failure(text)
        return text.strip()
