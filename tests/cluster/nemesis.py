"""What goes wrong: each fault begins, holds for a while, and ends. A Nemesis draws them from a seed, one after the other or two
at a time, and says what it does."""

import os
import random
import shutil
import time

from harness import Failure, RespError

# Each fault is a method that begins it, draws from self.rng only, and returns (what it did, how to end it, or None).


class Nemesis:
    def __init__(self, cluster, seed, faults, note, at_a_time=1, hold=(0.2, 2.5), rest=(0.1, 0.8)):
        self.cluster, self.faults = cluster, cluster.faults
        self.rng, self.names, self.note = random.Random(f'{seed}'), list(faults), note
        self.at_a_time, self.hold, self.rest = at_a_time, hold, rest
        self.active = []        # (until, name, end)
        self.counts = {}

    def run(self, seconds):
        over = time.monotonic() + seconds
        next_at = time.monotonic() + self.rng.uniform(*self.rest)
        while time.monotonic() < over:
            self.end_due()
            self.cluster.check_alive()
            if time.monotonic() >= next_at and len(self.active) < self.at_a_time:
                self.begin()
                next_at = time.monotonic() + self.rng.uniform(*self.rest)
            time.sleep(0.01)
        self.end_all()

    def begin(self):
        name = self.rng.choice(self.names)
        hold = self.rng.uniform(*self.hold)
        if self.rng.random() < 0.15:
            hold *= 3
        seed = self.rng.getrandbits(32)     # so that what one fault draws does not change what the next one is
        saved, self.rng = self.rng, random.Random(seed)
        try:
            done = getattr(self, name)()
        finally:
            self.rng = saved
        if done is None:
            return
        what, end = done
        self.counts[name] = self.counts.get(name, 0) + 1
        self.note(f'{name}: {what}' + (f' for {hold:.2f} s' if end else ''))
        if end:
            self.active.append((time.monotonic() + hold, name, end))

    def end_due(self):
        due = [a for a in self.active if a[0] <= time.monotonic()]
        for entry in due:
            self.active.remove(entry)
            entry[2]()

    def end_all(self):
        for _, _, end in self.active:
            end()
        self.active = []

    # ----------------------------------------------------------------------------------- whom it hits

    def victims(self, running=True):
        """Some of the nodes that are not hit already: one, the leader, a minority, a majority, all."""
        nodes = [n for n in self.cluster.nodes if n.running and not n.paused]
        if not nodes:
            return []
        kind = self.rng.choice(('one', 'one', 'leader', 'leader', 'minority', 'majority', 'all'))
        size = len(self.cluster.nodes)
        drawn = self.rng.random()
        if kind == 'leader':
            leader = self.cluster.leader()
            return [leader] if leader in nodes else [nodes[int(drawn * len(nodes))]]
        count = {'one': 1, 'minority': (size - 1) // 2, 'majority': size // 2 + 1, 'all': size}[kind]
        return self.rng.sample(nodes, min(max(count, 1), len(nodes)))

    @staticmethod
    def names_of(nodes):
        return ', '.join(str(n.number) for n in nodes)

    # ----------------------------------------------------------------------------------- processes

    def start_again(self, nodes):
        for n in nodes:
            if not n.running and n in self.cluster.nodes:
                n.spawn()

    def kill(self):
        nodes = self.victims()
        for n in nodes:
            n.kill()
        return f'nodes {self.names_of(nodes)}', lambda: self.start_again(nodes)

    def pause(self):
        nodes = self.victims()
        for n in nodes:
            n.pause()
        return f'nodes {self.names_of(nodes)}', lambda: [n.resume() for n in nodes]

    def restart(self):
        """One after the other, as for an upgrade."""
        nodes = [n for n in self.cluster.nodes if n.running and not n.paused]
        self.rng.shuffle(nodes)
        for n in nodes:
            n.stop()
            n.spawn()
            time.sleep(self.rng.uniform(0, 0.8))
        return f'nodes {self.names_of(nodes)}, one after the other', None

    def stop(self):
        nodes = self.victims()
        for n in nodes:
            n.stop()
        return f'nodes {self.names_of(nodes)}', lambda: self.start_again(nodes)

    def power(self):
        """The power goes: everything that a disk may forget is forgotten."""
        nodes = self.victims()
        self.cluster.check_alive()
        for n in nodes:
            n.proc.kill()       # all at once, as far as that goes
        for n in nodes:
            n.proc.wait()
            n.proc = None
            n.cut_power(self.rng.getrandbits(32))
        return f'nodes {self.names_of(nodes)}', lambda: self.start_again(nodes)

    def turn_back(self):
        """A planted bug: all nodes come back with what their disks held when this happened for the first time."""
        self.cluster.wait_leader()
        time.sleep(1)       # something must be answered in between, or there is nothing to lose
        nodes = self.cluster.nodes
        for n in nodes:
            n.kill()
        for n in nodes:
            old = n.dir + '-old'
            source, target = (old, n.dir) if os.path.exists(old) else (n.dir, old)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)
        self.start_again(nodes)
        return f'nodes {self.names_of(nodes)}', None

    # ----------------------------------------------------------------------------------- the network

    def block(self, pairs):
        pairs = sorted(pairs)
        for src, dst in pairs:
            self.faults.link(src, dst, blocked=1)

        def end():
            # Sometimes what was on its way arrives after all, sometimes it is lost.
            for src, dst in pairs:
                if lost:
                    self.faults.reset(src, dst)
                self.faults.link(src, dst, blocked=0)
        lost = self.rng.random() < 0.5
        return end

    def numbers(self):
        return [n.number for n in self.cluster.nodes]

    def isolate(self):
        """One node, often the leader, from all others; both ways, or only one."""
        leader = self.cluster.leader()
        numbers = self.numbers()
        drawn = self.rng.choice(numbers)
        who = leader.number if leader and self.rng.random() < 0.6 else drawn
        ways = self.rng.choice(('both ways', 'both ways', 'from it', 'to it'))
        pairs = set()
        for other in numbers:
            if other != who and ways != 'to it':
                pairs.add((who, other))
            if other != who and ways != 'from it':
                pairs.add((other, who))
        return f'node {who}, {ways}', self.block(pairs)

    def split(self):
        numbers = self.numbers()
        self.rng.shuffle(numbers)
        at = self.rng.randint(1, len(numbers) - 1)
        left, right = numbers[:at], numbers[at:]
        pairs = {(a, b) for a in left for b in right} | {(b, a) for a in left for b in right}
        return f'{left} | {right}', self.block(pairs)

    def bridge(self):
        """Two groups that see each other only through one node."""
        numbers = self.numbers()
        if len(numbers) < 3:
            return None
        self.rng.shuffle(numbers)
        middle, rest = numbers[0], numbers[1:]
        left, right = rest[:len(rest) // 2], rest[len(rest) // 2:]
        pairs = {(a, b) for a in left for b in right} | {(b, a) for a in left for b in right}
        return f'{left} - {middle} - {right}', self.block(pairs)

    def some_links(self):
        """Any links, each way on its own."""
        numbers = self.numbers()
        pairs = {(a, b) for a in numbers for b in numbers if a != b and self.rng.random() < 0.35}
        if not pairs:
            return None
        return ' '.join(f'{a}>{b}' for a, b in sorted(pairs)), self.block(pairs)

    def delay(self):
        numbers = self.numbers()
        late = {(a, b): self.rng.choice((1, 5, 20, 100, 400)) * 1000 for a in numbers for b in numbers
                if a != b and self.rng.random() < 0.6}
        for (a, b), us in late.items():
            self.faults.link(a, b, delay_us=us)
        return (' '.join(f'{a}>{b} {us // 1000} ms' for (a, b), us in sorted(late.items())),
                lambda: [self.faults.link(a, b, delay_us=0) for a, b in late])

    def thin(self):
        """Little gets through: what is large takes long."""
        numbers = self.numbers()
        links = {(a, b): self.rng.choice((30, 200, 1000, 5000)) for a in numbers for b in numbers
                 if a != b and self.rng.random() < 0.5}
        for (a, b), kb in links.items():
            self.faults.link(a, b, kb_per_s=kb)
        return (' '.join(f'{a}>{b} {kb} kB/s' for (a, b), kb in sorted(links.items())),
                lambda: [self.faults.link(a, b, kb_per_s=0) for a, b in links])

    def reset(self):
        """Connections break; the network is fine."""
        numbers = self.numbers()
        pairs = [(a, b) for a in numbers for b in numbers if a != b and self.rng.random() < 0.5]
        for a, b in pairs:
            self.faults.reset(a, b)
        return ' '.join(f'{a}>{b}' for a, b in pairs), None

    # ----------------------------------------------------------------------------------- disks and clocks

    def slow_disk(self):
        nodes = self.victims()
        ms = self.rng.choice((5, 30, 150, 600, 60000))
        for n in nodes:
            self.faults.node(n.number, sync_us=ms * 1000)
        return (f'nodes {self.names_of(nodes)}, {ms} ms a sync',
                lambda: [self.faults.node(n.number, sync_us=0) for n in nodes])

    def full_disk(self):
        nodes = self.victims()
        name = self.rng.choice(('enospc', 'enospc', 'low-space'))
        for n in nodes:
            n.may_end = (1,)    # a log that cannot be written ends the node; it must come back whole
            n.control(name, '')

        def end():
            for n in nodes:
                n.control(name)
            self.start_again(nodes)
        return f'nodes {self.names_of(nodes)}, {name}', end

    def failing_sync(self):
        nodes = self.victims()[:max(1, (len(self.cluster.nodes) - 1) // 2)]
        for n in nodes:
            n.may_end = (1,)
            n.control('eio-sync', str(self.rng.choice((0, 1, 5))))
            n.cut_seed = self.rng.getrandbits(32)

        def end():
            for n in nodes:
                n.control('eio-sync')
                if n.running:   # RocksDB takes no further file after one that failed, until it is opened again
                    n.kill()
            self.start_again(nodes)
        return f'nodes {self.names_of(nodes)}', end

    def clock_rate(self):
        leader = self.cluster.leader()
        rates = {n.number: self.rng.choice((-500000, -200000, -50000, 0, 50000, 250000, 1000000)) for n in self.cluster.nodes}
        if leader and self.rng.random() < 0.6:      # the worst: it is late to notice that others have given it up
            rates = {n: -600000 if n == leader.number else 1000000 for n in rates}
        for number, ppm in rates.items():
            self.faults.node(number, clock_ppm=ppm)
        return (' '.join(f'{number}: x{1 + ppm / 1e6:g}' for number, ppm in rates.items()),
                lambda: [self.faults.node(number, clock_ppm=0) for number in rates])

    def wall_clock(self):
        steps = {n.number: self.rng.choice((-3600, -5, 0, 1, 60)) for n in self.cluster.nodes}
        for number, s in steps.items():
            self.faults.node(number, wall_us=s * 1000000)
        return (' '.join(f'{number}: {s:+d} s' for number, s in steps.items()),
                lambda: [self.faults.node(number, wall_us=0) for number in steps])

    # ----------------------------------------------------------------------------------- the operator

    def ask(self, node, *args, timeout=40):
        """A request to a node, which may be refused or lost: what comes of it is not ours to judge."""
        try:
            return node.call(*args, timeout=timeout)
        except OSError as e:
            return RespError(f'LOST {e}')

    def transfer(self):
        leader = self.cluster.leader()
        if leader is None:
            return None
        return f'from node {leader.number}: {self.ask(leader, "RAFT.TRANSFER_LEADER", timeout=10)}', None

    def failover(self):
        nodes = [n for n in self.cluster.nodes if n.running and not n.paused]
        if not nodes:
            return None
        node = self.rng.choice(nodes)
        how = self.rng.choice(((), ('FORCE',), ('TAKEOVER',)))
        return f'to node {node.number} {how}: {self.ask(node, "CLUSTER", "FAILOVER", *how, timeout=10)}', None

    def write_back(self):
        """What is in memory goes to the database, and the log may be cut."""
        nodes = self.victims()
        return f'nodes {self.names_of(nodes)}: {[str(self.ask(n, "BGSAVE", timeout=10)) for n in nodes]}', None

    def replace(self):
        """One node leaves, its disk is thrown away, and somebody new comes in its place."""
        c = self.cluster
        if len(c.nodes) < 3 or any(not n.running or n.paused for n in c.nodes):
            return None
        node = self.rng.choice(c.nodes)
        told = self.remove(node)
        if not told:
            return f'node {node.number} did not leave', None
        node.kill()
        node.wipe()
        return f'node {node.number}: {told}; back as somebody new: {self.add(node)}', None

    def shrink_and_grow(self):
        """Members come and go: the pool has more nodes than the cluster."""
        c = self.cluster
        if any(not n.running or n.paused for n in c.nodes):
            return None
        free = [n for n in c.all_nodes if n not in c.nodes]
        if free and (len(c.nodes) <= 3 or self.rng.random() < 0.5):
            node = self.rng.choice(free)
            return f'node {node.number} comes: {self.add(node)}', None
        if len(c.nodes) <= 3:
            return None
        node = self.rng.choice(c.nodes)
        told = self.remove(node)
        if told:
            node.kill()
            node.wipe()
        return f'node {node.number} goes: {told}', None

    def remove(self, node):
        """True words when it is certain that the node is no member any more."""
        c = self.cluster
        node_id = node.info('raft').get('raft_node_id')
        others = [n for n in c.nodes if n is not node and n.running and not n.paused]
        if node_id is None or not others:
            return None
        told = None
        for _ in range(60):
            told = self.ask(self.rng.choice(others), 'RAFT.NODE', 'REMOVE', node_id)
            if told == 'OK' or 'Unknown node' in str(told):
                c.nodes = [n for n in c.nodes if n is not node]
                return str(told)
            time.sleep(0.5)
        self.note(f'node {node.number} cannot be removed: {told}')
        return None

    def add(self, node, seconds=90):
        """A fresh node asks to be let in, and is waited for until it votes."""
        c = self.cluster
        node.args = ['--join', *(f'127.0.0.1:{n.port}' for n in c.nodes)]
        node.spawn()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            c.check_alive()
            leader = c.leader()
            known = leader.info('raft') if leader else {}
            mine = node.info('raft')
            if int(known.get('raft_num_voting_nodes', 0)) == len(c.nodes) + 1 and \
                    mine.get('raft_leader_id') == known.get('raft_leader_id'):
                c.nodes = [*c.nodes, node]
                return 'in'
            time.sleep(0.1)
        raise Failure(f'{node} was not let in within {seconds} s; the leader says {known}, it says {mine}')
