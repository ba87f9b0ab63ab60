"""Collections beside Redis's: what they weigh in memory, small and big (`memory`), and what commands cost that have to find
their way in one of a million items (`big`), or that hand elements from one client to another (`queues`)."""
import os
import random
import statistics
import subprocess
import time

from systems import Failed, Folder
from throughput import NAMES
from wire import Wire, command

# name -> (command, bytes of item number i as its arguments)
KINDS = {
    "list": (b"RPUSH", lambda i: (b"element:%012d" % i,)),
    "set": (b"SADD", lambda i: (b"member:%012d" % i,)),
    "set of integers": (b"SADD", lambda i: (b"%d" % (i * 2654435761 % (1 << 32)),)),
    "hash": (b"HSET", lambda i: (b"field:%012d" % i, b"value:%014d" % (i * 7919))),
    "sorted set": (b"ZADD", lambda i: (b"%d" % (i * 2654435761 % 1000003), b"member:%012d" % i)),
    "sorted set, fractions": (b"ZADD", lambda i: (b"%.6f" % (i * 2654435761 % 1000003 / 1024), b"member:%012d" % i)),
}
# (items of each key, keys)
SIZES = ((5, 20000), (50, 2000), (100, 1000), (100000, 1), (1000000, 1))
ITEMS_PER_COMMAND = 100
BIG_ITEMS = 1000000


def pair(folder):
    """Ours and Redis, neither of them persistent beyond need: (system, system)."""
    both = [folder.system("ours"), folder.system("none")]
    for s in both:
        s.start()
    return both


def is_served(system, kind):
    """Whether the system has the commands of this kind."""
    name, item = KINDS[kind]
    with Wire(system.port) as wire:
        answer = wire.call(name, b"probe", *item(0))
        wire.call(b"DEL", b"probe")
    return isinstance(answer, int)


def fill(system, kind, key_of, items, keys):
    """Keys with `items` items each; all of them different in one key."""
    name, item = KINDS[kind]
    with Wire(system.port) as wire:
        waiting, sent = [], 0
        for number in range(keys):
            key = key_of(number)
            for first in range(0, items, ITEMS_PER_COMMAND):
                args = [a for i in range(first, min(first + ITEMS_PER_COMMAND, items)) for a in item(i + number)]
                waiting.append(command(name, key, *args))
                if len(waiting) == 50:
                    sent += send(wire, waiting)
                    waiting = []
        send(wire, waiting)


def send(wire, commands):
    wire.send(b"".join(commands))
    for _ in commands:
        answer = wire.reply()
        if isinstance(answer, bytes) and answer.startswith(b"-"):
            raise Failed("a command was answered %r" % answer)
    return len(commands)


# --- memory ---

def info(system, *names):
    """The first of these numbers that INFO has."""
    with Wire(system.port) as wire:
        text = wire.call(b"INFO", b"everything").decode()
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return next(int(fields[name]) for name in names if name in fields)


def key_bytes(system):
    """Ours counts what belongs to keys by itself, without the log's buffers and RocksDB; in Redis all is keys here."""
    return info(system, "keys_memory_bytes", "used_memory")


def weigh(system, kind, items, keys):
    """Bytes for each item: by what the server's memory grew, and by MEMORY USAGE of one key."""
    def key_of(number):
        return b"%s:%d:%06d" % (kind.encode().replace(b" ", b"_"), items, number)
    before = key_bytes(system)
    fill(system, kind, key_of, items, keys)
    grown = key_bytes(system) - before
    with Wire(system.port) as wire:
        usage = wire.call(b"MEMORY", b"USAGE", key_of(0), b"SAMPLES", b"0")
    return grown / keys / items, usage / items


def memory(options):
    sizes = SIZES[:-1] if options.quick else SIZES
    with Folder(options) as folder:
        ours, redis = pair(folder)
        print("Bytes of memory for each item\n")
        print("| kind | items | ours | Redis | ours / Redis | MEMORY USAGE: ours | Redis | ours / Redis |")
        print("|---|--:|--:|--:|--:|--:|--:|--:|")
        for kind in KINDS:
            if not is_served(ours, kind):
                continue
            for items, keys in sizes:
                (a, usage_a), (b, usage_b) = (weigh(s, kind, items, keys) for s in (ours, redis))
                print("| %s | %d | %.1f | %.1f | %.2f | %.1f | %.1f | %.2f |" %
                      (kind, items, a, b, a / b, usage_a, usage_b, usage_a / usage_b), flush=True)
        for s in (ours, redis):
            s.stop()
    return 0


