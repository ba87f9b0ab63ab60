"""The loads: what each test sends, how many clients send it, and the programs that do. All of RESP's come from redis-benchmark,
with keys drawn from the whole keyspace, but for what it cannot do: mixed reads and writes, and WAIT, which are resp_load.c's."""
import collections
import csv
import io
import re
import subprocess

from wire import Failed, Wire, command

# A load on a system: how many clients, commands of each in flight, requests in all, keys that are drawn from, bytes of a value.
Size = collections.namedtuple("Size", "clients pipeline requests keys value_bytes")

RANDOM = "__rand_int__"  # redis-benchmark puts twelve digits of a random number in its place
VALUE = object()
COUNT_IN_WINDOW = ("local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return n")
FIELDS = 10

# name -> (what is there beforehand, the command). `strings`: every key has a value. `hashes`: every hash has ten fields.
# `grows`: begins empty in each round, for it leaves more and more behind.
TESTS = {
    "set": ("strings", ("SET", "key:" + RANDOM, VALUE)),
    "get": ("strings", ("GET", "key:" + RANDOM)),
    "mixed": ("strings", None),
    "incr": ("counters", ("INCR", "counter:" + RANDOM)),
    "hset": ("hashes", ("HSET", "hash:" + RANDOM, "field:5", VALUE)),
    "lpush": ("grows", ("LPUSH", "list:" + RANDOM, VALUE)),
    "zadd": ("one", ("ZADD", "board", RANDOM, "member:" + RANDOM)),
    "eval": ("counters", ("EVAL", COUNT_IN_WINDOW, "1", "window:" + RANDOM, "3600000")),
}
# What `--tests types` stands for: others of redis-benchmark's own tests, as it has them.
TYPES = ("rpush", "lpop", "rpop", "sadd", "spop", "zpopmin", "lrange_100", "lrange_300", "lrange_500", "lrange_600", "mset")
# What takes elements out needs some: test -> the one that puts them in. Nothing is synced for who finds nothing.
BUILT_IN = "redis-benchmark's "  # its test of that name, where there is one of ours too
PUTS = {"lpop": "rpush", "rpop": "rpush", "spop": "sadd", "zpopmin": BUILT_IN + "zadd"}

KEYS_MAX = 100000
DATA_BYTES_MAX = 64 << 20


def parse_load(name):
    """(clients, pipeline): c50 is 50 clients, p16 50 clients with 16 commands in flight each, c200p16 both."""
    found = re.fullmatch(r"(?:c(\d+))?(?:p(\d+))?", name)
    if not name or not found:
        raise ValueError("%r is no load: c50, p16, c200p16" % name)
    return int(found.group(1) or 50), int(found.group(2) or 1)


def parse_tests(text):
    tests = [test for word in text.split(",") for test in (TYPES if word == "types" else (word,))]
    for test in tests:
        if test not in TESTS and test not in TYPES:
            raise ValueError("%r is none of %s, types" % (test, ", ".join((*TESTS, *TYPES))))
    return tests


