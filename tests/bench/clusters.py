"""Systems of three nodes on this machine. To the loads a cluster looks like one server whose processes are added up; loads go
to its leader, which may have changed whenever the nodes were stopped and continued."""
import json
import os
import shutil
import subprocess
import time
import urllib.request

import loads
from systems import READY_SECONDS_MAX, Failed, Process
from wire import Wire

NODES = 3
PEER_PORT_OFFSET = 10000
LONERS_SECONDS_MAX = 20


class Unavailable(Exception):
    """This machine or this build cannot run the system; the text says why, and the others are measured without it."""


class Cluster:
    """`nodes` are Processes; who of them leads is asked anew after each pause."""

    def __init__(self, kind, options):
        self.kind = kind
        self.options = options
        self.nodes = []
        self.port = None
        self.content = None

    def start(self):
        for node in self.nodes:
            node.start(wait=False)
        self.port = self.wait_leader()

    def stop(self):
        """The first exit status that is not 0, else 0. All are told to end before the first is waited for."""
        for node in self.nodes:
            node.resume()
            node.process.terminate()
        statuses = [node.stop() for node in self.nodes]
        return next((status for status in statuses if status != 0), 0)

    def kill(self):
        for node in self.nodes:
            node.kill()

    def pause(self):
        for node in self.nodes:
            node.pause()

    def resume(self):
        for node in self.nodes:
            node.resume()
        self.port = self.wait_leader()

    def log_tail(self, lines=15):
        return "\n".join("%s: %s" % (node.kind, node.log_tail(lines)) for node in self.nodes)

    def ask_leader(self):
        """The port of the leader when all agree on one, else None."""
        raise NotImplementedError

    def wait_leader(self, seconds_max=READY_SECONDS_MAX):
        """Ask until the answer is the same twice, a moment apart."""
        end = time.monotonic() + seconds_max
        before = None
        while time.monotonic() < end:
            for node in self.nodes:
                if not node.alive():
                    raise Failed("%s: a node ended with status %s:\n%s" %
                                 (self.kind, node.process.returncode, node.log_tail()))
            try:
                now = self.ask_leader()
            except (OSError, ValueError, KeyError, Failed):
                now = None
            if now is not None and now == before:
                return now
            before = now
            time.sleep(0.1)
        raise Failed("%s has no leader after %d s:\n%s" % (self.kind, seconds_max, self.log_tail()))

    def leader(self):
        return self.wait_leader()

    def load(self, test, size):
        return loads.resp_argv(self.options, self.port, test, size)

    def prepare(self, test, size, anew=False):
        loads.prepare(self, test, size, anew)

    def cpu_us(self):
        return sum(node.cpu_us() for node in self.nodes)

    def written_bytes(self):
        return sum(node.written_bytes() for node in self.nodes)

    def memory_mib(self):
        return sum(node.memory_mib() for node in self.nodes)

    def syncs(self):
        counts = [node.syncs() for node in self.nodes]
        return None if None in counts else tuple(sum(column) for column in zip(*counts))

    settle = Process.settle


def replication_info(port):
    with Wire(port, 5) as wire:
        text = wire.call(b"INFO", b"replication").decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


class Ours(Cluster):
    """Three of our nodes that know each other's addresses and form their cluster themselves."""

    def __init__(self, kind, options, folder):
        super().__init__(kind, options)
        ports = folder.ports(NODES)
        program = options.server if kind == "ours3" else options.other
        together = ["127.0.0.1:%d" % port for port in ports]
        for i, port in enumerate(ports):
            name = "%s-%d" % (kind, i + 1)
            data = os.path.join(options.folder, name)
            argv = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", data, *options.server_args,
                    "--cluster-nodes", *together]
            self.nodes.append(Process(name, argv, port, data, options.syncs))

    def start(self):
        for node in self.nodes:
            node.start(wait=False)
        try:
            self.port = self.wait_leader(LONERS_SECONDS_MAX)
        except Failed as problem:
            if "cluster-nodes" in str(problem) or all(node.alive() for node in self.nodes) and self.all_lead():
                self.kill()
                raise Unavailable("the nodes of this build do not find each other") from None
            raise

    def all_lead(self):
        """Each for itself: the program is from before there were clusters."""
        return all(replication_info(node.port)["role"] == "master" for node in self.nodes)

    def ask_leader(self):
        leader = None
        for node in self.nodes:
            info = replication_info(node.port)
            if info["role"] == "master":
                if leader not in (None, node.port):
                    return None
                leader = node.port
            elif info["master_link_status"] != "up" or leader not in (None, int(info["master_port"])):
                return None
            else:
                leader = int(info["master_port"])
        return leader

    def set_read_mode(self, mode):
        for node in self.nodes:
            with Wire(node.port, 5) as wire:
                answer = wire.call(b"CONFIG", b"SET", b"read-mode", mode)
            if answer != b"+OK":
                raise Failed("CONFIG SET read-mode %s was answered %r" % (mode.decode(), answer))


class Lease:
    """The same three nodes with read-mode lease: what confirming each turn's reads by a round costs."""

    tests = ("get",)

    def __init__(self, kind, cluster):
        self.kind = kind
        self.cluster = cluster

    def resume(self):
        self.cluster.resume()
        self.cluster.set_read_mode(b"lease")

    def pause(self):
        self.cluster.set_read_mode(b"read-index")
        self.cluster.pause()

    def start(self):
        if self.cluster.port is None:
            raise Unavailable("its nodes do not run")
        self.resume()

    def stop(self):
        return 0

    def kill(self):
        pass

    def prepare(self, test, size, anew=False):
        self.cluster.prepare(test, size, anew)

    def __getattr__(self, name):
        return getattr(self.cluster, name)


