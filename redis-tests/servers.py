"""Servers under test: started on loopback with a folder of their own, or given from outside.

A `Server` owns its process and its folder: stop() ends exactly that process and removes the folder. Ports come from
REDIS_TESTS_PORTS ("first-last") or from the system; nothing here knows what is tested.
"""
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time

HOST = "127.0.0.1"
START_S_MAX = 30
STOP_S_MAX = 30
PEERS = 10000       # from a node's port to the one for other nodes
SERVER_PORTS = 24   # so many of the ports in REDIS_TESTS_PORTS are for servers, the rest for the suite's harness


class ServerFailed(Exception):
    pass


def port_range():
    """The first and the last port we may use, or None for any."""
    span = os.environ.get("REDIS_TESTS_PORTS")
    return tuple(int(x) for x in span.split("-")) if span else None


def free_port():
    span, ports = port_range(), [0]
    if span:
        ports = random.sample(range(span[0], span[0] + SERVER_PORTS), SERVER_PORTS)
    for port in ports:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((HOST, port))
            except OSError:
                continue
            return s.getsockname()[1]
    raise ServerFailed("no free port from %d on" % span[0])


def quick_folder():
    """Where syncing costs nothing, or None. Upstream's tests race keys that live for 100 ms; what a sync costs on this
    machine's disk is not what they are about."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 1 << 30 else None


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((HOST, port))
        except OSError:
            return False
    return True


def free_node_ports(count):
    """Each with the one that nodes use among themselves free as well; both below those that the kernel hands out."""
    span = port_range()
    ports = list(range(span[0], span[0] + SERVER_PORTS) if span else range(11000, 19000))
    random.shuffle(ports)
    found = []
    for port in ports:
        if is_free(port) and is_free(port + PEERS):
            found.append(port)
            if len(found) == count:
                return found
    raise ServerFailed("no %d free ports" % count)


def ping(host, port, timeout_s=2.0):
    """Whether the server answers PING, or asks for a password: it serves either way."""
    try:
        with socket.create_connection((host, port), timeout_s) as s:
            s.settimeout(timeout_s)
            s.sendall(b"PING\r\n")
            return s.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


def role(host, port, timeout_s=2.0):
    """What INFO says that node is: "master", "slave", or None when it says nothing."""
    try:
        with socket.create_connection((host, port), timeout_s) as s:
            s.settimeout(timeout_s)
            s.sendall(b"INFO replication\r\n")
            text = s.recv(65536).decode(errors="replace")
    except OSError:
        return None
    found = [line[5:] for line in text.split("\r\n") if line.startswith("role:")]
    return found[0] if found else None


class Server:
    """One server process, its folder below `base`. `args` are further options in redis.conf words."""

    def __init__(self, program, args=(), base=None):
        self.program = os.path.abspath(program)
        self.args = list(args)
        if os.path.basename(self.program) == "redis-server":
            # The reference keeps nothing on disk: its snapshots would only add noise.
            self.args += ["--save", "", "--appendonly", "no"]
        self.base = base
        self.host, self.process, self.folder, self.port, self.more = HOST, None, None, None, []
        self.leader, self.role = self, "master"     # where commands about data are counted; what this node is

    def start(self):
        for attempt in range(3):
            self.launch(free_port())
            deadline = time.monotonic() + START_S_MAX
            while self.alive() and time.monotonic() < deadline:
                if ping(self.host, self.port) and self.alive():
                    return self
                time.sleep(0.02)
            tail = self.log_tail()
            self.stop()
            if "ddress already in use" not in tail:
                break
        raise ServerFailed("%s did not start:\n%s" % (self.program, tail))

    def launch(self, port, more=()):
        """A process on that port; a folder of its own the first time."""
        self.port = port
        if self.folder is None or not os.path.isdir(self.folder):
            self.folder = tempfile.mkdtemp(prefix="redraft-redis-tests-", dir=self.base)
            os.mkdir(os.path.join(self.folder, "data"))
        self.more = list(more) or self.more
        with open(self.log_path(), "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "--port", str(port), "--bind", HOST, "--dir", self.folder + "/data"] + self.args + self.more,
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.folder)

    def log_path(self):
        return os.path.join(self.folder, "log")

    def log_tail(self, size=3000):
        with open(self.log_path(), "rb") as f:
            return f.read()[-size:].decode(errors="replace")

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """End the process and remove its folder. None when it ended well, else what was wrong with that."""
        wrong = None
        if self.process is not None:
            if self.alive():
                self.process.terminate()
            try:
                status = self.process.wait(STOP_S_MAX)
                if status != 0:
                    wrong = "the server ended with status %d:\n%s" % (status, self.log_tail())
            except subprocess.TimeoutExpired:
                wrong = "the server did not end within %d s of SIGTERM:\n%s" % (STOP_S_MAX, self.log_tail())
                self.process.kill()
                self.process.wait()
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)
        return wrong

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.stop()


class Cluster:
    """Three nodes that are one Redis; `port` is the leader's or a follower's, as `through` says. Looks like a Server."""
    NODES = 3

    def __init__(self, program, args=(), base=None, through="leader"):
        self.program, self.args, self.base, self.through = os.path.abspath(program), list(args), base, through
        self.host, self.port, self.nodes, self.leader, self.followers = HOST, None, [], None, []
        self.role = "master" if through == "leader" else "slave"

    def start(self):
        for _ in range(5):
            ports = free_node_ports(self.NODES)
            self.nodes = [Server(self.program, self.args, self.base) for _ in ports]
            listed = ["%s:%d" % (HOST, port) for port in ports]
            for node, port in zip(self.nodes, ports):
                node.launch(port, ["--cluster-nodes"] + listed)
            deadline = time.monotonic() + START_S_MAX
            while all(n.alive() for n in self.nodes) and time.monotonic() < deadline:
                if self.is_up():
                    return self
                time.sleep(0.05)
            tail = "".join(n.log_tail() for n in self.nodes)
            self.stop()
            if "ddress already in use" not in tail:
                break
        raise ServerFailed("three nodes of %s did not start:\n%s" % (self.program, tail))

    def is_up(self):
        """A leader that all agree on; sets `port`."""
        roles = {n: role(n.host, n.port) for n in self.nodes}
        leaders = [n for n in self.nodes if roles[n] == "master"]
        if len(leaders) != 1 or list(roles.values()).count("slave") != self.NODES - 1:
            return False
        self.leader = leaders[0]
        self.followers = [n for n in self.nodes if n is not self.leader]
        self.port = (self.leader if self.through == "leader" else self.followers[0]).port
        return True

    def alive(self):
        return all(n.alive() for n in self.nodes)

    def log_tail(self, size=3000):
        return "\n---\n".join(n.log_tail(size) for n in self.nodes)

    def stop(self):
        wrong = [n.stop() for n in self.nodes]
        return "\n".join(w for w in wrong if w) or None

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.stop()


class External:
    """A server somebody else runs: start and stop do nothing."""

    def __init__(self, host, port):
        self.host, self.port, self.folder, self.args = host, port, None, []
        self.leader, self.role = self, "master"

    def start(self):
        if not ping(self.host, self.port):
            raise ServerFailed("%s:%d does not answer PING" % (self.host, self.port))
        return self

    def alive(self):
        return ping(self.host, self.port)

    def log_tail(self, size=0):
        return ""

    def stop(self):
        return None

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        pass
