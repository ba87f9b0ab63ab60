"""prometheus-redis-exporter: what it scrapes off the server, read as Prometheus reads it."""
import os
import shutil
import socket
import urllib.request

import redis
from program import HOST, PORT, URL, Worker, run, until


def scrape(address):
    try:
        text = urllib.request.urlopen("http://%s/metrics" % address, timeout=5).read().decode()
    except OSError:
        return {}
    return dict(line.rsplit(" ", 1) for line in text.split("\n") if line and not line.startswith("#"))


def test_metrics():
    r = redis.Redis(HOST, PORT)
    r.set("k", "v")
    r.rpush("l", *range(100))
    r.xadd("stream", {"f": "v"})
    r.xgroup_create("stream", "g", "0")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % s.getsockname()[1]
    with Worker(shutil.which("prometheus-redis-exporter"), "-redis.addr", URL, "-web.listen-address", address,
                "-check-keys", "l,k", "-check-streams", "stream", "-count-keys", "*", env=dict(os.environ)):
        seen = until("the exporter", lambda: scrape(address))
        assert seen["redis_up"] == "1", seen
        assert seen['redis_db_keys{db="db0"}'] == "3"
        assert seen['redis_key_size{db="db0",key="l"}'] == "100"
        assert seen['redis_keys_count{db="db0",key="*"}'] == "3"
        assert [v for k, v in seen.items() if k.startswith("redis_stream_length{")] == ["1"], seen
        assert float(seen["redis_uptime_in_seconds"]) >= 0 and float(seen["redis_memory_used_bytes"]) > 0
        assert float(seen['redis_commands_total{cmd="info"}']) > 0
        assert any(k.startswith("redis_instance_info{") and 'redis_version="7.0.' in k for k in seen)
        assert float(seen["redis_connected_clients"]) >= 1 and seen["redis_exporter_last_scrape_error{err=\"\"}"] == "0"


run(globals())