class Etcd(Cluster):
    """Debian's etcd as it comes, loaded over gRPC through its leader, which for etcd is the fastest way in. With thousands of
    calls at once it refuses some, so it is not asked for more than it can do."""

    tests = ("set", "get", "mixed")
    pipeline_max = 16
    in_flight_bytes_max = 49152  # of one connection's values, before etcd says that it has room
    slowness = 10  # the round that finds out how much fits into the time begins with so many times less

    def __init__(self, options, folder):
        super().__init__("etcd", options)
        if shutil.which("etcd") is None:
            raise Unavailable("etcd is not installed (Debian's etcd-server)")
        if not os.path.exists(options.etcd_load):
            raise Unavailable("%s is not built" % options.etcd_load)
        ports = folder.ports(NODES)
        peers = ["http://127.0.0.1:%d" % (port + PEER_PORT_OFFSET) for port in ports]
        together = ",".join("etcd-%d=%s" % (i + 1, peer) for i, peer in enumerate(peers))
        for i, port in enumerate(ports):
            name = "etcd-%d" % (i + 1)
            data = os.path.join(options.folder, name)
            client = "http://127.0.0.1:%d" % port
            argv = ["etcd", "--name", name, "--data-dir", data, "--listen-client-urls", client,
                    "--advertise-client-urls", client, "--listen-peer-urls", peers[i],
                    "--initial-advertise-peer-urls", peers[i], "--initial-cluster", together,
                    "--initial-cluster-state", "new", "--log-level", "error", "--quota-backend-bytes", str(8 << 30)]
            # Go programs make their own system calls: nobody counts syncs.
            self.nodes.append(Process(name, argv, port, data))

    def start(self):
        # A data folder that others may read is a warning to etcd in each log line.
        for node in self.nodes:
            os.chmod(node.folder, 0o700)
        super().start()

    def stop(self):
        """A member whose peers have gone ends late and not by its own will; its status says nothing."""
        self.kill()
        return 0

    def ask_leader(self):
        leader, port = None, None
        for node in self.nodes:
            request = urllib.request.Request("http://127.0.0.1:%d/v3/maintenance/status" % node.port, data=b"{}")
            with urllib.request.urlopen(request, timeout=5) as answer:
                status = json.load(answer)
            if leader not in (None, status["leader"]):
                return None
            leader = status["leader"]
            if leader == status["header"]["member_id"]:
                port = node.port
        return port

    def argv(self, what, size, requests):
        return [self.options.etcd_load, str(self.port), what, str(requests), str(size.clients), str(size.pipeline), str(size.keys),
                str(size.value_bytes)]

    def load(self, test, size):
        return self.argv({"set": "put", "get": "get", "mixed": "mixed"}[test], size, size.requests)

    def prepare(self, test, size, anew=False):
        if self.content != size.value_bytes:
            few = size._replace(clients=50, pipeline=max(1, min(8, self.in_flight_bytes_max // size.value_bytes)))
            subprocess.run(self.argv("fill", few, size.keys), stdout=subprocess.DEVNULL, check=True)
            self.content = size.value_bytes


class Waiting(Cluster):
    """Redis as far as it goes: a master and two replicas that all sync each write, and WAIT 1 behind the SETs."""

    tests = ("set",)

    def __init__(self, options, folder):
        super().__init__("wait", options)
        if not os.path.exists(options.resp_load):
            raise Unavailable("%s is not built" % options.resp_load)
        ports = folder.ports(NODES)
        for i, port in enumerate(ports):
            name = "wait-%d" % (i + 1)
            data = os.path.join(options.folder, name)
            # What lags or was stopped for a while is not to be sent everything again.
            argv = [options.redis, "--port", str(port), "--bind", "127.0.0.1", "--dir", data, "--save", "",
                    "--appendonly", "yes", "--appendfsync", "always", "--repl-timeout", "3600", "--repl-backlog-size",
                    "256mb", "--client-output-buffer-limit", "replica 0 0 0"]
            if i > 0:
                argv += ["--replicaof", "127.0.0.1", str(ports[0])]
            self.nodes.append(Process(name, argv, port, data, options.syncs))

    def ask_leader(self):
        info = replication_info(self.nodes[0].port)
        synced = [1 for i in range(NODES - 1) if "state=online" in info.get("slave%d" % i, "")]
        return self.nodes[0].port if len(synced) == NODES - 1 else None

    def load(self, test, size):
        return loads.own_argv(self.options, self.port, size, sets=100, wait=1)


class Minirepl(Cluster):
    """minirepl.c: the least that three nodes can do. Its answers are of one length."""

    tests = ("set", "get")

    def __init__(self, options, folder):
        super().__init__("minirepl", options)
        if not os.path.exists(options.minirepl):
            raise Unavailable("%s is not built" % options.minirepl)
        port = folder.ports(1)[0]
        peer_port = str(port + PEER_PORT_OFFSET)
        for i in range(NODES):
            name = "minirepl-%d" % (i + 1)
            data = os.path.join(options.folder, name)
            log = os.path.join(data, "log")
            argv = ([options.minirepl, "leader", str(port), peer_port, log, str(options.value_bytes[0])] if i == 0 else
                    [options.minirepl, "follower", peer_port, log])
            self.nodes.append(Process(name, argv, port, data, options.syncs))
        self.nodes[0].answers_ping = lambda: False

    def wait_leader(self):
        self.nodes[0].wait_ready()
        return self.nodes[0].port

    def leader(self):
        return self.port

    def stop(self):
        """It ends when it is killed and knows no other way."""
        self.kill()
        return 0

    def prepare(self, test, size, anew=False):
        pass
