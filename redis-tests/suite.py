"""Upstream's Tcl suite, a unit at a time, judged against what the reference server passes.

Each unit runs in its own harness process against its own fresh server, so that an exception, a hang or a crash costs
that unit's remainder at most: a test that hangs, or during which the server dies, is put on the harness's skip list
and the unit starts over. The harness drops the rest of a block silently when something fails between two tests, so
what counts is not its own failed/passed numbers but `baseline.tsv`: every test that passes on the reference must be
seen passing. `expected-missing.tsv` lists those that cannot pass yet, each with its reason; a missing test that is
not listed fails the run, and so does a listed one that passes, which keeps the list true. `expected-missing-through.tsv`
is the same for three nodes, of which one is asked.

Fetching the suite is upstream.py's business, starting servers that of servers.py.
"""
import collections
import concurrent.futures
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time

import servers
import upstream

HERE = os.path.dirname(os.path.abspath(__file__))
BASELINE = os.path.join(HERE, "baseline.tsv")
EXPECTED = os.path.join(HERE, "expected-missing.tsv")
EXPECTED_THROUGH = os.path.join(HERE, "expected-missing-through.tsv")

# The units whose commands are in scope. Of the others nothing is run and nothing is claimed.
UNITS = """unit/dump unit/type/list unit/type/list-2 unit/type/list-3 unit/type/stream unit/type/stream-cgroups
unit/type/hash unit/type/set unit/type/zset unit/geo unit/type/string unit/type/incr unit/sort unit/bitops unit/bitfield unit/hyperloglog unit/keyspace unit/expire unit/scan unit/protocol unit/quit
unit/other unit/multi unit/info-command unit/introspection-2 unit/latency-monitor unit/slowlog unit/pause unit/tracking integration/redis-cli unit/pubsub
unit/scripting unit/functions""".split()

# Units that want to start the server themselves, with a configuration file: our program stands in for redis-server.
# unit/maxmemory is not among them: that limit bounds what is cached here, and no key goes for it.
SPAWNING = """unit/introspection unit/auth unit/acl unit/acl-v2 unit/info unit/limits unit/obuf-limits unit/querybuf unit/pubsubshard
unit/networking unit/client-eviction unit/shutdown unit/oom-score-adj""".split()

# Not in the baseline, because what they say depends on the moment. One wants loading to take long enough, one does not wait for
# its restart, one wants what it sends to two sockets to be read in that order, and they fail on the reference too at times; one
# asks what has become of a client that has SETs and GETs in one pipeline: here their replies, which are too many, are made when the
# SETs are on the disk, which may be a moment later.
UNSTEADY = {("unit/introspection", "config during loading"),
            ("unit/networking", "Default bind address configuration handling"),
            ("unit/client-eviction", "avoid client eviction when client is freed by output buffer limit"),
            ("unit/obuf-limits", "No response for multi commands in pipeline if client output buffer limit is enforced")}

STALL_S_MAX = 60     # a test that reports nothing for so long hangs
UNIT_S_MAX = 600     # a harness that runs longer is ended
RERUNS_MAX = 10      # hanging or crashing tests skipped per unit before giving up

ANSI = re.compile(r"\x1b\[[0-9;]*m")
STATUS = re.compile(r"\[(ok|err|skip|ignore|exception)\]: (.*)")
IN_PROGRESS = re.compile(r"sock\S+ => \(IN PROGRESS\) (.*)")

# One thing the harness reported. kind: ok, err, skip, ignore, or block (an error outside any test).
Event = collections.namedtuple("Event", "kind name detail")


class UnitRun:
    """What came out of one unit: the events of its last run, and the tests that had to be skipped to get there."""

    def __init__(self, unit):
        self.unit, self.events, self.hung, self.crashed = unit, [], [], []
        self.seconds, self.complete, self.ended_well, self.note = 0.0, False, True, ""

    def passed(self):
        return collections.Counter(e.name for e in self.events if e.kind == "ok")


def parse(text):
    """The events in a harness's output, the test in progress when it stalled (or None), whether it finished."""
    events, hung, complete = [], None, False
    lines = ANSI.sub("", text).split("\n")
    n = 0
    while n < len(lines):
        line = lines[n]
        n += 1
        if "The following tests failed" in line:
            break
        if re.match(r"\[\d+/\d+ done\]", line):
            complete = True
        match = IN_PROGRESS.match(line)
        if match:
            hung = match.group(1)
        match = STATUS.match(line)
        if not match:
            continue
        kind, name = match.groups()
        detail = []
        while kind in ("err", "exception") and n < len(lines) and not re.match(r"\[[a-z0-9/ ]+\]: |sock\S+ => ", lines[n]):
            detail.append(lines[n])
            n += 1
        if kind == "ok":
            name = re.sub(r" \(\d+ ms\)$", "", name)
        elif kind == "err":
            in_test = re.match(r"(.*) in tests/\S+\.tcl$", name)
            name, kind = (in_test.group(1), "err") if in_test else (name, "block")
        elif kind == "exception":
            kind = "block"
        events.append(Event(kind, name, "\n".join(detail).strip()))
    return events, hung, complete


