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

import clusters
from systems import Failed, Folder, disk_sync_us

KEYS = 100000
# name -> (clients, pipeline, requests of the round that finds out how many fit into the time)
LOADS = {
    "c1": (1, 1, 1000),
    "c50": (50, 1, 10000),
    "c200": (200, 1, 10000),
    "p16": (50, 16, 50000),
    "p64": (50, 64, 200000),
}
# What `--tests types` stands for: redis-benchmark's own, the other types among them.
TYPES = ("incr", "lpush", "rpush", "lpop", "rpop", "sadd", "hset", "spop", "zadd", "zpopmin", "lrange_100", "lrange_300",
         "lrange_500", "lrange_600", "mset")
# What takes elements out needs some: test -> the one that puts them in. Nothing is synced for who finds nothing.
PUTS = {"lpop": "lpush", "rpop": "rpush", "spop": "sadd", "zpopmin": "zadd"}
NAMES = {"ours": "ours", "other": "ours, other build", "lease": "ours, read-mode lease",
         "other-lease": "other build, read-mode lease", "etcd": "etcd", "wait": "Redis, 2 replicas, WAIT 1", "always": "Redis, appendfsync always",
         "none": "Redis, no persistence", "minirepl": "minirepl (ceiling)", "echo": "echo (ceiling)"}
# What the columns of ratios compare with.
RATIOS = {1: ("always", "none"), 3: ("always", "etcd", "minirepl")}
# Goals of three nodes: (test, load, of, least multiple, of whom).
GOALS = [
    ("set", "c50", "ours", 5.0, "etcd"),
    ("set", "c50", "ours", 0.7, "always"),
    ("set", "c50", "ours", 0.6, "minirepl"),
    ("set", "p16", "ours", 0.9, "always"),
    ("set", "c1", "ours", 2.0, "etcd"),
    ("get", "c50", "ours", 0.7, "lease"),
]
TRIES_MAX = 3  # of one round whose cluster changed its leader meanwhile


def benchmark(system, test, clients, pipeline, requests, keys=KEYS):
    """One run of the system's load generator: operations/s, p50 and p99 in milliseconds."""
    argv = system.load_argv(test, clients, pipeline, requests, keys)
    out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=300)
    rows = list(csv.DictReader(io.StringIO(out.stdout.decode(errors="replace"))))
    # LRANGE is measured behind a row about the LPUSH that fills its list.
    if out.returncode != 0 or not rows or (len(rows) > 1 and not test.startswith("lrange")):
        raise Failed("%s against %s: %s%s" %
                     (" ".join(argv), system.kind, out.stderr.decode(), out.stdout.decode()[-300:]))
    return float(rows[-1]["rps"]), float(rows[-1]["p50_latency_ms"]), float(rows[-1]["p99_latency_ms"])


def put_in(system, test, requests):
    """What so many requests of the test take out: hardly any member is drawn twice."""
    if test in PUTS:
        benchmark(system, PUTS[test], 50, 64, requests, 100 * requests)
        system.settle()


def measure_once(system, test, load, requests):
    """A row of figures, or None when they are those of an election."""
    clients, pipeline, _ = LOADS[load]
    put_in(system, test, requests)
    leader = system.leader()
    cpu, written, syncs = system.cpu_us(), system.written_bytes(), system.syncs()
    try:
        ops, p50, p99 = benchmark(system, test, clients, pipeline, requests)
    except Failed:
        if system.leader() != leader:
            return None
        raise
    row = {"ops": ops, "p50_ms": p50, "p99_ms": p99, "cpu_us": (system.cpu_us() - cpu) / requests,
           "syncs": None, "sync_us": None}
    row["later_us"] = system.settle() / requests
    row["written"] = (system.written_bytes() - written) / requests
    if syncs is not None:
        count, ns = (b - a for a, b in zip(syncs, system.syncs()))
        row["syncs"] = count / requests
        row["sync_us"] = ns / count / 1000 if count else 0.0
    row["rss_mib"] = system.memory_mib()
    return row if system.leader() == leader else None


def measure(system, test, load, requests):
    for _ in range(TRIES_MAX):
        row = measure_once(system, test, load, requests)
        if row is not None:
            return row
        print("%s changed its leader during %s %s; once more" % (system.kind, test, load), flush=True)
        system.pause()
        system.resume()
    raise Failed("%s keeps changing its leader" % system.kind)


