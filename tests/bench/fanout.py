"""`fanout`: PUBLISH to many who listen (pubsub_load.c), ours beside Redis."""
import csv
import random
import statistics
import subprocess

from containers import cpu_ns
from systems import Failed, Folder
from lineup import NAMES

# (subscribers, messages published at once, bytes of each, messages)
LOADS = ((1, 1, 64, 20000), (100, 1, 64, 2000), (100, 16, 64, 20000), (100, 1, 10000, 1000), (1000, 1, 64, 200))


def one_round(options, system, load):
    """Messages a second, milliseconds until the last subscriber has one (or the batch), CPU microseconds of the server for each."""
    subscribers, batch, size, messages = load
    argv = [options.pubsub_load, *map(str, (system.port, messages, subscribers, batch, size))]
    before = cpu_ns(system)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise Failed(done.stderr.strip())
    row = next(csv.DictReader(done.stdout.splitlines()))
    return float(row["rps"]), float(row["p50_latency_ms"]), (cpu_ns(system) - before) / messages / 1000


def run(options):
    rounds = options.rounds or (1 if options.quick else 5)
    order = random.Random(options.seed)
    kinds = ["ours", *(["other"] if options.other else []), "none"]
    with Folder(options) as folder:
        both = [folder.system(kind) for kind in kinds]
        for s in both:
            s.start()
            s.pause()
        print("Messages a second, p50 in milliseconds until all have heard, and the server's CPU us for each message; medians of %d rounds\n"
              % rounds)
        print("| listeners, at once, bytes | %s | ours / Redis |\n|---|%s" % (" | ".join(NAMES[kind] for kind in kinds),
                                                                           "--:|" * (len(kinds) + 1)))
        for load in LOADS:
            found = {kind: [] for kind in kinds}
            for _ in range(rounds):
                order.shuffle(both)
                for s in both:
                    s.resume()
                    found[s.kind].append(one_round(options, s, load))
                    s.pause()
            middle = {kind: [statistics.median(column) for column in zip(*found[kind])] for kind in kinds}
            print("| %d, %d, %d | %s | %.2f |" % (*load[:3], " | ".join("%.0f, %.2f (%.1f)" % tuple(middle[kind]) for kind in kinds),
                                               middle["ours"][0] / middle["none"][0]), flush=True)
        for s in both:
            s.resume()
            s.stop()
    return 0
