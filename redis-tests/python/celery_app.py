"""Celery: a worker with two processes, and a producer, as an app runs them; broker and results on the same server.

When the leader dies no task is lost, but for what Celery itself cannot hold: it takes a message with BRPOP and notes it down
as unacknowledged in a second step. What it popped and never heard of is gone, with any server; with one worker that is
at most one message for each death.
"""
import os
import subprocess
import sys
import threading
import time

import redis
from program import HOST, PORT, URL, Worker, ask, run, until

os.environ["RESIDENT_URL"] = URL
import celery_tasks as tasks  # noqa: E402  (it reads the environment)
from celery import chain, chord, group  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CELERY = [sys.executable, "-m", "celery", "-A", "celery_tasks"]
GET_S = 20


def worker():
    return Worker(*CELERY, "worker", "--concurrency", "2", "--loglevel", "WARNING", "--without-heartbeat", cwd=HERE)


def test_tasks_and_results():
    with worker():
        assert tasks.add.delay(2, 3).get(timeout=GET_S) == 5
        assert group(tasks.add.s(i, i) for i in range(20)).apply_async().get(timeout=GET_S) == [2 * i for i in range(20)]
        assert chain(tasks.add.s(1, 2), tasks.add.s(10), tasks.add.s(100)).apply_async().get(timeout=GET_S) == 113
        assert chord([tasks.add.s(i, 1) for i in range(10)], tasks.total.s()).apply_async().get(timeout=GET_S) == 55
        try:
            tasks.fail.delay().get(timeout=GET_S)
            raise AssertionError("it did not fail")
        except ValueError as e:
            assert str(e) == "as it should"
        assert tasks.stubborn.delay().get(timeout=GET_S) == 2
        late = tasks.add.apply_async((4, 4), countdown=0.3)
        assert not late.ready() and late.get(timeout=GET_S) == 8
        late.forget()
        assert late.status == "PENDING"
        # Broadcast to workers, and their answers: published and subscribed.
        assert list(tasks.app.control.ping(timeout=1.0)[0].values()) == [{"ok": "pong"}]
        revoked = tasks.add.apply_async((1, 1), countdown=0.5)
        revoked.revoke()
        until("it was revoked", lambda: revoked.status == "REVOKED")
        registered = subprocess.run(CELERY + ["inspect", "registered", "--timeout", "1"], cwd=HERE, capture_output=True, text=True,
                                    timeout=60)
        assert registered.returncode == 0 and "celery_tasks.add" in registered.stdout, registered


def dies_no_task_is_lost():
    with worker():
        assert tasks.add.delay(1, 1).get(timeout=GET_S) == 2
        sent, refused, over = [], 0, threading.Event()

        def produce():
            nonlocal refused
            n = 0
            while not over.is_set():
                n += 1
                try:
                    sent.append(tasks.slowly.apply_async((n,), ignore_result=False).id)
                except Exception as e:
                    refused += 1
                    print("a producer was told", repr(e), file=sys.stderr)
                time.sleep(0.02)
        producer = threading.Thread(target=produce, daemon=True)
        producer.start()
        raw = redis.Redis(HOST, PORT, socket_timeout=10)

        def done():
            ids = list(sent)
            try:
                got = raw.mget("celery-task-meta-" + i for i in ids) if ids else []
            except redis.RedisError:
                return set()
            return {i for i, meta in zip(ids, got) if meta and b'"SUCCESS"' in meta}
        until("work under way", lambda: len(done()) > 20)
        ask("kill")
        before = len(done())
        until("work under way again", lambda: len(done()) > before + 20)
        over.set()
        producer.join()

        def quiet():
            return raw.llen("celery") == 0 and raw.hlen("unacked") == 0
        until("an empty queue", quiet)
        time.sleep(0.2)
        lost = set(sent) - done()
        print("# %d tasks sent, %d refused, %d lost" % (len(sent), refused, len(lost)), flush=True)
        assert len(lost) <= 1, "%d tasks of %d are lost" % (len(lost), len(sent))


run(globals())
