"""Where the time of our server goes under one load: CPU by process and thread, and perf's list of functions for the leader and
one follower (with one node, for the node)."""
import os
import shutil
import subprocess
import time

import clusters
import loads
from loads import Size, benchmark
from systems import TICK_US, Failed, Folder


def threads(pid):
    """{thread id: (name, CPU microseconds)}"""
    found = {}
    for thread in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/stat" % (pid, thread)) as f:
                text = f.read()
        except FileNotFoundError:
            continue
        fields = text.rsplit(")", 1)[1].split()
        found[thread] = (text[text.index("(") + 1:text.rindex(")")], (int(fields[11]) + int(fields[12])) * TICK_US)
    return found


def switches(pid):
    """Context switches of all threads: (for want of work, for want of a core)."""
    total = [0, 0]
    for thread in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/status" % (pid, thread)) as f:
                for line in f:
                    if line.startswith("voluntary_ctxt"):
                        total[0] += int(line.split()[1])
                    elif line.startswith("nonvoluntary_ctxt"):
                        total[1] += int(line.split()[1])
        except FileNotFoundError:
            pass
    return total


def report(data, *how):
    out = subprocess.run(["perf", "report", "-i", data, "--stdio", "-g", "none", *how], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False).stdout.decode(errors="replace")
    return [line.rstrip() for line in out.splitlines() if line.strip() and not line.startswith("#")]


TABLES = (
    # title, lines at most, perf's arguments, which lines to show
    ("by library", 12, ("--no-children", "--percent-limit", "1", "--sort", "pid,dso"), lambda line: True),
    ("system calls, with all they do", 15, ("--children", "--percent-limit", "0.4", "--sort", "pid,symbol"),
     lambda line: "__x64_sys_" in line or "ksys_" in line),
    ("functions of programs, with all they do", 40, ("--children", "--percent-limit", "0.7", "--sort", "pid,symbol"),
     lambda line: "[.]" in line),
    ("functions", 40, ("--no-children", "--percent-limit", "0.4", "--sort", "pid,symbol"), lambda line: True),
)


def run(options):
    if shutil.which("perf") is None:
        raise Failed("perf is not installed (Debian's linux-perf)")
    with Folder(options) as folder:
        options.syncs = None
        try:
            system = clusters.Ours("ours3", options, folder) if options.nodes == 3 else folder.system("ours")
            system.start()
        except clusters.Unavailable as why:
            raise Failed(str(why)) from None
        nodes = {"the node": system} if options.nodes != 3 else {
            "leader": next(n for n in system.nodes if n.port == system.port),
            "follower": next(n for n in system.nodes if n.port != system.port)}
        for test in loads.parse_tests(options.tests or "set"):
            for load in (options.loads or "c50,p16").split(","):
                look(options, system, nodes, test, load)
        system.stop()
    return 0


def look(options, system, nodes, test, load):
    clients, pipeline = loads.parse_load(load)
    size = Size(clients, pipeline, 5000 * pipeline, loads.keys_of(options.value_bytes[0]), options.value_bytes[0])
    system.prepare(test, size)
    system.settle()
    count = max(2000, int((options.seconds or 5) * benchmark(system, test, size)["ops"]))
    before = {name: (threads(node.process.pid), switches(node.process.pid)) for name, node in nodes.items()}
    recorders = {}
    for name, node in nodes.items():
        data = os.path.join(options.folder, "perf-%s.data" % name.replace(" ", "-"))
        recorders[name] = data, subprocess.Popen(
            ["perf", "record", "-q", "-g", "-e", "cpu-clock", "-F", "1999", "-o", data, "-p", str(node.process.pid)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    time.sleep(0.3)
    ops = benchmark(system, test, size._replace(requests=count))["ops"]
    print("\n%s %s: %.1f kops/s" % (test.upper(), load, ops / 1000))
    for name, node in nodes.items():
        data, recorder = recorders[name]
        recorder.terminate()
        recorder.wait()
        had, idle = before[name]
        now = threads(node.process.pid)
        used = sorted(((cpu - had.get(i, (0, 0))[1], "%s:%s" % (i, text)) for i, (text, cpu) in now.items()),
                      reverse=True)
        waits = [b - a for a, b in zip(idle, switches(node.process.pid))]
        print("\n%s: %.2f CPU us/op; %s; switches/op: %.3f waiting, %.3f crowded out" %
              (name, sum(cpu for cpu, _ in used) / count,
               ", ".join("%s %.2f" % (text, cpu / count) for cpu, text in used if cpu / count >= 0.01),
               waits[0] / count, waits[1] / count))
        for title, most, how, shown in TABLES:
            print("\n   " + title)
            for line in [line for line in report(data, *how) if shown(line)][:most]:
                print("   " + line)
