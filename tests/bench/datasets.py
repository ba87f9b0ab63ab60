"""What a data set costs: time from a restart to the first right answer, and memory when the data is larger than the budget. Values
are made from their keys, so every answer can be checked."""
import hashlib
import random
import signal
import statistics
import time

from systems import Failed, Folder
from wire import Wire, command


def text_of(key):
    """100 bytes that only this key has."""
    return hashlib.blake2b(key, digest_size=50).hexdigest().encode()


def first_answer_ms(system, key, since):
    """Milliseconds from `since` to the first right answer; an error such as -LOADING is no answer."""
    end = since + 120
    while time.monotonic() < end:
        try:
            with Wire(system.port, 5) as wire:
                while time.monotonic() < end:
                    answer = wire.call(b"GET", key)
                    if answer == text_of(key):
                        return (time.monotonic() - since) * 1000
                    if answer is None or not answer.startswith((b"-LOADING", b"-CLUSTERDOWN", b"-MASTERDOWN")):
                        raise Failed("%s lost or changed %r: %r" % (system.kind, key, answer))
                    time.sleep(0.002)
        except OSError:
            if not system.alive():
                raise Failed("%s did not come back:\n%s" % (system.kind, system.log_tail()))
            time.sleep(0.002)
    raise Failed("%s did not answer within 120 s" % system.kind)