def start(folder, options, kinds):
    """The systems, full of keys and paused."""
    if options.nodes == 1:
        systems = [folder.system(kind) for kind in kinds]
    else:
        systems = clusters.make(kinds, options, folder)
    serving = []
    for s in systems:
        try:
            s.start()
        except clusters.Unavailable as why:
            print("%s: left out: %s" % (s.kind, why), flush=True)
            continue
        s.fill(KEYS)
        s.settle()
        s.pause()
        serving.append(s)
    return serving


def takes(system, test, load):
    """Whether the system can be measured under this load."""
    return test in getattr(system, "tests", (test,)) and LOADS[load][1] <= getattr(system, "pipeline_max", LOADS[load][1])


def run(options):
    tests = [test for word in options.tests.split(",") for test in (TYPES if word == "types" else (word,))]
    loads = options.loads.split(",")
    kinds = options.systems.split(",")
    seconds = options.seconds or (0.7 if options.quick else 2.0)
    rounds = options.rounds or (1 if options.quick else 3)
    order = random.Random(options.seed)
    results = {}
    with Folder(options) as folder:
        print("disk: write and fdatasync of 4 KiB takes %.0f us (median); %d rounds of %.1f s; %d keys of %d bytes" %
              (disk_sync_us(options.folder), rounds, seconds, KEYS, options.value_bytes), flush=True)
        everybody = start(folder, options, kinds)
        for test in tests:
            for load in loads:
                systems = [s for s in everybody if takes(s, test, load)]
                count = {}
                for number in range(rounds + 1):
                    order.shuffle(systems)
                    for s in systems:
                        s.resume()
                        s.settle()
                        if number == 0:
                            # Also warms the caches of whoever has some.
                            clients, pipeline, probe = LOADS[load]
                            put_in(s, test, probe // getattr(s, "slowness", 1))
                            ops = benchmark(s, test, clients, pipeline, probe // getattr(s, "slowness", 1))[0]
                            count[s.kind] = max(1000, min(5000000, int(ops * seconds)))
                        else:
                            row = measure(s, test, load, count[s.kind])
                            results.setdefault((test, load, s.kind), []).append(row)
                        s.pause()
                print_load(results, test, load, kinds, RATIOS[options.nodes])
        if options.nodes == 3:
            print_goals(results)
        for s in everybody:
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


def ratio(results, test, load, kind, other):
    ops, of = middle(results, test, load, kind, "ops"), middle(results, test, load, other, "ops")
    return ops / of if ops and of else None


def print_load(results, test, load, kinds, others):
    clients, pipeline, _ = LOADS[load]
    columns = ["kops/s", *("x " + other for other in others), "p50 ms", "p99 ms", "CPU us/op", "later us/op", "syncs/op",
               "us/sync", "written B/op", "RSS MiB"]
    print("\n%s, %d client%s, pipeline %d\n" % (test.upper(), clients, "" if clients == 1 else "s", pipeline))
    print("| system | %s |\n|---|%s" % (" | ".join(columns), "--:|" * len(columns)))
    for kind in kinds:
        if (test, load, kind) not in results:
            continue

        def get(column, of=kind):
            return middle(results, test, load, of, column)
        cells = [number(get("ops") / 1000, 1), *(number(ratio(results, test, load, kind, other), 2) for other in others),
                 number(get("p50_ms"), 3), number(get("p99_ms"), 3), number(get("cpu_us"), 2), number(get("later_us"), 2),
                 number(get("syncs"), 4), number(get("sync_us"), 0), number(get("written"), 0),
                 number(get("rss_mib"), 0)]
        print("| %s | %s |" % (NAMES[kind], " | ".join(cells)), flush=True)


def print_goals(results):
    """Those whose two sides were measured."""
    lines = []
    for test, load, kind, least, other in GOALS:
        measured = ratio(results, test, load, kind, other)
        if measured is not None:
            lines.append("| %s %s | %.1f x %s | %.2f | %s |" % (test.upper(), load, least, NAMES[other], measured,
                                                             "yes" if measured >= least else "NO"))
    if lines:
        print("\n| goal | at least | measured | reached |\n|---|--:|--:|---|\n" + "\n".join(lines), flush=True)
