"""redis-py as Debian ships it, unmodified: the methods for each type, for transactions, scripts, subscriptions and the server,
through the parsers and callbacks that its users rely on, asserting on values.

The plain client first, then pipelines, waiting, scripts, subscriptions, pools, decoding and asyncio.
"""
import asyncio
import concurrent.futures
import sys
import threading
import time

import redis
import redis.asyncio
from redis.utils import str_if_bytes

import residents
from residents import raises

EVERY_BYTE = bytes(range(256))


def client(server, **kwargs):
    return redis.Redis(server.host, server.port, **kwargs)


# --- strings ---------------------------------------------------------------------------------------------------------

def test_set_and_get(server):
    r = client(server)
    assert r.set("k", "v") is True
    assert r.get("k") == b"v"
    assert r.get("none") is None
    assert r["k"] == b"v"
    r["k2"] = 7
    assert r.get("k2") == b"7"
    assert "k2" in r
    del r["k2"]
    assert "k2" not in r
    r.set("", "empty key")
    assert r.get("") == b"empty key"


def test_set_options(server):
    r = client(server)
    assert r.set("k", "1", nx=True) is True
    assert r.set("k", "2", nx=True) is None
    assert r.set("absent", "2", xx=True) is None
    assert r.set("k", "3", xx=True, get=True) == b"1"
    assert r.set("k", "4", ex=100) and 0 < r.ttl("k") <= 100
    assert r.set("k", "5", keepttl=True) and 0 < r.ttl("k") <= 100
    assert r.set("k", "6", px=50000) and 0 < r.pttl("k") <= 50000
    assert r.set("k", "7") and r.ttl("k") == -1
    at = int(time.time()) + 1000
    assert r.set("k", "8", exat=at) and r.execute_command("EXPIRETIME", "k") == at
    assert r.set("k", "9", pxat=at * 1000) and r.execute_command("PEXPIRETIME", "k") == at * 1000
    assert r.set("k", "old", get=True) == b"9"
    raises(redis.ResponseError, "invalid expire time in 'set' command", r.set, "k", "v", ex=0)
    raises(redis.ResponseError, "syntax error", r.execute_command, "SET", "k", "v", "NX", "XX")
    raises(redis.ResponseError, "syntax error", r.execute_command, "SET", "k", "v", "EX", "1", "PX", "1")
    raises(redis.ResponseError, "value is not an integer or out of range", r.execute_command, "SET", "k", "v", "EX", "x")


