"""Residents in other languages: programs that use somebody else's client or app, and how we hear what they found.

A program gets HOST PORT and runs its tests one after the other, each on an emptied server. It says on standard output

    ok NAME             what passed
    not ok NAME: WHY    what did not
    ? WORD ...          it asks for something only we can do, and reads one line from standard input when it is done:
                        `? kill` the leader dies (SIGKILL), another leads, the old one is back; `? transfer` it hands over
    # NUMBERS             worth showing, and nothing to judge

Anything else it prints is noise that is shown when it fails. What a program needs from the machine is installed here:
Debian packages by server/setup.sh, Node modules by npm, as node/package-lock.json pins them, into the cache folder.
"""
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading

import upstream

HERE = os.path.dirname(os.path.abspath(__file__))
RUN_S_MAX = 150


def need_packages(*names):
    """As the other scripts do it; says nothing when all is there."""
    done = subprocess.run(["bash", "-c", '. "$0"; need_packages "$@"', os.path.join(HERE, "..", "server", "setup.sh"), *names],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError("installing %s failed:\n%s" % (" ".join(names), done.stdout))


def digest(paths):
    content = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as f:
            content.update(f.read())
    return content.hexdigest()[:16]


def node_modules():
    """The folder that holds what node/package-lock.json names; made once for each version of it."""
    if not (shutil.which("node") and shutil.which("npm")):
        need_packages("nodejs", "npm")
    pinned = [os.path.join(HERE, "node", name) for name in ("package.json", "package-lock.json")]
    top = os.path.join(upstream.cache_dir(), "node-" + digest(pinned))
    os.makedirs(top, exist_ok=True)
    with open(os.path.join(top, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = os.path.join(top, "complete")
        if not os.path.exists(complete):
            for path in pinned:
                shutil.copy(path, top)
            # Not `npm ci`: it wants rows for what other systems would need, and not every registry has those.
            done = subprocess.run(["npm", "install", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=top,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
            if done.returncode != 0:
                raise RuntimeError("npm install failed:\n" + done.stdout)
            open(complete, "w").close()
    return os.path.join(top, "node_modules")


def end_all(process):
    """The program and what it has started, which would keep our end of its output open."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def heard(argv, host, port, env=None, asked=None, more=()):
    """Run the program; [(name, None or what went wrong)]. `asked` answers its questions: a function of the words."""
    with tempfile.TemporaryFile(mode="w+", errors="replace") as noise:
        p = subprocess.Popen([*argv, host, str(port), *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise, text=True,
                             errors="replace", env=dict(os.environ, **(env or {})), start_new_session=True)
        late = threading.Timer(RUN_S_MAX, end_all, [p])
        late.start()
        results, wrong = [], None
        try:
            for line in p.stdout:
                match = re.match(r"(not ok|ok|\?) ([^:\n]*)(?:: (.*))?$", line)
                if line.startswith("# "):
                    print("  %s: %s" % (os.path.basename(argv[-1]), line[2:].strip()), flush=True)
                elif not match:
                    noise.write(line)
                elif match.group(1) == "?":
                    asked(*match.group(2).split())
                    p.stdin.write("done\n")
                    p.stdin.flush()
                else:
                    results.append((match.group(2), None if match.group(1) == "ok" else match.group(3) or "failed"))
        except Exception as e:      # what we were asked for did not work; the program waits for an answer that never comes
            wrong = repr(e)
            end_all(p)
        status = p.wait()
        late.cancel()
        noise.seek(0)
        text = noise.read()[-3000:].strip()
        if wrong or status not in (0, 1) or not results:
            results.append(("program", "%s, exit status %d: %s" % (wrong or "it ended badly", status, text)))
        elif status == 1 and all(what is None for _, what in results):
            results.append(("program", "exit status 1: " + text))
    return results


class Program:
    """A resident made of one such program. `packages` are Debian's; `made` is called before it runs: it makes what the program
    needs beyond that and gives its environment. `is_rare`: its packages are large, so it runs when named, or with --all."""

    def __init__(self, argv, packages=(), made=lambda: {}, is_rare=False):
        self.argv, self.packages, self.made, self.is_rare = argv, packages, made, is_rare

    def run(self, server, _args):
        need_packages(*self.packages)
        return heard(self.argv, server.host, server.port, dict(self.made(), LEADER_PORT=str(server.leader.port)))

    def run_failover(self, moving, *words):
        """The tests for the death of a leader, on three nodes through a follower that stays."""
        need_packages(*self.packages)
        env = dict(self.made(), LEADER_PORT=str(moving.cluster.leader.port),
                   NODE_PORTS=",".join(str(port) for port in moving.ports()))
        return heard(self.argv, moving.host, moving.port, env, lambda how: moving.move(how), ["failover", *words])


def node(name):
    return Program(["node", os.path.join(HERE, "node", name)], (), lambda: {"NODE_PATH": node_modules()})


def python(name, *packages):
    return Program(["/usr/bin/python3", os.path.join(HERE, "python", name)], ("python3-redis", *packages))


def redigo():
    """Compiled once for each version of the source."""
    source = os.path.join(HERE, "go", "redigo.go")
    program = os.path.join(upstream.cache_dir(), "redigo-" + digest([source]))
    if not os.path.exists(program):
        os.makedirs(upstream.cache_dir(), exist_ok=True)
        env = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="",
                   GOCACHE=os.path.join(upstream.cache_dir(), "go"))
        made = "%s.%d" % (program, os.getpid())
        subprocess.run(["go", "build", "-o", made, source], check=True, env=env)
        os.rename(made, program)
    return {"REDIGO": program}


RUBY, PHP = ("ruby", "ruby-redis"), ("php-cli",)
CLIENTS = {
    "node-redis": node("node_redis.js"),
    "ioredis": node("ioredis.js"),
    "redis-rb": Program(["ruby", os.path.join(HERE, "ruby", "redis_rb.rb")], RUBY),
    "perl": Program(["perl", os.path.join(HERE, "perl", "redis.pl")], ("libredis-perl",)),
    "lua": Program(["lua5.1", os.path.join(HERE, "lua", "redis.lua")], ("lua5.1", "lua-redis")),
    "phpredis": Program(["php", os.path.join(HERE, "php", "phpredis.php")], (*PHP, "php-redis"), is_rare=True),
    "predis": Program(["php", os.path.join(HERE, "php", "predis.php")], (*PHP, "php-predis"), is_rare=True),
    "redigo": Program(["sh", "-c", 'exec "$REDIGO" "$@"', "redigo"], ("golang-go", "golang-github-gomodule-redigo-dev"), redigo,
                      is_rare=True),
}
APPS = {
    "bullmq": node("bullmq.js"),
    "bee-queue": node("bee_queue.js"),
    "connect-redis": node("express_session.js"),
    "rate-limiter": node("rate_limiter.js"),
    "redlock": node("redlock.js"),
    "socket.io": node("socket_io.js"),
    "keyv": node("keyv.js"),
    "celery": python("celery_app.py", "python3-celery"),
    "rq": python("rq_app.py", "python3-rq"),
    "django-redis": python("django_app.py", "python3-django", "python3-django-redis"),
    "sidekiq": Program(["ruby", os.path.join(HERE, "ruby", "sidekiq_app.rb")], (*RUBY, "ruby-sidekiq")),
    "exporter": python("exporter_app.py", "prometheus-redis-exporter"),
}
ALL = {**CLIENTS, **APPS}
