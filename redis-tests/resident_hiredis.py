"""hiredis: runs the C program hiredis/resident.c against the server and reads its lines.

The program comes from the build (--hiredis-program); without it, it is compiled into a temporary folder.
"""
import os
import re
import shlex
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
RUN_S_MAX = 180


def compiled(into):
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "hiredis", "libuv"], check=True, capture_output=True,
                           text=True).stdout
    program = os.path.join(into, "resident")
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O1", "-g", "-o", program,
                    os.path.join(HERE, "hiredis", "resident.c")] + shlex.split(flags), check=True)
    return program


def run(server, args):
    with tempfile.TemporaryDirectory(prefix="redraft-hiredis-") as top:
        program = args.hiredis_program or compiled(top)
        done = subprocess.run([program, server.host, str(server.port)], capture_output=True, text=True,
                              timeout=RUN_S_MAX)
    results = []
    for line in done.stdout.splitlines():
        match = re.match(r"(not ok|ok) ([^:]*)(?:: (.*))?$", line)
        if match:
            results.append((match.group(2), None if match.group(1) == "ok" else match.group(3) or "failed"))
    if done.returncode not in (0, 1) or not results:
        results.append(("program", "exit status %d: %s" % (done.returncode, done.stderr.strip())))
    return results
