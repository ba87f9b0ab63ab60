"""`connections N`: so many idle connections at once (idle.c), and a load of 50 clients without and with them beside it; ours beside Redis.
Every connection must be accepted, answered, and still be there at the end; otherwise exit status 1. The servers begin with the
limit of open files that most systems give them and must raise it by themselves."""
import resource
import statistics
import subprocess

import loads
from loads import Size
from lineup import name_of
from systems import Failed, Folder

COUNT = 10000
FILES_USUAL = 1024  # the soft limit that servers begin with
LOADS = (("SET", 100), ("GET", 0))  # so many of 100 commands are SETs


class Idle:
    """The program that holds the connections."""

    def __init__(self, options, port, count):
        self.count = count
        self.process = subprocess.Popen([options.idle, str(port), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def heard(self):
        """(how many answered, milliseconds until the first, half, and all had)."""
        line = self.process.stdout.readline()
        if not line:
            raise Failed("bench-idle ended with status %s" % self.process.wait())
        return [float(word) for word in line.split(",")[1:]]

    def ask(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.heard()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def begin_low():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_USUAL, hard))


def loaded(options, system, rounds, requests):
    """Medians of {what: (thousand operations/s, p99 ms, CPU us of the server per operation)} with 50 clients."""
    found = {}
    for what, sets in LOADS:
        size = Size(50, 1, requests, 10000, 64)
        rows = []
        for _ in range(rounds):
            cpu = system.cpu_us()
            row = next(iter(loads.rows_of(loads.call(loads.own_argv(options, system.port, size, sets=sets), system.kind)).values()))
            rows.append((row["ops"] / 1000, row["p99_ms"], (system.cpu_us() - cpu) / requests))
        found[what] = [statistics.median(column) for column in zip(*rows)]
    return found


def one(options, system, count, rounds, requests):
    """Prints the system's rows; what went wrong, if anything did."""
    alone = loaded(options, system, rounds, requests)
    system.settle()
    memory, cpu = system.memory_mib(), system.cpu_us()
    idle = Idle(options, system.port, count)
    opened = idle.heard()
    system.settle()
    used, grown = (system.cpu_us() - cpu) / count, (system.memory_mib() - memory) * 1024 / count
    beside = loaded(options, system, rounds, requests)
    pinged, named = idle.ask("ping"), idle.ask("hello")
    cells = ["%d, %.0f / %.0f ms" % (opened[0], opened[2], opened[3]), "%.1f" % used, "%.2f" % grown,
             *("%.1f (%.2f), %.1f (%.2f), %.2f" % (alone[what][0], alone[what][2], beside[what][0], beside[what][2],
                                                  beside[what][0] / alone[what][0]) for what, _ in LOADS), "%.0f" % pinged[3]]
    print("| %s | %s |" % (name_of(system.kind), " | ".join(cells)), flush=True)
    idle.end()
    system.settle()
    return ["%s: %d of %d connections %s" % (system.kind, answers[0], count, what) for what, answers in
            (("were accepted", opened), ("were there afterwards", pinged), ("answered the last time", named)) if answers[0] != count]


def run(options):
    count = options.size or (1000 if options.quick else COUNT)
    rounds = options.rounds or (1 if options.quick else 3)
    requests = 10000 if options.quick else 40000
    problems = []
    with Folder(options) as folder:
        print("%d idle connections; 50 clients, medians of %d rounds; thousand operations/s, in parentheses CPU us/op, alone and beside "
              "the idle ones\n" % (count, rounds))
        print("| system | accepted and answered, half / all | CPU us each | KiB each | SET alone, beside, ratio | GET alone, beside, ratio | "
              "PING on all ms |\n|---|--:|--:|--:|--:|--:|--:|")
        for kind in options.systems:
            s = folder.system(kind, extra=("--maxclients", str(count + 200)))
            s.before = begin_low
            s.start()
            problems += one(options, s, count, rounds, requests)
            s.stop()
    if problems:
        raise Failed("; ".join(problems))
    return 0
