"""`instructions`: what a command costs in instructions and in calls of the allocator, counted by valgrind's callgrind: the
same on a busy machine as on a quiet one. Two runs that differ by the number of commands are subtracted, so starting and
stopping do not count."""
import os
import re
import shlex
import shutil
import subprocess

from loads import parse_load
from systems import Folder, Process
from wire import Failed

# name, (what is done beforehand), the command; each word as redis-benchmark takes it
VALUE = "x" * 64
COMMANDS = (
    ("PING", (), "PING"),
    ("GET", (("SET", "key:__rand_int__", VALUE),), "GET key:__rand_int__"),
    ("SET", (("SET", "key:__rand_int__", VALUE),), "SET key:__rand_int__ " + VALUE),
    ("INCR", (("SET", "counter:__rand_int__", "1"),), "INCR counter:__rand_int__"),
    ("HSET", (("HSET", "hash", "field:__rand_int__", VALUE),), "HSET hash field:__rand_int__ " + VALUE),
    ("HGET", (("HSET", "hash", "field:__rand_int__", VALUE),), "HGET hash field:__rand_int__"),
    ("LPUSH", (), "LPUSH list " + VALUE),
    ("SADD", (("SADD", "set", "member:__rand_int__"),), "SADD set member:__rand_int__"),
    ("ZADD", (("ZADD", "zset", "__rand_int__", "member:__rand_int__"),), "ZADD zset __rand_int__ member:__rand_int__"),
    ("ZSCORE", (("ZADD", "zset", "__rand_int__", "member:__rand_int__"),), "ZSCORE zset member:__rand_int__"),
    ("EVAL", (("SET", "key:__rand_int__", VALUE),),
     "EVAL \"return redis.call('set',KEYS[1],ARGV[1])\" 1 key:__rand_int__ " + VALUE),
)
KEYS, BEFORE, FEW, MANY = 1000, 5000, 2000, 12000
ALLOCATOR = ("mem_alloc", "mem_calloc", "mem_realloc")


def counted(options, port, setup, command, commands, clients, pipeline):
    """(instructions of the program, calls of the allocator, {function: instructions of its own}) of one run."""
    folder = os.path.join(options.folder, "callgrind")
    data, out = os.path.join(folder, "data"), os.path.join(folder, "out")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(data)
    argv = ["valgrind", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no", "--callgrind-out-file=" + out,
            options.server, "--port", str(port), "--dir", data, *options.server_args]
    server = Process("ours", argv, port, data)
    server.start()
    load = [options.redis_benchmark, "-p", str(port), "-q", "-r", str(KEYS), "-c", str(clients), "-P", str(pipeline), "-n"]
    for words in setup:
        subprocess.run([*load, str(BEFORE), *words], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    subprocess.run([*load, str(commands), *shlex.split(command)], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    if server.stop() != 0:
        raise Failed("the server under valgrind did not end well")
    return read_profile(out)


def read_profile(path):
    own, calls, function, in_call = {}, 0, "", False
    cost = re.compile(r"^(?:[+-]?\d+|\*) (\d+)$")
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            if line.startswith("fn="):
                function = line[3:].strip()
            elif line.startswith("cfn="):
                called = line[4:].strip()
            elif line.startswith("calls="):
                in_call = True
                if called in ALLOCATOR:
                    calls += int(line[6:].split()[0])
            else:
                found = cost.match(line)
                if found and in_call:
                    in_call = False
                elif found:
                    own[function] = own.get(function, 0) + int(found[1])
    return sum(own.values()), calls, own


def run(options):
    if shutil.which("valgrind") is None:
        raise Failed("valgrind is not installed")
    names = options.tests.lower().split(",") if options.tests else None
    loads = [parse_load(load) for load in (options.loads or "c50,p16").split(",")]
    with Folder(options) as folder:
        port = folder.ports(1)[0]
        print("| command | clients | pipeline | instructions | calls of the allocator |\n|---|--:|--:|--:|--:|")
        for name, setup, command in COMMANDS:
            if names and name.lower() not in names:
                continue
            for clients, pipeline in loads:
                few, many = (counted(options, port, setup, command, n, clients, pipeline)
                             for n in (FEW, MANY))
                n = MANY - FEW
                print("| %s | %d | %d | %.0f | %.2f |" % (name, clients, pipeline, (many[0] - few[0]) / n, (many[1] - few[1]) / n), flush=True)
                if options.keep:
                    cost = {f: (many[2].get(f, 0) - few[2].get(f, 0)) / n for f in many[2]}
                    for f in sorted(cost, key=cost.get, reverse=True)[:40]:
                        print("    %7.1f %s" % (cost[f], f))
    return 0
