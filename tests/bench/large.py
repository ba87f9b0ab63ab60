"""`large`: values of many megabytes, what they cost in time and memory, and who has to wait for them meanwhile.

While one client writes and reads a large value, another one sets small values, one after the other. Of each step: how long it
took, the longest answer the small client waited for, by how much the term rose (an election: it should not), and the most that
was resident in each node above what was before, in sizes of the value (VmHWM, set back by /proc/PID/clear_refs)."""
import threading
import time

from clusters import Ours
from systems import Failed, Folder
from wire import Wire, command

SIZES_MB = (1, 16, 50, 100, 256, 512)
KEY = b"large"
PIECE = 1 << 20
CALM_SECONDS_MAX = 60
STEPS = ("SET", "SET again", "APPEND", "SETRANGE", "GET")


class Small(threading.Thread):
    """One client that sets small values and times the answers."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.wire = Wire(port, 120)
        self.is_over = False
        self.longest = 0.0
        self.problem = None

    def run(self):
        while not self.is_over:
            begin = time.perf_counter()
            try:
                answer = self.wire.call(b"SET", b"small", b"x")
            except (OSError, Failed) as problem:
                answer = str(problem).encode()
            self.longest = max(self.longest, time.perf_counter() - begin)
            if answer != b"+OK":
                self.problem = answer.decode(errors="replace")
                break
            time.sleep(0.001)

    def stop(self):
        self.is_over = True
        self.join()
        self.wire.close()


def send_with_value(wire, args, value):
    """A command whose last argument is sent from where it is."""
    _, _, rest = command(*args).partition(b"\r\n")
    wire.send(b"*%d\r\n%s$%d\r\n" % (len(args) + 1, rest, len(value)))
    wire.send(value)
    wire.send(b"\r\n")


def read_value(wire, value):
    """GET, compared piece by piece: nothing is held here."""
    wire.send(command(b"GET", KEY))
    line = wire.line()
    if line != b"$%d" % len(value):
        raise Failed("GET was answered %r" % line[:200])
    at = 0
    rest = wire.buffer[wire.at:]
    wire.buffer, wire.at = b"", 0
    while at < len(value):
        if rest[:len(value) - at] != value[at:at + len(rest)]:
            raise Failed("GET gave back something else at byte %d" % at)
        at += min(len(rest), len(value) - at)
        if at < len(value):
            rest = wire.socket.recv(min(PIECE, len(value) + 2 - at))
            if not rest:
                raise Failed("the server closed the connection")
    while len(rest) < 2 or not rest.endswith(b"\r\n"):
        rest += wire.socket.recv(2)


def step(wire, what, value):
    if what in ("SET", "SET again"):
        send_with_value(wire, (b"SET", KEY), value)
        expected = b"+OK"
    elif what == "APPEND":
        wire.send(command(b"APPEND", KEY, b"y"))
        expected = len(value) + 1
    else:
        wire.send(command(b"SETRANGE", KEY, b"%d" % (len(value) // 2), value[len(value) // 2:][:1].tobytes()))
        expected = len(value) + 1
    answer = wire.reply()
    if answer != expected:
        raise Failed("%s of %d bytes was answered %r" % (what, len(value), answer))


def term_of(port):
    with Wire(port, 60) as wire:
        text = wire.call(b"INFO", b"raft").decode()
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return int(fields.get("raft_current_term", 0))


def forget_peak(nodes):
    for node in nodes:
        with open("/proc/%d/clear_refs" % node.process.pid, "w") as f:
            f.write("5")


class Measured:
    """A system with the nodes whose memory counts, the leader first, and the port that the large values go through."""

    def __init__(self, name, system, nodes, port, small_port):
        self.name, self.system, self.nodes, self.port, self.small_port = name, system, nodes, port, small_port

    def calm(self):
        """Until what was put off is done: write-backs, compactions, memory given back."""
        for node in self.nodes:
            node.settle(CALM_SECONDS_MAX)

    def measure(self, what, value):
        self.calm()
        before = [node.memory_mib() for node in self.nodes]
        forget_peak(self.nodes)
        term = term_of(self.small_port)
        small = Small(self.small_port)
        with Wire(self.port, 600) as wire:
            small.start()
            time.sleep(0.05)
            begin = time.perf_counter()
            if what == "GET":
                read_value(wire, value)
            else:
                step(wire, what, value)
            took = time.perf_counter() - begin
            self.calm()
        small.stop()
        mb = len(value) / (1 << 20)
        peaks = [(node.memory_mib("VmHWM") - was) / mb for node, was in zip(self.nodes, before)]
        return took, small, term_of(self.small_port) - term, peaks

    def forget(self):
        with Wire(self.port, 600) as wire:
            wire.call(b"DEL", KEY)


def row(size, measured, what, value):
    took, small, terms, peaks = measured.measure(what, value)
    note = " (%s)" % small.problem if small.problem else ""
    print("| %d | %s | %s | %.2f | %.0f%s | %d | %s |" %
          (size, measured.name, what, took, small.longest * 1000, note, terms, ", ".join("%.1f" % p for p in peaks)), flush=True)


def one_size(size, measured):
    value = memoryview(bytes(range(256)) * (size << 12))[:-1]  # APPEND adds one byte, and 512 MB are allowed
    for what in STEPS:
        if what == "GET":
            value = memoryview(bytes(value) + b"y")
        row(size, measured, what, value)
    measured.forget()


def of_one(options, folder):
    for kind in options.systems:
        if kind in ("ours", "other", "always"):
            system = folder.system(kind)
            system.start()
            yield Measured(kind, system, [system], system.port, system.port)


def of_three(options, folder):
    cluster = Ours("ours3", options, folder)
    folder.systems.append(cluster)
    cluster.start()
    for name in ("leader", "follower"):
        leading = [node for node in cluster.nodes if node.port == cluster.leader()]
        others = [node for node in cluster.nodes if node not in leading]
        port = leading[0].port if name == "leader" else others[0].port
        yield Measured("through the " + name, cluster, leading + others, port, leading[0].port)


def run(options):
    sizes = options.sizes or (SIZES_MB[:3] if options.quick else SIZES_MB)
    with Folder(options) as folder:
        print("| MB | | step | s | longest small answer, ms | terms | peak above before, values |\n|--:|---|---|--:|--:|--:|---|")
        for measured in (of_three if options.nodes == 3 else of_one)(options, folder):
            for size in sizes:
                one_size(size, measured)
    return 0