# --- big ---

def any_item(kind, pick):
    return KINDS[kind][1](pick.randrange(BIG_ITEMS))


# (kind, what, one such command, commands of a round)
BIG_COMMANDS = (
    ("hash", "HGET", lambda pick: (b"HGET", b"hash", any_item("hash", pick)[0]), 100000),
    ("hash", "HSET, of one that is there", lambda pick: (b"HSET", b"hash", *any_item("hash", pick)), 100000),
    ("hash", "HRANDFIELD", lambda pick: (b"HRANDFIELD", b"hash"), 50000),
    ("set", "SISMEMBER", lambda pick: (b"SISMEMBER", b"set", any_item("set", pick)[0]), 100000),
    ("set", "SRANDMEMBER", lambda pick: (b"SRANDMEMBER", b"set"), 50000),
    ("list", "LINDEX", lambda pick: (b"LINDEX", b"list", b"%d" % pick.randrange(BIG_ITEMS)), 20000),
    ("list", "LSET", lambda pick: (b"LSET", b"list", b"%d" % pick.randrange(BIG_ITEMS), b"element:%012d" % 7), 20000),
    ("list", "LINSERT", lambda pick: (b"LINSERT", b"list", b"BEFORE", b"element:%012d" % pick.randrange(10000), b"new"), 2000),
    ("sorted set", "ZSCORE", lambda pick: (b"ZSCORE", b"sorted_set", any_item("sorted set", pick)[1]), 100000),
    ("sorted set", "ZRANK", lambda pick: (b"ZRANK", b"sorted_set", any_item("sorted set", pick)[1]), 50000),
    ("sorted set", "ZRANGE, 10 by rank", lambda pick: ranks(pick, 10), 50000),
    ("sorted set", "ZRANGE, 10 by score", lambda pick: scores(pick), 50000),
    ("sorted set", "ZADD, another score", lambda pick: rescore(pick), 50000),
    ("sorted set", "ZINCRBY", lambda pick: (b"ZINCRBY", b"sorted_set", b"1", any_item("sorted set", pick)[1]), 50000),
)


def ranks(pick, count):
    first = pick.randrange(BIG_ITEMS - count)
    return b"ZRANGE", b"sorted_set", b"%d" % first, b"%d" % (first + count - 1)


def scores(pick):
    return b"ZRANGE", b"sorted_set", b"%d" % pick.randrange(1000000), b"+inf", b"BYSCORE", b"LIMIT", b"0", b"10"


def rescore(pick):
    return b"ZADD", b"sorted_set", b"%d" % pick.randrange(1000003), any_item("sorted set", pick)[1]


def cpu_ns(system):
    """CPU time of all threads, as the scheduler counts it."""
    total = 0
    for task in os.listdir("/proc/%d/task" % system.process.pid):
        with open("/proc/%d/task/%s/schedstat" % (system.process.pid, task)) as f:
            total += int(f.read().split()[0])
    return total


