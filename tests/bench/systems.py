"""The systems that are compared: how each is started, stopped, paused and measured from outside through /proc."""
import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import loads
from wire import Failed

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))
TICK_US = 1000000 / os.sysconf("SC_CLK_TCK")
READY_SECONDS_MAX = 120
PR_SET_PDEATHSIG = 1


class Process:
    """A server process with a folder of its own, watched through /proc. `preload` names the library that counts syncs."""

    def __init__(self, name, argv, port, folder, preload=None):
        self.kind = name
        self.argv = argv
        self.port = port
        self.folder = folder
        os.makedirs(self.folder, exist_ok=True)
        self.log = self.folder + ".log"
        self.process = None
        self.preload = preload
        self.before = None  # is called in the new process
        self.content = None  # what loads.prepare has put into it

    def start(self, wait=True):
        environment = dict(os.environ)
        if self.preload:
            counters = self.folder + ".syncs"
            if not os.path.exists(counters):
                with open(counters, "wb") as f:
                    f.write(bytes(24))
            environment.update(LD_PRELOAD=self.preload, BENCH_SYNCS=counters)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=environment, preexec_fn=self.begin, start_new_session=True)
        if wait:
            self.wait_ready()

    def begin(self):
        """In the new process. It has a session of its own, or stopping it would have the kernel hang up on all of us when our shell
        ends; and it does not outlive us, whatever ends us."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if self.before:
            self.before()

    def wait_ready(self):
        end = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failed("%s ended with status %s:\n%s" % (self.kind, self.process.returncode, self.log_tail()))
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                    if not self.answers_ping():
                        return
                    s.sendall(b"PING\r\n")
                    if s.recv(64).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            time.sleep(0.01)
        raise Failed("%s does not serve after %d s:\n%s" % (self.kind, READY_SECONDS_MAX, self.log_tail()))

    def answers_ping(self):
        return True

    def stop(self, how=signal.SIGTERM):
        """The exit status; a process that was told to end and does not is killed and counts as failed."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.resume()
            self.process.send_signal(how)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed("%s did not end within 60 s of signal %d" % (self.kind, how))
        self.process = None
        return status

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log_tail(self, lines=30):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def log_text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def cpu_us(self):
        """User and system time of all threads, in microseconds, to the clock tick."""
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK_US

    def written_bytes(self):
        with open("/proc/%d/io" % self.process.pid) as f:
            values = dict(line.split(": ") for line in f)
        return int(values["write_bytes"])

    def memory_mib(self, what="VmRSS"):
        """VmRSS now, VmHWM the most it ever was; RssAnon and RssFile its parts."""
        with open("/proc/%d/status" % self.process.pid) as f:
            for line in f:
                if line.startswith(what + ":"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def syncs(self):
        """(count, nanoseconds) since the folder was made, or None where nobody counts."""
        if not self.preload:
            return None
        with open(self.folder + ".syncs", "rb") as f:
            return struct.unpack("QQ", f.read(16))

    def longest_sync_ms(self):
        """Since it was asked the last time; None where nobody counts."""
        if not self.preload:
            return None
        with open(self.folder + ".syncs", "r+b") as f:
            f.seek(16)
            longest = struct.unpack("Q", f.read(8))[0] / 1e6
            f.seek(16)
            f.write(bytes(8))
        return longest

    def disk_bytes(self):
        total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                try:
                    total += os.stat(os.path.join(folder, name)).st_blocks * 512
                except FileNotFoundError:
                    pass
        return total

    def settle(self, seconds_max=3.0):
        """Wait until the server does next to nothing; the CPU time it used meanwhile, in microseconds."""
        begin = now = self.cpu_us()
        end = time.monotonic() + seconds_max
        while time.monotonic() < end:
            time.sleep(0.1)
            before, now = now, self.cpu_us()
            if now - before <= TICK_US:
                break
        return now - begin


class System(Process):
    """One server process that is compared. `kind` is ours, other (a second build of ours), always, none or echo."""

    def __init__(self, kind, options, port, extra=()):
        folder = os.path.join(options.folder, kind)
        common = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder, *extra]
        argv = {
            "ours": [options.server, *common, *options.server_args],
            "other": [options.other, *common, *options.server_args],
            "always": [options.redis, *common, "--save", "", "--appendonly", "yes", "--appendfsync", "always"],
            "none": [options.redis, *common, "--save", "", "--appendonly", "no"],
            "echo": [options.echo, str(port), str(options.value_bytes[0])],
        }[kind]
        super().__init__(kind, argv, port, folder, options.syncs if kind != "echo" else None)
        self.options = options
        if kind == "echo":
            self.tests = ("set", "get")

    def answers_ping(self):
        return self.kind != "echo"

    def leader(self):
        """The port that serves the writes; of a cluster it may become another one."""
        return self.port

    def load(self, test, size):
        return loads.resp_argv(self.options, self.port, test, size)

    def prepare(self, test, size, anew=False):
        if self.kind != "echo":
            loads.prepare(self, test, size, anew)


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


class Folder:
    """A fresh folder on the real disk (below build/, because a temporary folder may be memory), removed at the end."""

    def __init__(self, options):
        self.options = options

    def __enter__(self):
        parent = self.options.data or os.path.join(TOP, "build")
        os.makedirs(parent, exist_ok=True)
        self.options.folder = tempfile.mkdtemp(prefix="bench-", dir=parent)
        self.systems = []
        self.ports_used = 0
        return self

    def ports(self, count):
        """That many consecutive ports that are free, and those 10000 above them, for peers, too."""
        while True:
            first = self.options.port + self.ports_used
            self.ports_used += count
            ports = list(range(first, first + count))
            if all(is_free(p) and is_free(p + 10000) for p in ports):
                return ports

    def system(self, kind, extra=()):
        s = System(kind, self.options, self.ports(1)[0], extra)
        self.systems.append(s)
        return s

    def __exit__(self, *_):
        for s in self.systems:
            s.kill()
        if not self.options.keep:
            shutil.rmtree(self.options.folder, ignore_errors=True)


def disk_sync_us(folder, count=200):
    """Median microseconds of a 4 KiB write and fdatasync into an existing file: what one group of one costs here."""
    path = os.path.join(folder, "disk-probe")
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.write(fd, bytes(1 << 20))
        os.fsync(fd)
        took = []
        for i in range(count):
            begin = time.perf_counter()
            os.pwrite(fd, b"%4096d" % i, (i % 256) * 4096)
            os.fdatasync(fd)
            took.append((time.perf_counter() - begin) * 1e6)
        return sorted(took)[count // 2]
    finally:
        os.close(fd)
        os.unlink(path)