def keys_of(value_bytes):
    """So many keys that the data stays small: it is the path of a command that is measured."""
    return min(KEYS_MAX, DATA_BYTES_MAX // value_bytes)


def describe(load):
    clients, pipeline = parse_load(load)
    return "%d client%s, pipeline %d" % (clients, "" if clients == 1 else "s", pipeline)


# --- what is there beforehand ---

def all_strings(size):
    value = b"x" * size.value_bytes
    return ((b"SET", b"key:%012d" % i, value) for i in range(size.keys))


def all_hashes(size):
    value = b"x" * size.value_bytes
    return ((b"HSET", b"hash:%012d" % i, *[a for f in range(FIELDS) for a in (b"field:%d" % f, value)]) for i in range(size.keys))


def send_all(wire, commands, bytes_at_once=1 << 20):
    waiting, count = [], 0

    def send():
        wire.send(b"".join(waiting))
        for _ in waiting:
            answer = wire.reply()
            if isinstance(answer, bytes) and answer.startswith(b"-"):
                raise Failed("a command was answered %r" % answer)
    for words in commands:
        waiting.append(command(*words))
        count += len(waiting[-1])
        if count >= bytes_at_once:
            send()
            waiting, count = [], 0
    send()


def prepare(system, test, size, anew):
    """What the test needs is there and nothing else; with `anew`, also what a round before has left is gone."""
    what = TESTS[test][0] if test in TESTS else "types"
    content = (what, size.value_bytes, size.keys)
    if system.content == content and not (anew and what == "grows"):
        return
    with Wire(system.port) as wire:
        wire.call(b"FLUSHALL")
        fill = {"strings": all_strings, "hashes": all_hashes}.get(what)
        if fill:
            send_all(wire, fill(size))
            found = wire.call(b"DBSIZE")
            if found != size.keys:
                raise Failed("%s holds %r keys of %d" % (system.kind, found, size.keys))
    system.content = content


# --- the programs ---

def resp_argv(options, port, test, size):
    if test == "mixed":
        return own_argv(options, port, size, sets=50)
    words = TESTS[test][1] if test in TESTS else None
    argv = [options.redis_benchmark, "-h", "127.0.0.1", "-p", str(port), "-n", str(size.requests), "-r", str(size.keys),
            "-d", str(size.value_bytes), "-c", str(size.clients), "-P", str(size.pipeline)]
    return argv + (["-t", test.removeprefix(BUILT_IN)] if words is None else ["x" * size.value_bytes if word is VALUE else word for word in words])


def own_argv(options, port, size, **more):
    return [options.resp_load, str(port), "requests=%d" % size.requests, "clients=%d" % size.clients,
            "pipeline=%d" % size.pipeline, "keys=%d" % size.keys, "bytes=%d" % size.value_bytes,
            *("%s=%s" % pair for pair in more.items())]


def call(argv, against, seconds_max=300):
    out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=seconds_max)
    text, errors = out.stdout.decode(errors="replace"), out.stderr.decode(errors="replace")
    if out.returncode != 0 or "Error from server" in text + errors:
        raise Failed("%.300s against %s: %s%s" % (" ".join(argv), against, errors[-500:], text[-300:]))
    return text


def rows_of(text):
    """What our own programs print: {test: row of figures}."""
    return {row["test"]: {"ops": float(row["rps"]), "p50_ms": float(row["p50_latency_ms"]), "p99_ms": float(row["p99_latency_ms"]),
                          "p999_ms": float(row["p99.9_latency_ms"]), "max_ms": float(row["max_latency_ms"]),
                          "missing": int(row["missing"])}
            for row in csv.DictReader(io.StringIO(text))}


def redis_benchmark_row(text):
    """Figures of the last test in what redis-benchmark says at length: only there it tells 99.9 of 100."""
    text = text[text.rindex("Latency by percentile distribution"):]
    steps = [(float(part), float(ms)) for part, ms in
             re.findall(r"^([\d.]+)% <= ([\d.]+) milliseconds", text.split("Cumulative distribution")[0], re.M)]
    summary = text[text.index("Summary:"):]
    _, _, p50, _, p99, longest = (float(word) for word in summary.rstrip().splitlines()[-1].split())
    ops = float(re.search(r"throughput summary: ([\d.]+)", summary).group(1))
    return {"ops": ops, "p50_ms": p50, "p99_ms": p99, "p999_ms": next(ms for part, ms in steps if part >= 99.9), "max_ms": longest}


def benchmark(system, test, size):
    """One run of the system's load generator."""
    argv = system.load(test, size)
    text = call(argv, system.kind)
    if argv[0] == system.options.redis_benchmark:
        return redis_benchmark_row(text)
    rows = rows_of(text)
    return rows.get("both") or next(iter(rows.values()))


def put_in(system, test, requests):
    """What so many requests of the test take out: hardly any member is drawn twice."""
    if test in PUTS:
        benchmark(system, PUTS[test], Size(50, 64, requests, 100 * requests, 64))
        system.settle()
