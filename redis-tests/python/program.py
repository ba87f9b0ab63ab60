"""What the Python apps share: a program's tests are its functions test_*, those for the death of a leader are dies_*.

run(globals) runs them as programs.py expects it: HOST PORT [failover] on the command line, a line for each result.
"""
import inspect
import signal
import subprocess
import sys
import time
import traceback

import redis

HOST, PORT = sys.argv[1], int(sys.argv[2])
URL = "redis://%s:%d/0" % (HOST, PORT)
PATIENCE_S = 30


def until(what, condition, patience_s=PATIENCE_S):
    """Waits until the condition holds, and gives what it gave."""
    deadline = time.monotonic() + patience_s
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError("not seen within %d s: %s" % (patience_s, what))
        time.sleep(0.02)


def ask(word):
    """Something only the one who started us can do, such as `kill`: returns when it is done."""
    print("? " + word, flush=True)
    sys.stdin.readline()


class Worker:
    """Another process, ended with the block as its users end it: by SIGTERM."""

    def __init__(self, *argv, env=None, cwd=None):
        self.argv, self.env, self.cwd = argv, env, cwd

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, env=self.env,
                                        cwd=self.cwd)
        return self

    def __exit__(self, *unused):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the worker does not end")


def run(names):
    wanted = "dies_" if sys.argv[3:] == ["failover"] else "test_"
    tests = [f for name, f in names.items() if name.startswith(wanted) and inspect.isfunction(f)]
    failed = 0
    for test in sorted(tests, key=lambda f: f.__code__.co_firstlineno):
        name = test.__name__[5:].replace("_", " ")
        try:
            redis.Redis(HOST, PORT).flushall()
            test()
            print("ok " + name, flush=True)
        except Exception:
            failed = 1
            print("not ok %s: %s" % (name, " | ".join(traceback.format_exc().split("\n"))[-1500:]), flush=True)
    sys.exit(failed)
