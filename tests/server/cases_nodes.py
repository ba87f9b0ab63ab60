"""server/run --nodes 3: a cluster on this machine with one command, and how that command ends."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from harness import COMPLAINTS, PATIENCE, Failed, Wire, expect, expect_that, wait_until

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'server', 'run')
PORTS = range(7700, 7790, 3)    # the first of three; their links to each other use those 10000 above
NODES = 3


def reserve_ports():
    """The first of three free ports, and a socket that keeps other runs off them."""
    firsts = list(PORTS)
    random.SystemRandom().shuffle(firsts)
    for first in firsts:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f'\0redraft-server-test-{first}')
            for port in range(first, first + NODES):
                for p in (port, port + 10000):
                    with socket.socket() as s:
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        s.bind(('127.0.0.1', p))
            return first, claim
        except OSError:
            claim.close()
    raise SystemExit(f'no three free ports in {PORTS.start}-{PORTS.stop - 1}')


class Together:
    """What server/run starts, and the script itself as the process `proc`. It looks like a harness.Server to the run."""

    def __init__(self, run):
        self.program = os.path.abspath(run.program)
        self.top = tempfile.mkdtemp(prefix='redraft-server-')
        self.log_path = os.path.join(self.top, 'log')
        self.log_start = 0
        self.port, self.claim = reserve_ports()
        self.ports = range(self.port, self.port + NODES)
        self.proc = None
        self.nodes = []
        run.servers.append(self)

    def start(self):
        arguments = [SCRIPT, '--nodes', str(NODES), '--port', str(self.port), '--dir', os.path.join(self.top, 'data'),
                     '--maxmemory', '64mb']
        with open(self.log_path, 'ab') as log:
            self.log_start = log.tell()
            # A session of its own, so that the terminal's Ctrl-C can be imitated.
            self.proc = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                         env=dict(os.environ, REDRAFT_PROGRAM=self.program))
        wait_until(lambda: self.proc.poll() is not None or 'the leader is' in self.log(), 'a leader')
        if self.proc.poll() is not None:
            raise Failed(f'server/run ended with {self.proc.returncode}:\n{self.log()[-3000:]}')
        self.nodes = self.running_nodes()
        expect(len(self.nodes), NODES, 'nodes that run')
        return self

    def log(self):
        with open(self.log_path, 'rb') as f:
            f.seek(self.log_start)
            return f.read().decode(errors='replace')

    def running_nodes(self):
        """Process ids of the script's children that are nodes, in no order."""
        with open(f'/proc/{self.proc.pid}/task/{self.proc.pid}/children') as f:
            children = [int(pid) for pid in f.read().split()]
        return [pid for pid in children if program_of(pid) == os.path.realpath(self.program)]

    def call(self, port, *args):
        with Wire(port) as c:
            return c.call(*args)

    def wait_for_nobody(self):
        wait_until(lambda: not any(program_of(pid) for pid in self.nodes), 'all nodes have ended')

    def end(self, how, status=0):
        """As the terminal does it for SIGINT: to everybody of the foreground."""
        if how == signal.SIGINT:
            os.killpg(self.proc.pid, how)
        else:
            self.proc.send_signal(how)
        try:
            expect(self.proc.wait(PATIENCE), status, 'exit status of server/run')
        except subprocess.TimeoutExpired:
            raise Failed('server/run does not end') from None
        self.wait_for_nobody()
        complaint = COMPLAINTS.search(self.log())
        if complaint:
            raise Failed(f'the log says {complaint.group(0)!r}')

    def stop(self):
        self.end(signal.SIGTERM)

    def discard(self):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        for pid in self.nodes:
            if program_of(pid):
                os.kill(pid, signal.SIGKILL)
        self.claim.close()
        shutil.rmtree(self.top, ignore_errors=True)


def program_of(pid):
    """The file that process runs; None when it has ended."""
    try:
        return os.readlink(f'/proc/{pid}/exe')
    except OSError:
        return None


