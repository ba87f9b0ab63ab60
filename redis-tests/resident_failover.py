"""Clients of every kind while leadership moves: handed over, its holder stopped, its holder killed. Unmodified clients, three
nodes of their own for each test.

What is looked at is truth, not speed. Every write appends a number to a text: at the end what was answered must be there,
in order and once, and what was refused must not be. A hand-over breaks no connection and answers no error; when a leader ends,
connections to it end, and those whose command was on its way to it; nobody is told no.
"""
import asyncio
import logging
import subprocess
import sys
import threading
import time

import redis
import redis.asyncio
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.sentinel import Sentinel

import residents
import servers
from residents import resp

PATIENCE_S = 30
LOST = (redis.ConnectionError, redis.TimeoutError, OSError)
MOVES = ("transfer", "stop", "kill")


class Moving:
    """Three nodes whose leadership moves."""

    def __init__(self, make, args=()):
        self.cluster = make("follower", args)

    def __enter__(self):
        self.cluster.start()
        self.host, self.port = self.cluster.host, self.cluster.port    # a follower's
        return self

    def __exit__(self, *unused):
        self.cluster.stop()

    def ports(self):
        return [n.port for n in self.cluster.nodes]

    def move(self, how, to=None):
        """Another leader than before, and all nodes there again. Returns when that is so."""
        c, before = self.cluster, self.cluster.leader
        if how == "transfer":
            answer = resp(before, "RAFT.TRANSFER_LEADER", *([("127.0.0.1:%d" % to)] if to else []))
            assert answer == b"+OK\r\n", answer
        else:
            if how == "kill":
                before.process.kill()
            else:
                before.process.terminate()
            before.process.wait(PATIENCE_S)
            self.wait(lambda: any(servers.role(n.host, n.port) == "master" for n in c.nodes if n is not before))
            before.launch(before.port)
        self.wait(c.is_up)
        assert c.leader is not before or how != "transfer"

    def wait(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "the cluster does not come back:\n" + self.cluster.log_tail()
            time.sleep(0.05)


class Record:
    """What a writer was told of its numbers."""

    def __init__(self):
        self.said, self.refused, self.lost, self.errors = set(), set(), 0, []

    def check(self, text, what, errors_max=None):
        there = [int(word) for word in (text or b"").split()]
        assert there == sorted(set(there)), "%s: a number is there twice, or out of order" % what
        missing, denied = self.said - set(there), self.refused & set(there)
        assert not missing, "%s: answered, but not there: %s" % (what, sorted(missing)[:10])
        assert not denied, "%s: refused, but there: %s" % (what, sorted(denied)[:10])
        if errors_max is not None:
            assert len(self.errors) <= errors_max, "%s: %d errors: %s" % (what, len(self.errors), self.errors[:3])


def writing(moving, moves, write, depth=1):
    """Calls write(first, depth), which appends `depth` numbers, from a thread while leadership moves; its Record."""
    record, over = Record(), threading.Event()

    def work():
        n = 1
        while not over.is_set():
            numbers = range(n, n + depth)
            n += depth
            try:
                write(numbers)
                record.said.update(numbers)
            except LOST as e:
                record.lost += 1
                record.errors.append(repr(e))
                time.sleep(0.05)
            except redis.RedisError as e:
                record.errors.append(repr(e))
                record.refused.update(numbers)
            time.sleep(0.002)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def progress():
        before = len(record.said)
        moving.wait(lambda: len(record.said) > before + 20 * depth)
    progress()
    for how in moves:
        moving.move(how)
        progress()
    over.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "a writer hangs"
    return record


def plain(moving, port=None, **kwargs):
    return redis.Redis(host=moving.host, port=port or moving.port, socket_timeout=PATIENCE_S, **kwargs)


def text_of(moving, key):
    return plain(moving, moving.cluster.leader.port).get(key)


# --- plain clients ---------------------------------------------------------------------------------------------------

def test_plain_client_and_a_hand_over(make):
    """Through any node: no error, no lost connection."""
    with Moving(make) as m:
        for port in m.ports():
            key = "text:%d" % port
            r = plain(m, port, single_connection_client=True)
            record = writing(m, ["transfer", "transfer"], lambda ns: r.append(key, "%d " % ns[0]))
            record.check(text_of(m, key), "port %d" % port, errors_max=0)


def test_plain_client_and_the_end_of_a_leader(make):
    """At a follower: a command that was on its way is of unknown outcome, and its connection ends; nothing else happens."""
    for how in ("stop", "kill"):
        with Moving(make) as m:
            r = plain(m)
            record = writing(m, [how], lambda ns: r.append("text", "%d " % ns[0]))
            record.check(text_of(m, "text"), how, errors_max=2)
            assert not record.refused, record.errors


def test_pipelines(make):
    for how in MOVES:
        with Moving(make) as m:
            r = plain(m)

            def write(numbers):
                p = r.pipeline(transaction=False)
                for n in numbers:
                    p.append("text", "%d " % n)
                    p.get("text")
                answers = p.execute()
                assert answers[-1].endswith(b"%d " % numbers[-1]), answers[-1][-40:]
            record = writing(m, [how], write, depth=20)
            record.check(text_of(m, "text"), how, errors_max=0 if how == "transfer" else 2)
            assert not record.refused, record.errors


def test_asyncio(make):
    """Several connections at once; what is lost is lost one at a time."""
    async def writer(r, key, record, over):
        n = 0
        while not over.is_set():
            n += 1
            try:
                await r.append(key, "%d " % n)
                record.said.add(n)
            except LOST as e:
                record.errors.append(repr(e))
                await asyncio.sleep(0.05)
            except redis.RedisError as e:
                record.errors.append(repr(e))
                record.refused.add(n)
            await asyncio.sleep(0.002)

    async def work(m):
        r = redis.asyncio.Redis(host=m.host, port=m.port, socket_timeout=PATIENCE_S)
        records, over = {"text:%d" % i: Record() for i in range(4)}, asyncio.Event()
        tasks = [asyncio.create_task(writer(r, key, record, over)) for key, record in records.items()]
        for how in MOVES:
            await asyncio.sleep(0.3)
            await asyncio.get_running_loop().run_in_executor(None, m.move, how)
        await asyncio.sleep(0.3)
        over.set()
        await asyncio.gather(*tasks)
        for key, record in records.items():
            assert record.said and not record.refused, record.errors
            record.check(await r.get(key), key)
        await r.close()
    with Moving(make) as m:
        asyncio.run(work(m))


# --- clients that look for the leader --------------------------------------------------------------------------------

def test_cluster_client(make):
    """CLUSTER SLOTS and MOVED lead it; a hand-over is seamless. When the leader dies it may need to be made anew: this
    version of it does not always look at the other nodes."""
    with Moving(make, ["--cluster-enabled", "yes"]) as m:
        raw = plain(m)
        try:
            raw.set("k", "v")
            raise AssertionError("a follower of a cluster that is told to be one answers MOVED")
        except redis.ResponseError as e:
            assert str(e).split()[0] in ("MOVED", "12706") and "127.0.0.1:%d" % m.cluster.leader.port in str(e), e
        nodes = [ClusterNode(m.host, port) for port in m.ports()]
        r = RedisCluster(startup_nodes=nodes)
        assert len(r.get_nodes()) == 3 and r.get_primaries()[0].port == m.cluster.leader.port
        record = writing(m, ["transfer", "transfer"], lambda ns: r.append("text", "%d " % ns[0]))
        record.check(r.get("text"), "transfer", errors_max=0)
        with r.pipeline() as p:
            for i in range(100):
                p.set("key:%d" % i, i)
            assert all(p.execute())
        assert r.mget_nonatomic(*["key:%d" % i for i in range(100)]) == [b"%d" % i for i in range(100)]

        made = [r]

        def write(numbers):
            try:
                made[0].append("text2", "%d " % numbers[0])
            except (redis.RedisError, RedisClusterException, OSError) as e:
                try:
                    made[0] = RedisCluster(startup_nodes=nodes)
                except (redis.RedisError, RedisClusterException):
                    pass
                raise redis.ConnectionError(str(e))
        record = writing(m, ["kill"], write)
        record.said = set(record.said)
        there = [int(w) for w in text_of(m, "text2").split()]
        assert record.said <= set(there), "answered, but not there"


def test_sentinel_client(make):
    with Moving(make) as m:
        sentinel = Sentinel([(m.host, port) for port in m.ports()], socket_timeout=PATIENCE_S)
        assert sentinel.discover_master("mymaster") == (m.host, m.cluster.leader.port)
        assert sorted(port for _, port in sentinel.discover_slaves("mymaster")) == sorted(n.port for n in m.cluster.followers)
        r = sentinel.master_for("mymaster", socket_timeout=PATIENCE_S)
        record = writing(m, ["transfer", "transfer"], lambda ns: r.append("text", "%d " % ns[0]))
        record.check(r.get("text"), "transfer", errors_max=0)
        r2 = sentinel.master_for("mymaster", socket_timeout=PATIENCE_S)
        record = writing(m, ["kill", "stop"], lambda ns: r2.append("text2", "%d " % ns[0]))
        record.check(text_of(m, "text2"), "the end of a leader")
        assert not record.refused, record.errors
        assert sentinel.slave_for("mymaster", socket_timeout=PATIENCE_S).get("text") == text_of(m, "text")


# --- publish and subscribe ---------------------------------------------------------------------------------------------

class Listening:
    """A redis-py listener that goes on after each end of its connection: what it heard, a list for each subscription."""

    def __init__(self, moving, port):
        self.heard, self.over = [], threading.Event()
        self.pubsub = plain(moving, port).pubsub()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        self.pubsub.subscribe("ch")
        while not self.over.is_set():
            try:
                message = self.pubsub.get_message(timeout=0.5)
            except LOST:
                time.sleep(0.02)
                continue
            if message is not None and message["type"] == "subscribe":
                self.heard.append([])
            elif message is not None:
                self.heard[-1].append(int(message["data"]))

    def newest(self):
        return self.heard[-1][-1] if self.heard and self.heard[-1] else 0

    def check(self, said):
        everything = [n for part in self.heard for n in part]
        assert everything == sorted(set(everything)), "heard twice, or out of order"
        for part in self.heard:
            missed = [n for n in range(part[0], part[-1]) if n in said and n not in set(part)] if part else []
            assert not missed, "not heard by who was there: %s" % missed[:10]


def test_listeners(make):
    """redis-py subscribes again by itself; while its connection stands it hears everything, in order and once."""
    with Moving(make) as m:
        listeners = [Listening(m, port) for port in m.ports()]
        m.wait(lambda: all(one.heard for one in listeners))
        r, said, over, numbers = plain(m), set(), threading.Event(), [0]

        def publish():
            while not over.is_set():
                numbers[0] += 1
                try:
                    r.publish("ch", numbers[0])
                    said.add(numbers[0])
                except redis.RedisError:
                    time.sleep(0.05)
                time.sleep(0.002)
        thread = threading.Thread(target=publish, daemon=True)
        thread.start()
        for how in ("transfer", "kill", "stop"):
            m.move(how)
            now = numbers[0]
            m.wait(lambda: all(one.newest() > now + 20 for one in listeners))  # noqa: B023
        over.set()
        thread.join(PATIENCE_S)
        for one in listeners:
            one.over.set()
            one.thread.join(PATIENCE_S)
            one.check(said)
            assert len(one.heard) > 1, "no connection ended"


# --- tools -----------------------------------------------------------------------------------------------------------

def test_redis_benchmark(make):
    """Through a follower while leadership is handed over. (With --cluster it wants two masters, and there is one.)"""
    with Moving(make) as m:
        tool = subprocess.Popen(["redis-benchmark", "-p", str(m.port), "-t", "set,get,incr", "-n", "15000", "-c", "20", "-P", "4",
                                 "-q"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
        for _ in range(3):
            m.move("transfer")
        out, _ = tool.communicate(timeout=120)
        assert tool.returncode == 0 and "rror" not in out, out[-1000:]


def test_redis_cli(make):
    with Moving(make, ["--cluster-enabled", "yes"]) as m:
        def cli(*words, port=m.port):
            done = subprocess.run(["redis-cli", "-c", "-p", str(port), *words], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done
            return done.stdout
        assert cli("SET", "k", "v") == "OK\n"
        for port in m.ports():
            assert cli("GET", "k", port=port) == "v\n"
        m.move("transfer")
        assert cli("GET", "k") == "v\n"
        checked = cli("--cluster", "check", "127.0.0.1:%d" % m.port)
        assert "[OK] All 16384 slots covered." in checked and "[OK] All nodes agree" in checked, checked


def run(_server, args):
    """It takes clusters of its own; a server given from outside cannot be killed."""
    if args.host:
        return []

    def make(through, options):
        return servers.Cluster(args.server, options, base=None, through=through)
    logging.getLogger("redis.cluster").disabled = True     # it prints every error that it goes on from
    return residents.run_only(residents.tests_of(sys.modules[__name__]), make)
