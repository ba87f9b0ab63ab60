"""Nodes that come and go, for the tests of forming and changing a cluster: plain processes on a good machine, several of
which may or may not be one cluster, clients whose acknowledged writes are counted, and what every node says about who is who."""

import os
import random
import shutil
import tempfile
import threading
import time

import cluster
from cluster import Failure, RespError, wait_until
from harness import Client

WRITE_S_MAX = 10                    # an answer, or the end of the connection, comes sooner: forward-wait-ms is 4 seconds
MISTAKES = ('WRONGTYPE', 'ERR')     # of a plain write, a definite error: nothing that a change of members may bring about


class Node(cluster.Node):
    """A process as the operator starts it: own arguments, own address."""

    def __init__(self, group, number):
        super().__init__(group, number)
        self.bind = '127.0.0.1'

    @property
    def address(self):
        return f'127.0.0.1:{self.port}'

    def spawn(self, *args):
        """Arguments are remembered for the next time."""
        if args:
            self.args = list(args)
        words = [self.cluster.program, '--port', str(self.port), '--bind', self.bind, '--dir', self.dir,
                 '--enable-debug-command', 'yes', *self.cluster.options, *self.args]
        self.start_process(words)
        return self

    def start_process(self, words):
        with open(self.log_path, 'ab') as log:
            log.write(f'--- {" ".join(words)}\n'.encode())
            log.flush()
            self.log_from = log.tell()
            self.proc = cluster.subprocess.Popen(words, stdin=cluster.subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.top)
        self.paused = False

    def log_since_start(self):
        with open(self.log_path, 'rb') as f:
            f.seek(self.log_from)
            return f.read().decode(errors='replace')

    def wait_log(self, text, seconds=cluster.PATIENCE):
        def look():
            self.check_alive()
            return text in self.log_since_start()
        wait_until(look, f'{self} says {text!r}; it said:\n{self.log_since_start()[-1500:]}', seconds)

    def ask(self, *args, timeout=40):
        """A reply, or the loss of the connection as an error."""
        try:
            return self.call(*args, timeout=timeout)
        except OSError as e:
            return RespError(f'LOST {e}')

    def raft(self, name):
        return self.info('raft').get('raft_' + name)

    @property
    def id(self):
        return self.raft('node_id')

    @property
    def cluster_id(self):
        """The part of Redis's node id that all nodes of a cluster share."""
        name = self.ask('CLUSTER', 'MYID')
        return None if isinstance(name, RespError) else name.decode()[16:]


class Group(cluster.Cluster):
    """`count` nodes that nobody has started yet. `nodes` are those that ought to be one cluster. What is left to chance comes
    from the seed."""

    def __init__(self, program, count, options=(), seed=None):
        self.program = os.path.abspath(program)
        self.top = os.path.realpath(tempfile.mkdtemp(prefix='redraft-members-'))
        self.options, self.layered, self.wire, self.load = list(options), False, None, None
        self.rng = random.Random(seed)
        self.ports, self.claims = cluster.reserve_ports(count)
        self.rng.shuffle(self.ports)        # whoever is first in a list is not always the lowest
        self.all_nodes = [Node(self, i) for i in range(count)]
        self.nodes = []

    def list_of(self, *nodes):
        return ['--cluster-nodes', *(n.address for n in nodes)]

    def form(self, *nodes):
        """All at once, and they become one cluster."""
        for n in nodes:
            n.spawn(*self.list_of(*nodes))
        return self.are_one(*nodes)

    def are_one(self, *nodes):
        """From now on these, and nobody else, are the cluster: waits until each of them says so, and checks how."""
        self.nodes = list(nodes)
        leader = self.wait_leader()
        try:
            wait_until(self.agree, 'all nodes say the same')
        except Failure as e:
            raise Failure(f'{e}: {self.disagreement}') from None
        return leader

    def agree(self):
        self.check_alive()
        try:
            self.disagreement = views_differ(self.up(), self.nodes)
        except OSError as e:
            self.disagreement = str(e)
        return not self.disagreement

    def follower(self):
        leader = self.leader()
        return self.rng.choice([n for n in self.up() if n is not leader])

    def close(self, keep=False):
        for n in self.all_nodes:
            if n.running:
                n.proc.kill()
                n.proc.wait()
        for claim in self.claims:
            claim.close()
        if not keep:
            shutil.rmtree(self.top)


# ------------------------------------------------------------------------------------------------- who is who

def text_of(reply):
    if isinstance(reply, list):
        return [text_of(r) for r in reply]
    return reply.decode() if isinstance(reply, bytes) else reply


def views_differ(nodes, members):
    """What is wrong with what these say, in all of the ways in which Redis's clients may ask; nothing when it is right."""
    wanted = sorted(n.address for n in members)
    leaders = [n for n in members if n.raft('role') == 'leader']
    if len(leaders) != 1:
        return f'{len(leaders)} lead'
    leader = leaders[0].address
    live = {n.address for n in nodes}
    for n in nodes:
        wrong = view_differs(n, wanted, leader, live)
        if wrong:
            return f'{n} ({n.address}): {wrong}'
    return None