def one_command_starts_a_cluster(run):
    """Every node serves every client, and each line of the log says whose it is."""
    s = Together(run).start()
    for i, port in enumerate(s.ports):
        expect(s.call(port, 'SET', f'key{i}', f'value{i}'), 'OK')
    for port in s.ports:
        for i in range(NODES):
            expect(s.call(port, 'GET', f'key{i}'), b'value%d' % i, f'GET through {port}')
        expect(s.call(port, 'CONFIG', 'GET', 'maxmemory'), [b'maxmemory', b'67108864'])
    leaders = [port for port in s.ports if b'role:master' in s.call(port, 'INFO', 'replication')]
    expect(len(leaders), 1, 'leaders')
    expect_that(f'the leader is 127.0.0.1:{leaders[0]}' in s.log(), 'the script names the leader')
    for i in range(1, NODES + 1):
        expect_that(re.search(rf'^{i}\| .*Ready to accept connections', s.log(), re.M), f'node {i} speaks with its number')
    s.end(signal.SIGTERM)


def the_same_cluster_after_ctrl_c(run):
    """Stopped from the terminal and started again: same nodes, same data, for SIGINT reaches each node once."""
    s = Together(run).start()
    expect(s.call(s.ports[1], 'SET', 'kept', 'yes'), 'OK')
    before = [s.call(port, 'CLUSTER', 'MYID') for port in s.ports]
    s.end(signal.SIGINT)
    for i in range(1, NODES + 1):
        expect_that(f'node {i} ended with status 0' in s.log(), f'the end of node {i} is told')
    s.start()
    expect(s.call(s.ports[2], 'GET', 'kept'), b'yes')
    expect([s.call(port, 'CLUSTER', 'MYID') for port in s.ports], before, 'node ids')
    s.end(signal.SIGINT)


def the_loss_of_a_node_is_told_and_survived(run):
    """Whichever node it is; the script goes on, and its exit status remembers."""
    s = Together(run).start()
    expect(s.call(s.port, 'SET', 'k', 'before'), 'OK')
    victim = run.rng.choice(s.ports)
    pid = int(re.search(rb'process_id:(\d+)', s.call(victim, 'INFO', 'server')).group(1))
    expect_that(pid in s.nodes, 'the node is a child of the script')
    os.kill(pid, signal.SIGKILL)
    number = victim - s.port + 1
    wait_until(lambda: f'node {number} ended with status {128 + signal.SIGKILL}' in s.log(), 'the loss is told')
    for port in s.ports:
        if port != victim:
            expect(s.call(port, 'SET', 'k', f'after {port}'), 'OK')
            expect(s.call(port, 'GET', 'k'), b'after %d' % port)
    s.end(signal.SIGTERM, status=1)


def nodes_do_not_outlive_the_script(run):
    """Killed, it can tell nobody; they end by themselves, in an orderly way."""
    s = Together(run).start()
    s.proc.kill()
    s.proc.wait()
    s.wait_for_nobody()
    wait_until(lambda: s.log().count('Bye') == NODES, 'each node says goodbye')


def wrong_numbers_are_refused(run):
    """Before anything is started."""
    for arguments, words in ((['--nodes', '2'], 'nodes 2'), (['--nodes', '3', '--port', '55534'], 'port 55534'),
                             (['--nodes'], 'wants a value')):
        p = subprocess.run([SCRIPT, *arguments], env=dict(os.environ, REDRAFT_PROGRAM=os.path.abspath(run.program)),
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE,
                           check=False)
        expect(p.returncode, 1, ' '.join(arguments))
        expect_that(words in p.stdout.decode(), f'{arguments}: {p.stdout.decode()!r}')


CASES = [one_command_starts_a_cluster, the_same_cluster_after_ctrl_c, the_loss_of_a_node_is_told_and_survived,
         nodes_do_not_outlive_the_script, wrong_numbers_are_refused]