def restart(options):
    keys = options.size or options.keys and options.keys[0] or (100000 if options.quick else 1000000)
    picks = random.Random(options.seed)
    kinds = [k for k in options.systems if k in ("ours", "always")]
    with Folder(options) as folder:
        print("%d keys of 100 bytes; seed %d\n" % (keys, options.seed), flush=True)
        print("| system | load s | on disk MiB | ended by | first answer ms | then 1000 GETs: p50 us | p99 us | "
              "10 s later: RSS MiB | exit status |")
        print("|---|--:|--:|---|--:|--:|--:|--:|--:|")
        for kind in kinds:
            s = folder.system(kind)
            s.start()
            begin = time.monotonic()
            with Wire(s.port) as wire:
                wire.set_all((k, text_of(k)) for k in (b"key:%012d" % i for i in range(keys)))
            took = time.monotonic() - begin
            for name, how in (("SIGTERM", signal.SIGTERM), ("SIGKILL", signal.SIGKILL),
                              ("SIGKILL again", signal.SIGKILL)):
                status = s.stop(how)
                if how == signal.SIGTERM and status != 0:
                    raise Failed("%s ended with status %s:\n%s" % (kind, status, s.log_tail()))
                disk = s.disk_bytes() / 1048576
                since = time.monotonic()
                s.start(wait=False)
                ms = first_answer_ms(s, b"key:%012d" % picks.randrange(keys), since)
                one_by_one = []
                with Wire(s.port) as wire:
                    for _ in range(1000):
                        key = b"key:%012d" % picks.randrange(keys)
                        begin = time.perf_counter()
                        answer = wire.call(b"GET", key)
                        one_by_one.append((time.perf_counter() - begin) * 1e6)
                        if answer != text_of(key):
                            raise Failed("%s lost or changed %r: %r" % (kind, key, answer))
                    size = wire.call(b"DBSIZE")
                    if size != keys:
                        raise Failed("%s holds %r keys of %d after %s" % (kind, size, keys, name))
                    if name == "SIGTERM":
                        # Writes just before the kill that follows, so that it has something to lose.
                        wire.set_all((k, text_of(k)) for k in (b"key:%012d" % i for i in range(keys // 10)))
                one_by_one.sort()
                if how == signal.SIGTERM or name.endswith("again"):
                    time.sleep(0 if options.quick else 10)
                print("| %s | %.1f | %.0f | %s | %.0f | %.0f | %.0f | %.0f | %d |" %
                      (kind, took, disk, name, ms, one_by_one[500], one_by_one[990], s.memory_mib(), status),
                      flush=True)
            s.stop(signal.SIGKILL)
    return 0


def parse_size(text):
    units = {"kb": 1024, "mb": 1 << 20, "gb": 1 << 30}
    return int(text[:-2]) * units[text[-2:]] if text[-2:] in units else int(text)


class Versions:
    """Values that tell their key and version: a header, then a window into one pool of random bytes."""

    def __init__(self, keys, size, seed):
        self.pool = random.Random(seed).randbytes(1 << 20)
        self.size = size
        self.version = [0] * keys

    def key(self, i):
        return b"big:%010d" % i

    def value(self, i):
        head = b"%d:%d:" % (i, self.version[i])
        at = (i * 7919 + self.version[i] * 104729) % (len(self.pool) - self.size)
        return head + self.pool[at:at + self.size - len(head)]

    def check(self, system, i, got):
        if got != self.value(i):
            raise Failed("%s answered a wrong value for %r, version %d: %r..." %
                         (system.kind, self.key(i), self.version[i], got and got[:40]))


def bigger(options):
    budget_text = options.maxmemory or "100mb"
    budget = parse_size(budget_text)
    size = 1000
    keys = options.size or options.keys and options.keys[0] or 10 * budget // size
    seconds = options.seconds or (5 if options.quick else 30)
    pick = random.Random(options.seed)
    data = Versions(keys, size, options.seed)
    worst = 0.0
    with Folder(options) as folder:
        s = folder.system("ours", extra=("--maxmemory", budget_text))
        s.start()
        print("budget %s, %d values of %d bytes (%.1f x the budget); seed %d" %
              (budget_text, keys, size, keys * size / budget, options.seed), flush=True)

        def memory(phase, count, took):
            print("%-10s %9d ops, %7.0f ops/s; RSS %.0f MiB, at most %.0f (anonymous now %.0f); on disk %.0f MiB" %
                  (phase, count, count / took, s.memory_mib(), s.memory_mib("VmHWM"), s.memory_mib("RssAnon"),
                   s.disk_bytes() / 1048576), flush=True)
            return max(worst, s.memory_mib("VmHWM"))

        def reads(wire, count):
            for _ in range(count // 50):
                some = [pick.randrange(keys) for _ in range(50)]
                wire.send(b"".join(command(b"GET", data.key(i)) for i in some))
                for i in some:
                    data.check(s, i, wire.reply())

        begin = time.monotonic()
        with Wire(s.port) as wire:
            wire.set_all(((data.key(i), data.value(i)) for i in range(keys)), batch=200)
        worst = memory("load", keys, time.monotonic() - begin)

        begin, count = time.monotonic(), 0
        with Wire(s.port) as wire:
            while time.monotonic() - begin < seconds:
                some, waiting = [], []
                for _ in range(50):
                    i = pick.randrange(keys)
                    if pick.random() < 0.5:
                        data.version[i] += 1
                        waiting.append(command(b"SET", data.key(i), data.value(i)))
                        some.append((i, None))
                    else:
                        # What this read must see is settled now: later commands of the batch may change it again.
                        waiting.append(command(b"GET", data.key(i)))
                        some.append((i, data.value(i)))
                wire.send(b"".join(waiting))
                for i, expected in some:
                    answer = wire.reply()
                    if answer != (b"+OK" if expected is None else expected):
                        raise Failed("%s answered %r for %r" % (s.kind, answer and answer[:60], data.key(i)))
                count += len(some)
            size_now = wire.call(b"DBSIZE")
            if size_now != keys:
                raise Failed("DBSIZE is %r, not %d" % (size_now, keys))
        worst = memory("mixed", count, time.monotonic() - begin)

        s.stop(signal.SIGKILL)
        begin = time.monotonic()
        s.start()
        print("killed; serves again after %.0f ms" % ((time.monotonic() - begin) * 1000))
        begin = time.monotonic()
        with Wire(s.port) as wire:
            reads(wire, min(keys, 20000))
        worst = memory("read back", min(keys, 20000), time.monotonic() - begin)
        if s.stop() != 0:
            raise Failed("exit status is not 0:\n" + s.log_tail())
    ratio = worst * 1048576 / budget
    print("%s: peak RSS is %.2f x the budget (limit 1.3)" % ("pass" if ratio <= 1.3 else "FAIL", ratio))
    return 0 if ratio <= 1.3 else 1


def lookups(options):
    """One client, no pipeline: a read right behind a write, the shape most applications have."""
    kinds = [k for k in options.systems if k != "echo"]
    seconds = options.seconds or (2 if options.quick else 5)
    with Folder(options) as folder:
        print("| system | SET p50 us | p99 us | GET p50 us | p99 us |\n|---|--:|--:|--:|--:|")
        for kind in kinds:
            s = folder.system(kind)
            s.start()
            took = {b"SET": [], b"GET": []}
            with Wire(s.port) as wire:
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    for call in ((b"SET", b"k", b"v" * 64), (b"GET", b"k")):
                        begin = time.perf_counter()
                        wire.call(*call)
                        took[call[0]].append((time.perf_counter() - begin) * 1e6)
            cells = []
            for values in took.values():
                values.sort()
                cells += [statistics.median(values), values[len(values) * 99 // 100]]
            print("| %s | %s |" % (kind, " | ".join("%.0f" % c for c in cells)), flush=True)
            s.stop(signal.SIGKILL)
    return 0
