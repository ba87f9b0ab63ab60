"""The benchmark: all systems side by side in one run, in interleaved rounds, medians at the end.

While one system is measured the others are stopped (SIGSTOP), so that nobody pays for another's background work. After
each load the system gets time to finish what it put off; that work is the column `later`.
"""
import collections
import json
import random
import time

import lineup
import loads
import plots
import tables
from loads import Size, benchmark
from systems import Failed, Folder, disk_sync_us

Cell = collections.namedtuple("Cell", "test load value_bytes")

CLIENTS = ("c1", "c50", "c200", "c1000", "p16", "p64")  # at which latency is drawn against throughput
USUAL = ("c50", "p16")
PROBE_SECONDS = 0.2  # of the round that finds out how many requests fit into the time
REQUESTS_MAX = 5000000
LARGE_BYTES = 4096
TRIES_MAX = 3  # of one round whose cluster changed its leader meanwhile


def cells(options):
    """What is measured: what was asked for, all of it with all of it; or the tables of README.md here."""
    if options.tests or options.loads or options.values_asked:
        tests = loads.parse_tests(options.tests or "set,get")
        names = (options.loads or ",".join(USUAL)).split(",")
        return [Cell(test, load, size) for size in options.value_bytes for test in tests for load in names]
    if options.quick:
        return [Cell(test, load, 64) for test in ("set", "get", "mixed") for load in USUAL]
    return ([Cell(test, load, 64) for test in ("set", "get") for load in CLIENTS] +
            [Cell(test, load, 64) for test in ("mixed", "incr", "hset", "lpush", "zadd", "eval") for load in USUAL] +
            [Cell(test, load, size) for size in (1024, 16384) for test in ("set", "get") for load in USUAL])


def takes(system, cell):
    """Whether the system can be measured under this load."""
    pipeline = loads.parse_load(cell.load)[1]
    return (cell.test in getattr(system, "tests", (cell.test,)) and pipeline <= getattr(system, "pipeline_max", pipeline) and
            (pipeline == 1 or pipeline * cell.value_bytes <= getattr(system, "in_flight_bytes_max", pipeline * cell.value_bytes)) and
            (system.kind not in ("echo", "minirepl") or cell.value_bytes == system.options.value_bytes[0]))


def measure_once(system, cell, size):
    """A row of figures, or None when they are those of an election."""
    system.prepare(cell.test, size, anew=True)
    loads.put_in(system, cell.test, size.requests)
    leader = system.leader()
    cpu, written, syncs = system.cpu_us(), system.written_bytes(), system.syncs()
    try:
        row = benchmark(system, cell.test, size)
    except Failed:
        if system.leader() != leader:
            return None
        raise
    row.update(cpu_us=(system.cpu_us() - cpu) / size.requests, syncs=None, sync_us=None)
    row["later_us"] = system.settle() / size.requests
    row["written"] = (system.written_bytes() - written) / size.requests
    if syncs is not None:
        count, ns = (b - a for a, b in zip(syncs, system.syncs()))
        row["syncs"] = count / size.requests
        row["sync_us"] = ns / count / 1000 if count else 0.0
    row["rss_mib"] = system.memory_mib()
    return row if system.leader() == leader else None


def measure(system, cell, size):
    for _ in range(TRIES_MAX):
        row = measure_once(system, cell, size)
        if row is not None:
            return row
        print("%s changed its leader during %s %s; once more" % (system.kind, cell.test, cell.load), flush=True)
        system.pause()
        system.resume()
    raise Failed("%s keeps changing its leader" % system.kind)


def probe(system, cell, size, seconds):
    """How many requests take so long; also warms the caches of whoever has some."""
    each = 20 if size.value_bytes < LARGE_BYTES else 3
    count = max(200, each * size.clients) // getattr(system, "slowness", 1) * min(size.pipeline, 8)
    system.prepare(cell.test, size)
    loads.put_in(system, cell.test, count)
    ops = benchmark(system, cell.test, size._replace(requests=max(count, size.clients)))["ops"]
    # The first look was short; a second one, of which we know the length, is what is believed.
    count = max(count, size.clients, int(ops * PROBE_SECONDS))
    loads.put_in(system, cell.test, count)
    ops = benchmark(system, cell.test, size._replace(requests=count))["ops"]
    return max(200, 2 * size.clients, min(REQUESTS_MAX, int(ops * seconds)))


def measure_cell(cell, systems, results, rounds, seconds, order):
    clients, pipeline = loads.parse_load(cell.load)
    size = Size(clients, pipeline, 0, loads.keys_of(cell.value_bytes), cell.value_bytes)
    count = {}
    for number in range(rounds + 1):
        order.shuffle(systems)
        for s in systems:
            s.resume()
            s.settle()
            if number == 0:
                count[s.kind] = probe(s, cell, size, seconds)
            else:
                row = measure(s, cell, size._replace(requests=count[s.kind]))
                results.setdefault((cell, s.kind), []).append(row)
            s.pause()


def run(options):
    seconds = options.seconds or (0.5 if options.quick else 0.7)
    rounds = options.rounds or (1 if options.quick else 3)
    order = random.Random(options.seed)
    results, began = {}, time.monotonic()
    wanted = cells(options)
    with Folder(options) as folder:
        print("disk: write and fdatasync of 4 KiB takes %.0f us (median); %d rounds of %.1f s; seed %d" %
              (disk_sync_us(options.folder), rounds, seconds, options.seed), flush=True)
        systems = lineup.start(options.systems, options, folder)
        kinds = [s.kind for s in systems]
        for cell in wanted:
            measure_cell(cell, [s for s in systems if takes(s, cell)], results, rounds, seconds, order)
            tables.print_cell(results, cell, kinds)
        tables.print_summary(results, wanted, kinds)
        tables.print_goals(results)
        for s in systems:
            status = s.stop()
            if s.kind != "echo" and status != 0:
                raise Failed("%s ended with status %s:\n%s" % (s.kind, status, s.log_tail()))
    if options.json:
        with open(options.json, "w") as f:
            json.dump([{**cell._asdict(), "system": kind, "rounds": rows} for (cell, kind), rows in results.items()], f, indent=1)
    if options.svg:
        plots.throughput(options.svg, results, wanted, kinds)
    print("\n%.0f s in all" % (time.monotonic() - began))
    return 0