def test_binary_safe(server):
    r = client(server)
    r.set(EVERY_BYTE, EVERY_BYTE[::-1])
    assert r.get(EVERY_BYTE) == EVERY_BYTE[::-1]
    assert r.keys() == [EVERY_BYTE]
    r.set("crlf", b"\r\n$3\r\nfoo\r\n")
    assert r.get("crlf") == b"\r\n$3\r\nfoo\r\n"
    for size in (0, 1, 1023, 16384, 65537, 5 << 20):
        value = (EVERY_BYTE * (size // 256 + 1))[:size]
        r.set("sized", value)
        assert r.get("sized") == value, size
        assert r.strlen("sized") == size


def test_append_and_ranges(server):
    r = client(server)
    assert r.append("k", "Hello") == 5
    assert r.append("k", " World") == 11
    assert r.getrange("k", 0, 4) == b"Hello"
    assert r.getrange("k", -5, -1) == b"World"
    assert r.getrange("k", 5, 2) == b""
    assert r.getrange("none", 0, -1) == b""
    assert r.substr("k", 6) == b"World"
    assert r.setrange("k", 6, "Redis") == 11
    assert r.get("k") == b"Hello Redis"
    assert r.setrange("pad", 3, "x") == 4
    assert r.get("pad") == b"\0\0\0x"
    assert r.setrange("none", 0, "") == 0 and not r.exists("none")
    assert r.strlen("k") == 11 and r.strlen("none") == 0
    raises(redis.ResponseError, "offset is out of range", r.setrange, "k", -1, "x")
    raises(redis.ResponseError, "string exceeds maximum allowed size", r.setrange, "k", 2 ** 29, "x")


def test_counters(server):
    r = client(server)
    assert r.incr("n") == 1
    assert r.incr("n", 10) == 11
    assert r.incrby("n", -1) == 10
    assert r.decr("n") == 9
    assert r.decr("n", 4) == 5
    assert r.decrby("n", 5) == 0
    assert r.incrbyfloat("f", 10.5) == 10.5
    assert r.incrbyfloat("f", "-5.0e3") == -4989.5
    assert r.get("f") == b"-4989.5"
    r.set("max", 2 ** 63 - 1)
    raises(redis.ResponseError, "increment or decrement would overflow", r.incr, "max")
    r.set("s", "abc")
    raises(redis.ResponseError, "value is not an integer or out of range", r.incr, "s")
    raises(redis.ResponseError, "value is not a valid float", r.incrbyfloat, "s", 1)
    r.set("space", " 11")
    raises(redis.ResponseError, "value is not an integer or out of range", r.incr, "space")
    raises(redis.ResponseError, "decrement would overflow", r.execute_command, "DECRBY", "n", -2 ** 63)


def test_many_keys(server):
    r = client(server)
    assert r.mset({"a": 1, "b": 2, "c": b"\x00"}) is True
    assert r.mget("a", "none", "b", "c") == [b"1", None, b"2", b"\x00"]
    assert r.mget(["a", "b"]) == [b"1", b"2"]
    assert r.msetnx({"d": 1, "a": 9}) is False
    assert r.get("d") is None
    assert r.msetnx({"d": 1, "e": 2}) is True
    many = {"key:%d" % i: str(i) for i in range(2000)}
    assert r.mset(many)
    assert r.mget(list(many)) == [v.encode() for v in many.values()]
    assert r.delete(*many) == 2000
    raises(redis.ResponseError, "wrong number of arguments for 'mset' command", r.execute_command, "MSET", "a", 1, "b")


def test_get_and_change(server):
    r = client(server)
    assert r.getset("k", "1") is None
    assert r.getset("k", "2") == b"1"
    assert r.getex("k", ex=100) == b"2" and 0 < r.ttl("k") <= 100
    assert r.getex("k", persist=True) == b"2" and r.ttl("k") == -1
    assert r.getex("k", px=100000) == b"2" and 0 < r.ttl("k") <= 100
    at = int(time.time()) + 500
    assert r.getex("k", exat=at) == b"2" and 0 < r.ttl("k") <= 500
    assert r.getex("k") == b"2" and r.ttl("k") > 0
    assert r.getdel("k") == b"2" and r.getdel("k") is None
    assert r.setnx("k", "1") is True and r.setnx("k", "2") is False
    assert r.setex("k", 60, "3") is True and 0 < r.ttl("k") <= 60
    assert r.psetex("k", 60000, "4") is True and 0 < r.pttl("k") <= 60000
    raises(redis.ResponseError, "invalid expire time in 'setex' command", r.setex, "k", 0, "v")
    raises(redis.ResponseError, "invalid expire time in 'psetex' command", r.psetex, "k", -1, "v")


def test_lcs(server):
    r = client(server)
    r.mset({"a": "ohmytext", "b": "mynewtext"})
    assert r.execute_command("LCS", "a", "b") == b"mytext"
    assert r.execute_command("LCS", "a", "b", "LEN") == 6
    assert r.execute_command("LCS", "a", "b", "IDX") == [b"matches", [[[4, 7], [5, 8]], [[2, 3], [0, 1]]], b"len", 6]
    assert r.execute_command("LCS", "a", "b", "IDX", "MINMATCHLEN", 4, "WITHMATCHLEN") == \
        [b"matches", [[[4, 7], [5, 8], 4]], b"len", 6]


# --- hashes and sets -------------------------------------------------------------------------------------------------

def test_hashes(server):
    r = client(server)
    assert r.hset("h", "f", "v") == 1
    assert r.hset("h", mapping={"f": "w", "g": 1, b"\x00\r\n": EVERY_BYTE}) == 2
    assert r.hget("h", "f") == b"w" and r.hget("h", "none") is None
    assert r.hgetall("h") == {b"f": b"w", b"g": b"1", b"\x00\r\n": EVERY_BYTE}
    assert r.hgetall("none") == {}
    assert r.hmget("h", ["g", "none", "f"]) == [b"1", None, b"w"]
    assert sorted(r.hkeys("h")) == [b"\x00\r\n", b"f", b"g"] and sorted(r.hvals("h")) == [EVERY_BYTE, b"1", b"w"]
    assert r.hlen("h") == 3 and r.hstrlen("h", "f") == 1
    assert r.hexists("h", "f") is True and r.hexists("h", "none") is False
    assert r.hincrby("h", "g", 41) == 42 and r.hincrbyfloat("h", "g", 0.5) == 42.5
    assert r.hsetnx("h", "f", "x") == 0 and r.hsetnx("h", "new", "x") == 1
    assert r.hdel("h", "f", "new", "none") == 2
    assert r.hrandfield("h") in (b"g", b"\x00\r\n")
    assert sorted(r.hrandfield("h", 5)) == [b"\x00\r\n", b"g"] and len(r.hrandfield("h", -7)) == 7
    pairs = r.hrandfield("h", 2, withvalues=True)
    assert dict(zip(pairs[::2], pairs[1::2])) == {b"g": b"42.5", b"\x00\r\n": EVERY_BYTE}
    many = {b"field:%d" % i: b"%d" % i for i in range(3000)}
    assert r.hset("big", mapping=many) == 3000
    assert r.hgetall("big") == many
    assert dict(r.hscan_iter("big", count=100)) == many
    assert dict(r.hscan_iter("big", match="field:12?")) == {b"field:%d" % i: b"%d" % i for i in range(120, 130)}
    assert r.object("ENCODING", "h") == b"hashtable" and r.object("ENCODING", "big") == b"hashtable"
    raises(redis.ResponseError, "WRONGTYPE", r.get, "h")


def test_sets(server):
    r = client(server)
    assert r.sadd("s", 1, 2, 3) == 3 and r.sadd("s", 3, "x") == 1
    assert r.smembers("s") == {b"1", b"2", b"3", b"x"} and r.smembers("none") == set()
    assert r.sismember("s", 2) and not r.sismember("s", 4)
    assert r.smismember("s", [1, 9]) == [1, 0]
    assert r.scard("s") == 4 and r.srem("s", "x", "none") == 1
    assert r.sadd("t", 2, 3, 4) == 3
    assert r.sinter("s", "t") == {b"2", b"3"} and r.sunion("s", "t") == {b"1", b"2", b"3", b"4"}
    assert r.sdiff("s", "t") == {b"1"} and r.sintercard(2, ["s", "t"]) == 2
    assert r.sinterstore("d", "s", "t") == 2 and r.sunionstore("d", "s", "t") == 4 and r.sdiffstore("d", "s", "t") == 1
    assert r.smembers("d") == {b"1"}
    assert r.smove("s", "t", 1) and not r.smove("s", "t", 1)
    assert r.srandmember("s") in (b"2", b"3") and len(r.srandmember("s", -5)) == 5
    assert r.spop("none") is None and r.spop("s") in (b"2", b"3") and len(r.spop("s", 5)) == 1 and not r.exists("s")
    many = {b"member:%d" % i for i in range(3000)}
    assert r.sadd("big", *many) == 3000
    assert set(r.sscan_iter("big", count=100)) == many
    half = set(r.spop("big", 1500))
    assert len(half) == 1500 and half | r.smembers("big") == many
    assert list(r.sort("t")) == [b"1", b"2", b"3", b"4"]


# --- generic ---------------------------------------------------------------------------------------------------------

def test_keys_exist_and_go(server):
    r = client(server)
    r.mset({"one": 1, "two": 2, "three": 3, "h[x]": 4})
    assert r.exists("one", "two", "none", "one") == 3
    assert r.delete("one", "none") == 1
    assert r.unlink("two", "none") == 1
    assert r.touch("three", "none") == 1
    assert sorted(r.keys("*")) == [b"h[x]", b"three"]
    assert r.keys("t?r*") == [b"three"]
    assert r.keys("h\\[x\\]") == [b"h[x]"]
    assert r.keys("[^t]*") == [b"h[x]"]
    assert r.type("three") == b"string" and r.type("none") == b"none"
    assert r.randomkey() in (b"three", b"h[x]")
    assert r.dbsize() == 2
    r.flushdb()
    assert r.randomkey() is None and r.dbsize() == 0


def test_expiry(server):
    r = client(server)
    r.set("k", "v")
    assert r.ttl("k") == -1 and r.pttl("k") == -1 and r.ttl("none") == -2 and r.pttl("none") == -2
    assert r.expire("k", 100) is True and 0 < r.ttl("k") <= 100
    assert r.pexpire("k", 90000) is True and 0 < r.pttl("k") <= 90000
    at = int(time.time()) + 300
    assert r.expireat("k", at) is True and 0 < r.ttl("k") <= 300
    assert r.pexpireat("k", at * 1000 + 5) is True and r.execute_command("PEXPIRETIME", "k") == at * 1000 + 5
    assert r.execute_command("EXPIRETIME", "k") == at
    assert r.execute_command("EXPIRETIME", "none") == -2
    assert r.persist("k") is True and r.persist("k") is False
    assert r.execute_command("PEXPIRETIME", "k") == -1
    assert r.expire("none", 10) is False
    assert r.execute_command("EXPIRE", "k", 100, "XX") == 0
    assert r.execute_command("EXPIRE", "k", 100, "NX") == 1
    assert r.execute_command("EXPIRE", "k", 50, "GT") == 0
    assert r.execute_command("EXPIRE", "k", 50, "LT") == 1
    raises(redis.ResponseError, "NX and XX, GT or LT options at the same time are not compatible",
           r.execute_command, "EXPIRE", "k", 1, "NX", "XX")
    raises(redis.ResponseError, "Unsupported option", r.execute_command, "EXPIRE", "k", 1, "ZZ")
    assert r.expire("k", -1) is True and r.get("k") is None
    for _ in range(5):
        r.psetex("late", 100, "v")
        time.sleep(0.101)
        assert r.get("late") is None, "it is read by a clock that stands still"
    r.set("short", "v", px=30)
    deadline = time.monotonic() + 10
    while r.get("short") is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert r.get("short") is None and r.exists("short") == 0 and r.ttl("short") == -2


def test_rename_copy_move(server):
    r = client(server)
    r.set("a", "1", ex=1000)
    assert r.rename("a", "b") is True
    assert r.get("b") == b"1" and r.ttl("b") > 0 and r.get("a") is None
    r.set("c", "2")
    assert r.renamenx("b", "c") is False and r.renamenx("b", "d") is True
    raises(redis.ResponseError, "no such key", r.rename, "none", "x")
    assert r.copy("d", "e") == 1 and r.get("e") == b"1" and r.ttl("e") > 0
    assert r.copy("c", "e") == 0
    assert r.copy("c", "e", replace=True) == 1 and r.get("e") == b"2" and r.ttl("e") == -1
    assert r.copy("c", "c9", destination_db=9) == 1 and client(server, db=9).get("c9") == b"2"
    assert r.move("c", 9) == 1 and r.get("c") is None and client(server, db=9).get("c") == b"2"
    assert r.move("none", 9) == 0
    raises(redis.ResponseError, "source and destination objects are the same", r.move, "d", 0)
    raises(redis.ResponseError, "DB index is out of range", r.move, "d", 99)


def test_scan(server):
    r = client(server)
    keys = {b"key:%d" % i for i in range(3000)}
    r.mset({k: b"x" for k in keys})
    seen = []
    cursor = 0
    while True:
        cursor, page = r.scan(cursor, count=100)
        seen += page
        if cursor == 0:
            break
    assert set(seen) == keys
    assert set(r.scan_iter(match="key:12?", count=500)) == {b"key:12%d" % i for i in range(10)}
    assert set(r.scan_iter(match="key:7", _type="STRING")) == {b"key:7"}
    assert list(r.scan_iter(_type="LIST")) == []
    assert r.scan(0, match="nothing", count=100000) == (0, [])
    raises(redis.ResponseError, "invalid cursor", r.execute_command, "SCAN", "x")
    raises(redis.ResponseError, "syntax error", r.execute_command, "SCAN", "0", "COUNT", "0")


def test_dump_and_restore(server):
    r = client(server)
    for value in (b"v", b"12345", EVERY_BYTE * 400, b"", b"-1"):
        r.set("k", value)
        image = r.dump("k")
        assert image is not None and image[0] == 0
        raises(redis.ResponseError, "BUSYKEY Target key name already exists.", r.restore, "k", 0, image)
        r.delete("k")
        assert r.restore("k", 0, image) == b"OK" and r.get("k") == value and r.ttl("k") == -1
        assert r.restore("k", 60000, image, replace=True) == b"OK" and 0 < r.ttl("k") <= 60
        at = int(time.time() * 1000) + 600000
        assert r.restore("k", at, image, replace=True, absttl=True) == b"OK"
        assert r.execute_command("PEXPIRETIME", "k") == at
    broken = image[:-1] + bytes([image[-1] ^ 1])
    raises(redis.ResponseError, "DUMP payload version or checksum are wrong", r.restore, "k2", 0, broken)
    assert r.dump("none") is None


def test_object(server):
    r = client(server)
    r.mset({"i": 12, "short": "abc", "long": "x" * 100})
    assert r.object("encoding", "i") == b"int"
    assert r.object("encoding", "short") == b"embstr"
    assert r.object("encoding", "long") == b"raw"
    assert r.object("refcount", "short") == 1
    assert r.object("idletime", "short") in (0, 1)
    assert r.object("encoding", "none") is None


# --- connections -----------------------------------------------------------------------------------------------------

def test_ping_echo_select(server):
    r = client(server)
    assert r.ping() is True
    assert r.echo(EVERY_BYTE) == EVERY_BYTE
    one = client(server, db=1, single_connection_client=True)
    one.set("k", "in one")
    assert r.get("k") is None and client(server, db=1).get("k") == b"in one"
    assert one.select(2) is True and one.get("k") is None
    raises(redis.ResponseError, "DB index is out of range", one.select, 16)
    raises(redis.ResponseError, "value is not an integer or out of range", one.execute_command, "SELECT", "x")
    assert r.swapdb(1, 0) is True and r.get("k") == b"in one"
    assert str_if_bytes(one.execute_command("RESET")) == "RESET" and one.get("k") == b"in one"
    assert one.quit() in (b"OK", True)
    one.close()


def test_client_commands(server):
    r = client(server, client_name="first", single_connection_client=True)
    r.set("warm", "up")
    assert r.client_getname() == "first"
    assert r.client_setname("second") is True and r.client_getname() == "second"
    assert isinstance(r.client_id(), int) and r.client_id() == r.client_id()
    me = [c for c in r.client_list() if c["name"] == "second"]
    assert len(me) == 1 and me[0]["cmd"] == "client|list" and me[0]["db"] == "0" and int(me[0]["id"]) == r.client_id()
    assert set(me[0]) >= set("id addr laddr fd name age idle flags db sub psub multi qbuf cmd user redir resp".split())
    info = r.client_info()
    assert info["name"] == "second" and info["cmd"] == "client|info" and info["user"] == "default"
    assert [c["id"] for c in r.client_list(client_id=[str(r.client_id())])] == [str(r.client_id())]
    other = client(server, client_name="victim", single_connection_client=True)
    victim = other.client_id()
    assert r.client_kill_filter(_id=str(victim)) == 1
    assert all(c["id"] != str(victim) for c in r.client_list())
    raises(redis.ConnectionError, "Connection closed by server", other.ping)
    assert other.ping() is True and other.client_id() != victim
    raises(redis.ResponseError, "No such client", r.client_kill, "127.0.0.1:1")
    assert r.execute_command("CLIENT", "NO-EVICT", "OFF") == b"OK"
    assert r.client_pause(1) is True and r.client_unpause() in (True, b"OK")
    assert r.client_unblock(r.client_id()) is False
    raises(redis.ResponseError, "Client names cannot contain spaces, newlines or special characters",
           r.client_setname, "with space")
    raises(redis.ResponseError, "", r.execute_command, "CLIENT", "MAINT_NOTIFICATIONS", "ON")


def test_errors_have_their_kind(server):
    r = client(server)
    raises(redis.ResponseError, "unknown command 'NOSUCH', with args beginning with: 'a' 'b' ",
           r.execute_command, "NOSUCH", "a", "b")
    raises(redis.ResponseError, "wrong number of arguments for 'get' command", r.execute_command, "GET")
    raises(redis.ResponseError, "unknown subcommand 'nosuch'. Try CLIENT HELP.", r.execute_command, "CLIENT", "nosuch")
    raises(redis.ResponseError, "AUTH <password> called without any password configured",
           client(server, password="wrong").ping)
    assert r.ping() is True


def test_password(server):
    assert client(server).config_set("requirepass", "s3cret") is True
    try:
        raises(redis.AuthenticationError, "Authentication required.", client(server).get, "k")
        raises(redis.ResponseError, "WRONGPASS invalid username-password pair",
               client(server, password="no").get, "k")
        assert client(server, password="s3cret").ping() is True
        assert client(server, username="default", password="s3cret").ping() is True
        # Only the leader was told: neither log nor state holds a password.
        assert client(server.leader, password="s3cret").config_get("requirepass") == {"requirepass": "s3cret"}
    finally:
        client(server, password="s3cret").config_set("requirepass", "")
    assert client(server).ping() is True


def test_users(server):
    r = client(server)
    assert r.acl_setuser("reader", enabled=True, passwords=["+secret"], keys=["shared:*"], categories=["+@read"],
                         commands=["+ping", "+acl|whoami"])
    try:
        r.set("shared:k", "v")
        reader = client(server, username="reader", password="secret")
        assert reader.get("shared:k") == b"v" and reader.acl_whoami() == "reader"
        raises(redis.exceptions.NoPermissionError, "this user has no permissions to access one of the keys", reader.get, "other")
        raises(redis.exceptions.NoPermissionError, "this user has no permissions to run the 'set' command", reader.set, "shared:k", 1)
        raises(redis.ResponseError, "WRONGPASS", client(server, username="reader", password="no").ping)
        assert sorted(r.acl_users()) == ["default", "reader"] and r.acl_getuser("reader")["keys"] == ["~shared:*"]
    finally:
        assert r.acl_deluser("reader") == 1
    raises(redis.ResponseError, "WRONGPASS", client(server, username="reader", password="secret").ping)


# --- server ----------------------------------------------------------------------------------------------------------

def test_info(server):
    r = client(server)
    info = r.info()
    assert info["redis_version"].startswith("7.0.")
    assert info["redis_mode"] == "standalone" and info["role"] == server.role and info["loading"] == 0
    assert info["tcp_port"] == server.port and info["cluster_enabled"] == 0 and info["connected_clients"] >= 1
    assert info["used_memory"] > 0 and info["uptime_in_seconds"] >= 0 and len(info["run_id"]) == 40
    r = client(server.leader)   # who runs commands counts them, and is ahead of the others
    r.set("k", "v", ex=1000)
    db = r.info("keyspace")["db0"]
    assert db["keys"] == 1 and db["expires"] == 1 and 0 <= db["avg_ttl"] <= 1000000
    assert "redis_version" not in r.info("clients")
    r.config_resetstat()
    for _ in range(3):
        r.get("k")
    stats = r.info("commandstats")["cmdstat_get"]
    assert stats["calls"] == 3 and stats["failed_calls"] == 0 and stats["rejected_calls"] == 0
    hits = r.info("stats")
    assert hits["keyspace_hits"] == 3 and hits["keyspace_misses"] == 0
    assert r.info("everything")["cmdstat_get"]["calls"] == 3


def test_config(server):
    r = client(server)
    assert r.config_get("maxmemory") == {"maxmemory": "0"}
    assert set(r.config_get("slowlog-*")) == {"slowlog-log-slower-than", "slowlog-max-len"}
    before = r.config_get("slowlog-max-len")["slowlog-max-len"]
    assert r.config_set("slowlog-max-len", 99) is True
    assert r.config_get("slowlog-max-len") == {"slowlog-max-len": "99"}
    assert r.config_set("slowlog-max-len", before) is True
    assert r.config_resetstat() in (True, b"OK")
    both = r.config_get("timeout", "databases")
    assert both == {"timeout": "0", "databases": "16"}
    raises(redis.ResponseError, "Unknown option or number of arguments for CONFIG SET - 'nosuch'",
           r.config_set, "nosuch", 1)
    raises(redis.ResponseError, "CONFIG SET failed (possibly related to argument 'timeout')", r.config_set, "timeout", "x")


def test_command_introspection(server):
    r = client(server)
    commands = r.command()
    assert commands["get"]["arity"] == 2 and commands["get"]["first_key_pos"] == 1
    assert "readonly" in commands["get"]["flags"] and "fast" in commands["get"]["flags"]
    assert r.command_count() == len(commands)
    assert {b"get", b"set", b"config|get"} <= set(r.command_list())
    assert [str_if_bytes(k) for k in r.command_getkeys("MSET", "a", 1, "b", 2)] == ["a", "b"]
    assert r.execute_command("COMMAND", "INFO", "get", "mset")["mset"]["arity"] == -3


def test_slowlog(server):
    r = client(server.leader)   # each node has its own; commands are in that of the node that ran them
    before = r.config_get("slowlog-log-slower-than")["slowlog-log-slower-than"]
    r.config_set("slowlog-log-slower-than", 0)
    try:
        r.slowlog_reset()
        r.set("slow", "poke")
        logged = r.slowlog_get()
        found = [e for e in logged if e["command"] == b"SET slow poke"]
        assert len(found) == 1 and found[0]["duration"] >= 0 and found[0]["start_time"] > 0
        assert len(r.slowlog_get(1)) == 1 and r.slowlog_len() >= 2
        assert r.slowlog_reset() is True
    finally:
        r.config_set("slowlog-log-slower-than", before)


def test_server_state(server):
    r = client(server)
    now, micros = r.time()
    assert abs(now - time.time()) < 5 and 0 <= micros < 1000000
    assert r.lastsave().year >= 2020
    assert r.role()[0] == server.role.encode()
    assert r.dbsize() == 0
    r.set("k", "v")
    client(server, db=3).set("k", "v")
    assert r.flushdb() is True and client(server, db=3).dbsize() == 1
    assert r.flushall(asynchronous=True) is True and client(server, db=3).dbsize() == 0
    r.set("k", "v" * 1000)
    assert 1000 <= r.memory_usage("k") < 3000 and r.memory_usage("none") is None
    until(lambda: r.memory_stats()["keys.count"] == 1)      # a follower's own, a moment later
    assert r.memory_purge() is True
    assert b"Redis ver" in r.lolwut()
    assert r.execute_command("LATENCY", "LATEST") == [] and r.execute_command("LATENCY", "RESET") == 0


# --- the client's machinery ------------------------------------------------------------------------------------------

def test_pipeline(server):
    r = client(server)
    with r.pipeline(transaction=False) as p:
        p.set("a", 1).incr("a").get("a").get("none").mget("a", "none").expire("a", 100).ttl("a")
        got = p.execute()
        assert got[:6] == [True, 2, b"2", None, [b"2", None], True] and 0 < got[6] <= 100
        p.set("s", "text").incr("s").get("s")
        got = p.execute(raise_on_error=False)
        assert got[0] is True and isinstance(got[1], redis.ResponseError) and got[2] == b"text"
        p.incr("s")
        raises(redis.ResponseError, "Command # 1 (INCRBY s 1) of pipeline caused error: value is not an integer", p.execute)
        for i in range(10000):
            p.set("key:%d" % i, i)
        assert p.execute() == [True] * 10000
        for i in range(10000):
            p.get("key:%d" % i)
        assert p.execute() == [b"%d" % i for i in range(10000)]


def test_transactions(server):
    r = client(server)
    with r.pipeline() as p:
        assert p.set("a", 1).incr("a").get("a").hset("h", "f", 1).lrange("none", 0, -1).execute() == [True, 2, b"2", 1, []]
        p.set("s", "text").incr("s").get("s")
        got = p.execute(raise_on_error=False)
        assert got[0] is True and isinstance(got[1], redis.ResponseError) and got[2] == b"text"
        p.incr("s").incr("a")
        raises(redis.ResponseError, "Command # 1 (INCRBY s 1) of pipeline caused error: value is not an integer", p.execute)
        assert r.get("a") == b"3"
        p.set("a", 9).execute_command("NOSUCH")
        raises(redis.ResponseError, "Command # 2 (NOSUCH) of pipeline caused error: unknown command 'NOSUCH'", p.execute)
        assert r.get("a") == b"3"
        for i in range(10000):
            p.set("key:%d" % i, i)
        assert p.execute() == [True] * 10000
        p.watch("a")
        assert p.get("a") == b"3"
        r.set("a", 4)
        p.multi()
        p.set("a", 5)
        raises(redis.WatchError, "", p.execute)
        p.watch("a")
        p.multi()
        assert p.set("a", 5).execute() == [True]


def test_optimistic_locking(server):
    """Redis.transaction() tries again until nothing has come between its reading and its writing."""
    errors = []

    def add(p):
        n = int(p.get("sum") or 0)
        p.multi()
        p.set("sum", n + 1)

    def work():
        try:
            r = client(server)
            for _ in range(25):
                assert r.transaction(add, "sum") == [True]
        except Exception as e:
            errors.append(e)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == [] and client(server).get("sum") == b"100"


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "not seen within 30 s"
        time.sleep(0.01)


def until_blocked(server, count):
    """Where there are several nodes, clients wait at the leader."""
    r = client(server.leader)
    until(lambda: r.info("clients")["blocked_clients"] == count)


def in_thread(call, *args, **kwargs):
    """The call under way; result() waits for what it gives."""
    pool = concurrent.futures.ThreadPoolExecutor(1)
    try:
        return pool.submit(call, *args, **kwargs)
    finally:
        pool.shutdown(wait=False)


def test_lists_and_waiting(server):
    r = client(server)
    assert r.rpush("l", "a", "b", "c") == 3 and r.lpush("l", b"\0\xff") == 4
    assert r.lrange("l", 0, -1) == [b"\0\xff", b"a", b"b", b"c"] and r.lpos("l", "b") == 2
    assert r.linsert("l", "before", "b", "x") == 5 and r.lrem("l", 0, "x") == 1 and r.ltrim("l", 1, -1)
    assert r.lmove("l", "m", "LEFT", "RIGHT") == b"a" and r.lpop("l", 5) == [b"b", b"c"]
    assert r.blpop(["none", "m"], 5) == (b"m", b"a") and r.blpop("none", 0.05) is None
    for key, wait in (("l1", lambda: client(server).blpop(["l0", "l1"], 10)), ("l2", lambda: client(server).brpop("l2"))):
        waiting = in_thread(wait)
        until_blocked(server, 1)
        r.rpush(key, "v")
        assert waiting.result(30) == (key.encode(), b"v")
    first, second = (in_thread(client(server).blmove, "from", "to", 10) for _ in range(2))
    until_blocked(server, 2)
    r.rpush("from", "x", "y")
    assert {first.result(30), second.result(30)} == {b"x", b"y"} and r.llen("to") == 2


def test_sorted_sets(server):
    r = client(server)
    assert r.zadd("z", {"a": 1, "b": 2.5, "c": float("inf")}) == 3 and r.zadd("z", {"a": 5}, gt=True, ch=True) == 1
    assert r.zrange("z", 0, -1, withscores=True) == [(b"b", 2.5), (b"a", 5.0), (b"c", float("inf"))]
    assert r.zrangebyscore("z", "(2.5", 5) == [b"a"] and r.zrevrank("z", "b") == 2 and r.zmscore("z", ["a", "none"]) == [5.0, None]
    assert r.zincrby("z", 1.5, "b") == 4.0 and r.zpopmin("z") == [(b"b", 4.0)] and r.zunion(["z", "none"]) == [b"a", b"c"]
    waiting = in_thread(client(server).bzpopmin, "later", 10)
    until_blocked(server, 1)
    r.zadd("later", {"m": 3})
    assert waiting.result(30) == (b"later", b"m", 3.0)
    assert r.geoadd("g", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")) == 2
    assert 166 < r.geodist("g", "Palermo", "Catania", unit="km") < 167
    assert r.geosearch("g", longitude=15, latitude=37, radius=100, unit="km") == [b"Catania"]


def test_streams(server):
    r = client(server)
    first = r.xadd("s", {"n": 1})
    assert r.xlen("s") == 1 and r.xrange("s") == [(first, {b"n": b"1"})]
    waiting = in_thread(client(server).xread, {"s": "$"}, block=10000)
    until_blocked(server, 1)
    second = r.xadd("s", {"n": 2}, maxlen=100)
    assert waiting.result(30) == [[b"s", [(second, {b"n": b"2"})]]]
    assert r.xgroup_create("s", "g", 0) is True
    assert r.xreadgroup("g", "me", {"s": ">"}, count=1) == [[b"s", [(first, {b"n": b"1"})]]]
    assert r.xreadgroup("g", "you", {"s": ">"}, block=10000) == [[b"s", [(second, {b"n": b"2"})]]]
    waiting = in_thread(client(server).xreadgroup, "g", "you", {"s": ">"}, block=10000)
    until_blocked(server, 1)
    third = r.xadd("s", {"n": 3})
    assert waiting.result(30) == [[b"s", [(third, {b"n": b"3"})]]]
    assert r.xpending("s", "g")["pending"] == 3 and r.xack("s", "g", first, second) == 2
    assert r.xautoclaim("s", "g", "me", 0)[1][0][0] == third
    assert r.xinfo_groups("s")[0]["name"] == b"g" and r.xtrim("s", maxlen=1, approximate=False) == 2


def test_publish_and_subscribe(server):
    r = client(server)
    p = r.pubsub(ignore_subscribe_messages=True)
    called = []
    p.subscribe("news", **{"weather": called.append})
    p.psubscribe("n*")
    until(lambda: r.pubsub_numsub("news", "weather") == [(b"news", 1), (b"weather", 1)] and r.pubsub_numpat() == 1)
    assert r.publish("news", EVERY_BYTE) == 2 and r.publish("weather", "rain") == 1 and r.publish("else", "x") == 0
    heard = []
    until(lambda: heard.append(p.get_message(timeout=0.1)) or called)
    assert [(m["type"], m["channel"], m["data"]) for m in heard if m] == \
        [("message", b"news", EVERY_BYTE), ("pmessage", b"news", EVERY_BYTE)]
    assert called[0]["data"] == b"rain"
    p.unsubscribe()
    p.punsubscribe()
    until(lambda: r.pubsub_channels() == [])
    p.close()
    p = r.pubsub()
    p.subscribe(**{"thread": called.append})
    thread = p.run_in_thread(sleep_time=0.01)
    until(lambda: r.publish("thread", "hello") == 1)
    until(lambda: called[-1]["data"] == b"hello")
    thread.stop()
    thread.join()


def test_keyspace_events(server):
    """Of the leader, wherever one listens, and whoever is told to."""
    r = client(server)
    r.config_set("notify-keyspace-events", "KEA")
    assert client(server.leader).config_get("notify-keyspace-events") == r.config_get("notify-keyspace-events")
    raises(redis.ResponseError, "CONFIG SET failed", r.config_set, "notify-keyspace-events", "xyz")
    try:
        p = r.pubsub(ignore_subscribe_messages=True)
        p.psubscribe("__key*__:*")
        until(lambda: r.pubsub_numpat() == 1)
        r.set("k", "v")
        r.expire("k", 100)
        r.delete("k")
        heard = []
        until(lambda: heard.append(p.get_message(timeout=0.1)) or len([m for m in heard if m]) == 6)
        assert [(m["channel"], m["data"]) for m in heard if m] == [pair for what in (b"set", b"expire", b"del") for pair in (
            (b"__keyspace@0__:k", what), (b"__keyevent@0__:" + what, b"k"))]
        p.close()
    finally:
        r.config_set("notify-keyspace-events", "")


def test_scripts(server):
    r = client(server)
    add = r.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    assert add(keys=["n"], args=[5]) == 5 and add(keys=["n"], args=[7]) == 12
    r.script_flush()
    assert r.script_exists(add.sha) == [False] and add(keys=["n"], args=[1]) == 13 and r.script_exists(add.sha) == [True]
    with r.pipeline() as p:
        add(keys=["n"], args=[1], client=p)
        assert p.get("n").execute() == [14, b"14"]
    assert r.eval("return {KEYS[1], ARGV[1], 3, false, {ok = 'fine'}}", 1, "k", EVERY_BYTE) == [b"k", EVERY_BYTE, 3, None, b"fine"]
    raises(redis.ResponseError, "MINE of my own", r.eval, "return redis.error_reply('MINE of my own')", 0)
    raises(redis.exceptions.NoScriptError, "No matching script", r.evalsha, "f" * 40, 0)
    r.rpush("l", 1)
    raises(redis.ResponseError, "WRONGTYPE", r.eval, "return redis.call('get', 'l')", 0)


def test_after_a_long_script(server):
    """Who has its answer finds nobody busy with it."""
    r = client(server)
    r.config_set("busy-reply-threshold", 1)
    try:
        for _ in range(5):
            assert r.eval("for i = 1, 300000 do redis.call('ping') end return 1", 0) == 1
            assert r.ping() and r.config_get("busy-reply-threshold") == {"busy-reply-threshold": "1"}
    finally:
        r.config_set("busy-reply-threshold", 5000)


def test_pause(server):
    """CLIENT PAUSE of this node holds transactions that were begun before it."""
    r, other = client(server), client(server)
    r.set("k", "old")
    c = redis.Connection(server.host, server.port)
    try:
        for words, answer in ((("MULTI",), b"OK"), (("GET", "k"), b"QUEUED"), (("SET", "k", "new"), b"QUEUED")):
            c.send_command(*words)
            assert c.read_response() == answer
        other.execute_command("CLIENT PAUSE 60000 WRITE")
        try:
            c.send_command("EXEC")
            assert not c.can_read(0.1) and other.get("k") == b"old"
        finally:
            other.client_unpause()
        assert c.read_response() == [b"old", b"OK"] and other.get("k") == b"new"
    finally:
        c.disconnect()


def test_functions(server):
    r = client(server)
    assert r.function_load("#!lua name=mine\nredis.register_function('add', function(keys, args) "
                           "return redis.call('incrby', keys[1], args[1]) end)", replace=True) == b"mine"
    assert r.function_stats()[3][1][1] == 1
    assert r.fcall("add", 1, "n", 5) == 5 and r.function_list("mine")[0][1] == b"mine"
    assert r.function_delete("mine") and r.function_stats()[3][1][1] == 0
    raises(redis.ResponseError, "Function not found", r.fcall, "add", 1, "n", 5)


def test_lock(server):
    """Taken with SET NX; given back, and kept for longer, by scripts."""
    r, inside, counted = client(server), [], []
    lock = r.lock("mine", timeout=100)
    with lock:
        assert lock.extend(100) and lock.reacquire() and 90 < r.ttl("mine") <= 100
    assert not r.exists("mine")
    raises(redis.exceptions.LockError, "Cannot release an unlocked lock", lock.release)

    def work():
        for _ in range(5):
            with client(server).lock("lock", timeout=20, sleep=0.005):
                inside.append(1)
                counted.append(len(inside))
                inside.pop()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert counted == [1] * 20


def test_lock_is_taken_once(server):
    lock, other = (client(server).lock("lock", timeout=100) for _ in range(2))
    assert lock.acquire(blocking=False) is True
    assert other.acquire(blocking=False) is False and lock.locked() and lock.owned() and not other.owned()
    assert 0 < client(server).ttl("lock") <= 100


def test_connection_pool(server):
    pool = redis.ConnectionPool(host=server.host, port=server.port, max_connections=4)
    r = redis.Redis(connection_pool=pool)
    errors = []

    def work():
        try:
            for _ in range(100):
                r.incr("n")
        except Exception as e:
            errors.append(e)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == [] and r.get("n") == b"400"
    pool.disconnect()
    assert r.get("n") == b"400"
    blocking = redis.Redis(connection_pool=redis.BlockingConnectionPool(host=server.host, port=server.port,
                                                                        max_connections=1, timeout=5))
    assert blocking.incr("n") == 401
    url = redis.Redis.from_url("redis://%s:%d/5" % (server.host, server.port))
    assert url.set("k", "five") and client(server, db=5).get("k") == b"five"


def test_decode_responses(server):
    r = client(server, decode_responses=True)
    r.set("k", "grüße ☃")
    assert r.get("k") == "grüße ☃" and r.keys() == ["k"] and r.mget("k") == ["grüße ☃"]
    assert r.strlen("k") == len("grüße ☃".encode())
    assert r.type("k") == "string" and r.scan()[1] == ["k"] and r.config_get("timeout") == {"timeout": "0"}
    assert client(server, encoding="latin-1", decode_responses=True).set("l", "ü")
    assert client(server).get("l") == b"\xfc"


def test_python_parser(server):
    r = redis.Redis(connection_pool=redis.ConnectionPool(host=server.host, port=server.port,
                                                         parser_class=redis.connection.PythonParser))
    r.set("k", EVERY_BYTE * 1000)
    assert r.get("k") == EVERY_BYTE * 1000 and r.mget("k", "none") == [EVERY_BYTE * 1000, None]
    assert r.command_count() > 10 and r.command()["get"]["arity"] == 2
    raises(redis.ResponseError, "unknown command 'NOSUCH'", r.execute_command, "NOSUCH")


def test_monitor(server):
    r = client(server)
    m = r.monitor()
    m.__enter__()
    r.set("watched", "1")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if m.next_command()["command"] == "SET watched 1":
            break
    else:
        raise AssertionError("SET was not seen")
    m.connection.disconnect()


def test_asyncio(server):
    async def work():
        r = redis.asyncio.Redis(host=server.host, port=server.port)
        assert await r.set("k", EVERY_BYTE) is True
        assert await r.get("k") == EVERY_BYTE
        assert await r.mget("k", "none") == [EVERY_BYTE, None]
        assert sorted(await asyncio.gather(*[r.incr("n") for _ in range(50)])) == list(range(1, 51))
        async with r.pipeline(transaction=False) as p:
            assert await p.set("a", 1).incr("a").get("none").execute() == [True, 2, None]
        async with r.pipeline() as p:
            await p.watch("a")
            assert await p.get("a") == b"2"
            p.multi()
            assert await p.incr("a").get("a").execute() == [3, b"3"]
        assert {k async for k in r.scan_iter(match="[kna]", count=10)} == {b"k", b"n", b"a"}
        try:
            await r.execute_command("NOSUCH")
            raise AssertionError("no error")
        except redis.ResponseError as e:
            assert str(e).startswith("unknown command 'NOSUCH'")
        assert (await r.info())["role"] == server.role
        async with r.pubsub(ignore_subscribe_messages=True) as p:
            await p.subscribe("news")
            heard = None
            while heard is None:
                await r.publish("news", "hello")
                heard = await p.get_message(timeout=0.1)
            assert heard["data"] == b"hello"
        waiting = asyncio.create_task(redis.asyncio.Redis(host=server.host, port=server.port).blpop("later", 10))
        await asyncio.sleep(0.05)
        await r.rpush("later", "v")
        assert await waiting == (b"later", b"v")
        async with r.lock("lock", timeout=10):
            assert await r.exists("lock") == 1
        assert await r.exists("lock") == 0
        await r.close()
    asyncio.run(work())


def test_connections_come_and_go(server):
    before = client(server).info("stats")["total_connections_received"]
    for i in range(200):
        r = client(server, single_connection_client=True)
        assert r.set("k", i) is True
        r.close()
        r.connection_pool.disconnect()
    r = client(server)
    assert r.get("k") == b"199"
    assert r.info("stats")["total_connections_received"] - before >= 200


def run(server, _args):
    return residents.run_all(residents.tests_of(sys.modules[__name__]), server)
