"""A server under mixed load, for builds with sanitizers: what it says must be right, what was answered must survive a kill,
and at the end it must leave with status 0 and without a word from a sanitizer. Not a benchmark: nothing depends on speed."""
import random
import re
import signal
import socket
import struct
import subprocess
import threading

from systems import Failed, Folder
from wire import Wire, command

COMPLAINTS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:|"
                        r"CHECK.*failed|Assertion", re.I)


def hammer(port, owner, seed, rounds, sent, acked, problems):
    """One client with keys of its own: it knows what each read must see, in the middle of a pipeline too."""
    pick = random.Random(seed)
    mine = {}
    try:
        with Wire(port, 120) as wire:
            for _ in range(rounds):
                batch, expected = [], []
                for _ in range(pick.choice((1, 1, 4, 40))):
                    key = b"s%d:%d" % (owner, pick.randrange(200))
                    what = pick.random()
                    if what < 0.45:
                        value = pick.randbytes(pick.choice((0, 30, 70, 5000)))
                        if what < 0.2:
                            value = b"%d" % pick.randrange(10 ** 9)
                        batch.append(command(b"SET", key, value))
                        expected.append(b"+OK")
                        mine[key] = value
                    elif what < 0.55:
                        batch.append(command(b"DEL", key))
                        expected.append(1 if key in mine else 0)
                        mine.pop(key, None)
                    elif what < 0.65:
                        batch.append(command(b"APPEND", key, b"tail"))
                        mine[key] = mine.get(key, b"") + b"tail"
                        expected.append(len(mine[key]))
                    else:
                        batch.append(command(b"GET", key))
                        expected.append(mine.get(key))
                sent[owner] = dict(mine)
                wire.send(b"".join(batch))
                for want in expected:
                    got = wire.reply()
                    if got != want:
                        raise Failed("expected %.60r, got %.60r" % (want, got))
                acked[owner] = dict(mine)
    except (OSError, Failed, ValueError) as problem:
        problems.append("client %d: %s" % (owner, problem))


def rude(port, seed, rounds):
    """Clients that send rubbish, stop in the middle of a command, or leave without reading."""
    pick = random.Random(seed)
    bulk = command(b"SET", b"rude", b"r" * 20000)
    for _ in range(rounds):
        try:
            with socket.create_connection(("127.0.0.1", port), 10) as s:
                kind = pick.randrange(5)
                if kind == 0:
                    s.sendall(pick.randbytes(pick.randrange(1, 2000)))
                elif kind == 1:
                    s.sendall(bulk[:pick.randrange(len(bulk))])
                elif kind == 2:
                    s.sendall(b"*1\r\n$-5\r\n")
                elif kind == 3:
                    s.sendall(command(b"GET", b"rude") * 50)
                else:
                    s.sendall(b"*2147483647\r\n$1\r\n")
                # A reset instead of an orderly end, now and then.
                if pick.random() < 0.5:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # the server may hang up on us, and rightly


def verify(port, acked):
    with Wire(port, 120) as wire:
        for owner, values in acked.items():
            for number in range(200):
                key = b"s%d:%d" % (owner, number)
                got = wire.call(b"GET", key)
                if got != values.get(key):
                    raise Failed("after the restart %r is %.60r, was %.60r" % (key, got, values.get(key)))


def load(options, s, seed, rounds, clients):
    sent, acked, problems = {}, {}, []
    with Wire(s.port, 120) as wire:
        wire.call(b"FLUSHALL")
    threads = [threading.Thread(target=hammer, args=(s.port, n, seed + n, rounds, sent, acked, problems))
               for n in range(clients)]
    threads.append(threading.Thread(target=rude, args=(s.port, seed, rounds)))
    for t in threads:
        t.start()
    bench = subprocess.run([options.redis_benchmark, "-h", "127.0.0.1", "-p", str(s.port), "-t", "set,get,incr,mset",
                            "-n", str(rounds * 20), "-r", "1000", "-P", "8", "-c", "20", "-q"],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    for t in threads:
        t.join()
    if problems or not s.alive():
        raise Failed("%s\n%s" % ("\n".join(problems), s.log_tail(80)))
    if bench.returncode != 0 or b"rror" in bench.stdout:
        raise Failed("redis-benchmark: %s" % bench.stdout.decode(errors="replace")[-2000:])
    return acked


def run(options):
    rounds = 60 if options.quick else 800
    print("seed %d; again: tests/bench/run smoke --server PROGRAM --seed %d" % (options.seed, options.seed), flush=True)
    options.syncs = None  # nothing preloaded before a sanitizer
    with Folder(options) as folder:
        s = folder.system("ours")
        s.start()
        acked = load(options, s, options.seed, rounds, 4)
        s.stop(signal.SIGKILL)
        s.start()
        verify(s.port, acked)
        acked = load(options, s, options.seed + 100, rounds // 2, 4)
        status = s.stop()
        if status != 0:
            raise Failed("exit status %s after SIGTERM:\n%s" % (status, s.log_tail(80)))
        s.start()
        verify(s.port, acked)
        if s.stop(signal.SIGINT) != 0:
            raise Failed("exit status is not 0 after SIGINT:\n" + s.log_tail(80))
        complaint = COMPLAINTS.search(s.log_text())
        if complaint:
            raise Failed("the server's log says %r:\n%s" % (complaint.group(0), s.log_tail(80)))
    print("smoke: fine")
    return 0
