"""Collections beside Redis's: what they weigh in memory, small and big (`memory`); what commands cost in many small ones
(`small`) and in one of a million items (`big`); and elements handed from client to client (`queues`)."""
import os
import random
import statistics
import subprocess
import time

from systems import Failed, Folder
from lineup import NAMES
from wire import Wire, command

# name -> (command, bytes of item number i as its arguments)
KINDS = {
    "list": (b"RPUSH", lambda i: (b"element:%012d" % i,)),
    "set": (b"SADD", lambda i: (b"member:%012d" % i,)),
    "set of integers": (b"SADD", lambda i: (b"%d" % (i * 2654435761 % (1 << 32)),)),
    "hash": (b"HSET", lambda i: (b"field:%012d" % i, b"value:%014d" % (i * 7919))),
    "sorted set": (b"ZADD", lambda i: (b"%d" % (i * 2654435761 % 1000003), b"member:%012d" % i)),
    "sorted set of fractions": (b"ZADD", lambda i: (b"%.6f" % (i * 2654435761 % 1000003 / 1024), b"member:%012d" % i)),
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


def compared(options):
    return ["ours", *(["other"] if options.other else []), "always"]


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
        for kind in options.kinds or KINDS:
            for items, keys in sizes:
                (a, usage_a), (b, usage_b) = (weigh(s, kind, items, keys) for s in (ours, redis))
                print("| %s | %d | %.1f | %.1f | %.2f | %.1f | %.1f | %.2f |" %
                      (kind, items, a, b, a / b, usage_a, usage_b, usage_a / usage_b), flush=True)
        for s in (ours, redis):
            s.stop()
    return 0


# --- small and big: what commands cost ---

def any_item(kind, pick):
    return KINDS[kind][1](pick.randrange(BIG_ITEMS))


SMALL_KEYS = 20000
SMALL_ITEMS = 20


def small(*words):
    """A command of many small collections: #key is one of them, #item an item of it, #new one that it may have, #n a number."""
    def make(pick):
        key = pick.randrange(SMALL_KEYS)
        item = key + pick.randrange(SMALL_ITEMS)
        fresh = key + pick.randrange(SMALL_ITEMS * 2)
        marks = {"#list": b"list:20:%06d" % key, "#set": b"set:20:%06d" % key, "#hash": b"hash:20:%06d" % key,
                 "#zset": b"sorted_set:20:%06d" % key, "#integers": b"set_of_integers:20:%06d" % key,
                 "#other": b"set:20:%06d" % (key // 2), "#field": KINDS["hash"][1](item)[0], "#newfield": KINDS["hash"][1](fresh)[0],
                 "#member": KINDS["set"][1](item)[0], "#newmember": KINDS["set"][1](fresh)[0],
                 "#element": KINDS["list"][1](item)[0], "#n": b"%d" % pick.randrange(1000000), "#stream": b"stream:%d" % (key % 1000),
                 "#counters": b"counters:%d" % key, "#place": b"%d" % pick.randrange(80)}
        return tuple(marks.get(word) or word.encode() for word in words)
    return make


SMALL_COMMANDS = (
    ("list", "RPUSH #list #element"), ("list", "LPOP #list"), ("list", "LRANGE #list 0 9"), ("list", "LRANGE #list 0 -1"),
    ("list", "LINDEX #list 10"), ("list", "LSET #list 5 #element"), ("list", "LMOVE #list #list LEFT RIGHT"),
    ("list", "LREM #list 1 #element"), ("list", "LPUSH #list #element"), ("list", "LTRIM #list 0 19"), ("list", "LPOS #list #element"),
    ("set", "SADD #set #newmember"), ("set", "SISMEMBER #set #newmember"), ("set", "SREM #set #newmember"), ("set", "SMEMBERS #set"),
    ("set", "SRANDMEMBER #set"), ("set", "SRANDMEMBER #set 5"), ("set", "SPOP #set"), ("set", "SCARD #set"),
    ("set", "SINTER #set #other"), ("set", "SUNION #set #other"), ("set", "SDIFFSTORE result #set #other"),
    ("set of integers", "SADD #integers #n"), ("set of integers", "SISMEMBER #integers #n"), ("set of integers", "SMEMBERS #integers"),
    ("hash", "HGET #hash #field"), ("hash", "HSET #hash #field value:#n"), ("hash", "HSET #hash #newfield value:#n"),
    ("hash", "HDEL #hash #newfield"), ("hash", "HGETALL #hash"), ("hash", "HMGET #hash #field #field #newfield"),
    ("hash", "HINCRBY #counters hits 1"), ("hash", "HRANDFIELD #hash"), ("hash", "HLEN #hash"), ("hash", "HEXISTS #hash #newfield"),
    ("hash", "HSCAN #hash 0"),
    ("sorted set", "ZADD #zset #n #newmember"), ("sorted set", "ZINCRBY #zset 1 #member"), ("sorted set", "ZSCORE #zset #member"),
    ("sorted set", "ZRANK #zset #member"), ("sorted set", "ZRANGE #zset 0 9"), ("sorted set", "ZRANGE #zset 0 -1 WITHSCORES"),
    ("sorted set", "ZRANGEBYSCORE #zset #n +inf LIMIT 0 5"), ("sorted set", "ZCOUNT #zset #n +inf"), ("sorted set", "ZPOPMIN #zset"),
    ("sorted set", "ZREM #zset #newmember"), ("sorted set", "ZUNIONSTORE result 2 #zset #zset"),
    ("stream", "XADD #stream * field #n"), ("stream", "XADD #stream MAXLEN ~ 100 * field #n"), ("stream", "XLEN #stream"),
    ("stream", "XRANGE #stream - + COUNT 10"), ("stream", "XREVRANGE #stream + - COUNT 1"),
    ("string", "SETBIT bits #n 1"), ("string", "GETBIT bits #n"), ("string", "PFADD uniques #n"), ("string", "PFCOUNT uniques"),
    ("string", "GEOADD places #place #place #member"), ("string", "GEOSEARCH places FROMLONLAT #place #place BYRADIUS 200 km"),
    ("string", "SORT #integers LIMIT 0 5"), ("string", "COPY #hash #counters REPLACE"), ("string", "DUMP #hash"),
)


def costs(options, title, both, rows):
    """Prints a row for each (kind, what, a function that makes such a command, how many), measured in interleaved rounds."""
    rounds = options.rounds or (1 if options.quick else 5)
    order = random.Random(options.seed)
    print("%s, one client, 100 commands at a time, medians of %d rounds: CPU us/command\n" % (title, rounds))
    print("| kind | command | %s | ours / Redis |\n|---|---|%s" % (" | ".join(NAMES[kind] for kind in compared(options)),
                                                               "--:|" * (len(both) + 1)))
    for kind, what, make, count in rows:
        took = {s.kind: [] for s in both}
        for number in range(rounds):
            order.shuffle(both)
            for s in both:
                s.resume()
                took[s.kind].append(cost(s, make, count, options.seed + number))
                s.pause()
        us = {name: statistics.median(took[name]) for name in compared(options)}
        print("| %s | %s | %s | %.2f |" % (kind, what, " | ".join("%.2f" % us[name] for name in compared(options)),
                                           us["ours"] / us["always"]), flush=True)


def small_ones(options):
    with Folder(options) as folder:
        both = [folder.system(kind) for kind in compared(options)]
        for s in both:
            s.start()
            for kind in KINDS:
                name = kind.replace(" ", "_").replace(",", "").encode()
                fill(s, kind, lambda number, name=name: b"%s:20:%06d" % (name, number), SMALL_ITEMS, SMALL_KEYS)
            s.settle()
            s.pause()
        rows = [(kind, what, small(*what.split()), 10000) for kind, what in SMALL_COMMANDS if kind in (options.kinds or (kind,))]
        costs(options, "%d collections of %d items" % (SMALL_KEYS, SMALL_ITEMS), both, rows)
        for s in both:
            s.stop()
    return 0


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


def big(options):
    with Folder(options) as folder:
        both = [folder.system(kind) for kind in compared(options)]
        rows = [row for row in BIG_COMMANDS if row[0] in (options.kinds or KINDS)]
        for s in both:
            s.start()
            for kind in dict.fromkeys(row[0] for row in rows):
                fill(s, kind, lambda number, kind=kind: kind.encode().replace(b" ", b"_"), BIG_ITEMS, 1)
            s.settle()
            s.pause()
        costs(options, "One collection of %d items" % BIG_ITEMS, both, rows)
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
