"""redis-cli, unmodified: used as scripts use it, as administrators use it, and typed at through a terminal.

Covers what its modes ask of a server: COMMAND DOCS for help and hints, SCAN with MEMORY USAGE and STRLEN for the
key surveys, INFO for the statistics, ECHO as the end mark of mass insertion, HELLO 3 for maps and JSON.
"""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

import residents
from residents import resp

RUN_S_MAX = 120
TOOL = "redis-cli"


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("REDISCLI")}
    env.update(TERM="xterm", HOME=tempfile.gettempdir(), REDISCLI_HISTFILE="/dev/null", **more)
    return env


def start(server, *options, **kwargs):
    return subprocess.Popen([TOOL, "-h", server.host, "-p", str(server.port)] + [str(o) for o in options],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=kwargs.pop("env", environment()),
                            **kwargs)


def cli(server, *options, stdin=b"", status=0, env=None):
    """What it prints, as text."""
    p = start(server, *options, stdin=subprocess.PIPE, env=env or environment())
    out, _ = p.communicate(stdin, timeout=RUN_S_MAX)
    assert p.returncode == status, "exit status %d: %r" % (p.returncode, out)
    return out.decode(errors="surrogateescape")


class Terminal:
    """redis-cli at the other end of a pseudo terminal."""

    def __init__(self, server, *options):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # Without a size it would ask the terminal for the cursor's place and wait for an answer.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
            os.execvpe(TOOL, [TOOL, "-h", server.host, "-p", str(server.port)] + list(options), environment())

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern):
        """Read until the pattern shows, and give what was read; what comes later is kept for the next call."""
        deadline = time.monotonic() + 30
        while True:
            text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.seen)
            match = re.search(pattern, text)
            if match:
                self.seen = text[match.end():]
                return match
            assert time.monotonic() < deadline, "not seen: %r in %r" % (pattern, text[-2000:])
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError as e:  # the other end is closed
                    raise AssertionError("it ended, not seen: %r in %r" % (pattern, text[-2000:])) from e

    def prompt(self, database="", who=r"[\w.]+:\d+"):
        """Typing before the prompt shows would be lost: redis-cli drops pending input when it starts to edit a line."""
        return self.expect(r"%s%s> \s*$" % (who, re.escape(database)))

    def say(self, line, pattern, database="", **kwargs):
        self.type(line + "\r")
        match = self.expect(pattern)
        self.prompt(database, **kwargs)
        return match

    def ended(self):
        """Its exit status, once it is gone."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = None
                return os.waitstatus_to_exitcode(status)
        raise AssertionError("it does not end")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


# --- in scripts ------------------------------------------------------------------------------------------------------

def test_one_command(server):
    assert cli(server, "SET", "k", "v") == "OK\n"
    assert cli(server, "GET", "k") == "v\n"
    assert cli(server, "GET", "none") == "\n"
    assert cli(server, "INCR", "n") == "1\n"
    assert cli(server, "MGET", "k", "none", "n") == "v\n\n1\n"
    assert cli(server, "--no-raw", "MGET", "k", "none", "n") == '1) "v"\n2) (nil)\n3) "1"\n'
    assert cli(server, "--no-raw", "INCR", "n") == "(integer) 2\n"
    assert cli(server, "--no-raw", "KEYS", "nothing*") == "(empty array)\n"
    assert cli(server, "--csv", "MGET", "k", "none", "n") == '"v",NULL,"2"\n'
    assert cli(server, "INCR", "k") == "ERR value is not an integer or out of range\n\n"
    assert "ERR unknown command 'NOSUCH'" in cli(server, "-e", "NOSUCH", status=1)


def test_databases_and_uri(server):
    assert cli(server, "-n", "5", "SET", "k", "five") == "OK\n"
    assert cli(server, "GET", "k") == "\n"
    assert cli(server, "-u", "redis://%s:%d/5" % (server.host, server.port), "GET", "k") == "five\n"
    assert cli(server, "-n", "5", "DBSIZE") == "1\n"
    assert "DB index is out of range" in cli(server, "-n", "99", "GET", "k")


def test_password(server):
    assert cli(server, "CONFIG", "SET", "requirepass", "s3cret") == "OK\n"
    try:
        assert cli(server, "GET", "k") == "NOAUTH Authentication required.\n\n"
        assert cli(server, "-a", "s3cret", "--no-auth-warning", "SET", "k", "v") == "OK\n"
        assert cli(server, "--user", "default", "--pass", "s3cret", "--no-auth-warning", "GET", "k") == "v\n"
        assert cli(server, "GET", "k", env=environment(REDISCLI_AUTH="s3cret")) == "v\n"
        assert "AUTH failed: WRONGPASS" in cli(server, "-a", "no", "--no-auth-warning", "GET", "k")
    finally:
        cli(server, "-a", "s3cret", "--no-auth-warning", "CONFIG", "SET", "requirepass", "")


def test_standard_input(server):
    binary = bytes(range(256)) * 300
    assert cli(server, "-x", "SET", "k", stdin=binary) == "OK\n"
    assert cli(server, "--raw", "GET", "k") == (binary + b"\n").decode(errors="surrogateescape")
    assert cli(server, "-X", "TAG", "SET", "TAG", "v", stdin=b"key from stdin") == "OK\n"
    assert cli(server, "GET", "key from stdin") == "v\n"
    script = b"SET a 1\nINCR a\nGET a\n# nothing\nECHO \"two words\\x00\"\nNOSUCH\nGET a\n"
    out = cli(server, stdin=script).split("\n")
    assert out[:3] == ["OK", "2", "2"] and "two words\0" in out and out[-2] == "2", out


def test_repeat(server):
    assert cli(server, "-r", "5", "INCR", "n") == "1\n2\n3\n4\n5\n"
    assert cli(server, "-r", "3", "-i", "0.01", "INCR", "n") == "6\n7\n8\n"
    assert cli(server, stdin=b"4 INCR n\n") == "9\n10\n11\n12\n"


def test_resp3_and_json(server):
    assert cli(server, "-3", "--no-raw", "CONFIG", "GET", "maxmemory") == '1# "maxmemory" => "0"\n'
    assert json.loads(cli(server, "-3", "--json", "CONFIG", "GET", "maxmemory")) == {"maxmemory": "0"}
    assert json.loads(cli(server, "--json", "CONFIG", "GET", "maxmemory")) == {"maxmemory": "0"}
    resp(server, "MSET", "a", "x\"y\n", "b", 2)
    assert json.loads(cli(server, "--json", "MGET", "a", "none", "b")) == ["x\"y\n", None, "2"]
    assert json.loads(cli(server, "--json", "EXISTS", "a")) == 1
    hello = json.loads(cli(server, "--json", "HELLO", "3"))
    assert hello["role"] == {"slave": "replica"}.get(server.role, server.role)
    assert hello["proto"] == 3 and hello["server"] == "redis" and hello["modules"] == []
    info = json.loads(cli(server, "--json", "COMMAND", "INFO", "get"))
    assert info[0][:2] == ["get", 2] and info[0][3:6] == [1, 1, 1]
    docs = json.loads(cli(server, "--json", "COMMAND", "DOCS", "get"))
    assert docs["get"]["group"] == "string" and docs["get"]["since"] == "1.0.0" and docs["get"]["summary"]
    assert cli(server, "-2", "--json", "CONFIG", "GET", "maxmemory") == '["maxmemory","0"]\n'


def test_mass_insertion(server):
    rows = b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\nkey:%d\r\n$%d\r\n%d\r\n" % (len(b"key:%d" % i), i, len(b"%d" % i), i)
                    for i in range(20000))
    out = cli(server, "--pipe", stdin=rows)
    assert "errors: 0, replies: 20000" in out and "Last reply received from server." in out, out
    assert cli(server, "DBSIZE") == "20000\n" and cli(server, "GET", "key:19999") == "19999\n"
    out = cli(server, "--pipe", stdin=b"SET x 1\r\nINCR key:1 too many\r\nGET x\r\n", status=1)
    assert "errors: 1, replies: 3" in out and "wrong number of arguments for 'incr' command" in out, out


# --- surveys and statistics ------------------------------------------------------------------------------------------

def fill(server, count):
    words = ["MSET"]
    for i in range(count):
        words += ["key:%d" % i, "v" * (i % 50 + 1)]
    assert resp(server, *words) == b"+OK\r\n"
    assert resp(server, "SET", "giant", "x" * 100000) == b"+OK\r\n"


def test_scan(server):
    fill(server, 3000)
    assert sorted(cli(server, "--scan").split()) == sorted(["giant"] + ["key:%d" % i for i in range(3000)])
    assert sorted(cli(server, "--scan", "--pattern", "key:29?").split()) == ["key:29%d" % i for i in range(10)]


def test_bigkeys(server):
    fill(server, 1000)
    out = cli(server, "--bigkeys")
    assert 'Biggest string found \'"giant"\' has 100000 bytes' in out, out
    assert "Sampled 1001 keys in the keyspace!" in out and "1001 strings with 125500 bytes" in out, out


def test_memkeys(server):
    fill(server, 500)
    out = cli(server, "--memkeys")
    match = re.search(r'Biggest string found \'"giant"\' has (\d+) bytes', out)
    assert match and 100000 <= int(match.group(1)) < 200000, out
    assert "Sampled 501 keys in the keyspace!" in out


def fill_types(server):
    for words in (["RPUSH", "list"] + ["x"] * 70, ["HSET", "hash", "a", 1, "b", 2], ["SADD", "set", 1, 2, 3],
                  ["ZADD", "zset", 1, "a", 2, "b"], ["XADD", "stream", "*", "f", "v"], ["SET", "string", "xyz"]):
        resp(server, *words)


def test_surveys_of_all_types(server):
    fill_types(server)
    out = cli(server, "--bigkeys")
    for line in ("Biggest   list found '\"list\"' has 70 items", "Biggest   hash found '\"hash\"' has 2 fields",
                 "Biggest    set found '\"set\"' has 3 members", "Biggest   zset found '\"zset\"' has 2 members",
                 "Biggest stream found '\"stream\"' has 1 entries", "Biggest string found '\"string\"' has 3 bytes"):
        assert line in out, (line, out)
    assert "Sampled 6 keys in the keyspace!" in cli(server, "--memkeys", "--memkeys-samples", "0")


def test_copies_of_the_data(server):
    """What --rdb and --functions-rdb bring is what redis-check-rdb takes, and says how much is in it."""
    def check(path):
        p = subprocess.run(["redis-check-rdb", path], stdout=subprocess.PIPE, check=False)
        assert p.returncode == 0, p.stdout
        return p.stdout.decode()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "copy.rdb")
        cli(server, "EVAL", "for i = 1, 3000 do redis.call('SET', i, ('x'):rep(300)) redis.call('HSET', 'h', i, i) end", 0)
        cli(server, "SET", "short", "x", "EX", "1000")
        cli(server, "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
        assert "Transfer finished with success" in cli(server, "--rdb", path)
        said = check(path)
        assert "3002 keys read" in said and "1 expires" in said, said
        assert "Transfer finished with success" in cli(server, "--functions-rdb", path)
        assert "0 keys read" in check(path)
        with open(path, "rb") as f:
            assert b"register_function" in f.read()
        cli(server, "FUNCTION", "FLUSH")
        cli(server, "FLUSHALL")


def test_scripts(server):
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as f:
        f.write("return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}\n")
        f.flush()
        assert cli(server, "--eval", f.name, "k", ",", "a b") == "k\na b\n1\n"
    assert cli(server, "EVAL", "return redis.call('GET', KEYS[1])", "1", "k") == "1\n"
    assert len(cli(server, "SCRIPT", "LOAD", "return 1").strip()) == 40
    library = b"#!lua name=mine\nredis.register_function('twice', function(keys, args) return args[1] .. args[1] end)\n"
    assert cli(server, "-x", "FUNCTION", "LOAD", "REPLACE", stdin=library) == "mine\n"
    dumped = cli(server, "-D", "", "FUNCTION", "DUMP").encode(errors="surrogateescape")
    assert cli(server, "FCALL", "twice", "0", "ab") == "abab\n" and cli(server, "FUNCTION", "FLUSH") == "OK\n"
    assert cli(server, "-x", "FUNCTION", "RESTORE", stdin=dumped) == "OK\n"
    assert cli(server, "FCALL", "twice", "0", "ab") == "abab\n" and cli(server, "FUNCTION", "DELETE", "mine") == "OK\n"


def test_subscriptions(server):
    with Terminal(server) as t:
        t.prompt()
        t.type("subscribe news other\r")
        t.expect(r'3\) \(integer\) 2')
        assert cli(server, "PUBLISH", "news", "hello") == "1\n"
        t.expect(r'1\) "message"\r\n2\) "news"\r\n3\) "hello"')
    p = start(server, "--csv", "PSUBSCRIBE", "n*", stdin=subprocess.DEVNULL)
    try:
        assert p.stdout.readline().startswith(b"Reading messages...")
        assert p.stdout.readline() == b'"psubscribe","n*",1\n'
        assert cli(server, "PUBLISH", "news", "a,b") == "1\n"
        assert p.stdout.readline() == b'"pmessage","n*","news","a,b"\n'
    finally:
        p.kill()
        p.communicate()


def test_monitor(server):
    p = start(server, "MONITOR", stdin=subprocess.DEVNULL)
    try:
        assert p.stdout.readline() == b"OK\n"
        resp(server, "SET", "seen", "a\nb")
        while b'"SET" "seen" "a\\nb"' not in p.stdout.readline():
            assert p.poll() is None
    finally:
        p.kill()
        p.communicate()


def test_latency_of_other_kinds(server):
    with Terminal(server, "--latency-dist", "-i", "0.2") as t:
        t.expect(r"\.")
    assert re.search(r"Max latency so far: \d+ microseconds", cli(server, "--intrinsic-latency", "1"))


def test_hotkeys(server):
    assert cli(server.leader, "CONFIG", "SET", "maxmemory-policy", "allkeys-lfu") == "OK\n"
    try:
        fill(server, 100)
        cli(server, "-r", "300", "GET", "giant")
        out = cli(server, "--hotkeys")
        assert "Sampled 101 keys in the keyspace!" in out, out
        assert re.search(r'hot key found with counter: \d+\tkeyname: "?giant', out), out
    finally:
        cli(server.leader, "CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_statistics(server):
    fill(server, 10)
    with Terminal(server, "--stat", "-i", "0.05") as t:
        t.expect(r"keys +mem +clients +blocked +requests +connections")
        for _ in range(3):
            t.expect(r"\n11 +[\d.]+[KMG] +\d+ +0 +\d+ \(\+\d+\) +\d+")


def test_latency(server):
    numbers = cli(server, "--latency", "-i", "0.3").split()
    assert len(numbers) == 4 and int(numbers[3]) > 0, numbers
    with Terminal(server, "--latency-history", "-i", "0.2") as t:
        for _ in range(2):
            t.expect(r"min: \d+, max: \d+, avg: [\d.]+ \(\d+ samples\) -- ")


def test_server_questions(server):
    assert "# Keyspace" in cli(server, "INFO") and "redis_version:7.0." in cli(server, "INFO", "server")
    assert cli(server, "CONFIG", "GET", "databases") == "databases\n16\n"
    assert cli(server, "CLIENT", "LIST").count("cmd=client|list") == 1
    assert "Unknown subcommand" not in cli(server, "MEMORY", "DOCTOR")
    assert {"get", "set", "config|get", "client|list", "scan"} <= set(cli(server, "COMMAND", "LIST").split("\n"))
    for name in ("CLIENT", "CONFIG", "COMMAND", "OBJECT", "MEMORY", "SLOWLOG", "LATENCY"):
        assert cli(server, name, "HELP").startswith("%s <subcommand>" % name), name


# --- at a terminal ---------------------------------------------------------------------------------------------------

def test_interactive(server):
    with Terminal(server) as t:
        t.prompt(who=re.escape("%s:%d" % (server.host, server.port)))
        t.say("set foo bar", r"\r\nOK\r\n")
        t.say("get foo", r'\r\n"bar"\r\n')
        t.say("get none", r"\r\n\(nil\)\r\n")
        t.say("incr n", r"\r\n\(integer\) 1\r\n")
        t.say("incr foo", r"\r\n\(error\) ERR value is not an integer or out of range\r\n")
        t.say("mget foo none", r'\r\n1\) "bar"\r\n2\) \(nil\)\r\n')
        t.say('set "a b" "\\x00\\xff"', r"\r\nOK\r\n")
        t.say('get "a b"', r'\r\n"\\x00\\xff"\r\n')
        t.say("select 3", r"\r\nOK\r\n", database="[3]")
        t.say("get foo", r"\r\n\(nil\)\r\n", database="[3]")
        t.say("3 incr n", r"\(integer\) 1\r\n\(integer\) 2\r\n\(integer\) 3\r\n", database="[3]")
        t.type("quit\r")
        assert t.ended() == 0


def test_help_and_hints(server):
    """Both come from COMMAND DOCS of this server, not from redis-cli itself."""
    with Terminal(server) as t:
        t.prompt()
        t.say("help getrange", r"GETRANGE key start end[\s\S]*summary: [\s\S]*since: 2\.4\.0[\s\S]*group: string")
        t.say("help config set", r"CONFIG SET parameter value")
        t.say("help @string", r"APPEND key value[\s\S]*summary[\s\S]*STRLEN key[\s\S]*since")
        t.type("setrange ")
        t.expect(r"key offset value")
        t.type("k 0 x\r")
        t.expect(r"\(integer\) 1")
        t.prompt()
        t.type("getd\t")
        t.expect(r"(?i)getdel")


def test_reconnects(server):
    with Terminal(server) as t:
        t.prompt()
        me = t.say("client id", r"\(integer\) (\d+)").group(1)
        assert resp(server, "CLIENT", "KILL", "ID", me) == b":1\r\n"
        # It finds out at the next command, and connects again at the one after.
        t.say("ping", r"Server closed the connection", who="not connected")
        t.say("set back again", r"\r\nOK\r\n")
        assert t.say("client id", r"\(integer\) (\d+)").group(1) != me
    assert cli(server, "GET", "back") == "again\n"


def test_resp3_at_the_terminal(server):
    with Terminal(server) as t:
        t.prompt()
        t.say("hello 3", r'"proto" => \(integer\) 3')
        t.say("config get databases", r'1# "databases" => "16"')
        t.say("get none", r"\(nil\)")
        t.say("hello 2", r'"proto"\r\n\s*6\) \(integer\) 2')


def run(server, _args):
    return residents.run_all(residents.tests_of(sys.modules[__name__]), server)
