"""Where upstream's Tcl suite comes from.

Fetches the source package `redis` with apt, keeps the upstream tarball in a cache folder, and unpacks the parts the
suite needs into a folder of the caller's choice. Promises that the machine's apt set-up is neither read-locked nor
changed (private lists, private cache, source entries derived from the machine's own binary ones), that a tarball is
fetched once, and that nothing lands inside the repository outside `build/`. Says nothing about running the suite:
that is suite.py.
"""
import fcntl
import os
import re
import shlex
import shutil
import subprocess
import tarfile
import tempfile

VERSION = "7.0.15"
REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def cache_dir():
    xdg = os.environ.get("XDG_CACHE_HOME")
    return os.path.join(xdg, "redraft") if xdg else os.path.join(REPO, "build", "cache")


def apt_paths():
    """The machine's own apt entries: (file or None, folder or None)."""
    out = subprocess.run(["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"],
                         check=True, capture_output=True, text=True).stdout
    found = dict(re.findall(r"^(\w+)='(.*)'$", out, re.M))
    return found.get("LIST"), found.get("PARTS")


def source_entries(into):
    """Write into the folder `into` a deb-src entry for each deb entry the machine has."""
    listing, parts = apt_paths()
    files = [listing] if listing and os.path.isfile(listing) else []
    if parts and os.path.isdir(parts):
        files += [os.path.join(parts, name) for name in sorted(os.listdir(parts))]
    for n, path in enumerate(files):
        if path.endswith(".sources"):
            with open(path) as f:
                text = re.sub(r"^Types:.*$", "Types: deb-src", f.read(), flags=re.M)
            name = "entry%d.sources" % n
        elif path.endswith(".list"):
            with open(path) as f:
                text = "\n".join(re.sub(r"^deb\s", "deb-src ", line) for line in f.read().split("\n")
                                 if line.startswith("deb "))
            name = "entry%d.list" % n
        else:
            continue
        with open(os.path.join(into, name), "w") as f:
            f.write(text + "\n")


def fetch(into):
    """Download the upstream tarball into the folder `into`; its path."""
    with tempfile.TemporaryDirectory(prefix="redraft-apt-") as top:
        for sub in ("sources.d", "lists/partial", "cache/archives/partial", "down"):
            os.makedirs(os.path.join(top, sub))
        source_entries(os.path.join(top, "sources.d"))
        apt = ["apt-get", "-q"]
        for key, value in (("Dir::Etc::sourcelist", "/dev/null"), ("Dir::Etc::sourceparts", top + "/sources.d"),
                           ("Dir::State::lists", top + "/lists"), ("Dir::Cache", top + "/cache"),
                           ("APT::Sandbox::User", ""), ("APT::Update::Post-Invoke-Success::", "")):
            apt += ["-o", "%s=%s" % (key, value)]
        # A foreign entry without sources makes update fail as a whole; whether ours arrived shows in the next step.
        update = subprocess.run(apt + ["update"], capture_output=True, text=True)
        got = subprocess.run(apt + ["source", "--download-only", "redis"], cwd=top + "/down", capture_output=True,
                             text=True)
        tars = [n for n in os.listdir(top + "/down") if n.endswith(".orig.tar.gz")]
        if got.returncode != 0 or not tars:
            raise SystemExit("cannot fetch the redis source package; put redis_%s.orig.tar.gz into %s by hand\n%s\n%s"
                             % (VERSION, into, update.stderr, got.stderr))
        if VERSION not in tars[0]:
            raise SystemExit("this machine's source package is %s, the baseline is for %s" % (tars[0], VERSION))
        os.makedirs(into, exist_ok=True)
        target = os.path.join(into, "redis_%s.orig.tar.gz" % VERSION)
        shutil.copy(os.path.join(top, "down", tars[0]), target + ".part")
        os.replace(target + ".part", target)
        return target


def tarball():
    """The path of the upstream tarball, fetched now unless it is in the cache."""
    into = cache_dir()
    path = os.path.join(into, "redis_%s.orig.tar.gz" % VERSION)
    os.makedirs(into, exist_ok=True)
    with open(os.path.join(into, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return path if os.path.exists(path) else fetch(into)


def unpack(into, server=None):
    """Unpack the suite into the folder `into`, one copy per runner because it writes beside itself; its path."""
    with tarfile.open(tarball()) as tar:
        wanted = [m for m in tar.getmembers() if re.match(r"[^/]+/(runtest$|redis\.conf$|tests/)", m.name)]
        tar.extractall(into, members=wanted)
        top = os.path.join(into, wanted[0].name.split("/")[0])
    os.makedirs(os.path.join(top, "src"), exist_ok=True)
    os.makedirs(os.path.join(top, "tests", "tmp"), exist_ok=True)
    for tool in ("redis-cli", "redis-benchmark"):
        if shutil.which(tool):
            os.symlink(shutil.which(tool), os.path.join(top, "src", tool))
    if server:
        # The harness waits for the server's process id on its standard output, in the reference's words.
        path = os.path.join(top, "src", "redis-server")
        with open(path, "w") as f:
            f.write('#!/bin/sh\necho "started, PID: $$"\nexec %s "$@"\n' % shlex.quote(os.path.abspath(server)))
        os.chmod(path, 0o755)
    return top


if __name__ == "__main__":
    print(tarball())
