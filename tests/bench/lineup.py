"""Who is compared: the systems by name, who is measured when nobody is named, and whose ratios are shown."""
import os

import clusters
import peers
from systems import Failed, System

NAMES = {"ours": "ours", "ours3": "ours, 3 nodes", "other": "ours, other build", "other3": "other build, 3 nodes",
         "lease": "ours, 3 nodes, read-mode lease", "other-lease": "other build, 3 nodes, read-mode lease", "etcd": "etcd, 3 nodes",
         "wait": "Redis, 2 replicas, WAIT 1", "always": "Redis, appendfsync always", "none": "Redis, no persistence",
         "minirepl": "minirepl (ceiling)", "echo": "echo (ceiling)"}
# Of one process, and of three.
ALONE = ("ours", "other", "always", "none", "echo")
# What ratios are shown: of whom, with whom.
RATIOS = (("ours", "always"), ("ours", "none"), ("ours", "other"), ("ours3", "etcd"), ("ours3", "wait"), ("ours3", "always"),
          ("ours3", "other3"), ("ours3", "minirepl"), ("lease", "ours3"))


def name_of(kind):
    return NAMES.get(kind, kind)


def ratios(kinds):
    """(of whom, with whom) for those who are there; ours with each peer too."""
    named = [(a, b) for a, b in RATIOS if a in kinds and b in kinds]
    others = [kind for kind in kinds if kind not in NAMES]
    return named + [(a, b) for b in others for a in ("ours", "ours3") if a in kinds]


def default(options):
    """Names, in the order of the tables."""
    other = options.other is not None
    one = ["ours"] + ["other"] * other
    three = ["ours3"] + ["other3"] * other
    if options.nodes == 1:
        return one + ["always", "none"] + ["echo"] * os.path.exists(options.echo) + list(options.peers)
    if options.nodes == 3:
        return three + ["lease"] + ["other-lease"] * other + ["etcd", "always", "wait", "minirepl"] + list(options.peers)
    return one + three + ["none", "always", "wait", "etcd"] + list(options.peers)


def check(kinds, options):
    for kind in kinds:
        if kind not in NAMES and kind not in options.peers:
            raise ValueError("%r is none of %s" % (kind, ", ".join((*NAMES, *options.peers))))


def make_one(kind, options, folder, made):
    if kind in ALONE:
        if kind == "other" and options.other is None:
            raise clusters.Unavailable("--other says where it is")
        return System(kind, options, folder.ports(1)[0])
    if kind in ("ours3", "other3"):
        return clusters.Ours(kind, options, folder)
    if kind in ("lease", "other-lease"):
        of = "ours3" if kind == "lease" else "other3"
        if of not in made:
            raise clusters.Unavailable("it is %s in another mode; ask for both, %s first" % (of, of))
        return clusters.Lease(kind, made[of])
    if kind in options.peers:
        return peers.make(kind, options, folder)
    return {"etcd": clusters.Etcd, "wait": clusters.Waiting, "minirepl": clusters.Minirepl}[kind](options, folder)


def start(kinds, options, folder):
    """The systems of these kinds, in order, started and stopped by signal. What cannot be had here is named and left out; a peer
    that does not run is an error, for somebody asked for it."""
    made = {}
    for kind in kinds:
        try:
            system = make_one(kind, options, folder, made)
            folder.systems.append(system)
            system.start()
            system.pause()
            made[kind] = system
        except (clusters.Unavailable, FileNotFoundError) as why:
            if kind in options.peers:
                raise Failed("%s: %s" % (kind, why)) from None
            print("%s: left out: %s" % (kind, why), flush=True)
    return list(made.values())