# A harness takes one of the 32 ports below its base for itself and the ones from its base on for what it starts.
# Tests look for "a free port" and expect it to stay free, so harnesses that run at once get ports of their own.
harness_slots = queue.SimpleQueue()


def fill_harness_slots(jobs):
    while not harness_slots.empty():
        harness_slots.get()
    first, count = random.randrange(20000, 27000), 200
    span = servers.port_range()
    if span:
        first, count = span[0] + servers.SERVER_PORTS, (span[1] + 1 - span[0] - servers.SERVER_PORTS - 32) // jobs
    for n in range(jobs):
        harness_slots.put((first + 32 + n * count, count))


def run_harness(suite, server, unit, skips, slow, ports, log_path):
    """One harness process over one unit; parse()'s answer for its output. Without a server it starts its own."""
    base, count = ports
    skipfile = os.path.join(suite, "tests", "tmp", "skips")
    with open(skipfile, "w") as f:
        f.write("".join(name + "\n" for name in skips))
    command = ["./runtest", "--clients", "1", "--durable", "--single", unit, "--timeout", str(STALL_S_MAX),
               "--baseport", str(base), "--portcount", str(count), "--skipfile", skipfile, "--ignore-encoding",
               "--ignore-digest", "--tags", "-needs:debug" if slow else "-slow -needs:debug"]
    if server:
        command += ["--host", server.host, "--port", str(server.port)]
    with open(log_path, "wb") as log:
        process = subprocess.Popen(command, cwd=suite, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   env=dict(os.environ, TERM="dumb", LC_ALL="C.UTF-8"), start_new_session=True)
        try:
            process.wait(UNIT_S_MAX)
        except subprocess.TimeoutExpired:
            pass
        # The harness leaves its client process behind when it stalls: end its whole group, which is ours alone.
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, sig)
            except ProcessLookupError:
                break
            time.sleep(0.2)
        process.wait()
    with open(log_path, errors="replace") as f:
        return parse(f.read())


def last_failed(events):
    """The test in which the connection was lost: where a crash happened."""
    for event in events:
        if event.kind == "err" and re.search(r"reading reply|I/O error|broken pipe|connection re", event.detail):
            return event.name
    return None


def run_unit(unit, make_server, slow, skips, ports, logs):
    run = UnitRun(unit)
    skips = list(skips)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="redraft-suite-", dir=servers.quick_folder()) as top:
        spawning = unit in SPAWNING
        suite = upstream.unpack(top, make_server().program if spawning else None)
        for attempt in range(RERUNS_MAX + 1):
            log_path = os.path.join(logs, "%s.%d.log" % (unit.replace("/", "_"), attempt))
            try:
                server = None if spawning else make_server(servers.quick_folder()).start()
            except servers.ServerFailed as e:
                run.note = str(e)
                break
            run.events, hung, run.complete = run_harness(suite, server, unit, skips, slow, ports, log_path)
            crashed = server is not None and not server.alive()
            culprit = hung or (last_failed(run.events) if crashed else None)
            if crashed:
                run.note = "the server died:\n" + server.log_tail()
                run.complete = False
            wrong = server.stop() if server else None
            if wrong and not crashed:
                run.note, run.ended_well = wrong, False
            if culprit is None or attempt == RERUNS_MAX:
                break
            (run.hung if hung else run.crashed).append(culprit)
            skips.append(culprit)
    run.seconds = time.monotonic() - start
    return run


def read_rows(path):
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [line.rstrip("\n").split("\t") for line in f if line.strip() and not line.startswith("#")]


def baseline(slow):
    """unit -> {test: times it passes on the reference}, in the order they run."""
    table = {}
    for unit, test, count, speed in read_rows(BASELINE):
        if slow or speed == "fast":
            table.setdefault(unit, {})[test] = table.get(unit, {}).get(test, 0) + int(count)
    return table


def expected_missing(through=None):
    """(unit, test) -> reason. `through`: which node of three is asked, "leader" or "follower"; None: there is one."""
    listed = {(unit, test): reason for unit, test, reason in read_rows(EXPECTED)}
    listed.update({(unit, test): reason for where, unit, test, reason in read_rows(EXPECTED_THROUGH)
                   if through and where in (through, "either")})
    return listed


def not_to_be_run(expected):
    """(unit, test), of those that would hold up the rest, or spoil it."""
    return [of for of, reason in expected.items() if reason.startswith(("hangs", "not run"))]


def cause(detail):
    """A short reason made from an error text of the harness."""
    match = re.search(r"unknown command '([^']*)'", detail) or re.search(r"nknown command '?([\w|]+)", detail)
    if match:
        return "uses " + match.group(1).upper()
    match = re.search(r"unknown subcommand '?([^'.]*)'?\. Try (\w+) HELP", detail)
    if match:
        return "uses %s %s" % (match.group(2), match.group(1).upper())
    lines = [x.strip() for x in detail.split("\n") if x.strip()]
    # The harness cuts ten characters off a message that is no assertion; the whole one opens the trace below it.
    if len(lines) > 1 and lines[1].endswith(lines[0]):
        lines = lines[1:]
    lines = [re.sub(r" \(context: .*", "", x) for x in lines]
    return re.sub(r"\s+", " ", lines[0])[:150] if lines else "no message"