def view_differs(n, wanted, leader, live):
    info = n.info('everything')
    leads = n.address == leader
    followers = sorted(set(wanted) - {leader})
    alone = wanted == [leader]
    if info.get('role') != ('master' if leads else 'slave'):
        return f'INFO says role {info.get("role")}'
    if int(info.get('raft_num_voting_nodes', 0)) != len(wanted):
        return f'INFO says {info.get("raft_num_voting_nodes")} voters, not {len(wanted)}'
    if not leads and f'{info.get("master_host")}:{info.get("master_port")}' != leader:
        return f'INFO says the master is {info.get("master_host")}:{info.get("master_port")}'
    if not leads and info.get('master_link_status') != 'up':
        return 'INFO says the link to the master is down'
    role = text_of(n.call('ROLE'))
    if leads and (role[0] != 'master' or not {f'{h}:{p}' for h, p, _ in role[2]} <= set(followers)):
        return f'ROLE says {role}'
    if leads and not (live - {leader}) <= {f'{h}:{p}' for h, p, _ in role[2]}:
        return f'ROLE does not name all followers: {role}'
    if not leads and (role[0] != 'slave' or f'{role[1]}:{role[2]}' != leader or role[3] != 'connected'):
        return f'ROLE says {role}'
    if ':'.join(text_of(n.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster')) or []) != leader:
        return 'SENTINEL names another master'
    if alone:
        return None
    return cluster_differs(n, wanted, leader, live)


def cluster_differs(n, wanted, leader, live):
    """The CLUSTER commands."""
    lines = [line.split() for line in text_of(n.call('CLUSTER', 'NODES')).splitlines()]
    seen = {line[1].split('@')[0]: line for line in lines}
    if sorted(seen) != wanted:
        return f'CLUSTER NODES names {sorted(seen)}, not {wanted}'
    for address, line in seen.items():
        flags = line[2].split(',')
        if ('master' in flags) != (address == leader) or ('myself' in flags) != (address == n.address):
            return f'CLUSTER NODES says {line}'
        if 'nofailover' in flags:
            return f'CLUSTER NODES still calls {address} a learner'
        if address in live and line[7] != 'connected':
            return f'CLUSTER NODES says {line}'
    slots = text_of(n.call('CLUSTER', 'SLOTS'))
    if len(slots) != 1 or slots[0][:2] != [0, 16383] or f'{slots[0][2][0]}:{slots[0][2][1]}' != leader:
        return f'CLUSTER SLOTS says {slots}'
    replicas = {f'{r[0]}:{r[1]}' for r in slots[0][3:]}
    if not live - {leader} <= replicas <= set(wanted) - {leader}:
        return f'CLUSTER SLOTS says that the replicas are {replicas}'
    if 'cluster_state:ok' not in text_of(n.call('CLUSTER', 'INFO')):
        return 'CLUSTER INFO says that all is not well'
    return None


# --------------------------------------------------------------------------------------------------- the load

class Writers:
    """Clients that append numbers, each to a key of its own through any node that lets it, and know which were acknowledged.
    A number whose answer never came may be there or not; one that was refused may not."""

    def __init__(self, group, count=4, pause_s=0.004):
        self.group, self.pause_s = group, pause_s
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.acked, self.refused, self.errors = [set() for _ in range(count)], [set() for _ in range(count)], []
        self.silences, self.longest_s = [], 0.0
        self.threads = [threading.Thread(target=self.work, args=(i,), daemon=True) for i in range(count)]
        for t in self.threads:
            t.start()

    def work(self, number):
        client, n = None, 0
        while not self.over.is_set():
            began = time.monotonic()
            try:
                if client is None:
                    node = self.group.rng.choice(self.group.nodes)
                    client = Client(node.port, timeout=WRITE_S_MAX)
                n += 1
                began = time.monotonic()
                got = client.call('APPEND', f'writer:{number}', f'{n} ')
                took = time.monotonic() - began
            except OSError as e:
                if time.monotonic() - began >= WRITE_S_MAX:
                    self.silences.append(f'{node} said nothing for {WRITE_S_MAX} s: {e}')
                if client:
                    client.sock.close()
                client = None
                time.sleep(0.05)
                continue
            with self.lock:
                self.longest_s = max(self.longest_s, took)
                if isinstance(got, RespError):
                    self.refused[number].add(n)
                    self.errors.append(str(got))
                else:
                    self.acked[number].add(n)
            if isinstance(got, RespError):
                client.sock.close()
                client = None
            time.sleep(self.pause_s)

    def count(self):
        with self.lock:
            return sum(len(a) for a in self.acked)

    def wait_progress(self):
        before = self.count()
        wait_until(lambda: self.count() > before + 20, 'writes are acknowledged again')

    def stop(self):
        """Checks what the cluster holds now against what it acknowledged."""
        self.over.set()
        for t in self.threads:
            t.join()
        leader = self.group.wait_leader()
        for number, acked in enumerate(self.acked):
            text = leader.call('GET', f'writer:{number}') or b''
            there = [int(word) for word in text.split()]
            if there != sorted(set(there)):
                raise Failure(f'writer:{number} holds a number twice, or out of order')
            lost = acked - set(there)
            if lost:
                raise Failure(f'writer:{number} has lost {sorted(lost)[:10]} of {len(acked)} that were acknowledged')
            denied = self.refused[number] & set(there)
            if denied:
                raise Failure(f'writer:{number} holds {sorted(denied)[:10]}, which were refused')
        wrong = [e for e in self.errors if e.split(' ', 1)[0] in MISTAKES]
        if wrong or self.silences:
            raise Failure(f'clients were told {wrong[:3]}; {self.silences[:3]}')
        return self.count()
