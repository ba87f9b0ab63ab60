"""`amplification`: bytes that reach the disk for each byte that clients set, whatever was put off included, and how many of them
write-backs hand over to the state's database; the rest is the log's, and what that database writes over again."""
import os
import signal
import time

import loads
from loads import Size
from systems import Failed, Folder, disk_sync_us
from tables import number
from wire import Wire

KEY_BYTES = 16
QUIET_SECONDS, WAIT_SECONDS_MAX = 2, 60


def patterns(options):
    """(name, most bytes for each byte set or None, size, keys in turn: in the order of rows, which is that of a hash, they are random)"""
    many = options.size or (100000 if options.quick else 1000000)
    few = many // 10
    return [
        ("64 B over %d keys, rewritten, 50 clients x 16" % few, 3.0, Size(50, 16, many, few, 64), False),
        ("100 B over %d keys, each once, 50 clients x 16" % many, 8.0, Size(50, 16, many, many, 100), True),
        ("64 B over 100 keys, 50 clients x 16", None, Size(50, 16, many // 2, 100, 64), False),
        ("64 B over %d keys, 50 clients x 1" % many, None, Size(50, 1, few, many, 64), False),
        ("1000 B over %d keys, 50 clients x 16" % (many // 5), None, Size(50, 16, many // 5, many // 5, 1000), False),
        ("10000 B over %d keys, 50 clients x 4" % (many // 50), None, Size(50, 4, many // 50, many // 50, 10000), False),
    ]


def quiet(system):
    """Wait until two seconds in a row write nothing; the bytes written by then."""
    end, since, last = time.monotonic() + WAIT_SECONDS_MAX, time.monotonic(), system.written_bytes()
    while time.monotonic() - since < QUIET_SECONDS and time.monotonic() < end:
        time.sleep(0.2)
        now = system.written_bytes()
        if now != last:
            last, since = now, time.monotonic()
    return last


def call(system, *words):
    with Wire(system.port) as wire:
        answer = wire.call(*words)
    if answer != b"+OK":
        raise Failed("%r was answered %r" % (words, answer))


def info(system):
    with Wire(system.port) as wire:
        text = wire.call(b"INFO", b"everything").decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def run(options):
    kinds = [k for k in options.systems if k in ("ours", "other", "always")]
    failed = []
    with Folder(options) as folder:
        print("disk: %.0f us for 4 KiB\n" % disk_sync_us(options.folder))
        print("| load | system | written per byte set | of them handed over by write-backs | on disk MiB | server CPU us/op, all included | "
              "syncs/op |")
        print("|---|---|--:|--:|--:|--:|--:|")
        for name, most, size, in_turn in patterns(options):
            for kind in kinds:
                s = folder.system(kind)
                s.folder += "-%d" % s.port
                s.argv[s.argv.index("--dir") + 1] = s.folder
                os.makedirs(s.folder, exist_ok=True)
                s.start()
                cpu, written = s.cpu_us(), s.written_bytes()
                loads.call(loads.own_argv(options, s.port, size, sets=100, turn=int(in_turn)), kind)
                quiet(s)
                if kind != "always":
                    call(s, b"SAVE")
                written = quiet(s) - written
                given = size.requests * (KEY_BYTES + size.value_bytes)
                said = info(s)
                handed = int(said["writeback_bytes"]) / given if "writeback_bytes" in said else None
                syncs = s.syncs()
                print("| %s | %s | %.2f | %s | %.0f | %.2f | %s |" %
                      (name, kind, written / given, number(handed, 2), s.disk_bytes() / 1048576,
                       (s.cpu_us() - cpu) / size.requests, number(syncs and syncs[0] / size.requests, 4)), flush=True)
                if kind != "always" and most is not None and written / given > most:
                    failed.append("%s, %s: %.2f bytes written for each, at most %.1f asked" % (name, kind, written / given, most))
                s.stop(signal.SIGKILL)
    if failed:
        raise Failed("; ".join(failed))
    return 0
