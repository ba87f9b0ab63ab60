"""The command line, and what follows from it."""
import argparse
import os
import resource
import shlex

import containers
import lineup
import loads
import peers
from systems import TOP

TOOLS = ("echo", "idle", "minirepl", "resp_load", "pubsub_load", "etcd_load")
ONE_NODE_OF_OURS = "ours,other,always,none"


def parser_of(description, what):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="throughput", choices=sorted(what), metavar="WHAT")
    parser.add_argument("size", nargs="?", type=int, help="connections, keys or seconds of what is measured")
    parser.add_argument("--server", default=os.path.join(TOP, "build/release/redraft-server"),
                        help="our program (default: build/release/redraft-server)")
    parser.add_argument("--other", help="a second build of ours to compare with; systems `other` and `other3`")
    parser.add_argument("--server-args", default="", type=shlex.split, help="more arguments for it, in one string")
    parser.add_argument("--redis", default="redis-server")
    parser.add_argument("--redis-benchmark", default="redis-benchmark")
    parser.add_argument("--peer", action="append", default=[], type=peers.parse, metavar="NAME=COMMAND LINE",
                        help="another server that speaks RESP; {port} and {dir} become its own")
    parser.add_argument("--peer-next", action="append", default=[], type=peers.parse, metavar="NAME=COMMAND",
                        help="three nodes of that peer; what the second and third are told, {first} being the first one's port")
    parser.add_argument("--peer-first", action="append", default=[], type=peers.parse, metavar="NAME=COMMAND", help="what the first is told")
    parser.add_argument("--tools", help="folder with bench-echo, bench-syncs.so and so on (default: beside the server)")
    parser.add_argument("--nodes", type=int, choices=(1, 3), help="only systems of one node, or those of three and what they compare with")
    parser.add_argument("--systems", help="some of %s, and peers" % ",".join(lineup.NAMES))
    parser.add_argument("--tests", help="some of %s, types" % ",".join(loads.TESTS))
    parser.add_argument("--loads", help="cN is N clients, pN is 50 clients with N commands in flight, cNpM both")
    parser.add_argument("--values", dest="value_bytes", type=lambda text: [int(n) for n in text.split(",")], help="bytes: 64,1024")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each load in each round")
    parser.add_argument("--keys", type=lambda text: [int(float(n)) for n in text.split(",")], help="for restart, bigger and growth: 1e5,1e6")
    parser.add_argument("--rate", type=int, help="for growth: commands a second")
    parser.add_argument("--kinds", type=lambda text: text.split(","), help="of collections, for memory and big: some of " +
                        ", ".join(containers.KINDS))
    parser.add_argument("--sizes", type=lambda text: [int(mb) for mb in text.split(",")], help="for large, in MB: 16,100")
    parser.add_argument("--maxmemory", help="for bigger and growth")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--port", type=int, default=7200, help="the first of a few")
    parser.add_argument("--data", help="folder for the data (default: build/)")
    parser.add_argument("--keep", action="store_true", help="leave data and logs behind")
    parser.add_argument("--json", help="also write every round's figures here")
    parser.add_argument("--svg", metavar="FOLDER", help="also draw plots there")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def allow_files():
    """A thousand clients are as many open files, in redis-benchmark and in the servers."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def parse(description, what):
    parser = parser_of(description, what)
    options = parser.parse_intermixed_args()
    tools = options.tools or os.path.dirname(os.path.realpath(options.server))
    for tool in TOOLS:
        setattr(options, tool, os.path.join(tools, "bench-" + tool.replace("_", "-")))
    options.syncs = os.path.join(tools, "bench-syncs.so")
    if not os.path.exists(options.syncs):
        options.syncs = None
    options.values_asked = options.value_bytes is not None
    options.value_bytes = options.value_bytes or [64]
    options.peers, options.peer_next, options.peer_first = dict(options.peer), dict(options.peer_next), dict(options.peer_first)
    if options.nodes == 3 and options.what not in ("throughput", "profile", "large"):
        parser.error("--nodes 3 is for throughput, profile and large")
    try:
        for load in (options.loads or "").split(",") if options.loads else ():
            loads.parse_load(load)
        if options.systems:
            options.systems = options.systems.split(",")
            lineup.check(options.systems, options)
        elif options.what == "throughput":
            options.systems = lineup.default(options)
        else:
            options.systems = ["ours"] + ["other"] * (options.other is not None) + ["always", "none"]
    except ValueError as problem:
        parser.error(str(problem))
    allow_files()
    return options