def cost(system, make, count, seed):
    """CPU microseconds of the server for each of so many commands, a hundred of them at a time."""
    pick = random.Random(seed)
    batches = [[command(*make(pick)) for _ in range(100)] for _ in range(count // 100)]
    with Wire(system.port) as wire:
        send(wire, batches[0])
        before = cpu_ns(system)
        for batch in batches:
            send(wire, batch)
        return (cpu_ns(system) - before) / count / 1000


def compared(options):
    return ["ours", *(["other"] if options.other else []), "always"]


def big(options):
    rounds = options.rounds or (1 if options.quick else 5)
    order = random.Random(options.seed)
    with Folder(options) as folder:
        both = [folder.system(kind) for kind in compared(options)]
        for s in both:
            s.start()
        kinds = [kind for kind in dict.fromkeys(row[0] for row in BIG_COMMANDS) if is_served(both[0], kind)]
        for s in both:
            for kind in kinds:
                fill(s, kind, lambda number, kind=kind: kind.encode().replace(b" ", b"_"), BIG_ITEMS, 1)
            s.settle()
            s.pause()
        print("One collection of %d items, one client, 100 commands at a time, medians of %d rounds: CPU us/command\n"
              % (BIG_ITEMS, rounds))
        print("| kind | command | %s | ours / Redis |\n|---|---|%s" % (" | ".join(NAMES[kind] for kind in compared(options)),
                                                                   "--:|" * (len(both) + 1)))
        for kind, what, make, count in BIG_COMMANDS:
            if kind not in kinds:
                continue
            took = {s.kind: [] for s in both}
            for number in range(rounds):
                order.shuffle(both)
                for s in both:
                    s.resume()
                    took[s.kind].append(cost(s, make, count, options.seed + number))
                    s.pause()
            us = {kind_: statistics.median(took[kind_]) for kind_ in compared(options)}
            print("| %s | %s | %s | %.2f |" % (kind, what, " | ".join("%.2f" % us[k] for k in compared(options)),
                                               us["ours"] / us["always"]), flush=True)
        for s in both:
            s.stop()
    return 0


# --- queues ---

# what -> (arguments of redis-benchmark, of two that run at once: they put in and take out equally many)
QUEUES = {
    "RPUSH and LPOP, 10,000 lists, 50 + 50 clients": (("-c", "50", "-r", "10000"), ("RPUSH", "queue:__rand_int__", "job"),
                                                      ("LPOP", "queue:__rand_int__")),
    "the same, x 16": (("-c", "50", "-P", "16", "-r", "10000"), ("RPUSH", "queue:__rand_int__", "job"),
                       ("LPOP", "queue:__rand_int__")),
    "RPUSH and BLPOP, one list, 50 + 50 clients": (("-c", "50"), ("RPUSH", "work", "job"), ("BLPOP", "work", "0")),
    "RPUSH and BLPOP, 10 lists, 10 x (5 + 5) clients": (("-c", "50", "-r", "10"), ("RPUSH", "work:__rand_int__", "job"),
                                              ("BLPOP", *("work:%012d" % i for i in range(10)), "0")),
}


def queue_round(options, system, how, count):
    """Thousand elements a second, and CPU microseconds of the server for each of them."""
    shared, push, pop = how
    argv = [options.redis_benchmark, "-h", "127.0.0.1", "-p", str(system.port), "-n", str(count), "-q", *shared]
    before, begin = cpu_ns(system), time.monotonic()
    both = [subprocess.Popen([*argv, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for words in (pop, push)]
    for process in both:
        _, errors = process.communicate(timeout=300)
        if process.returncode != 0:
            raise Failed("redis-benchmark ended with %d: %s" % (process.returncode, errors.decode()))
    took = time.monotonic() - begin
    return count / took / 1000, (cpu_ns(system) - before) / count / 1000


def queues(options):
    rounds = options.rounds or (1 if options.quick else 5)
    order = random.Random(options.seed)
    with Folder(options) as folder:
        both = [folder.system(kind) for kind in compared(options)]
        for s in both:
            s.start()
            s.pause()
        print("Thousand elements a second through a queue, and in parentheses the server's CPU us for each; medians of %d rounds\n"
              % rounds)
        print("| queue | %s | ours / Redis |\n|---|%s" % (" | ".join(NAMES[kind] for kind in compared(options)),
                                                        "--:|" * (len(both) + 1)))
        for what, how in QUEUES.items():
            found = {s.kind: [] for s in both}
            count = 200000 if "-P" in how[0] else 20000
            for _ in range(rounds):
                order.shuffle(both)
                for s in both:
                    s.resume()
                    found[s.kind].append(queue_round(options, s, how, count))
                    s.pause()
            middle = {kind: [statistics.median(column) for column in zip(*found[kind])] for kind in compared(options)}
            print("| %s | %s | %.2f |" % (what, " | ".join("%.1f (%.1f)" % tuple(middle[kind]) for kind in compared(options)),
                                          middle["ours"][0] / middle["always"][0]), flush=True)
        for s in both:
            s.stop()
    return 0
