"""SET and GET under redis-benchmark: all systems side by side in one run, in interleaved rounds, medians at the end.

While one system is measured the others are stopped (SIGSTOP), so that nobody pays for another's background work. After
each load the system gets time to finish what it put off; that work is the column `later`.
"""
import csv
import io
import json
import random
import statistics
import subprocess

from systems import Failed, Folder, disk_sync_us
from wire import Wire

KEYS = 100000
# name -> (clients, pipeline, requests of the round that finds out how many fit into the time)
LOADS = {
    "c1": (1, 1, 1000),
    "c50": (50, 1, 10000),
    "c200": (200, 1, 10000),
    "p16": (50, 16, 50000),
    "p64": (50, 64, 200000),
}
NAMES = {"ours": "ours", "other": "ours, other build", "always": "Redis, appendfsync always",
         "none": "Redis, no persistence", "echo": "echo (ceiling)"}


def benchmark(options, system, test, clients, pipeline, requests):
    """One run of redis-benchmark: operations/s, p50 and p99 in milliseconds."""
    out = subprocess.run(
        [options.redis_benchmark, "-h", "127.0.0.1", "-p", str(system.port), "-t", test, "-n", str(requests), "-r",
         str(KEYS), "-d", str(options.value_bytes), "-c", str(clients), "-P", str(pipeline), "--csv"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=300)
    rows = list(csv.DictReader(io.StringIO(out.stdout.decode(errors="replace"))))
    if out.returncode != 0 or len(rows) != 1:
        raise Failed("redis-benchmark -t %s -c %d -P %d against %s: %s%s" %
                     (test, clients, pipeline, system.kind, out.stderr.decode(), out.stdout.decode()[-300:]))
    return float(rows[0]["rps"]), float(rows[0]["p50_latency_ms"]), float(rows[0]["p99_latency_ms"])


def measure(options, system, test, load, requests):
    clients, pipeline, _ = LOADS[load]
    cpu, written, syncs = system.cpu_us(), system.written_bytes(), system.syncs()
    ops, p50, p99 = benchmark(options, system, test, clients, pipeline, requests)
    row = {"ops": ops, "p50_ms": p50, "p99_ms": p99, "cpu_us": (system.cpu_us() - cpu) / requests,
           "syncs": None, "sync_us": None}
    row["later_us"] = system.settle() / requests
    row["written"] = (system.written_bytes() - written) / requests
    if syncs is not None:
        count, ns = (b - a for a, b in zip(syncs, system.syncs()))
        row["syncs"] = count / requests
        row["sync_us"] = ns / count / 1000 if count else 0.0
    row["rss_mib"] = system.memory_mib()
    return row


def preload(options, system):
    value = b"x" * options.value_bytes
    with Wire(system.port) as wire:
        wire.set_all((b"key:%012d" % i, value) for i in range(KEYS))
        size = wire.call(b"DBSIZE")
        if size != KEYS:
            raise Failed("%s holds %r keys of %d" % (system.kind, size, KEYS))


def run(options):
    tests = options.tests.split(",")
    loads = options.loads.split(",")
    kinds = options.systems.split(",")
    seconds = options.seconds or (0.7 if options.quick else 2.0)
    rounds = options.rounds or (1 if options.quick else 3)
    order = random.Random(options.seed)
    results = {}
    with Folder(options) as folder:
        print("disk: write and fdatasync of 4 KiB takes %.0f us (median); %d rounds of %.1f s; %d keys of %d bytes" %
              (disk_sync_us(options.folder), rounds, seconds, KEYS, options.value_bytes), flush=True)
        systems = [folder.system(kind) for kind in kinds]
        for s in systems:
            s.start()
            if s.kind != "echo":
                preload(options, s)
                s.settle()
            s.pause()
        for test in tests:
            for load in loads:
                count = {}
                for number in range(rounds + 1):
                    order.shuffle(systems)
                    for s in systems:
                        s.resume()
                        s.settle()
                        if number == 0:
                            # Also warms the caches of whoever has some.
                            ops = benchmark(options, s, test, *LOADS[load])[0]
                            count[s.kind] = max(1000, min(5000000, int(ops * seconds)))
                        else:
                            row = measure(options, s, test, load, count[s.kind])
                            results.setdefault((test, load, s.kind), []).append(row)
                        s.pause()
                print_load(results, test, load, kinds)
        for s in systems:
            status = s.stop()
            if s.kind not in ("echo",) and status != 0:
                raise Failed("%s ended with status %s:\n%s" % (s.kind, status, s.log_tail()))
    if options.json:
        with open(options.json, "w") as f:
            json.dump([{"test": test, "load": load, "system": kind, "rounds": rows}
                       for (test, load, kind), rows in results.items()], f, indent=1)
    return 0


def middle(results, test, load, kind, column):
    rows = results.get((test, load, kind))
    if not rows or rows[0][column] is None:
        return None
    return statistics.median(r[column] for r in rows)


def number(value, digits):
    return "-" if value is None else "%.*f" % (digits, value)


def print_load(results, test, load, kinds):
    clients, pipeline, _ = LOADS[load]
    print("\n%s, %d client%s, pipeline %d\n" % (test.upper(), clients, "" if clients == 1 else "s", pipeline))
    print("| system | kops/s | x always | x none | p50 ms | p99 ms | CPU us/op | later us/op | syncs/op | us/sync | "
          "written B/op | RSS MiB |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for kind in kinds:
        def get(column, of=kind):
            return middle(results, test, load, of, column)
        ratios = [get("ops") / get("ops", other) if get("ops", other) else None for other in ("always", "none")]
        cells = [number(get("ops") / 1000, 1), number(ratios[0], 2), number(ratios[1], 2), number(get("p50_ms"), 3),
                 number(get("p99_ms"), 3), number(get("cpu_us"), 2), number(get("later_us"), 2),
                 number(get("syncs"), 4), number(get("sync_us"), 0), number(get("written"), 0),
                 number(get("rss_mib"), 0)]
        print("| %s | %s |" % (NAMES[kind], " | ".join(cells)), flush=True)