def reasons(run, wanted):
    """test -> why it is missing, from the run's own words, for each wanted test that was not seen passing."""
    passed = run.passed()
    missing = [t for t, count in wanted.items() if passed[t] < count]
    order = {t: n for n, t in enumerate(wanted)}
    said, drops, at = {}, [], -1
    for event in run.events:
        if event.kind == "block":
            drops.append((at, cause(event.name + "\n" + event.detail)))
            continue
        at = order.get(event.name, at)
        if event.kind == "err":
            said[event.name] = cause(event.detail)
        elif event.kind == "skip":
            said.setdefault(event.name, "skipped")
    said.update((t, "hangs") for t in run.hung)
    said.update((t, "crashes the server") for t in run.crashed)
    for test in missing:
        if test not in said:
            before = [why for index, why in drops if index < order[test]]
            said[test] = "block dropped: " + before[-1] if before else "not run: " + (run.note or "the unit ended early")
    return {t: re.sub(r"\s+", " ", said[t]) for t in missing}


class Verdict:
    """The run judged: `score` by unit, `failures` as printable lines, `missing` as (unit, test, reason)."""

    def __init__(self):
        self.score, self.failures, self.missing, self.seconds = {}, [], [], {}


def judge(runs, slow, expected):
    """Against the baseline and a list of what may, and must, be missing: expected_missing(), or {}."""
    want, verdict = baseline(slow), Verdict()
    for run in runs:
        wanted = want.get(run.unit, {})
        passed = run.passed()
        good = sum(min(count, passed[t]) for t, count in wanted.items())
        verdict.score[run.unit] = (good, sum(wanted.values()))
        verdict.seconds[run.unit] = run.seconds
        why = reasons(run, wanted)
        for test in wanted:
            listed = expected.get((run.unit, test))
            at_times = listed is not None and listed.startswith(("at times", "hangs at times"))
            if test in why:
                verdict.missing.append((run.unit, test, why[test]))
                if listed is None:
                    verdict.failures.append("%s: %s: missing: %s" % (run.unit, test, why[test]))
            elif listed is not None and not at_times:
                verdict.failures.append("%s: %s: passes, but is listed as missing (%s)" % (run.unit, test, listed))
        if run.crashed or "died" in run.note:
            verdict.failures.append("%s: the server crashed %s" % (run.unit, run.crashed or run.note))
        if not run.ended_well:
            verdict.failures.append("%s: %s" % (run.unit, run.note))
        if not run.complete and not run.crashed and not why:
            verdict.failures.append("%s: the unit did not end: %s" % (run.unit, run.note))
    return verdict


def run_units(units, make_server, slow=False, jobs=2, logs=None, skips=(), say=lambda run: None):
    """Run the units, `jobs` at a time, without the tests in `skips`; their UnitRuns in the order given."""
    upstream.tarball()
    keep = logs is not None
    logs = logs or tempfile.mkdtemp(prefix="redraft-suite-logs-")
    os.makedirs(logs, exist_ok=True)

    def one(unit):
        ports = harness_slots.get()
        try:
            run = run_unit(unit, make_server, slow, [test for of, test in skips if of == unit], ports, logs)
        finally:
            harness_slots.put(ports)
        say(run)
        return run
    fill_harness_slots(jobs)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        runs = list(pool.map(one, units))
    if not keep:
        shutil.rmtree(logs, ignore_errors=True)
    return runs


def write_baseline(fast, full):
    """Write baseline.tsv from two runs on the reference, without and with the slow tests; other units keep their rows."""
    rows = {}
    for row in read_rows(BASELINE):
        rows.setdefault(row[0], []).append(row)
    for a, b in zip(fast, full):
        quick = a.passed()
        rows[a.unit] = []
        for test, count in b.passed().items():  # what passed without the slow ones alone was luck
            if (a.unit, test) in UNSTEADY:
                continue
            if quick[test]:
                rows[a.unit].append([a.unit, test, str(min(quick[test], count)), "fast"])
            if count > quick[test]:
                rows[a.unit].append([a.unit, test, str(count - quick[test]), "slow"])
    with open(BASELINE, "w") as f:
        f.write("# Tests of upstream's suite that pass on Redis %s, units in scope: unit, test, how often, and whether\n"
                "# upstream tags it slow. Written by: redis-tests/run --only suite --write-baseline --server REFERENCE\n"
                % upstream.VERSION)
        for unit in UNITS + SPAWNING:
            f.writelines("\t".join(row) + "\n" for row in rows.get(unit, []))


def write_expected(path, verdict, known):
    """Write what is missing; reasons that are known already are kept."""
    with open(path, "w") as f:
        f.write("# Tests of baseline.tsv that do not pass yet, each with its reason. A missing test that is not listed\n"
                "# fails the run, and so does a listed one that passes. unit, test, reason.\n")
        for unit, test, reason in verdict.missing:
            f.write("%s\t%s\t%s\n" % (unit, test, known.get((unit, test), reason)))
