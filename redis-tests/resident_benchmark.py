"""redis-benchmark, unmodified: its default tests must run to their end, report each test, and leave behind the data they claim
to have written. How fast it was is not judged here. (`--cluster` refuses a cluster with one master, Redis's own too, and ours has
one.)
"""
import csv
import re
import subprocess
import sys

import residents
from residents import resp

RUN_S_MAX = 240
TOOL = "redis-benchmark"


def bench(server, *options):
    """Its rows for --csv: {test: requests per second}. An error reply ends redis-benchmark with a message."""
    done = subprocess.run([TOOL, "-h", server.host, "-p", str(server.port), "--csv"] + [str(o) for o in options],
                          capture_output=True, text=True, timeout=RUN_S_MAX, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, "exit status %d: %s%s" % (done.returncode, done.stdout[-500:], done.stderr[-500:])
    assert "rror" not in done.stdout + done.stderr, done.stdout + done.stderr
    return {row["test"]: float(row["rps"]) for row in csv.DictReader(done.stdout.splitlines())}


def calls(server, command):
    text = resp(server, "INFO", "commandstats")
    match = re.search(rb"cmdstat_%s:calls=(\d+)" % command.encode(), text)
    return int(match.group(1)) if match else 0


def test_default_string_tests(server):
    resp(server.leader, "CONFIG", "RESETSTAT")
    rates = bench(server, "-t", "ping,set,get,incr,mset", "-n", 10000, "-c", 50)
    assert sorted(rates) == ["GET", "INCR", "MSET (10 keys)", "PING_INLINE", "PING_MBULK", "SET"], rates
    assert all(rate > 0 for rate in rates.values()), rates
    assert resp(server, "GET", "counter:__rand_int__").startswith(b"$5\r\n10000\r\n")
    assert resp(server, "STRLEN", "key:__rand_int__") == b":3\r\n"
    count = {name: calls(server.leader, name) for name in ("set", "mset", "get")}
    assert count["set"] == 10000 and count["mset"] == 10000 and count["get"] >= 10000, count


def test_all_default_tests(server):
    rates = bench(server, "-n", 2000, "-c", 20, "-P", 4)
    expected = {"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP", "SADD", "HSET", "SPOP", "ZADD",
                "ZPOPMIN", "LPUSH (needed to benchmark LRANGE)", "LRANGE_100 (first 100 elements)",
                "LRANGE_300 (first 300 elements)", "LRANGE_500 (first 500 elements)", "LRANGE_600 (first 600 elements)",
                "MSET (10 keys)"}
    assert set(rates) == expected and all(rate > 0 for rate in rates.values()), rates
    assert resp(server, "LLEN", "mylist").startswith(b":20")
    scripted = bench(server, "-n", 2000, "-c", 10, "-P", 4, "EVAL", "return redis.call('INCR', KEYS[1])", 1, "scripted")
    assert len(scripted) == 1 and int(resp(server, "GET", "scripted").split(b"\r\n")[1]) >= 2000


def test_pipelined(server):
    rates = bench(server, "-t", "set,get,incr", "-n", 50000, "-c", 20, "-P", 32)
    assert len(rates) == 3
    # With -P the last batch may go over by what was in flight on each connection.
    match = re.match(rb"\$\d+\r\n(\d+)\r\n", resp(server, "GET", "counter:__rand_int__"))
    assert match and 50000 <= int(match.group(1)) < 50000 + 20 * 32


def test_random_keys(server):
    bench(server, "-t", "set", "-n", 5000, "-r", 1000, "-c", 20, "-P", 4)
    keys = int(resp(server, "DBSIZE")[1:])
    assert 900 < keys <= 1000, keys
    bench(server, "-t", "mset", "-n", 1000, "-r", 100000, "-c", 10)
    assert int(resp(server, "DBSIZE")[1:]) > 5000


def test_threads(server):
    rates = bench(server, "-t", "set,get,incr", "-n", 20000, "-c", 50, "--threads", 2, "-P", 8)
    assert len(rates) == 3 and all(rate > 0 for rate in rates.values())
    match = re.match(rb"\$\d+\r\n(\d+)\r\n", resp(server, "GET", "counter:__rand_int__"))
    assert match and 20000 <= int(match.group(1)) < 20000 + 50 * 8


def test_large_values(server):
    bench(server, "-t", "set,get", "-n", 500, "-d", 100000, "-c", 10)
    assert resp(server, "STRLEN", "key:__rand_int__") == b":100000\r\n"


def test_own_command(server):
    rates = bench(server, "-n", 3000, "-r", 50, "APPEND", "log:__rand_int__", "x")
    assert len(rates) == 1
    assert int(resp(server, "DBSIZE")[1:]) == 50


def test_resp3_and_idle(server):
    assert len(bench(server, "-3", "-t", "ping_mbulk,set,get", "-n", 2000)) == 3
    assert len(bench(server, "-t", "ping_inline,get", "-n", 2000, "-k", 0, "-c", 10)) == 2


def test_quiet_report(server):
    done = subprocess.run([TOOL, "-h", server.host, "-p", str(server.port), "-q", "-t", "set,get", "-n", "3000"],
                          capture_output=True, text=True, timeout=RUN_S_MAX)
    assert done.returncode == 0
    assert len(re.findall(r"(SET|GET): [\d.]+ requests per second, p50=[\d.]+ msec", done.stdout)) == 2, done.stdout


def run(server, _args):
    return residents.run_all(residents.tests_of(sys.modules[__name__]), server)
