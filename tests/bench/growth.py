"""`growth`: what changes with the size of the data, which is larger than `maxmemory`: start-up, and the longest answers of SET and GET under
a steady load (resp_load.c with a rate) while nothing happens, while a write-back runs, while another client writes as fast as it can, so that
write-backs and compactions follow each other, and while a second node joins and is sent a snapshot. A pause is an answer that took more
than 50 ms; the longest sync stands beside, for a pause of that length is the disk's. What comes after a phase is awaited before the next."""
import csv
import os
import signal
import subprocess
import threading
import time

import loads
import svg
from amplification import info, quiet
from datasets import parse_size
from loads import Size
from systems import Failed, Folder, Process
from tables import number, size_text
from wire import Wire

SIZES = (100000, 1000000)
VALUE_BYTES = 100
BUDGET = "64mb"
RATE = 5000
SECONDS = 8
PAUSE_US = 50000
ANSWER_SECONDS_MAX = 120
PHASES = ("nothing else", "write-back", "another writes at full speed", "a node joins")


class Phase:
    """Begins something when the steady load has run for a second; a thread, for the load is waited for meanwhile."""

    def __init__(self, options, folder, system, keys):
        self.options, self.folder, self.system, self.keys = options, folder, system, keys

    def begin(self, name, seconds):
        what = {"write-back": self.save, "another writes at full speed": self.flood, "a node joins": self.join}.get(name)
        self.problem = None
        self.thread = threading.Thread(target=self.guarded, args=(what, seconds))
        if what:
            self.thread.start()

    def guarded(self, what, seconds):
        try:
            time.sleep(1)
            what(seconds)
        except (OSError, Failed, subprocess.SubprocessError) as problem:
            self.problem = problem

    def end(self):
        if self.thread.is_alive():
            self.thread.join()
        if self.problem:
            raise Failed(str(self.problem))

    def save(self, seconds):
        """Every key is dirty, or as many as a write-back may leave, when it is told to write them."""
        with Wire(self.system.port) as wire:
            for _ in range(max(1, int(seconds - 2) // 2)):
                wire.call(b"BGSAVE")
                time.sleep(2)

    def flood(self, seconds):
        end = time.monotonic() + seconds - 2
        while time.monotonic() < end:
            loads.call(loads.own_argv(self.options, self.system.port, Size(2, 16, 20000, self.keys, VALUE_BYTES), sets=100), "ours")

    def join(self, _):
        port = self.folder.ports(1)[0]
        data = os.path.join(self.options.folder, "joins-%d" % port)
        argv = [word for word in self.system.argv]
        argv[argv.index("--port") + 1], argv[argv.index("--dir") + 1] = str(port), data
        node = Process("joins", argv, port, data)
        self.folder.systems.append(node)
        node.start()
        with Wire(port) as wire:
            answer = wire.call(b"RAFT.CLUSTER", b"JOIN", b"127.0.0.1:%d" % self.system.port)
        if answer != b"+OK":
            raise Failed("RAFT.CLUSTER JOIN was answered %r" % answer)


def pauses(series):
    """[(second, milliseconds)]: neighbouring tenths of a second with long answers are one pause, as long as its longest answer."""
    found, last = [], None
    for row in series:
        longest, at = max(int(row["longest_get_us"]), int(row["longest_set_us"])), int(row["ms"])
        if longest <= PAUSE_US:
            continue
        if last is not None and at - last <= 100:
            found[-1] = (found[-1][0], max(found[-1][1], longest / 1000))
        else:
            found.append((at / 1000, longest / 1000))
        last = at
    return found


def steady(options, folder, system, keys, name, seconds, phase):
    """A row of figures."""
    rate = options.rate or RATE
    path = os.path.join(options.folder, "series-%d.csv" % PHASES.index(name))
    size = Size(50, 1, int(rate * seconds), keys, VALUE_BYTES)
    before, cpu = info(system), system.cpu_us()
    system.longest_sync_ms()
    phase.begin(name, seconds)
    rows = loads.rows_of(loads.call(loads.own_argv(options, system.port, size, sets=50, rate=rate, series=path), system.kind))
    phase.end()
    after = info(system)
    with open(path, encoding="ascii") as f:
        series = list(csv.DictReader(f))
    row = {"keys": keys, "phase": name, "set": rows["SET"], "get": rows["GET"], "pauses": pauses(series), "series": series,
           "writebacks": int(after["writebacks"]) - int(before["writebacks"]),
           "loads": int(after["disk_loads"]) - int(before["disk_loads"]), "sync_ms": system.longest_sync_ms(),
           "cpu": (system.cpu_us() - cpu) / 1e6 / seconds}
    if rows["GET"]["missing"]:
        raise Failed("%d GETs of keys that are there found nothing" % rows["GET"]["missing"])
    return row


def print_row(row):
    cells = ["%.2f / %.1f / %.1f / %.0f" % tuple(row[what][part] for part in ("p50_ms", "p99_ms", "p999_ms", "max_ms")) for what in ("set", "get")]
    longest = sorted(row["pauses"], key=lambda pause: -pause[1])[:4]
    print("| %d | %s | %s | %s | %s | %.0f | %d | %d |" % (row["keys"], row["phase"], " | ".join(cells),
                                             "%d: %s" % (len(row["pauses"]), ", ".join("%.0f ms at %.1f s" % (ms, at) for at, ms in longest))
                                             if longest else "none", number(row["sync_ms"], 0), 100 * row["cpu"], row["writebacks"], row["loads"]), flush=True)


def first_answer_ms(system, keys, since):
    """Milliseconds until a key in the middle is answered; -LOADING and its like are no answers."""
    while time.monotonic() < since + ANSWER_SECONDS_MAX:
        try:
            with Wire(system.port, 5) as wire:
                while time.monotonic() < since + ANSWER_SECONDS_MAX:
                    answer = wire.call(b"GET", b"key:%012d" % (keys // 2))
                    if answer == b"x" * VALUE_BYTES:
                        return (time.monotonic() - since) * 1000
                    if answer is None:
                        raise Failed("a key is lost")
                    time.sleep(0.001)
        except OSError:
            if not system.alive():
                raise Failed("it did not come back:\n" + system.log_tail())
            time.sleep(0.001)
    raise Failed("no answer within %d s" % ANSWER_SECONDS_MAX)


def restarts(system, keys):
    """Milliseconds from start to answer, after an orderly end and after a kill."""
    found = []
    for how in (signal.SIGTERM, signal.SIGKILL):
        if how == signal.SIGKILL:
            with Wire(system.port) as wire:
                wire.set_all((b"key:%012d" % i, b"x" * VALUE_BYTES) for i in range(keys // 10))
        system.stop(how)
        since = time.monotonic()
        system.start(wait=False)
        found.append(first_answer_ms(system, keys, since))
    return found


def one_size(options, keys, seconds):
    rows = []
    with Folder(options) as folder:
        budget = options.maxmemory or BUDGET
        s = folder.system("ours", extra=("--maxmemory", budget))
        s.start()
        began = time.monotonic()
        fill = Size(10, 64, keys, keys, VALUE_BYTES)
        loads.call(loads.own_argv(options, s.port, fill, sets=100, turn=1), s.kind, 1200)
        took = time.monotonic() - began
        quiet(s)
        filled = "%d keys: filled in %.1f s; on disk %.0f MiB, %.1f x maxmemory" % (
            keys, took, s.disk_bytes() / 1048576, keys * (VALUE_BYTES + 16) / parse_size(budget))
        starts = restarts(s, keys)
        phase = Phase(options, folder, s, keys)
        for name in PHASES:
            rows.append(steady(options, folder, s, keys, name, seconds, phase))
            print_row(rows[-1])
            quiet(s)
    return rows, starts, filled


def draw(folder, rows, starts):
    svg.lines(folder, "growth-start", "From start to the first right answer", "values of %s" % size_text(VALUE_BYTES),
              [(name, [(keys, pair[i], "") for keys, pair in starts]) for i, name in enumerate(("after SIGTERM", "after SIGKILL"))], "keys", "ms")
    for part, name in (("p999_ms", "latency of 999 in 1000"), ("max_ms", "longest answer")):
        for what in ("set", "get"):
            series = [(phase, [(row["keys"], row[what][part], "") for row in rows if row["phase"] == phase]) for phase in PHASES]
            svg.lines(folder, "growth-%s-%s" % (what, part.replace("_ms", "")), "%s: %s against the size of the data" % (what.upper(), name),
                      "while this happens:", series, "keys", name + ", ms")
    most = max(row["keys"] for row in rows)
    series = [(row["phase"], [(int(r["ms"]) / 1000, max(int(r["longest_get_us"]), int(r["longest_set_us"])) / 1000, "") for r in row["series"]])
              for row in rows if row["keys"] == most]
    svg.lines(folder, "growth-time", "Longest answer of each tenth of a second, %d keys" % most, "while this happens, from the second second on:",
              series, "seconds", "ms", log_x=False)
    print("\nplots in %s" % folder)


def run(options):
    sizes = options.keys or (SIZES[:1] if options.quick else SIZES)
    seconds = options.size or options.seconds or (4 if options.quick else SECONDS)
    rows, starts, texts = [], [], []
    print("maxmemory %s, values of %d bytes, %d commands a second for %d s in each phase, half of them SETs; milliseconds: p50 / p99 / p99.9 / "
          "longest\n" % (options.maxmemory or BUDGET, VALUE_BYTES, options.rate or RATE, seconds))
    print("| keys | meanwhile | SET | GET | pauses above 50 ms | longest sync | CPU % | write-backs | loads from disk |\n|--:|---|---|---|---|--:|--:|--:|--:|")
    for keys in sizes:
        found, pair, text = one_size(options, keys, seconds)
        rows += found
        starts.append((keys, pair))
        texts.append("%s; first answer %.0f ms after an orderly end, %.0f ms after a kill" % (text, *pair))
    print("\n" + "\n".join(texts))
    if options.svg:
        draw(options.svg, rows, starts)
    return 0
